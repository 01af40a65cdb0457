//! Keys, files and folders: the same questions in every layout.

use om_proto::*;

use crate::requests::*;
use crate::transcript::Transcript;

/// What an open key is committed with.
pub struct Open {
    pub id: u64,
    pub blocks: Vec<KeyLocation>,
}

pub fn opened(answer: &OmResponse) -> Open {
    let (info, id) = match (&answer.create_key_response, &answer.create_file_response) {
        (Some(open), _) => (open.key_info.as_ref(), open.id()),
        (_, Some(open)) => (open.key_info.as_ref(), open.id()),
        _ => (None, 0),
    };
    let list = info.and_then(|info| info.key_location_list.last());
    let blocks = list.map(|list| list.key_locations.clone()).unwrap_or_default();
    Open { id, blocks: blocks.into_iter().map(|b| KeyLocation { pipeline: None, ..b }).collect() }
}

/// Creates and commits a key of one block.
pub async fn put(t: &mut Transcript, at: At<'_>, key: &str, size: u64) {
    let args = KeyArgs { data_size: Some(size), ..at.args(key) };
    let open = opened(&t.must(&format!("put {key}: create"), create_key(args.clone())).await);
    let blocks = open.blocks.into_iter().map(|block| KeyLocation { length: size, ..block });
    let args = KeyArgs { key_locations: blocks.collect(), ..args };
    t.must(&format!("put {key}: commit"), commit(args, open.id)).await;
}

pub async fn all(t: &mut Transcript, volume_name: &'static str, layout: BucketLayoutProto) {
    let area = layout.as_str_name().to_lowercase();
    let at = At(volume_name, "keys");
    t.area(&area);
    t.must("bucket", create_bucket(bucket(at, Some(layout)))).await;
    write(t, at).await;
    names(t, at).await;
    atomic(t, at).await;
    look(t, at).await;
    list(t, at).await;
    rename_all(t, at).await;
    delete_all(t, at).await;
    t.area(&format!("{area} files"));
    let at = At(volume_name, "files");
    t.must("bucket", create_bucket(bucket(at, Some(layout)))).await;
    files(t, at).await;
    more_files(t, at).await;
    t.area(&format!("{area} uploads"));
    let at = At(volume_name, "uploads");
    t.must("bucket", create_bucket(bucket(at, Some(layout)))).await;
    uploads(t, at).await;
}

