//! Who may do what (`OzoneNativeAuthorizer`), asked where [`Rules::acls_enforced`] and
//! [`Rules::native_authorizer`] say so.
//!
//! ```text
//!  administrator           everything             read-only administrator    what reads
//!  owner of the volume     all below it           owner of the bucket        the bucket and all in it
//!  others                  what the ACLs of object, prefix, bucket and volume say, all four
//! ```
//! The leader asks, after a request was prepared and before it is logged: replicas only apply.
//! [`needs`] is the one table of what each request needs; what it does not name is open to everybody
//! or checks for itself (secrets) or takes part in the log only (what the OM sends itself).

use om_proto::ozone_acl_info::OzoneAclType;
use om_proto::ozone_obj::ObjectType;
use om_proto::{KeyArgs, OmRequest, OzoneAclInfo, OzoneObj, Status, Type};

use crate::command::Caller;
use crate::command::file::status;
use crate::error::{Failure, OmError};
use crate::layout::Bucket;
use crate::namespace::Namespace;
use crate::rules::Rules;
use crate::tables;

/// Rights, in the order of their bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Right {
    Read,
    Write,
    Create,
    List,
    Delete,
    ReadAcl,
    WriteAcl,
    All,
    None,
}

impl Right {
    fn name(self) -> &'static str {
        match self {
            Self::Read => "READ",
            Self::Write => "WRITE",
            Self::Create => "CREATE",
            Self::List => "LIST",
            Self::Delete => "DELETE",
            Self::ReadAcl => "READ_ACL",
            Self::WriteAcl => "WRITE_ACL",
            Self::All => "ALL",
            Self::None => "NONE",
        }
    }

    fn reads(self) -> bool {
        matches!(self, Self::Read | Self::ReadAcl | Self::List)
    }

    fn is_in(self, rights: &[u8]) -> bool {
        let bit = self as usize;
        rights.get(bit / 8).is_some_and(|byte| byte & (1 << (bit % 8)) != 0)
    }

    /// What the objects above a key or prefix must grant.
    fn above_key(self) -> Self {
        match self {
            Self::Create => Self::Write,
            Self::ReadAcl | Self::List | Self::WriteAcl | Self::Delete => Self::Read,
            other => other,
        }
    }

    /// What the volume of a bucket must grant.
    fn above_bucket(self) -> Self {
        if self == Self::Create { Self::Write } else { Self::Read }
    }
}

/// What a request touches.
#[derive(Clone, Debug)]
struct Object<'a> {
    kind: ObjectType,
    volume: &'a str,
    bucket: Option<&'a str>,
    key: Option<String>,
}

/// One thing that a request needs.
#[derive(Clone, Debug)]
struct Need<'a> {
    object: Object<'a>,
    right: Right,
}

fn on_volume(volume: &str, right: Right) -> Need<'_> {
    let object = Object { kind: ObjectType::Volume, volume, bucket: None, key: None };
    Need { object, right }
}

fn on_bucket<'a>(volume: &'a str, bucket: &'a str, right: Right) -> Need<'a> {
    let object = Object { kind: ObjectType::Bucket, volume, bucket: Some(bucket), key: None };
    Need { object, right }
}

fn on_name<'a>(volume: &'a str, bucket: &'a str, key: &str, right: Right) -> Need<'a> {
    let (kind, key) = (ObjectType::Key, Some(key.to_owned()));
    Need { object: Object { kind, volume, bucket: Some(bucket), key }, right }
}

fn on_key(args: &KeyArgs, right: Right) -> Need<'_> {
    on_name(&args.volume_name, &args.bucket_name, &args.key_name, right)
}

/// A key, or the bucket itself where the name is empty.
fn on_path(args: &KeyArgs, right: Right) -> Need<'_> {
    if args.key_name.is_empty() {
        on_bucket(&args.volume_name, &args.bucket_name, right)
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
    Some(Need { object: Object { kind: object.res_type(), volume, bucket, key }, right })
}

