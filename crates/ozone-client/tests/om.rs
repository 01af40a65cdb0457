//! The client against Ozone Managers in this process that answer as scripted.

// The pipeline and datanodes of hdds-client's own tests.
#[path = "../../hdds-client/tests/fake/mod.rs"]
#[allow(dead_code)]
mod fake;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use fake::{Failure, FakeCluster};
use hadoop_rpc::server::{CallContext, Protocol, RpcError, RpcServer, ServerSettings};
use hdds_proto::convert;
use hdds_proto::hdds;
use hdds_types::PipelineId;
use om_proto::{
    AllocateBlockResponse, BasicKeyInfo, CreateKeyResponse, InfoVolumeResponse, KeyInfo,
    KeyLocation, KeyLocationList, ListKeysLightResponse, ListStatusLightResponse, OmRequest,
    OmResponse, OzoneFileStatusProtoLight, Status, Type, VolumeInfo,
};
use ozone_client::key::NewKey;
use ozone_client::{ClientError, OmAddress, OzoneClient};
use ozone_config::Configuration;
use parking_lot::Mutex;
use prost::Message;

const PROTOCOL: &str = "org.apache.hadoop.ozone.om.protocol.OzoneManagerProtocol";
const NOT_LEADER: &str = "org.apache.hadoop.ozone.om.exceptions.OMNotLeaderException";
const NOT_READY: &str = "org.apache.hadoop.ozone.om.exceptions.OMLeaderNotReadyException";

type Script = dyn Fn(&OmRequest, usize) -> Result<OmResponse, RpcError> + Send + Sync;

/// Answers by script, and remembers who called with what.
struct FakeOm {
    script: Box<Script>,
    calls: Mutex<Vec<(CallContext, OmRequest)>>,
}

#[async_trait]
impl Protocol for FakeOm {
    fn methods(&self) -> &'static [&'static str] {
        &["submitRequest"]
    }

    async fn call(
        &self,
        context: CallContext,
        _method: &str,
        request: Bytes,
    ) -> Result<Bytes, RpcError> {
        let request = OmRequest::decode(request).map_err(RpcError::malformed)?;
        let nth = {
            let mut calls = self.calls.lock();
            calls.push((context, request.clone()));
            calls.len()
        };
        (self.script)(&request, nth).map(|answer| answer.encode_to_vec().into())
    }
}

async fn om(
    script: impl Fn(&OmRequest, usize) -> Result<OmResponse, RpcError> + Send + Sync + 'static,
) -> (Arc<FakeOm>, RpcServer) {
    let fake = Arc::new(FakeOm { script: Box::new(script), calls: Mutex::default() });
    let protocols = vec![(PROTOCOL, Arc::clone(&fake) as Arc<dyn Protocol>)];
    let address = "127.0.0.1:0".parse().unwrap();
    let server = RpcServer::start(address, ServerSettings::default(), protocols).await.unwrap();
    (fake, server)
}

fn ok(kind: Type) -> OmResponse {
    OmResponse {
        cmd_type: kind.into(),
        status: Status::Ok.into(),
        success: Some(true),
        ..Default::default()
    }
}

fn volume_answer(name: &str) -> OmResponse {
    let info = VolumeInfo { volume: name.to_owned(), ..Default::default() };
    OmResponse {
        info_volume_response: Some(Box::new(InfoVolumeResponse { volume_info: Some(info) })),
        ..ok(Type::InfoVolume)
    }
}

/// A configuration of a service of these servers, that waits little.
fn configuration(servers: &[&RpcServer]) -> Configuration {
    let mut conf = Configuration::default();
    conf.set("ozone.om.service.ids", "svc");
    let nodes: Vec<String> = (1..=servers.len()).map(|n| format!("om{n}")).collect();
    conf.set("ozone.om.nodes.svc", nodes.join(","));
    for (node, server) in nodes.iter().zip(servers) {
        conf.set(format!("ozone.om.address.svc.{node}"), server.address().to_string());
    }
    conf.set("ozone.client.wait.between.retries.millis", "5ms");
    conf.set("ozone.client.failover.max.attempts", "20");
    conf
}

