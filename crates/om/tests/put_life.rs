//! The life of a key over RPC: a whole OM with RocksDB and its Raft log, against a stand-in for SCM.

mod encrypted;
mod scm;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hadoop_rpc::client::{CallId, ClientSettings, RpcClient};
use om::Om;
use om_proto::*;
use ozone_config::Configuration;
use prost::Message;

use scm::FakeScm;

const PROTOCOL: &str = "org.apache.hadoop.ozone.om.protocol.OzoneManagerProtocol";
const DEADLINE: Duration = Duration::from_secs(30);

struct Client {
    rpc: RpcClient,
    om: SocketAddr,
    calls: AtomicI32,
}

impl Client {
    fn new(om: SocketAddr) -> Self {
        Self {
            rpc: RpcClient::new(ClientSettings::default(), "root"),
            om,
            calls: AtomicI32::new(0),
        }
    }

    async fn send_as(&self, id: CallId, request: &OmRequest) -> OmResponse {
        let bytes = Bytes::from(request.encode_to_vec());
        let reply = self.rpc.call(self.om, PROTOCOL, "submitRequest", id, bytes).await.unwrap();
        OmResponse::decode(reply).unwrap()
    }

    async fn send(&self, request: OmRequest) -> OmResponse {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.send_as(self.rpc.next_call(), &request).await
    }

    async fn ok(&self, request: OmRequest) -> OmResponse {
        let reply = self.send(request).await;
        assert_eq!(reply.status(), Status::Ok, "{:?}", reply.message);
        reply
    }

    async fn put(&self, key: &str, size: u64) {
        let open = self.ok(create_key(key, size)).await.create_key_response.unwrap();
        let blocks = open.key_info.as_ref().unwrap().key_location_list[0].key_locations.clone();
        let key_locations = blocks
            .into_iter()
            .map(|block| KeyLocation { length: size, pipeline: None, ..block })
            .collect();
        let key_args = KeyArgs { data_size: Some(size), key_locations, ..args(key) };
        self.ok(OmRequest {
            commit_key_request: Some(Box::new(CommitKeyRequest {
                key_args,
                client_id: open.id(),
                ..Default::default()
            })),
            ..kind(Type::CommitKey)
        })
        .await;
    }

    async fn info(&self, key: &str) -> OmResponse {
        self.send(OmRequest {
            get_key_info_request: Some(Box::new(GetKeyInfoRequest {
                key_args: args(key),
                ..Default::default()
            })),
            ..kind(Type::GetKeyInfo)
        })
        .await
    }

    async fn list(&self, start: &str, count: i32) -> Vec<String> {
        let reply = self
            .ok(OmRequest {
                list_keys_request: Some(Box::new(ListKeysRequest {
                    volume_name: "vol".into(),
                    bucket_name: "buck".into(),
                    start_key: Some(start.into()),
                    prefix: None,
                    count: Some(count),
                })),
                ..kind(Type::ListKeysLight)
            })
            .await;
        let keys = reply.list_keys_light_response.unwrap().basic_key_info;
        keys.into_iter().filter_map(|key| key.key_name).collect()
    }
}

fn kind(kind: Type) -> OmRequest {
    OmRequest {
        cmd_type: kind.into(),
        client_id: "client-test".into(),
        trace_id: Some(String::new()),
        version: Some(3),
        ..Default::default()
    }
}

fn args(key: &str) -> KeyArgs {
    KeyArgs {
        volume_name: "vol".into(),
        bucket_name: "buck".into(),
        key_name: key.into(),
        ..Default::default()
    }
}

fn create_key(key: &str, size: u64) -> OmRequest {
    let key_args = KeyArgs { data_size: Some(size), ..args(key) };
    OmRequest {
        create_key_request: Some(Box::new(CreateKeyRequest { key_args, client_id: None })),
        ..kind(Type::CreateKey)
    }
}

