use BucketLayoutProto::{FileSystemOptimized, Legacy, ObjectStore};
use hdds_proto::hdds::KeyValue;

use super::*;
use crate::deletion;

pub(super) const PART: u64 = 5 << 20;

pub(super) fn initiate(om: &mut Om, key: &str) -> String {
    let request = OmRequest {
        initiate_multi_part_upload_request: Some(Box::new(MultipartInfoInitiateRequest {
            key_args: args(key),
        })),
        ..kind(Type::InitiateMultiPartUpload)
    };
    om.ok(request).initiate_multi_part_upload_response.unwrap().multipart_upload_id
}

fn part_args(key: &str, id: &str, number: u32) -> KeyArgs {
    KeyArgs {
        is_multipart_key: Some(true),
        multipart_upload_id: Some(id.into()),
        multipart_number: Some(number),
        ..args(key)
    }
}

pub(super) fn open_part(key: &str, id: &str, number: u32, size: u64) -> OmRequest {
    let key_args = KeyArgs { data_size: Some(size), ..part_args(key, id, number) };
    OmRequest {
        create_key_request: Some(Box::new(CreateKeyRequest { key_args, client_id: None })),
        ..kind(Type::CreateKey)
    }
}

/// Opens a part and gives it a block; the request that commits it.
fn written(om: &mut Om, key: &str, id: &str, number: u32, size: u64) -> OmRequest {
    let open = om.ok(open_part(key, id, number, size)).create_key_response.unwrap();
    assert!(open.key_info.as_ref().unwrap().key_location_list[0].key_locations.is_empty());
    let allocate = OmRequest {
        allocate_block_request: Some(Box::new(AllocateBlockRequest {
            key_args: args(key),
            client_id: open.id(),
            ..Default::default()
        })),
        ..kind(Type::AllocateBlock)
    };
    let block = om.ok(allocate).allocate_block_response.unwrap().key_location.unwrap();
    let etag = KeyValue { key: "ETag".into(), value: Some(format!("etag{number}")) };
    let key_args = KeyArgs {
        data_size: Some(size),
        key_locations: vec![KeyLocation { length: size, ..block }],
        metadata: vec![etag],
        ..part_args(key, id, number)
    };
    OmRequest {
        commit_multi_part_upload_request: Some(Box::new(MultipartCommitUploadPartRequest {
            key_args,
            client_id: open.id(),
        })),
        ..kind(Type::CommitMultiPartUpload)
    }
}

pub(super) fn put_part(om: &mut Om, key: &str, id: &str, number: u32, size: u64) -> String {
    let request = written(om, key, id, number, size);
    let response = om.ok(request).commit_multi_part_upload_response.unwrap();
    assert_eq!(response.e_tag, Some(format!("etag{number}")));
    response.part_name.unwrap()
}

pub(super) fn complete(key: &str, id: &str, parts: &[(u32, &str)]) -> OmRequest {
    let parts_list = parts
        .iter()
        .map(|(number, etag)| Part {
            part_number: *number,
            part_name: (*etag).into(),
            e_tag: Some((*etag).into()),
        })
        .collect();
    OmRequest {
        complete_multi_part_upload_request: Some(Box::new(MultipartUploadCompleteRequest {
            key_args: KeyArgs { multipart_upload_id: Some(id.into()), ..args(key) },
            parts_list,
        })),
        ..kind(Type::CompleteMultiPartUpload)
    }
}

fn abort(key: &str, id: &str) -> OmRequest {
    OmRequest {
        abort_multi_part_upload_request: Some(Box::new(MultipartUploadAbortRequest {
            key_args: KeyArgs { multipart_upload_id: Some(id.into()), ..args(key) },
        })),
        ..kind(Type::AbortMultiPartUpload)
    }
}

fn list_parts(om: &Om, key: &str, id: &str, marker: u32, max: u32) -> OmResponse {
    om.read(OmRequest {
        list_multipart_upload_parts_request: Some(Box::new(MultipartUploadListPartsRequest {
            volume: "vol".into(),
            bucket: "buck".into(),
            key: key.into(),
            upload_id: id.into(),
            part_numbermarker: Some(marker),
            max_parts: Some(max),
        })),
        ..kind(Type::ListMultiPartUploadParts)
    })
}

