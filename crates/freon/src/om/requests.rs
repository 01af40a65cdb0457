//! Requests of the Ozone Manager that the client library has no method for, or does not send alone.

use om_proto::{
    GetKeyInfoRequest, InfoBucketRequest, InfoVolumeRequest, KeyArgs, ListKeysRequest,
    ListStatusRequest, LookupFileRequest, LookupKeyRequest, OmRequest, Type,
};

use crate::options::BucketOptions;

fn args(target: &BucketOptions, key: String) -> KeyArgs {
    KeyArgs {
        volume_name: target.volume.clone(),
        bucket_name: target.bucket.clone(),
        key_name: key,
        ..Default::default()
    }
}

fn located(target: &BucketOptions, key: String, head: bool) -> KeyArgs {
    KeyArgs {
        sort_datanodes: Some(false),
        latest_version_location: Some(false),
        head_op: Some(head),
        ..args(target, key)
    }
}

fn request(kind: Type) -> OmRequest {
    OmRequest { cmd_type: kind.into(), ..Default::default() }
}

/// `GetKeyInfo`, with the places of the data unless `head`.
pub(crate) fn key_info(target: &BucketOptions, key: String, head: bool) -> OmRequest {
    let get =
        GetKeyInfoRequest { key_args: located(target, key, head), assume_s3_context: Some(false) };
    OmRequest { get_key_info_request: Some(Box::new(get)), ..request(Type::GetKeyInfo) }
}

/// `LookupKey`, the older of its kind.
pub(crate) fn lookup_key(target: &BucketOptions, key: String) -> OmRequest {
    let lookup = LookupKeyRequest { key_args: located(target, key, false) };
    OmRequest { lookup_key_request: Some(Box::new(lookup)), ..request(Type::LookupKey) }
}

/// `LookupFile`.
pub(crate) fn lookup_file(target: &BucketOptions, path: String) -> OmRequest {
    let lookup = LookupFileRequest { key_args: located(target, path, false) };
    OmRequest { lookup_file_request: Some(Box::new(lookup)), ..request(Type::LookupFile) }
}

/// `ListKeys` or `ListKeysLight`: a page after `start`.
pub(crate) fn list_keys(
    target: &BucketOptions,
    start: String,
    count: u32,
    light: bool,
) -> OmRequest {
    let list = ListKeysRequest {
        volume_name: target.volume.clone(),
        bucket_name: target.bucket.clone(),
        start_key: Some(start),
        prefix: Some(String::new()),
        count: Some(i32::try_from(count).unwrap_or(i32::MAX)),
    };
    let kind = if light { Type::ListKeysLight } else { Type::ListKeys };
    OmRequest { list_keys_request: Some(Box::new(list)), ..request(kind) }
}

/// `ListStatus` or `ListStatusLight` of the bucket's root: a page from `start` on.
pub(crate) fn list_status(
    target: &BucketOptions,
    start: String,
    count: u32,
    light: bool,
) -> OmRequest {
    let list = ListStatusRequest {
        key_args: args(target, String::new()),
        recursive: false,
        start_key: start,
        num_entries: count.into(),
        allow_partial_prefix: Some(false),
    };
    let kind = if light { Type::ListStatusLight } else { Type::ListStatus };
    OmRequest { list_status_request: Some(Box::new(list)), ..request(kind) }
}

/// `InfoBucket`.
pub(crate) fn info_bucket(target: &BucketOptions) -> OmRequest {
    let info = InfoBucketRequest {
        volume_name: target.volume.clone(),
        bucket_name: target.bucket.clone(),
    };
    OmRequest { info_bucket_request: Some(Box::new(info)), ..request(Type::InfoBucket) }
}

/// `InfoVolume`.
pub(crate) fn info_volume(target: &BucketOptions) -> OmRequest {
    let info = InfoVolumeRequest { volume_name: target.volume.clone() };
    OmRequest { info_volume_request: Some(Box::new(info)), ..request(Type::InfoVolume) }
}
