//! `DeleteKeys`: many keys of a bucket; those that are not there, and those that the caller may not
//! delete, are reported and stay.

use std::cmp::Reverse;
use std::collections::HashSet;

use om_proto::{
    DeleteKeyArgs, DeleteKeyError, DeleteKeysRequest, DeleteKeysResponse, OmResponse, Status,
};

use super::delete::{delete_file, delete_folder};
use crate::command::{BlocksWanted, Caller, Write};
use crate::error::Failure;
use crate::layout::Leaf;
use crate::namespace::{At, Namespace};
use crate::rights;

/// Keys that are looked up before the batch is applied: every writer waits for that.
const AHEAD_KEYS_MAX: usize = 10_000;

/// Names with their places in the request. All are there when the batch begins (`OMKeysDeleteRequest` finds
/// them first): in a tree, what lies in a folder goes before the folder takes it along.
fn deepest_first(names: Vec<String>, is_tree: bool) -> Vec<(usize, String)> {
    let mut names: Vec<(usize, String)> = names.into_iter().enumerate().collect();
    if is_tree {
        names.sort_by_cached_key(|(_, name)| {
            Reverse(name.split('/').filter(|part| !part.is_empty()).count())
        });
    }
    names
}

impl Write for DeleteKeysRequest {
    fn prepare(
        &mut self,
        ns: &Namespace<'_>,
        caller: &Caller<'_>,
    ) -> Result<Option<BlocksWanted>, Failure> {
        self.denied.clear();
        if let Some(args) = &self.delete_keys {
            let bucket = ns.resolve(&args.volume_name, &args.bucket_name)?;
            self.denied = rights::denied_keys(args, ns, caller)?;
            let ahead = ns.ahead();
            for name in args.keys.iter().take(AHEAD_KEYS_MAX) {
                bucket.walk(&ahead, &bucket.key_name(name), false)?;
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
        let args = self.delete_keys.unwrap_or_default();
        let mut bucket = ns.resolve(&args.volume_name, &args.bucket_name)?;
        let denied: HashSet<String> = self.denied.into_iter().collect();
        let mut left = Vec::new();
        for (place, name) in deepest_first(args.keys, bucket.layout.is_tree()) {
            match bucket.walk(ns, &bucket.key_name(&name), false)?.leaf {
                Leaf::File(_) | Leaf::Folder(_) if denied.contains(&name) => {
                    left.push((place, name, "ACCESS_DENIED", "ACL check failed"));
                }
                Leaf::File(key) => delete_file(ns, &mut bucket, key, at)?,
                Leaf::Folder(folder) => delete_folder(ns, &mut bucket, folder, at)?,
                Leaf::Free | Leaf::BelowFile(_) => {
                    left.push((place, name, "KEY_NOT_FOUND", "Key does not exist"));
                }
            }
        }
        left.sort_unstable_by_key(|(place, ..)| *place);
        let complete = left.is_empty();
        ns.keep_bucket(&bucket.info);
        if !complete {
            reply.status = Status::PartialDelete.into();
            reply.success = Some(false);
        }
        let errors = left
            .iter()
            .map(|(_, key, code, message)| DeleteKeyError {
                key: Some(key.clone()),
                error_code: Some((*code).to_owned()),
                error_msg: Some((*message).to_owned()),
            })
            .collect();
        // Under the names of the request, which may be those of a link.
        let un_deleted_keys = Some(DeleteKeyArgs {
            volume_name: args.volume_name,
            bucket_name: args.bucket_name,
            keys: left.into_iter().map(|(_, key, ..)| key).collect(),
        });
        let response = DeleteKeysResponse { un_deleted_keys, status: Some(complete), errors };
        reply.delete_keys_response = Some(Box::new(response));
        Ok(())
    }
}
