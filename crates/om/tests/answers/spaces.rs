//! Volumes, buckets and links.

use hdds_proto::hdds::DefaultReplicationConfig;
use om_proto::list_volume_request::Scope;
use om_proto::ozone_acl_info::OzoneAclType;
use om_proto::*;

use crate::requests::{self, *};
use crate::transcript::Transcript;

pub async fn volumes(t: &mut Transcript) {
    t.area("volume");
    t.ask("create", create_volume(volume("vol1"))).await;
    t.ask("create again", create_volume(volume("vol1"))).await;
    for name in ["", "a", "ab", "UPPER", "-abc", "abc-", "a..b", "a.-b", "1.2.3.4", "a_b", "vol/x"]
    {
        t.ask(&format!("create {name:?}"), create_volume(volume(name))).await;
    }
    t.ask("create long", create_volume(volume(&"x".repeat(64)))).await;
    t.ask("create longest", create_volume(volume(&"x".repeat(63)))).await;
    let of_alice = VolumeInfo { owner_name: "alice".into(), ..volume("alicevol") };
    t.ask("create for somebody else", create_volume(of_alice)).await;
    let small = VolumeInfo {
        quota_in_bytes: Some(1 << 30),
        quota_in_namespace: Some(2),
        volume_acls: vec![acl("u:bob:01"), acl("d:u:carol:03")],
        metadata: vec![pair("k", "v")],
        ..volume("small")
    };
    t.ask("create with quota and acls", create_volume(small)).await;
    let zero = VolumeInfo { quota_in_bytes: Some(0), ..volume("zero") };
    t.ask("create with quota 0", create_volume(zero)).await;
    let negative = VolumeInfo { quota_in_namespace: Some(-5), ..volume("negative") };
    t.ask("create with quota -5", create_volume(negative)).await;
    t.ask("info", info_volume("vol1")).await;
    t.ask("info small", info_volume("small")).await;
    t.ask("info missing", info_volume("nosuchvol")).await;
    t.ask("info s3v", info_volume("s3v")).await;
    t.ask("info empty name", info_volume("")).await;
    list_volumes(t).await;
    set_volumes(t).await;
    for (name, kind, user, rights) in [
        ("check owner", OzoneAclType::User, "root", 0x80u8),
        ("check stranger", OzoneAclType::User, "mallory", 0x01),
    ] {
        let user_acl = OzoneAclInfo {
            r#type: kind.into(),
            name: user.into(),
            rights: vec![rights].into(),
            acl_scope: 0,
        };
        let body = CheckVolumeAccessRequest { volume_name: "vol1".into(), user_acl };
        t.ask(name, request!(CheckVolumeAccess, check_volume_access_request, body)).await;
    }
    t.ask("delete missing", delete_volume("nosuchvol")).await;
    t.ask("delete zero", delete_volume("zero")).await;
    t.ask("delete longest", delete_volume(&"x".repeat(63))).await;
    t.ask("info deleted", info_volume("zero")).await;
}

async fn list_volumes(t: &mut Transcript) {
    use Scope::{UserVolumes, VolumesByCluster, VolumesByUser};
    t.ask("list of root", requests::list_volumes(VolumesByUser, "root", "", "", 10)).await;
    t.ask("list of root, prefix", requests::list_volumes(VolumesByUser, "root", "sm", "", 10))
        .await;
    t.ask("list of root, after", requests::list_volumes(VolumesByUser, "root", "", "s3v", 1)).await;
    t.ask(
        "list of root, after missing",
        requests::list_volumes(VolumesByUser, "root", "", "nope", 10),
    )
    .await;
    t.ask("list of nobody", requests::list_volumes(VolumesByUser, "nobody", "", "", 10)).await;
    t.ask("list own", requests::list_volumes(UserVolumes, "", "", "", 10)).await;
    t.ask("list cluster", requests::list_volumes(VolumesByCluster, "", "", "", 100)).await;
    t.ask("list cluster, prefix", requests::list_volumes(VolumesByCluster, "", "v", "", 100)).await;
    t.ask("list cluster, after", requests::list_volumes(VolumesByCluster, "", "", "small", 1))
        .await;
    t.ask("list cluster, after missing", requests::list_volumes(VolumesByCluster, "", "", "sa", 9))
        .await;
    t.ask("list cluster, none", requests::list_volumes(VolumesByCluster, "", "", "", 0)).await;
}

