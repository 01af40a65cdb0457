//! ACLs: edits, and what they allow where they are enforced.

use om_proto::ozone_obj::ObjectType::{Bucket, Key, Prefix, Volume};
use om_proto::*;

use crate::keys::put;
use crate::requests::*;
use crate::transcript::Transcript;

pub async fn edits(t: &mut Transcript) {
    t.area("acl");
    t.must("volume", create_volume(volume("avol"))).await;
    for (name, layout) in
        [("obs", BucketLayoutProto::ObjectStore), ("fso", BucketLayoutProto::FileSystemOptimized)]
    {
        t.area(&format!("acl {name}"));
        let at = At("avol", name);
        t.must("bucket", create_bucket(bucket(at, Some(layout)))).await;
        put(t, at, "d/key", 3).await;
        let path = |rest: &str| format!("/avol/{name}{rest}");
        for (what, kind, path) in [
            ("volume", Volume, "/avol".to_owned()),
            ("bucket", Bucket, path("")),
            ("key", Key, path("/d/key")),
            ("folder", Key, path("/d")),
            ("prefix", Prefix, path("/p/")),
        ] {
            edit(t, what, object(kind, &path)).await;
        }
        for (what, kind, path) in [
            ("missing volume", Volume, "/nosuchvol".to_owned()),
            ("missing bucket", Bucket, "/avol/missing".to_owned()),
            ("missing key", Key, path("/nope")),
            ("missing prefix", Prefix, path("/nope/")),
            ("prefix without slash", Prefix, path("/p")),
            ("volume with bucket path", Volume, path("")),
            ("bucket with volume path", Bucket, "/avol".to_owned()),
            ("key with bucket path", Key, path("")),
            ("empty path", Key, String::new()),
        ] {
            let obj = object(kind, &path);
            t.ask(&format!("get of {what}"), get_acl(obj.clone())).await;
            t.ask(&format!("add to {what}"), add_acl(obj.clone(), "u:bob:01")).await;
            t.ask(&format!("remove from {what}"), remove_acl(obj.clone(), "u:bob:01")).await;
            t.ask(&format!("set {what}"), set_acl(obj, &["u:bob:01"])).await;
        }
        inherit(t, at).await;
    }
}

async fn edit(t: &mut Transcript, what: &str, obj: OzoneObj) {
    let o = || obj.clone();
    t.ask(&format!("{what}: get"), get_acl(o())).await;
    t.ask(&format!("{what}: add"), add_acl(o(), "u:bob:03")).await;
    t.ask(&format!("{what}: add again"), add_acl(o(), "u:bob:03")).await;
    t.ask(&format!("{what}: add more rights"), add_acl(o(), "u:bob:08")).await;
    t.ask(&format!("{what}: add default"), add_acl(o(), "d:g:staff:09")).await;
    t.ask(&format!("{what}: add world"), add_acl(o(), "w:WORLD:01")).await;
    t.ask(&format!("{what}: add none"), add_acl(o(), "u:none:0001")).await;
    t.ask(&format!("{what}: get after adds"), get_acl(o())).await;
    t.ask(&format!("{what}: remove a right"), remove_acl(o(), "u:bob:01")).await;
    t.ask(&format!("{what}: remove it again"), remove_acl(o(), "u:bob:01")).await;
    t.ask(&format!("{what}: remove of stranger"), remove_acl(o(), "u:mallory:01")).await;
    t.ask(&format!("{what}: get after removes"), get_acl(o())).await;
    t.ask(&format!("{what}: set"), set_acl(o(), &["u:root:80", "d:u:eve:03", "g:staff:09"])).await;
    t.ask(&format!("{what}: set same"), set_acl(o(), &["u:root:80", "d:u:eve:03", "g:staff:09"]))
        .await;
    t.ask(&format!("{what}: get after set"), get_acl(o())).await;
}

