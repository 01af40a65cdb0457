//! Requests, as short as cases want to write them.

use hdds_proto::hdds::{EcReplicationConfig, KeyValue};
use om_proto::ozone_obj::{ObjectType, StoreType};
use om_proto::*;

pub fn kind(kind: Type) -> OmRequest {
    OmRequest {
        cmd_type: kind.into(),
        client_id: "client-test".into(),
        trace_id: Some(String::new()),
        version: Some(3),
        ..Default::default()
    }
}

/// `request!(Type, field, Message { .. })`
macro_rules! request {
    ($kind:ident, $field:ident, $body:expr) => {
        OmRequest { $field: Some(Box::new($body)), ..$crate::requests::kind(Type::$kind) }
    };
}
pub(crate) use request;

/// A place for keys.
#[derive(Clone, Copy)]
pub struct At<'a>(pub &'a str, pub &'a str);

impl At<'_> {
    pub fn args(self, key: &str) -> KeyArgs {
        KeyArgs {
            volume_name: self.0.into(),
            bucket_name: self.1.into(),
            key_name: key.into(),
            ..Default::default()
        }
    }
}

pub fn pair(key: &str, value: &str) -> KeyValue {
    KeyValue { key: key.into(), value: Some(value.into()) }
}

pub fn ec(data: i32, parity: i32, chunk: i32) -> EcReplicationConfig {
    EcReplicationConfig { data, parity, codec: "rs".into(), ec_chunk_size: chunk }
}

pub fn volume(name: &str) -> VolumeInfo {
    VolumeInfo {
        admin_name: "root".into(),
        owner_name: "root".into(),
        volume: name.into(),
        quota_in_bytes: Some(u64::MAX),
        quota_in_namespace: Some(-1),
        ..Default::default()
    }
}

pub fn create_volume(volume_info: VolumeInfo) -> OmRequest {
    request!(CreateVolume, create_volume_request, CreateVolumeRequest { volume_info })
}

pub fn info_volume(name: &str) -> OmRequest {
    let volume_name = name.into();
    request!(InfoVolume, info_volume_request, InfoVolumeRequest { volume_name })
}

pub fn delete_volume(name: &str) -> OmRequest {
    let volume_name = name.into();
    request!(DeleteVolume, delete_volume_request, DeleteVolumeRequest { volume_name })
}

pub fn bucket(at: At<'_>, layout: Option<BucketLayoutProto>) -> BucketInfo {
    BucketInfo {
        volume_name: at.0.into(),
        bucket_name: at.1.into(),
        storage_type: 1,
        quota_in_bytes: Some(-1),
        quota_in_namespace: Some(-1),
        bucket_layout: layout.map(Into::into),
        owner: Some("root".into()),
        ..Default::default()
    }
}

pub fn link(at: At<'_>, to: At<'_>) -> BucketInfo {
    BucketInfo {
        source_volume: Some(to.0.into()),
        source_bucket: Some(to.1.into()),
        ..bucket(at, None)
    }
}

pub fn create_bucket(bucket_info: BucketInfo) -> OmRequest {
    request!(CreateBucket, create_bucket_request, CreateBucketRequest { bucket_info })
}

pub fn info_bucket(at: At<'_>) -> OmRequest {
    let (volume_name, bucket_name) = (at.0.into(), at.1.into());
    request!(InfoBucket, info_bucket_request, InfoBucketRequest { volume_name, bucket_name })
}

pub fn delete_bucket(at: At<'_>) -> OmRequest {
    let (volume_name, bucket_name) = (at.0.into(), at.1.into());
    request!(DeleteBucket, delete_bucket_request, DeleteBucketRequest { volume_name, bucket_name })
}

pub fn list_buckets(volume: &str, start: &str, prefix: &str, count: i32) -> OmRequest {
    request!(
        ListBuckets,
        list_buckets_request,
        ListBucketsRequest {
            volume_name: volume.into(),
            start_key: Some(start.into()),
            prefix: Some(prefix.into()),
            count: Some(count),
            has_snapshot: None,
        }
    )
}

pub fn list_volumes(
    scope: list_volume_request::Scope,
    user: &str,
    prefix: &str,
    previous: &str,
    max: u32,
) -> OmRequest {
    request!(
        ListVolume,
        list_volume_request,
        ListVolumeRequest {
            scope: scope.into(),
            user_name: Some(user.into()),
            prefix: Some(prefix.into()),
            prev_key: Some(previous.into()),
            max_keys: Some(max),
        }
    )
}

pub fn create_key(key_args: KeyArgs) -> OmRequest {
    request!(CreateKey, create_key_request, CreateKeyRequest { key_args, client_id: None })
}

