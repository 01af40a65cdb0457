//! What each request needs: the one table.

use om_proto::ozone_obj::ObjectType;
use om_proto::{KeyArgs, OmRequest, OzoneObj, Type};

use super::Right;

/// What a request touches.
#[derive(Clone, Debug)]
pub(super) struct Object<'a> {
    pub(super) kind: ObjectType,
    pub(super) volume: &'a str,
    pub(super) bucket: Option<&'a str>,
    pub(super) key: Option<String>,
    pub(super) follows: Follow,
}

/// Whether the bucket may be a link, and what counts is what it leads to.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Follow {
    /// The link itself is meant.
    No,
    /// Without asking who reads it.
    Silently,
    /// By those who may read every link on the way.
    Reading,
}

/// One thing that a request needs.
#[derive(Clone, Debug)]
pub(super) struct Need<'a> {
    pub(super) object: Object<'a>,
    pub(super) right: Right,
    /// In a tree, all below the key must grant it, too.
    pub(super) whole: bool,
}

impl<'a> Need<'a> {
    pub(super) fn new(object: Object<'a>, right: Right) -> Self {
        Self { object, right, whole: false }
    }
}

pub(super) fn on_volume(volume: &str, right: Right) -> Need<'_> {
    let kind = ObjectType::Volume;
    Need::new(Object { kind, volume, bucket: None, key: None, follows: Follow::No }, right)
}

/// A bucket itself, also one that is a link.
pub(super) fn on_bucket<'a>(volume: &'a str, bucket: &'a str, right: Right) -> Need<'a> {
    let kind = ObjectType::Bucket;
    Need::new(Object { kind, volume, bucket: Some(bucket), key: None, follows: Follow::No }, right)
}

/// The bucket that a name leads to, and what is asked for in it.
fn in_bucket<'a>(volume: &'a str, bucket: &'a str, key: Option<&str>, right: Right) -> Need<'a> {
    let (kind, key) = (ObjectType::Bucket, key.map(str::to_owned));
    Need::new(Object { kind, volume, bucket: Some(bucket), key, follows: Follow::Reading }, right)
}

pub(super) fn on_name<'a>(volume: &'a str, bucket: &'a str, key: &str, right: Right) -> Need<'a> {
    let (kind, key) = (ObjectType::Key, Some(key.to_owned()));
    Need::new(Object { kind, volume, bucket: Some(bucket), key, follows: Follow::Reading }, right)
}

fn on_key(args: &KeyArgs, right: Right) -> Need<'_> {
    on_name(&args.volume_name, &args.bucket_name, &args.key_name, right)
}

/// A key; in a tree, a folder with all below it.
fn with_all_below(args: &KeyArgs) -> Need<'_> {
    Need { whole: true, ..on_key(args, Right::Delete) }
}

/// A key, or the bucket itself where the name is empty.
fn on_path(args: &KeyArgs, right: Right) -> Need<'_> {
    if args.key_name.is_empty() {
        in_bucket(&args.volume_name, &args.bucket_name, Some(""), right)
    } else {
        on_key(args, right)
    }
}

/// The open key of a client, whose ACLs are those of its row.
fn on_open_key(args: &KeyArgs, client: u64) -> Need<'_> {
    let key = format!("{}/{}", args.key_name, client.cast_signed());
    on_name(&args.volume_name, &args.bucket_name, &key, Right::Write)
}

fn on_object(object: &OzoneObj, right: Right) -> Option<Need<'_>> {
    let path = object.path.strip_prefix('/').unwrap_or(&object.path);
    let mut parts = path.splitn(3, '/');
    let volume = parts.next()?;
    let (bucket, key) = (parts.next(), parts.next().map(str::to_owned));
    let kind = object.res_type();
    if kind == ObjectType::Volume {
        return Some(on_volume(volume, right));
    }
    let follows = match kind {
        ObjectType::Key | ObjectType::Prefix => Follow::Reading,
        // A link is shown as it is; who changes it changes what it leads to.
        ObjectType::Bucket if right == Right::WriteAcl => Follow::Silently,
        ObjectType::Bucket | ObjectType::Volume => Follow::No,
    };
    Some(Need::new(Object { kind, volume, bucket, key, follows }, right))
}

/// What a request needs; see the module.
pub(super) fn needs(request: &OmRequest) -> Vec<Need<'_>> {
    let kind = Type::try_from(request.cmd_type).unwrap_or(Type::UnknownCommand);
    let of_keys = needs_of_keys(kind, request);
    if of_keys.is_empty() { needs_of_spaces(kind, request).into_iter().collect() } else { of_keys }
}

