//! What the OM counts, under Ozone's names.

use std::ops::ControlFlow;
use std::sync::Arc;

use multiraft::Role;
use om_core::{Namespace, tables};
use om_proto::Type;
use ozone_metrics::{CallTable, Counter, Rate, Record, Records, Registry};

use crate::server::Service;
use crate::service::deleting_metrics::DeletingMetrics;

/// Counts of one OM.
pub(crate) struct OmMetrics {
    /// Requests by type.
    pub calls: Arc<CallTable>,
    /// Prepare of writes (`PreExecuteLatencyNs`).
    pub prepare: Rate,
    /// Through the log and back (`SubmitToRatisLatencyNs`).
    pub submit: Rate,
    pub deleting: DeletingMetrics,
    pub open_keys: OpenKeyMetrics,
    pub uploads: UploadMetrics,
    pub trash: TrashMetrics,
}

/// Clean-up of keys that stayed open (`numOpenKey…` of `OMMetrics`), as the leader sees it.
#[derive(Default)]
pub(crate) struct OpenKeyMetrics {
    pub requests: Counter,
    pub submitted: Counter,
    pub deleted: Counter,
    pub cleaned: Counter,
    pub hsync_cleaned: Counter,
    pub fails: Counter,
}

impl OpenKeyMetrics {
    fn collect(&self, om: &mut Record<'_>) {
        om.counter("NumOpenKeyDeleteRequests", self.requests.get());
        om.counter("NumOpenKeyDeleteRequestFails", self.fails.get());
        om.counter("NumOpenKeysSubmittedForDeletion", self.submitted.get());
        om.counter("NumOpenKeysDeleted", self.deleted.get());
        om.counter("NumOpenKeysCleaned", self.cleaned.get());
        om.counter("NumOpenKeysHSyncCleaned", self.hsync_cleaned.get());
    }
}

/// Clean-up of multipart uploads (`numExpiredMPU…` of `OMMetrics`), as the leader sees it.
#[derive(Default)]
pub(crate) struct UploadMetrics {
    pub requests: Counter,
    pub submitted: Counter,
    pub aborted: Counter,
    pub parts: Counter,
    pub fails: Counter,
}

impl UploadMetrics {
    fn collect(&self, om: &mut Record<'_>) {
        om.counter("NumExpiredMPUAbortRequests", self.requests.get());
        om.counter("NumExpiredMPUAbortRequestFails", self.fails.get());
        om.counter("NumExpiredMPUSubmittedForAbort", self.submitted.get());
        om.counter("NumExpiredMPUAborted", self.aborted.get());
        om.counter("NumExpiredMPUPartsAborted", self.parts.get());
    }
}

/// What the trash emptier did (`numTrash…` of `OMMetrics`).
#[derive(Default)]
pub(crate) struct TrashMetrics {
    pub active_cycles: Counter,
    pub roots_enqueued: Counter,
    pub roots_processed: Counter,
    pub list_status: Counter,
    pub renames: Counter,
    pub deletes: Counter,
    pub atomic_renames: Counter,
    pub atomic_deletes: Counter,
    pub files_renames: Counter,
    pub files_deletes: Counter,
    pub write_requests: Counter,
    pub fails: Counter,
}

impl TrashMetrics {
    fn collect(&self, om: &mut Record<'_>) {
        om.counter("NumTrashActiveCycles", self.active_cycles.get());
        om.counter("NumTrashRootsEnqueued", self.roots_enqueued.get());
        om.counter("NumTrashRootsProcessed", self.roots_processed.get());
        om.counter("NumTrashListStatus", self.list_status.get());
        om.counter("NumTrashRenames", self.renames.get());
        om.counter("NumTrashDeletes", self.deletes.get());
        om.counter("NumTrashAtomicDirRenames", self.atomic_renames.get());
        om.counter("NumTrashAtomicDirDeletes", self.atomic_deletes.get());
        om.counter("NumTrashFilesRenames", self.files_renames.get());
        om.counter("NumTrashFilesDeletes", self.files_deletes.get());
        om.counter("NumTrashWriteRequests", self.write_requests.get());
        om.counter("NumTrashFails", self.fails.get());
    }
}

impl Default for OmMetrics {
    fn default() -> Self {
        let name = |number| Type::try_from(number).ok().map(|kind| kind.as_str_name());
        Self {
            calls: CallTable::of("OmClientProtocol", name),
            prepare: Rate::default(),
            submit: Rate::default(),
            deleting: DeletingMetrics::default(),
            open_keys: OpenKeyMetrics::default(),
            uploads: UploadMetrics::default(),
            trash: TrashMetrics::default(),
        }
    }
}