pub fn create_file(key_args: KeyArgs, is_recursive: bool, is_overwrite: bool) -> OmRequest {
    let client_id = None;
    request!(
        CreateFile,
        create_file_request,
        CreateFileRequest { key_args, is_recursive, is_overwrite, client_id }
    )
}

pub fn create_directory(key_args: KeyArgs) -> OmRequest {
    request!(CreateDirectory, create_directory_request, CreateDirectoryRequest { key_args })
}

pub fn commit(key_args: KeyArgs, client_id: u64) -> OmRequest {
    request!(
        CommitKey,
        commit_key_request,
        CommitKeyRequest { key_args, client_id, hsync: None, recovery: None }
    )
}

pub fn hsync(key_args: KeyArgs, client_id: u64, hsync: bool, recovery: bool) -> OmRequest {
    let (hsync, recovery) = (Some(hsync), Some(recovery));
    request!(
        CommitKey,
        commit_key_request,
        CommitKeyRequest { key_args, client_id, hsync, recovery }
    )
}

pub fn recover_lease(at: At<'_>, key: &str, force: bool) -> OmRequest {
    request!(
        RecoverLease,
        recover_lease_request,
        RecoverLeaseRequest {
            volume_name: Some(at.0.into()),
            bucket_name: Some(at.1.into()),
            key_name: Some(key.into()),
            force: Some(force),
        }
    )
}

