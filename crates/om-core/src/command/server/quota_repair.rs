//! `QuotaRepair`: what buckets say they use becomes what is in them (`QuotaRepairTask`,
//! `OMQuotaRepairRequest`).
//!
//! The leader counts a frozen copy of the tables ([`plan`]); what goes through the log are
//! differences, so that what is written meanwhile is not lost.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use bytes::Bytes;
use om_proto::{
    BucketInfo, BucketQuotaCount, OmResponse, QuotaRepairRequest, QuotaRepairResponse, Status,
    VolumeInfo,
};
use ozone_db::DbError;
use prost::Message;

use crate::command::{BlocksWanted, Caller, Write};
use crate::error::Failure;
use crate::key;
use crate::namespace::{At, Namespace};
use crate::quota::UNLIMITED;
use crate::tables::{self, Table};

/// A quota from before there were accounts (`OzoneConsts.OLD_QUOTA_DEFAULT`).
const OLD: i64 = -2;

impl Write for QuotaRepairRequest {
    fn prepare(
        &mut self,
        ns: &Namespace<'_>,
        caller: &Caller<'_>,
    ) -> Result<Option<BlocksWanted>, Failure> {
        if ns.rules.acls_enforced && !ns.rules.is_admin(caller) {
            let message = format!(
                "Access denied for user {}. Admin privilege is required for quota repair.",
                caller.user
            );
            return Err(Failure::new(Status::AccessDenied, message));
        }
        Ok(None)
    }

    fn apply(
        self,
        _: At,
        _: &str,
        ns: &mut Namespace<'_>,
        reply: &mut OmResponse,
    ) -> Result<(), Failure> {
        for count in self.bucket_count {
            let row = tables::bucket_key(&count.vol_name, &count.bucket_name);
            // Deleted since it was counted: nothing is left to repair.
            let Some(mut bucket) = ns.get(&tables::BUCKET, &row)? else { continue };
            let add =
                |used: Option<u64>, by: i64| Some(used.unwrap_or(0).saturating_add_signed(by));
            bucket.used_bytes = add(bucket.used_bytes, count.diff_used_bytes);
            bucket.used_namespace = add(bucket.used_namespace, count.diff_used_namespace);
            if count.support_old_quota {
                for quota in [&mut bucket.quota_in_bytes, &mut bucket.quota_in_namespace] {
                    if quota.unwrap_or(OLD) == OLD {
                        *quota = Some(UNLIMITED);
                    }
                }
            }
            ns.put_bucket(&bucket);
        }
        if self.support_volume_old_quota {
            for mut volume in all(ns, &tables::VOLUME)? {
                if is_old(&volume) {
                    let bytes = volume.quota_in_bytes.map_or(OLD, u64::cast_signed);
                    if bytes == OLD {
                        volume.quota_in_bytes = Some(UNLIMITED.cast_unsigned());
                    }
                    if volume.quota_in_namespace.unwrap_or(OLD) == OLD {
                        volume.quota_in_namespace = Some(UNLIMITED);
                    }
                    ns.put_volume(&volume);
                }
            }
        }
        reply.quota_repair_response = Some(Box::new(QuotaRepairResponse {}));
        Ok(())
    }
}

fn is_old(volume: &VolumeInfo) -> bool {
    volume.quota_in_bytes.map_or(OLD, u64::cast_signed) == OLD
        || volume.quota_in_namespace.unwrap_or(OLD) == OLD
}