fn set_volume(
    name: &str,
    owner: Option<&str>,
    bytes: Option<i64>,
    names: Option<i64>,
) -> OmRequest {
    request!(
        SetVolumeProperty,
        set_volume_property_request,
        SetVolumePropertyRequest {
            volume_name: name.into(),
            owner_name: owner.map(Into::into),
            quota_in_bytes: bytes.map(i64::cast_unsigned),
            modification_time: None,
            quota_in_namespace: names.map(i64::cast_unsigned),
        }
    )
}

async fn set_volumes(t: &mut Transcript) {
    t.ask("set owner", set_volume("alicevol", Some("bob"), None, None)).await;
    t.ask("set same owner", set_volume("alicevol", Some("bob"), None, None)).await;
    t.ask("set owner of missing", set_volume("nosuchvol", Some("bob"), None, None)).await;
    t.ask("set quota", set_volume("alicevol", None, Some(1 << 40), Some(100))).await;
    t.ask("set only space quota", set_volume("alicevol", None, Some(1 << 41), Some(-2))).await;
    t.ask("clear quota", set_volume("alicevol", None, Some(-1), Some(-1))).await;
    t.ask("set quota of missing", set_volume("nosuchvol", None, Some(5), Some(5))).await;
    t.ask("set quota 0", set_volume("alicevol", None, Some(0), Some(0))).await;
    t.ask("set quota -3", set_volume("alicevol", None, Some(-3), Some(-3))).await;
    t.ask("set nothing", set_volume("alicevol", None, None, None)).await;
    t.ask("info after sets", info_volume("alicevol")).await;
}

pub async fn buckets(t: &mut Transcript) {
    use BucketLayoutProto::{FileSystemOptimized, Legacy, ObjectStore};
    t.area("bucket");
    t.must("volume", create_volume(volume("bvol"))).await;
    let at = |name| At("bvol", name);
    t.ask("create obs", create_bucket(bucket(at("obs"), Some(ObjectStore)))).await;
    t.ask("create again", create_bucket(bucket(at("obs"), Some(ObjectStore)))).await;
    t.ask("create legacy", create_bucket(bucket(at("legacy"), Some(Legacy)))).await;
    t.ask("create fso", create_bucket(bucket(at("fso"), Some(FileSystemOptimized)))).await;
    t.ask("create default layout", create_bucket(bucket(at("plain"), None))).await;
    for name in ["", "a", "B_X", "b_x", "bad/name", "abc.", "1.1.1.1"] {
        t.ask(&format!("create {name:?}"), create_bucket(bucket(at(name), None))).await;
    }
    t.ask("create obs b_x", create_bucket(bucket(at("b_x"), Some(ObjectStore)))).await;
    t.ask("create nowhere", create_bucket(bucket(At("nosuchvol", "buck"), None))).await;
    let rich = BucketInfo {
        is_version_enabled: true,
        metadata: vec![pair("gdprEnabled", "true"), pair("k", "v")],
        acls: vec![acl("u:bob:01"), acl("d:u:carol:03")],
        owner: Some("alice".into()),
        quota_in_bytes: Some(1 << 30),
        quota_in_namespace: Some(50),
        default_replication_config: Some(DefaultReplicationConfig {
            r#type: 4,
            factor: None,
            ec_replication_config: Some(ec(3, 2, 1 << 20)),
        }),
        ..bucket(at("rich"), Some(ObjectStore))
    };
    t.ask("create rich", create_bucket(rich)).await;
    let odd = BucketInfo {
        default_replication_config: Some(DefaultReplicationConfig {
            r#type: 4,
            factor: None,
            ec_replication_config: Some(ec(5, 3, 1000)),
        }),
        ..bucket(at("odd"), None)
    };
    t.ask("create odd ec", create_bucket(odd)).await;
    let half = BucketInfo { source_volume: Some("bvol".into()), ..bucket(at("half"), None) };
    t.ask("create half a link", create_bucket(half)).await;
    for name in ["obs", "legacy", "fso", "plain", "rich"] {
        t.ask(&format!("info {name}"), info_bucket(at(name))).await;
    }
    t.ask("info missing", info_bucket(at("missing"))).await;
    t.ask("info nowhere", info_bucket(At("nosuchvol", "buck"))).await;
    encrypted(t).await;
    links(t).await;
    t.ask("list", list_buckets("bvol", "", "", 100)).await;
    t.ask("list prefix", list_buckets("bvol", "", "l", 100)).await;
    t.ask("list after", list_buckets("bvol", "legacy", "", 1)).await;
    t.ask("list after missing", list_buckets("bvol", "g", "", 2)).await;
    t.ask("list none", list_buckets("bvol", "", "", 0)).await;
    t.ask("list nowhere", list_buckets("nosuchvol", "", "", 10)).await;
    set_buckets(t).await;
    quotas(t).await;
    t.ask("delete missing", delete_bucket(at("missing"))).await;
    t.ask("delete nowhere", delete_bucket(At("nosuchvol", "x"))).await;
    t.ask("delete plain", delete_bucket(at("plain"))).await;
    t.ask("delete volume that is not empty", delete_volume("bvol")).await;
}

