use super::*;

fn delete_bucket(bucket: &str) -> OmRequest {
    let delete = DeleteBucketRequest { volume_name: "vol".into(), bucket_name: bucket.into() };
    OmRequest { delete_bucket_request: Some(Box::new(delete)), ..kind(Type::DeleteBucket) }
}

fn link(name: &str, to: &str) -> OmRequest {
    let mut request = create_bucket("vol", name, BucketLayoutProto::ObjectStore);
    let info = &mut request.create_bucket_request.as_mut().unwrap().bucket_info;
    info.source_volume = Some("vol".into());
    info.source_bucket = Some(to.into());
    request
}

fn info(om: &Om, bucket: &str) -> OmResponse {
    om.read(OmRequest {
        info_bucket_request: Some(Box::new(InfoBucketRequest {
            volume_name: "vol".into(),
            bucket_name: bucket.into(),
        })),
        ..kind(Type::InfoBucket)
    })
}

fn set_quota(bytes: Option<i64>, names: Option<i64>) -> OmRequest {
    OmRequest {
        set_bucket_property_request: Some(Box::new(SetBucketPropertyRequest {
            bucket_args: Some(BucketArgs {
                volume_name: "vol".into(),
                bucket_name: "buck".into(),
                quota_in_bytes: bytes.map(i64::cast_unsigned),
                quota_in_namespace: names.map(i64::cast_unsigned),
                ..Default::default()
            }),
            modification_time: None,
        })),
        ..kind(Type::SetBucketProperty)
    }
}

#[test]
fn a_bucket_needs_its_volume_and_a_name_of_its_own() {
    let mut om = Om::with_bucket(BucketLayoutProto::ObjectStore);
    let again = create_bucket("vol", "buck", BucketLayoutProto::ObjectStore);
    let refused = om.refused(again);
    assert_eq!(refused, (Status::BucketAlreadyExists, "Bucket already exist".into()));
    let refused = om.refused(create_bucket("nope", "buck", BucketLayoutProto::ObjectStore));
    assert_eq!(refused, (Status::VolumeNotFound, "Volume doesn't exist".into()));
    let refused = om.refused(create_bucket("vol", "B_X", BucketLayoutProto::ObjectStore));
    let message = "bucket name does not support uppercase characters";
    assert_eq!(refused, (Status::InvalidBucketName, message.into()));
    let volume = om.row(&tables::VOLUME, "/vol").unwrap();
    assert_eq!(volume.used_namespace, Some(1));
}

#[test]
fn a_bucket_without_a_layout_is_a_file_system() {
    let mut om = Om::new();
    om.ok(create_volume("vol"));
    let mut request = create_bucket("vol", "buck", BucketLayoutProto::Legacy);
    request.create_bucket_request.as_mut().unwrap().bucket_info.bucket_layout = None;
    om.ok(request);
    assert_eq!(om.bucket().bucket_layout(), BucketLayoutProto::FileSystemOptimized);
}

#[test]
fn a_bucket_with_keys_stays() {
    for layout in [BucketLayoutProto::ObjectStore, BucketLayoutProto::FileSystemOptimized] {
        let mut om = Om::with_bucket(layout);
        om.put("key", 5);
        let refused = om.refused(delete_bucket("buck"));
        assert_eq!(refused, (Status::BucketNotEmpty, "Bucket is not empty".into()));
        om.ok(delete_key("key", false));
        om.ok(delete_bucket("buck"));
        let refused = om.refused(delete_bucket("buck"));
        assert_eq!(refused, (Status::BucketNotFound, "Bucket not found".into()));
    }
}

#[test]
fn a_bucket_goes_before_the_rest_of_its_deleted_folders_does() {
    let mut om = Om::with_bucket(BucketLayoutProto::FileSystemOptimized);
    om.put("dir/inner/key", 5);
    let refused = om.refused(delete_bucket("buck"));
    assert_eq!(refused, (Status::BucketNotEmpty, "Bucket is not empty".into()));
    om.ok(delete_key("dir", true));
    om.ok(delete_bucket("buck"));
}

#[test]
fn keys_are_reached_through_chains_of_links() {
    let mut om = Om::with_bucket(BucketLayoutProto::ObjectStore);
    om.ok(link("one", "buck"));
    om.ok(link("two", "one"));
    om.put("key", 5);
    let mut request = args("key");
    request.bucket_name = "two".into();
    let reply = om.read(OmRequest {
        get_key_info_request: Some(Box::new(GetKeyInfoRequest {
            key_args: request,
            ..Default::default()
        })),
        ..kind(Type::GetKeyInfo)
    });
    let key = reply.get_key_info_response.unwrap().key_info.unwrap();
    assert_eq!(key.bucket_name, "buck");
    let shown = info(&om, "two").info_bucket_response.unwrap().bucket_info.unwrap();
    assert_eq!((shown.bucket_name.as_str(), shown.used_bytes), ("two", Some(15)));
}