fn list_uploads(om: &Om, prefix: &str, marker: (&str, &str), max: i32) -> (Vec<String>, bool) {
    let response = om.read(OmRequest {
        list_multipart_uploads_request: Some(Box::new(ListMultipartUploadsRequest {
            volume: "vol".into(),
            bucket: "buck".into(),
            prefix: prefix.into(),
            key_marker: Some(marker.0.into()),
            upload_id_marker: Some(marker.1.into()),
            max_uploads: Some(max),
            with_pagination: Some(max > 0),
        })),
        ..kind(Type::ListMultipartUploads)
    });
    let response = *response.list_multipart_uploads_response.unwrap();
    let names = response.uploads_list.iter().map(|upload| upload.key_name.clone()).collect();
    (names, response.is_truncated.unwrap())
}

#[test]
fn an_upload_becomes_a_key_of_its_named_parts_in_every_layout() {
    for layout in [ObjectStore, Legacy, FileSystemOptimized] {
        let mut om = Om::with_bucket(layout);
        let id = initiate(&mut om, "a/b/key");
        assert_eq!(om.rows(&tables::MULTIPART_INFO), [format!("/vol/buck/a/b/key/{id}")]);
        let name = put_part(&mut om, "a/b/key", &id, 2, 10);
        assert_eq!(name, format!("/vol/buck/a/b/key-{id}-2"));
        put_part(&mut om, "a/b/key", &id, 1, PART);
        put_part(&mut om, "a/b/key", &id, 3, 7);
        assert_eq!(om.bucket().used_bytes, Some(3 * (PART + 17)));

        let done = om.ok(complete("a/b/key", &id, &[(1, "etag1"), (2, "etag2")]));
        let done = done.complete_multi_part_upload_response.unwrap();
        // md5 of "etag1etag2etag3": the genuine OM counts all parts of the upload.
        assert_eq!(done.hash.as_deref(), Some("bab1eddbc7ce6dbae345f402becb1c11-3"));
        let key = om.info("a/b/key").get_key_info_response.unwrap().key_info.unwrap();
        assert_eq!((key.data_size, key.is_file), (PART + 10, Some(true)));
        let list = &key.key_location_list[0];
        assert_eq!(list.is_multipart_key, Some(true));
        let numbers: Vec<_> = list.key_locations.iter().map(|b| b.part_number()).collect();
        assert_eq!(numbers, [1, 2]);
        // The unnamed part waits to be reclaimed, and no longer counts.
        assert_eq!(om.rows(&tables::DELETED).len(), 1);
        assert_eq!(om.bucket().used_bytes, Some(3 * (PART + 10)));
        let folders = if layout == FileSystemOptimized { 2 } else { 0 };
        assert_eq!(om.bucket().used_namespace, Some(1 + folders));
        assert!(om.rows(&tables::MULTIPART_INFO).is_empty());
        assert!(om.rows(&tables::OPEN_KEY).is_empty() && om.rows(&tables::OPEN_FILE).is_empty());
    }
}

#[test]
fn a_part_that_is_sent_again_replaces_the_old_one_and_its_blocks_are_reclaimed() {
    let mut om = Om::with_bucket(ObjectStore);
    let id = initiate(&mut om, "key");
    put_part(&mut om, "key", &id, 1, 100);
    // Two writers of one part: both may commit, the last one counts.
    let first = written(&mut om, "key", &id, 1, 30);
    let second = written(&mut om, "key", &id, 1, 20);
    om.ok(second);
    om.ok(first);
    let parts = list_parts(&om, "key", &id, 0, 10).list_multipart_upload_parts_response.unwrap();
    assert_eq!(parts.parts_list.iter().map(|part| part.size).collect::<Vec<_>>(), [30]);
    assert_eq!(om.rows(&tables::DELETED).len(), 2);
    assert_eq!(om.bucket().used_bytes, Some(90));
    om.ok(complete("key", &id, &[(1, "etag1")]));
    assert_eq!(om.bucket().used_bytes, Some(90));
}

