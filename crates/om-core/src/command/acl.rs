//! Native ACLs of volumes, buckets and keys.

pub mod edit;
pub mod get;

use std::sync::Arc;

use om_proto::ozone_acl_info::OzoneAclScope;
use om_proto::ozone_obj::ObjectType;

use om_proto::{
    BucketInfo, KeyInfo, OmRequest, OzoneAclInfo, OzoneObj, PrefixInfo, Status, VolumeInfo,
};

use crate::error::{Failure, OmError};
use crate::layout::{Bucket, Leaf, key_as_folder};
use crate::names;
use crate::namespace::{At, Namespace};
use crate::tables;

/// What has ACLs, with its row.
enum Owner {
    Volume(VolumeInfo),
    Bucket(BucketInfo),
    Key {
        bucket: Box<Bucket>,
        key: KeyInfo,
        is_folder: bool,
    },
    /// Without a row yet if it has no ids.
    Prefix(PrefixInfo),
}

/// A prefix that nobody gave ACLs: those that it will have from above.
fn new_prefix(ns: &Namespace<'_>, bucket: &Bucket, row: &[u8]) -> Result<PrefixInfo, Failure> {
    let above = ns.prefix_acls(&row[..row.len() - 1])?;
    let mut acls = Vec::new();
    crate::acl::inherit(&mut acls, &above.unwrap_or_default(), OzoneAclScope::Access);
    if acls.is_empty() {
        crate::acl::inherit(&mut acls, &bucket.info.acls, OzoneAclScope::Access);
    }
    let name = String::from_utf8_lossy(row).into_owned();
    Ok(PrefixInfo { name, acls, ..PrefixInfo::default() })
}

/// The ACLs that a request brings.
fn brought(request: &mut OmRequest) -> Vec<&mut OzoneAclInfo> {
    let mut acls: Vec<&mut OzoneAclInfo> = Vec::new();
    macro_rules! take {
        ($($field:ident . $($path:ident).+,)*) => {
            $(acls.extend(request.$field.iter_mut().flat_map(|body| body.$($path).+.iter_mut()));)*
        };
    }
    take! {
        set_acl_request.acl,
        create_volume_request.volume_info.volume_acls,
        create_bucket_request.bucket_info.acls,
        create_key_request.key_args.acls,
        create_file_request.key_args.acls,
        create_directory_request.key_args.acls,
        initiate_multi_part_upload_request.key_args.acls,
    }
    acls.extend(request.add_acl_request.as_mut().map(|body| &mut body.acl));
    acls.extend(request.remove_acl_request.as_mut().map(|body| &mut body.acl));
    acls.extend(request.check_volume_access_request.as_mut().map(|body| &mut body.user_acl));
    acls
}

/// What the genuine server refuses by an `IllegalArgumentException` of its RPC layer, or dies of: the
/// message of that exception. The ACLs of other requests become as they are stored.
pub fn malformed(request: &mut OmRequest) -> Option<String> {
    if let Some(message) = malformed_path(request) {
        return Some(message);
    }
    for acl in brought(request) {
        let fault = crate::acl::fault(acl);
        if fault.is_some() {
            return fault;
        }
        crate::acl::settle(acl);
    }
    None
}

/// A path too short for what it is to name (`OzoneObjInfo.fromProtobuf`).
fn malformed_path(request: &OmRequest) -> Option<String> {
    let object = None
        .or(request.get_acl_request.as_ref().map(|body| &body.obj))
        .or(request.add_acl_request.as_ref().map(|body| &body.obj))
        .or(request.remove_acl_request.as_ref().map(|body| &body.obj))
        .or(request.set_acl_request.as_ref().map(|body| &body.obj))?;
    let parts = object.path.split('/').filter(|part| !part.is_empty()).count();
    let (name, wanted) = match object.res_type() {
        ObjectType::Volume => return None,
        ObjectType::Bucket => ("bucket", 2),
        ObjectType::Key => ("key", 3),
        ObjectType::Prefix => ("Prefix", 3),
    };
    (parts < wanted).then(|| format!("Unexpected argument for Ozone {name}. Path:{}", object.path))
}

/// Who asks for ACLs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum For {
    Reading,
    Editing,
}

/// Volume, bucket and key of a path. Slashes before each do not count (`StringUtils.split`).
fn parts(path: &str) -> [Option<&str>; 3] {
    let mut rest = path;
    [true, true, false].map(|ends_at_slash| {
        rest = rest.trim_start_matches('/');
        let end = rest.find('/').filter(|_| ends_at_slash).unwrap_or(rest.len());
        let (part, behind) = rest.split_at(end);
        rest = behind;
        Some(part).filter(|part| !part.is_empty())
    })
}

