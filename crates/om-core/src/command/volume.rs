//! Volumes.

pub mod create;
pub mod delete;
pub mod info;
pub mod list;
pub mod set_property;

use om_proto::storage::PersistedUserVolumeInfo;
use om_proto::{OmRequest, OzoneAclInfo, Status, VolumeInfo};
use ozone_db::DbError;

use crate::acl;
use crate::cache::{Change, TableCache};
use crate::error::{Failure, OmError};
use crate::namespace::{At, Namespace};
use crate::rules::Rules;
use crate::tables;

/// The index that the S3 volume's object id is made of (`OmUtils.getObjectIdFromTxId`, 2^54 - 1).
const S3_VOLUME_INDEX: u64 = (1 << 54) - 1;

/// A request that the genuine server refuses by an `IllegalStateException` of its RPC layer rather
/// than by a status: the message of that exception.
pub fn malformed(request: &OmRequest) -> Option<&'static str> {
    let body = request.set_volume_property_request.as_deref()?;
    match (body.owner_name.is_some(), body.quota_in_bytes.is_some()) {
        (false, false) => {
            Some("Either Quota or owner should be set in the SetVolumeProperty request")
        }
        (true, true) => Some(
            "Either Quota or owner should be set in the SetVolumeProperty request. Should not set \
             both",
        ),
        _ => None,
    }
}

/// The volume of S3 buckets, made in the database itself at the first start: a transaction index of
/// its own, beyond every real one, makes its object id.
pub fn s3_volume(name: &str, owner: &str, group: Option<&str>, now: u64) -> VolumeInfo {
    let mut volume_acls = vec![acl::of_user(owner)];
    volume_acls.extend(group.map(|group| OzoneAclInfo {
        rights: bytes::Bytes::from_static(acl::ALL),
        ..acl::of_group(group)
    }));
    VolumeInfo {
        admin_name: owner.to_owned(),
        owner_name: owner.to_owned(),
        volume: name.to_owned(),
        quota_in_bytes: Some(u64::MAX),
        volume_acls,
        creation_time: Some(now),
        object_id: Some(At { term: 0, index: S3_VOLUME_INDEX }.object_id(0)),
        update_id: Some(u64::MAX),
        modification_time: Some(now),
        quota_in_namespace: Some(-1),
        used_namespace: Some(0),
        ref_count: Some(0),
        ..VolumeInfo::default()
    }
}

/// The rows that bring the volume of S3 buckets into a database without it; none where it is.
///
/// # Errors
/// The store failed.
pub fn s3_volume_rows(
    cache: &TableCache,
    rules: &Rules,
    owner: &str,
    group: Option<&str>,
    now: u64,
) -> Result<Vec<Change>, DbError> {
    let mut ns = Namespace::new(cache, rules);
    if ns.has(&tables::VOLUME, &tables::volume_key(&rules.s3_volume))? {
        return Ok(Vec::new());
    }
    let volume = s3_volume(&rules.s3_volume, owner, group, now);
    let list = ns.get(&tables::USER, owner.as_bytes())?.unwrap_or_default();
    let mut names = list.volume_names;
    names.push(volume.volume.clone());
    let list = PersistedUserVolumeInfo {
        volume_names: in_java_set_order(names),
        object_id: list.object_id.or(volume.object_id),
        update_id: volume.update_id,
    };
    put_user(&mut ns, owner, &list);
    ns.put_volume(&volume);
    Ok(ns.into_edits())
}

/// The owner's list with one volume more.
fn with_volume(
    ns: &Namespace<'_>,
    owner: &str,
    volume: &str,
    at: At,
) -> Result<PersistedUserVolumeInfo, Failure> {
    let list = ns.get(&tables::USER, owner.as_bytes())?;
    let (mut names, object_id) = match list {
        Some(list) => (list.volume_names, list.object_id),
        None => (Vec::new(), Some(at.index)),
    };
    if names.len() >= ns.rules.volumes_per_user_max {
        let message = format!("Too many volumes for user:{owner}");
        return Err(OmError::new(Status::UserTooManyVolumes, message).into());
    }
    if !names.iter().any(|name| name == volume) {
        names.push(volume.to_owned());
    }
    let volume_names = in_java_set_order(names);
    Ok(PersistedUserVolumeInfo { volume_names, object_id, update_id: Some(at.index) })
}

/// The owner's list with one volume less.
fn without_volume(
    ns: &Namespace<'_>,
    owner: &str,
    volume: &str,
    at: At,
) -> Result<PersistedUserVolumeInfo, Failure> {
    let Some(mut list) = ns.get(&tables::USER, owner.as_bytes())? else {
        let message = format!("User not found: {owner}");
        return Err(OmError::new(Status::UserNotFound, message).into());
    };
    list.volume_names.retain(|name| name != volume);
    list.update_id = Some(at.index);
    Ok(list)
}

fn put_user(ns: &mut Namespace<'_>, owner: &str, list: &PersistedUserVolumeInfo) {
    let key = owner.to_owned().into_bytes();
    if list.volume_names.is_empty() {
        ns.remove(&tables::USER, key);
    } else {
        ns.put(&tables::USER, key, list);
    }
}

/// The order in which a Java `HashSet` of these strings, filled in this order, is walked: the genuine
/// OM stores an owner's volumes so, and lists them as stored.
fn in_java_set_order(names: Vec<String>) -> Vec<String> {
    let mut buckets = 16_u32;
    while names.len() as u32 > buckets / 4 * 3 {
        buckets *= 2;
    }
    let place = |name: &String| {
        let hash = name
            .encode_utf16()
            .fold(0_u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(u32::from(unit)));
        (hash ^ (hash >> 16)) & (buckets - 1)
    };
    let mut names = names;
    names.sort_by_key(place);
    names
}

#[cfg(test)]
mod tests {
    use super::in_java_set_order;

    #[test]
    fn an_owners_volumes_are_stored_in_the_order_of_a_java_hash_set() {
        // hashCode of one letter is its code: b = 98 = bucket 2, a = 97 = bucket 1, p = 112 = 0.
        let names = ["b", "a", "p"].map(str::to_owned).to_vec();
        assert_eq!(in_java_set_order(names), ["p", "a", "b"]);
        // As `ozone sh volume list` of the genuine system showed them.
        let names = ["s3v", "vol1", "vol2", "vol3"].map(str::to_owned).to_vec();
        assert_eq!(in_java_set_order(names), ["s3v", "vol3", "vol2", "vol1"]);
    }
}
