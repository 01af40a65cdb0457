//! `CreateKey`: a key under way, invisible until it is committed.

use om_proto::{CreateKeyRequest, CreateKeyResponse, KeyLocation, OmResponse, Status};

use super::open;
use crate::command::{BlocksWanted, Caller, Write};
use crate::error::Failure;
use crate::layout::Leaf;
use crate::namespace::{At, Namespace};

impl Write for CreateKeyRequest {
    fn prepare(
        &mut self,
        ns: &Namespace<'_>,
        caller: &Caller<'_>,
    ) -> Result<Option<BlocksWanted>, Failure> {
        let blocks = open::prepare(&mut self.key_args, ns, caller, 0)?;
        self.client_id = Some(caller.unique_id);
        Ok(blocks)
    }

    fn provide(&mut self, blocks: Vec<KeyLocation>) {
        self.key_args.key_locations = blocks;
    }

    fn apply(
        self,
        at: At,
        user: &str,
        ns: &mut Namespace<'_>,
        reply: &mut OmResponse,
    ) -> Result<(), Failure> {
        let args = self.key_args;
        let client = self.client_id.unwrap_or(0);
        let mut bucket = ns.bucket(&args.volume_name, &args.bucket_name)?;
        let walk = bucket.walk(ns, &args.key_name, false)?;
        // What the client expects is judged before what is in its way.
        if !matches!(walk.leaf, Leaf::File(_)) {
            open::check_expectations(&args, None)?;
        }
        match &walk.leaf {
            Leaf::Folder(_) => {
                return Err(Failure::new(
                    Status::NotAFile,
                    format!(
                        "Cannot write to directory. createIntermediateDirs behavior is enabled and \
                         hence / has special interpretation: {}",
                        args.key_name
                    ),
                ));
            }
            Leaf::BelowFile(_) => {
                return Err(Failure::new(
                    Status::NotAFile,
                    format!(
                        "Can not create file: {} as there is already file in the given path",
                        args.key_name
                    ),
                ));
            }
            Leaf::Free | Leaf::File(_) => {}
        }
        let key_info = open::apply(args, client, &mut bucket, walk, at, user, ns)?;
        let open_version = key_info.latest_version;
        reply.create_key_response = Some(Box::new(CreateKeyResponse {
            key_info: Some(key_info),
            id: Some(client),
            open_version,
        }));
        Ok(())
    }
}