/// Whether an encoded `OMResponse` says `success = false`: field 3, behind the type and maybe the trace
/// id. Looks at a few bytes only.
pub(crate) fn is_refusal(reply: &[u8]) -> bool {
    fn varint(bytes: &mut &[u8]) -> Option<u64> {
        prost::encoding::decode_varint(bytes).ok()
    }
    let mut rest = reply;
    while let Some(key) = varint(&mut rest) {
        match key {
            0x18 => return varint(&mut rest) == Some(0),
            0x08 => {
                if varint(&mut rest).is_none() {
                    return false;
                }
            }
            0x12 => {
                let length = varint(&mut rest).and_then(|length| usize::try_from(length).ok());
                match length.and_then(|length| rest.get(length..)) {
                    Some(after) => rest = after,
                    None => return false,
                }
            }
            _ => return false,
        }
    }
    false
}

/// Every source of the OM but those that need its RPC server or its buffer.
pub(crate) fn register(registry: &Registry, service: &Arc<Service>) {
    let seen = Arc::clone(service);
    registry.register(move |records| seen.collect(records));
    if let Some(audit) = service.audit.clone() {
        registry.register(move |records| audit.collect(records));
    }
    let raft = service.raft.clone();
    registry.register(move |records| raft.collect(records));
    let store = Arc::clone(service.cache.store());
    registry.register(move |records| {
        let mut rocks = records.plain("rocksdb_om_db", bean("Rocksdb_om.db"));
        for (name, value) in store.gauges() {
            rocks.gauge(&name, value);
        }
    });
}

fn bean(name: &str) -> String {
    format!("Hadoop:service=OzoneManager,name={name}")
}

/// Names of `OMMetrics` and the requests that each counts.
const OPERATIONS: [(&str, &[Type]); 37] = [
    ("VolumeCreates", &[Type::CreateVolume]),
    ("VolumeUpdates", &[Type::SetVolumeProperty]),
    ("VolumeInfos", &[Type::InfoVolume]),
    ("VolumeCheckAccesses", &[Type::CheckVolumeAccess]),
    ("VolumeDeletes", &[Type::DeleteVolume]),
    ("VolumeLists", &[Type::ListVolume]),
    ("BucketCreates", &[Type::CreateBucket]),
    ("BucketInfos", &[Type::InfoBucket]),
    ("BucketUpdates", &[Type::SetBucketProperty]),
    ("BucketDeletes", &[Type::DeleteBucket]),
    ("BucketLists", &[Type::ListBuckets]),
    ("KeyAllocate", &[Type::CreateKey]),
    ("KeyLookup", &[Type::LookupKey, Type::GetKeyInfo]),
    ("KeyRenames", &[Type::RenameKey, Type::RenameKeys]),
    ("KeyDeletes", &[Type::DeleteKey, Type::DeleteKeys]),
    ("KeyLists", &[Type::ListKeys, Type::ListKeysLight]),
    ("KeyCommits", &[Type::CommitKey]),
    ("BlockAllocations", &[Type::AllocateBlock]),
    ("GetServiceLists", &[Type::ServiceList]),
    ("GetFileStatus", &[Type::GetFileStatus]),
    ("CreateDirectory", &[Type::CreateDirectory]),
    ("CreateFile", &[Type::CreateFile]),
    ("LookupFile", &[Type::LookupFile]),
    ("ListStatus", &[Type::ListStatus, Type::ListStatusLight]),
    ("AddAcl", &[Type::AddAcl]),
    ("SetAcl", &[Type::SetAcl]),
    ("GetAcl", &[Type::GetAcl]),
    ("RemoveAcl", &[Type::RemoveAcl]),
    ("SetTime", &[Type::SetTimes]),
    ("InitiateMultipartUploads", &[Type::InitiateMultiPartUpload]),
    ("CommitMultipartUploadParts", &[Type::CommitMultiPartUpload]),
    ("CompleteMultipartUploads", &[Type::CompleteMultiPartUpload]),
    ("AbortMultipartUploads", &[Type::AbortMultiPartUpload]),
    ("ListMultipartUploadParts", &[Type::ListMultiPartUploadParts]),
    ("ListMultipartUploads", &[Type::ListMultipartUploads]),
    ("GetObjectTagging", &[Type::GetObjectTagging]),
    ("PutObjectTagging", &[Type::PutObjectTagging]),
];

/// Names of `OMPerformanceMetrics` and the requests whose time, from arrival to answer, each is.
const LATENCIES: [(&str, &[Type]); 6] = [
    ("CreateKeySuccessLatencyNs", &[Type::CreateKey]),
    ("GetKeyInfoLatencyNs", &[Type::GetKeyInfo]),
    ("LookupLatencyNs", &[Type::LookupKey]),
    ("ListKeysLatencyNs", &[Type::ListKeys, Type::ListKeysLight]),
    ("DeleteKeySuccessLatencyNs", &[Type::DeleteKey, Type::DeleteKeys]),
    ("S3VolumeContextLatencyNs", &[Type::GetS3VolumeContext]),
];

/// Buckets that have metrics of their own.
const BUCKETS_SHOWN_MAX: usize = 1_000;

/// `Num…Ops` counts every operation whose name begins so; the rest is the file system's.
const GROUPS: [(&str, &str); 3] =
    [("NumVolumeOps", "Volume"), ("NumBucketOps", "Bucket"), ("NumKeyOps", "Key")];