fn client(servers: &[&RpcServer]) -> OzoneClient {
    OzoneClient::new(&configuration(servers), &OmAddress::Configured).unwrap()
}

#[tokio::test]
async fn followers_pass_on_to_the_leader_under_the_same_call_id() {
    let follower = |_: &OmRequest, _| Err(RpcError::new(NOT_LEADER, "OM:x is not the leader."));
    let (first, a) = om(follower).await;
    let (second, b) = om(follower).await;
    let (leader, c) = om(|_, _| Ok(volume_answer("vol1"))).await;
    let client = client(&[&a, &b, &c]);
    assert_eq!(client.volume("vol1").await.unwrap().name, "vol1");
    client.volume("vol1").await.unwrap();
    let calls = [&first, &second, &leader].map(|om| om.calls.lock().clone());
    let contexts: Vec<&CallContext> = calls.iter().flatten().map(|(context, _)| context).collect();
    assert!(contexts.iter().all(|context| context.client_id == contexts[0].client_id));
    // The leader is remembered: the second call went to it alone.
    assert_eq!(calls[2].len(), 2);
    assert!(calls[0].len() <= 1 && calls[1].len() <= 1);
    let first_call = calls[2][0].0.call_id;
    for (context, _) in calls[0].iter().chain(&calls[1]) {
        assert_eq!(context.call_id, first_call, "a retry keeps the id of its call");
    }
    assert_ne!(calls[2][1].0.call_id, first_call);
}

#[tokio::test]
async fn a_suggested_leader_is_asked_without_a_detour() {
    let suggest = |_: &OmRequest, _| {
        Err(RpcError::new(NOT_LEADER, "OM:x is not the leader. Suggested leader is OM:om3[h:1]."))
    };
    let (first, a) = om(suggest).await;
    let (second, b) = om(suggest).await;
    let (_, c) = om(|_, _| Ok(volume_answer("vol1"))).await;
    client(&[&a, &b, &c]).volume("vol1").await.unwrap();
    assert!(first.calls.lock().len() + second.calls.lock().len() <= 1);
}

#[tokio::test]
async fn a_leader_that_is_not_ready_is_waited_for() {
    let (om, server) = om(|_, nth| {
        if nth < 4 { Err(RpcError::new(NOT_READY, "not yet")) } else { Ok(volume_answer("vol1")) }
    })
    .await;
    client(&[&server]).volume("vol1").await.unwrap();
    let retries: Vec<i32> = om.calls.lock().iter().map(|(call, _)| call.retry_count).collect();
    assert_eq!(retries, [0, 1, 2, 3]);
}

#[tokio::test]
async fn a_dead_ozone_manager_is_left_for_a_living_one() {
    let (_, dead) = om(|_, _| Ok(volume_answer("vol1"))).await;
    let (_, alive) = om(|_, _| Ok(volume_answer("vol1"))).await;
    let client = client(&[&dead, &alive]);
    dead.shutdown().await;
    assert_eq!(client.volume("vol1").await.unwrap().name, "vol1");
}

#[tokio::test]
async fn statuses_are_told_with_their_genuine_names_and_never_fail_over() {
    let (om, server) = om(|request, _| {
        Ok(OmResponse {
            status: Status::VolumeNotFound.into(),
            message: Some("Volume nope is not found".to_owned()),
            success: Some(false),
            ..ok(Type::try_from(request.cmd_type).unwrap())
        })
    })
    .await;
    let error = client(&[&server]).volume("nope").await.unwrap_err();
    assert_eq!(error.to_string(), "VOLUME_NOT_FOUND Volume nope is not found");
    assert_eq!(om.calls.lock().len(), 1);
}

