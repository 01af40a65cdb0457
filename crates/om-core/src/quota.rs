//! Space and names of a bucket: limits and accounts (`om-protocol.md` §10).

use om_proto::{BucketInfo, Status};

use crate::error::OmError;

/// No limit.
pub const UNLIMITED: i64 = -1;

/// Refuses `bytes` more.
///
/// # Errors
/// QUOTA_EXCEEDED.
pub fn check_bytes(bucket: &BucketInfo, bytes: i64) -> Result<(), OmError> {
    let quota = bucket.quota_in_bytes.unwrap_or(-2);
    let used = signed(bucket.used_bytes) + signed(bucket.snapshot_used_bytes);
    if quota <= UNLIMITED || quota - used >= bytes {
        return Ok(());
    }
    Err(OmError::new(
        Status::QuotaExceeded,
        format!(
            "The DiskSpace quota of bucket:{} exceeded quotaInBytes: {quota} Bytes but diskspace \
             consumed: {} Bytes.",
            bucket.bucket_name,
            used + bytes
        ),
    ))
}

/// Refuses `names` more keys and folders.
///
/// # Errors
/// QUOTA_EXCEEDED.
pub fn check_names(bucket: &BucketInfo, names: usize) -> Result<(), OmError> {
    let quota = bucket.quota_in_namespace.unwrap_or(-2);
    let used = signed(bucket.used_namespace) + signed(bucket.snapshot_used_namespace);
    let wanted = used + names as i64;
    if quota <= UNLIMITED || quota >= wanted {
        return Ok(());
    }
    Err(OmError::new(
        Status::QuotaExceeded,
        format!(
            "The namespace quota of Bucket:{} exceeded: quotaInNamespace: {quota} but namespace \
             consumed: {wanted}.",
            bucket.bucket_name
        ),
    ))
}

/// Adds to what is used; `bytes` may be negative.
pub fn charge(bucket: &mut BucketInfo, bytes: i64, names: usize) {
    bucket.used_bytes = Some(add(bucket.used_bytes, bytes));
    bucket.used_namespace = Some(add(bucket.used_namespace, names as i64));
}

/// Takes off what is used. What still occupies blocks stays on the account of pending deletion until
/// it is purged.
pub fn release(bucket: &mut BucketInfo, bytes: u64, names: usize, pending: bool) {
    bucket.used_bytes = Some(add(bucket.used_bytes, -bytes.cast_signed()));
    bucket.used_namespace = Some(add(bucket.used_namespace, -(names as i64)));
    if pending {
        bucket.snapshot_used_bytes = Some(add(bucket.snapshot_used_bytes, bytes.cast_signed()));
        bucket.snapshot_used_namespace = Some(add(bucket.snapshot_used_namespace, names as i64));
    }
}

/// Pending deletions are done.
pub fn purge(bucket: &mut BucketInfo, bytes: u64, names: u64) {
    bucket.snapshot_used_bytes = Some(add(bucket.snapshot_used_bytes, -bytes.cast_signed()));
    bucket.snapshot_used_namespace =
        Some(add(bucket.snapshot_used_namespace, -names.cast_signed()));
}

fn signed(number: Option<u64>) -> i64 {
    number.unwrap_or(0).cast_signed()
}

fn add(number: Option<u64>, by: i64) -> u64 {
    number.unwrap_or(0).saturating_add_signed(by)
}
