//! `ListStatus` and `ListStatusLight`: one level of a folder, in byte order.
//!
//! `startKey` is returned too when it exists; clients drop what they have seen. In flat layouts a
//! level is carved out of the names: everything below a first-level folder counts as that folder.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use om_proto::{
    KeyInfo, ListStatusLightResponse, ListStatusRequest, ListStatusResponse, OmResponse,
    OzoneFileStatusProto, OzoneFileStatusProtoLight, Status,
};
use ozone_db::DbError;

use super::{light, status};
use crate::command::Read;
use crate::command::key::lookup;
use crate::error::Failure;
use crate::layout::{Bucket, Leaf, folder_as_key};
use crate::names;
use crate::namespace::Namespace;
use crate::tables;

/// One child, and whether it is a folder.
pub(crate) type Child = (KeyInfo, bool);

pub(crate) fn read(
    request: &ListStatusRequest,
    ns: &Namespace<'_>,
    reply: &mut OmResponse,
) -> Result<Read, Failure> {
    let block_bytes = ns.rules.block_bytes;
    let statuses = children(request, ns)?
        .into_iter()
        .map(|(key, is_folder)| OzoneFileStatusProto {
            block_size: Some(block_size(&key, is_folder, block_bytes)),
            key_info: Some(key),
            is_directory: Some(is_folder),
        })
        .collect();
    reply.list_status_response = Some(Box::new(ListStatusResponse { statuses }));
    Ok(lookup::locate(&request.key_args))
}

pub(crate) fn read_light(
    request: &ListStatusRequest,
    ns: &Namespace<'_>,
    reply: &mut OmResponse,
) -> Result<Read, Failure> {
    let block_bytes = ns.rules.block_bytes;
    let statuses = children(request, ns)?
        .into_iter()
        .map(|(mut key, is_folder)| OzoneFileStatusProtoLight {
            volume_name: Some(std::mem::take(&mut key.volume_name)),
            bucket_name: Some(std::mem::take(&mut key.bucket_name)),
            block_size: Some(block_size(&key, is_folder, block_bytes)),
            basic_key_info: Some(light::of_key(key)),
            is_directory: Some(is_folder),
        })
        .collect();
    reply.list_status_light_response = Some(Box::new(ListStatusLightResponse { statuses }));
    Ok(Read::Reply)
}

/// Markers of flat layouts tell no block size.
fn block_size(key: &KeyInfo, is_folder: bool, block_bytes: u64) -> u64 {
    let is_marker = is_folder && key.key_name.ends_with('/') && key.is_file == Some(false);
    if is_marker { 0 } else { block_bytes }
}

pub(crate) fn children(
    request: &ListStatusRequest,
    ns: &Namespace<'_>,
) -> Result<Vec<Child>, Failure> {
    let args = &request.key_args;
    let bucket = ns.resolve(&args.volume_name, &args.bucket_name)?;
    let max = usize::try_from(request.num_entries)
        .unwrap_or(usize::MAX)
        .min(ns.rules.list_status_rows_max);
    if max == 0 {
        return Ok(Vec::new());
    }
    if request.recursive && bucket.layout.is_tree() {
        let message = "Recursive listing is not supported on FILE_SYSTEM_OPTIMIZED buckets";
        return Err(Failure::new(Status::NotSupportedOperation, message));
    }
    let name = bucket.key_name(&args.key_name);
    let partial = request.allow_partial_prefix.unwrap_or(false);
    if bucket.layout.is_tree() {
        let start = bucket.key_name(&request.start_key);
        in_tree(ns, &bucket, &name, &start, max, partial)
    } else {
        // As it is: its slash tells a folder from a file of the same name.
        in_flat(ns, &bucket, &name, &request.start_key, max, request.recursive)
    }
}

fn in_tree(
    ns: &Namespace<'_>,
    bucket: &Bucket,
    name: &str,
    start: &str,
    max: usize,
    partial: bool,
) -> Result<Vec<Child>, Failure> {
    let leaf = if name.is_empty() { None } else { Some(bucket.walk(ns, name, true)?.leaf) };
    let (folder, id, prefix) = match leaf {
        None => ("", bucket.id(), ""),
        Some(Leaf::Folder(info)) => (name, info.object_id.unwrap_or(0), ""),
        Some(Leaf::File(file)) => return Ok(vec![(file, false)]),
        Some(Leaf::Free | Leaf::BelowFile(_)) if !partial => {
            return Err(super::not_found(bucket, name));
        }
        Some(Leaf::Free | Leaf::BelowFile(_)) => {
            let parent = names::parent(name).unwrap_or("");
            let id = if parent.is_empty() {
                Some(bucket.id())
            } else {
                match bucket.walk(ns, parent, true)?.leaf {
                    Leaf::Folder(info) => info.object_id,
                    Leaf::Free | Leaf::File(_) | Leaf::BelowFile(_) => None,
                }
            };
            let Some(id) = id else { return Ok(Vec::new()) };
            (parent, id, names::leaf(name))
        }
    };
    let Some(first) = first_child(folder, start) else { return Ok(Vec::new()) };
    level_of(ns, bucket, folder, id, prefix, first, max)
}

