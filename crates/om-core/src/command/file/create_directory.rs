//! `CreateDirectory`, with all that is missing above it.

use om_proto::{CreateDirectoryRequest, CreateDirectoryResponse, OmResponse, Status};

use crate::command::{BlocksWanted, Caller, Write};
use crate::error::Failure;
use crate::layout::Leaf;
use crate::names;
use crate::namespace::{At, Namespace};
use crate::quota;

impl Write for CreateDirectoryRequest {
    fn prepare(
        &mut self,
        ns: &Namespace<'_>,
        caller: &Caller<'_>,
    ) -> Result<Option<BlocksWanted>, Failure> {
        let args = &mut self.key_args;
        names::check_not_snapshot(&args.key_name, "create")?;
        let bucket = ns.resolve(&args.volume_name, &args.bucket_name)?;
        if bucket.layout.normalizes() && !args.key_name.is_empty() {
            args.key_name = names::normalize(&args.key_name, false);
        }
        let (volume, name) = bucket.names();
        volume.clone_into(&mut args.volume_name);
        name.clone_into(&mut args.bucket_name);
        args.modification_time = Some(caller.now);
        args.owner_name.get_or_insert_default();
        args.acls = caller.acls().chain(std::mem::take(&mut args.acls)).collect();
        Ok(None)
    }

    fn apply(
        self,
        at: At,
        user: &str,
        ns: &mut Namespace<'_>,
        reply: &mut OmResponse,
    ) -> Result<(), Failure> {
        reply.create_directory_response = Some(Box::new(CreateDirectoryResponse::default()));
        let args = self.key_args;
        let name = &args.key_name;
        if name.is_empty() {
            return Err(Failure::new(
                Status::CannotCreateDirectoryAtRoot,
                "Directory create failed. Cannot create directory at root of the filesystem",
            ));
        }
        let mut bucket = ns.bucket(&args.volume_name, &args.bucket_name)?;
        let walk = bucket.walk(ns, name, true)?;
        let file = match &walk.leaf {
            Leaf::File(_) => Some(format!("/{}/{}/{name}", args.volume_name, args.bucket_name)),
            Leaf::BelowFile(file) => Some(file.clone()),
            Leaf::Folder(_) => {
                // The client takes this status for success.
                reply.status = Status::DirectoryAlreadyExists.into();
                return Ok(());
            }
            Leaf::Free => None,
        };
        if let Some(file) = file {
            let place = format!("{}/{}", args.volume_name, args.bucket_name);
            let mut message =
                format!("Unable to create directory: {name} in volume/bucket: {place}");
            if bucket.layout.is_tree() {
                message += &format!(" as file:{file} already exists");
            }
            return Err(Failure::new(Status::FileAlreadyExists, message));
        }
        walk.check_depth()?;
        let created = walk.missing.len() + 1;
        quota::check_names(&bucket.info, created)?;

        quota::charge(bucket.info_mut(), 0, created);
        walk.put_missing(ns, &bucket, user, &args, at);
        walk.put_folder(ns, &bucket, user, &args, at);
        ns.keep_bucket(&bucket.info);
        Ok(())
    }
}