async fn inherit(t: &mut Transcript, at: At<'_>) {
    put(t, at, "p/in-prefix", 1).await;
    t.ask(
        "acls of a key in the prefix",
        get_acl(object(Key, &format!("/{}/{}/p/in-prefix", at.0, at.1))),
    )
    .await;
    put(t, at, "top", 1).await;
    t.ask("acls of a key in the bucket", get_acl(object(Key, &format!("/{}/{}/top", at.0, at.1))))
        .await;
    t.ask("mkdir", create_directory(at.args("n/m"))).await;
    t.ask("acls of a folder", get_acl(object(Key, &format!("/{}/{}/n/m", at.0, at.1)))).await;
}

/// On a server with `ozone.acl.enabled`, of which root is the administrator.
pub async fn enforced(t: &mut Transcript) {
    t.area("rights");
    let of = |owner: &str, name: &str| VolumeInfo { owner_name: owner.into(), ..volume(name) };
    t.must("volume of alice", create_volume(of("alice", "alice-vol"))).await;
    t.user("mallory");
    t.ask("volume by nobody", create_volume(of("mallory", "mallory-vol"))).await;
    t.user("alice");
    for (name, layout) in
        [("obs", BucketLayoutProto::ObjectStore), ("fso", BucketLayoutProto::FileSystemOptimized)]
    {
        t.area(&format!("rights {name}"));
        let at = At("alice-vol", name);
        t.user("alice");
        let info = BucketInfo { owner: Some("alice".into()), ..bucket(at, Some(layout)) };
        t.ask("bucket by owner of volume", create_bucket(info)).await;
        put(t, at, "d/key", 1).await;
        t.user("mallory");
        strange(t, at, "stranger").await;
        t.user("alice");
        for (kind, path, text) in [
            (Volume, "/alice-vol".to_owned(), "u:bob:09"),
            (Bucket, format!("/alice-vol/{name}"), "u:bob:09"),
            (Key, format!("/alice-vol/{name}/d/key"), "u:bob:01"),
        ] {
            t.ask(&format!("{kind:?}: give bob"), add_acl(object(kind, &path), text)).await;
        }
        t.user("bob");
        strange(t, at, "reader").await;
        t.user("alice");
        let path = format!("/alice-vol/{name}");
        t.ask("give bob all of the bucket", add_acl(object(Bucket, &path), "u:bob:80")).await;
        t.user("bob");
        strange(t, at, "writer").await;
        t.user("root");
        strange(t, at, "admin").await;
        t.user("alice");
        strange(t, at, "owner").await;
    }
    t.user("root");
    parts(t).await;
    through_links(t).await;
    lists(t).await;
    listed(t).await;
}

/// Folders and batches of which a user may delete a part only.
async fn parts(t: &mut Transcript) {
    for (name, layout) in [
        ("obsparts", BucketLayoutProto::ObjectStore),
        ("parts", BucketLayoutProto::FileSystemOptimized),
    ] {
        t.area(&format!("rights {name}"));
        let at = At("alice-vol", name);
        t.user("alice");
        let info = BucketInfo { owner: Some("alice".into()), ..bucket(at, Some(layout)) };
        t.must("bucket", create_bucket(info)).await;
        let path = |rest: &str| format!("/alice-vol/{name}{rest}");
        t.must("bucket for bob", add_acl(object(Bucket, &path("")), "u:bob:80")).await;
        t.user("bob");
        t.ask("mkdir", create_directory(at.args("his/sub/deep"))).await;
        put(t, at, "his/file", 1).await;
        put(t, at, "his/sub/file", 1).await;
        put(t, at, "own/file", 1).await;
        t.user("alice");
        put(t, at, "his/sub/deep/hers", 1).await;
        put(t, at, "top", 1).await;
        t.user("bob");
        t.ask("delete the folder", delete_key(KeyArgs { recursive: Some(true), ..at.args("his") }))
            .await;
        t.ask("delete a full folder", delete_key(at.args("his/sub"))).await;
        t.ask("rename the folder", rename(at.args("his"), "moved")).await;
        t.ask("rename a missing one", rename(at.args("nope"), "moved")).await;
        t.ask("rename one of hers", rename(at.args("top"), "moved")).await;
        t.ask("delete one of hers", delete_key(at.args("top"))).await;
        t.ask("delete one of his", delete_keys(at, &["his/file"])).await;
        t.ask("delete hers in a batch", delete_keys(at, &["top"])).await;
        t.ask("delete a missing one in a batch", delete_keys(at, &["nope"])).await;
        t.ask("rename own folder", rename(at.args("own"), "owned")).await;
        t.ask(
            "delete own folder",
            delete_key(KeyArgs { recursive: Some(true), ..at.args("owned") }),
        )
        .await;
        t.user("mallory");
        t.ask("delete a folder of another", delete_key(at.args("his"))).await;
        t.ask("delete a batch of another", delete_keys(at, &["top"])).await;
        t.ask("rename in a batch", rename_keys(at, &[("top", "pot")])).await;
        t.user("alice");
        t.ask("info of hers", key_info(at.args("his/sub/deep/hers"))).await;
        t.ask("delete it all", delete_key(KeyArgs { recursive: Some(true), ..at.args("his") }))
            .await;
        t.ask("bucket after deletes", info_bucket(at)).await;
    }
    t.user("root");
}

