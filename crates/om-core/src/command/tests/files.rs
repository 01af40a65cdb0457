use super::*;
use crate::deletion;

fn fso() -> Om {
    Om::with_bucket(BucketLayoutProto::FileSystemOptimized)
}

fn create_directory(name: &str) -> OmRequest {
    OmRequest {
        create_directory_request: Some(Box::new(CreateDirectoryRequest { key_args: args(name) })),
        ..kind(Type::CreateDirectory)
    }
}

fn create_file(name: &str, recursive: bool, overwrite: bool) -> OmRequest {
    OmRequest {
        create_file_request: Some(Box::new(CreateFileRequest {
            key_args: args(name),
            is_recursive: recursive,
            is_overwrite: overwrite,
            client_id: None,
        })),
        ..kind(Type::CreateFile)
    }
}

fn status(om: &Om, name: &str) -> Result<(String, bool), (Status, String)> {
    let reply = om.read(OmRequest {
        get_file_status_request: Some(Box::new(GetFileStatusRequest { key_args: args(name) })),
        ..kind(Type::GetFileStatus)
    });
    if reply.status() != Status::Ok {
        return Err((reply.status(), reply.message.unwrap()));
    }
    let status = reply.get_file_status_response.unwrap().status;
    let name = status.key_info.as_ref().map_or(String::new(), |key| key.key_name.clone());
    Ok((name, status.is_directory()))
}

fn list(om: &Om, name: &str, start: &str, count: u64) -> Vec<String> {
    let reply = om.read(OmRequest {
        list_status_request: Some(Box::new(ListStatusRequest {
            key_args: args(name),
            recursive: false,
            start_key: start.into(),
            num_entries: count,
            allow_partial_prefix: Some(true),
        })),
        ..kind(Type::ListStatusLight)
    });
    assert_eq!(reply.status(), Status::Ok, "{:?}", reply.message);
    let statuses = reply.list_status_light_response.unwrap().statuses;
    statuses.into_iter().filter_map(|status| status.basic_key_info?.key_name).collect()
}

#[test]
fn a_file_makes_the_folders_above_it_with_ids_from_the_top() {
    let mut om = fso();
    let open = om.ok(create_key("a/b/file", 5)).create_key_response.unwrap();
    let at = At { term: 1, index: om.index };
    let folders = om.rows(&tables::DIRECTORY);
    assert_eq!(folders.len(), 2);
    let volume = om.row(&tables::VOLUME, "/vol").unwrap().object_id.unwrap().cast_signed();
    let bucket = om.bucket().object_id.unwrap().cast_signed();
    let (a, b) = (at.object_id(1).cast_signed(), at.object_id(2).cast_signed());
    assert!(folders.contains(&format!("/{volume}/{bucket}/{bucket}/a")));
    assert!(folders.contains(&format!("/{volume}/{bucket}/{a}/b")));
    assert_eq!(om.rows(&tables::OPEN_FILE), [format!("/{volume}/{bucket}/{b}/file/{}", open.id())]);
    assert_eq!(om.bucket().used_namespace, Some(2));

    om.ok(commit_key("a/b/file", &open, 5));
    let stored = om.row(&tables::FILE, &format!("/{volume}/{bucket}/{b}/file")).unwrap();
    assert_eq!((stored.key_name.as_str(), stored.object_id), ("file", Some(at.object_id(3))));
    assert_eq!(stored.parent_id, Some(at.object_id(2)));
    let shown = om.info("/a//b/file/").get_key_info_response.unwrap().key_info.unwrap();
    assert_eq!(shown.key_name, "a/b/file");
    assert_eq!(om.bucket().used_namespace, Some(3));
}

#[test]
fn folders_and_files_do_not_share_a_name() {
    let mut om = fso();
    om.ok(create_directory("dir/sub"));
    let again = om.write(create_directory("dir"));
    assert_eq!((again.status(), again.success), (Status::DirectoryAlreadyExists, Some(true)));
    assert_eq!(om.refused(create_key("dir", 0)).0, Status::NotAFile);
    om.put("file", 0);
    assert_eq!(om.refused(create_key("file/x", 0)).0, Status::NotAFile);
    let (status, message) = om.refused(create_directory("file/x"));
    assert_eq!(status, Status::FileAlreadyExists);
    assert_eq!(
        message,
        "Unable to create directory: file/x in volume/bucket: vol/buck as file:/vol/buck/file \
         already exists"
    );
    let root = om.write(create_directory(""));
    assert_eq!(root.status(), Status::CannotCreateDirectoryAtRoot);
    assert!(root.create_directory_response.is_some());
}

