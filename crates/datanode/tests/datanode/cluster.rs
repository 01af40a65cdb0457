//! Three datanodes, real Raft, real RPC, RocksDB, and an SCM that says what it is told to say.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chunk_checksum::Algorithm;
use container_store::Code;
use datanode::Datanode;
use datanode::pipeline::message;
use hadoop_rpc::server::{CallContext, Protocol, RpcError, RpcServer, ServerSettings};
use hdds_proto::convert;
use hdds_proto::datanode::xceiver_client_protocol_service_client::XceiverClientProtocolServiceClient;
use hdds_proto::datanode::{
    ContainerCommandRequestProto as Request, ContainerCommandResponseProto as Response,
    ReadBlockRequestProto, Type,
};
use hdds_proto::hdds::{
    self, CloseContainerCommandProto, ClosePipelineCommandProto, CreatePipelineCommandProto,
    DatanodeDetailsProto, DeleteBlocksCommandProto, DeletedBlocksTransaction, KeyValue,
    ScmCommandProto, ScmDatanodeRequest, ScmDatanodeResponse, ScmHeartbeatRequestProto,
    ScmHeartbeatResponseProto, ScmRegisteredResponseProto, ScmVersionResponseProto,
    container_replica_proto::State, scm_command_proto, scm_registered_response_proto::ErrorCode,
};
use hdds_types::{ContainerId, PipelineId};
use multiraft::{ClientRequest, RaftError};
use ozone_config::Configuration;
use parking_lot::Mutex;
use prost::Message;

use crate::support::*;

const CLUSTER: &str = "CID-11111111-2222-3333-4444-555555555555";
const DEADLINE: Duration = Duration::from_secs(60);

/// What one datanode told SCM.
#[derive(Default)]
struct Heard {
    details: DatanodeDetailsProto,
    leads: HashMap<String, bool>,
    containers: HashMap<i64, State>,
    deletions: Vec<(i64, bool)>,
    orders: Vec<ScmCommandProto>,
    /// Pipelines that it asked to close.
    given_up: Vec<String>,
}

#[derive(Default)]
struct FakeScm {
    nodes: Mutex<HashMap<String, Heard>>,
    /// It restarts just before it is asked to close a pipeline, and does not know who asks.
    forgets: AtomicBool,
}

impl FakeScm {
    fn heartbeat(&self, beat: ScmHeartbeatRequestProto) -> ScmHeartbeatResponseProto {
        let uuid = beat.datanode_details.uuid.clone().unwrap();
        if beat.pipeline_actions.is_some() && self.forgets.swap(false, Ordering::Relaxed) {
            let command_type = scm_command_proto::Type::ReregisterCommand.into();
            let again = ScmCommandProto { command_type, ..ScmCommandProto::default() };
            return ScmHeartbeatResponseProto {
                datanode_uuid: uuid,
                commands: vec![again],
                term: Some(1),
            };
        }
        let mut nodes = self.nodes.lock();
        let heard = nodes.entry(uuid.clone()).or_default();
        heard.details = beat.datanode_details;
        if let Some(report) = beat.pipeline_reports {
            let line = |p: hdds::PipelineReport| (p.pipeline_id.id.unwrap(), p.is_leader);
            heard.leads = report.pipeline_report.into_iter().map(line).collect();
        }
        for replica in beat.incremental_container_report.into_iter().flat_map(|r| r.report) {
            heard.containers.insert(replica.container_id, replica.state());
        }
        for action in beat.pipeline_actions.into_iter().flat_map(|a| a.pipeline_actions) {
            heard.given_up.extend(action.close_pipeline.and_then(|close| close.pipeline_id.id));
        }
        for status in beat.command_status_reports.into_iter().flat_map(|r| r.cmd_status) {
            let acks = status.block_deletion_ack.unwrap().results;
            heard.deletions.extend(acks.into_iter().map(|ack| (ack.tx_id, ack.success)));
        }
        let commands = std::mem::take(&mut heard.orders);
        ScmHeartbeatResponseProto { datanode_uuid: uuid, commands, term: Some(1) }
    }

    fn order(&self, command: &ScmCommandProto) {
        for heard in self.nodes.lock().values_mut() {
            heard.orders.push(ScmCommandProto { term: Some(1), ..command.clone() });
        }
    }

    fn all(&self, wanted: impl Fn(&Heard) -> bool) -> bool {
        self.nodes.lock().values().all(wanted)
    }
}