#[tokio::test]
async fn requests_carry_what_the_genuine_client_sends() {
    let (om, server) = om(|_, _| Ok(volume_answer("vol1"))).await;
    client(&[&server]).volume("vol1").await.unwrap();
    let (context, request) = om.calls.lock()[0].clone();
    assert_eq!(context.user.as_ref(), ozone_client::user::current());
    assert_eq!(request.version, Some(3));
    assert_eq!(request.trace_id.as_deref(), Some(""));
    assert!(request.client_id.starts_with("client-"));
    assert_eq!(request.read_consistency_hint.unwrap().read_consistency, Some(1));
    assert!(request.user_info.is_none());
}

#[tokio::test]
async fn a_name_that_no_server_would_take_is_not_sent() {
    let (om, server) = om(|_, _| Ok(volume_answer("x"))).await;
    let error = client(&[&server]).volume("NO").await.unwrap_err();
    assert_eq!(error.status(), Some(Status::InvalidVolumeName));
    assert!(om.calls.lock().is_empty());
}

#[tokio::test]
async fn keys_are_listed_page_after_page() {
    let (_, server) = om(|request, _| {
        let list = request.list_keys_request.as_ref().unwrap();
        let after = list.start_key.clone().unwrap_or_default();
        let all: Vec<String> = (0..10).map(|n| format!("key{n}")).collect();
        let page: Vec<BasicKeyInfo> = all
            .into_iter()
            .filter(|name| *name > after)
            .take(list.count.unwrap() as usize)
            .map(|name| BasicKeyInfo { key_name: Some(name), ..Default::default() })
            .collect();
        let truncated = page.len() == list.count.unwrap() as usize;
        let body = ListKeysLightResponse { basic_key_info: page, is_truncated: Some(truncated) };
        Ok(OmResponse { list_keys_light_response: Some(Box::new(body)), ..ok(Type::ListKeysLight) })
    })
    .await;
    let client = client(&[&server]);
    let bucket = bucket();
    let (first, more) = client.list_keys(&bucket, "", None, 4).await.unwrap();
    assert!(more);
    assert_eq!(first.last().unwrap().name, "key3");
    let (rest, more) = client.list_keys(&bucket, "", Some("key3"), 100).await.unwrap();
    assert!(!more);
    assert_eq!(rest.len(), 6);
}

/// Lists a directory of `tree` (full names, directories with a slash) as the server does: by the children's
/// own names, from the start on.
fn list_status(request: &OmRequest, tree: &[&str]) -> OmResponse {
    let list = request.list_status_request.as_ref().unwrap();
    let folder = &list.key_args.key_name;
    let inside = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    let mut children: Vec<&str> = tree
        .iter()
        .filter_map(|name| name.strip_prefix(&inside))
        .filter(|rest| !rest.is_empty() && !rest.trim_end_matches('/').contains('/'))
        .collect();
    children.sort_by_key(|child| child.trim_end_matches('/'));
    let statuses = children
        .into_iter()
        .map(|child| (format!("{inside}{}", child.trim_end_matches('/')), child.ends_with('/')))
        .filter(|(name, _)| *name >= list.start_key)
        .take(usize::try_from(list.num_entries).unwrap())
        .map(|(name, is_directory)| OzoneFileStatusProtoLight {
            basic_key_info: Some(BasicKeyInfo { key_name: Some(name), ..Default::default() }),
            is_directory: Some(is_directory),
            ..Default::default()
        })
        .collect();
    let body = ListStatusLightResponse { statuses };
    OmResponse { list_status_light_response: Some(Box::new(body)), ..ok(Type::ListStatusLight) }
}

