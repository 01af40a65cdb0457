//! `DeleteKey`: a key; in a tree also a folder, which takes what is in it along.

use om_proto::{DeleteKeyRequest, DeleteKeyResponse, KeyInfo, OmResponse, Status};

use crate::command::file::status;
use crate::command::{BlocksWanted, Caller, Write};
use crate::error::Failure;
use crate::key::{self, mark};
use crate::layout::{Bucket, Leaf};
use crate::names;
use crate::namespace::{At, Namespace};
use crate::quota;
use crate::tables;

/// Tables in which children of a folder of a tree are.
const CHILDREN: [usize; 2] = [tables::FILE.slot, tables::DIRECTORY.slot];

impl Write for DeleteKeyRequest {
    fn prepare(
        &mut self,
        ns: &Namespace<'_>,
        caller: &Caller<'_>,
    ) -> Result<Option<BlocksWanted>, Failure> {
        names::check_not_snapshot(&self.key_args.key_name, "delete")?;
        let bucket = super::prepare_existing(&mut self.key_args, ns, caller)?;
        if !bucket.layout.is_tree() {
            return Ok(None);
        }
        let name = &self.key_args.key_name;
        match bucket.walk(ns, name, true)?.leaf {
            Leaf::Free | Leaf::BelowFile(_) => {
                return Err(status::not_in_tree(&bucket, name));
            }
            Leaf::Folder(folder) if !self.key_args.recursive.unwrap_or(false) => {
                let below = bucket.rows_below(folder.object_id.unwrap_or(0));
                for slot in CHILDREN {
                    ns.foresee_prefix(slot, &below)?;
                }
            }
            Leaf::Folder(_) | Leaf::File(_) => {}
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
        match bucket.walk(ns, &args.key_name, false)?.leaf {
            Leaf::File(key) => {
                delete_file(ns, &mut bucket, key, at)?;
            }
            Leaf::Folder(folder) => {
                if !args.recursive.unwrap_or(false) && has_children(ns, &bucket, &folder)? {
                    let message = format!("Directory is not empty. Key:{}", args.key_name);
                    return Err(Failure::new(Status::DirectoryNotEmpty, message));
                }
                delete_folder(ns, &mut bucket, folder, at)?;
            }
            Leaf::Free | Leaf::BelowFile(_) => {
                let message = if bucket.layout.is_tree() {
                    format!("Key not found. Key:{}", args.key_name)
                } else {
                    "Key not found".to_owned()
                };
                return Err(Failure::new(Status::KeyNotFound, message));
            }
        }
        ns.keep_bucket(&bucket.info);
        reply.delete_key_response = Some(Box::new(DeleteKeyResponse::default()));
        Ok(())
    }
}

/// Removes a key; its blocks go to the deleted table. The caller writes the bucket back.
///
/// # Errors
/// The store failed.
pub(crate) fn delete_file(
    ns: &mut Namespace<'_>,
    bucket: &mut Bucket,
    file: KeyInfo,
    at: At,
) -> Result<(), Failure> {
    let row = bucket.row_of(&file);
    key::mark_writer(ns, bucket, &row, &file, mark::DELETED, at)?;
    let has_blocks = !key::is_empty(&file);
    quota::release(bucket.info_mut(), key::replicated_blocks(&file), 1, has_blocks);
    ns.remove(bucket.layout.keys(), row);
    if has_blocks {
        let (name, id) = (file.key_name.clone(), file.object_id.unwrap_or(0));
        key::retire(ns, bucket, &name, id, vec![file], at)?;
    }
    Ok(())
}

/// Takes a folder out of the tree, with all below it, for the directory deleting service. The caller
/// writes the bucket back.
///
/// # Errors
/// The store failed.
pub(crate) fn delete_folder(
    ns: &mut Namespace<'_>,
    bucket: &mut Bucket,
    mut folder: KeyInfo,
    at: At,
) -> Result<(), Failure> {
    if !bucket.layout.is_tree() {
        return delete_file(ns, bucket, folder, at);
    }
    quota::release(bucket.info_mut(), 0, 1, true);
    let row = bucket.row_of(&folder);
    folder.update_id = Some(at.index);
    let deleted_row = tables::with_id(&row, folder.object_id.unwrap_or(0));
    ns.remove(&tables::DIRECTORY, row);
    ns.put(&tables::DELETED_DIRECTORY, deleted_row, &folder);
    Ok(())
}

fn has_children(ns: &Namespace<'_>, bucket: &Bucket, folder: &KeyInfo) -> Result<bool, Failure> {
    if !bucket.layout.is_tree() {
        return Ok(false);
    }
    let below = bucket.rows_below(folder.object_id.unwrap_or(0));
    for slot in CHILDREN {
        if ns.has_prefix(slot, &below)? {
            return Ok(true);
        }
    }
    Ok(false)
}