#[test]
fn create_file_minds_overwrite_and_missing_parents() {
    for layout in [
        BucketLayoutProto::FileSystemOptimized,
        BucketLayoutProto::Legacy,
        BucketLayoutProto::ObjectStore,
    ] {
        let mut om = Om::with_bucket(layout);
        let refused = om.refused(create_file("a/file", false, false));
        assert_eq!(refused.0, Status::DirectoryNotFound);
        let open = om.ok(create_file("a/file", true, false)).create_file_response.unwrap();
        let blocks = &open.key_info.as_ref().unwrap().key_location_list[0].key_locations;
        assert_eq!(blocks.len(), 1);
        om.ok(commit("a/file", open.id(), 3, vec![KeyLocation { length: 3, ..blocks[0].clone() }]));
        let refused = om.refused(create_file("a/file", true, false));
        assert_eq!(refused, (Status::FileAlreadyExists, "File a/file already exists".into()));
        om.ok(create_file("a/file", true, true));
        assert_eq!(om.refused(create_file("a", true, true)).0, Status::NotAFile, "{layout:?}");
        assert!(status(&om, "a").unwrap().1);
        assert_eq!(status(&om, "a/file").unwrap(), ("a/file".into(), false));
    }
}

#[test]
fn a_status_tells_files_folders_and_the_root_apart() {
    let mut om = fso();
    om.ok(create_directory("dir"));
    assert_eq!(status(&om, "").unwrap(), (String::new(), true));
    assert_eq!(status(&om, "dir").unwrap(), ("dir".into(), true));
    let missing = status(&om, "nope").unwrap_err();
    let message = "Unable to get file status: volume: vol bucket: buck key: nope";
    assert_eq!(missing, (Status::FileNotFound, message.into()));
    let mut flat = Om::with_bucket(BucketLayoutProto::ObjectStore);
    flat.put("x/y", 0);
    assert_eq!(status(&flat, "x").unwrap(), ("x/".into(), true));
}

#[test]
fn a_folder_lists_its_children_only_in_the_order_of_their_names() {
    for layout in [BucketLayoutProto::FileSystemOptimized, BucketLayoutProto::ObjectStore] {
        let mut om = Om::with_bucket(layout);
        for name in ["dir/c", "dir/a/x", "dir/a/y", "dir/b", "other"] {
            om.put(name, 0);
        }
        let slash = if layout == BucketLayoutProto::ObjectStore { "/" } else { "" };
        let a = format!("dir/a{slash}");
        assert_eq!(list(&om, "dir", "", 10), [a.as_str(), "dir/b", "dir/c"]);
        assert_eq!(list(&om, "dir", "", 2), [a.as_str(), "dir/b"]);
        assert_eq!(list(&om, "dir", "dir/b", 10), ["dir/b", "dir/c"]);
        assert_eq!(list(&om, "", "", 10), [format!("dir{slash}"), "other".into()]);
        assert_eq!(list(&om, "dir/b", "", 10), ["dir/b"]);
    }
    let mut om = fso();
    om.put("dir/abc", 0);
    om.put("dir/b", 0);
    assert_eq!(list(&om, "dir/a", "", 10), ["dir/abc"]);
    assert!(list(&om, "nope/a", "", 10).is_empty());
}