#[test]
fn loops_of_links_are_detected_and_dangling_links_show_themselves() {
    let mut om = Om::with_bucket(BucketLayoutProto::ObjectStore);
    om.ok(link("one", "two"));
    let dangling = info(&om, "one").info_bucket_response.unwrap().bucket_info.unwrap();
    assert_eq!(dangling.source_bucket.as_deref(), Some("two"));
    om.ok(link("two", "one"));
    let mut request = create_key("key", 0);
    request.create_key_request.as_mut().unwrap().key_args.bucket_name = "one".into();
    assert_eq!(om.refused(request).0, Status::DetectedLoopInBucketLinks);
}

#[test]
fn half_a_link_is_refused() {
    let mut om = Om::with_bucket(BucketLayoutProto::ObjectStore);
    let mut request = link("one", "buck");
    request.create_bucket_request.as_mut().unwrap().bucket_info.source_volume = None;
    assert_eq!(om.refused(request).0, Status::InvalidRequest);
}

#[test]
fn quotas_are_kept_on_bytes_and_on_names() {
    let mut om = Om::with_bucket(BucketLayoutProto::ObjectStore);
    om.ok(set_quota(Some(1 << 20), Some(1)));
    let (status, message) = om.refused(create_key("big", 1));
    assert_eq!(status, Status::QuotaExceeded);
    assert_eq!(
        message,
        "The DiskSpace quota of bucket:buck exceeded quotaInBytes: 1048576 Bytes but diskspace \
         consumed: 805306368 Bytes."
    );
    om.put("empty", 0);
    let (status, message) = om.refused(create_key("second", 0));
    assert_eq!(status, Status::QuotaExceeded);
    assert_eq!(
        message,
        "The namespace quota of Bucket:buck exceeded: quotaInNamespace: 1 but namespace consumed: \
         2."
    );
    om.ok(set_quota(Some(-1), Some(-1)));
    om.put("second", 10);
    let refused = om.refused(set_quota(Some(29), None));
    let message = "Cannot update bucket quota. Requested spaceQuota less than used spaceQuota.";
    assert_eq!(refused, (Status::QuotaError, message.into()));
    om.ok(set_quota(Some(30), None));
}

#[test]
fn deleted_space_is_pending_until_it_is_purged() {
    let mut om = Om::with_bucket(BucketLayoutProto::ObjectStore);
    om.put("key", 10);
    om.put("empty", 0);
    assert_eq!((om.bucket().used_bytes, om.bucket().used_namespace), (Some(30), Some(2)));
    om.ok(delete_key("key", false));
    om.ok(delete_key("empty", false));
    let bucket = om.bucket();
    assert_eq!((bucket.used_bytes, bucket.used_namespace), (Some(0), Some(0)));
    assert_eq!((bucket.snapshot_used_bytes, bucket.snapshot_used_namespace), (Some(30), Some(1)));
    let rows = om.rows(&tables::DELETED);
    assert_eq!(rows.len(), 1);
    om.ok(OmRequest {
        purge_keys_request: Some(Box::new(PurgeKeysRequest {
            deleted_keys: vec![DeletedKeys { keys: rows, ..Default::default() }],
            bucket_purge_keys_size: vec![BucketPurgeKeysSize {
                bucket_name_info: Some(BucketNameInfo {
                    bucket_id: bucket.object_id,
                    volume_name: Some("vol".into()),
                    bucket_name: Some("buck".into()),
                    ..Default::default()
                }),
                purged_bytes: Some(30),
                purged_namespace: Some(1),
            }],
            ..Default::default()
        })),
        ..kind(Type::PurgeKeys)
    });
    assert!(om.rows(&tables::DELETED).is_empty());
    assert_eq!(om.bucket().snapshot_used_bytes, Some(0));
}

#[test]
fn a_repair_of_quotas_makes_the_accounts_what_is_there() {
    use crate::command::server::quota_repair::plan;
    for layout in [BucketLayoutProto::ObjectStore, BucketLayoutProto::FileSystemOptimized] {
        let mut om = Om::with_bucket(layout);
        om.put("a/b", 10);
        om.put("c", 20);
        let right = om.bucket();
        assert_eq!(plan(&om.ns(), &[]).unwrap().bucket_count, []);
        let wrong = BucketInfo { used_bytes: Some(7), used_namespace: Some(99), ..right.clone() };
        let wrong = BucketInfo { quota_in_bytes: Some(-2), ..wrong };
        let mut ns = om.ns();
        ns.put_bucket(&wrong);
        let edits = ns.into_edits();
        om.cache.apply(Applied { term: 1, index: om.index }, edits);
        let plan_of = |om: &Om, bucket: &str| plan(&om.ns(), &[bucket.to_owned()]);
        assert!(plan_of(&om, "/vol/none").is_err());
        let request = plan_of(&om, "/vol/buck").unwrap();
        // What is written while the count goes on stays in the account.
        om.put("d", 30);
        om.ok(OmRequest {
            quota_repair_request: Some(Box::new(request)),
            ..kind(Type::QuotaRepair)
        });
        let repaired = om.bucket();
        assert_eq!(repaired.used_bytes(), right.used_bytes() + 90);
        assert_eq!(repaired.used_namespace(), right.used_namespace() + 1);
        assert_eq!(repaired.quota_in_bytes, Some(-1));
        assert_eq!(plan(&om.ns(), &[]).unwrap().bucket_count, []);
    }
}
