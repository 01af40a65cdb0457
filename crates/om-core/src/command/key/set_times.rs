//! `SetTimes`: the modification time of a key or folder; access times are not kept.

use om_proto::{OmResponse, SetTimesRequest, SetTimesResponse, Status};

use crate::command::{BlocksWanted, Caller, Write};
use crate::error::{Failure, OmError};
use crate::layout::{Leaf, key_as_folder};
use crate::names;
use crate::namespace::{At, Namespace};
use crate::tables;

/// Leaves a time as it is.
const KEEP: i64 = -1;

impl Write for SetTimesRequest {
    fn prepare(
        &mut self,
        ns: &Namespace<'_>,
        caller: &Caller<'_>,
    ) -> Result<Option<BlocksWanted>, Failure> {
        super::prepare_existing_checked(&mut self.key_args, ns, caller)?;
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
        let (mtime, atime) = (self.mtime.cast_signed(), self.atime.cast_signed());
        if mtime < KEEP || atime < KEEP {
            let message = format!("Invalid mtime {mtime} or atime {atime}");
            // Flat layouts give no reason.
            let bucket = ns.bucket(&args.volume_name, &args.bucket_name)?;
            let message = bucket.layout.is_tree().then_some(message);
            return Err(OmError { status: Status::InvalidRequest, message }.into());
        }
        let bucket = ns.bucket(&args.volume_name, &args.bucket_name)?;
        match bucket.walk(ns, &args.key_name, false)?.leaf {
            Leaf::File(mut key) => {
                let row = bucket.row_of(&key);
                if mtime != KEEP {
                    key.modification_time = self.mtime;
                }
                key.update_id = Some(at.index);
                if bucket.layout.is_tree() {
                    key.key_name = names::leaf(&key.key_name).to_owned();
                }
                ns.put(bucket.layout.keys(), row, &key);
            }
            Leaf::Folder(mut folder) => {
                let row = bucket.row_of(&folder);
                if mtime != KEEP {
                    folder.modification_time = self.mtime;
                }
                folder.update_id = Some(at.index);
                if bucket.layout.is_tree() {
                    ns.put(&tables::DIRECTORY, row, &key_as_folder(&folder));
                } else {
                    ns.put(&tables::KEY, row, &folder);
                }
            }
            Leaf::Free | Leaf::BelowFile(_) => {
                let message = format!("Key not found. Key:{}", args.key_name);
                let message = bucket.layout.is_tree().then_some(message);
                return Err(OmError { status: Status::KeyNotFound, message }.into());
            }
        }
        reply.set_times_response = Some(Box::new(SetTimesResponse::default()));
        Ok(())
    }
}
