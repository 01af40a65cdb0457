//! `CreateFile`: as `CreateKey`, with the manners of a file system.

use om_proto::{CreateFileRequest, CreateFileResponse, KeyLocation, OmResponse, Status};

use crate::command::key::open;
use crate::command::{BlocksWanted, Caller, Write};
use crate::error::{Failure, OmError};
use crate::layout::{Leaf, Walk};
use crate::namespace::{At, Namespace};

impl Write for CreateFileRequest {
    fn prepare(
        &mut self,
        ns: &Namespace<'_>,
        caller: &Caller<'_>,
    ) -> Result<Option<BlocksWanted>, Failure> {
        if self.key_args.key_name.is_empty() {
            return Err(Failure::new(Status::NotAFile, "Can not write to directory: "));
        }
        let blocks = open::prepare(&mut self.key_args, ns, caller, 1)?;
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
        let mut bucket = ns.bucket(&self.key_args.volume_name, &self.key_args.bucket_name)?;
        let walk = bucket.walk(ns, &self.key_args.key_name, true)?;
        self.check(&walk)?;
        let client = self.client_id.unwrap_or(0);
        let key_info = open::apply(self.key_args, client, &mut bucket, walk, at, user, ns)?;
        let open_version = key_info.latest_version;
        reply.create_file_response = Some(Box::new(CreateFileResponse {
            key_info: Some(key_info),
            id: Some(client),
            open_version,
        }));
        Ok(())
    }
}

trait Manners {
    fn check(&self, walk: &Walk) -> Result<(), OmError>;
}

impl Manners for CreateFileRequest {
    fn check(&self, walk: &Walk) -> Result<(), OmError> {
        let name = &walk.name;
        match &walk.leaf {
            Leaf::File(_) if !self.is_overwrite => {
                Err(OmError::new(Status::FileAlreadyExists, format!("File {name} already exists")))
            }
            Leaf::Folder(_) => {
                Err(OmError::new(Status::NotAFile, format!("Can not write to directory: {name}")))
            }
            Leaf::BelowFile(_) => Err(OmError::new(
                Status::NotAFile,
                format!("Can not create file: {name} as there is already file in the given path"),
            )),
            Leaf::Free | Leaf::File(_) if !self.is_recursive && !walk.missing.is_empty() => {
                Err(OmError::new(
                    Status::DirectoryNotFound,
                    format!(
                        "Cannot create file : {name} as one of parent directory is not created"
                    ),
                ))
            }
            Leaf::Free | Leaf::File(_) => Ok(()),
        }
    }
}
