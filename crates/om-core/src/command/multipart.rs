//! Multipart uploads: parts that become one key when all are there.
//!
//! ```text
//!  initiate   openKeyTable …/<upload id> (what the key will be)   multipartInfoTable (its parts)
//!  part       CreateKey with the upload's id, then commit: open key ─► a part in multipartInfoTable
//!  complete   named parts ─► key; unnamed parts and the replaced key ─► deletedTable
//!  abort      all parts ─► deletedTable
//! ```
//! A bucket pays for parts from their commit on. `multipartInfoTable` is keyed by names in all
//! layouts; in a tree the upload remembers the folder that its open key lies in.

pub mod abort;
pub mod abort_expired;
pub mod commit_part;
pub mod complete;
pub mod initiate;
pub mod list_parts;
pub mod list_uploads;

use om_proto::{KeyArgs, KeyInfo, MultipartKeyInfo, Status};

use crate::command::Caller;
use crate::error::{Failure, OmError};
use crate::key;
use crate::layout::Bucket;
use crate::names;
use crate::namespace::{At, Namespace};
use crate::quota;
use crate::tables;

/// Metadata that holds the digest of a part, or of a completed key.
pub(crate) const ETAG: &str = "ETag";

/// Follows links, normalises the name and stamps the time.
fn prepare(args: &mut KeyArgs, ns: &Namespace<'_>, caller: &Caller<'_>) -> Result<Bucket, Failure> {
    let bucket = ns.resolve(&args.volume_name, &args.bucket_name)?;
    args.key_name = bucket.new_key_name(&args.key_name)?;
    super::key::stamp(args, &bucket, caller);
    Ok(bucket)
}

/// The row of an upload, and the front of the rows of what it gives up.
fn row_of(bucket: &Bucket, name: &str, upload: &str) -> Vec<u8> {
    tables::with_text(&bucket.flat_row(name), upload)
}

/// The row of an upload's open key.
fn open_row(bucket: &Bucket, name: &str, upload: &MultipartKeyInfo) -> Vec<u8> {
    if bucket.layout.is_tree() {
        let parent = upload.parent_id.unwrap_or(0);
        let row = tables::path_key(bucket.volume_id, bucket.id(), parent, names::leaf(name));
        tables::with_text(&row, &upload.upload_id)
    } else {
        row_of(bucket, name, &upload.upload_id)
    }
}

/// The open key of an upload, which says what its parts are stored like.
///
/// # Errors
/// NO_SUCH_MULTIPART_UPLOAD_ERROR.
pub(crate) fn open_key(
    ns: &Namespace<'_>,
    bucket: &Bucket,
    name: &str,
    upload_id: &str,
) -> Result<KeyInfo, Failure> {
    let upload = ns.get(&tables::MULTIPART_INFO, &row_of(bucket, name, upload_id))?;
    let open = match upload {
        Some(upload) => ns.get(bucket.layout.open_keys(), &open_row(bucket, name, &upload))?,
        None => None,
    };
    open.ok_or_else(|| no_such_upload(upload_id).into())
}

fn no_such_upload(upload_id: &str) -> OmError {
    OmError::new(
        Status::NoSuchMultipartUploadError,
        format!("No such Multipart upload is with specified uploadId {upload_id}"),
    )
}

/// The ETag of a part.
fn etag(part: &KeyInfo) -> Option<&str> {
    key::metadata(part, ETAG)
}

/// Hands blocks of an upload to the key deleting service. They were taken off the bucket's account
/// already, hence nothing is given back when they are purged.
fn give_up(
    ns: &mut Namespace<'_>,
    bucket: &Bucket,
    name: &str,
    upload_id: &str,
    part: KeyInfo,
    at: At,
) -> Result<(), Failure> {
    let id = part.object_id.unwrap_or(0);
    let part = KeyInfo { object_id: Some(key::RECLAIM_BLOCKS), ..part };
    key::retire(ns, bucket, &format!("{name}/{upload_id}"), id, vec![part], at)?;
    Ok(())
}

/// Removes an upload; its parts go to the deleted table. The caller writes the bucket back.
fn abort_upload(
    ns: &mut Namespace<'_>,
    bucket: &mut Bucket,
    name: &str,
    upload: MultipartKeyInfo,
    at: At,
) -> Result<(), Failure> {
    ns.remove(bucket.layout.open_keys(), open_row(bucket, name, &upload));
    ns.remove(&tables::MULTIPART_INFO, row_of(bucket, name, &upload.upload_id));
    for part in upload.part_key_info_list {
        let size = key::replicated_size(&part.part_key_info).cast_signed();
        quota::charge(bucket.info_mut(), -size, 0);
        give_up(ns, bucket, name, &upload.upload_id, part.part_key_info, at)?;
    }
    Ok(())
}