/// Who may read neither a link nor what it leads to, or one of the two.
async fn through_links(t: &mut Transcript) {
    t.area("rights links");
    t.user("root");
    let of = |owner: &str, name: &str| VolumeInfo { owner_name: owner.into(), ..volume(name) };
    t.must("volume of carol", create_volume(of("carol", "carol-vol"))).await;
    let (at, by) = (At("alice-vol", "behind"), At("carol-vol", "link"));
    t.user("alice");
    t.must("bucket", create_bucket(BucketInfo { owner: Some("alice".into()), ..bucket(at, None) }))
        .await;
    t.must("volume for bob", add_acl(object(Volume, "/alice-vol"), "u:bob:09")).await;
    t.must("bucket for bob", add_acl(object(Bucket, "/alice-vol/behind"), "u:bob:80")).await;
    put(t, at, "key", 1).await;
    t.must("key for bob", add_acl(object(Key, "/alice-vol/behind/key"), "u:bob:80")).await;
    t.user("carol");
    t.must("link", create_bucket(BucketInfo { owner: Some("carol".into()), ..link(by, at) })).await;
    for who in ["bob", "carol", "mallory"] {
        t.user(who);
        linked(t, by, who).await;
    }
    t.user("carol");
    t.ask("volume of the link", add_acl(object(Volume, "/carol-vol"), "u:bob:01")).await;
    t.ask("link for bob", add_acl(object(Bucket, "/carol-vol/link"), "u:bob:01")).await;
    t.user("bob");
    linked(t, by, "bob now").await;
    t.user("root");
}

async fn linked(t: &mut Transcript, by: At<'_>, who: &str) {
    let name = |what: &str| format!("{who}: {what}");
    t.ask(&name("info"), info_bucket(by)).await;
    t.ask(&name("key info"), key_info(by.args("key"))).await;
    t.ask(&name("status"), status(by.args("key"))).await;
    t.ask(&name("list keys"), list_keys(false, by, "", "k", 5)).await;
    t.ask(&name("list status"), list_status(false, by.args(""), false, "", 5, false)).await;
    t.ask(&name("create"), create_key(KeyArgs { data_size: Some(0), ..by.args(who) })).await;
    t.ask(&name("mkdir"), create_directory(by.args(&format!("d-{who}")))).await;
    t.ask(&name("rename missing"), rename(by.args("nope"), "x")).await;
    t.ask(&name("delete keys"), delete_keys(by, &["nope"])).await;
    t.ask(&name("acl"), get_acl(object(Key, &format!("/{}/{}/key", by.0, by.1)))).await;
    t.ask(&name("uploads"), list_uploads(by, "z", ("", ""), 5)).await;
}