#[test]
fn completing_over_a_key_replaces_its_data_and_keeps_its_identity() {
    let mut om = Om::with_bucket(ObjectStore);
    let old = om.put("key", 1000);
    let id = initiate(&mut om, "key");
    put_part(&mut om, "key", &id, 1, 10);
    om.ok(complete("key", &id, &[(1, "etag1")]));
    let new = om.info("key").get_key_info_response.unwrap().key_info.unwrap();
    assert_eq!((new.object_id, new.creation_time), (old.object_id, old.creation_time));
    assert_eq!((new.data_size, om.bucket().used_bytes), (10, Some(30)));
    assert_eq!(om.bucket().used_namespace, Some(1));
    assert_eq!(om.rows(&tables::DELETED).len(), 1);
}

#[test]
fn wrong_part_lists_are_refused_and_leave_the_upload_as_it_is() {
    let mut om = Om::with_bucket(ObjectStore);
    let id = initiate(&mut om, "key");
    let status = |om: &mut Om, parts: &[(u32, &str)]| om.refused(complete("key", &id, parts)).0;
    assert_eq!(status(&mut om, &[(1, "etag1")]), Status::InvalidPart);
    assert_eq!(status(&mut om, &[]), Status::InvalidRequest);
    put_part(&mut om, "key", &id, 1, 10);
    put_part(&mut om, "key", &id, 2, 10);
    assert_eq!(status(&mut om, &[(2, "etag2"), (1, "etag1")]), Status::InvalidPartOrder);
    assert_eq!(status(&mut om, &[(1, "etag1"), (1, "etag1")]), Status::InvalidPartOrder);
    assert_eq!(status(&mut om, &[(1, "other")]), Status::InvalidPart);
    assert_eq!(status(&mut om, &[(3, "etag3")]), Status::InvalidPart);
    assert_eq!(status(&mut om, &[(1, "etag1"), (2, "etag2")]), Status::EntityTooSmall);
    let (status, message) = om.refused(complete("key", "nope", &[(1, "etag1")]));
    assert_eq!(status, Status::NoSuchMultipartUploadError);
    assert_eq!(message, "Complete Multipart Upload Failed: volume: vol bucket: buck key: key");
    let parts = list_parts(&om, "key", &id, 0, 10).list_multipart_upload_parts_response.unwrap();
    assert_eq!(parts.parts_list.len(), 2);
}

#[test]
fn a_part_committed_after_an_abort_is_refused_and_its_blocks_are_reclaimed() {
    for layout in [ObjectStore, FileSystemOptimized] {
        let mut om = Om::with_bucket(layout);
        let id = initiate(&mut om, "d/key");
        put_part(&mut om, "d/key", &id, 1, 10);
        let late = written(&mut om, "d/key", &id, 2, 20);
        om.ok(abort("d/key", &id));
        assert_eq!(om.bucket().used_bytes, Some(0));
        assert_eq!(om.refused(late).0, Status::NoSuchMultipartUploadError);
        assert_eq!(om.refused(abort("d/key", &id)).0, Status::NoSuchMultipartUploadError);
        let refused = om.refused(open_part("d/key", &id, 3, 1));
        assert_eq!(refused.0, Status::NoSuchMultipartUploadError);
        assert_eq!(om.rows(&tables::DELETED).len(), 2);
        assert!(om.rows(&tables::OPEN_KEY).is_empty() && om.rows(&tables::OPEN_FILE).is_empty());
    }
}

#[test]
fn an_upload_survives_that_its_folder_is_deleted_meanwhile() {
    let mut om = Om::with_bucket(FileSystemOptimized);
    let id = initiate(&mut om, "d/key");
    put_part(&mut om, "d/key", &id, 1, 10);
    om.ok(delete_key("d", true));
    om.ok(complete("d/key", &id, &[(1, "etag1")]));
    let key = om.info("d/key").get_key_info_response.unwrap().key_info.unwrap();
    assert_eq!(key.data_size, 10);
    assert!(om.rows(&tables::OPEN_FILE).is_empty());
}

