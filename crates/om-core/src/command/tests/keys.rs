use BucketLayoutProto::{FileSystemOptimized, Legacy, ObjectStore};
use hdds_proto::hdds::KeyValue;

use super::*;

fn obs() -> Om {
    Om::with_bucket(BucketLayoutProto::ObjectStore)
}

#[test]
fn a_key_is_invisible_until_it_is_committed() {
    let mut om = obs();
    let open = om.ok(create_key("a//b", 300 << 20)).create_key_response.unwrap();
    let key = open.key_info.clone().unwrap();
    let blocks = &key.key_location_list[0].key_locations;
    assert_eq!(blocks.len(), 2);
    assert!(blocks.iter().all(|block| block.pipeline.is_some()));
    assert_eq!(om.info("a//b").status(), Status::KeyNotFound);
    assert_eq!(om.info("a//b").message.as_deref(), Some("Key:a//b not found"));
    let row = format!("/vol/buck/a//b/{}", open.id());
    let stored = om.row(&tables::OPEN_KEY, &row).unwrap();
    assert!(stored.key_location_list[0].key_locations[0].pipeline.is_none());

    om.ok(commit_key("a//b", &open, 7));
    assert!(om.row(&tables::OPEN_KEY, &row).is_none());
    let key = om.info("a//b").get_key_info_response.unwrap().key_info.unwrap();
    assert_eq!((key.data_size, key.is_file, key.parent_id), (7, Some(true), Some(0)));
    assert_eq!(key.object_id, Some((2 << 62) | (3 << 8)));
    assert_eq!(key.update_id, Some(4));
}

#[test]
fn a_commit_without_its_open_key_is_refused() {
    let mut om = obs();
    let refused = om.refused(commit("key", 12345, 0, Vec::new()));
    let message =
        "Failed to commit key, as /vol/buck/key/12345 entry is not found in the OpenKey table";
    assert_eq!(refused, (Status::KeyNotFound, message.into()));
}

#[test]
fn hsync_is_refused() {
    let mut om = obs();
    let mut request = commit("key", 1, 0, Vec::new());
    request.commit_key_request.as_mut().unwrap().hsync = Some(true);
    let refused = om.refused(request);
    let message = "Hsync is not enabled. To enable, set ozone.fs.hsync.enabled = true";
    assert_eq!(refused, (Status::NotSupportedOperation, message.into()));
}

#[test]
fn overwriting_a_key_moves_its_old_blocks_to_the_deleted_table() {
    let mut om = obs();
    let first = om.put("key", 10);
    om.now += 5;
    let second = om.put("key", 20);
    assert_eq!(second.object_id, first.object_id);
    assert_eq!(second.creation_time, first.creation_time);
    assert_ne!(second.modification_time, first.modification_time);
    let rows = om.rows(&tables::DELETED);
    let id = At { term: 1, index: om.index }.object_id(0).cast_signed();
    assert_eq!(rows, [format!("/vol/buck/key/{id}")]);
    let deleted = om.row(&tables::DELETED, &rows[0]).unwrap();
    assert_eq!(deleted.key_info[0].object_id, first.object_id);
    assert_eq!(crate::key::blocks(&deleted.key_info[0]).next().unwrap().length, 10);
    let bucket = om.bucket();
    assert_eq!((bucket.used_bytes, bucket.used_namespace), (Some(60), Some(1)));
    assert_eq!(bucket.snapshot_used_bytes, Some(30));
}