/// Lists of volumes, which are filtered by rights.
async fn lists(t: &mut Transcript) {
    use list_volume_request::Scope::{UserVolumes, VolumesByCluster, VolumesByUser};
    t.area("rights lists");
    t.user("carol");
    t.must("volume for mallory", add_acl(object(Volume, "/carol-vol"), "u:mallory:08")).await;
    for who in ["alice", "bob", "carol", "mallory", "root", "auditor", "outcast", "blind"] {
        t.user(who);
        let name = |what: &str| format!("{who}: {what}");
        t.ask(&name("own"), list_volumes(VolumesByUser, who, "", "", 10)).await;
        t.ask(&name("own with prefix"), list_volumes(VolumesByUser, who, "carol", "", 10)).await;
        t.ask(&name("own, one"), list_volumes(VolumesByUser, who, "", "", 1)).await;
        t.ask(&name("of alice"), list_volumes(VolumesByUser, "alice", "", "", 10)).await;
        t.ask(&name("of mallory"), list_volumes(VolumesByUser, "mallory", "", "", 10)).await;
        t.ask(&name("scope of a user"), list_volumes(UserVolumes, who, "", "", 10)).await;
        t.ask(&name("all"), list_volumes(VolumesByCluster, "", "", "", 2)).await;
    }
    t.user("root");
}

/// Users that the configuration names.
async fn listed(t: &mut Transcript) {
    let at = At("alice-vol", "behind");
    t.area("rights listed");
    t.user("alice");
    for who in ["outcast", "blind"] {
        for (kind, path) in
            [(Volume, "/alice-vol"), (Bucket, "/alice-vol/behind"), (Key, "/alice-vol/behind/key")]
        {
            let acl = format!("u:{who}:80");
            t.must(&format!("{kind:?} for {who}"), add_acl(object(kind, path), &acl)).await;
        }
    }
    for who in ["auditor", "outcast", "blind"] {
        t.user(who);
        let name = |what: &str| format!("{who}: {what}");
        t.ask(&name("info volume"), info_volume(at.0)).await;
        t.ask(&name("list buckets"), list_buckets(at.0, "", "behind", 5)).await;
        t.ask(&name("info bucket"), info_bucket(at)).await;
        t.ask(&name("key info"), key_info(at.args("key"))).await;
        t.ask(&name("missing key"), key_info(at.args("nope"))).await;
        t.ask(&name("list status"), list_status(true, at.args(""), false, "", 5, false)).await;
        t.ask(&name("acl"), get_acl(object(Key, "/alice-vol/behind/key"))).await;
        t.ask(&name("add acl"), add_acl(object(Key, "/alice-vol/behind/key"), "u:zoe:01")).await;
        t.ask(&name("mkdir"), create_directory(at.args(&format!("d-{who}")))).await;
        t.ask(&name("set times"), set_times(at.args("key"), 5, 5)).await;
        t.ask(&name("delete missing"), delete_key(at.args("nope"))).await;
        t.ask(&name("create bucket"), create_bucket(bucket(At(at.0, "newone"), None))).await;
        let open = ListOpenFilesRequest {
            path: Some("/".into()),
            count: Some(0),
            token: Some(String::new()),
        };
        t.ask(&name("open files"), request!(ListOpenFiles, list_open_files_request, open)).await;
    }
    t.user("root");
}

