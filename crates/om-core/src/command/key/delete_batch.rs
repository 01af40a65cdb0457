//! `DeleteKeys`: many keys of a bucket; those that are not there are reported.

use om_proto::{
    DeleteKeyArgs, DeleteKeyError, DeleteKeysRequest, DeleteKeysResponse, OmResponse, Status,
};

use super::delete::{delete_file, delete_folder};
use crate::command::{BlocksWanted, Caller, Write};
use crate::error::Failure;
use crate::layout::Leaf;
use crate::namespace::{At, Namespace};

impl Write for DeleteKeysRequest {
    fn prepare(
        &mut self,
        ns: &Namespace<'_>,
        _: &Caller<'_>,
    ) -> Result<Option<BlocksWanted>, Failure> {
        if let Some(args) = &self.delete_keys {
            ns.resolve(&args.volume_name, &args.bucket_name)?;
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
        let mut missing = Vec::new();
        for name in args.keys {
            match bucket.walk(ns, &bucket.key_name(&name), false)?.leaf {
                Leaf::File(key) => delete_file(ns, &mut bucket, key, at)?,
                Leaf::Folder(folder) => delete_folder(ns, &mut bucket, folder, at)?,
                Leaf::Free | Leaf::BelowFile(_) => missing.push(name),
            }
        }
        let complete = missing.is_empty();
        ns.keep_bucket(&bucket.info);
        if !complete {
            reply.status = Status::PartialDelete.into();
            reply.success = Some(false);
        }
        let errors = missing
            .iter()
            .map(|key| DeleteKeyError {
                key: Some(key.clone()),
                error_code: Some("KEY_NOT_FOUND".to_owned()),
                error_msg: Some("Key does not exist".to_owned()),
            })
            .collect();
        let (volume_name, bucket_name) = bucket.names();
        let un_deleted_keys = Some(DeleteKeyArgs {
            volume_name: volume_name.to_owned(),
            bucket_name: bucket_name.to_owned(),
            keys: missing,
        });
        let response = DeleteKeysResponse { un_deleted_keys, status: Some(complete), errors };
        reply.delete_keys_response = Some(Box::new(response));
        Ok(())
    }
}
