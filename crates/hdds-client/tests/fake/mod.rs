//! A pipeline and its datanodes in this process: real gRPC for reads, a scripted ring for writes.

use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use futures_util::future::BoxFuture;
use hdds_client::ring::{Ring, RingError, RingReply};
use hdds_client::{BlockLocation, BlockSettings, Datanodes, Node, Pipeline, WatchLevel};
use hdds_proto::datanode::read_chunk_response_proto::ResponseData;
use hdds_proto::datanode::xceiver_client_protocol_service_server::{
    XceiverClientProtocolService, XceiverClientProtocolServiceServer,
};
use hdds_proto::datanode::{
    BlockData, ContainerCommandRequestProto, ContainerCommandResponseProto, DataBuffers,
    GetBlockResponseProto, GetCommittedBlockLengthResponseProto, PutBlockRequestProto,
    PutBlockResponseProto, ReadChunkRequestProto, ReadChunkResponseProto, Result as Code, Type,
    WriteChunkResponseProto,
};
use hdds_types::{BlockId, ContainerId, LocalId, PipelineId};
use parking_lot::Mutex;
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, Streaming};

/// What every replica holds.
#[derive(Default)]
struct Disk {
    data: Mutex<HashMap<i64, BTreeMap<u64, Bytes>>>,
    blocks: Mutex<HashMap<i64, BlockData>>,
}

impl Disk {
    fn read(&self, request: &ReadChunkRequestProto) -> Bytes {
        let data = self.data.lock();
        let whole: Vec<u8> = data[&request.block_id.local_id].values().flatten().copied().collect();
        let from = request.chunk_data.offset as usize;
        Bytes::copy_from_slice(&whole[from..from + request.chunk_data.len as usize])
    }

    fn put(
        &self,
        request: &PutBlockRequestProto,
        index: u64,
    ) -> GetCommittedBlockLengthResponseProto {
        let mut block = request.block_data.clone();
        let length: u64 = block.chunks.iter().map(|chunk| chunk.len).sum();
        block.block_id.block_commit_sequence_id = Some(index);
        block.size = Some(length.cast_signed());
        let id = block.block_id;
        self.blocks.lock().insert(id.local_id, block);
        GetCommittedBlockLengthResponseProto { block_id: id, block_length: length.cast_signed() }
    }
}

/// A replica on a port of its own.
pub struct FakeNode {
    shared: Arc<NodeState>,
    server: tokio::task::JoinHandle<()>,
    port: u16,
}

struct NodeState {
    disk: Arc<Disk>,
    calls: AtomicUsize,
    mood: Mutex<Mood>,
}

#[derive(Clone, Copy, Default)]
struct Mood {
    corrupt: bool,
    refuse: Option<Code>,
}

impl FakeNode {
    async fn start(disk: Arc<Disk>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared =
            Arc::new(NodeState { disk, calls: AtomicUsize::new(0), mood: Mutex::default() });
        let service = XceiverClientProtocolServiceServer::new(Service(Arc::clone(&shared)));
        let server = tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener));
        let server = tokio::spawn(async move { server.await.unwrap() });
        Self { shared, server, port }
    }

    pub fn stop(&self) {
        self.server.abort();
    }

    pub fn corrupt(&self) {
        self.shared.mood.lock().corrupt = true;
    }

    pub fn refuse(&self, code: Code) {
        self.shared.mood.lock().refuse = Some(code);
    }

    pub fn calls(&self) -> usize {
        self.shared.calls.load(Ordering::Relaxed)
    }
}

struct Service(Arc<NodeState>);

#[tonic::async_trait]
impl XceiverClientProtocolService for Service {
    type sendStream = Pin<
        Box<dyn tokio_stream::Stream<Item = Result<ContainerCommandResponseProto, Status>> + Send>,
    >;

    async fn send(
        &self,
        request: Request<Streaming<ContainerCommandRequestProto>>,
    ) -> Result<Response<Self::sendStream>, Status> {
        let request = request.into_inner().message().await?.expect("one request per call");
        self.0.calls.fetch_add(1, Ordering::Relaxed);
        let answer = self.0.answer(&request);
        Ok(Response::new(Box::pin(tokio_stream::once(Ok(answer)))))
    }
}