/// With the replication of the open key, as clients send it back.
pub fn allocate(key_args: KeyArgs, client_id: u64) -> OmRequest {
    let key_args = KeyArgs { r#type: Some(1), factor: Some(1), ..key_args };
    request!(
        AllocateBlock,
        allocate_block_request,
        AllocateBlockRequest { key_args, client_id, ..Default::default() }
    )
}

pub fn lookup(key_args: KeyArgs) -> OmRequest {
    request!(LookupKey, lookup_key_request, LookupKeyRequest { key_args })
}

pub fn key_info(key_args: KeyArgs) -> OmRequest {
    request!(
        GetKeyInfo,
        get_key_info_request,
        GetKeyInfoRequest { key_args, assume_s3_context: None }
    )
}

pub fn status(key_args: KeyArgs) -> OmRequest {
    request!(GetFileStatus, get_file_status_request, GetFileStatusRequest { key_args })
}

pub fn lookup_file(key_args: KeyArgs) -> OmRequest {
    request!(LookupFile, lookup_file_request, LookupFileRequest { key_args })
}

pub fn rename(key_args: KeyArgs, to: &str) -> OmRequest {
    let to_key_name = to.into();
    request!(RenameKey, rename_key_request, RenameKeyRequest { key_args, to_key_name })
}

pub fn rename_keys(at: At<'_>, pairs: &[(&str, &str)]) -> OmRequest {
    let rename_keys_map = pairs
        .iter()
        .map(|(from, to)| RenameKeysMap {
            from_key_name: (*from).into(),
            to_key_name: (*to).into(),
        })
        .collect();
    let rename_keys_args =
        RenameKeysArgs { volume_name: at.0.into(), bucket_name: at.1.into(), rename_keys_map };
    request!(
        RenameKeys,
        rename_keys_request,
        RenameKeysRequest { rename_keys_args, ..Default::default() }
    )
}

pub fn delete_key(key_args: KeyArgs) -> OmRequest {
    request!(DeleteKey, delete_key_request, DeleteKeyRequest { key_args })
}

pub fn delete_keys(at: At<'_>, keys: &[&str]) -> OmRequest {
    let delete_keys = Some(DeleteKeyArgs {
        volume_name: at.0.into(),
        bucket_name: at.1.into(),
        keys: keys.iter().map(|key| (*key).into()).collect(),
    });
    request!(
        DeleteKeys,
        delete_keys_request,
        DeleteKeysRequest { delete_keys, ..Default::default() }
    )
}

pub fn list_keys(light: bool, at: At<'_>, start: &str, prefix: &str, count: i32) -> OmRequest {
    let body = ListKeysRequest {
        volume_name: at.0.into(),
        bucket_name: at.1.into(),
        start_key: Some(start.into()),
        prefix: Some(prefix.into()),
        count: Some(count),
    };
    if light {
        request!(ListKeysLight, list_keys_request, body)
    } else {
        request!(ListKeys, list_keys_request, body)
    }
}

pub fn list_status(
    light: bool,
    key_args: KeyArgs,
    recursive: bool,
    start: &str,
    count: u64,
    partial: bool,
) -> OmRequest {
    let body = ListStatusRequest {
        key_args,
        recursive,
        start_key: start.into(),
        num_entries: count,
        allow_partial_prefix: Some(partial),
    };
    if light {
        request!(ListStatusLight, list_status_request, body)
    } else {
        request!(ListStatus, list_status_request, body)
    }
}

pub fn set_times(key_args: KeyArgs, mtime: i64, atime: i64) -> OmRequest {
    request!(
        SetTimes,
        set_times_request,
        SetTimesRequest { key_args, mtime: mtime.cast_unsigned(), atime: atime.cast_unsigned() }
    )
}

pub fn object(res_type: ObjectType, path: &str) -> OzoneObj {
    OzoneObj { res_type: res_type.into(), store_type: StoreType::Ozone.into(), path: path.into() }
}

/// `u:alice:80` is user, name and rights in hex; `d` in front makes it a default one.
pub fn acl(text: &str) -> OzoneAclInfo {
    use ozone_acl_info::{OzoneAclScope, OzoneAclType};
    let (scope, text) = match text.strip_prefix("d:") {
        Some(text) => (OzoneAclScope::Default, text),
        None => (OzoneAclScope::Access, text),
    };
    let mut parts = text.split(':');
    let kind = match parts.next() {
        Some("u") => OzoneAclType::User,
        Some("g") => OzoneAclType::Group,
        Some("w") => OzoneAclType::World,
        _ => OzoneAclType::Anonymous,
    };
    let name = parts.next().unwrap_or_default().to_owned();
    let hex = parts.next().unwrap_or_default();
    let rights: Vec<u8> = (0..hex.len() / 2)
        .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap_or_default())
        .collect();
    OzoneAclInfo { r#type: kind.into(), name, rights: rights.into(), acl_scope: scope.into() }
}

pub fn add_acl(obj: OzoneObj, text: &str) -> OmRequest {
    let acl = acl(text);
    request!(AddAcl, add_acl_request, AddAclRequest { obj, acl, modification_time: None })
}

pub fn remove_acl(obj: OzoneObj, text: &str) -> OmRequest {
    let acl = acl(text);
    request!(RemoveAcl, remove_acl_request, RemoveAclRequest { obj, acl, modification_time: None })
}

pub fn set_acl(obj: OzoneObj, texts: &[&str]) -> OmRequest {
    let acl = texts.iter().map(|text| acl(text)).collect();
    request!(SetAcl, set_acl_request, SetAclRequest { obj, acl, modification_time: None })
}

pub fn get_acl(obj: OzoneObj) -> OmRequest {
    request!(GetAcl, get_acl_request, GetAclRequest { obj })
}

pub fn initiate(key_args: KeyArgs) -> OmRequest {
    request!(
        InitiateMultiPartUpload,
        initiate_multi_part_upload_request,
        MultipartInfoInitiateRequest { key_args }
    )
}

pub fn commit_part(key_args: KeyArgs, client_id: u64) -> OmRequest {
    request!(
        CommitMultiPartUpload,
        commit_multi_part_upload_request,
        MultipartCommitUploadPartRequest { key_args, client_id }
    )
}

pub fn complete(key_args: KeyArgs, parts: &[(u32, &str, Option<&str>)]) -> OmRequest {
    let parts_list = parts
        .iter()
        .map(|(part_number, name, etag)| Part {
            part_number: *part_number,
            part_name: (*name).into(),
            e_tag: etag.map(Into::into),
        })
        .collect();
    request!(
        CompleteMultiPartUpload,
        complete_multi_part_upload_request,
        MultipartUploadCompleteRequest { key_args, parts_list }
    )
}

pub fn abort(key_args: KeyArgs) -> OmRequest {
    request!(
        AbortMultiPartUpload,
        abort_multi_part_upload_request,
        MultipartUploadAbortRequest { key_args }
    )
}

pub fn list_parts(at: At<'_>, key: &str, id: &str, marker: u32, max: u32) -> OmRequest {
    request!(
        ListMultiPartUploadParts,
        list_multipart_upload_parts_request,
        MultipartUploadListPartsRequest {
            volume: at.0.into(),
            bucket: at.1.into(),
            key: key.into(),
            upload_id: id.into(),
            part_numbermarker: Some(marker),
            max_parts: Some(max),
        }
    )
}

pub fn list_uploads(at: At<'_>, prefix: &str, marker: (&str, &str), max: i32) -> OmRequest {
    request!(
        ListMultipartUploads,
        list_multipart_uploads_request,
        ListMultipartUploadsRequest {
            volume: at.0.into(),
            bucket: at.1.into(),
            prefix: prefix.into(),
            key_marker: Some(marker.0.into()),
            upload_id_marker: Some(marker.1.into()),
            max_uploads: Some(max),
            with_pagination: Some(max > 0),
        }
    )
}
