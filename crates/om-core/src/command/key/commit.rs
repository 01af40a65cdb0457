//! `CommitKey`: an open key becomes a key.
//!
//! Blocks of the version that it replaces, and blocks that were allocated but not used, go to the
//! deleted table; the bucket pays for the new size and gets the old one back once that is purged.

use std::collections::HashSet;

use om_proto::{
    CommitKeyRequest, CommitKeyResponse, KeyArgs, KeyInfo, KeyLocation, OmResponse, Status,
};

use crate::command::{BlocksWanted, Caller, Write};
use crate::error::{Failure, OmError};
use crate::key::{self, block_of, location_list, mark};
use crate::layout::{Bucket, Leaf, Walk};
use crate::names;
use crate::namespace::{At, Namespace};
use crate::quota;
use crate::replication;
use crate::tables;

impl Write for CommitKeyRequest {
    fn prepare(
        &mut self,
        ns: &Namespace<'_>,
        caller: &Caller<'_>,
    ) -> Result<Option<BlocksWanted>, Failure> {
        let needs_hsync = self.hsync.unwrap_or(false) || self.recovery.unwrap_or(false);
        if needs_hsync && !ns.rules.hsync {
            return Err(Failure::new(
                Status::NotSupportedOperation,
                "Hsync is not enabled. To enable, set ozone.fs.hsync.enabled = true",
            ));
        }
        super::prepare_existing_checked(&mut self.key_args, ns, caller)?;
        for block in &mut self.key_args.key_locations {
            block.pipeline = None;
            block.token = None;
        }
        Ok(None)
    }

    fn apply(
        self,
        at: At,
        _: &str,
        ns: &mut Namespace<'_>,
        reply: &mut OmResponse,
    ) -> Result<(), Failure> {
        let args = self.key_args;
        let mut bucket = ns.bucket(&args.volume_name, &args.bucket_name)?;
        let walk = bucket.walk(ns, &args.key_name, false)?;
        let in_the_way = if bucket.layout.has_markers() {
            bucket.has_marker(ns, &args.key_name)?
        } else {
            matches!(walk.leaf, Leaf::Folder(_) | Leaf::BelowFile(_))
        };
        if in_the_way {
            let message = format!(
                "Can not create file: {} as there is already directory in the given path",
                args.key_name
            );
            return Err(Failure::new(Status::NotAFile, message));
        }
        if !has_folder(ns, &bucket, &walk)? {
            let message =
                format!("Cannot create file : {} as parent directory doesn't exist", args.key_name);
            return Err(Failure::new(Status::DirectoryNotFound, message));
        }
        let row = walk.row(&bucket, at);
        let existing = match walk.leaf {
            Leaf::File(existing) => Some(existing),
            Leaf::Free | Leaf::Folder(_) | Leaf::BelowFile(_) => None,
        };
        let lease = Lease {
            client: self.client_id,
            is_hsync: self.hsync.unwrap_or(false),
            is_recovery: self.recovery.unwrap_or(false),
        };
        let writer = lease.writer(existing.as_ref(), &row)?;
        let open_row = tables::with_id(&row, writer);
        let open = ns.get(bucket.layout.open_keys(), &open_row)?;
        let mut open = lease.check(open, &open_row, &args)?;
        check_generation(&open, existing.as_ref())?;
        let full_name = args.key_name.clone();
        let now = args.modification_time;
        let first_hsync = lease.is_hsync && key::hsync_client(&open) != Some(writer);
        if first_hsync {
            let client = writer.cast_signed().to_string();
            key::set_metadata(&mut open, mark::HSYNC_CLIENT, &client);
        }
        let still_open = first_hsync.then(|| open.clone());
        let (mut committed, unused) = finish(open, args, at);
        let writer_of_existing = existing.as_ref().and_then(key::hsync_client);
        let is_own = writer_of_existing.is_some() && writer_of_existing == Some(writer);
        let overwritten = existing.clone().filter(|_| !is_own && !lease.is_recovery);
        let retired = if is_own {
            grow(&mut bucket, &committed, existing.as_ref())?;
            None
        } else {
            settle(&mut bucket, &committed, existing)?
        };

        if let Some(existing) = &overwritten {
            key::mark_writer(ns, &bucket, &row, existing, mark::OVERWRITTEN, at)?;
        }
        let mut reclaim: Vec<KeyInfo> = Vec::new();
        reclaim.extend(retired);
        if !lease.is_hsync {
            reclaim.extend(pseudo_key(unused, &committed));
        }
        if !reclaim.is_empty() {
            key::retire(ns, &bucket, &full_name, at.object_id(0), reclaim, at)?;
        }
        if bucket.layout.is_tree() {
            committed.key_name = names::leaf(&full_name).to_owned();
        }
        if !lease.is_hsync {
            let gone = [mark::HSYNC_CLIENT, mark::LEASE_RECOVERY];
            committed.metadata.retain(|pair| !gone.contains(&pair.key.as_str()));
            ns.remove(bucket.layout.open_keys(), open_row);
        } else if let Some(mut open) = still_open {
            open.modification_time = now.unwrap_or(open.modification_time);
            ns.put(bucket.layout.open_keys(), open_row, &open);
        }
        ns.put(bucket.layout.keys(), row, &committed);
        ns.keep_bucket(&bucket.info);
        let _ = CommitKeyResponse::default(); // the genuine reply has no body
        let _ = reply;
        Ok(())
    }
}

