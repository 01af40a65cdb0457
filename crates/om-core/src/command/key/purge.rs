//! `PurgeKeys`: SCM has taken note of deleted blocks; forget the keys and what they still occupied.

use om_proto::{OmResponse, PurgeKeysRequest, PurgeKeysResponse, Status};

use crate::command::{BlocksWanted, Caller, Write};
use crate::error::Failure;
use crate::namespace::{At, Namespace};
use crate::quota;
use crate::tables;

impl Write for PurgeKeysRequest {
    fn prepare(
        &mut self,
        _: &Namespace<'_>,
        _: &Caller<'_>,
    ) -> Result<Option<BlocksWanted>, Failure> {
        Ok(None)
    }

    fn apply(
        self,
        _: At,
        _: &str,
        ns: &mut Namespace<'_>,
        reply: &mut OmResponse,
    ) -> Result<(), Failure> {
        let rows: Vec<String> = self.deleted_keys.into_iter().flat_map(|keys| keys.keys).collect();
        if rows.is_empty() && self.renamed_keys.is_empty() {
            return Err(Failure::new(
                Status::KeyDeletionError,
                "No keys found to be purged or renamed in the request.",
            ));
        }
        for purged in self.bucket_purge_keys_size {
            let Some(name) = purged.bucket_name_info else { continue };
            let (Some(volume), Some(bucket)) = (&name.volume_name, &name.bucket_name) else {
                continue;
            };
            let row = tables::bucket_key(volume, bucket);
            // A bucket that was deleted and made anew owes nothing.
            if let Some(mut info) = ns.get(&tables::BUCKET, &row)?
                && info.object_id == name.bucket_id
            {
                let bytes = purged.purged_bytes.unwrap_or(0);
                quota::purge(&mut info, bytes, purged.purged_namespace.unwrap_or(0));
                ns.put_bucket(&info);
            }
        }
        for row in rows {
            ns.remove(&tables::DELETED, row.into_bytes());
        }
        reply.purge_keys_response = Some(Box::new(PurgeKeysResponse::default()));
        Ok(())
    }
}