#[async_trait::async_trait]
impl Protocol for FakeScm {
    fn methods(&self) -> &'static [&'static str] {
        &["submitRequest"]
    }

    async fn call(&self, _: CallContext, _: &str, request: Bytes) -> Result<Bytes, RpcError> {
        let request = ScmDatanodeRequest::decode(request).unwrap();
        let mut response = ScmDatanodeResponse {
            cmd_type: request.cmd_type,
            status: hdds::Status::Ok.into(),
            ..ScmDatanodeResponse::default()
        };
        let pair = |key: &str, value: &str| KeyValue {
            key: key.to_owned(),
            value: Some(value.to_owned()),
        };
        if request.get_version_request.is_some() {
            let keys = vec![pair("scmUuid", "scm"), pair("clusterID", CLUSTER)];
            let version = ScmVersionResponseProto { software_version: 1, keys };
            response.get_version_response = Some(Box::new(version));
        }
        if let Some(register) = request.register_request {
            let details = register.extended_datanode_details.datanode_details;
            let uuid = details.uuid.clone().unwrap();
            let heard = Heard { details, ..Heard::default() };
            self.nodes.lock().insert(uuid.clone(), heard);
            response.register_response = Some(Box::new(ScmRegisteredResponseProto {
                error_code: ErrorCode::Success.into(),
                datanode_uuid: uuid.clone(),
                cluster_id: CLUSTER.to_owned(),
                network_name: Some(uuid),
                network_location: Some("/default-rack".to_owned()),
                ..ScmRegisteredResponseProto::default()
            }));
        }
        if let Some(beat) = request.send_heartbeat_request {
            response.send_heartbeat_response = Some(Box::new(self.heartbeat(*beat)));
        }
        Ok(Bytes::from(response.encode_to_vec()))
    }
}

struct Cluster {
    dir: tempfile::TempDir,
    scm: Arc<FakeScm>,
    server: RpcServer,
    datanodes: Vec<Datanode>,
}