impl NodeState {
    fn answer(&self, request: &ContainerCommandRequestProto) -> ContainerCommandResponseProto {
        let mood = *self.mood.lock();
        let mut answer = ContainerCommandResponseProto {
            cmd_type: request.cmd_type,
            result: mood.refuse.unwrap_or(Code::Success).into(),
            message: Some("scripted".to_owned()),
            ..Default::default()
        };
        if mood.refuse.is_some() {
            return answer;
        }
        if let Some(get) = &request.get_block {
            match self.disk.blocks.lock().get(&get.block_id.local_id) {
                Some(block) => {
                    answer.get_block =
                        Some(Box::new(GetBlockResponseProto { block_data: block.clone() }));
                }
                None => answer.result = Code::NoSuchBlock.into(),
            }
        }
        if let Some(read) = &request.read_chunk {
            let mut data = self.disk.read(read).to_vec();
            if mood.corrupt {
                data[0] ^= 1;
            }
            let pieces = data.chunks(16 << 10).map(Bytes::copy_from_slice).collect();
            answer.read_chunk = Some(Box::new(ReadChunkResponseProto {
                block_id: read.block_id,
                chunk_data: read.chunk_data.clone(),
                response_data: Some(ResponseData::DataBuffers(DataBuffers { buffers: pieces })),
            }));
        }
        answer
    }
}

/// How a write fails.
#[derive(Clone, Copy)]
pub enum Failure {
    /// The group is not there any more.
    GroupGone,
    /// The state machine refuses: the container is closed.
    ContainerClosed,
    /// The command is logged, but fails when applied.
    Result(Code),
}

/// A Raft group that commits at once, unless told otherwise.
pub struct FakeRing {
    disk: Arc<Disk>,
    peers: Vec<String>,
    index: AtomicU64,
    received: AtomicUsize,
    failure: Mutex<Option<(usize, Failure)>>,
    lagging: Mutex<Vec<String>>,
    gate: Arc<Semaphore>,
}

impl FakeRing {
    /// The `nth` write, from 1, and all after it fail.
    pub fn fail_at(&self, nth: usize, failure: Failure) {
        *self.failure.lock() = Some((nth, failure));
    }

    /// This peer never commits.
    pub fn lag(&self, peer: &str) {
        self.lagging.lock().push(peer.to_owned());
    }

    /// Answers wait until the permit is dropped.
    pub fn hold(&self) -> SemaphorePermit<'_> {
        self.gate.try_acquire().unwrap()
    }

    /// What was written to a block, by local id.
    #[allow(dead_code)] // the key tests of ozone-client use it
    pub fn stored(&self, local: i64) -> Vec<u8> {
        self.disk.data.lock()[&local].values().flatten().copied().collect()
    }

    pub fn received(&self) -> usize {
        self.received.load(Ordering::SeqCst)
    }

    fn commits(&self, index: u64) -> Vec<(String, u64)> {
        let lagging = self.lagging.lock();
        let commit = |peer: &String| if lagging.contains(peer) { 0 } else { index };
        self.peers.iter().map(|peer| (peer.clone(), commit(peer))).collect()
    }

    fn apply(&self, mut message: Bytes, code: Code, index: u64) -> ContainerCommandResponseProto {
        let header_bytes = message.get_u32() as usize;
        let header = ContainerCommandRequestProto::decode(message.split_to(header_bytes)).unwrap();
        let mut answer = ContainerCommandResponseProto {
            cmd_type: header.cmd_type,
            result: code.into(),
            ..Default::default()
        };
        if code != Code::Success {
            return answer;
        }
        match Type::try_from(header.cmd_type).unwrap() {
            Type::WriteChunk => {
                let write = header.write_chunk.unwrap();
                assert!(write.data.is_none(), "bulk data travels behind the header");
                let chunk = write.chunk_data.unwrap();
                assert_eq!(chunk.len as usize, message.len());
                let mut data = self.disk.data.lock();
                data.entry(write.block_id.local_id).or_default().insert(chunk.offset, message);
                let committed = write.block.map(|put| self.disk.put(&put, index));
                let response = WriteChunkResponseProto { committed_block_length: committed };
                answer.write_chunk = Some(Box::new(response));
            }
            Type::PutBlock => {
                let committed_block_length = self.disk.put(&header.put_block.unwrap(), index);
                answer.put_block = Some(Box::new(PutBlockResponseProto { committed_block_length }));
            }
            other => panic!("{other:?} is not sent through a ring"),
        }
        answer
    }
}

