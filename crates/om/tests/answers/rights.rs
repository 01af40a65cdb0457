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

async fn inherit(t: &mut Transcript, at: At) {
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
}

/// Things that a user may or may not.
async fn strange(t: &mut Transcript, at: At, who: &str) {
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
