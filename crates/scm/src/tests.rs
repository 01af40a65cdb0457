//! A whole SCM on loopback, with datanodes that only report.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use hdds_client::addresses::HostPort;
use hdds_client::scm::{ScmBlockClient, ScmClient, ScmClientSettings, ScmDatanodeClient, ScmError};
use hdds_proto::block::{AllocateScmBlockRequestProto, KeyBlocks};
use hdds_proto::container::{ScmContainerLocationRequest, Type};
use hdds_proto::hdds::{self, scm_command_proto::Type as CommandType};
use hdds_types::{ContainerId, DatanodeId, PipelineId};
use ozone_config::Configuration;
use scm_core::convert;
use tokio::time::{Instant, sleep};

use crate::{Scm, init, init_with};

const DEADLINE: Duration = Duration::from_secs(60);

fn configuration(directory: &Path) -> Configuration {
    let mut conf = Configuration::default();
    let metadata = directory.display().to_string();
    for (key, value) in [
        ("ozone.metadata.dirs", metadata.as_str()),
        ("ozone.scm.client.address", "127.0.0.1:0"),
        ("ozone.scm.datanode.address", "127.0.0.1:0"),
        ("ozone.scm.http-address", "127.0.0.1:0"),
        ("ozone.scm.block.client.address", "127.0.0.1:0"),
        ("ozone.scm.client.bind.host", "127.0.0.1"),
        ("ozone.scm.datanode.bind.host", "127.0.0.1"),
        ("ozone.scm.block.client.bind.host", "127.0.0.1"),
        ("ozone.scm.ratis.port", "0"),
        ("ozone.scm.container.size", "1GB"),
    ] {
        conf.set(key, value);
    }
    conf
}

struct FakeDatanode {
    id: DatanodeId,
    client: ScmDatanodeClient,
    pipelines: BTreeMap<PipelineId, bool>,
    replicas: Vec<hdds::ContainerReplicaProto>,
    seen: Vec<hdds::ScmCommandProto>,
}

impl FakeDatanode {
    fn new(number: u128, scm: &Scm) -> Self {
        let id = DatanodeId(uuid::Uuid::from_u128(0xd0 + number));
        let client =
            ScmDatanodeClient::new(address(scm.datanode_address()), &client_settings(), "dn");
        let (pipelines, replicas, seen) = (BTreeMap::new(), Vec::new(), Vec::new());
        Self { id, client, pipelines, replicas, seen }
    }

    fn details(&self) -> hdds::DatanodeDetailsProto {
        hdds::DatanodeDetailsProto {
            uuid: Some(self.id.to_string()),
            ip_address: "127.0.0.1".to_owned(),
            host_name: "localhost".to_owned(),
            ports: vec![hdds::Port { name: "RATIS".to_owned(), value: 9858 }],
            ..Default::default()
        }
    }

    fn pipeline_reports(&self) -> hdds::PipelineReportsProto {
        let report = |(id, leads): (&PipelineId, &bool)| hdds::PipelineReport {
            pipeline_id: convert::pipeline_id_proto(*id),
            is_leader: *leads,
            ..Default::default()
        };
        hdds::PipelineReportsProto { pipeline_report: self.pipelines.iter().map(report).collect() }
    }

    async fn register(&self) -> hdds::ScmRegisteredResponseProto {
        let version = self.client.get_version().await.unwrap();
        assert!(version.keys.iter().any(|pair| pair.key == "clusterID" && pair.value.is_some()));
        let volume = hdds::StorageReportProto {
            capacity: Some(100 << 30),
            remaining: Some(100 << 30),
            ..Default::default()
        };
        let metadata =
            hdds::MetadataStorageReportProto { remaining: Some(100 << 30), ..Default::default() };
        let request = hdds::ScmRegisterRequestProto {
            extended_datanode_details: hdds::ExtendedDatanodeDetailsProto {
                datanode_details: self.details(),
                ..Default::default()
            },
            node_report: hdds::NodeReportProto {
                storage_report: vec![volume],
                metadata_storage_report: vec![metadata],
                db_storage_report: Vec::new(),
            },
            container_report: hdds::ContainerReportsProto { reports: self.replicas.clone() },
            pipeline_reports: self.pipeline_reports(),
            data_node_layout_version: Some(hdds::LayoutVersionProto {
                metadata_layout_version: 10,
                software_layout_version: 10,
            }),
        };
        self.client.register(request).await.unwrap()
    }