#[test]
fn a_folder_is_renamed_in_one_step_with_all_in_it() {
    let mut om = fso();
    om.put("dir/sub/file", 5);
    om.ok(create_directory("target"));
    om.ok(rename_key("dir/sub", "moved"));
    assert_eq!(om.info("moved/file").status(), Status::Ok);
    assert_eq!(om.info("dir/sub/file").status(), Status::KeyNotFound);
    om.ok(rename_key("moved", "target"));
    assert_eq!(om.info("target/moved/file").status(), Status::Ok);
    let refused = om.refused(rename_key("target", "target/moved/x"));
    let message = "Cannot rename a directory to its own subdirectory";
    assert_eq!(refused, (Status::KeyRenameError, message.into()));
    let refused = om.refused(rename_key("target/moved/file", "nodir/f1"));
    let message = "Failed to get parent dir nodir/f1, nodir doesn't exist";
    assert_eq!(refused, (Status::KeyRenameError, message.into()));
    let refused = om.refused(rename_key("nope", "x"));
    let message = "Unable to get file status: volume: vol bucket: buck key: nope";
    assert_eq!(refused, (Status::KeyNotFound, message.into()));
    om.ok(rename_key("target/moved/file", ""));
    assert_eq!(om.info("file").status(), Status::Ok);
}

#[test]
fn a_full_folder_goes_only_when_asked_to_with_all_in_it() {
    let mut om = fso();
    om.put("dir/file", 5);
    let refused = om.refused(delete_key("dir", false));
    assert_eq!(refused, (Status::DirectoryNotEmpty, "Directory is not empty. Key:dir".into()));
    om.ok(delete_key("dir", true));
    assert_eq!(om.info("dir/file").status(), Status::KeyNotFound);
    let trees = om.rows(&tables::DELETED_DIRECTORY);
    assert_eq!(trees.len(), 1);
    let refused = om.refused(delete_key("dir", true));
    let message = "Unable to get file status: volume: vol bucket: buck key: dir";
    assert_eq!(refused, (Status::KeyNotFound, message.into()));

    let plan = deletion::TreeWalk::default().next(&om.ns(), 100).unwrap().unwrap();
    assert_eq!(plan.deleted_path[0].deleted_dir.as_deref(), Some(trees[0].as_str()));
    om.ok(purge(plan));
    assert!(om.rows(&tables::DELETED_DIRECTORY).is_empty());
    assert!(om.rows(&tables::FILE).is_empty());
    assert_eq!(om.rows(&tables::DELETED).len(), 1);
    let bucket = om.bucket();
    assert_eq!((bucket.used_bytes, bucket.used_namespace), (Some(0), Some(0)));
    assert_eq!((bucket.snapshot_used_bytes, bucket.snapshot_used_namespace), (Some(15), Some(1)));
}

fn purge(plan: PurgeDirectoriesRequest) -> OmRequest {
    OmRequest { purge_directories_request: Some(Box::new(plan)), ..kind(Type::PurgeDirectories) }
}

#[test]
fn a_deleted_tree_is_taken_apart_in_bounded_steps_until_nothing_is_left() {
    let mut om = fso();
    for folder in 0..4 {
        for file in 0..5 {
            om.put(&format!("top/d{folder}/sub/f{file}"), 5);
        }
    }
    om.ok(delete_key("top", true));
    let mut steps = 0;
    let mut walk = deletion::TreeWalk::default();
    while let Some(plan) = walk.next(&om.ns(), 3).unwrap() {
        let path = &plan.deleted_path;
        let moved: usize = path
            .iter()
            .map(|path| path.deleted_sub_files.len() + path.mark_deleted_sub_dirs.len())
            .sum();
        assert!(moved <= 3);
        om.ok(purge(plan));
        steps += 1;
        assert!(steps < 100);
    }
    assert!(om.rows(&tables::DIRECTORY).is_empty());
    assert!(om.rows(&tables::FILE).is_empty());
    assert!(om.rows(&tables::DELETED_DIRECTORY).is_empty());
    let deleted = om.rows(&tables::DELETED);
    assert_eq!(deleted.len(), 20);
    assert!(deleted[0].starts_with("/vol/buck/top/d0/sub/f0/"));
    let bucket = om.bucket();
    assert_eq!((bucket.used_bytes, bucket.used_namespace), (Some(0), Some(0)));
    assert_eq!(bucket.snapshot_used_namespace, Some(20));
}