/// Whether the folder of a name is still there. Where folders are markers, only the marker counts: a
/// file of the same name may stand beside it.
fn has_folder(ns: &Namespace<'_>, bucket: &Bucket, walk: &Walk) -> Result<bool, Failure> {
    match names::parent(&walk.name) {
        Some(parent) if bucket.layout.has_markers() => bucket.has_marker(ns, parent),
        _ => Ok(walk.missing.is_empty()),
    }
}

/// Who commits, and whether the key stays open.
struct Lease {
    client: u64,
    is_hsync: bool,
    is_recovery: bool,
}

impl Lease {
    /// The client whose open key is committed: recovery closes that of the last hsync.
    fn writer(&self, existing: Option<&KeyInfo>, row: &[u8]) -> Result<u64, OmError> {
        let Some(existing) = existing.filter(|_| self.is_recovery) else { return Ok(self.client) };
        key::hsync_client(existing).ok_or_else(|| {
            let row = String::from_utf8_lossy(row);
            let message = format!("Failed to recovery key, as {row} is already closed");
            OmError::new(Status::KeyAlreadyClosed, message)
        })
    }

    /// The open key, if it may be committed in this way.
    fn check(
        &self,
        open: Option<KeyInfo>,
        open_row: &[u8],
        args: &KeyArgs,
    ) -> Result<KeyInfo, OmError> {
        let row = String::from_utf8_lossy(open_row);
        let Some(open) = open else {
            let action = match (self.is_recovery, self.is_hsync) {
                (true, _) => "recovery",
                (false, true) => "hsync",
                (false, false) => "commit",
            };
            let message =
                format!("Failed to {action} key, as {row} entry is not found in the OpenKey table");
            return Err(OmError::new(Status::KeyNotFound, message));
        };
        if key::is_dead(&open) {
            let message = format!("Open Key {} is already deleted/overwritten", args.key_name);
            return Err(OmError::new(Status::KeyNotFound, message));
        }
        let recovering = key::metadata(&open, mark::LEASE_RECOVERY).is_some();
        if recovering && key::hsync_client(&open).is_some() && !self.is_recovery {
            return Err(OmError::new(
                Status::KeyUnderLeaseRecovery,
                format!(
                    "Cannot commit key {row} with {} metadata while recovery flag is not set in \
                     request",
                    mark::LEASE_RECOVERY
                ),
            ));
        }
        Ok(open)
    }
}

/// Accounts of a key that was visible before, by the same writer.
fn grow(
    bucket: &mut Bucket,
    committed: &KeyInfo,
    existing: Option<&KeyInfo>,
) -> Result<(), OmError> {
    let before = existing.map_or(0, key::replicated_size).cast_signed();
    let space = key::replicated_size(committed).cast_signed() - before;
    let info = bucket.info_mut();
    quota::check_bytes(info, space)?;
    quota::charge(info, space, 0);
    Ok(())
}