#[test]
fn blocks_that_were_not_used_are_reclaimed() {
    let mut om = obs();
    let open = om.ok(create_key("key", 600 << 20)).create_key_response.unwrap();
    let list = &open.key_info.as_ref().unwrap().key_location_list[0];
    assert_eq!(list.key_locations.len(), 3);
    let used = KeyLocation { length: 5, ..list.key_locations[1].clone() };
    let foreign = block(9, 999, 5);
    om.ok(commit("key", open.id(), 5, vec![used.clone(), foreign]));
    let key = om.info("key").get_key_info_response.unwrap().key_info.unwrap();
    let kept: Vec<_> = crate::key::blocks(&key).map(crate::key::block_of).collect();
    assert_eq!(kept, [crate::key::block_of(&used)]);
    let rows = om.rows(&tables::DELETED);
    let deleted = om.row(&tables::DELETED, &rows[0]).unwrap();
    assert_eq!(deleted.key_info[0].object_id, Some(0));
    assert_eq!(crate::key::blocks(&deleted.key_info[0]).count(), 2);
}

#[test]
fn one_more_block_joins_the_open_key() {
    let mut om = obs();
    let open = om.ok(create_key("key", 0)).create_key_response.unwrap();
    assert!(open.key_info.as_ref().unwrap().key_location_list[0].key_locations.is_empty());
    let allocate = |client_id| OmRequest {
        allocate_block_request: Some(Box::new(AllocateBlockRequest {
            key_args: args("key"),
            client_id,
            exclude_list: None,
            key_location: None,
        })),
        ..kind(Type::AllocateBlock)
    };
    let reply = om.ok(allocate(open.id()));
    let block = reply.allocate_block_response.unwrap().key_location.unwrap();
    assert!(block.pipeline.is_some());
    om.ok(commit("key", open.id(), 3, vec![KeyLocation { length: 3, ..block }]));
    assert_eq!(om.bucket().used_bytes, Some(9));
    let refused = om.refused(allocate(5));
    assert_eq!(refused, (Status::KeyNotFound, "Open Key not found /vol/buck/key/5".into()));
}

#[test]
fn atomic_writes_hold_to_their_generation_at_create_and_at_commit() {
    let mut om = obs();
    let expecting = |generation, etag: Option<&str>| {
        let mut request = create_key("key", 0);
        let args = &mut request.create_key_request.as_mut().unwrap().key_args;
        args.expected_data_generation = generation;
        args.expected_e_tag = etag.map(str::to_owned);
        request
    };
    let open = om.ok(expecting(Some(0), None)).create_key_response.unwrap();
    om.put("key", 5);
    let refused = om.refused(commit_key("key", &open, 0));
    let message = "Atomic create-if-not-exists conflicted with an existing key";
    assert_eq!(refused, (Status::AtomicWriteConflict, message.into()));
    let refused = om.refused(expecting(Some(0), None));
    assert_eq!(refused, (Status::KeyAlreadyExists, "Key already exists".into()));
    let refused = om.refused(expecting(Some(1), None));
    let message = "Generation mismatch during expected rewrite";
    assert_eq!(refused, (Status::KeyNotFound, message.into()));
    let refused = om.refused(expecting(None, Some("x")));
    assert_eq!(refused, (Status::EtagNotAvailable, "Key does not have an ETag".into()));

    let generation = om.put("key", 5).update_id;
    let open = om.ok(expecting(generation, None)).create_key_response.unwrap();
    om.ok(commit_key("key", &open, 0));
}

#[test]
fn an_etag_in_the_metadata_is_what_if_match_compares() {
    let mut om = obs();
    let etag = KeyValue { key: "ETag".into(), value: Some("abc".into()) };
    let mut request = create_key("key", 0);
    request.create_key_request.as_mut().unwrap().key_args.metadata = vec![etag];
    let open = om.ok(request).create_key_response.unwrap();
    om.ok(commit_key("key", &open, 0));
}

#[test]
fn keys_of_missing_places_are_refused_by_the_place() {
    let mut om = obs();
    let mut request = create_key("key", 0);
    request.create_key_request.as_mut().unwrap().key_args.bucket_name = "nope".into();
    let refused = om.refused(request.clone());
    assert_eq!(refused, (Status::BucketNotFound, "Bucket not found: vol/nope".into()));
    request.create_key_request.as_mut().unwrap().key_args.volume_name = "nope".into();
    let refused = om.refused(request);
    assert_eq!(refused, (Status::VolumeNotFound, "Volume not found: nope".into()));
    let refused = om.refused(create_key(".snapshot/x", 0));
    let message = "Cannot create key under path reserved for snapshot: .snapshot/";
    assert_eq!(refused, (Status::InvalidKeyName, message.into()));
}