#[test]
fn a_row_that_comes_behind_the_walk_is_found_before_the_folder_counts_as_empty() {
    let mut om = fso();
    for file in 0..5 {
        om.put(&format!("top/f{file}"), 5);
    }
    om.put("zoo/sub/f", 5);
    let passed = om.rows(&tables::FILE)[0].clone();
    let late = om.row(&tables::FILE, &passed).unwrap();
    om.ok(delete_key("top", true));
    let mut walk = deletion::TreeWalk::default();
    let plan = walk.next(&om.ns(), 3).unwrap().unwrap();
    assert_eq!(plan.deleted_path[0].deleted_sub_files.len(), 3);
    om.ok(purge(plan));
    // What the walk has passed, and a tree that sorts before the one under way.
    let mut ns = om.ns();
    ns.put(&tables::FILE, passed.into_bytes(), &late);
    let edits = ns.into_edits();
    om.cache.apply(Applied { term: 1, index: om.index }, edits);
    om.ok(delete_key("zoo", true));
    let mut steps = 0;
    while let Some(plan) = walk.next(&om.ns(), 3).unwrap() {
        om.ok(purge(plan));
        steps += 1;
        assert!(steps < 20);
    }
    assert!(om.rows(&tables::FILE).is_empty());
    assert!(om.rows(&tables::DIRECTORY).is_empty());
    assert!(om.rows(&tables::DELETED_DIRECTORY).is_empty());
}

#[test]
fn open_keys_expire_by_their_last_block_not_by_the_age_of_what_they_overwrite() {
    for layout in [BucketLayoutProto::FileSystemOptimized, BucketLayoutProto::ObjectStore] {
        let mut om = Om::with_bucket(layout);
        om.put("key", 5);
        om.now = 50_000;
        om.ok(create_key("key", 5));
        om.ok(create_key("key", 5));
        assert!(deletion::expired_open_keys(&om.ns(), 50_000, 10).unwrap().is_empty());
        let plans = deletion::expired_open_keys(&om.ns(), 50_001, 10).unwrap();
        assert_eq!(plans.len(), 1);
        om.ok(OmRequest {
            delete_open_keys_request: Some(Box::new(plans[0].clone())),
            ..kind(Type::DeleteOpenKeys)
        });
        assert!(om.rows(&tables::OPEN_KEY).is_empty() && om.rows(&tables::OPEN_FILE).is_empty());
        let rows = om.rows(&tables::DELETED);
        assert_eq!(rows.len(), 1);
        assert_eq!(om.row(&tables::DELETED, &rows[0]).unwrap().key_info.len(), 2);
        assert_eq!(om.info("key").status(), Status::Ok);
    }
}

#[test]
fn a_file_whose_folder_went_away_cannot_be_committed() {
    let mut om = fso();
    let open = om.ok(create_key("dir/file", 0)).create_key_response.unwrap();
    om.ok(delete_key("dir", true));
    assert_eq!(om.refused(commit_key("dir/file", &open, 0)).0, Status::DirectoryNotFound);
}

#[test]
fn times_are_set_and_minus_one_keeps_them() {
    for layout in [BucketLayoutProto::FileSystemOptimized, BucketLayoutProto::ObjectStore] {
        let mut om = Om::with_bucket(layout);
        om.put("dir/file", 0);
        let set = |mtime: i64| OmRequest {
            set_times_request: Some(Box::new(SetTimesRequest {
                key_args: args("dir/file"),
                mtime: mtime.cast_unsigned(),
                atime: (-1_i64).cast_unsigned(),
            })),
            ..kind(Type::SetTimes)
        };
        om.ok(set(5));
        om.ok(set(-1));
        let key = om.info("dir/file").get_key_info_response.unwrap().key_info.unwrap();
        assert_eq!(key.modification_time, 5);
        assert_eq!(om.refused(set(-2)).0, Status::InvalidRequest);
    }
}

#[test]
fn a_listing_by_pages_passes_a_file_beside_a_folder_of_its_name() {
    let mut om = Om::with_bucket(BucketLayoutProto::Legacy);
    om.rules.filesystem_paths = true;
    for key in ["a/x", "a-/x", "b/x", "c"] {
        om.put(key, 1);
    }
    om.ok(rename_key("c", "a"));
    let reply = om.read(OmRequest {
        list_status_request: Some(Box::new(ListStatusRequest {
            key_args: args(""),
            start_key: "a/".into(),
            num_entries: 2,
            ..Default::default()
        })),
        ..kind(Type::ListStatus)
    });
    let names = reply.list_status_response.unwrap().statuses;
    let names: Vec<String> =
        names.into_iter().map(|status| status.key_info.unwrap().key_name).collect();
    assert_eq!(names, ["a/", "b/"]);
}