#[tokio::test]
async fn a_tree_is_listed_in_the_order_of_full_names_whatever_the_page() {
    const TREE: &[&str] = &[
        "a!", "a/", "a-b", "a-c/", "a-c/x", "a.d", "a/b", "a/b-c/", "a/b-c/1", "a/b-c/2", "a/c/",
        "a/c/d/", "a/c/d/e", "a0", "b/", "b/1", "b/2", "b/3", "b/4", "b/5", "c",
    ];
    let (_, server) = om(|request, _| Ok(list_status(request, TREE))).await;
    let client = client(&[&server]);
    let layout = om_proto::BucketLayoutProto::FileSystemOptimized;
    let bucket = ozone_client::Bucket { layout, ..bucket() };
    let mut sorted = TREE.to_vec();
    sorted.sort_unstable();
    for prefix in ["", "a", "a/", "a-", "a/b", "b/", "b/3", "nothing", "c"] {
        let belongs = |name: &&str| name.starts_with(prefix);
        let expected: Vec<&str> = sorted.iter().copied().filter(belongs).collect();
        for page in 1..8 {
            let (mut names, mut start) = (Vec::new(), None);
            loop {
                let (keys, more) =
                    client.list_keys(&bucket, prefix, start.as_deref(), page).await.unwrap();
                assert!(keys.len() <= page as usize);
                names.extend(keys.into_iter().map(|key| key.name));
                if !more {
                    break;
                }
                start = names.last().cloned();
            }
            assert_eq!(names, expected, "prefix {prefix:?}, {page} a page");
        }
    }
}

#[tokio::test]
async fn a_page_of_a_tree_asks_for_little_more_than_it_shows() {
    let tree: Vec<String> = (0..50)
        .flat_map(|d| {
            (0..100).map(move |f| format!("d{d:02}/f{f:03}")).chain([format!("d{d:02}/")])
        })
        .collect();
    let (om, server) = om(move |request, _| {
        let tree: Vec<&str> = tree.iter().map(String::as_str).collect();
        Ok(list_status(request, &tree))
    })
    .await;
    let client = client(&[&server]);
    let layout = om_proto::BucketLayoutProto::FileSystemOptimized;
    let bucket = ozone_client::Bucket { layout, ..bucket() };
    for start in [None, Some("d25/f050"), Some("d49/f099")] {
        om.calls.lock().clear();
        client.list_keys(&bucket, "", start, 10).await.unwrap();
        assert!(om.calls.lock().len() <= 4, "{} requests", om.calls.lock().len());
    }
}

fn bucket() -> ozone_client::Bucket {
    ozone_client::Bucket {
        volume: "vol1".to_owned(),
        name: "buck1".to_owned(),
        storage_type: hdds::StorageTypeProto::Disk,
        versioning: false,
        creation_time: 0,
        modification_time: 0,
        metadata: Default::default(),
        encryption_key: None,
        source: None,
        used_bytes: 0,
        used_namespace: 0,
        pending_delete_bytes: 0,
        pending_delete_namespace: 0,
        quota_in_bytes: -1,
        quota_in_namespace: -1,
        layout: om_proto::BucketLayoutProto::ObjectStore,
        owner: None,
        replication: None,
    }
}

const SESSION: u64 = 99;
const BLOCK_BYTES: u64 = 256 << 10;

/// An OM that hands out one block after another, `local` counting up, on the given pipelines.
async fn om_with_blocks(pipelines: Vec<hdds::Pipeline>) -> (Arc<FakeOm>, RpcServer) {
    let next = Mutex::new(0_usize);
    om(move |request, _| {
        let allocate = || {
            let mut next = next.lock();
            let pipeline = pipelines[(*next).min(pipelines.len() - 1)].clone();
            *next += 1;
            block(*next as i64, pipeline)
        };
        match Type::try_from(request.cmd_type).unwrap() {
            Type::CreateKey => {
                let info = KeyInfo {
                    r#type: hdds::ReplicationType::Ratis.into(),
                    factor: Some(hdds::ReplicationFactor::Three.into()),
                    key_location_list: vec![KeyLocationList {
                        version: Some(0),
                        key_locations: vec![allocate()],
                        ..Default::default()
                    }],
                    ..Default::default()
                };
                let created = CreateKeyResponse {
                    key_info: Some(info),
                    id: Some(SESSION),
                    open_version: Some(0),
                };
                Ok(OmResponse {
                    create_key_response: Some(Box::new(created)),
                    ..ok(Type::CreateKey)
                })
            }
            Type::AllocateBlock => {
                let found = AllocateBlockResponse { key_location: Some(allocate()) };
                Ok(OmResponse {
                    allocate_block_response: Some(Box::new(found)),
                    ..ok(Type::AllocateBlock)
                })
            }
            Type::CommitKey => Ok(ok(Type::CommitKey)),
            other => panic!("{other:?}"),
        }
    })
    .await
}

