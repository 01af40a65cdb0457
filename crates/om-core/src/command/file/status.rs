//! `GetFileStatus`: a file, a folder, or the bucket itself.

use om_proto::{
    GetFileStatusRequest, GetFileStatusResponse, KeyInfo, OmResponse, OzoneFileStatusProto,
};

use crate::command::Read;
use crate::command::key::lookup;
use crate::error::Failure;
use crate::layout::{Bucket, Leaf};
use crate::namespace::Namespace;

pub(crate) fn read(
    request: &GetFileStatusRequest,
    ns: &Namespace<'_>,
    reply: &mut OmResponse,
) -> Result<Read, Failure> {
    let args = &request.key_args;
    let bucket = ns.resolve(&args.volume_name, &args.bucket_name)?;
    let name = crate::names::normalize(&args.key_name, false);
    let status = if name.is_empty() {
        OzoneFileStatusProto { key_info: None, block_size: Some(0), is_directory: Some(true) }
    } else {
        let Some((key, is_folder)) = find(ns, &bucket, &name)? else {
            return Err(super::not_found(&bucket, &name));
        };
        OzoneFileStatusProto {
            key_info: Some(key),
            block_size: Some(ns.rules.block_bytes),
            is_directory: Some(is_folder),
        }
    };
    reply.get_file_status_response = Some(Box::new(GetFileStatusResponse { status }));
    Ok(lookup::locate(args))
}

/// What a normalised name shows: a file, or a folder (`true`). In flat layouts a folder is there as
/// soon as any key lies below it.
pub(crate) fn find(
    ns: &Namespace<'_>,
    bucket: &Bucket,
    name: &str,
) -> Result<Option<(KeyInfo, bool)>, Failure> {
    match bucket.walk(ns, name, true)?.leaf {
        Leaf::File(mut key) => {
            key.is_file = Some(true);
            Ok(Some((key, false)))
        }
        Leaf::Folder(folder) => Ok(Some((folder, true))),
        Leaf::BelowFile(_) if bucket.layout.is_tree() => Ok(None),
        Leaf::Free if bucket.layout.is_tree() => Ok(None),
        Leaf::Free | Leaf::BelowFile(_) => {
            let folder = format!("{name}/");
            let implied = ns.has_prefix(bucket.layout.keys().slot, &bucket.flat_row(&folder))?;
            Ok(implied.then(|| (implied_folder(ns, bucket, folder), true)))
        }
    }
}

/// A folder that no row stands for.
pub(crate) fn implied_folder(ns: &Namespace<'_>, bucket: &Bucket, name: String) -> KeyInfo {
    let mut key = KeyInfo {
        volume_name: bucket.info.volume_name.clone(),
        bucket_name: bucket.info.bucket_name.clone(),
        key_name: name,
        owner_name: bucket.info.owner.clone(),
        key_location_list: vec![crate::key::location_list(0, Vec::new())],
        latest_version: Some(0),
        object_id: Some(0),
        update_id: Some(0),
        parent_id: Some(0),
        is_file: Some(false),
        ..KeyInfo::default()
    };
    crate::replication::write_to(ns.rules.default_replication, &mut key);
    key
}
