//! What the trash emptier does: which users have a trash, which checkpoints are old, which requests
//! carry that out (`TrashPolicyOzone`, `TrashOzoneFileSystem`).
//!
//! A deleted path lies in `.Trash/USER/Current/…` of its bucket. In every turn checkpoints that are old
//! enough are deleted, then `Current` is renamed to a checkpoint with the time in its name. The caller
//! brings the time, and how names and times belong together.

use std::ops::ControlFlow;

use om_proto::{
    BucketInfo, DeleteKeyArgs, DeleteKeyRequest, DeleteKeysRequest, KeyArgs, ListStatusRequest,
    OmRequest, RenameKeyRequest, RenameKeysArgs, RenameKeysMap, RenameKeysRequest, Status, Type,
};

use crate::command::file::list;
use crate::error::Failure;
use crate::layout::{Bucket, Leaf};
use crate::namespace::Namespace;
use crate::tables;

/// Folder of the trash of all users in a bucket.
pub const TRASH: &str = ".Trash";
/// What was deleted since the last checkpoint.
pub const CURRENT: &str = "Current";
/// Keys of a flat bucket that one request deletes or renames.
const KEYS_PER_REQUEST_MAX: usize = 1_000;
/// Folders of one page of a listing.
const PAGE_ROWS: u64 = 1_000;
/// Other names that are tried when the one of a checkpoint is taken.
const NAMES_MAX: u32 = 1_000;

/// The trash of a user in a bucket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Root {
    /// Volume.
    pub volume: String,
    /// Bucket, no link.
    pub bucket: String,
    /// `.Trash/USER`.
    pub path: String,
}

/// Time as the caller knows it.
#[derive(Clone, Copy)]
pub struct Times<'a> {
    /// Checkpoints of before this are deleted, in milliseconds since 1970.
    pub oldest_ms: u64,
    /// The time of a checkpoint's name, in milliseconds since 1970.
    pub time_of: &'a dyn Fn(&str) -> Option<u64>,
    /// The name of a checkpoint made now.
    pub checkpoint: &'a str,
}

/// What is to be done with one path of a trash.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// A checkpoint is old enough.
    Delete(String),
    /// `Current` becomes a checkpoint.
    Rename {
        /// `.Trash/USER/Current`.
        from: String,
        /// `.Trash/USER/<time>`.
        to: String,
    },
}

/// The buckets of a page, and the row at which the next page begins.
///
/// # Errors
/// The store failed.
pub fn buckets(
    ns: &Namespace<'_>,
    start: &[u8],
    limit: usize,
) -> Result<(Vec<(String, String)>, Option<Vec<u8>>), Failure> {
    let mut found = Vec::new();
    let mut seen = 0;
    let mut next = None;
    ns.scan_prefix(tables::BUCKET.slot, b"/", Some(start), &mut |row, value| {
        if seen == limit {
            next = Some(row.to_vec());
            return ControlFlow::Break(());
        }
        seen += 1;
        // What a link leads to has a row of its own.
        if let Ok(info) = tables::BUCKET.decode(row, value.to_vec().into())
            && info.source_volume.is_none()
        {
            let BucketInfo { volume_name, bucket_name, .. } = info;
            found.push((volume_name, bucket_name));
        }
        ControlFlow::Continue(())
    })?;
    Ok((found, next))
}

/// Everybody's trash in a bucket.
///
/// # Errors
/// The store failed.
pub fn roots(ns: &Namespace<'_>, volume: &str, bucket: &str) -> Result<Vec<Root>, Failure> {
    let users = folders(ns, volume, bucket, TRASH)?;
    Ok(users
        .into_iter()
        .map(|user| Root {
            volume: volume.to_owned(),
            bucket: bucket.to_owned(),
            path: format!("{TRASH}/{user}"),
        })
        .collect())
}

/// What is to be done in a trash, in this order; and names in it that are no checkpoints.
///
/// # Errors
/// The store failed.
pub fn steps(
    ns: &Namespace<'_>,
    root: &Root,
    times: Times<'_>,
) -> Result<(Vec<Step>, Vec<String>), Failure> {
    let names = folders(ns, &root.volume, &root.bucket, &root.path)?;
    let path = |name: &str| format!("{}/{name}", root.path);
    let mut steps = Vec::new();
    let mut unknown = Vec::new();
    for name in names.iter().filter(|name| *name != CURRENT) {
        match (times.time_of)(name) {
            Some(time) if time < times.oldest_ms => steps.push(Step::Delete(path(name))),
            Some(_) => {}
            None => unknown.push(name.clone()),
        }
    }
    if names.iter().any(|name| name == CURRENT) {
        let free = (0..NAMES_MAX)
            .map(|attempt| match attempt {
                0 => times.checkpoint.to_owned(),
                _ => format!("{}-{attempt}", times.checkpoint),
            })
            .find(|name| !names.contains(name));
        if let Some(name) = free {
            steps.push(Step::Rename { from: path(CURRENT), to: path(&name) });
        }
    }
    Ok((steps, unknown))
}

