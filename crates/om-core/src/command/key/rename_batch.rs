//! `RenameKeys`: many keys of a flat bucket; those that cannot be renamed are reported.

use om_proto::{OmResponse, RenameKeysMap, RenameKeysRequest, RenameKeysResponse, Status};

use crate::command::{BlocksWanted, Caller, Write};
use crate::error::Failure;
use crate::namespace::{At, Namespace};
use crate::rights;
use crate::tables;

impl Write for RenameKeysRequest {
    fn prepare(
        &mut self,
        ns: &Namespace<'_>,
        caller: &Caller<'_>,
    ) -> Result<Option<BlocksWanted>, Failure> {
        let args = &mut self.rename_keys_args;
        let bucket = ns.resolve(&args.volume_name, &args.bucket_name)?;
        if bucket.layout.is_tree() {
            return Err(Failure::new(
                Status::NotSupportedOperation,
                "Request type RenameKeys not supported with bucket layout FILE_SYSTEM_OPTIMIZED",
            ));
        }
        let (volume, name) = bucket.names();
        volume.clone_into(&mut args.volume_name);
        name.clone_into(&mut args.bucket_name);
        self.denied = rights::denied_renames(args, ns, caller)?;
        Ok(None)
    }

    fn apply(
        self,
        at: At,
        _: &str,
        ns: &mut Namespace<'_>,
        reply: &mut OmResponse,
    ) -> Result<(), Failure> {
        let args = self.rename_keys_args;
        let bucket = ns.bucket(&args.volume_name, &args.bucket_name)?;
        let mut un_renamed_keys: Vec<RenameKeysMap> = Vec::new();
        for (at_pair, pair) in (0..).zip(args.rename_keys_map) {
            let (from, to) = (&pair.from_key_name, &pair.to_key_name);
            let (from_row, to_row) = (bucket.flat_row(from), bucket.flat_row(to));
            let movable = !from.is_empty()
                && !to.is_empty()
                && !self.denied.contains(&at_pair)
                && !ns.has(&tables::KEY, &to_row)?;
            let Some(mut key) = ns.get(&tables::KEY, &from_row)?.filter(|_| movable) else {
                un_renamed_keys.push(pair);
                continue;
            };
            to.clone_into(&mut key.key_name);
            key.update_id = Some(at.index);
            ns.remove(&tables::KEY, from_row);
            ns.put(&tables::KEY, to_row, &key);
        }
        let complete = un_renamed_keys.is_empty();
        if !complete {
            reply.status = Status::PartialRename.into();
            reply.success = Some(false);
        }
        let response = RenameKeysResponse { un_renamed_keys, status: Some(complete) };
        reply.rename_keys_response = Some(Box::new(response));
        Ok(())
    }
}