/// What a request needs; see the module.
fn needs(request: &OmRequest) -> Vec<Need<'_>> {
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
            on_bucket(&body.volume_name, &body.bucket_name, Right::List)
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
        Type::DeleteKey => args!(delete_key_request, |args| on_key(args, Right::Delete)),
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
                "" => on_bucket(volume, bucket, Right::Create),
                to => on_name(volume, bucket, to, Right::Create),
            };
            vec![on_key(args, Right::Delete), target]
        }
        Type::RenameKeys => {
            let Some(body) = &r.rename_keys_request else { return Vec::new() };
            let args = &body.rename_keys_args;
            let (volume, bucket) = (&args.volume_name, &args.bucket_name);
            args.rename_keys_map
                .iter()
                .flat_map(|pair| {
                    [
                        on_name(volume, bucket, &pair.from_key_name, Right::Delete),
                        on_name(volume, bucket, &pair.to_key_name, Right::Create),
                    ]
                })
                .collect()
        }
        Type::DeleteKeys => {
            let Some(args) = r.delete_keys_request.as_ref().and_then(|b| b.delete_keys.as_ref())
            else {
                return Vec::new();
            };
            let (volume, bucket) = (&args.volume_name, &args.bucket_name);
            args.keys.iter().map(|key| on_name(volume, bucket, key, Right::Delete)).collect()
        }
        Type::ListMultipartUploads => r
            .list_multipart_uploads_request
            .iter()
            .flat_map(|b| {
                [Right::Read, Right::List].map(|right| on_bucket(&b.volume, &b.bucket, right))
            })
            .collect(),
        Type::ListMultiPartUploadParts => r
            .list_multipart_upload_parts_request
            .iter()
            .flat_map(|b| {
                [
                    on_bucket(&b.volume, &b.bucket, Right::Read),
                    on_name(&b.volume, &b.bucket, &b.key, Right::Read),
                ]
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// Refuses what the caller may not do.
///
/// # Errors
/// PERMISSION_DENIED, or that a place does not exist.
pub fn check(request: &OmRequest, ns: &Namespace<'_>, caller: &Caller<'_>) -> Result<(), Failure> {
    if !ns.rules.acls_enforced || ns.rules.is_admin(caller) {
        return Ok(());
    }
    let is_open_list = request.cmd_type == i32::from(Type::ListOpenFiles);
    if is_open_list {
        let message = "Only Ozone admins are allowed to list open files.";
        return Err(Failure::new(Status::PermissionDenied, message));
    }
    let args = request.set_bucket_property_request.as_ref().and_then(|b| b.bucket_args.as_ref());
    if let Some(args) = args.filter(|args| args.owner_name.is_none()) {
        let bucket = ns.bucket_row(&args.volume_name, &args.bucket_name)?;
        if bucket.owner.as_deref() != Some(caller.user) {
            let message = "Bucket properties are allowed to changed by Admin and Owner";
            return Err(Failure::new(Status::PermissionDenied, message));
        }
        return Ok(());
    }
    if !ns.rules.native_authorizer {
        return Ok(());
    }
    let gate = Gate { ns, caller, rules: ns.rules };
    let is_batch = request.cmd_type == i32::from(Type::DeleteKeys);
    for need in needs(request) {
        match gate.pass(&need) {
            // A batch reports what is missing key by key.
            Err(Failure::Refused(error)) if is_batch && error.status == Status::KeyNotFound => {}
            passed => passed?,
        }
    }
    Ok(())
}

struct Gate<'a> {
    ns: &'a Namespace<'a>,
    caller: &'a Caller<'a>,
    rules: &'a Rules,
}

impl Gate<'_> {
    fn pass(&self, need: &Need<'_>) -> Result<(), Failure> {
        let Object { kind, volume, .. } = need.object;
        let creates_volume = kind == ObjectType::Volume && need.right == Right::Create;
        let owns_volume = if creates_volume {
            false
        } else {
            self.ns.volume(volume)?.owner_name == self.caller.user
        };
        if kind == ObjectType::Volume {
            return self.grant(&need.object, need.right, owns_volume);
        }
        if owns_volume {
            return Ok(());
        }
        let above =
            if kind == ObjectType::Bucket { need.right.above_bucket() } else { Right::Read };
        // The volume is asked first, under the name of the whole object.
        let volume_object = Object { kind: ObjectType::Volume, ..need.object.clone() };
        self.grant(&volume_object, above, false)?;
        self.grant(&need.object, need.right, self.owns_bucket(need)?)
    }

    fn owns_bucket(&self, need: &Need<'_>) -> Result<bool, Failure> {
        let creates = need.object.kind == ObjectType::Bucket && need.right == Right::Create;
        let Some(bucket) = need.object.bucket.filter(|_| !creates) else { return Ok(false) };
        let info = self.ns.bucket_row(need.object.volume, bucket)?;
        Ok(info.owner.as_deref() == Some(self.caller.user))
    }

    fn grant(&self, object: &Object<'_>, right: Right, is_owner: bool) -> Result<(), Failure> {
        if self.allows(object, right, is_owner)? {
            return Ok(());
        }
        let (kind, volume) = (object.kind.as_str_name().to_lowercase(), object.volume);
        let bucket = object.bucket.map(|name| format!("Bucket:{name} ")).unwrap_or_default();
        let key = object.key.as_ref().map(|name| format!("Key:{name}")).unwrap_or_default();
        Err(OmError::new(
            Status::PermissionDenied,
            format!(
                "User {} doesn't have {} permission to access {kind} Volume:{volume} {bucket}{key}",
                self.caller.user,
                right.name()
            ),
        )
        .into())
    }

    fn allows(&self, object: &Object<'_>, right: Right, is_owner: bool) -> Result<bool, Failure> {
        if right.reads() && self.rules.read_only_admins.include(self.caller) {
            return Ok(true);
        }
        let creates = right == Right::Create;
        if object.kind == ObjectType::Volume {
            return Ok(!creates && (is_owner || self.volume_grants(object.volume, right)?));
        }
        if is_owner {
            return Ok(true);
        }
        let name = object.bucket.unwrap_or_default();
        if object.kind == ObjectType::Bucket {
            let granted =
                creates || self.granted(&self.ns.bucket_row(object.volume, name)?.acls, right);
            return Ok(granted && self.volume_grants(object.volume, right.above_bucket())?);
        }
        let bucket = self.ns.resolve(object.volume, name)?;
        let key = object.key.as_deref().unwrap_or_default();
        let above = right.above_key();
        let own = if object.kind == ObjectType::Prefix {
            creates || self.prefix_grants(&bucket, key, right)?
        } else {
            (creates || self.key_grants(&bucket, key, right)?)
                && self.prefix_grants(&bucket, key, above)?
        };
        Ok(own
            && self.granted(&bucket.info.acls, above)
            && self.volume_grants(object.volume, Right::Read)?)
    }

    fn volume_grants(&self, volume: &str, right: Right) -> Result<bool, Failure> {
        Ok(self.granted(&self.ns.volume(volume)?.volume_acls, right))
    }

    /// A prefix without ACLs grants everything.
    fn prefix_grants(&self, bucket: &Bucket, key: &str, right: Right) -> Result<bool, Failure> {
        let prefix = self.ns.get(&tables::PREFIX, &bucket.flat_row(key))?;
        Ok(prefix.is_none_or(|prefix| self.granted(&prefix.acls, right)))
    }

    fn key_grants(&self, bucket: &Bucket, key: &str, right: Right) -> Result<bool, Failure> {
        if right == Right::Write {
            // Who has a key open may write it; rows of trees are not found by name.
            let open = self.ns.get(&tables::OPEN_KEY, &bucket.flat_row(key))?;
            return Ok(open.is_none_or(|open| self.granted(&open.acls, right)));
        }
        let found = status::find(self.ns, bucket, &bucket.key_name(key))?;
        match found {
            Some((info, _)) => Ok(self.granted(&info.acls, right)),
            None if right == Right::Read => Ok(true),
            None => {
                let row = bucket.flat_row(key);
                let row = String::from_utf8_lossy(&row);
                let message = format!("Key not found, checkAccess failed. Key:{row}");
                Err(Failure::new(Status::KeyNotFound, message))
            }
        }
    }

    fn granted(&self, acls: &[OzoneAclInfo], right: Right) -> bool {
        acls.iter().any(|acl| {
            let is_meant = match acl.r#type() {
                OzoneAclType::User => acl.name == self.caller.user,
                OzoneAclType::Group => {
                    let group = self.caller.groups.primary(self.caller.user);
                    group.is_some_and(|group| *group == *acl.name)
                }
                OzoneAclType::World | OzoneAclType::Anonymous | OzoneAclType::ClientIp => true,
            };
            is_meant
                && (right.is_in(&acl.rights) || Right::All.is_in(&acl.rights))
                && !Right::None.is_in(&acl.rights)
        })
    }
}
