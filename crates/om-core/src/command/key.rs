//! Keys. What creates and commits files is shared with [`super::file`].

pub mod allocate_block;
pub mod commit;
pub mod create;
pub mod delete;
pub mod delete_batch;
pub mod delete_open;
pub mod info;
pub mod list;
pub mod list_open;
pub mod lookup;
pub(crate) mod open;
pub mod purge;
pub mod recover_lease;
pub mod rename;
pub mod rename_batch;
pub mod set_times;
pub(crate) mod stored;
pub mod tags;

use om_proto::{KeyArgs, KeyInfo, Status};

use crate::command::Caller;
use crate::error::{Failure, OmError};
use crate::key;
use crate::layout::Bucket;
use crate::namespace::Namespace;

/// Stamps what every write of a key carries: the real bucket, the time, the owner's ACLs.
pub(crate) fn stamp(args: &mut KeyArgs, bucket: &Bucket, caller: &Caller<'_>) {
    let (volume, name) = bucket.names();
    volume.clone_into(&mut args.volume_name);
    name.clone_into(&mut args.bucket_name);
    args.modification_time = Some(caller.now);
}

/// Puts the caller and his group in front of the ACLs of a new key.
pub(crate) fn stamp_new(args: &mut KeyArgs, caller: &Caller<'_>) {
    args.acls = caller.acls().chain(std::mem::take(&mut args.acls)).collect();
    args.owner_name.get_or_insert_default();
}

/// Follows links and stamps a request about an existing key.
fn prepare_existing(
    args: &mut KeyArgs,
    ns: &Namespace<'_>,
    caller: &Caller<'_>,
) -> Result<Bucket, Failure> {
    prepare_named(args, ns, caller, |bucket, name| Ok(bucket.key_name(name)))
}

/// [`prepare_existing`] for requests that refuse names that no key can have
/// (`OMClientRequest.validateAndNormalizeKey`).
fn prepare_existing_checked(
    args: &mut KeyArgs,
    ns: &Namespace<'_>,
    caller: &Caller<'_>,
) -> Result<Bucket, Failure> {
    prepare_named(args, ns, caller, Bucket::new_key_name)
}

fn prepare_named(
    args: &mut KeyArgs,
    ns: &Namespace<'_>,
    caller: &Caller<'_>,
    name: impl FnOnce(&Bucket, &str) -> Result<String, OmError>,
) -> Result<Bucket, Failure> {
    let bucket = ns.resolve(&args.volume_name, &args.bucket_name)?;
    args.key_name = name(&bucket, &args.key_name)?;
    stamp(args, &bucket, caller);
    Ok(bucket)
}

/// If-Match on the ETag of an existing key.
pub(crate) fn check_etag(args: &KeyArgs, existing: Option<&KeyInfo>) -> Result<(), OmError> {
    let Some(expected) = &args.expected_e_tag else { return Ok(()) };
    let Some(existing) = existing else {
        return Err(OmError::new(Status::KeyNotFound, "Key not found for If-Match"));
    };
    match key::metadata(existing, "ETag") {
        None => Err(OmError::new(Status::EtagNotAvailable, "Key does not have an ETag")),
        Some(etag) if etag != expected => Err(OmError::new(Status::EtagMismatch, "ETag mismatch")),
        Some(_) => Ok(()),
    }
}

fn not_found(name: &str) -> Failure {
    Failure::new(Status::KeyNotFound, format!("Key:{name} not found"))
}
