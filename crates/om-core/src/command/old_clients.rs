//! What clients of older versions are spared (`RequestFeatureValidator`): keys that they cannot read,
//! and buckets that they would write to wrongly.
//!
//! A write is refused before it is prepared. The answer to a query keeps its `success`, loses its
//! body and says why.

use om_proto::{BucketLayoutProto, KeyInfo, OmRequest, OmResponse, Status, Type};

use crate::error::{Failure, OmError};
use crate::layout::Layout;
use crate::namespace::Namespace;

/// Version of `OMRequest` from which on clients know buckets other than LEGACY
/// (`ClientVersion.BUCKET_LAYOUT_SUPPORT`), the newest one. Older ones are taken for ignorant of
/// erasure coding, too, as the genuine filters do.
const BUCKET_LAYOUTS_SINCE: u32 = 3;

const EC_LIST: &str = "The list of keys contains keys with Erasure Coded replication set, hence the \
                       client is not able to represent all the keys returned. Please upgrade the \
                       client to get the list of keys.";
const LAYOUT_LIST: &str = "The list of keys is present in a bucket using bucket layout features, \
                           hence the client is not able to represent all the keys returned. Please \
                           upgrade the client to get the list of keys.";

/// Whether the filters concern a client.
pub(crate) fn is_old(request: &OmRequest) -> bool {
    request.version.unwrap_or(0) < BUCKET_LAYOUTS_SINCE
}

/// Refuses a write into a bucket that the client does not understand; its new buckets are LEGACY.
pub(crate) fn check_write(request: &mut OmRequest, ns: &Namespace<'_>) -> Result<(), Failure> {
    if let Some(body) = request.create_bucket_request.as_mut() {
        body.bucket_info.bucket_layout = Some(BucketLayoutProto::Legacy.into());
    }
    let Some((volume, bucket)) = written_bucket(request) else { return Ok(()) };
    let layout = match ns.resolve(volume, bucket) {
        Ok(bucket) => bucket.layout,
        // The request itself says better what is missing.
        Err(Failure::Refused(_)) => return Ok(()),
        Err(failure) => return Err(failure),
    };
    if matches!(layout, Layout::Legacy { .. }) {
        return Ok(());
    }
    let message = "Client is attempting to modify a bucket which uses non-LEGACY bucket layout \
                   features. Please upgrade the client to a compatible version before performing \
                   this operation.";
    Err(OmError::new(Status::NotSupportedOperation, message).into())
}

fn written_bucket(request: &OmRequest) -> Option<(&str, &str)> {
    let r = request;
    let args = match Type::try_from(r.cmd_type).ok()? {
        Type::CreateKey => &r.create_key_request.as_ref()?.key_args,
        Type::CreateFile => &r.create_file_request.as_ref()?.key_args,
        Type::CreateDirectory => &r.create_directory_request.as_ref()?.key_args,
        Type::AllocateBlock => &r.allocate_block_request.as_ref()?.key_args,
        Type::CommitKey => &r.commit_key_request.as_ref()?.key_args,
        Type::RenameKey => &r.rename_key_request.as_ref()?.key_args,
        Type::DeleteKey => &r.delete_key_request.as_ref()?.key_args,
        Type::InitiateMultiPartUpload => &r.initiate_multi_part_upload_request.as_ref()?.key_args,
        Type::CommitMultiPartUpload => &r.commit_multi_part_upload_request.as_ref()?.key_args,
        Type::CompleteMultiPartUpload => &r.complete_multi_part_upload_request.as_ref()?.key_args,
        Type::AbortMultiPartUpload => &r.abort_multi_part_upload_request.as_ref()?.key_args,
        Type::DeleteKeys => {
            let args = r.delete_keys_request.as_ref()?.delete_keys.as_ref()?;
            return Some((&args.volume_name, &args.bucket_name));
        }
        Type::DeleteBucket => {
            let body = r.delete_bucket_request.as_ref()?;
            return Some((&body.volume_name, &body.bucket_name));
        }
        _ => return None,
    };
    Some((&args.volume_name, &args.bucket_name))
}

/// Takes an answer back that the client would misread.
pub(crate) fn filter(reply: &mut OmResponse, ns: &Namespace<'_>) -> Result<(), Failure> {
    let is_ec = |key: &KeyInfo| key.ec_replication_config.is_some();
    let place = |key: &KeyInfo| format!("{}/{}/{}", key.volume_name, key.bucket_name, key.key_name);
    let foreign = |key: &KeyInfo| -> Result<bool, Failure> {
        let bucket = ns.resolve(&key.volume_name, &key.bucket_name)?;
        Ok(!matches!(bucket.layout, Layout::Legacy { .. }))
    };
    let ec = "Key is a key with Erasure Coded replication, which the client can not understand.";
    let mut why = None;
    if let Some(key) = reply.lookup_key_response.as_ref().and_then(|r| r.key_info.as_ref()) {
        if is_ec(key) {
            let rest = "Please upgrade the client before trying to read the key";
            why = Some(format!("{ec}\n{rest}: {}.", place(key)));
        } else if foreign(key)? {
            why = Some(format!(
                "Key is present inside a bucket with bucket layout features, which the client can \
                 not understand. Please upgrade the client to a compatible version before trying \
                 to read the key info for {}.",
                place(key)
            ));
        }
    }
    let status = reply.get_file_status_response.as_ref().and_then(|r| r.status.key_info.as_ref());
    let file = reply.lookup_file_response.as_ref().and_then(|r| r.key_info.as_ref());
    let rest = "Please upgrade the client before trying to read the key info for";
    for (key, is_status) in
        status.map(|key| (key, true)).into_iter().chain(file.map(|key| (key, false)))
    {
        if is_ec(key) {
            why = Some(format!("{ec} {rest} {}.", place(key)));
        } else if foreign(key)? {
            why = Some(if is_status {
                format!(
                    "Key is present in a bucket using bucket layout features which the client can \
                     not understand. {rest} {}.",
                    place(key)
                )
            } else {
                format!(
                    "File is present inside a bucket with bucket layout features, which the client \
                     can not understand. Please upgrade the client to a compatible version before \
                     trying to read the key info for {}.",
                    place(key)
                )
            });
        }
    }
    let mut listed = reply
        .list_status_response
        .iter()
        .flat_map(|r| r.statuses.iter())
        .filter_map(|status| status.key_info.as_ref())
        .peekable();
    if let Some(first) = listed.peek() {
        let is_foreign = foreign(first)?;
        if listed.any(is_ec) {
            why = Some(EC_LIST.to_owned());
        } else if is_foreign {
            why = Some(LAYOUT_LIST.to_owned());
        }
    }
    if let Some(why) = why {
        reply.lookup_key_response = None;
        reply.get_file_status_response = None;
        reply.lookup_file_response = None;
        reply.list_status_response = None;
        reply.status = Status::NotSupportedOperation.into();
        reply.message = Some(why);
    }
    Ok(())
}