/// Things that a user may or may not.
async fn strange(t: &mut Transcript, at: At<'_>, who: &str) {
    let name = |what: &str| format!("{who}: {what}");
    t.ask(&name("info volume"), info_volume(at.0)).await;
    t.ask(&name("list buckets"), list_buckets(at.0, "", "", 10)).await;
    t.ask(&name("info bucket"), info_bucket(at)).await;
    t.ask(&name("list keys"), list_keys(true, at, "", "", 10)).await;
    t.ask(&name("list status"), list_status(true, at.args("d"), false, "", 10, false)).await;
    t.ask(&name("status"), status(at.args("d/key"))).await;
    t.ask(&name("key info"), key_info(at.args("d/key"))).await;
    t.ask(&name("lookup"), lookup(at.args("d/key"))).await;
    let mine = KeyArgs { data_size: Some(0), ..at.args(&format!("d/{who}")) };
    let open = t.ask(&name("create key"), create_key(mine.clone())).await;
    let id = open.create_key_response.map_or(3, |open| open.id());
    t.ask(&name("commit key"), commit(mine, id)).await;
    t.ask(&name("mkdir"), create_directory(at.args(&format!("m-{who}")))).await;
    let args = KeyArgs { data_size: Some(0), ..at.args(&format!("f-{who}")) };
    t.ask(&name("create file"), create_file(args, true, false)).await;
    t.ask(&name("rename"), rename(at.args("d/key"), "d/key2")).await;
    t.ask(&name("rename back"), rename(at.args("d/key2"), "d/key")).await;
    t.ask(&name("set times"), set_times(at.args("d/key"), 5, 5)).await;
    t.ask(&name("delete missing"), delete_key(at.args("d/nope"))).await;
    t.ask(&name("delete own"), delete_key(at.args(&format!("d/{who}")))).await;
    t.ask(&name("delete keys"), delete_keys(at, &["d/nope"])).await;
    t.ask(&name("initiate upload"), initiate(at.args(&format!("u-{who}")))).await;
    t.ask(&name("list uploads"), list_uploads(at, "zzz", ("", ""), 5)).await;
    t.ask(&name("get acl"), get_acl(object(Key, &format!("/{}/{}/d/key", at.0, at.1)))).await;
    let obj = object(Key, &format!("/{}/{}/d/key", at.0, at.1));
    t.ask(&name("add acl"), add_acl(obj, "u:zoe:01")).await;
    let obj = object(Bucket, &format!("/{}/{}", at.0, at.1));
    t.ask(&name("add acl of bucket"), add_acl(obj, "u:zoe:01")).await;
    let obj = object(Volume, &format!("/{}", at.0));
    t.ask(&name("add acl of volume"), add_acl(obj, "u:zoe:01")).await;
    let obj = object(Prefix, &format!("/{}/{}/d/", at.0, at.1));
    t.ask(&name("add acl of prefix"), add_acl(obj, "u:zoe:01")).await;
    let extra = format!("extra-{}-{}", at.1, if who.len() > 5 { "x" } else { "y" });
    let extra: &'static str = Box::leak(format!("{extra}{}", who.len()).into_boxed_str());
    t.ask(&name("create bucket"), create_bucket(bucket(At(at.0, extra), None))).await;
    t.ask(&name("delete bucket"), delete_bucket(at)).await;
    t.ask(&name("delete volume"), delete_volume(at.0)).await;
    let body = SetVolumePropertyRequest {
        volume_name: at.0.into(),
        quota_in_bytes: Some(u64::MAX),
        ..Default::default()
    };
    t.ask(&name("set volume"), request!(SetVolumeProperty, set_volume_property_request, body))
        .await;
    let body = SetBucketPropertyRequest {
        bucket_args: Some(BucketArgs {
            volume_name: at.0.into(),
            bucket_name: at.1.into(),
            is_version_enabled: Some(false),
            ..Default::default()
        }),
        modification_time: None,
    };
    t.ask(&name("set bucket"), request!(SetBucketProperty, set_bucket_property_request, body))
        .await;
    let scope = list_volume_request::Scope::VolumesByCluster.into();
    let body = ListVolumeRequest {
        scope,
        max_keys: Some(10),
        prefix: Some("alice".into()),
        ..Default::default()
    };
    t.ask(&name("list all volumes"), request!(ListVolume, list_volume_request, body)).await;
    let body =
        ListOpenFilesRequest { path: Some("/".into()), count: Some(5), token: Some(String::new()) };
    t.ask(
        &name("list open files of missing"),
        request!(
            ListOpenFiles,
            list_open_files_request,
            ListOpenFilesRequest { path: Some("/nosuch/b".into()), ..body }
        ),
    )
    .await;
}