impl Ring for FakeRing {
    fn write(&self, message: Bytes) -> BoxFuture<'static, Result<RingReply, RingError>> {
        let nth = self.received.fetch_add(1, Ordering::SeqCst) + 1;
        let failing = self.failure.lock().filter(|(from, _)| nth >= *from).map(|(_, how)| how);
        let index = self.index.fetch_add(1, Ordering::SeqCst);
        let outcome = match failing {
            Some(Failure::GroupGone) => Err(RingError::Unusable("group gone".to_owned())),
            Some(Failure::ContainerClosed) => Err(RingError::StateMachine {
                class: "org.apache.hadoop.hdds.scm.container.common.helpers.\
                        ContainerNotOpenException"
                    .to_owned(),
                message: "closed".to_owned(),
            }),
            Some(Failure::Result(code)) => Ok(self.apply(message, code, index)),
            None => Ok(self.apply(message, Code::Success, index)),
        };
        let outcome = outcome.map(|answer| RingReply {
            log_index: index,
            message: answer.encode_to_vec().into(),
            commits: self.commits(index - 1),
        });
        let gate = Arc::clone(&self.gate);
        Box::pin(async move {
            let _open = gate.acquire().await.unwrap();
            outcome
        })
    }

    fn watch(
        &self,
        index: u64,
        level: WatchLevel,
    ) -> BoxFuture<'static, Result<Vec<(String, u64)>, RingError>> {
        let commits = self.commits(index);
        let all = commits.iter().all(|(_, commit)| *commit >= index);
        let outcome = if all || level == WatchLevel::Majority {
            Ok(commits)
        } else {
            Err(RingError::NotReplicated { commits })
        };
        Box::pin(std::future::ready(outcome))
    }
}

/// A pipeline with one block to be written.
pub struct FakeCluster {
    pub nodes: Vec<FakeNode>,
    pub pipeline: Arc<Pipeline>,
    pub block: BlockId,
    pub ring: Arc<FakeRing>,
    pub datanodes: Datanodes,
    settings: BlockSettings,
}

impl FakeCluster {
    pub async fn start(count: usize) -> Self {
        Self::with(count, |_| {}).await
    }

    pub async fn with(count: usize, adjust: impl FnOnce(&mut BlockSettings)) -> Self {
        let disk = Arc::new(Disk::default());
        let mut nodes = Vec::new();
        for _ in 0..count {
            nodes.push(FakeNode::start(Arc::clone(&disk)).await);
        }
        let members: Vec<Node> =
            nodes.iter().enumerate().map(|(i, node)| member(i, node)).collect();
        let pipeline = Arc::new(Pipeline {
            id: PipelineId::random(),
            kind: hdds_proto::hdds::ReplicationType::Ratis,
            order: (0..count).collect(),
            nodes: members.clone(),
            leader: None,
            replica_indexes: Vec::new(),
        });
        let mut settings = BlockSettings {
            chunk_bytes: 64 << 10,
            flush_bytes: 128 << 10,
            unacknowledged_bytes_max: 256 << 10,
            ..BlockSettings::default()
        };
        adjust(&mut settings);
        let ring = Arc::new(FakeRing {
            disk,
            peers: members.into_iter().map(|node| node.uuid).collect(),
            index: AtomicU64::new(1),
            received: AtomicUsize::new(0),
            failure: Mutex::default(),
            lagging: Mutex::default(),
            gate: Arc::new(Semaphore::new(1)),
        });
        let datanodes = Datanodes::new(settings.clone());
        datanodes.install_ring(pipeline.id, Arc::clone(&ring) as Arc<dyn Ring>);
        let block = BlockId { container: ContainerId(7), local: LocalId(42), bcsid: 0 };
        Self { nodes, pipeline, block, ring, datanodes, settings }
    }

    /// The block, to be written.
    pub fn location(&self, capacity: u64) -> BlockLocation {
        BlockLocation {
            block: self.block,
            offset: 0,
            length: capacity,
            token: None,
            pipeline: Some(Arc::clone(&self.pipeline)),
        }
    }

    /// The block, to be read.
    pub fn written_location(&self, length: u64) -> BlockLocation {
        self.location(length)
    }

    /// A client without connections.
    pub fn fresh_client(&self) -> Datanodes {
        Datanodes::new(self.settings.clone())
    }
}

fn member(index: usize, node: &FakeNode) -> Node {
    Node {
        uuid: format!("00000000-0000-0000-0000-00000000000{index}"),
        ip: "127.0.0.1".to_owned(),
        host: "localhost".to_owned(),
        standalone_port: Some(node.port),
        ratis_port: None,
        version: 3,
        in_service: true,
    }
}

/// Waits for a condition, with a deadline.
pub async fn until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "the condition did not come true");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
