//! `AllocateBlock`: one more block for a key under way.

use om_proto::{AllocateBlockRequest, AllocateBlockResponse, KeyLocation, OmResponse, Status};

use super::open;
use crate::command::{BlocksWanted, Caller, Write};
use crate::error::Failure;
use crate::key::{self, mark};
use crate::namespace::{At, Namespace};
use crate::quota;
use crate::replication;
use crate::tables;

impl Write for AllocateBlockRequest {
    fn prepare(
        &mut self,
        ns: &Namespace<'_>,
        caller: &Caller<'_>,
    ) -> Result<Option<BlocksWanted>, Failure> {
        let bucket = super::prepare_existing_checked(&mut self.key_args, ns, caller)?;
        let replication = replication::of_key(&self.key_args, &bucket.info, ns.rules)?;
        let exclude = self.exclude_list.clone().unwrap_or_default();
        Ok(Some(BlocksWanted { count: 1, replication, exclude }))
    }

    fn provide(&mut self, blocks: Vec<KeyLocation>) {
        self.key_location = blocks.into_iter().next();
    }

    fn apply(
        self,
        at: At,
        _: &str,
        ns: &mut Namespace<'_>,
        reply: &mut OmResponse,
    ) -> Result<(), Failure> {
        let args = &self.key_args;
        let Some(block) = self.key_location else {
            return Err(Failure::new(Status::InvalidRequest, "No block was allocated"));
        };
        let bucket = ns.bucket(&args.volume_name, &args.bucket_name)?;
        let walk = bucket.walk(ns, &args.key_name, false)?;
        let row = tables::with_id(&walk.row(&bucket, at), self.client_id);
        let open_keys = bucket.layout.open_keys();
        let Some(mut key) = ns.get(open_keys, &row)? else {
            let row = String::from_utf8_lossy(&row);
            return Err(Failure::new(Status::KeyNotFound, format!("Open Key not found {row}")));
        };
        if key::metadata(&key, mark::LEASE_RECOVERY).is_some() {
            let row = String::from_utf8_lossy(&row);
            let message = format!("Open Key {row} is under lease recovery");
            return Err(Failure::new(Status::KeyUnderLeaseRecovery, message));
        }
        if key::is_dead(&key) {
            let row = String::from_utf8_lossy(&row);
            let message = format!("Open Key {row} is already deleted/overwritten");
            return Err(Failure::new(Status::KeyNotFound, message));
        }
        let latest = key.key_location_list.last().map_or(0, |list| list.key_locations.len());
        let replication = replication::of_key(args, &bucket.info, ns.rules)?;
        let space = replication.replicated_size((latest as u64 + 1) * ns.rules.block_bytes);
        quota::check_bytes(&bucket.info, space.cast_signed())?;

        key.modification_time = args.modification_time.unwrap_or(key.modification_time);
        key.update_id = Some(at.index);
        let mut stored = block.clone();
        key::compact(&mut stored);
        open::append(&mut key, vec![stored]);
        ns.put(open_keys, row, &key);
        let response = AllocateBlockResponse { key_location: Some(block) };
        reply.allocate_block_response = Some(Box::new(response));
        Ok(())
    }
}
