//! `DeleteOpenKeys`: keys that were begun long ago and never committed.

use std::collections::BTreeMap;

use om_proto::{BucketLayoutProto, DeleteOpenKeysRequest, KeyInfo, OmResponse};

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
            // Several writers of one name share a row of the deleted table.
            let mut given_up: BTreeMap<String, Vec<KeyInfo>> = BTreeMap::new();
            for open in group.keys {
                let row = open.name.into_bytes();
                let Some(open) = ns.get(open_keys, &row)? else { continue };
                ns.remove(open_keys, row);
                if !key::is_empty(&open) {
                    // No bucket was charged for these blocks, so none gets anything back.
                    let open = KeyInfo { object_id: Some(key::RECLAIM_BLOCKS), ..open };
                    given_up.entry(open.key_name.clone()).or_default().push(open);
                }
            }
            let Ok(bucket) = &bucket else { continue };
            for (name, keys) in given_up {
                key::retire(ns, bucket, &name, at.object_id(0), keys, at)?;
            }
        }
        Ok(())
    }
}