/// The name of the child of `folder` at which `start` lies; `None` when all children lie before.
fn first_child<'a>(folder: &str, start: &'a str) -> Option<&'a str> {
    if start.is_empty() || folder.is_empty() {
        return Some(start.split('/').next().unwrap_or(""));
    }
    match start.strip_prefix(folder) {
        Some("") => Some(""),
        Some(rest) if rest.starts_with('/') => rest[1..].split('/').next(),
        _ => {
            let children = format!("{folder}/");
            if start < children.as_str() { Some("") } else { None }
        }
    }
}

fn level_of(
    ns: &Namespace<'_>,
    bucket: &Bucket,
    folder: &str,
    id: u64,
    prefix: &str,
    first: &str,
    max: usize,
) -> Result<Vec<Child>, Failure> {
    let below = bucket.rows_below(id);
    let row = |name: &str| [below.as_slice(), name.as_bytes()].concat();
    let (rows, from) = (row(prefix), row(first));
    let full = |name: &str| {
        if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
    };
    // Names of folders and files never coincide, so that a map merges both in order.
    let mut level: BTreeMap<Vec<u8>, Child> = BTreeMap::new();
    let mut broken: Option<DbError> = None;
    let mut count = 0;
    ns.scan_prefix(tables::DIRECTORY.slot, &rows, Some(&from), &mut |key, value| {
        match tables::DIRECTORY.decode(key, value.to_vec().into()) {
            Ok(child) => {
                let name = full(&child.name);
                let child = folder_as_key(bucket.names(), child, &name, ns.rules);
                level.insert(key.to_vec(), (child, true));
            }
            Err(error) => broken = Some(error),
        }
        count += 1;
        if broken.is_some() || count >= max {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    count = 0;
    ns.scan_prefix(tables::FILE.slot, &rows, Some(&from), &mut |key, value| {
        match tables::FILE.decode(key, value.to_vec().into()) {
            Ok(mut child) => {
                child.key_name = full(&child.key_name);
                level.insert(key.to_vec(), (child, false));
            }
            Err(error) => broken = Some(error),
        }
        count += 1;
        if broken.is_some() || count >= max {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    if let Some(error) = broken {
        return Err(error.into());
    }
    Ok(level.into_values().take(max).collect())
}

fn in_flat(
    ns: &Namespace<'_>,
    bucket: &Bucket,
    name: &str,
    start: &str,
    max: usize,
    recursive: bool,
) -> Result<Vec<Child>, Failure> {
    if !name.is_empty() {
        match status::find(ns, bucket, name)? {
            Some((file, false)) => return Ok(vec![(file, false)]),
            Some((_, true)) => {}
            None => return Err(super::not_found(bucket, name)),
        }
    }
    let prefix = match name {
        "" => String::new(),
        name if name.ends_with('/') => name.to_owned(),
        name => format!("{name}/"),
    };
    let rows = bucket.flat_row(&prefix);
    let root = bucket.flat_row("").len();
    let mut from = bucket.flat_row(start).max(rows.clone());
    let mut children: Vec<Child> = Vec::new();
    // Every round reads up to the first row below a new folder, then jumps behind that folder.
    while children.len() < max {
        let mut next = None;
        let mut broken = None;
        ns.scan_prefix(tables::KEY.slot, &rows, Some(&from), &mut |key, value| {
            if key.len() == rows.len() {
                return ControlFlow::Continue(()); // the folder's own marker
            }
            let rest = &key[rows.len()..];
            let border = rest.iter().position(|byte| *byte == b'/');
            match tables::KEY.decode(key, value.to_vec().into()) {
                Ok(child) => match border {
                    Some(border) if border + 1 < rest.len() && !recursive => {
                        let folder = &key[root..rows.len() + border + 1];
                        let folder = String::from_utf8_lossy(folder).into_owned();
                        next = Some(key[..=rows.len() + border].to_vec());
                        children.push((status::implied_folder(child, folder), true));
                    }
                    Some(border) if border + 1 == rest.len() => {
                        next = (!recursive).then(|| key.to_vec());
                        children.push((child, true));
                    }
                    _ => children.push((child, false)),
                },
                Err(error) => broken = Some(error),
            }
            if broken.is_some() || next.is_some() || children.len() >= max {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        if let Some(error) = broken {
            return Err(error.into());
        }
        match next.and_then(|folder| ozone_db::prefix_end(&folder)) {
            Some(behind) => from = behind,
            None => break,
        }
    }
    Ok(children)
}