impl Cluster {
    async fn start(count: usize) -> Self {
        ozone_daemon::logging::init("off");
        let scm = Arc::new(FakeScm::default());
        let protocols: Vec<(&'static str, Arc<dyn Protocol>)> = vec![(
            "org.apache.hadoop.ozone.protocol.StorageContainerDatanodeProtocol",
            scm.clone(),
        )];
        let address = "127.0.0.1:0".parse().unwrap();
        let server = RpcServer::start(address, ServerSettings::default(), protocols).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let mut cluster = Self { dir, scm, server, datanodes: Vec::new() };
        for n in 0..count {
            let datanode = Datanode::start(&cluster.conf(n)).await.unwrap();
            cluster.datanodes.push(datanode);
        }
        let nodes = &cluster.scm.nodes;
        eventually("all datanodes register", || nodes.lock().len() == count).await;
        cluster
    }

    fn conf(&self, n: usize) -> Configuration {
        let mut conf = Configuration::default();
        let port = self.server.address().port();
        let dir = |name: &str| self.dir.path().join(format!("dn{n}/{name}")).display().to_string();
        conf.set("ozone.scm.names", format!("127.0.0.1:{port}"));
        conf.set("ozone.metadata.dirs", dir("meta"));
        conf.set("hdds.datanode.dir", dir("data"));
        conf.set("hdds.datanode.hostname", "127.0.0.1");
        conf.set("hdds.datanode.http-address", "127.0.0.1:0");
        conf.set("hdds.container.ipc.random.port", "true");
        conf.set("hdds.container.ratis.ipc.random.port", "true");
        conf.set("ozone.scm.container.size", "1MB");
        conf.set("hdds.datanode.volume.min.free.space.percent", "0");
        conf.set("hdds.datanode.volume.min.free.space.hard.limit.percent", "0");
        conf.set("hdds.heartbeat.interval", "100ms");
        conf.set("hdds.heartbeat.initial-interval", "20ms");
        conf.set("hdds.datanode.block.deleting.service.interval", "50ms");
        conf.set("hdds.ratis.leader.election.minimum.timeout.duration", "500ms");
        conf
    }

    fn create_pipeline(&self, id: PipelineId) {
        let datanode: Vec<_> =
            self.scm.nodes.lock().values().map(|heard| heard.details.clone()).collect();
        self.scm.order(&ScmCommandProto {
            command_type: scm_command_proto::Type::CreatePipelineCommand.into(),
            create_pipeline_command_proto: Some(Box::new(CreatePipelineCommandProto {
                pipeline_id: convert::pipeline_id_proto(id),
                r#type: hdds::ReplicationType::Ratis.into(),
                factor: datanode.len() as i32,
                priority: (0..datanode.len() as i32).rev().collect(),
                datanode,
                cmd_id: 1,
            })),
            ..ScmCommandProto::default()
        });
    }

    /// Through whoever leads.
    async fn write(&self, pipeline: PipelineId, mut request: Request) -> Response {
        let bulk = match &mut request.write_chunk {
            Some(write) => write.data.take().unwrap_or_default(),
            None => Bytes::new(),
        };
        let content = message::encode(&request, &bulk);
        let started = Instant::now();
        loop {
            for datanode in &self.datanodes {
                let services = datanode.node().services().unwrap();
                let request = ClientRequest {
                    client: *uuid::Uuid::new_v4().as_bytes(),
                    call: 1,
                    message: content.clone(),
                    context: None,
                };
                match services.raft.write(pipeline.0, request).await {
                    Ok(reply) => return Response::decode(reply.message).unwrap(),
                    Err(
                        RaftError::NotLeader { .. }
                        | RaftError::LeaderNotReady(_)
                        | RaftError::GroupMismatch(_),
                    ) => {}
                    Err(other) => panic!("{other}"),
                }
            }
            assert!(started.elapsed() < DEADLINE, "nobody leads {pipeline}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn eventually(what: &str, done: impl Fn() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < DEADLINE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Over port 9859, as clients read.
async fn send(datanode: &Datanode, request: Request) -> Vec<Response> {
    let address = format!("http://127.0.0.1:{}", datanode.rpc_address().port());
    let mut client = XceiverClientProtocolServiceClient::connect(address)
        .await
        .unwrap()
        .max_decoding_message_size(64 << 20);
    let mut stream = client.send(tokio_stream::once(request)).await.unwrap().into_inner();
    let mut responses = Vec::new();
    while let Some(response) = stream.message().await.unwrap() {
        responses.push(response);
    }
    responses
}

fn data_of(response: &Response) -> Vec<u8> {
    use hdds_proto::datanode::read_chunk_response_proto::ResponseData;
    match response.read_chunk.as_ref().unwrap().response_data.as_ref().unwrap() {
        ResponseData::Data(data) => data.to_vec(),
        ResponseData::DataBuffers(data) => data.buffers.concat(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_written_through_a_pipeline_is_read_from_every_member() {
    let mut cluster = Cluster::start(3).await;
    let pipeline = PipelineId::random();
    cluster.create_pipeline(pipeline);
    let id = pipeline.to_string();
    let scm = cluster.scm.clone();
    eventually("all members report the pipeline", || {
        scm.all(|heard| heard.leads.contains_key(&id))
    })
    .await;

    let data: Vec<u8> = (0..600_000_u32).map(|i| ((i * 31) >> 3) as u8).collect();
    let halves: Vec<&[u8]> = data.chunks(300_000).collect();
    let mut chunks = Vec::new();
    for (half, offset) in halves.iter().zip([0, 300_000]) {
        let response = cluster.write(pipeline, write_chunk(1, offset, half)).await;
        assert_eq!(response.result(), Code::Success, "{:?}", response.message);
        let mut info = chunk(1, offset, half);
        info.checksum_data = chunk_checksum::compute(Algorithm::Crc32, 16 << 10, half);
        chunks.push(info);
    }
    let response = cluster.write(pipeline, put_block(1, chunks.clone())).await;
    let committed = response.put_block.unwrap().committed_block_length;
    let bcsid = committed.block_id.block_commit_sequence_id.unwrap();
    assert!(bcsid > 0);
    eventually("one member leads", || !scm.all(|heard| !heard.leads[&id])).await;

    let everywhere = |cluster: &Cluster| {
        let container = ContainerId(CONTAINER as u64);
        cluster.datanodes.iter().all(|datanode| {
            let found = datanode.node().services().and_then(|s| s.store.get(container));
            found.is_some_and(|container| container.bcsid() >= bcsid)
        })
    };
    eventually("every member has applied it", || everywhere(&cluster)).await;
    for datanode in &cluster.datanodes {
        let block = &send(datanode, get_block(1, bcsid)).await[0];
        let block = &block.get_block.as_ref().unwrap().block_data;
        assert_eq!(block.size, Some(600_000));
        let mut read = Vec::new();
        for chunk in &block.chunks {
            let response = send(datanode, read_chunk(1, chunk.clone(), Some(1))).await;
            read.extend(data_of(&response[0]));
        }
        assert!(read == data);
        let mut stream = request(Type::ReadBlock);
        stream.read_block = Some(Box::new(ReadBlockRequestProto {
            block_id: block_id(1, bcsid),
            offset: 20_000,
            length: None,
            response_data_size: Some(100_000),
        }));
        let mut at = 16 << 10;
        for response in send(datanode, stream).await {
            let piece = response.read_block.unwrap();
            assert_eq!(piece.offset, at);
            chunk_checksum::verify(&piece.checksum_data, 0, &piece.data).unwrap();
            at += piece.data.len() as u64;
            assert!(piece.data == data[piece.offset as usize..at as usize]);
        }
        assert_eq!(at, 600_000);
    }

    close_and_delete(&cluster, pipeline).await;
    restart_one(&mut cluster).await;
    for datanode in cluster.datanodes {
        datanode.shutdown().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipeline_that_cannot_be_made_here_is_given_back_to_scm_at_once() {
    pipeline_is_given_back(Cluster::start(1).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_scm_is_asked_for_is_asked_again_when_scm_wanted_a_registration_first() {
    let cluster = Cluster::start(1).await;
    let scm = cluster.scm.clone();
    scm.forgets.store(true, Ordering::Relaxed);
    pipeline_is_given_back(cluster).await;
    assert!(!scm.forgets.load(Ordering::Relaxed), "SCM never forgot");
}

/// Orders a pipeline that cannot be made, and waits until SCM is asked to close it.
async fn pipeline_is_given_back(cluster: Cluster) {
    let pipeline = PipelineId::random();
    let logs = cluster.dir.path().join("dn0/meta/datanode.ratis");
    std::fs::create_dir_all(&logs).unwrap();
    // No directory for the log of this group can be made.
    std::fs::write(logs.join(pipeline.to_string()), b"in the way").unwrap();
    cluster.create_pipeline(pipeline);
    let (scm, id) = (cluster.scm.clone(), pipeline.to_string());
    eventually("SCM is told", || scm.all(|heard| heard.given_up.contains(&id))).await;
    for datanode in cluster.datanodes {
        datanode.shutdown().await.unwrap();
    }
}

/// SCM's orders for a container's end: closed through the pipeline, then its blocks removed.
async fn close_and_delete(cluster: &Cluster, pipeline: PipelineId) {
    let scm = &cluster.scm;
    scm.order(&ScmCommandProto {
        command_type: scm_command_proto::Type::CloseContainerCommand.into(),
        close_container_command_proto: Some(Box::new(CloseContainerCommandProto {
            container_id: CONTAINER,
            pipeline_id: convert::pipeline_id_proto(pipeline),
            cmd_id: 2,
            force: None,
        })),
        ..ScmCommandProto::default()
    });
    eventually("the container is closed everywhere", || {
        scm.all(|heard| heard.containers.get(&CONTAINER) == Some(&State::Closed))
    })
    .await;
    scm.order(&ScmCommandProto {
        command_type: scm_command_proto::Type::ClosePipelineCommand.into(),
        close_pipeline_command_proto: Some(Box::new(ClosePipelineCommandProto {
            pipeline_id: convert::pipeline_id_proto(pipeline),
            cmd_id: 3,
        })),
        ..ScmCommandProto::default()
    });
    eventually("the pipeline is gone", || scm.all(|heard| heard.leads.is_empty())).await;
    scm.order(&ScmCommandProto {
        command_type: scm_command_proto::Type::DeleteBlocksCommand.into(),
        delete_blocks_command_proto: Some(Box::new(DeleteBlocksCommandProto {
            deleted_blocks_transactions: vec![
                DeletedBlocksTransaction {
                    tx_id: 7,
                    container_id: CONTAINER,
                    local_id: vec![1],
                    ..DeletedBlocksTransaction::default()
                },
                DeletedBlocksTransaction {
                    tx_id: 8,
                    container_id: 12345,
                    local_id: vec![1],
                    ..DeletedBlocksTransaction::default()
                },
            ],
            cmd_id: 4,
        })),
        ..ScmCommandProto::default()
    });
    eventually("both transactions are answered", || {
        scm.all(|heard| heard.deletions == [(7, true), (8, false)])
    })
    .await;
    eventually("the blocks are gone", || {
        cluster.datanodes.iter().all(|datanode| {
            let services = datanode.node().services().unwrap();
            services.store.get(ContainerId(CONTAINER as u64)).unwrap().bytes_used() == 0
        })
    })
    .await;
    let response = &send(&cluster.datanodes[0], get_block(1, 0)).await[0];
    assert_eq!(response.result(), Code::NoSuchBlock);
}

async fn restart_one(cluster: &mut Cluster) {
    let datanode = cluster.datanodes.remove(0);
    let id = datanode.node().identity.lock().id;
    datanode.shutdown().await.unwrap();
    let again = Datanode::start(&cluster.conf(0)).await.unwrap();
    assert_eq!(again.node().identity.lock().id, id);
    eventually("it serves again", || again.node().services().is_some()).await;
    let services = again.node().services().unwrap();
    let container = services.store.get(ContainerId(CONTAINER as u64)).unwrap();
    assert!(container.state().is_closed());
    cluster.datanodes.insert(0, again);
}
