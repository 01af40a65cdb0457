//! `SetBucketProperty`: owner, versioning flag, storage type, quotas, default replication,
//! encryption key.

use om_proto::{
    BucketArgs, BucketInfo, OmResponse, SetBucketPropertyRequest, SetBucketPropertyResponse, Status,
};

use crate::command::{BlocksWanted, Caller, Write};
use crate::encryption;
use crate::error::{Failure, OmError};
use crate::namespace::{At, Namespace};
use crate::quota::UNLIMITED;
use crate::replication;
use crate::tables;

impl Write for SetBucketPropertyRequest {
    fn prepare(
        &mut self,
        ns: &Namespace<'_>,
        caller: &Caller<'_>,
    ) -> Result<Option<BlocksWanted>, Failure> {
        self.modification_time = Some(caller.now);
        let args = self.bucket_args.as_ref();
        encryption::check_provider(args.and_then(|args| args.bek_info.as_ref()), ns.rules)?;
        if let Some(default) = args.and_then(|args| args.default_replication_config.as_ref())
            && let Some(replication) = replication::of_default(default)?
        {
            replication::check_allowed(replication)?;
        }
        Ok(None)
    }

    fn apply(
        self,
        at: At,
        _: &str,
        ns: &mut Namespace<'_>,
        reply: &mut OmResponse,
    ) -> Result<(), Failure> {
        let Some(args) = self.bucket_args else {
            return Err(Failure::new(Status::InvalidRequest, "No bucket arguments were sent"));
        };
        let row = tables::bucket_key(&args.volume_name, &args.bucket_name);
        let Some(mut info) = ns.get(&tables::BUCKET, &row)? else {
            return Err(Failure::new(Status::BucketNotFound, "Bucket doesn't exist"));
        };
        let mut response = None;
        if let Some(owner) = args.owner_name {
            let changed = info.owner.as_deref() != Some(owner.as_str());
            response = Some(changed);
            if changed {
                info.owner = Some(owner);
            } else {
                reply.success = Some(false);
                reply.message = Some(format!(
                    "Bucket '{}/{}' owner is already '{owner}'.",
                    args.volume_name, args.bucket_name
                ));
            }
        } else {
            if info.source_bucket.is_some() {
                let message = "Cannot set property on link";
                return Err(Failure::new(Status::NotSupportedOperation, message));
            }
            set(ns, &mut info, args)?;
        }
        if response != Some(false) {
            info.modification_time = self.modification_time;
            info.update_id = Some(at.index);
            ns.put_bucket(&info);
        }
        reply.set_bucket_property_response = Some(Box::new(SetBucketPropertyResponse { response }));
        Ok(())
    }
}

fn set(ns: &Namespace<'_>, info: &mut BucketInfo, args: BucketArgs) -> Result<(), Failure> {
    let volume = ns.volume(&args.volume_name)?;
    if let Some(quota) = args.quota_in_bytes.map(u64::cast_signed) {
        let of_volume = volume.quota_in_bytes.map_or(UNLIMITED, u64::cast_signed);
        if quota == UNLIMITED && of_volume != UNLIMITED {
            return Err(quota_error(
                "Can not clear bucket spaceQuota because volume spaceQuota is not cleared.",
            )
            .into());
        }
        if quota > 0 && quota < used(info.used_bytes, info.snapshot_used_bytes) {
            return Err(quota_error(
                "Cannot update bucket quota. Requested spaceQuota less than used spaceQuota.",
            )
            .into());
        }
        super::check_space_quota(ns, &volume, &info.bucket_name, quota)?;
        if quota == UNLIMITED || quota > 0 {
            info.quota_in_bytes = Some(quota);
        }
    }
    if let Some(quota) = args.quota_in_namespace.map(u64::cast_signed) {
        if quota > 0 && quota < used(info.used_namespace, info.snapshot_used_namespace) {
            return Err(quota_error(
                "Cannot update bucket quota. NamespaceQuota requested is less than used \
                 namespaceQuota.",
            )
            .into());
        }
        if quota == UNLIMITED || quota > 0 {
            info.quota_in_namespace = Some(quota);
        }
    }
    if let Some(enabled) = args.is_version_enabled {
        info.is_version_enabled = enabled;
    }
    if let Some(storage) = args.storage_type {
        info.storage_type = storage;
    }
    if let Some(replication) = args.default_replication_config {
        info.default_replication_config = Some(replication);
    }
    if let Some(encryption) = args.bek_info {
        info.beinfo = Some(encryption);
    }
    for pair in args.metadata {
        info.metadata.retain(|old| old.key != pair.key);
        info.metadata.push(pair);
    }
    Ok(())
}

fn used(now: Option<u64>, pending: Option<u64>) -> i64 {
    (now.unwrap_or(0) + pending.unwrap_or(0)).cast_signed()
}

fn quota_error(message: &str) -> OmError {
    OmError::new(Status::QuotaError, message)
}