/// What must be added to the accounts of `buckets` (`/<volume>/<bucket>`; of all where empty). `ns` should
/// not change meanwhile. As Java counts, and the parts of uploads under way, which Java forgets.
///
/// # Errors
/// BUCKET_NOT_FOUND where none of them is there; the store failed.
pub fn plan(ns: &Namespace<'_>, buckets: &[String]) -> Result<QuotaRepairRequest, Failure> {
    let mut wanted: Vec<BucketInfo> = all(ns, &tables::BUCKET)?;
    if !buckets.is_empty() {
        wanted.retain(|info| {
            buckets.contains(&format!("/{}/{}", info.volume_name, info.bucket_name))
        });
    }
    if wanted.is_empty() {
        return Err(Failure::new(Status::BucketNotFound, "no matching buckets"));
    }
    let mut accounts = Accounts::default();
    for (at, info) in wanted.iter().enumerate() {
        let volume = ns.volume(&info.volume_name)?.object_id.unwrap_or(0);
        let names = tables::flat_key(&info.volume_name, &info.bucket_name, "");
        accounts.buckets.insert(names, at);
        let ids = tables::bucket_tree(volume, info.object_id.unwrap_or(0));
        accounts.buckets.insert(ids, at);
    }
    accounts.used = vec![(0, 0); wanted.len()];
    accounts.count(ns, &tables::KEY, 1, key::replicated_size)?;
    accounts.count(ns, &tables::FILE, 1, key::replicated_size)?;
    accounts.count(ns, &tables::DIRECTORY, 1, |_| 0)?;
    #[expect(deprecated, reason = "the field of the parts is where 2.2.0 keeps them")]
    accounts.count(ns, &tables::MULTIPART_INFO, 0, |upload| {
        upload.part_key_info_list.iter().map(|part| key::replicated_size(&part.part_key_info)).sum()
    })?;
    let mut request = QuotaRepairRequest {
        bucket_count: Vec::new(),
        support_volume_old_quota: buckets.is_empty(),
    };
    for (info, (bytes, names)) in wanted.into_iter().zip(accounts.used) {
        let support_old_quota = info.quota_in_bytes.unwrap_or(OLD) == OLD
            || info.quota_in_namespace.unwrap_or(OLD) == OLD;
        let diff = |is: u64, said: Option<u64>| is.wrapping_sub(said.unwrap_or(0)).cast_signed();
        let count = BucketQuotaCount {
            diff_used_bytes: diff(bytes, info.used_bytes),
            diff_used_namespace: diff(names, info.used_namespace),
            vol_name: info.volume_name,
            bucket_name: info.bucket_name,
            support_old_quota,
        };
        if support_old_quota || (count.diff_used_bytes, count.diff_used_namespace) != (0, 0) {
            request.bucket_count.push(count);
        }
    }
    Ok(request)
}

#[derive(Default)]
struct Accounts {
    /// Beginnings of rows, to positions in `used`.
    buckets: BTreeMap<Vec<u8>, usize>,
    /// Bytes and names.
    used: Vec<(u64, u64)>,
}

impl Accounts {
    fn count<V: Message + Default>(
        &mut self,
        ns: &Namespace<'_>,
        table: &Table<V>,
        names: u64,
        size: impl Fn(&V) -> u64,
    ) -> Result<(), DbError> {
        each(ns, table, |row, value| {
            let used = bucket_of(row).and_then(|front| self.buckets.get(front));
            if let Some(used) = used.and_then(|at| self.used.get_mut(*at)) {
                used.0 += size(&value);
                used.1 += names;
            }
        })
    }
}

/// `/<volume>/<bucket>/`, by names or ids.
fn bucket_of(row: &[u8]) -> Option<&[u8]> {
    let mut slashes = row.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    slashes.nth(2).map(|(at, _)| &row[..=at])
}

fn all<V: Message + Default>(ns: &Namespace<'_>, table: &Table<V>) -> Result<Vec<V>, DbError> {
    let mut rows = Vec::new();
    each(ns, table, |_, value| rows.push(value))?;
    Ok(rows)
}

fn each<V: Message + Default>(
    ns: &Namespace<'_>,
    table: &Table<V>,
    mut visit: impl FnMut(&[u8], V),
) -> Result<(), DbError> {
    let mut broken = None;
    ns.scan_prefix(table.slot, b"/", None, &mut |row, value| {
        match table.decode(row, Bytes::copy_from_slice(value)) {
            Ok(value) => visit(row, value),
            Err(error) => {
                broken = Some(error);
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    })?;
    broken.map_or(Ok(()), Err)
}