/// The next request of a step; `None` when nothing is left to do. A tree goes at once, a flat bucket
/// needs a request for every [`KEYS_PER_REQUEST_MAX`] keys.
///
/// # Errors
/// The store failed.
pub fn next_request(
    ns: &Namespace<'_>,
    root: &Root,
    step: &Step,
) -> Result<Option<OmRequest>, Failure> {
    let bucket = ns.resolve(&root.volume, &root.bucket)?;
    let (Step::Delete(path) | Step::Rename { from: path, .. }) = step;
    if bucket.layout.is_tree() {
        let there = !matches!(bucket.walk(ns, path, true)?.leaf, Leaf::Free | Leaf::BelowFile(_));
        return Ok(there.then(|| of_tree(root, step)));
    }
    let keys = keys_below(ns, &bucket, path)?;
    Ok((!keys.is_empty()).then(|| of_keys(root, step, path, keys)))
}

fn of_tree(root: &Root, step: &Step) -> OmRequest {
    let args = |name: &str| KeyArgs {
        volume_name: root.volume.clone(),
        bucket_name: root.bucket.clone(),
        key_name: name.to_owned(),
        recursive: Some(true),
        ..KeyArgs::default()
    };
    match step {
        Step::Delete(path) => OmRequest {
            cmd_type: Type::DeleteKey.into(),
            delete_key_request: Some(Box::new(DeleteKeyRequest { key_args: args(path) })),
            ..OmRequest::default()
        },
        Step::Rename { from, to } => OmRequest {
            cmd_type: Type::RenameKey.into(),
            rename_key_request: Some(Box::new(RenameKeyRequest {
                key_args: args(from),
                to_key_name: to.clone(),
            })),
            ..OmRequest::default()
        },
    }
}

fn of_keys(root: &Root, step: &Step, path: &str, keys: Vec<String>) -> OmRequest {
    let (volume_name, bucket_name) = (root.volume.clone(), root.bucket.clone());
    match step {
        Step::Delete(_) => OmRequest {
            cmd_type: Type::DeleteKeys.into(),
            delete_keys_request: Some(Box::new(DeleteKeysRequest {
                delete_keys: Some(DeleteKeyArgs { volume_name, bucket_name, keys }),
                ..DeleteKeysRequest::default()
            })),
            ..OmRequest::default()
        },
        Step::Rename { to, .. } => {
            let renamed = |key: String| RenameKeysMap {
                to_key_name: format!("{to}{}", &key[path.len()..]),
                from_key_name: key,
            };
            let rename_keys_map = keys.into_iter().map(renamed).collect();
            OmRequest {
                cmd_type: Type::RenameKeys.into(),
                rename_keys_request: Some(Box::new(RenameKeysRequest {
                    rename_keys_args: RenameKeysArgs { volume_name, bucket_name, rename_keys_map },
                    ..RenameKeysRequest::default()
                })),
                ..OmRequest::default()
            }
        }
    }
}

/// Some keys of a flat bucket below a folder, its marker among them.
fn keys_below(ns: &Namespace<'_>, bucket: &Bucket, path: &str) -> Result<Vec<String>, Failure> {
    let name = bucket.flat_row("").len();
    let prefix = bucket.flat_row(&format!("{path}/"));
    let mut keys = Vec::new();
    ns.scan_prefix(tables::KEY.slot, &prefix, None, &mut |row, _| {
        if let Some(Ok(key)) = row.get(name..).map(std::str::from_utf8) {
            keys.push(key.to_owned());
        }
        if keys.len() < KEYS_PER_REQUEST_MAX {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    })?;
    Ok(keys)
}

/// Names of the folders in a folder, in order; none where there is no such folder.
fn folders(
    ns: &Namespace<'_>,
    volume: &str,
    bucket: &str,
    path: &str,
) -> Result<Vec<String>, Failure> {
    let mut found: Vec<String> = Vec::new();
    let mut start_key = String::new();
    loop {
        let request = ListStatusRequest {
            key_args: KeyArgs {
                volume_name: volume.to_owned(),
                bucket_name: bucket.to_owned(),
                key_name: path.to_owned(),
                ..KeyArgs::default()
            },
            start_key: start_key.clone(),
            num_entries: PAGE_ROWS,
            ..ListStatusRequest::default()
        };
        let page = match list::children(&request, ns) {
            Ok(page) => page,
            Err(Failure::Refused(error)) if error.status == Status::FileNotFound => break,
            Err(error) => return Err(error),
        };
        let Some((last, _)) = page.last() else { break };
        // The start comes again; a page with nothing behind it is the last one.
        if last.key_name.trim_end_matches('/') == start_key {
            break;
        }
        last.key_name.trim_end_matches('/').clone_into(&mut start_key);
        for (key, is_folder) in page {
            let name = key.key_name.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
            let is_new = found.last().is_none_or(|last| last != name);
            if is_folder && is_new && key.key_name.starts_with(&format!("{path}/")) {
                found.push(name.to_owned());
            }
        }
    }
    Ok(found)
}