/// Every way to the ACLs of a missing key has its own words, or none.
fn missing_key(bucket: &Bucket, object: &OzoneObj, key: &str, purpose: For) -> Failure {
    let name = match purpose {
        For::Reading => {
            let path = parts(&object.path).map(Option::unwrap_or_default).join("/");
            return Failure::new(Status::KeyNotFound, format!("Key not found. Key:/{path}"));
        }
        For::Editing if bucket.layout.is_tree() => key,
        For::Editing => return OmError::bare(Status::KeyNotFound).into(),
    };
    Failure::new(Status::KeyNotFound, format!("Key not found. Key:{name}"))
}

impl Owner {
    /// Finds what the path of a request names: `/volume`, `/volume/bucket`, `/volume/bucket/key…`.
    fn find(ns: &Namespace<'_>, object: &OzoneObj, purpose: For) -> Result<Self, Failure> {
        let [volume, bucket, key] = parts(&object.path);
        match (object.res_type(), volume, bucket, key) {
            // What is behind a volume does not matter.
            (ObjectType::Volume, Some(volume), _, _) => {
                ns.volume(volume).map(|row| Self::Volume(Arc::unwrap_or_clone(row)))
            }
            (ObjectType::Bucket, Some(volume), Some(bucket), None) => {
                let real = ns.resolve(volume, bucket)?;
                Ok(Self::Bucket(Arc::unwrap_or_clone(real.info)))
            }
            (ObjectType::Key, Some(volume), Some(bucket), Some(key)) => {
                let bucket = ns.resolve(volume, bucket)?;
                let name = bucket.key_name(key);
                match bucket.walk(ns, &name, false)?.leaf {
                    Leaf::File(key) => {
                        Ok(Self::Key { bucket: Box::new(bucket), key, is_folder: false })
                    }
                    Leaf::Folder(key) => {
                        Ok(Self::Key { bucket: Box::new(bucket), key, is_folder: true })
                    }
                    Leaf::Free | Leaf::BelowFile(_) => {
                        Err(missing_key(&bucket, object, key, purpose))
                    }
                }
            }
            (ObjectType::Prefix, Some(volume), Some(bucket), Some(prefix)) => {
                if !prefix.ends_with('/') {
                    let message = format!("Missing trailing slash '/' in prefix name: {prefix}");
                    return Err(Failure::new(Status::InvalidPathInAclRequest, message));
                }
                let bucket = ns.resolve(volume, bucket)?;
                let row = bucket.flat_row(prefix);
                Ok(Self::Prefix(match ns.get(&tables::PREFIX, &row)? {
                    Some(prefix) => prefix,
                    None => new_prefix(ns, &bucket, &row)?,
                }))
            }
            _ => Err(OmError::new(
                Status::InvalidPathInAclRequest,
                format!("Invalid path in ACL request: {}", object.path),
            )
            .into()),
        }
    }

    fn acls(&self) -> &[OzoneAclInfo] {
        match self {
            Self::Volume(info) => &info.volume_acls,
            Self::Bucket(info) => &info.acls,
            Self::Key { key, .. } => &key.acls,
            Self::Prefix(info) => &info.acls,
        }
    }

    /// Whether it stays as it is without an edit: a volume's answer is a success all the same.
    fn is_volume(&self) -> bool {
        matches!(self, Self::Volume(_))
    }

    fn acls_mut(&mut self) -> &mut Vec<OzoneAclInfo> {
        match self {
            Self::Volume(info) => &mut info.volume_acls,
            Self::Bucket(info) => &mut info.acls,
            Self::Key { key, .. } => &mut key.acls,
            Self::Prefix(info) => &mut info.acls,
        }
    }

    /// The row of a prefix that has none.
    fn new_prefix(&self) -> Option<&str> {
        match self {
            Self::Prefix(info) if info.object_id.is_none() => Some(&info.name),
            _ => None,
        }
    }

    /// Writes the row back, changed at this index and time.
    fn put(self, ns: &mut Namespace<'_>, index: u64, now: Option<u64>) {
        match self {
            Self::Volume(mut info) => {
                info.update_id = Some(index);
                info.modification_time = now.or(info.modification_time);
                ns.put_volume(&info);
            }
            Self::Bucket(mut info) => {
                info.update_id = Some(index);
                info.modification_time = now.or(info.modification_time);
                ns.put_bucket(&info);
            }
            Self::Prefix(mut info) => {
                let row = info.name.clone().into_bytes();
                if info.acls.is_empty() {
                    ns.remove(&tables::PREFIX, row);
                    return;
                }
                if info.object_id.is_none() {
                    info.object_id = Some(At { term: 0, index }.object_id(0));
                }
                info.update_id = Some(index);
                ns.put(&tables::PREFIX, row, &info);
            }
            Self::Key { bucket, mut key, is_folder } => {
                key.update_id = Some(index);
                key.modification_time = now.unwrap_or(key.modification_time);
                let row = bucket.row_of(&key);
                if bucket.layout.is_tree() && is_folder {
                    ns.put(&tables::DIRECTORY, row, &key_as_folder(&key));
                } else {
                    if bucket.layout.is_tree() {
                        key.key_name = names::leaf(&key.key_name).to_owned();
                    }
                    ns.put(bucket.layout.keys(), row, &key);
                }
            }
        }
    }
}