#[test]
fn a_level_of_a_tree_may_begin_at_a_child_or_beside_it_and_the_top_where_the_start_says() {
    let mut om = fso();
    for name in ["a/b/one", "a/b/two", "a/c", "d", "da"] {
        om.put(name, 1);
    }
    assert_eq!(list(&om, "a/b", "a/b/two", 10), ["a/b/two"]);
    assert_eq!(list(&om, "", "a/b/one", 10), ["a/b/one", "a/b/two"]);
    assert_eq!(list(&om, "", "d", 10), ["d", "da"]);
    assert_eq!(list(&om, "a/b", "a/c", 10), ["a/b/one", "a/b/two"]);
    assert_eq!(list(&om, "a", "d/x/y", 10), [""; 0]);
    assert_eq!(list(&om, "nope/none", "d", 10), [""; 0], "nobody looks whether it is there");
    assert_eq!(list(&om, "d", "", 10), ["d", "da"], "a file is the beginning of other names, too");
}

#[test]
fn a_level_of_names_that_begins_somewhere_does_not_ask_what_the_folder_is() {
    let mut om = Om::with_bucket(BucketLayoutProto::ObjectStore);
    om.put("d/a", 1);
    om.put("d/b", 1);
    assert_eq!(list(&om, "d", "d/b", 10), ["d/b"]);
    assert_eq!(list(&om, "nope", "nope/a", 10), [""; 0]);
    assert_eq!(list(&om, "d/a", "d/a/x", 10), [""; 0]);
}

#[test]
fn folders_get_neither_metadata_nor_from_the_bucket_but_from_the_request_their_replication() {
    for layout in [BucketLayoutProto::FileSystemOptimized, BucketLayoutProto::ObjectStore] {
        let mut om = Om::with_bucket(layout);
        let mut request = create_directory("a/b");
        let args = &mut request.create_directory_request.as_mut().unwrap().key_args;
        args.metadata = vec![hdds_proto::hdds::KeyValue { key: "k".into(), value: None }];
        om.ok(request);
        for name in ["a/", "a/b/"] {
            let info = om.info(name).get_key_info_response.unwrap().key_info.unwrap();
            assert_eq!(info.metadata, [], "{name} in {layout:?}");
        }
    }
}

#[test]
fn where_a_file_and_a_folder_have_one_name_it_is_the_folder() {
    let mut om = Om::with_bucket(BucketLayoutProto::FileSystemOptimized);
    let file = om.put("a", 0);
    // As a Java OM leaves it: the file was open while somebody made the folder.
    let (volume, bucket) = (om.row(&tables::VOLUME, "/vol").unwrap(), om.bucket());
    let ids = (volume.object_id.unwrap(), bucket.object_id.unwrap());
    let folder =
        DirectoryInfo { name: "a".into(), object_id: 7, parent_id: ids.1, ..Default::default() };
    let row = tables::path_key(ids.0, ids.1, ids.1, "a");
    let change =
        crate::cache::Change::new(tables::DIRECTORY.slot, row, Some(folder.encode_to_vec().into()));
    om.cache.apply(Applied { term: 1, index: om.index }, vec![change]);

    let found = |om: &Om, name: &str| {
        om.info(name)
            .get_key_info_response
            .and_then(|body| body.key_info)
            .and_then(|key| key.object_id)
    };
    assert_eq!(found(&om, "a"), Some(7));
    assert_eq!(om.refused(commit("a", 1, 0, Vec::new())).0, Status::NotAFile);
    om.ok(rename_key("a", "b"));
    assert_eq!((found(&om, "a"), found(&om, "b")), (file.object_id, Some(7)));
    om.ok(rename_key("b", "c"));
    om.ok(delete_key("c", false));
    om.ok(delete_key("a", false));
    assert_eq!((found(&om, "a"), found(&om, "c")), (None, None));
}

