//! `GetFileStatus`: a file, a folder, or the bucket itself.

use std::ops::ControlFlow;

use om_proto::{
    GetFileStatusRequest, GetFileStatusResponse, KeyInfo, OmResponse, OzoneFileStatusProto, Status,
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
    let name = bucket.key_name(&args.key_name);
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
    // Flat layouts answer HEAD as any other.
    if bucket.layout.is_tree() { Ok(lookup::locate(args)) } else { Ok(Read::Locate) }
}

/// What a normalised name shows: a file, or a folder (`true`). In flat layouts a folder is there as
/// soon as any key lies below it.
pub(crate) fn find(
    ns: &Namespace<'_>,
    bucket: &Bucket,
    name: &str,
) -> Result<Option<(KeyInfo, bool)>, Failure> {
    if !bucket.layout.normalizes()
        && name.ends_with('/')
        && let Some(marker) = ns.get(bucket.layout.keys(), &bucket.flat_row(name))?
    {
        // Asked for by its full name, a marker is a key like any other.
        return Ok(Some((marker, false)));
    }
    match bucket.walk(ns, name, true)?.leaf {
        Leaf::File(mut key) => {
            // Flat layouts say what the row says, which after a multipart upload is not a file.
            if bucket.layout.is_tree() {
                key.is_file = Some(true);
            }
            Ok(Some((key, false)))
        }
        Leaf::Folder(folder) => Ok(Some((folder, true))),
        Leaf::BelowFile(_) if bucket.layout.is_tree() => Ok(None),
        Leaf::Free if bucket.layout.is_tree() => Ok(None),
        Leaf::Free | Leaf::BelowFile(_) => {
            let folder = if name.ends_with('/') { name.to_owned() } else { format!("{name}/") };
            let child = first_below(ns, bucket, &folder)?;
            Ok(child.map(|child| (implied_folder(child, folder), true)))
        }
    }
}

/// What deletes and renames say of a name in a tree that leads nowhere (`OzonePrefixPathImpl`).
pub(crate) fn not_in_tree(bucket: &Bucket, name: &str) -> Failure {
    let (volume, bucket) = bucket.names();
    let message =
        format!("Unable to get file status: volume: {volume} bucket: {bucket} key: {name}");
    Failure::new(Status::KeyNotFound, message)
}

fn first_below(
    ns: &Namespace<'_>,
    bucket: &Bucket,
    folder: &str,
) -> Result<Option<KeyInfo>, Failure> {
    let keys = bucket.layout.keys();
    let mut first = None;
    ns.scan_prefix(keys.slot, &bucket.flat_row(folder), None, &mut |key, value| {
        first = Some(keys.decode(key, value.to_vec().into()));
        ControlFlow::Break(())
    })?;
    Ok(first.transpose()?)
}

/// A folder that no row stands for: it looks like the first key below it.
pub(crate) fn implied_folder(child: KeyInfo, name: String) -> KeyInfo {
    KeyInfo {
        key_name: name,
        data_size: 0,
        creation_time: child.modification_time,
        key_location_list: vec![crate::key::location_list(0, Vec::new())],
        latest_version: Some(0),
        file_encryption_info: None,
        ..child
    }
}