    /// One heartbeat; pipelines are joined as told.
    async fn beat(&mut self) {
        let replicas = self.replicas.clone();
        let request = hdds::ScmHeartbeatRequestProto {
            datanode_details: self.details(),
            pipeline_reports: Some(self.pipeline_reports()),
            incremental_container_report: vec![hdds::IncrementalContainerReportProto {
                report: replicas,
            }],
            ..Default::default()
        };
        let answer = self.client.send_heartbeat(request).await.unwrap();
        assert_eq!(answer.datanode_uuid, self.id.to_string());
        for command in answer.commands {
            assert!(command.term.is_some());
            if let Some(create) = &command.create_pipeline_command_proto {
                let id = convert::pipeline_id(&create.pipeline_id).unwrap();
                let first = create.datanode.first().and_then(convert::datanode_id);
                self.pipelines.insert(id, first == Some(self.id));
            }
            self.seen.push(command);
        }
    }
}

fn address(address: std::net::SocketAddr) -> HostPort {
    HostPort { host: address.ip().to_string(), port: address.port() }
}

fn client_settings() -> ScmClientSettings {
    ScmClientSettings {
        retry_timeout: Duration::from_secs(1),
        retries_min: 1,
        retry_interval: Duration::from_millis(50),
        ..Default::default()
    }
}

async fn start(conf: &Configuration) -> (Scm, Vec<FakeDatanode>) {
    let scm = Scm::start(conf).await.unwrap();
    let nodes: Vec<FakeDatanode> = (1..=3).map(|number| FakeDatanode::new(number, &scm)).collect();
    for node in &nodes {
        assert_eq!(node.register().await.error_code, 1);
    }
    (scm, nodes)
}

async fn beat_until_writable(scm: &Scm, nodes: &mut [FakeDatanode]) {
    let begun = Instant::now();
    while let Some(missing) = scm.missing() {
        assert!(begun.elapsed() < DEADLINE, "{missing}");
        for node in nodes.iter_mut() {
            node.beat().await;
        }
    }
}

fn three_blocks() -> AllocateScmBlockRequestProto {
    AllocateScmBlockRequestProto {
        size: 256 << 20,
        num_blocks: 3,
        r#type: hdds::ReplicationType::Ratis.into(),
        factor: Some(3),
        owner: "om".to_owned(),
        ..Default::default()
    }
}

fn clients(scm: &Scm) -> (ScmBlockClient, ScmClient) {
    let blocks = ScmBlockClient::new(vec![address(scm.block_address())], client_settings(), "om");
    let admin = ScmClient::new(vec![address(scm.rpc_address())], client_settings(), "admin");
    (blocks, admin)
}

#[test]
fn init_makes_a_cluster_once() {
    let directory = tempfile::tempdir().unwrap();
    let conf = configuration(directory.path());
    let first = init(&conf).unwrap();
    assert!(first.created);
    let text = std::fs::read_to_string(&first.directory).unwrap();
    for line in ["nodeType=SCM", "layoutVersion=10", "scmHA=true"] {
        assert!(text.contains(line), "{text}");
    }
    assert!(text.contains(&format!("clusterID={}", first.cluster_id)), "{text}");
    assert!(text.contains(&format!("primaryScmNodeId={}", first.scm_id)), "{text}");
    let second = init(&conf).unwrap();
    assert!(!second.created);
    assert_eq!((second.cluster_id, second.scm_id), (first.cluster_id, first.scm_id));

    let other = tempfile::tempdir().unwrap();
    let id = "8d0e5b9c-0000-4000-8000-000000000001";
    let given = init_with(&configuration(other.path()), Some(id)).unwrap();
    assert_eq!(given.cluster_id, format!("CID-{id}"));
    assert!(init_with(&configuration(&other.path().join("x")), Some("nonsense")).is_err());
}