#[test]
fn a_rename_keeps_the_key_and_takes_only_a_free_name() {
    let mut om = obs();
    let before = om.put("one", 5);
    om.put("other", 5);
    let refused = om.refused(rename_key("one", "other"));
    assert_eq!(refused, (Status::KeyAlreadyExists, "Key already exists other".into()));
    let refused = om.refused(rename_key("nope", "x"));
    assert_eq!(refused, (Status::KeyNotFound, "Key not found /vol/buck/nope".into()));
    let refused = om.refused(rename_key("one", ""));
    assert_eq!(refused, (Status::InvalidKeyName, "Key name is empty".into()));
    om.ok(rename_key("one", "two"));
    let after = om.info("two").get_key_info_response.unwrap().key_info.unwrap();
    assert_eq!(after.object_id, before.object_id);
    assert_eq!(om.info("one").status(), Status::KeyNotFound);
    assert_eq!(om.refused(delete_key("one", false)), (Status::KeyNotFound, "Key not found".into()));
}

#[test]
fn of_many_keys_to_delete_the_missing_are_reported() {
    let mut om = obs();
    om.put("a", 5);
    om.put("b", 0);
    let request = |keys: &[&str]| OmRequest {
        delete_keys_request: Some(Box::new(DeleteKeysRequest {
            delete_keys: Some(DeleteKeyArgs {
                volume_name: "vol".into(),
                bucket_name: "buck".into(),
                keys: keys.iter().map(|key| (*key).to_owned()).collect(),
            }),
            ..DeleteKeysRequest::default()
        })),
        ..kind(Type::DeleteKeys)
    };
    let reply = om.write(request(&["a", "nope", "a"]));
    assert_eq!((reply.status(), reply.success), (Status::PartialDelete, Some(false)));
    assert_eq!(reply.message, None);
    let body = reply.delete_keys_response.unwrap();
    assert_eq!(body.status, Some(false));
    assert_eq!(body.un_deleted_keys.unwrap().keys, ["nope", "a"]);
    assert_eq!(body.errors[0].error_code.as_deref(), Some("KEY_NOT_FOUND"));
    let body = om.ok(request(&["b"])).delete_keys_response.unwrap();
    assert_eq!(body.status, Some(true));
    assert_eq!(om.bucket().used_namespace, Some(0));
}

#[test]
fn many_renames_report_those_that_failed() {
    let mut om = obs();
    om.put("a", 0);
    om.put("b", 0);
    let map = [("a", "x"), ("nope", "y"), ("b", "x")];
    let reply = om.write(OmRequest {
        rename_keys_request: Some(Box::new(RenameKeysRequest {
            rename_keys_args: RenameKeysArgs {
                volume_name: "vol".into(),
                bucket_name: "buck".into(),
                rename_keys_map: map
                    .iter()
                    .map(|(from, to)| RenameKeysMap {
                        from_key_name: (*from).into(),
                        to_key_name: (*to).into(),
                    })
                    .collect(),
            },
            ..RenameKeysRequest::default()
        })),
        ..kind(Type::RenameKeys)
    });
    assert_eq!(reply.status(), Status::PartialRename);
    assert_eq!(reply.rename_keys_response.unwrap().un_renamed_keys.len(), 2);
    assert_eq!(om.list("", "", 10).0, ["b", "x"]);
}

