//! `DeleteOpenKeys`: keys that were begun long ago and never committed.

use om_proto::{BucketLayoutProto, DeleteOpenKeysRequest, OmResponse};

use crate::command::{BlocksWanted, Caller, Write};
use crate::error::Failure;
use crate::key;
use crate::namespace::{At, Namespace};
use crate::tables;

impl Write for DeleteOpenKeysRequest {
    fn prepare(
        &mut self,
        _: &Namespace<'_>,
        _: &Caller<'_>,
    ) -> Result<Option<BlocksWanted>, Failure> {
        Ok(None)
    }

    fn apply(
        self,
        at: At,
        _: &str,
        ns: &mut Namespace<'_>,
        _: &mut OmResponse,
    ) -> Result<(), Failure> {
        let is_tree = self.bucket_layout == Some(BucketLayoutProto::FileSystemOptimized.into());
        let open_keys = if is_tree { &tables::OPEN_FILE } else { &tables::OPEN_KEY };
        for group in self.open_keys_per_bucket {
            let bucket = ns.bucket(&group.volume_name, &group.bucket_name);
            for open in group.keys {
                let row = open.name.into_bytes();
                let Some(open) = ns.get(open_keys, &row)? else { continue };
                ns.remove(open_keys, row);
                let has_blocks = !key::is_empty(&open);
                if let (Ok(bucket), true) = (&bucket, has_blocks) {
                    let name = open.key_name.clone();
                    key::retire(ns, bucket, &name, at.object_id(0), vec![open], at);
                }
            }
        }
        Ok(())
    }
}