#[test]
fn a_page_of_a_level_holds_two_entries_at_least_so_that_a_start_gets_on() {
    for layout in [BucketLayoutProto::FileSystemOptimized, BucketLayoutProto::ObjectStore] {
        let mut om = Om::with_bucket(layout);
        for name in ["a", "b", "c"] {
            om.put(name, 1);
        }
        assert_eq!(list(&om, "", "", 0), ["a", "b"], "{layout:?}");
        assert_eq!(list(&om, "", "b", 1), ["b", "c"], "{layout:?}");
    }
}

#[test]
fn a_folder_has_the_replication_of_its_bucket_where_it_is_listed() {
    let mut om = fso();
    om.ok(create_directory("d"));
    let replication = hdds_proto::hdds::DefaultReplicationConfig {
        r#type: ReplicationType::StandAlone.into(),
        factor: Some(ReplicationFactor::One.into()),
        ec_replication_config: None,
    };
    let bucket_args = Some(BucketArgs {
        volume_name: "vol".into(),
        bucket_name: "buck".into(),
        default_replication_config: Some(replication),
        ..Default::default()
    });
    let body = SetBucketPropertyRequest { bucket_args, modification_time: None };
    om.ok(OmRequest {
        set_bucket_property_request: Some(Box::new(body)),
        ..kind(Type::SetBucketProperty)
    });
    let page = om.read(OmRequest {
        list_status_request: Some(Box::new(ListStatusRequest {
            key_args: args(""),
            recursive: false,
            start_key: String::new(),
            num_entries: 10,
            allow_partial_prefix: None,
        })),
        ..kind(Type::ListStatus)
    });
    let listed = page.list_status_response.unwrap().statuses.remove(0).key_info.unwrap();
    assert_eq!(listed.r#type, i32::from(ReplicationType::StandAlone));
    let asked = om.info("d").get_key_info_response.unwrap().key_info.unwrap();
    assert_eq!(asked.r#type, i32::from(ReplicationType::Ratis));
}

#[test]
fn a_rewrite_of_what_is_a_folder_by_now_finds_no_key() {
    let mut om = fso();
    om.ok(create_directory("d"));
    let mut rewrite = create_key("d", 0);
    rewrite.create_key_request.as_mut().unwrap().key_args.expected_data_generation = Some(5);
    assert_eq!(om.refused(rewrite).0, Status::KeyNotFound);
    assert_eq!(om.refused(create_key("d", 0)).0, Status::NotAFile);
}

#[test]
fn reads_tags_and_times_refuse_names_that_no_key_can_have() {
    let mut om = fso();
    let bad = (Status::InvalidKeyName, "Invalid KeyPath a/b:c".to_owned());
    let info = om.info("a/b:c");
    assert_eq!((info.status(), info.message.unwrap()), bad);
    let tags = PutObjectTaggingRequest { key_args: args("a/b:c") };
    let tags = OmRequest {
        put_object_tagging_request: Some(Box::new(tags)),
        ..kind(Type::PutObjectTagging)
    };
    assert_eq!(om.refused(tags), bad);
    let times = SetTimesRequest { key_args: args("a/b:c"), mtime: 1, atime: 1 };
    let times = OmRequest { set_times_request: Some(Box::new(times)), ..kind(Type::SetTimes) };
    assert_eq!(om.refused(times), bad);
    assert_eq!(om.info("/a//b").message.unwrap(), "Key:a/b not found");
}

#[test]
fn a_batch_may_name_a_folder_and_what_is_in_it_in_any_order() {
    let mut om = fso();
    om.put("d/e/file", 5);
    let keys = vec!["d".into(), "d/e".into(), "nope".into(), "d/e/file".into()];
    let args = DeleteKeyArgs { volume_name: "vol".into(), bucket_name: "buck".into(), keys };
    let reply = om.write(OmRequest {
        delete_keys_request: Some(Box::new(DeleteKeysRequest {
            delete_keys: Some(args),
            ..Default::default()
        })),
        ..kind(Type::DeleteKeys)
    });
    let left = reply.delete_keys_response.unwrap().un_deleted_keys.unwrap().keys;
    assert_eq!(left, ["nope"]);
    assert_eq!((om.bucket().used_bytes(), om.bucket().used_namespace()), (0, 0));
}