impl Service {
    fn collect(&self, records: &mut Records) {
        let leads = matches!(self.leadership.borrow().role, Role::Leader { .. });
        let mut ha = records.record("OMHAMetrics");
        ha.tag("nodeId", &self.settings.node).gauge("OzoneManagerHALeaderState", leads);
        self.metrics.calls.collect(records);
        self.operations(&mut records.record("OMMetrics"));
        let mut performance = records.record("OMPerformanceMetrics");
        performance.rate_ns("PreExecuteLatencyNs", &self.metrics.prepare);
        performance.rate_ns("SubmitToRatisLatencyNs", &self.metrics.submit);
        for (name, kinds) in LATENCIES {
            let (mut count, mut nanos) = (0, 0);
            for kind in kinds {
                count += self.metrics.calls.calls((*kind).into());
                nanos += self.metrics.calls.nanos((*kind).into());
            }
            performance.counter(&format!("{name}NumOps"), count);
            performance.gauge(&format!("{name}AvgTime"), nanos.checked_div(count).unwrap_or(0));
        }
        self.buckets(records);
        self.metrics.deleting.collect(records);
    }

    /// Use and quota of buckets, of the first [`BUCKETS_SHOWN_MAX`].
    fn buckets(&self, records: &mut Records) {
        let namespace = Namespace::new(&self.cache, &self.settings.rules);
        let mut left = BUCKETS_SHOWN_MAX;
        let scanned = namespace.scan_prefix(tables::BUCKET.slot, b"", None, &mut |row, value| {
            if let Ok(bucket) = tables::BUCKET.decode(row, value.to_vec().into()) {
                let mut record = records.record("BucketUtilizationMetrics");
                record.context("Bucket metrics");
                record.tag("volumeName", &bucket.volume_name);
                record.tag("bucketName", &bucket.bucket_name);
                let used = bucket.used_bytes();
                let quota = bucket.quota_in_bytes();
                let free = if quota > 0 { quota.saturating_sub_unsigned(used) } else { -1 };
                record.gauge("BucketUsedBytes", used).gauge("BucketQuotaBytes", quota);
                record.gauge("BucketAvailableBytes", free);
                record.gauge("BucketQuotaNamespace", bucket.quota_in_namespace());
            }
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if let Err(error) = scanned {
            tracing::debug!(%error, "buckets were not read for metrics");
        }
    }

    fn operations(&self, om: &mut Record<'_>) {
        om.context("dfs");
        let calls = &self.metrics.calls;
        let mut sums = [0; GROUPS.len()];
        for (name, kinds) in OPERATIONS {
            let number = |of: fn(&CallTable, i32) -> u64| -> u64 {
                kinds.iter().map(|kind| of(calls, (*kind).into())).sum()
            };
            let all = number(CallTable::calls);
            om.counter(&format!("Num{name}"), all);
            // As Ozone spells it: NumVolumeCreateFails beside NumVolumeCreates.
            let one = name.strip_suffix('s').filter(|one| !one.ends_with("Statu")).unwrap_or(name);
            om.counter(&format!("Num{one}Fails"), number(CallTable::failures));
            for (sum, (_, prefix)) in sums.iter_mut().zip(GROUPS) {
                *sum += if name.starts_with(prefix) { all } else { 0 };
            }
        }
        for ((name, _), sum) in GROUPS.into_iter().zip(sums) {
            om.counter(name, sum);
        }
        self.metrics.open_keys.collect(om);
        self.metrics.uploads.collect(om);
        self.metrics.trash.collect(om);
        // Estimates of the database; what is applied but not flushed yet is not in them.
        let rows = |table| self.cache.store().estimated_rows(table).unwrap_or(0);
        om.gauge("NumVolumes", rows(tables::VOLUME.def.name));
        om.gauge("NumBuckets", rows(tables::BUCKET.def.name));
        om.gauge("NumDirs", rows(tables::DIRECTORY.def.name));
        om.gauge("NumFiles", rows(tables::FILE.def.name));
        om.gauge("NumKeys", rows(tables::KEY.def.name) + rows(tables::FILE.def.name));
    }
}

#[cfg(test)]
mod tests {
    use om_proto::OmResponse;
    use prost::Message;

    use super::*;

    #[test]
    fn a_refusal_is_told_from_a_reply_by_its_first_fields() {
        let reply = |success, trace: Option<&str>| {
            let reply = OmResponse {
                cmd_type: Type::CreateKey.into(),
                trace_id: trace.map(str::to_owned),
                success,
                ..OmResponse::default()
            };
            is_refusal(&reply.encode_to_vec())
        };
        assert!(reply(Some(false), None) && reply(Some(false), Some("trace:1")));
        assert!(!reply(Some(true), None) && !reply(Some(true), Some("t")) && !reply(None, None));
        assert!(!is_refusal(b"") && !is_refusal(&[0x12, 0xff]) && !is_refusal(&[0x18]));
    }
}