#[test]
fn a_listing_pages_through_flushed_and_unflushed_keys_in_byte_order() {
    let mut om = obs();
    for name in ["b/2", "a", "c", "b/1", "Z"] {
        om.put(name, 0);
        if name == "c" {
            om.flush();
        }
    }
    om.ok(delete_key("a", false));
    let names = |list: (Vec<String>, bool)| (list.0.join(" "), list.1);
    assert_eq!(names(om.list("", "", 100)), ("Z b/1 b/2 c".into(), false));
    assert_eq!(names(om.list("", "", 2)), ("Z b/1".into(), true));
    assert_eq!(names(om.list("b/1", "", 1)), ("b/2".into(), true));
    // The skipped start counts for isTruncated, as in the genuine OM.
    assert_eq!(names(om.list("b/1", "b/", 1)), ("b/2".into(), true));
    assert_eq!(names(om.list("b/2", "b/", 5)), (String::new(), false));
    assert_eq!(names(om.list("", "nothing", 5)), (String::new(), false));
    assert_eq!(names(om.list("", "", 0)), (String::new(), false));
}

#[test]
fn what_is_not_served_says_so() {
    let mut om = obs();
    let (status, _) = om.refused(kind(Type::CreateSnapshot));
    assert_eq!(status, Status::NotSupportedOperation);
    let refused = om.refused(kind(Type::UnknownCommand));
    let message = "Unrecognized write command type request UnknownCommand";
    assert_eq!(refused, (Status::InvalidRequest, message.into()));
    assert_eq!(om.refused(kind(Type::CreateKey)).0, Status::InvalidRequest);
}

#[test]
fn open_keys_that_are_given_up_leave_their_blocks_to_be_reclaimed() {
    let mut om = obs();
    let open = om.ok(create_key("key", 5)).create_key_response.unwrap();
    om.ok(OmRequest {
        delete_open_keys_request: Some(Box::new(DeleteOpenKeysRequest {
            open_keys_per_bucket: vec![OpenKeyBucket {
                volume_name: "vol".into(),
                bucket_name: "buck".into(),
                keys: vec![OpenKey {
                    name: format!("/vol/buck/key/{}", open.id()),
                    ..Default::default()
                }],
            }],
            bucket_layout: None,
        })),
        ..kind(Type::DeleteOpenKeys)
    });
    assert!(om.rows(&tables::OPEN_KEY).is_empty());
    assert_eq!(om.rows(&tables::DELETED).len(), 1);
}

#[test]
fn replaying_the_same_entries_over_a_flushed_store_changes_nothing() {
    let mut om = obs();
    let open = om.ok(create_key("key", 5)).create_key_response.unwrap();
    let mut requests = vec![commit_key("key", &open, 5), delete_key("key", false)];
    let before = om.index;
    for request in &mut requests {
        prepare(request, &om.ns(), &om.caller()).unwrap();
        om.index += 1;
        let at = At { term: 1, index: om.index };
        let (_, changes) = apply(Box::new(request.clone()), at, om.ns()).unwrap();
        om.cache.apply(Applied { term: 1, index: om.index }, changes);
    }
    om.flush();
    let flushed = om.cache.flushed().unwrap().unwrap();
    assert_eq!(flushed.index, before + 2);
    let state = |om: &Om| (om.bucket(), om.rows(&tables::KEY), om.rows(&tables::DELETED));
    let expected = state(&om);
    // A replay begins behind the flushed index, so what is at or before it is never applied again;
    // a fresh view over the store shows the same state.
    let restarted = Om {
        cache: TableCache::new(om.cache.store().clone()),
        rules: Rules::default(),
        index: flushed.index,
        now: 0,
        blocks: 0,
    };
    assert_eq!(state(&restarted), expected);
}

fn hsync(key: &str, open: &CreateKeyResponse, size: u64, recovery: Option<bool>) -> OmRequest {
    let mut request = commit_key(key, open, size);
    let body = request.commit_key_request.as_mut().unwrap();
    (body.hsync, body.recovery) = (recovery.is_none().then_some(true), recovery);
    request
}