/// Volumes, buckets and ACLs.
fn needs_of_spaces(kind: Type, request: &OmRequest) -> Option<Need<'_>> {
    let r = request;
    Some(match kind {
        Type::CreateVolume => {
            on_volume(&r.create_volume_request.as_ref()?.volume_info.volume, Right::Create)
        }
        Type::SetVolumeProperty => {
            let body = r.set_volume_property_request.as_ref()?;
            let right = if body.owner_name.is_some() { Right::WriteAcl } else { Right::Write };
            on_volume(&body.volume_name, right)
        }
        Type::DeleteVolume => {
            on_volume(&r.delete_volume_request.as_ref()?.volume_name, Right::Delete)
        }
        Type::InfoVolume => on_volume(&r.info_volume_request.as_ref()?.volume_name, Right::Read),
        Type::ListBuckets => on_volume(&r.list_buckets_request.as_ref()?.volume_name, Right::List),
        Type::CreateBucket => {
            let info = &r.create_bucket_request.as_ref()?.bucket_info;
            on_bucket(&info.volume_name, &info.bucket_name, Right::Create)
        }
        Type::SetBucketProperty => {
            let args = r.set_bucket_property_request.as_ref()?.bucket_args.as_ref()?;
            // Other properties are the owner's: see `check`.
            args.owner_name.as_ref()?;
            on_bucket(&args.volume_name, &args.bucket_name, Right::WriteAcl)
        }
        Type::DeleteBucket => {
            let body = r.delete_bucket_request.as_ref()?;
            on_bucket(&body.volume_name, &body.bucket_name, Right::Delete)
        }
        Type::InfoBucket => {
            let body = r.info_bucket_request.as_ref()?;
            on_bucket(&body.volume_name, &body.bucket_name, Right::Read)
        }
        Type::ListKeys | Type::ListKeysLight => {
            let body = r.list_keys_request.as_ref()?;
            in_bucket(&body.volume_name, &body.bucket_name, Some(body.prefix()), Right::List)
        }
        Type::AddAcl => on_object(&r.add_acl_request.as_ref()?.obj, Right::WriteAcl)?,
        Type::RemoveAcl => on_object(&r.remove_acl_request.as_ref()?.obj, Right::WriteAcl)?,
        Type::SetAcl => on_object(&r.set_acl_request.as_ref()?.obj, Right::WriteAcl)?,
        Type::GetAcl => on_object(&r.get_acl_request.as_ref()?.obj, Right::ReadAcl)?,
        _ => return None,
    })
}

/// Keys, files and uploads.
fn needs_of_keys(kind: Type, request: &OmRequest) -> Vec<Need<'_>> {
    let r = request;
    macro_rules! args {
        ($field:ident, $need:expr) => {
            r.$field.as_ref().map(|body| $need(&body.key_args)).into_iter().collect()
        };
    }
    let create = |args| on_key(args, Right::Create);
    let write = |args| on_key(args, Right::Write);
    let read = |args| on_path(args, Right::Read);
    match kind {
        Type::CreateKey => args!(create_key_request, create),
        Type::CreateFile => args!(create_file_request, create),
        Type::CreateDirectory => args!(create_directory_request, create),
        Type::InitiateMultiPartUpload => args!(initiate_multi_part_upload_request, create),
        Type::CompleteMultiPartUpload => args!(complete_multi_part_upload_request, write),
        Type::AbortMultiPartUpload => args!(abort_multi_part_upload_request, write),
        Type::PutObjectTagging => args!(put_object_tagging_request, write),
        Type::DeleteObjectTagging => args!(delete_object_tagging_request, write),
        Type::SetTimes => args!(set_times_request, |args| on_key(args, Right::WriteAcl)),
        Type::DeleteKey => args!(delete_key_request, with_all_below),
        Type::LookupKey => args!(lookup_key_request, read),
        Type::GetKeyInfo => args!(get_key_info_request, read),
        Type::GetFileStatus => args!(get_file_status_request, read),
        Type::LookupFile => args!(lookup_file_request, read),
        Type::ListStatus | Type::ListStatusLight => args!(list_status_request, read),
        Type::GetObjectTagging => args!(get_object_tagging_request, read),
        Type::AllocateBlock => {
            let body = r.allocate_block_request.iter();
            body.map(|body| on_open_key(&body.key_args, body.client_id)).collect()
        }
        Type::CommitKey => {
            let body = r.commit_key_request.iter();
            body.map(|body| on_open_key(&body.key_args, body.client_id)).collect()
        }
        Type::CommitMultiPartUpload => {
            let body = r.commit_multi_part_upload_request.iter();
            body.map(|body| on_open_key(&body.key_args, body.client_id)).collect()
        }
        _ => needs_of_names(kind, r),
    }
}

/// Requests that name keys in other ways, or several of them.
fn needs_of_names(kind: Type, request: &OmRequest) -> Vec<Need<'_>> {
    let r = request;
    match kind {
        Type::RecoverLease => r
            .recover_lease_request
            .iter()
            .map(|b| on_name(b.volume_name(), b.bucket_name(), b.key_name(), Right::Write))
            .collect(),
        Type::RenameKey => {
            let Some(body) = &r.rename_key_request else { return Vec::new() };
            let args = &body.key_args;
            let (volume, bucket, to) = (&args.volume_name, &args.bucket_name, &body.to_key_name);
            let target = match to.as_str() {
                "" => in_bucket(volume, bucket, Some(""), Right::Create),
                to => on_name(volume, bucket, to, Right::Create),
            };
            vec![with_all_below(args), target]
        }
        // Keys of a batch are asked one by one, see `denied_keys` and `denied_renames`.
        Type::DeleteKeys | Type::RenameKeys => Vec::new(),
        Type::ListMultipartUploads => r
            .list_multipart_uploads_request
            .iter()
            .flat_map(|b| {
                [Right::Read, Right::List].map(|right| in_bucket(&b.volume, &b.bucket, None, right))
            })
            .collect(),
        Type::ListMultiPartUploadParts => r
            .list_multipart_upload_parts_request
            .iter()
            .flat_map(|b| {
                [
                    in_bucket(&b.volume, &b.bucket, None, Right::Read),
                    on_name(&b.volume, &b.bucket, &b.key, Right::Read),
                ]
            })
            .collect(),
        _ => Vec::new(),
    }
}
