//! `RenameKey`: a key; in a tree also a folder with all that is in it.

use om_proto::{KeyArgs, KeyInfo, OmResponse, RenameKeyRequest, RenameKeyResponse, Status};

use crate::command::file::status;
use crate::command::{BlocksWanted, Caller, Write};
use crate::error::{Failure, OmError};
use crate::layout::{Bucket, Leaf, key_as_folder};
use crate::names;
use crate::namespace::{At, Namespace};
use crate::tables;

impl Write for RenameKeyRequest {
    fn prepare(
        &mut self,
        ns: &Namespace<'_>,
        caller: &Caller<'_>,
    ) -> Result<Option<BlocksWanted>, Failure> {
        if ns.rules.key_characters_checked {
            names::check_key_characters(&self.to_key_name)?;
        }
        let bucket = super::prepare_existing(&mut self.key_args, ns, caller)?;
        self.to_key_name = bucket.key_name(&self.to_key_name);
        if bucket.layout.normalizes() && !self.to_key_name.is_empty() {
            self.to_key_name = names::normalize_new(&self.to_key_name)?;
        }
        let from = &self.key_args.key_name;
        if bucket.layout.is_tree() {
            if from.is_empty() {
                let message = "Invalid KeyPath, empty keyName";
                return Err(Failure::new(Status::InvalidKeyName, message));
            }
            if node(ns, &bucket, from)?.is_none() {
                return Err(status::not_in_tree(&bucket, from));
            }
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
        let args = &self.key_args;
        let mut bucket = ns.bucket(&args.volume_name, &args.bucket_name)?;
        if bucket.layout.is_tree() {
            in_tree(ns, &mut bucket, args, &self.to_key_name, at)?;
        } else {
            flat(ns, &bucket, args, &self.to_key_name, at)?;
        }
        reply.rename_key_response = Some(Box::new(RenameKeyResponse::default()));
        Ok(())
    }
}

fn flat(
    ns: &mut Namespace<'_>,
    bucket: &Bucket,
    args: &KeyArgs,
    to: &str,
    at: At,
) -> Result<(), Failure> {
    let from = &args.key_name;
    if from.is_empty() || to.is_empty() {
        return Err(Failure::new(Status::InvalidKeyName, "Key name is empty"));
    }
    let (from_row, to_row) = (bucket.flat_row(from), bucket.flat_row(to));
    if ns.has(&tables::KEY, &to_row)? {
        let message = format!("Key already exists {to}");
        return Err(Failure::new(Status::KeyAlreadyExists, message));
    }
    let Some(mut key) = ns.get(&tables::KEY, &from_row)? else {
        let message = format!("Key not found {}", String::from_utf8_lossy(&from_row));
        return Err(Failure::new(Status::KeyNotFound, message));
    };

    to.clone_into(&mut key.key_name);
    key.update_id = Some(at.index);
    key.modification_time = args.modification_time.unwrap_or(key.modification_time);
    ns.remove(&tables::KEY, from_row);
    ns.put(&tables::KEY, to_row, &key);
    Ok(())
}

/// A key or folder, and which of the two.
struct Node {
    info: KeyInfo,
    is_folder: bool,
}

fn node(ns: &Namespace<'_>, bucket: &Bucket, name: &str) -> Result<Option<Node>, Failure> {
    Ok(match bucket.walk(ns, name, true)?.leaf {
        Leaf::File(info) => Some(Node { info, is_folder: false }),
        Leaf::Folder(info) => Some(Node { info, is_folder: true }),
        Leaf::Free | Leaf::BelowFile(_) => None,
    })
}

fn in_tree(
    ns: &mut Namespace<'_>,
    bucket: &mut Bucket,
    args: &KeyArgs,
    to: &str,
    at: At,
) -> Result<(), Failure> {
    let from = args.key_name.as_str();
    if from.is_empty() {
        return Err(Failure::new(Status::InvalidKeyName, "Source key name is empty"));
    }
    let Some(source) = node(ns, bucket, from)? else {
        return Err(Failure::new(Status::KeyNotFound, format!("Key not found {from}")));
    };
    if crate::key::hsync_client(&source.info).is_some() {
        let (volume, name) = bucket.names();
        return Err(Failure::new(
            Status::RenameOpenFile,
            format!(
                "Open file cannot be renamed since it is hsync'ed: volumeName={volume}, \
                 bucketName={name}, key={from}"
            ),
        ));
    }
    if source.is_folder && to.strip_prefix(from).is_some_and(|rest| rest.starts_with('/')) {
        let message = "Cannot rename a directory to its own subdirectory";
        return Err(Failure::new(Status::KeyRenameError, message));
    }
    // The root of the bucket is a folder: what goes there keeps its name.
    let target = if to.is_empty() { None } else { node(ns, bucket, to)? };
    let exists = |message: String| Err(OmError::new(Status::KeyAlreadyExists, message).into());
    let (parent, name) = match target {
        Some(target) if target.info.key_name == source.info.key_name => {
            if target.is_folder {
                return exists(format!("Key already exists {to}"));
            }
            return Ok(());
        }
        Some(target) if target.is_folder => {
            let name = names::leaf(from).to_owned();
            let inside = format!("{to}/{name}");
            if node(ns, bucket, &inside)?.is_some() {
                return exists(format!(
                    "Failed to rename {from} to {inside}, file already exists or not empty!"
                ));
            }
            (Some(target.info), name)
        }
        Some(_) => return exists(format!("Failed to rename, key already exists {to}")),
        None if to.is_empty() => (None, names::leaf(from).to_owned()),
        None => (parent_of(ns, bucket, to)?, names::leaf(to).to_owned()),
    };
    let old_parent = parent_of(ns, bucket, from)?;
    move_node(ns, bucket, source, parent, old_parent, &name, args, at);
    Ok(())
}

/// The folder that holds `name`; `None` for the bucket itself.
fn parent_of(ns: &Namespace<'_>, bucket: &Bucket, name: &str) -> Result<Option<KeyInfo>, Failure> {
    let Some(parent) = names::parent(name) else { return Ok(None) };
    match node(ns, bucket, parent)? {
        Some(Node { info, is_folder: true }) => Ok(Some(info)),
        Some(_) => Err(Failure::new(
            Status::KeyRenameError,
            format!("Failed to get parent dir {name}, {parent} is a file"),
        )),
        None => Err(Failure::new(
            Status::KeyRenameError,
            format!("Failed to get parent dir {name}, {parent} doesn't exist"),
        )),
    }
}

fn move_node(
    ns: &mut Namespace<'_>,
    bucket: &mut Bucket,
    mut source: Node,
    new_parent: Option<KeyInfo>,
    old_parent: Option<KeyInfo>,
    name: &str,
    args: &KeyArgs,
    at: At,
) {
    let old_row = bucket.row_of(&source.info);
    let bucket_id = bucket.id();
    let parent_id =
        new_parent.as_ref().map_or(bucket_id, |parent| parent.object_id.unwrap_or(bucket_id));
    source.info.parent_id = Some(parent_id);
    source.info.update_id = Some(at.index);
    name.clone_into(&mut source.info.key_name);
    let new_row = bucket.row_of(&source.info);
    if source.is_folder {
        ns.remove(&tables::DIRECTORY, old_row);
        ns.put(&tables::DIRECTORY, new_row, &key_as_folder(&source.info));
    } else {
        ns.remove(&tables::FILE, old_row);
        ns.put(&tables::FILE, new_row, &source.info);
    }
    let now = args.modification_time.unwrap_or(0);
    for parent in [new_parent, old_parent] {
        match parent {
            Some(mut folder) => {
                folder.modification_time = now;
                folder.update_id = Some(at.index);
                ns.put(&tables::DIRECTORY, bucket.row_of(&folder), &key_as_folder(&folder));
            }
            None => {
                bucket.info_mut().modification_time = Some(now);
                ns.keep_bucket(&bucket.info);
            }
        }
    }
}