#[test]
fn parts_and_uploads_are_listed_by_pages_with_markers() {
    let mut om = Om::with_bucket(ObjectStore);
    let id = initiate(&mut om, "x/a");
    for number in [5, 1, 3] {
        put_part(&mut om, "x/a", &id, number, 10);
    }
    let page = |marker, max| {
        let page = list_parts(&om, "x/a", &id, marker, max);
        let page = *page.list_multipart_upload_parts_response.unwrap();
        let numbers: Vec<u32> = page.parts_list.iter().map(|part| part.part_number).collect();
        (numbers, page.is_truncated(), page.next_part_number_marker())
    };
    assert_eq!(page(0, 2), (vec![1, 3], true, 3));
    assert_eq!(page(3, 2), (vec![5], false, 0));
    assert_eq!(list_parts(&om, "x/a", "no", 0, 1).status(), Status::NoSuchMultipartUploadError);

    let second = initiate(&mut om, "x/a");
    initiate(&mut om, "x/ab");
    initiate(&mut om, "y");
    let (first, second) = (id.clone().min(second.clone()), id.max(second));
    assert_eq!(list_uploads(&om, "", ("", ""), 0).0, ["x/a", "x/a", "x/ab", "y"]);
    assert_eq!(list_uploads(&om, "x/", ("", ""), 2), (vec!["x/a".into(), "x/a".into()], true));
    assert_eq!(list_uploads(&om, "x/", ("x/a", ""), 2), (vec!["x/ab".into()], false));
    let after = list_uploads(&om, "x/", ("x/a", &first), 1);
    assert_eq!(after, (vec!["x/a".into()], true));
    let after = list_uploads(&om, "x/", ("x/a", &second), 1);
    assert_eq!(after, (vec!["x/ab".into()], false));
}

#[test]
fn old_uploads_expire_and_young_ones_stay() {
    for layout in [ObjectStore, FileSystemOptimized] {
        let mut om = Om::with_bucket(layout);
        om.now = 1000;
        let old = initiate(&mut om, "a/old");
        put_part(&mut om, "a/old", &old, 1, 10);
        om.now = 9000;
        initiate(&mut om, "a/young");
        let plan = deletion::expired_uploads(&om.ns(), 5000, 10).unwrap().unwrap();
        assert_eq!((plan.uploads, plan.parts), (1, 1));
        // The open keys of uploads are not expired on their own.
        assert!(deletion::expired_open_keys(&om.ns(), 10_000, 10).unwrap().is_empty());
        om.ok(OmRequest {
            multipart_uploads_expired_abort_request: Some(Box::new(plan.request)),
            ..kind(Type::AbortExpiredMultiPartUploads)
        });
        assert_eq!(list_uploads(&om, "", ("", ""), 0).0, ["a/young"]);
        assert_eq!(om.bucket().used_bytes, Some(0));
        assert_eq!(om.rows(&tables::DELETED).len(), 1);
        assert!(deletion::expired_uploads(&om.ns(), 5000, 10).unwrap().is_none());
    }
}

#[test]
fn the_space_quota_counts_parts() {
    let mut om = Om::with_bucket(ObjectStore);
    let id = initiate(&mut om, "key");
    let first = written(&mut om, "key", &id, 1, 100);
    let second = written(&mut om, "key", &id, 2, 100);
    let mut info = om.bucket();
    info.quota_in_bytes = Some(500);
    let mut ns = om.ns();
    ns.put_bucket(&info);
    let edits = ns.into_edits();
    om.cache.apply(Applied { term: 1, index: om.index }, edits);
    om.ok(first);
    assert_eq!(om.refused(second).0, Status::QuotaExceeded);
    assert_eq!(om.bucket().used_bytes, Some(300));
}

#[test]
fn a_page_of_no_part_says_that_there_are_parts_whatever_the_marker() {
    let mut om = Om::with_bucket(BucketLayoutProto::ObjectStore);
    let id = initiate(&mut om, "key");
    let is_truncated = |om: &Om, marker, max| {
        list_parts(om, "key", &id, marker, max)
            .list_multipart_upload_parts_response
            .unwrap()
            .is_truncated()
    };
    assert!(!is_truncated(&om, 0, 0));
    put_part(&mut om, "key", &id, 1, 5);
    assert!(is_truncated(&om, 0, 0) && is_truncated(&om, 3, 0));
    assert!(!is_truncated(&om, 3, 1));
}