#[test]
fn the_version_file_of_a_genuine_scm_is_taken_over() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("scm/current/VERSION");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, include_str!("../../../golden/scm/VERSION")).unwrap();
    let found = init(&configuration(directory.path())).unwrap();
    assert!(!found.created);
    assert_eq!(found.cluster_id, "CID-cc7239b7-6b27-44e1-8a82-a28f1b6f2d50");
    assert_eq!(found.scm_id, "29383686-bac0-4fae-8a2e-13ec2617e64a");
    assert_eq!(found.layout_version, 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_init_it_says_what_to_run() {
    let directory = tempfile::tempdir().unwrap();
    let error = Scm::start(&configuration(directory.path())).await.err().unwrap();
    assert!(error.to_string().contains("ozone scm --init"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_datanodes_make_a_writable_cluster_that_survives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let conf = configuration(directory.path());
    init(&conf).unwrap();
    let (scm, mut nodes) = start(&conf).await;
    let (blocks, admin) = clients(&scm);
    assert!(blocks.allocate_blocks(three_blocks()).await.unwrap_err().is_safe_mode());
    let missing = scm.shared.read(crate::services::missing_to_leave_safe_mode).unwrap();
    assert!(missing.starts_with("HealthyPipelineSafeModeRule: healthy"), "{missing}");
    beat_until_writable(&scm, &mut nodes).await;
    assert!(!admin.in_safe_mode().await.unwrap());
    assert_eq!(scm.shared.read(crate::services::missing_to_leave_safe_mode), None);

    let first = blocks.allocate_blocks(three_blocks()).await.unwrap();
    assert_eq!(first.len(), 3);
    let id = first[0].container_block_id.unwrap().container_id;
    let container = ContainerId(id.cast_unsigned());
    let local = first.iter().map(|b| b.container_block_id.unwrap().local_id).max().unwrap();
    let found = admin.get_container_with_pipeline(container).await.unwrap();
    assert_eq!(found.container_info.owner, "om");
    assert_eq!(found.pipeline.members.len(), 3);
    let before = admin.list_pipelines().await.unwrap().len();
    let group = admin.get_scm_info().await.unwrap();
    assert_eq!(group.peer_roles.len(), 1);
    assert_eq!(group.cluster_id, scm.cluster_id());
    scm.shutdown().await.unwrap();

    // The same pipelines, containers and ids; the datanodes bring their reports along.
    let joined: Vec<_> = nodes.into_iter().map(|node| node.pipelines).collect();
    let scm = Scm::start(&conf).await.unwrap();
    let (blocks, admin) = clients(&scm);
    assert_eq!(admin.list_pipelines().await.unwrap().len(), before);
    let mut nodes: Vec<FakeDatanode> = (1..=3).map(|n| FakeDatanode::new(n, &scm)).collect();
    for (node, pipelines) in nodes.iter_mut().zip(joined) {
        node.pipelines = pipelines;
        node.register().await;
    }
    beat_until_writable(&scm, &mut nodes).await;
    let later = blocks.allocate_blocks(three_blocks()).await.unwrap();
    assert!(later.iter().all(|b| b.container_block_id.unwrap().local_id > local));
    assert_eq!(admin.get_container(container).await.unwrap().owner, "om");
    scm.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_agreed_but_not_flushed_is_replayed_from_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let conf = configuration(directory.path());
    init(&conf).unwrap();
    let (scm, mut nodes) = start(&conf).await;
    beat_until_writable(&scm, &mut nodes).await;
    let (blocks, admin) = clients(&scm);
    blocks.allocate_blocks(three_blocks()).await.unwrap();
    let containers =
        admin.list_containers(ContainerId(1), 100, &Default::default()).await.unwrap().0;
    assert!(!containers.is_empty());

    // A copy of the directories at this moment is what a power cut leaves.
    let copy = tempfile::tempdir().unwrap();
    copy_directory(directory.path(), copy.path());
    scm.shutdown().await.unwrap();
    let scm = Scm::start(&configuration(copy.path())).await.unwrap();
    let (_, admin) = clients(&scm);
    let replayed = admin.list_containers(ContainerId(1), 100, &Default::default()).await.unwrap().0;
    let ids = |list: &[hdds::ContainerInfoProto]| -> Vec<i64> {
        list.iter().map(|container| container.container_id).collect()
    };
    // More may have come between the list and the copy.
    let replayed = ids(&replayed);
    assert!(ids(&containers).iter().all(|id| replayed.contains(id)), "{replayed:?}");
    scm.shutdown().await.unwrap();
}

fn copy_directory(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy_directory(&entry.path(), &target);
        } else if entry.file_name() != "LOCK" {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_reach_clients_with_the_genuine_classes() {
    let directory = tempfile::tempdir().unwrap();
    let conf = configuration(directory.path());
    init(&conf).unwrap();
    let (scm, mut nodes) = start(&conf).await;
    beat_until_writable(&scm, &mut nodes).await;
    let (blocks, admin) = clients(&scm);
    let class = |error: ScmError| error.class().to_owned();

    let error = admin.get_container(ContainerId(4711)).await.unwrap_err();
    assert!(class(error).ends_with(".ContainerNotFoundException"));
    let nowhere = PipelineId(uuid::Uuid::from_u128(1));
    let error = admin.get_pipeline(nowhere).await.unwrap_err();
    assert!(class(error).ends_with(".PipelineNotFoundException"));
    let unsupported = ScmContainerLocationRequest {
        cmd_type: Type::TransferLeadership.into(),
        ..Default::default()
    };
    let error = admin.send(&unsupported).await.unwrap_err().to_string();
    assert!(error.contains("not supported"), "{error}");
    let mut request = three_blocks();
    request.size = 2 << 30;
    let error = blocks.allocate_blocks(request).await.unwrap_err();
    assert_eq!(error.status(), Some(hdds_proto::block::Status::InvalidBlockSize));
    scm.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_at_once_get_blocks_of_their_own() {
    let directory = tempfile::tempdir().unwrap();
    let conf = configuration(directory.path());
    init(&conf).unwrap();
    let (scm, mut nodes) = start(&conf).await;
    beat_until_writable(&scm, &mut nodes).await;
    let (blocks, _) = clients(&scm);
    let mut writers = Vec::new();
    for _ in 0..32 {
        let blocks = blocks.clone();
        writers.push(tokio::spawn(async move {
            let mut locals = Vec::new();
            for _ in 0..20 {
                let got = blocks.allocate_blocks(three_blocks()).await.unwrap();
                locals.extend(got.iter().map(|block| block.container_block_id.unwrap().local_id));
            }
            locals
        }));
    }
    let mut all = Vec::new();
    for writer in writers {
        all.extend(writer.await.unwrap());
    }
    let count = all.len();
    assert_eq!(count, 32 * 20 * 3);
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), count);
    scm.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_blocks_reach_the_datanodes_of_a_closed_container() {
    let directory = tempfile::tempdir().unwrap();
    let mut conf = configuration(directory.path());
    conf.set("hdds.scm.wait.time.after.safemode.exit", "0s");
    conf.set("hdds.scm.block.deleting.service.interval", "50ms");
    conf.set("ozone.scm.close.container.wait.duration", "0s");
    init(&conf).unwrap();
    let (scm, mut nodes) = start(&conf).await;
    beat_until_writable(&scm, &mut nodes).await;
    let (blocks, admin) = clients(&scm);
    let block = blocks.allocate_blocks(three_blocks()).await.unwrap()[0].clone();
    let id = block.container_block_id.unwrap();
    let copy = |state: hdds::container_replica_proto::State| hdds::ContainerReplicaProto {
        container_id: id.container_id,
        state: state.into(),
        block_commit_sequence_id: Some(1),
        ..Default::default()
    };
    for node in &mut nodes {
        node.replicas = vec![copy(hdds::container_replica_proto::State::Open)];
        node.beat().await;
    }
    admin.close_container(ContainerId(id.container_id.cast_unsigned())).await.unwrap();
    until_commanded(&mut nodes, CommandType::CloseContainerCommand).await;
    for node in &mut nodes {
        node.replicas = vec![copy(hdds::container_replica_proto::State::Closed)];
        node.beat().await;
    }
    let key = KeyBlocks {
        key: "/v/b/k".to_owned(),
        blocks: vec![hdds::BlockId { container_block_id: id, block_commit_sequence_id: Some(1) }],
        ..Default::default()
    };
    let results = blocks.delete_key_blocks(vec![key]).await.unwrap();
    assert_eq!(results[0].block_results[0].result, 1);
    until_commanded(&mut nodes, CommandType::DeleteBlocksCommand).await;
    scm.shutdown().await.unwrap();
}

async fn until_commanded(nodes: &mut [FakeDatanode], kind: CommandType) {
    let begun = Instant::now();
    let told = |node: &FakeDatanode| {
        node.seen.iter().any(|command| command.command_type == i32::from(kind))
    };
    while !nodes.iter().all(told) {
        assert!(begun.elapsed() < DEADLINE, "{kind:?} did not come");
        for node in nodes.iter_mut() {
            node.beat().await;
        }
        sleep(Duration::from_millis(5)).await;
    }
}
