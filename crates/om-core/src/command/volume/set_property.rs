//! `SetVolumeProperty`: another owner, or other quotas.

use std::ops::ControlFlow;
use std::sync::Arc;

use om_proto::{
    BucketInfo, OmResponse, SetVolumePropertyRequest, SetVolumePropertyResponse, Status, VolumeInfo,
};

use crate::command::{BlocksWanted, Caller, Write};
use crate::error::Failure;
use crate::namespace::{At, Namespace};
use crate::quota::UNLIMITED;
use crate::tables;

impl Write for SetVolumePropertyRequest {
    fn prepare(
        &mut self,
        _: &Namespace<'_>,
        caller: &Caller<'_>,
    ) -> Result<Option<BlocksWanted>, Failure> {
        self.modification_time = Some(caller.now);
        Ok(None)
    }

    fn apply(
        self,
        at: At,
        _: &str,
        ns: &mut Namespace<'_>,
        reply: &mut OmResponse,
    ) -> Result<(), Failure> {
        let mut info = Arc::unwrap_or_clone(ns.volume(&self.volume_name)?);
        info.modification_time = self.modification_time;
        info.update_id = Some(at.index);
        match &self.owner_name {
            Some(owner) => set_owner(info, owner, at, ns, reply),
            None => self.set_quota(info, ns, reply),
        }
    }
}

fn set_owner(
    mut info: VolumeInfo,
    owner: &str,
    at: At,
    ns: &mut Namespace<'_>,
    reply: &mut OmResponse,
) -> Result<(), Failure> {
    let changed = info.owner_name != owner;
    if changed {
        let old = super::without_volume(ns, &info.owner_name, &info.volume, at)?;
        let new = super::with_volume(ns, owner, &info.volume, at)?;

        super::put_user(ns, &info.owner_name, &old);
        super::put_user(ns, owner, &new);
        owner.clone_into(&mut info.owner_name);
        ns.put_volume(&info);
    } else {
        reply.success = Some(false);
        reply.message = Some(format!("Volume '{}' owner is already '{owner}'.", info.volume));
    }
    let response = SetVolumePropertyResponse { response: Some(changed) };
    reply.set_volume_property_response = Some(Box::new(response));
    Ok(())
}

trait Quota {
    fn set_quota(
        self,
        info: VolumeInfo,
        ns: &mut Namespace<'_>,
        reply: &mut OmResponse,
    ) -> Result<(), Failure>;
}

impl Quota for SetVolumePropertyRequest {
    fn set_quota(
        self,
        mut info: VolumeInfo,
        ns: &mut Namespace<'_>,
        reply: &mut OmResponse,
    ) -> Result<(), Failure> {
        let bytes = self.quota_in_bytes.unwrap_or(0).cast_signed();
        if bytes == UNLIMITED || bytes > 0 {
            check_bytes(ns, &info.volume, bytes)?;
            info.quota_in_bytes = Some(bytes.cast_unsigned());
        }
        let names = self.quota_in_namespace.unwrap_or(0).cast_signed();
        if names == UNLIMITED || names > 0 {
            check_names(ns, &info.volume, names)?;
            info.quota_in_namespace = Some(names);
        }
        ns.put_volume(&info);
        reply.set_volume_property_response = Some(Box::default());
        Ok(())
    }
}

fn check_bytes(ns: &Namespace<'_>, volume: &str, quota: i64) -> Result<(), Failure> {
    if quota == UNLIMITED {
        return Ok(());
    }
    let mut total = 0;
    for bucket in buckets(ns, volume)?.iter().filter(|bucket| bucket.source_bucket.is_none()) {
        let of_bucket = bucket.quota_in_bytes.unwrap_or(-2);
        if of_bucket <= UNLIMITED {
            return Err(Failure::new(
                Status::QuotaError,
                "Can not set volume space quota on volume as some of buckets in this volume have \
                 no quota set.",
            ));
        }
        total += of_bucket;
    }
    if quota < total {
        return Err(Failure::new(
            Status::QuotaExceeded,
            format!(
                "Total buckets quota in this volume should not be greater than volume quota : the \
                 total space quota is:{total}. But the volume space quota is:{quota}"
            ),
        ));
    }
    Ok(())
}

fn check_names(ns: &Namespace<'_>, volume: &str, quota: i64) -> Result<(), Failure> {
    let count = if quota == UNLIMITED { 0 } else { buckets(ns, volume)?.len() as i64 };
    if quota != UNLIMITED && count > quota {
        return Err(Failure::new(
            Status::QuotaExceeded,
            format!(
                "Total number of buckets {count} in this volume should not be greater than volume \
                 namespace quota {quota}"
            ),
        ));
    }
    Ok(())
}

/// Every bucket of a volume.
pub(crate) fn buckets(ns: &Namespace<'_>, volume: &str) -> Result<Vec<BucketInfo>, Failure> {
    let prefix = tables::bucket_key(volume, "");
    let mut buckets = Vec::new();
    let mut broken = None;
    ns.scan_prefix(tables::BUCKET.slot, &prefix, None, &mut |key, value| {
        match tables::BUCKET.decode(key, value.to_vec().into()) {
            Ok(bucket) => buckets.push(bucket),
            Err(error) => {
                broken = Some(error);
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    })?;
    broken.map_or(Ok(buckets), |error| Err(error.into()))
}