fn recover(key: &str, force: bool) -> OmRequest {
    OmRequest {
        recover_lease_request: Some(Box::new(RecoverLeaseRequest {
            volume_name: Some("vol".into()),
            bucket_name: Some("buck".into()),
            key_name: Some(key.into()),
            force: Some(force),
        })),
        ..kind(Type::RecoverLease)
    }
}

#[test]
fn an_hsync_shows_the_data_and_keeps_the_file_open_until_it_is_committed() {
    let mut om = Om::with_bucket(BucketLayoutProto::FileSystemOptimized);
    om.rules.hsync = true;
    let open = *om.ok(create_key("d/key", 9)).create_key_response.unwrap();
    om.ok(hsync("d/key", &open, 3, None));
    om.ok(hsync("d/key", &open, 5, None));
    let info = om.info("d/key").get_key_info_response.unwrap().key_info.unwrap();
    assert_eq!((info.data_size, om.bucket().used_bytes), (5, Some(15)));
    assert_eq!(om.bucket().used_namespace, Some(2));
    assert_eq!(om.rows(&tables::OPEN_FILE).len(), 1);
    assert_eq!(om.refused(rename_key("d/key", "d/other")).0, Status::RenameOpenFile);
    om.ok(commit_key("d/key", &open, 9));
    let info = om.info("d/key").get_key_info_response.unwrap().key_info.unwrap();
    assert!(crate::key::hsync_client(&info).is_none());
    assert!(om.rows(&tables::OPEN_FILE).is_empty() && om.rows(&tables::DELETED).is_empty());
    assert_eq!((om.bucket().used_bytes, om.bucket().used_namespace), (Some(27), Some(2)));
}

#[test]
fn a_recovered_lease_locks_the_writer_out_and_the_file_is_closed_by_the_recoverer() {
    let mut om = Om::with_bucket(BucketLayoutProto::FileSystemOptimized);
    om.rules.hsync = true;
    let open = *om.ok(create_key("key", 9)).create_key_response.unwrap();
    assert_eq!(om.refused(recover("key", true)).0, Status::KeyNotFound);
    om.ok(hsync("key", &open, 3, None));
    assert_eq!(om.refused(recover("key", false)).0, Status::KeyUnderLeaseSoftLimitPeriod);
    om.now += om.rules.lease_soft_limit_ms + 1;
    let response = om.ok(recover("key", false)).recover_lease_response.unwrap();
    assert_eq!(response.key_info.unwrap().data_size, 3);
    assert_eq!(om.refused(hsync("key", &open, 5, None)).0, Status::KeyUnderLeaseRecovery);
    om.ok(hsync("key", &open, 4, Some(true)));
    assert_eq!(om.refused(recover("key", true)).0, Status::KeyAlreadyClosed);
    let info = om.info("key").get_key_info_response.unwrap().key_info.unwrap();
    assert!(info.metadata.is_empty());
    assert_eq!(om.bucket().used_bytes, Some(12));
}

#[test]
fn the_writer_of_a_deleted_or_replaced_file_learns_that_it_is_gone() {
    let mut om = Om::with_bucket(BucketLayoutProto::FileSystemOptimized);
    om.rules.hsync = true;
    let open = *om.ok(create_key("gone", 9)).create_key_response.unwrap();
    om.ok(hsync("gone", &open, 3, None));
    om.ok(delete_key("gone", false));
    let (status, message) = om.refused(commit_key("gone", &open, 9));
    assert_eq!(status, Status::KeyNotFound);
    assert_eq!(message, "Open Key gone is already deleted/overwritten");
    let first = *om.ok(create_key("two", 9)).create_key_response.unwrap();
    om.ok(hsync("two", &first, 3, None));
    om.put("two", 5);
    assert_eq!(om.refused(hsync("two", &first, 4, None)).0, Status::KeyNotFound);
    // The open halves are given up by the clean-up, whatever their age.
    let plans = crate::deletion::expired_open_keys(&om.ns(), 0, 10).unwrap();
    assert_eq!(plans[0].open_keys_per_bucket[0].keys.len(), 2);
}