fn create_volume(name: &str) -> OmRequest {
    OmRequest {
        create_volume_request: Some(Box::new(CreateVolumeRequest {
            volume_info: VolumeInfo {
                admin_name: "root".into(),
                owner_name: "root".into(),
                volume: name.into(),
                ..Default::default()
            },
        })),
        ..kind(Type::CreateVolume)
    }
}

fn create_bucket(layout: BucketLayoutProto) -> OmRequest {
    OmRequest {
        create_bucket_request: Some(Box::new(CreateBucketRequest {
            bucket_info: BucketInfo {
                volume_name: "vol".into(),
                bucket_name: "buck".into(),
                storage_type: 1,
                bucket_layout: Some(layout.into()),
                ..Default::default()
            },
        })),
        ..kind(Type::CreateBucket)
    }
}

fn conf(directory: &Path, scm: &FakeScm) -> Configuration {
    let mut conf = Configuration::default();
    conf.set("ozone.metadata.dirs", directory.display().to_string());
    conf.set("ozone.om.address", "127.0.0.1:0");
    conf.set("ozone.om.http-address", "127.0.0.1:0");
    conf.set("ozone.om.ratis.port", "0");
    conf.set("ozone.scm.names", "127.0.0.1");
    conf.set("ozone.scm.block.client.address", scm.block_address().to_string());
    conf.set("ozone.scm.client.address", scm.client_address().to_string());
    conf.set("ozone.block.deleting.service.interval", "50ms");
    conf.set("ozone.directory.deleting.service.interval", "50ms");
    conf.set("ozone.om.open.key.cleanup.service.interval", "50ms");
    conf.set("ozone.om.open.key.expire.threshold", "2s");
    conf
}

async fn start(directory: &Path, scm: &FakeScm) -> (Om, Client) {
    let conf = conf(directory, scm);
    om::init(&conf).await.unwrap();
    let om = Om::start(&conf).await.unwrap();
    let client = Client::new(om.rpc_address());
    (om, client)
}

async fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !done() {
        assert!(Instant::now() < end, "{what} did not happen in {DEADLINE:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_put_found_listed_and_deleted_and_its_blocks_reach_scm() {
    let directory = tempfile::tempdir().unwrap();
    let scm = FakeScm::start().await;
    let (om, client) = start(directory.path(), &scm).await;
    client.ok(create_volume("vol")).await;
    client.ok(create_bucket(BucketLayoutProto::ObjectStore)).await;
    for name in ["b", "a", "c"] {
        client.put(name, 10).await;
    }
    let found = client.info("a").await.get_key_info_response.unwrap().key_info.unwrap();
    let block = &found.key_location_list[0].key_locations[0];
    assert_eq!((found.data_size, block.length), (10, 10));
    assert!(block.pipeline.is_some(), "a reader needs the pipeline");
    assert_eq!(client.list("", 2).await, ["a", "b"]);
    assert_eq!(client.list("b", 2).await, ["c"]);

    let deleted = block.block_id;
    client
        .ok(OmRequest {
            delete_key_request: Some(Box::new(DeleteKeyRequest { key_args: args("a") })),
            ..kind(Type::DeleteKey)
        })
        .await;
    assert_eq!(client.info("a").await.status(), Status::KeyNotFound);
    wait_until("the deletion of the block", || scm.deleted_blocks().contains(&deleted)).await;
    let bucket = || async {
        let body = InfoBucketRequest { volume_name: "vol".into(), bucket_name: "buck".into() };
        let reply = client
            .ok(OmRequest { info_bucket_request: Some(Box::new(body)), ..kind(Type::InfoBucket) })
            .await;
        reply.info_bucket_response.unwrap().bucket_info.unwrap()
    };
    let end = Instant::now() + DEADLINE;
    while bucket().await.snapshot_used_bytes != Some(0) {
        assert!(Instant::now() < end, "the deleted key was not purged");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(bucket().await.used_bytes, Some(60));
    om.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_that_scm_could_not_place_in_its_safe_mode_is_asked_for_again_after_it() {
    let directory = tempfile::tempdir().unwrap();
    let scm = FakeScm::start().await;
    let (om, client) = start(directory.path(), &scm).await;
    client.ok(create_volume("vol")).await;
    client.ok(create_bucket(BucketLayoutProto::ObjectStore)).await;
    client.put("key", 10).await;

    scm.leave_safe_mode_at_the_next_question();
    let reply = client.info("key").await;

    assert_eq!(reply.status(), Status::Ok, "{:?}", reply.message);
    om.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_keeps_everything_and_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let scm = FakeScm::start().await;
    for layout in [BucketLayoutProto::FileSystemOptimized, BucketLayoutProto::ObjectStore] {
        let directory = directory.path().join(layout.as_str_name());
        std::fs::create_dir_all(&directory).unwrap();
        let (om, client) = start(&directory, &scm).await;
        client.ok(create_volume("vol")).await;
        client.ok(create_bucket(layout)).await;
        for number in 0..50 {
            client.put(&format!("dir/key{number}"), number).await;
        }
        om.shutdown().await.unwrap();

        let (om, client) = start(&directory, &scm).await;
        for number in 0..50 {
            let info = client.info(&format!("dir/key{number}")).await;
            let key = info.get_key_info_response.unwrap().key_info.unwrap();
            assert_eq!(key.data_size, number);
        }
        client.put("dir/key7", 1000).await;
        let key = client.info("dir/key7").await.get_key_info_response.unwrap().key_info.unwrap();
        assert_eq!(key.data_size, 1000);
        om.shutdown().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trees_that_were_deleted_and_keys_that_were_given_up_free_their_blocks() {
    let directory = tempfile::tempdir().unwrap();
    let scm = FakeScm::start().await;
    let (om, client) = start(directory.path(), &scm).await;
    client.ok(create_volume("vol")).await;
    client.ok(create_bucket(BucketLayoutProto::FileSystemOptimized)).await;
    for number in 0..10 {
        client.put(&format!("top/d{}/sub/f{number}", number % 3), 1).await;
    }
    client.ok(create_key("given/up", 1)).await;
    client
        .ok(OmRequest {
            delete_key_request: Some(Box::new(DeleteKeyRequest {
                key_args: KeyArgs { recursive: Some(true), ..args("top") },
            })),
            ..kind(Type::DeleteKey)
        })
        .await;
    wait_until("the deletion of eleven blocks", || scm.deleted_blocks().len() == 11).await;
    om.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_trash_of_every_user_is_emptied_without_a_client() {
    let directory = tempfile::tempdir().unwrap();
    let scm = FakeScm::start().await;
    let mut conf = conf(directory.path(), &scm);
    // Minutes: a checkpoint lives for a second.
    conf.set("fs.trash.interval", "1000");
    conf.set("ozone.fs.trash.interval", "0.0167");
    conf.set("ozone.fs.trash.checkpoint.interval", "0.005");
    om::init(&conf).await.unwrap();
    let om = Om::start(&conf).await.unwrap();
    let client = Client::new(om.rpc_address());
    client.ok(create_volume("vol")).await;
    client.ok(create_bucket(BucketLayoutProto::FileSystemOptimized)).await;
    client.put("kept", 1).await;
    client.put(".Trash/ann/Current/dir/one", 1).await;
    client.put(".Trash/bob/Current/two", 1).await;
    wait_until("the deletion of two blocks", || scm.deleted_blocks().len() == 2).await;
    assert_eq!(client.info("kept").await.status(), Status::Ok);
    assert_ne!(client.info(".Trash/bob/Current/two").await.status(), Status::Ok);
    om.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_call_gets_the_first_answer_and_changes_nothing_more() {
    let directory = tempfile::tempdir().unwrap();
    let scm = FakeScm::start().await;
    let (om, client) = start(directory.path(), &scm).await;
    let id = client.rpc.next_call();
    let request = create_volume("vol");
    let first = client.send_as(id, &request).await;
    let again = client.send_as(id.again(), &request).await;
    assert_eq!(first.status(), Status::Ok);
    assert_eq!(first, again);
    let other = client.send(request).await;
    assert_eq!(other.status(), Status::VolumeAlreadyExists);
    assert_eq!(other.leader_om_node_id.as_deref(), Some("om1"));
    om.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_took_effect_before_a_restart_is_answered_after_it_as_before() {
    let directory = tempfile::tempdir().unwrap();
    let scm = FakeScm::start().await;
    let (om, mut client) = start(directory.path(), &scm).await;
    client.ok(create_volume("vol")).await;
    client.ok(create_bucket(BucketLayoutProto::ObjectStore)).await;
    let open = client.ok(create_key("key", 0)).await.create_key_response.unwrap();
    let commit = CommitKeyRequest {
        key_args: KeyArgs { data_size: Some(0), ..args("key") },
        client_id: open.id(),
        ..Default::default()
    };
    let commit = OmRequest { commit_key_request: Some(Box::new(commit)), ..kind(Type::CommitKey) };
    let id = client.rpc.next_call();
    let first = client.send_as(id, &commit).await;
    assert_eq!(first.status(), Status::Ok, "{:?}", first.message);
    // Everything is in the database then, so that no replay brings the reply back.
    om.shutdown().await.unwrap();

    let (om, other) = start(directory.path(), &scm).await;
    client.om = other.om;
    assert_eq!(client.send_as(id.again(), &commit).await, first);
    assert_eq!(client.send(commit).await.status(), Status::KeyNotFound);
    om.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_clients_write_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let scm = FakeScm::start().await;
    let (om, client) = start(directory.path(), &scm).await;
    client.ok(create_volume("vol")).await;
    client.ok(create_bucket(BucketLayoutProto::ObjectStore)).await;
    let address = om.rpc_address();
    let writers: Vec<_> = (0..16)
        .map(|writer| {
            tokio::spawn(async move {
                let client = Client::new(address);
                for number in 0..20 {
                    client.put(&format!("w{writer:02}/k{number:02}"), 1).await;
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let mut names: Vec<String> = Vec::new();
    loop {
        let start = names.last().cloned().unwrap_or_default();
        let page = client.list(&start, 37).await;
        if page.is_empty() {
            break;
        }
        names.extend(page);
    }
    assert_eq!(names.len(), 320);
    assert!(names.is_sorted());
    om.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn safe_mode_and_services_are_told_as_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let scm = FakeScm::start().await;
    let (om, client) = start(directory.path(), &scm).await;
    client.ok(create_volume("vol")).await;
    client.ok(create_bucket(BucketLayoutProto::ObjectStore)).await;
    scm.set_safe_mode(true);
    assert_eq!(client.send(create_key("key", 5)).await.status(), Status::ScmInSafeMode);
    scm.set_safe_mode(false);
    client.put("key", 5).await;
    let list = client
        .ok(OmRequest { service_list_request: Some(Box::default()), ..kind(Type::ServiceList) })
        .await;
    let services = list.service_list_response.unwrap().service_info;
    let role = services[0].om_role.as_ref().unwrap();
    assert_eq!((role.node_id.as_str(), role.server_role.as_str()), ("om1", "LEADER"));
    let volume = InfoVolumeRequest { volume_name: "s3v".into() };
    client
        .ok(OmRequest { info_volume_request: Some(Box::new(volume)), ..kind(Type::InfoVolume) })
        .await;
    om.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quotas_are_counted_over_a_copy_and_the_outcome_is_told() {
    let (directory, scm) = (tempfile::tempdir().unwrap(), FakeScm::start().await);
    let (om, client) = start(directory.path(), &scm).await;
    client.ok(create_volume("vol")).await;
    client.ok(create_bucket(BucketLayoutProto::FileSystemOptimized)).await;
    client.put("a/key", 10).await;
    let status = async || {
        let body = Some(Box::new(GetQuotaRepairStatusRequest {}));
        let request =
            OmRequest { get_quota_repair_status_request: body, ..kind(Type::GetQuotaRepairStatus) };
        client.ok(request).await.get_quota_repair_status_response.unwrap().status.unwrap()
    };
    assert_eq!(status().await, "{}");
    let repair = async |buckets: &[&str]| {
        let buckets = buckets.iter().map(|&bucket| bucket.to_owned()).collect();
        let body = Some(Box::new(StartQuotaRepairRequest { buckets }));
        let request =
            OmRequest { start_quota_repair_request: body, ..kind(Type::StartQuotaRepair) };
        client.ok(request).await;
        let deadline = Instant::now() + DEADLINE;
        loop {
            let told = status().await;
            if !told.contains(r#""lastRunFinishedTime":"""#) {
                return told;
            }
            assert!(Instant::now() < deadline, "{told}");
        }
    };
    let told = repair(&[]).await;
    // The bucket has no quota yet and gets one without a limit; its account was right.
    let right = r#"{"/vol/buck":{"DiffUsedBytes":0,"DiffUsedNamespace":0}}"#;
    assert!(told.contains(r#""taskId":1"#) && told.contains(right), "{told}");
    let told = repair(&["/vol/none"]).await;
    assert!(told.contains("no matching buckets"), "{told}");
    let body = Some(Box::new(SetSafeModeRequest { safe_mode: SafeMode::Get.into() }));
    let request = OmRequest { set_safe_mode_request: body, ..kind(Type::SetSafeMode) };
    let reply = client.ok(request).await.set_safe_mode_response.unwrap();
    assert_eq!(reply.response, Some(false));
    om.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prepared_manager_takes_no_writes_until_that_is_cancelled_also_over_a_restart() {
    let (directory, scm) = (tempfile::tempdir().unwrap(), FakeScm::start().await);
    let (om, client) = start(directory.path(), &scm).await;
    client.ok(create_volume("vol")).await;
    client.ok(create_bucket(BucketLayoutProto::ObjectStore)).await;
    client.put("key", 3).await;
    let prepare = OmRequest { prepare_request: Some(Box::default()), ..kind(Type::Prepare) };
    let cancel =
        OmRequest { cancel_prepare_request: Some(Box::default()), ..kind(Type::CancelPrepare) };
    let status = async |client: &Client| {
        let body = Some(Box::new(PrepareStatusRequest { txn_id: 1 }));
        let request = OmRequest { prepare_status_request: body, ..kind(Type::PrepareStatus) };
        let told = client.ok(request).await.prepare_status_response.unwrap();
        (told.status(), told.current_txn_index.unwrap())
    };
    let index = client.ok(prepare.clone()).await.prepare_response.unwrap().txn_id;
    let completed = prepare_status_response::PrepareStatus::PrepareCompleted;
    assert_eq!(status(&client).await, (completed, index));
    let refused = client.send(create_key("other", 3)).await;
    assert_eq!(refused.status(), Status::NotSupportedOperationWhenPrepared);
    assert_eq!(client.info("key").await.status(), Status::Ok, "reads go on");
    let marker = directory.path().join("current/prepareMarker");
    assert_eq!(std::fs::read_to_string(&marker).unwrap(), index.to_string());
    om.shutdown().await.unwrap();

    let (om, client) = start(directory.path(), &scm).await;
    assert_eq!(status(&client).await, (completed, index));
    let again = client.ok(prepare).await.prepare_response.unwrap().txn_id;
    assert!(again > index, "a second preparation is as good as the first");
    client.ok(cancel).await;
    client.put("other", 3).await;
    assert!(!marker.exists());
    om.shutdown().await.unwrap();

    let (om, client) = start(directory.path(), &scm).await;
    client.put("third", 3).await;
    om.shutdown().await.unwrap();
}