/// The open key with its final size and blocks, and the blocks that were not used.
/// Pipelines that the client sent with them are kept.
pub(crate) fn finish(open: KeyInfo, args: KeyArgs, at: At) -> (KeyInfo, Vec<KeyLocation>) {
    let mut key = open;
    key.expected_data_generation = None;
    for pair in args.metadata {
        key.metadata.retain(|old| old.key != pair.key);
        key.metadata.push(pair);
    }
    key.update_id = Some(at.index);
    key.data_size = args.data_size.unwrap_or(0);
    key.modification_time = args.modification_time.unwrap_or(key.modification_time);
    if key.key_location_list.is_empty() {
        key.key_location_list.push(location_list(0, Vec::new()));
    }
    let mut unused = Vec::new();
    if let Some(latest) = key.key_location_list.last_mut() {
        let version = latest.version.unwrap_or(0);
        let allocated = std::mem::take(&mut latest.key_locations);
        if allocated.is_empty() {
            return (key, Vec::new());
        }
        let known: HashSet<(i64, i64)> = allocated.iter().map(block_of).collect();
        latest.key_locations = args
            .key_locations
            .into_iter()
            .filter(|block| known.contains(&block_of(block)))
            .map(|mut block| {
                block.create_version = Some(version);
                key::complete(&mut block);
                block
            })
            .collect();
        let used: HashSet<(i64, i64)> = latest.key_locations.iter().map(block_of).collect();
        unused.extend(allocated.into_iter().filter(|block| !used.contains(&block_of(block))));
    }
    (key, unused)
}

/// Checks and writes the accounts; what of the replaced version must be reclaimed.
fn settle(
    bucket: &mut Bucket,
    committed: &KeyInfo,
    replaced: Option<KeyInfo>,
) -> Result<Option<KeyInfo>, OmError> {
    let mut space = key::replicated_size(committed).cast_signed();
    let info = bucket.info_mut();
    let Some(mut old) = replaced.filter(|_| !info.is_version_enabled) else {
        quota::check_names(info, 1)?;
        quota::check_bytes(info, space)?;
        quota::charge(info, space, 1);
        return Ok(None);
    };
    // Blocks that live on in the new version must not be reclaimed, nor paid twice.
    let kept: HashSet<(i64, i64)> = key::blocks(committed).map(block_of).collect();
    let replication = replication::of_stored(&old);
    for list in &mut old.key_location_list {
        list.key_locations.retain(|block| {
            let shared = kept.contains(&block_of(block));
            if shared {
                space -= replication.replicated_size(block.length).cast_signed();
            }
            !shared
        });
    }
    quota::check_names(info, 1)?;
    quota::check_bytes(info, space)?;
    let reclaim = !key::is_empty(&old);
    quota::release(info, key::replicated_blocks(&old), 1, reclaim);
    quota::charge(info, space, 1);
    Ok(reclaim.then_some(old))
}

/// Blocks without a key, to be reclaimed.
pub(crate) fn pseudo_key(unused: Vec<KeyLocation>, committed: &KeyInfo) -> Option<KeyInfo> {
    if unused.is_empty() || committed.data_size == 0 {
        return None;
    }
    Some(KeyInfo {
        object_id: Some(key::RECLAIM_BLOCKS),
        key_location_list: vec![location_list(0, unused)],
        ..committed.clone()
    })
}

/// The expectation of an atomic write still holds.
fn check_generation(open: &KeyInfo, existing: Option<&KeyInfo>) -> Result<(), OmError> {
    let Some(expected) = open.expected_data_generation else { return Ok(()) };
    let conflict = |message: String| Err(OmError::new(Status::AtomicWriteConflict, message));
    match (expected, existing) {
        (0, None) => Ok(()),
        (0, Some(_)) => {
            conflict("Atomic create-if-not-exists conflicted with an existing key".to_owned())
        }
        (_, None) => {
            conflict("Atomic rewrite conflicted because the key no longer exists".to_owned())
        }
        (expected, Some(existing)) => {
            let current = existing.update_id.unwrap_or(0);
            if current == expected {
                return Ok(());
            }
            conflict(format!(
                "Cannot commit as current generation ({current}) does not match the expected \
                 generation to rewrite ({expected})"
            ))
        }
    }
}