fn block(local: i64, pipeline: hdds::Pipeline) -> KeyLocation {
    KeyLocation {
        block_id: hdds::BlockId {
            container_block_id: hdds::ContainerBlockId { container_id: local, local_id: local },
            block_commit_sequence_id: Some(0),
        },
        offset: 0,
        length: BLOCK_BYTES,
        create_version: Some(0),
        token: None,
        pipeline: Some(pipeline),
        part_number: None,
    }
}

fn wire(cluster: &FakeCluster) -> hdds::Pipeline {
    let members = cluster.pipeline.nodes.iter().map(|node| hdds::DatanodeDetailsProto {
        uuid: Some(node.uuid.clone()),
        ip_address: node.ip.clone(),
        host_name: node.host.clone(),
        ..Default::default()
    });
    hdds::Pipeline {
        members: members.collect(),
        r#type: Some(hdds::ReplicationType::Ratis.into()),
        id: convert::pipeline_id_proto(cluster.pipeline.id),
        ..Default::default()
    }
}

fn small_chunks(servers: &[&RpcServer]) -> Configuration {
    let mut conf = configuration(servers);
    conf.set("ozone.client.stream.buffer.size", "64KB");
    conf.set("ozone.client.stream.buffer.flush.size", "128KB");
    conf.set("ozone.client.stream.buffer.max.size", "256KB");
    conf
}

