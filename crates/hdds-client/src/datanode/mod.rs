//! Commands to single datanodes, on port 9859.

pub mod command;

use std::collections::HashMap;
use std::sync::Arc;

use hdds_proto::datanode::xceiver_client_protocol_service_client::XceiverClientProtocolServiceClient;
use hdds_proto::datanode::{
    ContainerCommandRequestProto, ContainerCommandResponseProto, Result as Code,
};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tonic::transport::{Channel, Endpoint};

use crate::ring::Ring;
use crate::{BlockError, BlockSettings, Node, Pipeline};

/// Largest message either side takes: a chunk of 32 MB and what surrounds it.
const MESSAGE_BYTES_MAX: usize = (32 << 20) + (1 << 20);
/// Window of one stream: a whole default chunk without waiting for the reader.
const STREAM_WINDOW_BYTES: u32 = 8 << 20;
/// Window of a connection.
const CONNECTION_WINDOW_BYTES: u32 = 64 << 20;

/// The datanodes of a cluster: connections are made on first use and kept. Clones share them.
#[derive(Clone)]
pub struct Datanodes {
    inner: Arc<Inner>,
}

struct Inner {
    settings: BlockSettings,
    channels: Mutex<HashMap<String, Line>>,
    rings: Mutex<HashMap<hdds_types::PipelineId, Arc<dyn Ring>>>,
    /// Rings that are no connections of ours, and are never forgotten.
    installed: Mutex<HashMap<hdds_types::PipelineId, Arc<dyn Ring>>>,
    ratis: ratis::Channels,
}

/// A connection to one datanode, and the bound on what is in flight there.
#[derive(Clone)]
struct Line {
    channel: Channel,
    slots: Arc<Semaphore>,
}

impl Datanodes {
    /// No connection is made yet.
    pub fn new(settings: BlockSettings) -> Self {
        Self {
            inner: Arc::new(Inner {
                settings,
                channels: Mutex::default(),
                rings: Mutex::default(),
                installed: Mutex::default(),
                ratis: ratis::Channels::default(),
            }),
        }
    }

    /// Settings in force.
    pub fn settings(&self) -> &BlockSettings {
        &self.inner.settings
    }

    /// Host and port of a node's command service.
    pub fn address(&self, node: &Node) -> String {
        let settings = &self.inner.settings;
        let host = if settings.use_hostname { &node.host } else { &node.ip };
        join(host, node.standalone_port.unwrap_or(settings.standalone_port))
    }

    /// Host and port of a node's Raft client service.
    pub fn ratis_address(&self, node: &Node) -> String {
        let settings = &self.inner.settings;
        let host = if settings.use_hostname { &node.host } else { &node.ip };
        join(host, node.ratis_port.unwrap_or(settings.ratis_port))
    }

    /// Sends one command and waits for its answer, whatever the result code.
    ///
    /// # Errors
    /// [`BlockError::Unreachable`].
    pub async fn exchange(
        &self,
        node: &Node,
        request: ContainerCommandRequestProto,
    ) -> Result<ContainerCommandResponseProto, BlockError> {
        let address = self.address(node);
        let unreachable =
            |message: String| BlockError::Unreachable { node: address.clone(), message };
        let line = self.line(&address)?;
        let _slot = line.slots.acquire().await.map_err(|error| unreachable(error.to_string()))?;
        let mut client = XceiverClientProtocolServiceClient::new(line.channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let call = async {
            // One request per call, then half-close, as the Java client does.
            let stream = tokio_stream::once(request);
            let mut answers = client.send(stream).await?.into_inner();
            answers.message().await
        };
        let timeout = self.inner.settings.read_timeout;
        match tokio::time::timeout(timeout, call).await {
            Ok(Ok(Some(answer))) => Ok(answer),
            Ok(Ok(None)) => Err(unreachable("the stream ended without an answer".to_owned())),
            Ok(Err(status)) => Err(unreachable(status_text(&status))),
            Err(_) => Err(unreachable(format!("no answer within {timeout:?}"))),
        }
    }

    /// Sends one command and wants SUCCESS.
    ///
    /// # Errors
    /// [`BlockError::Unreachable`] or [`BlockError::Refused`].
    pub async fn send(
        &self,
        node: &Node,
        request: ContainerCommandRequestProto,
    ) -> Result<ContainerCommandResponseProto, BlockError> {
        let answer = self.exchange(node, request).await?;
        let code = Code::try_from(answer.result).unwrap_or(Code::ContainerInternalError);
        if code == Code::Success {
            return Ok(answer);
        }
        let message = answer.message.unwrap_or_default();
        Err(BlockError::Refused { node: self.address(node), code, message })
    }

    /// The Raft group of a pipeline.
    pub fn ring(&self, pipeline: &Pipeline) -> Arc<dyn Ring> {
        if let Some(ring) = self.inner.installed.lock().get(&pipeline.id) {
            return Arc::clone(ring);
        }
        let mut rings = self.inner.rings.lock();
        let ring = rings
            .entry(pipeline.id)
            .or_insert_with(|| crate::ring::connect(self, pipeline, &self.inner.ratis));
        Arc::clone(ring)
    }

    /// Forgets the Raft group of a pipeline, after a failure.
    pub fn forget_ring(&self, pipeline: &Pipeline) {
        self.inner.rings.lock().remove(&pipeline.id);
    }

    /// Puts another implementation in the place of a pipeline's Raft group, for good.
    pub fn install_ring(&self, pipeline: hdds_types::PipelineId, ring: Arc<dyn Ring>) {
        self.inner.installed.lock().insert(pipeline, ring);
    }

    fn line(&self, address: &str) -> Result<Line, BlockError> {
        let mut channels = self.inner.channels.lock();
        if let Some(line) = channels.get(address) {
            return Ok(line.clone());
        }
        let settings = &self.inner.settings;
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .map_err(|error| BlockError::Unreachable {
                node: address.to_owned(),
                message: format!("not an address: {error}"),
            })?
            .connect_timeout(settings.connect_timeout)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .tcp_nodelay(true);
        let line = Line {
            channel: endpoint.connect_lazy(),
            slots: Arc::new(Semaphore::new(settings.requests_per_node_max)),
        };
        channels.insert(address.to_owned(), line.clone());
        Ok(line)
    }
}

/// `host:port`, with brackets around an IPv6 address.
fn join(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// A gRPC status with its deepest cause, which is what a person needs ("connection refused").
fn status_text(status: &tonic::Status) -> String {
    let mut text = format!("{}: {}", status.code(), status.message());
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        text = error.to_string();
        cause = error.source();
    }
    text
}
