//! `InitiateMultiPartUpload`.

use om_proto::{
    KeyArgs, KeyInfo, MultipartInfoInitiateRequest, MultipartInfoInitiateResponse,
    MultipartKeyInfo, OmResponse, Status,
};
use uuid::Builder;

use crate::acl;
use crate::command::{BlocksWanted, Caller, Write};
use crate::error::Failure;
use crate::key::location_list;
use crate::layout::{Bucket, Leaf, Walk};
use crate::namespace::{At, Namespace};
use crate::quota;
use crate::replication;
use crate::tables;

impl Write for MultipartInfoInitiateRequest {
    fn prepare(
        &mut self,
        ns: &Namespace<'_>,
        caller: &Caller<'_>,
    ) -> Result<Option<BlocksWanted>, Failure> {
        let args = &mut self.key_args;
        super::prepare(args, ns, caller)?;
        crate::command::key::stamp_new(args, caller);
        args.multipart_upload_id = Some(upload_id(caller));
        Ok(None)
    }

    fn apply(
        self,
        at: At,
        user: &str,
        ns: &mut Namespace<'_>,
        reply: &mut OmResponse,
    ) -> Result<(), Failure> {
        let args = self.key_args;
        let mut bucket = ns.bucket(&args.volume_name, &args.bucket_name)?;
        let walk = walk(ns, &bucket, &args)?;
        let replication = replication::of_key(&args, &bucket.info, ns.rules)?;
        // In flat layouts the folders come with the finished key or never.
        if bucket.layout.is_tree() && !walk.missing.is_empty() {
            quota::check_names(&bucket.info, walk.missing.len())?;
            walk.put_missing(ns, &bucket, user, &args, at);
            quota::charge(bucket.info_mut(), 0, walk.missing.len());
            ns.put_bucket(&bucket.info);
        }
        let upload_id = args.multipart_upload_id.clone().unwrap_or_default();
        let now = args.modification_time.unwrap_or(0);
        let (object_id, parent_id) = (walk.object_id(&bucket, at), walk.parent_id(at));
        let mut key = KeyInfo {
            volume_name: args.volume_name.clone(),
            bucket_name: args.bucket_name.clone(),
            key_name: args.key_name.clone(),
            key_location_list: vec![location_list(0, Vec::new())],
            creation_time: now,
            modification_time: now,
            latest_version: Some(0),
            acls: acl::of_key_in(ns, &bucket, &walk, user, &args)?,
            metadata: args.metadata,
            tags: args.tags,
            file_encryption_info: args.file_encryption_info,
            object_id: Some(object_id),
            update_id: Some(at.index),
            parent_id: Some(parent_id),
            is_file: Some(false),
            owner_name: args.owner_name,
            ..KeyInfo::default()
        };
        key.key_location_list[0].is_multipart_key = Some(true);
        replication::write_to(replication, &mut key);
        let upload = MultipartKeyInfo {
            upload_id: upload_id.clone(),
            creation_time: now,
            r#type: key.r#type,
            factor: key.factor,
            ec_replication_config: key.ec_replication_config.clone(),
            object_id: Some(object_id),
            update_id: Some(at.index),
            parent_id: Some(parent_id),
            schema_version: Some(0),
            ..MultipartKeyInfo::default()
        };
        ns.put(bucket.layout.open_keys(), super::open_row(&bucket, &key.key_name, &upload), &key);
        let row = super::row_of(&bucket, &key.key_name, &upload_id);
        ns.put(&tables::MULTIPART_INFO, row, &upload);
        reply.initiate_multi_part_upload_response = Some(Box::new(MultipartInfoInitiateResponse {
            volume_name: args.volume_name,
            bucket_name: args.bucket_name,
            key_name: args.key_name,
            multipart_upload_id: upload_id,
        }));
        Ok(())
    }
}

fn walk(ns: &Namespace<'_>, bucket: &Bucket, args: &KeyArgs) -> Result<Walk, Failure> {
    let walk = bucket.walk(ns, &args.key_name, false)?;
    walk.check_depth()?;
    match &walk.leaf {
        Leaf::Folder(_) if bucket.layout.is_tree() => Err(Failure::new(
            Status::NotAFile,
            format!("Can not write to directory: {}", args.key_name),
        )),
        Leaf::BelowFile(_) if bucket.layout.is_tree() => Err(Failure::new(
            Status::NotAFile,
            format!(
                "Can not create file: {} as there is already file in the given path",
                args.key_name
            ),
        )),
        _ => Ok(walk),
    }
}

/// `<UUID version 7>-<unique id>` (`OMMultipartUploadUtils.getMultipartUploadId`).
fn upload_id(caller: &Caller<'_>) -> String {
    let random = (caller.random)();
    let mut tail = [0; 10];
    tail.copy_from_slice(&random[..10]);
    let uuid = Builder::from_unix_timestamp_millis(caller.now, &tail).into_uuid();
    format!("{uuid}-{}", caller.unique_id)
}
