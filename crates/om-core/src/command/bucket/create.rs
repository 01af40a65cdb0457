//! `CreateBucket`: a bucket, or a link to one.

use om_proto::ozone_acl_info::OzoneAclScope;
use om_proto::{
    BucketInfo, BucketLayoutProto, CreateBucketRequest, CreateBucketResponse, OmResponse, Status,
    VolumeInfo,
};

use crate::acl;
use crate::command::{BlocksWanted, Caller, Write};
use crate::encryption;
use crate::error::{Failure, OmError};
use crate::names;
use crate::namespace::{At, Namespace};
use crate::replication;
use crate::tables;

impl Write for CreateBucketRequest {
    fn prepare(
        &mut self,
        ns: &Namespace<'_>,
        caller: &Caller<'_>,
    ) -> Result<Option<BlocksWanted>, Failure> {
        let info = &mut self.bucket_info;
        let is_object_store = info.bucket_layout == Some(BucketLayoutProto::ObjectStore.into());
        names::check_bucket(&info.bucket_name, ns.rules.strict_s3_names || is_object_store)?;
        if ns.estimated_rows(&tables::BUCKET)? >= ns.rules.buckets_max {
            let message = format!("Cannot create more than {} buckets", ns.rules.buckets_max);
            return Err(Failure::new(Status::TooManyBuckets, message));
        }
        encryption::check_provider(info.beinfo.as_ref(), ns.rules)?;
        let invalid = |message: &str| Err(Failure::new(Status::InvalidRequest, message));
        if info.source_volume.is_some() != info.source_bucket.is_some() {
            return invalid("Both source volume and source bucket are required for bucket links");
        }
        if info.source_bucket.is_some() && info.beinfo.is_some() {
            return invalid("Encryption cannot be set for bucket links");
        }
        if let Some(default) = &info.default_replication_config
            && let Some(replication) = replication::of_default(default)?
        {
            replication::check_allowed(replication)?;
        }
        info.creation_time = Some(caller.now);
        info.modification_time = Some(caller.now);
        info.bucket_layout.get_or_insert(ns.rules.default_layout.into());
        caller.acls().for_each(|acl| acl::add(&mut info.acls, acl));
        Ok(None)
    }

    fn apply(
        self,
        at: At,
        user: &str,
        ns: &mut Namespace<'_>,
        reply: &mut OmResponse,
    ) -> Result<(), Failure> {
        let mut info = self.bucket_info;
        let Some(mut volume) = ns.get(&tables::VOLUME, &tables::volume_key(&info.volume_name))?
        else {
            return Err(Failure::new(Status::VolumeNotFound, "Volume doesn't exist"));
        };
        let row = tables::bucket_key(&info.volume_name, &info.bucket_name);
        if ns.has(&tables::BUCKET, &row)? {
            return Err(Failure::new(Status::BucketAlreadyExists, "Bucket already exist"));
        }
        if info.source_bucket.is_none() {
            check_space(ns, &volume, &info)?;
        }
        check_names(&volume)?;

        info.object_id = Some(at.object_id(0));
        info.update_id = Some(at.index);
        for account in [
            &mut info.used_bytes,
            &mut info.used_namespace,
            &mut info.snapshot_used_bytes,
            &mut info.snapshot_used_namespace,
        ] {
            *account = Some(0);
        }
        info.bucket_layout.get_or_insert(ns.rules.default_layout.into());
        acl::add(&mut info.acls, acl::of_user(user));
        acl::inherit(&mut info.acls, &volume.volume_acls, OzoneAclScope::Access);
        volume.used_namespace = Some(volume.used_namespace.unwrap_or(0) + 1);
        ns.put_volume(&volume);
        ns.put_bucket(&info);
        reply.create_bucket_response = Some(Box::new(CreateBucketResponse::default()));
        Ok(())
    }
}

fn check_space(ns: &Namespace<'_>, volume: &VolumeInfo, info: &BucketInfo) -> Result<(), Failure> {
    let quota = info.quota_in_bytes.unwrap_or(-2);
    if volume.quota_in_bytes.is_some_and(|of_volume| of_volume.cast_signed() > 0) && quota <= 0 {
        return Err(Failure::new(
            Status::QuotaError,
            "Bucket space quota in this volume should be set as volume space quota is already set.",
        ));
    }
    super::check_space_quota(ns, volume, &info.bucket_name, quota)
}

fn check_names(volume: &VolumeInfo) -> Result<(), OmError> {
    let quota = volume.quota_in_namespace.unwrap_or(-2);
    let wanted = volume.used_namespace.unwrap_or(0).cast_signed() + 1;
    if quota <= 0 || quota >= wanted {
        return Ok(());
    }
    Err(OmError::new(
        Status::QuotaExceeded,
        format!(
            "The namespace quota of Volume:{} exceeded: quotaInNamespace: {quota} but namespace \
             consumed: {wanted}.",
            volume.volume
        ),
    ))
}
