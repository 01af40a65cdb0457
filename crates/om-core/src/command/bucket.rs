//! Buckets.

pub mod create;
pub mod delete;
pub mod info;
pub mod list;
pub mod set_property;

use std::sync::Arc;

use om_proto::{BucketInfo, Status, VolumeInfo};

use crate::error::{Failure, OmError};
use crate::namespace::Namespace;
use crate::quota::UNLIMITED;

/// What a link shows of the bucket behind it; a dangling link shows itself
/// (`OmBucketInfo.withOperationalPropertiesFrom`).
fn enriched(ns: &Namespace<'_>, link: BucketInfo) -> Result<BucketInfo, Failure> {
    let (Some(volume), Some(bucket)) = (&link.source_volume, &link.source_bucket) else {
        return Ok(link);
    };
    let real = match ns.resolve(volume, bucket) {
        Ok(real) => Arc::unwrap_or_clone(real.info),
        Err(Failure::Refused(error))
            if matches!(error.status, Status::BucketNotFound | Status::VolumeNotFound) =>
        {
            return Ok(link);
        }
        Err(failure) => return Err(failure),
    };
    Ok(BucketInfo {
        default_replication_config: real.default_replication_config,
        is_version_enabled: real.is_version_enabled,
        storage_type: real.storage_type,
        quota_in_bytes: real.quota_in_bytes,
        quota_in_namespace: real.quota_in_namespace,
        used_bytes: real.used_bytes,
        used_namespace: real.used_namespace,
        snapshot_used_bytes: real.snapshot_used_bytes,
        snapshot_used_namespace: real.snapshot_used_namespace,
        metadata: real.metadata,
        bucket_layout: real.bucket_layout,
        ..link
    })
}

/// Refuses a space quota of `bytes` for a bucket that does not fit its volume.
fn check_space_quota(
    ns: &Namespace<'_>,
    volume: &VolumeInfo,
    bucket: &str,
    bytes: i64,
) -> Result<(), Failure> {
    let of_volume = volume.quota_in_bytes.map_or(UNLIMITED, u64::cast_signed);
    if bytes <= 0 || of_volume <= UNLIMITED {
        return Ok(());
    }
    let others = super::volume::set_property::buckets(ns, &volume.volume)?;
    let others = others.iter().filter(|other| other.bucket_name != bucket);
    let total = bytes
        + others
            .map(|other| other.quota_in_bytes.unwrap_or(-2))
            .filter(|quota| *quota > UNLIMITED)
            .sum::<i64>();
    if of_volume < total {
        return Err(OmError::new(
            Status::QuotaExceeded,
            format!(
                "Total buckets quota in this volume should not be greater than volume quota : the \
                 total space quota is set to:{total}. But the volume space quota is:{of_volume}"
            ),
        )
        .into());
    }
    Ok(())
}