/// There is no key provider.
async fn encrypted(t: &mut Transcript) {
    let at = At("vol1", "encrypted");
    let key = BucketEncryptionInfoProto { key_name: "key1".into(), ..Default::default() };
    let info = BucketInfo { beinfo: Some(key.clone()), ..bucket(at, None) };
    t.ask("create encrypted", create_bucket(info.clone())).await;
    let info = BucketInfo { beinfo: Some(key.clone()), ..link(at, At("vol1", "rich")) };
    t.ask("create encrypted link", create_bucket(info)).await;
    let args = BucketArgs {
        volume_name: "vol1".into(),
        bucket_name: "rich".into(),
        bek_info: Some(key),
        ..Default::default()
    };
    t.ask("encrypt later", set_bucket(args)).await;
}

async fn links(t: &mut Transcript) {
    let at = |name| At("bvol", name);
    t.ask("link", create_bucket(link(at("link"), at("rich")))).await;
    t.ask("link to link", create_bucket(link(at("link2"), at("link")))).await;
    t.ask("dangling link", create_bucket(link(at("dangling"), at("nope")))).await;
    t.ask("link to nowhere", create_bucket(link(at("astray"), At("nosuchvol", "x")))).await;
    t.ask("loop a", create_bucket(link(at("loop-a"), at("loop-b")))).await;
    t.ask("loop b", create_bucket(link(at("loop-b"), at("loop-a")))).await;
    t.ask("loop self", create_bucket(link(at("self"), at("self")))).await;
    for name in ["link", "link2", "dangling", "astray", "loop-a", "self"] {
        t.ask(&format!("info {name}"), info_bucket(at(name))).await;
        let args = KeyArgs { data_size: Some(0), ..at(name).args("k") };
        t.ask(&format!("create key in {name}"), create_key(args)).await;
        t.ask(&format!("list keys in {name}"), list_keys(true, at(name), "", "", 10)).await;
        t.ask(&format!("info of missing key in {name}"), key_info(at(name).args("k"))).await;
    }
    let args = BucketArgs {
        volume_name: "bvol".into(),
        bucket_name: "link".into(),
        is_version_enabled: Some(false),
        ..Default::default()
    };
    t.ask("set property of link", set_bucket(args.clone())).await;
    let args = BucketArgs { owner_name: Some("bob".into()), is_version_enabled: None, ..args };
    t.ask("set owner of link", set_bucket(args)).await;
    t.ask("delete dangling link", delete_bucket(at("dangling"))).await;
    t.ask("delete self", delete_bucket(at("self"))).await;
}