async fn write(t: &mut Transcript, at: At<'_>) {
    put(t, at, "a/b/one", 10).await;
    put(t, at, "two", 0).await;
    let rich = KeyArgs {
        data_size: Some(5),
        metadata: vec![pair("k", "v"), pair("ETag", "abc")],
        tags: vec![pair("tag", "1")],
        acls: vec![acl("u:bob:01")],
        owner_name: Some("alice".into()),
        r#type: Some(1),
        factor: Some(1),
        ..at.args("rich")
    };
    let open = opened(&t.ask("create rich", create_key(rich.clone())).await);
    let blocks: Vec<_> =
        open.blocks.iter().map(|b| KeyLocation { length: 5, ..b.clone() }).collect();
    let args = KeyArgs {
        data_size: Some(5),
        key_locations: blocks,
        metadata: vec![pair("k", "w"), pair("m", "n")],
        ..at.args("rich")
    };
    t.ask("commit rich", commit(args.clone(), open.id)).await;
    t.ask("commit rich again", commit(args.clone(), open.id)).await;
    t.ask("commit unknown client", commit(args.clone(), 12345)).await;
    t.ask("info rich", key_info(at.args("rich"))).await;
    put(t, at, "over", 10).await;
    t.ask("info over", key_info(at.args("over"))).await;
    let again = KeyArgs { data_size: Some(20), metadata: vec![pair("x", "y")], ..at.args("over") };
    let open = opened(&t.ask("create over again", create_key(again)).await);
    let block = t.ask("allocate", allocate(at.args("over"), open.id)).await;
    let block = block.allocate_block_response.and_then(|block| block.key_location);
    t.ask("allocate for unknown client", allocate(at.args("over"), 99)).await;
    let used: Vec<_> =
        block.into_iter().map(|b| KeyLocation { length: 20, pipeline: None, ..b }).collect();
    let args = KeyArgs { data_size: Some(20), key_locations: used, ..at.args("over") };
    t.ask("commit over, one block unused", commit(args, open.id)).await;
    t.ask("info over after", key_info(at.args("over"))).await;
    let many = KeyArgs { data_size: Some(3 * (256 << 20)), ..at.args("many") };
    t.ask("create of three blocks", create_key(many)).await;
    let odd = KeyArgs { r#type: Some(1), factor: Some(0), data_size: Some(0), ..at.args("odd") };
    t.ask("create with factor 0", create_key(odd)).await;
    let of_ec = KeyArgs {
        r#type: Some(4),
        ec_replication_config: Some(ec(3, 2, 1 << 20)),
        data_size: Some(0),
        ..at.args("ec")
    };
    t.ask("create ec", create_key(of_ec.clone())).await;
    let odd = KeyArgs { ec_replication_config: Some(ec(7, 1, 5)), ..of_ec };
    t.ask("create odd ec", create_key(odd)).await;
    let odd = KeyArgs { r#type: Some(2), factor: Some(3), data_size: Some(0), ..at.args("alone") };
    t.ask("create stand alone", create_key(odd)).await;
    t.ask("create in missing bucket", create_key(At(at.0, "missing").args("k"))).await;
    t.ask("create in missing volume", create_key(At("nosuchvol", "b").args("k"))).await;
    t.ask("commit in missing bucket", commit(At(at.0, "missing").args("k"), 1)).await;
    t.ask("allocate in missing bucket", allocate(At(at.0, "missing").args("k"), 1)).await;
    t.ask("hsync", hsync(at.args("over"), 5, true, false)).await;
    t.ask("recover lease", recover_lease(at, "over", false)).await;
    t.ask("bucket after writes", info_bucket(at)).await;
}

async fn names(t: &mut Transcript, at: At<'_>) {
    for name in [
        "",
        "/",
        "/lead",
        "a//double",
        "trail/",
        "./dot",
        "a/../up",
        "a/b:c",
        ".snapshot",
        ".snapshot/x",
    ] {
        let args = KeyArgs { data_size: Some(0), ..at.args(name) };
        let open = t.ask(&format!("create {name:?}"), create_key(args.clone())).await;
        let id = open.create_key_response.map_or(7, |open| open.id());
        t.ask(&format!("commit {name:?}"), commit(args.clone(), id)).await;
        t.ask(&format!("info {name:?}"), key_info(at.args(name))).await;
    }
    for name in ["two/below", "a", "a/b"] {
        let args = KeyArgs { data_size: Some(0), ..at.args(name) };
        t.ask(&format!("create {name:?}"), create_key(args)).await;
    }
}

async fn atomic(t: &mut Transcript, at: At<'_>) {
    let wants = |name: &str, generation, etag: Option<&str>| {
        create_key(KeyArgs {
            data_size: Some(0),
            expected_data_generation: generation,
            expected_e_tag: etag.map(Into::into),
            ..at.args(name)
        })
    };
    t.ask("create if absent, present", wants("two", Some(0), None)).await;
    t.ask("create if absent, absent", wants("fresh", Some(0), None)).await;
    t.ask("rewrite wrong generation", wants("two", Some(17), None)).await;
    t.ask("rewrite missing", wants("nope", Some(17), None)).await;
    t.ask("etag of key without", wants("two", None, Some("x"))).await;
    t.ask("other etag", wants("rich", None, Some("x"))).await;
    t.ask("same etag", wants("rich", None, Some("abc"))).await;
    t.ask("etag of missing", wants("nope", None, Some("x"))).await;
    let first = opened(&t.ask("two create if absent: first", wants("race", Some(0), None)).await);
    let second = opened(&t.ask("two create if absent: second", wants("race", Some(0), None)).await);
    t.ask("first commits", commit(at.args("race"), first.id)).await;
    t.ask("second commits", commit(at.args("race"), second.id)).await;
    let info = t.ask("generation", key_info(at.args("race"))).await;
    let info = info.get_key_info_response.and_then(|info| info.key_info);
    let generation = info.and_then(|info| info.update_id);
    let first = opened(&t.ask("rewrite: first", wants("race", generation, None)).await);
    let second = opened(&t.ask("rewrite: second", wants("race", generation, None)).await);
    t.ask("rewrite: first commits", commit(at.args("race"), first.id)).await;
    t.ask("rewrite: second commits", commit(at.args("race"), second.id)).await;
}

async fn look(t: &mut Transcript, at: At<'_>) {
    t.ask("lookup", lookup(at.args("a/b/one"))).await;
    t.ask("lookup head", lookup(KeyArgs { head_op: Some(true), ..at.args("a/b/one") })).await;
    let latest = KeyArgs { latest_version_location: Some(true), ..at.args("over") };
    t.ask("lookup latest", lookup(latest)).await;
    t.ask("lookup missing", lookup(at.args("nope"))).await;
    t.ask("lookup folder", lookup(at.args("a/b"))).await;
    t.ask("lookup folder with slash", lookup(at.args("a/b/"))).await;
    t.ask("lookup below a file", lookup(at.args("two/x"))).await;
    t.ask("lookup in missing bucket", lookup(At(at.0, "missing").args("k"))).await;
    t.ask("lookup in missing volume", lookup(At("nosuchvol", "b").args("k"))).await;
    t.ask("info folder", key_info(at.args("a/b"))).await;
    t.ask("info part", key_info(KeyArgs { multipart_number: Some(1), ..at.args("over") })).await;
    t.ask("tags", tags_of(at.args("rich"))).await;
    t.ask("tags of missing", tags_of(at.args("nope"))).await;
    t.ask("tags of folder", tags_of(at.args("a/b"))).await;
    let args = KeyArgs { tags: vec![pair("t", "2"), pair("u", "3")], ..at.args("two") };
    let body = PutObjectTaggingRequest { key_args: args.clone() };
    t.ask("put tags", request!(PutObjectTagging, put_object_tagging_request, body)).await;
    t.ask("tags after put", tags_of(at.args("two"))).await;
    let body = PutObjectTaggingRequest { key_args: KeyArgs { key_name: "nope".into(), ..args } };
    t.ask("put tags of missing", request!(PutObjectTagging, put_object_tagging_request, body))
        .await;
    let body = PutObjectTaggingRequest { key_args: at.args("a/b") };
    t.ask("put tags of folder", request!(PutObjectTagging, put_object_tagging_request, body)).await;
    for name in ["two", "nope"] {
        let body = DeleteObjectTaggingRequest { key_args: at.args(name) };
        let request = request!(DeleteObjectTagging, delete_object_tagging_request, body);
        t.ask(&format!("delete tags of {name}"), request).await;
    }
    t.ask("set times", set_times(at.args("two"), 1000, 2000)).await;
    t.ask("set times keep", set_times(at.args("two"), -1, -1)).await;
    t.ask("set times invalid", set_times(at.args("two"), -5, 0)).await;
    t.ask("set times missing", set_times(at.args("nope"), 1, 1)).await;
    t.ask("set times folder", set_times(at.args("a"), 1, 1)).await;
}

pub fn tags_of(key_args: KeyArgs) -> OmRequest {
    let body = GetObjectTaggingRequest { key_args };
    request!(GetObjectTagging, get_object_tagging_request, body)
}

async fn list(t: &mut Transcript, at: At<'_>) {
    for (name, start, prefix, count) in [
        ("all", "", "", 100),
        ("page", "", "", 2),
        ("after", "over", "", 2),
        ("after missing", "b", "", 2),
        ("prefix", "", "a/", 10),
        ("prefix without end", "", "r", 10),
        ("nothing", "", "zzz", 10),
        ("none", "", "", 0),
        ("negative", "", "", -1),
        ("start before prefix", "a", "r", 10),
        ("start behind prefix", "z", "r", 10),
    ] {
        t.ask(&format!("list {name}"), list_keys(false, at, start, prefix, count)).await;
        t.ask(&format!("list light {name}"), list_keys(true, at, start, prefix, count)).await;
    }
    t.ask("list in missing bucket", list_keys(true, At(at.0, "missing"), "", "", 10)).await;
}

async fn rename_all(t: &mut Transcript, at: At<'_>) {
    t.ask("rename", rename(at.args("two"), "renamed")).await;
    t.ask("rename back", rename(at.args("renamed"), "two")).await;
    // In a tree this ends the genuine server.
    let is_tree = at.0 == "vfso";
    if !is_tree {
        t.ask("rename to itself", rename(at.args("two"), "two")).await;
    }
    t.ask("rename to existing", rename(at.args("two"), "over")).await;
    t.ask("rename missing", rename(at.args("nope"), "x")).await;
    t.ask("rename from empty", rename(at.args(""), "x")).await;
    t.ask("rename to empty", rename(at.args("two"), "")).await;
    if !is_tree {
        t.ask("rename back from root", rename(at.args("two"), "two")).await;
    }
    t.ask("rename to missing folder", rename(at.args("two"), "no/dir/two")).await;
    t.ask("rename into a folder", rename(at.args("rich"), "a/b/rich")).await;
    t.ask("rename folder", rename(at.args("a"), "z")).await;
    t.ask("rename folder into itself", rename(at.args("z"), "z/b/c")).await;
    if !is_tree {
        t.ask("rename folder to itself", rename(at.args("z"), "z")).await;
    }
    t.ask("rename folder back", rename(at.args("z"), "a")).await;
    t.ask("rename to .snapshot", rename(at.args("two"), ".snapshot/two")).await;
    t.ask("rename keys", rename_keys(at, &[("race", "raced"), ("nope", "x")])).await;
    t.ask("rename keys all", rename_keys(at, &[("raced", "race")])).await;
    t.ask("rename in missing bucket", rename(At(at.0, "missing").args("k"), "l")).await;
    t.ask("list after renames", list_keys(true, at, "", "", 100)).await;
}

async fn delete_all(t: &mut Transcript, at: At<'_>) {
    t.ask("delete", delete_key(at.args("two"))).await;
    t.ask("delete again", delete_key(at.args("two"))).await;
    t.ask("delete empty name", delete_key(at.args(""))).await;
    t.ask("delete .snapshot", delete_key(at.args(".snapshot/x"))).await;
    t.ask("delete folder", delete_key(at.args("a"))).await;
    let recursive = KeyArgs { recursive: Some(true), ..at.args("a") };
    t.ask("delete folder recursively", delete_key(recursive)).await;
    let wrong = KeyArgs { expected_e_tag: Some("no".into()), ..at.args("over") };
    t.ask("delete if match", delete_key(wrong)).await;
    t.ask("delete keys", delete_keys(at, &["over", "nope", "race"])).await;
    t.ask("delete keys none", delete_keys(at, &[])).await;
    t.ask("delete keys all there", delete_keys(at, &["a/b/rich", "rich"])).await;
    t.ask("delete in missing bucket", delete_key(At(at.0, "missing").args("k"))).await;
    t.ask("delete keys in missing bucket", delete_keys(At(at.0, "missing"), &["k"])).await;
    t.ask("delete bucket with keys", delete_bucket(at)).await;
    t.ask("list after deletes", list_keys(true, at, "", "", 100)).await;
    t.ask("bucket after deletes", info_bucket(at)).await;
}

async fn files(t: &mut Transcript, at: At<'_>) {
    t.ask("mkdir", create_directory(at.args("d/e/f"))).await;
    t.ask("mkdir again", create_directory(at.args("d/e/f"))).await;
    t.ask("mkdir parent", create_directory(at.args("d/e"))).await;
    t.ask("mkdir root", create_directory(at.args(""))).await;
    t.ask("mkdir with slashes", create_directory(at.args("/d//g/"))).await;
    t.ask("mkdir .snapshot", create_directory(at.args(".snapshot/x"))).await;
    t.ask("mkdir with colon", create_directory(at.args("d/a:b"))).await;
    t.ask("mkdir in missing bucket", create_directory(At(at.0, "missing").args("d"))).await;
    let args = |name: &str| KeyArgs { data_size: Some(3), ..at.args(name) };
    let open = opened(&t.ask("create file", create_file(args("d/e/file"), false, false)).await);
    let blocks = open.blocks.into_iter().map(|b| KeyLocation { length: 3, ..b }).collect();
    let done = KeyArgs { key_locations: blocks, ..args("d/e/file") };
    t.ask("commit file", commit(done, open.id)).await;
    t.ask("create file again", create_file(args("d/e/file"), false, false)).await;
    t.ask("overwrite file", create_file(args("d/e/file"), false, true)).await;
    t.ask("create file, no parent", create_file(args("no/such/file"), false, false)).await;
    let empty = KeyArgs { data_size: Some(0), ..at.args("q/r/s") };
    let open = opened(&t.ask("create file recursive", create_file(empty, true, false)).await);
    t.ask("commit without blocks", commit(at.args("q/r/s"), open.id)).await;
    t.ask("create file over folder", create_file(args("d/e"), false, true)).await;
    t.ask("create file below file", create_file(args("d/e/file/x"), true, false)).await;
    t.ask("create file root", create_file(args(""), true, false)).await;
    t.ask("create file .snapshot", create_file(args(".snapshot/x"), true, false)).await;
    t.ask("mkdir over file", create_directory(at.args("d/e/file"))).await;
    t.ask("mkdir below file", create_directory(at.args("d/e/file/x/y"))).await;
    put(t, at, "k1/k2/key", 4).await;
    for name in [
        "d/e/file",
        "d/e",
        "d",
        "d/e/",
        "",
        "/",
        "nope",
        "d/nope",
        "k1",
        "k1/k2",
        "k1/k2/key",
        "q/r/s",
    ] {
        t.ask(&format!("status {name:?}"), status(at.args(name))).await;
        t.ask(&format!("lookup file {name:?}"), lookup_file(at.args(name))).await;
    }
    t.ask("status in missing bucket", status(At(at.0, "missing").args("k"))).await;
    let head = KeyArgs { head_op: Some(true), ..at.args("d/e/file") };
    t.ask("status head", status(head)).await;
}

async fn more_files(t: &mut Transcript, at: At<'_>) {
    for light in [false, true] {
        let name = |text: &str| format!("{}{text}", if light { "light " } else { "" });
        let ask = |key: &str, recursive, start: &str, count, partial| {
            list_status(light, at.args(key), recursive, start, count, partial)
        };
        t.ask(&name("ls root"), ask("", false, "", 100, false)).await;
        t.ask(&name("ls d"), ask("d", false, "", 100, false)).await;
        t.ask(&name("ls d/"), ask("d/", false, "", 100, false)).await;
        t.ask(&name("ls d/e page"), ask("d/e", false, "", 1, false)).await;
        t.ask(&name("ls d/e from"), ask("d/e", false, "d/e/file", 100, false)).await;
        t.ask(&name("ls file"), ask("d/e/file", false, "", 100, false)).await;
        t.ask(&name("ls missing"), ask("nope", false, "", 100, false)).await;
        t.ask(&name("ls partial"), ask("d/e/f", false, "", 100, true)).await;
        t.ask(&name("ls partial nothing"), ask("zzz", false, "", 100, true)).await;
        t.ask(&name("ls k1"), ask("k1", false, "", 100, false)).await;
        t.ask(&name("ls none"), ask("", false, "", 0, false)).await;
        t.ask(&name("ls recursive"), ask("", true, "", 100, false)).await;
    }
    t.ask("delete file", delete_key(at.args("d/e/file"))).await;
    t.ask("delete full folder", delete_key(at.args("d"))).await;
    t.ask("rename folder onto folder", rename(at.args("q"), "d")).await;
    t.ask("rename file onto folder", rename(at.args("k1/k2/key"), "d")).await;
    t.ask("rename file under file", rename(at.args("d/e/f"), "d/key/x")).await;
    let recursive = KeyArgs { recursive: Some(true), ..at.args("d") };
    t.ask("delete folder recursively", delete_key(recursive)).await;
    t.ask("delete keys of folders", delete_keys(at, &["k1", "q", "nope/x"])).await;
    t.ask("ls root after deletes", list_status(true, at.args(""), false, "", 100, false)).await;
    t.ask("bucket after deletes", info_bucket(at)).await;
}

/// Opens a part and gives it a block.
async fn part(t: &mut Transcript, at: At<'_>, key: &str, id: &str, number: u32, size: u64) -> u64 {
    let args = KeyArgs {
        is_multipart_key: Some(true),
        multipart_upload_id: Some(id.into()),
        multipart_number: Some(number),
        data_size: Some(size),
        ..at.args(key)
    };
    let what = format!("{key} part {number} of {size}");
    let open = opened(&t.ask(&format!("{what}: create"), create_key(args.clone())).await);
    let block = t.ask(&format!("{what}: allocate"), allocate(at.args(key), open.id)).await;
    let block = block.allocate_block_response.and_then(|block| block.key_location);
    let used = block.into_iter().map(|b| KeyLocation { length: size, pipeline: None, ..b });
    let args = KeyArgs {
        key_locations: used.collect(),
        metadata: vec![pair("ETag", &format!("etag{number}"))],
        ..args
    };
    t.ask(&format!("{what}: commit"), commit_part(args, open.id)).await;
    open.id
}

async fn uploads(t: &mut Transcript, at: At<'_>) {
    let rich = KeyArgs {
        metadata: vec![pair("k", "v")],
        tags: vec![pair("t", "u")],
        owner_name: Some("alice".into()),
        ..at.args("x/y/key")
    };
    let begun = t.ask("initiate", initiate(rich)).await;
    let id =
        begun.initiate_multi_part_upload_response.map_or(String::new(), |r| r.multipart_upload_id);
    let with =
        |key: &str, id: &str| KeyArgs { multipart_upload_id: Some(id.into()), ..at.args(key) };
    t.ask("initiate in missing bucket", initiate(At(at.0, "missing").args("k"))).await;
    t.ask("parts of fresh upload", list_parts(at, "x/y/key", &id, 0, 10)).await;
    t.ask("complete without parts", complete(with("x/y/key", &id), &[(1, "a", Some("a"))])).await;
    for (number, size) in [(2, 10), (1, 5 << 20), (3, 10), (1, (5 << 20) + 1)] {
        part(t, at, "x/y/key", &id, number, size).await;
    }
    let args = KeyArgs {
        multipart_number: Some(1),
        is_multipart_key: Some(true),
        ..with("x/y/key", "nope")
    };
    t.ask("part of unknown upload", create_key(args.clone())).await;
    t.ask(
        "commit part, unknown client",
        commit_part(KeyArgs { data_size: Some(0), ..with("x/y/key", &id) }, 5),
    )
    .await;
    for (marker, max) in [(0, 10), (0, 1), (1, 1), (3, 10), (0, 0)] {
        let request = list_parts(at, "x/y/key", &id, marker, max);
        t.ask(&format!("parts after {marker}, {max}"), request).await;
    }
    t.ask("parts of unknown upload", list_parts(at, "x/y/key", "nope", 0, 10)).await;
    t.ask("parts of other key", list_parts(at, "nope", &id, 0, 10)).await;
    let other = t.ask("initiate other", initiate(at.args("x/z"))).await;
    let other =
        other.initiate_multi_part_upload_response.map_or(String::new(), |r| r.multipart_upload_id);
    t.ask("initiate third", initiate(at.args("y"))).await;
    for (name, prefix, marker, max) in [
        ("all", "", ("", ""), 0),
        ("page", "", ("", ""), 2),
        ("prefix", "x/", ("", ""), 5),
        ("after key", "", ("x/z", ""), 5),
        ("after upload", "", ("x/y/key", id.as_str()), 1),
        ("nothing", "q", ("", ""), 5),
    ] {
        t.ask(&format!("uploads {name}"), list_uploads(at, prefix, marker, max)).await;
    }
    t.ask("uploads in missing bucket", list_uploads(At(at.0, "missing"), "", ("", ""), 5)).await;
    t.ask("bucket with parts", info_bucket(at)).await;
    t.ask("delete bucket with uploads", delete_bucket(at)).await;
    finish(t, at, &id, &other).await;
}

async fn finish(t: &mut Transcript, at: At<'_>, id: &str, other: &str) {
    let with =
        |key: &str, id: &str| KeyArgs { multipart_upload_id: Some(id.into()), ..at.args(key) };
    let (one, two, three) =
        ((1, "p", Some("etag1")), (2, "p", Some("etag2")), (3, "p", Some("etag3")));
    for (name, parts) in [
        ("nothing", vec![]),
        ("wrong order", vec![two, one]),
        ("twice", vec![one, one]),
        ("wrong etag", vec![(1, "p", Some("no"))]),
        ("wrong name", vec![(1, "p", None)]),
        ("unknown part", vec![one, (9, "p", Some("etag9"))]),
        ("too small", vec![one, two, three]),
    ] {
        t.ask(&format!("complete {name}"), complete(with("x/y/key", id), &parts)).await;
    }
    t.ask("complete unknown upload", complete(with("x/y/key", "nope"), &[one])).await;
    t.ask("complete", complete(with("x/y/key", id), &[one, two])).await;
    t.ask("complete again", complete(with("x/y/key", id), &[one, two])).await;
    t.ask("info of completed", key_info(at.args("x/y/key"))).await;
    let second = KeyArgs { multipart_number: Some(2), ..at.args("x/y/key") };
    t.ask("info of its second part", key_info(second)).await;
    t.ask("list of completed", list_keys(false, at, "", "", 10)).await;
    t.ask("bucket after complete", info_bucket(at)).await;
    part(t, at, "x/z", other, 1, 7).await;
    t.ask("abort", abort(with("x/z", other))).await;
    t.ask("abort again", abort(with("x/z", other))).await;
    t.ask("bucket after abort", info_bucket(at)).await;
    let begun = t.ask("initiate over key", initiate(at.args("x/y/key"))).await;
    let id =
        begun.initiate_multi_part_upload_response.map_or(String::new(), |r| r.multipart_upload_id);
    part(t, at, "x/y/key", &id, 4, 9).await;
    t.ask("complete over key", complete(with("x/y/key", &id), &[(4, "p", Some("etag4"))])).await;
    t.ask("info after complete over key", key_info(at.args("x/y/key"))).await;
    t.ask("bucket after complete over key", info_bucket(at)).await;
    t.ask("initiate on folder", initiate(at.args("x/y"))).await;
    t.ask("initiate below file", initiate(at.args("x/y/key/z"))).await;
}