#[test]
fn old_clients_are_spared_what_they_cannot_read_and_kept_from_writing_it_wrongly() {
    let mut om = Om::with_bucket(BucketLayoutProto::FileSystemOptimized);
    om.put("key", 5);
    let old = |request| OmRequest { version: Some(2), ..request };
    assert_eq!(om.refused(old(create_key("new", 0))).0, Status::NotSupportedOperation);
    let lookup = OmRequest {
        lookup_key_request: Some(Box::new(LookupKeyRequest { key_args: args("key") })),
        ..kind(Type::LookupKey)
    };
    assert_eq!(om.read(lookup.clone()).status(), Status::Ok);
    let reply = om.read(old(lookup));
    assert_eq!((reply.status(), reply.success), (Status::NotSupportedOperation, Some(true)));
    assert!(reply.lookup_key_response.is_none());
    om.ok(old(create_bucket("vol", "legacy", BucketLayoutProto::ObjectStore)));
    let made: BucketInfo = om.row(&tables::BUCKET, "/vol/legacy").unwrap();
    assert_eq!(made.bucket_layout(), BucketLayoutProto::Legacy);
}

#[test]
fn a_key_that_comes_back_under_its_old_id_loses_no_blocks_when_it_is_deleted_again() {
    for layout in [ObjectStore, FileSystemOptimized] {
        let mut om = Om::with_bucket(layout);
        om.put("key", 10);
        // This writer takes over the identity of the key, and commits when the key is gone.
        let open = om.ok(create_key("key", 20)).create_key_response.unwrap();
        om.ok(delete_key("key", false));
        om.ok(commit_key("key", &open, 20));
        om.ok(delete_key("key", false));
        let rows = om.rows(&tables::DELETED);
        let keys: usize =
            rows.iter().map(|row| om.row(&tables::DELETED, row).unwrap().key_info.len()).sum();
        assert_eq!((rows.len(), keys), (2, 2), "{layout:?}: {rows:?}");
    }
}

#[test]
fn where_slashes_part_folders_a_key_below_a_file_is_found_and_deleted() {
    let mut om = Om::with_bucket(Legacy);
    om.rules.filesystem_paths = true;
    om.put("a", 10);
    om.put("b", 10);
    // A rename of flat names asks for no folders.
    om.ok(rename_key("b", "a/b"));
    assert!(om.info("a/b").get_key_info_response.is_some());
    // It may be opened, as it is there; committed it is not, for its folder is none.
    let open = om.ok(create_key("a/b", 5)).create_key_response.unwrap();
    assert_eq!(om.refused(commit_key("a/b", &open, 5)).0, Status::DirectoryNotFound);
    assert_eq!(om.refused(create_key("a/c", 5)).0, Status::NotAFile);
    om.ok(delete_key("a/b", false));
    assert_eq!(om.bucket().used_namespace, Some(1));
}

#[test]
fn where_slashes_part_folders_a_file_beside_a_folder_of_its_name_is_not_written_again() {
    let mut om = Om::with_bucket(Legacy);
    om.rules.filesystem_paths = true;
    om.put("a/x", 10);
    om.put("b", 10);
    om.ok(rename_key("b", "a"));
    let open = om.ok(create_key("a", 5)).create_key_response.unwrap();
    assert_eq!(om.refused(commit_key("a", &open, 5)).0, Status::NotAFile);
}

#[test]
fn where_slashes_part_folders_a_key_below_a_folder_beside_a_file_of_its_name_is_committed() {
    let mut om = Om::with_bucket(Legacy);
    om.rules.filesystem_paths = true;
    om.put("b", 10);
    let open = om.ok(create_key("a/x", 5)).create_key_response.unwrap();
    om.ok(rename_key("b", "a"));
    om.ok(commit_key("a/x", &open, 5));
}