#[tokio::test]
async fn a_key_larger_than_a_block_takes_several_and_commits_them_in_order() {
    let cluster = FakeCluster::start(3).await;
    let (om, server) = om_with_blocks(vec![wire(&cluster)]).await;
    let client = OzoneClient::new(&small_chunks(&[&server]), &OmAddress::Configured).unwrap();
    client.datanodes().install_ring(cluster.pipeline.id, cluster.ring.clone());
    let mut writer = client.create_key("vol1", "buck1", "k", NewKey::default()).await.unwrap();
    // Uneven pieces, as a pipe delivers them.
    let size = 2 * BLOCK_BYTES as usize + 12_345;
    for piece in vec![7_u8; size].chunks(50_001) {
        writer.write(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    writer.close().await.unwrap();
    let calls = om.calls.lock();
    let commit = calls.last().unwrap().1.commit_key_request.as_ref().unwrap();
    assert_eq!(commit.client_id, SESSION);
    assert_eq!(commit.key_args.data_size, Some(size as u64));
    let lengths: Vec<u64> = commit.key_args.key_locations.iter().map(|at| at.length).collect();
    assert_eq!(lengths, [BLOCK_BYTES, BLOCK_BYTES, 12_345]);
    let bcsids = commit.key_args.key_locations.iter();
    assert!(bcsids.clone().all(|at| at.block_id.block_commit_sequence_id > Some(0)));
}

#[tokio::test]
async fn an_empty_key_is_committed_without_blocks() {
    let cluster = FakeCluster::start(1).await;
    let (om, server) = om_with_blocks(vec![wire(&cluster)]).await;
    let client = client(&[&server]);
    let writer = client.create_key("vol1", "buck1", "k", NewKey::default()).await.unwrap();
    writer.close().await.unwrap();
    let calls = om.calls.lock();
    let commit = calls.last().unwrap().1.commit_key_request.as_ref().unwrap();
    assert_eq!(commit.key_args.data_size, Some(0));
    assert!(commit.key_args.key_locations.is_empty());
}

#[tokio::test]
async fn a_pipeline_that_breaks_is_excluded_and_nothing_is_lost_or_sent_twice() {
    let (bad, good) = (FakeCluster::start(3).await, FakeCluster::start(3).await);
    // W W P W | the pipeline dies
    bad.ring.fail_at(5, Failure::GroupGone);
    let (om, server) = om_with_blocks(vec![wire(&bad), wire(&good)]).await;
    let client = OzoneClient::new(&small_chunks(&[&server]), &OmAddress::Configured).unwrap();
    for cluster in [&bad, &good] {
        client.datanodes().install_ring(cluster.pipeline.id, cluster.ring.clone());
    }
    let mut writer = client.create_key("vol1", "buck1", "k", NewKey::default()).await.unwrap();
    let data: Bytes = (0..240_000_u32).map(|n| (n * 7 + n / 257) as u8).collect();
    writer.write(data.clone()).await.unwrap();
    writer.close().await.unwrap();
    let calls = om.calls.lock();
    let allocate = calls.iter().find_map(|(_, r)| r.allocate_block_request.clone()).unwrap();
    let excluded: Vec<PipelineId> = allocate
        .exclude_list
        .unwrap()
        .pipeline_ids
        .iter()
        .filter_map(convert::pipeline_id)
        .collect();
    assert_eq!(excluded, [bad.pipeline.id]);
    let commit = calls.last().unwrap().1.commit_key_request.clone().unwrap();
    let lengths: Vec<u64> = commit.key_args.key_locations.iter().map(|at| at.length).collect();
    // The first PutBlock was acknowledged; everything after it went to the second block.
    assert_eq!(lengths, [128 << 10, 240_000 - (128 << 10)]);
    let mut stored = bad.ring.stored(1);
    stored.truncate(128 << 10);
    stored.extend(good.ring.stored(2));
    assert_eq!(stored, data);
}

#[tokio::test]
async fn a_writer_gives_up_after_the_configured_number_of_blocks() {
    let bad = FakeCluster::start(1).await;
    bad.ring.fail_at(1, Failure::GroupGone);
    let (om, server) = om_with_blocks(vec![wire(&bad)]).await;
    let mut conf = small_chunks(&[&server]);
    conf.set("ozone.client.max.retries", "2");
    let client = OzoneClient::new(&conf, &OmAddress::Configured).unwrap();
    client.datanodes().install_ring(bad.pipeline.id, bad.ring.clone());
    let mut writer = client.create_key("vol1", "buck1", "k", NewKey::default()).await.unwrap();
    writer.write(Bytes::from_static(b"hello")).await.unwrap();
    let error = writer.close().await.unwrap_err();
    assert!(matches!(error, ClientError::Block(_)), "{error}");
    let asked = om.calls.lock().iter().filter(|(_, r)| r.allocate_block_request.is_some()).count();
    assert_eq!(asked, 2, "the first block came with the key, two more were tried");
}

#[tokio::test]
async fn a_host_that_nobody_knows_is_told_at_once() {
    let (_, server) = om(|_, _| Ok(volume_answer("vol1"))).await;
    let mut conf = configuration(&[&server]);
    // Waiting for it would take an hour.
    conf.set("ozone.client.wait.between.retries.millis", "3m");
    // No label of a name is that long, which the resolver knows without asking anybody.
    let name = "x".repeat(64);
    let client = OzoneClient::new(&conf, &OmAddress::Named(name.clone(), None)).unwrap();
    let error = client.volume("vol1").await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("Cannot resolve OM host {name} in the URI\n")), "{error}");
    assert!(error.ends_with("no service of ozone.om.service.ids (svc) has this name"), "{error}");
}
