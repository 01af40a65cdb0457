//! `DeleteBucket`: an empty one.

use std::sync::Arc;

use om_proto::{DeleteBucketRequest, DeleteBucketResponse, OmResponse, Status};

use crate::command::{BlocksWanted, Caller, Write};
use crate::error::Failure;
use crate::layout::Bucket;
use crate::namespace::{At, Namespace};
use crate::tables;

impl Write for DeleteBucketRequest {
    fn prepare(
        &mut self,
        ns: &Namespace<'_>,
        _: &Caller<'_>,
    ) -> Result<Option<BlocksWanted>, Failure> {
        match ns.bucket(&self.volume_name, &self.bucket_name) {
            Ok(bucket) => {
                for (slot, prefix) in contents(&bucket) {
                    ns.foresee_prefix(slot, &prefix)?;
                }
            }
            // Apply says it in its own words.
            Err(Failure::Refused(_)) => {}
            Err(failure) => return Err(failure),
        }
        Ok(None)
    }

    fn apply(
        self,
        _: At,
        _: &str,
        ns: &mut Namespace<'_>,
        reply: &mut OmResponse,
    ) -> Result<(), Failure> {
        let (volume_name, bucket_name) = (&self.volume_name, &self.bucket_name);
        let row = tables::bucket_key(volume_name, bucket_name);
        if !ns.has(&tables::BUCKET, &row)? {
            return Err(Failure::new(Status::BucketNotFound, "Bucket not found"));
        }
        let bucket = ns.bucket(volume_name, bucket_name)?;
        if !is_empty(ns, &bucket)? {
            return Err(Failure::new(Status::BucketNotEmpty, "Bucket is not empty"));
        }
        let below = bucket.flat_row("");
        if ns.has_prefix(tables::MULTIPART_INFO.slot, &below)? {
            return Err(Failure::new(
                Status::BucketNotEmpty,
                format!(
                    "Volume {volume_name}, Bucket {bucket_name} can't be deleted when it has \
                     incomplete multipart uploads"
                ),
            ));
        }
        if ns.has_prefix(tables::SNAPSHOT_INFO_SLOT, &below)? {
            let message = format!("Bucket {bucket_name} can't be deleted when it has snapshots");
            return Err(Failure::new(Status::ContainsSnapshot, message));
        }
        let mut volume = Arc::unwrap_or_clone(ns.volume(volume_name)?);

        volume.used_namespace = Some(volume.used_namespace.unwrap_or(0).saturating_sub(1));
        ns.remove(&tables::BUCKET, row);
        ns.put_volume(&volume);
        reply.delete_bucket_response = Some(Box::new(DeleteBucketResponse::default()));
        Ok(())
    }
}

fn is_empty(ns: &Namespace<'_>, bucket: &Bucket) -> Result<bool, Failure> {
    for (slot, prefix) in contents(bucket) {
        if ns.has_prefix(slot, &prefix)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Tables in which rows of the bucket may be, and what those begin with.
fn contents(bucket: &Bucket) -> Vec<(usize, Vec<u8>)> {
    if bucket.info.source_bucket.is_some() {
        return Vec::new();
    }
    if !bucket.layout.is_tree() {
        return vec![(tables::KEY.slot, bucket.flat_row(""))];
    }
    // What is left of deleted folders waits for the directory deleting service, and belongs to no bucket any more.
    let top = tables::path_key(bucket.volume_id, bucket.id(), bucket.id(), "");
    vec![(tables::FILE.slot, top.clone()), (tables::DIRECTORY.slot, top)]
}
