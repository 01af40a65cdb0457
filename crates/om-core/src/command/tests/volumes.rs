use super::*;

fn set_property(volume: &str, owner: Option<&str>, quota: Option<i64>) -> OmRequest {
    OmRequest {
        set_volume_property_request: Some(Box::new(SetVolumePropertyRequest {
            volume_name: volume.into(),
            owner_name: owner.map(str::to_owned),
            quota_in_bytes: quota.map(i64::cast_unsigned),
            ..Default::default()
        })),
        ..kind(Type::SetVolumeProperty)
    }
}

fn delete_volume(volume: &str) -> OmRequest {
    OmRequest {
        delete_volume_request: Some(Box::new(DeleteVolumeRequest { volume_name: volume.into() })),
        ..kind(Type::DeleteVolume)
    }
}

fn list(om: &Om, scope: i32, user: Option<&str>, after: &str) -> Vec<String> {
    let reply = om.read(OmRequest {
        list_volume_request: Some(Box::new(ListVolumeRequest {
            scope,
            user_name: user.map(str::to_owned),
            prefix: None,
            prev_key: Some(after.into()),
            max_keys: Some(100),
        })),
        ..kind(Type::ListVolume)
    });
    let volumes = reply.list_volume_response.unwrap().volume_info;
    volumes.into_iter().map(|volume| volume.volume).collect()
}

#[test]
fn a_volume_is_made_once_and_shows_who_owns_it() {
    let mut om = Om::new();
    om.ok(create_volume("vol1"));
    let refused = om.refused(create_volume("vol1"));
    assert_eq!(refused, (Status::VolumeAlreadyExists, "Volume already exists".into()));
    let reply = om.read(OmRequest {
        info_volume_request: Some(Box::new(InfoVolumeRequest { volume_name: "vol1".into() })),
        ..kind(Type::InfoVolume)
    });
    let volume = reply.info_volume_response.unwrap().volume_info.unwrap();
    assert_eq!(volume.owner_name, USER);
    assert_eq!(volume.object_id, Some((2 << 62) | (1 << 8)));
    assert_eq!(volume.update_id, Some(1));
    assert_eq!(volume.volume_acls.len(), 2);
}

#[test]
fn a_volume_of_somebody_whom_the_host_does_not_know_has_no_group() {
    let mut om = Om::new();
    let mut request = create_volume("vol1");
    request.create_volume_request.as_mut().unwrap().volume_info.owner_name = "alice".into();
    om.ok(request);
    let acls = om.row(&tables::VOLUME, "/vol1").unwrap().volume_acls;
    assert_eq!(acls, [crate::acl::of_user("alice")]);
}

#[test]
fn a_missing_volume_is_not_found() {
    let mut om = Om::new();
    let reply = om.read(OmRequest {
        info_volume_request: Some(Box::new(InfoVolumeRequest { volume_name: "nope".into() })),
        ..kind(Type::InfoVolume)
    });
    assert_eq!(reply.status(), Status::VolumeNotFound);
    assert_eq!(reply.message.as_deref(), Some("Volume nope is not found"));
    let refused = om.refused(delete_volume("nope"));
    assert_eq!(refused, (Status::VolumeNotFound, "Volume nope is not found".into()));
}

#[test]
fn a_volume_with_buckets_stays() {
    let mut om = Om::with_bucket(BucketLayoutProto::ObjectStore);
    assert_eq!(om.refused(delete_volume("vol")), (Status::VolumeNotEmpty, String::new()));
    let delete = DeleteBucketRequest { volume_name: "vol".into(), bucket_name: "buck".into() };
    om.ok(OmRequest { delete_bucket_request: Some(Box::new(delete)), ..kind(Type::DeleteBucket) });
    om.ok(delete_volume("vol"));
    assert!(om.rows(&tables::VOLUME).is_empty());
    assert!(om.row(&tables::USER, USER).is_none());
}

#[test]
fn a_volume_changes_hands() {
    let mut om = Om::new();
    om.ok(create_volume("vol1"));
    om.ok(set_property("vol1", Some("alice"), None));
    assert_eq!(list(&om, 2, Some("alice"), ""), ["vol1"]);
    assert!(list(&om, 2, Some(USER), "").is_empty());
    let again = om.write(set_property("vol1", Some("alice"), None));
    assert_eq!(again.status(), Status::Ok);
    assert_eq!(again.set_volume_property_response.unwrap().response, Some(false));
}

#[test]
fn a_listing_of_the_cluster_starts_behind_an_existing_volume_only() {
    let mut om = Om::new();
    for name in ["bbb", "aaa", "ccc"] {
        om.ok(create_volume(name));
    }
    assert_eq!(list(&om, 3, None, ""), ["aaa", "bbb", "ccc"]);
    assert_eq!(list(&om, 3, None, "aaa"), ["bbb", "ccc"]);
    assert!(list(&om, 3, None, "aab").is_empty());
}

#[test]
fn a_volume_quota_below_that_of_its_buckets_is_refused() {
    let mut om = Om::with_bucket(BucketLayoutProto::ObjectStore);
    let (status, message) = om.refused(set_property("vol", None, Some(100)));
    assert_eq!(status, Status::QuotaError);
    assert_eq!(
        message,
        "Can not set volume space quota on volume as some of buckets in this volume have no quota \
         set."
    );
    om.ok(set_property("vol", None, Some(-1)));
}

#[test]
fn owner_and_quota_at_once_are_malformed() {
    assert!(volume::malformed(&set_property("v", None, None)).is_some());
    assert!(volume::malformed(&set_property("v", Some("a"), Some(1))).is_some());
    assert!(volume::malformed(&set_property("v", Some("a"), None)).is_none());
    assert!(volume::malformed(&kind(Type::CreateKey)).is_none());
}