fn set_bucket(args: BucketArgs) -> OmRequest {
    request!(
        SetBucketProperty,
        set_bucket_property_request,
        SetBucketPropertyRequest { bucket_args: Some(args), modification_time: None }
    )
}

async fn set_buckets(t: &mut Transcript) {
    let args = |name: &str| BucketArgs {
        volume_name: "bvol".into(),
        bucket_name: name.into(),
        ..Default::default()
    };
    let quota = |bytes: i64, names: i64| BucketArgs {
        quota_in_bytes: Some(bytes.cast_unsigned()),
        quota_in_namespace: Some(names.cast_unsigned()),
        ..args("obs")
    };
    let owner = |name: &str| BucketArgs { owner_name: Some(name.into()), ..args("obs") };
    t.ask("set owner", set_bucket(owner("alice"))).await;
    t.ask("set same owner", set_bucket(owner("alice"))).await;
    t.ask("set quota", set_bucket(quota(1 << 30, 1000))).await;
    t.ask("set only namespace quota", set_bucket(quota(-2, 2000))).await;
    t.ask("set quota 0", set_bucket(quota(0, 0))).await;
    t.ask("clear quota", set_bucket(quota(-1, -1))).await;
    let versions = BucketArgs { is_version_enabled: Some(true), ..args("legacy") };
    t.ask("set versioning", set_bucket(versions)).await;
    let storage = BucketArgs { storage_type: Some(2), ..args("legacy") };
    t.ask("set storage type", set_bucket(storage)).await;
    let replication = BucketArgs {
        default_replication_config: Some(DefaultReplicationConfig {
            r#type: 1,
            factor: Some(1),
            ec_replication_config: None,
        }),
        ..args("legacy")
    };
    t.ask("set replication", set_bucket(replication)).await;
    let metadata = BucketArgs { metadata: vec![pair("a", "b")], ..args("legacy") };
    t.ask("set metadata", set_bucket(metadata)).await;
    t.ask("set of missing", set_bucket(args("missing"))).await;
    t.ask("set nothing", set_bucket(args("legacy"))).await;
    t.ask("info obs after sets", info_bucket(At("bvol", "obs"))).await;
    t.ask("info legacy after sets", info_bucket(At("bvol", "legacy"))).await;
}

async fn quotas(t: &mut Transcript) {
    t.area("quota");
    let at = |name| At("qvol", name);
    let limited =
        VolumeInfo { quota_in_bytes: Some(1 << 30), quota_in_namespace: Some(2), ..volume("qvol") };
    t.must("volume", create_volume(limited)).await;
    t.ask("bucket without quota", create_bucket(bucket(at("none"), None))).await;
    let with = |name, bytes, names| BucketInfo {
        quota_in_bytes: Some(bytes),
        quota_in_namespace: Some(names),
        ..bucket(at(name), Some(BucketLayoutProto::ObjectStore))
    };
    t.ask("bucket over the volume", create_bucket(with("big", 1 << 31, -1))).await;
    t.ask("bucket 1", create_bucket(with("one", 1000, 2))).await;
    t.ask("bucket 2", create_bucket(with("two", 1 << 29, -1))).await;
    t.ask("bucket 3", create_bucket(with("three", 1000, -1))).await;
    t.ask("volume", info_volume("qvol")).await;
    t.ask("volume below its buckets", set_volume("qvol", None, Some(5000), Some(-2))).await;
    t.ask("volume names below its buckets", set_volume("qvol", None, Some(-2), Some(1))).await;
    let args = |key, size| KeyArgs { data_size: Some(size), ..at("one").args(key) };
    t.ask("key over space", create_key(args("big", 1))).await;
    for key in ["a", "b", "c"] {
        let open = t.ask(&format!("create {key}"), create_key(args(key, 0))).await;
        let id = open.create_key_response.map_or(0, |open| open.id());
        t.ask(&format!("commit {key}"), commit(args(key, 0), id)).await;
    }
    t.ask("bucket after keys", info_bucket(at("one"))).await;
    t.area("bucket");
}
