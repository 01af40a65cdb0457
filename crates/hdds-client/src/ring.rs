//! A pipeline's Raft group as a writer needs it.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use ratis::client::{ClientError, ClientReply, ClientSettings, RaftClient};
use ratis_proto::common::{CommitInfoProto, RaftPeerProto, ReplicationLevel};
use thiserror::Error;

use crate::{Datanodes, Pipeline, WatchLevel};

/// The answer to a write that is in the log.
#[derive(Clone, Debug)]
pub struct RingReply {
    /// Index of the entry.
    pub log_index: u64,
    /// The state machine's message.
    pub message: Bytes,
    /// How far each peer (by UUID) has committed, as the leader knows.
    pub commits: Vec<(String, u64)>,
}

/// Why a ring did not do it.
#[derive(Clone, Debug, Error)]
pub enum RingError {
    /// The state machine refused before anything was logged.
    #[error("{class}: {message}")]
    StateMachine {
        /// Java class of the exception.
        class: String,
        /// Its message.
        message: String,
    },
    /// A watch ended before every replica had the entry.
    #[error("not every replica has it yet")]
    NotReplicated {
        /// How far each peer got.
        commits: Vec<(String, u64)>,
    },
    /// The group is gone, or nobody leads it for too long.
    #[error("{0}")]
    Unusable(String),
}

/// Writes to one Raft group, in order.
pub trait Ring: Send + Sync {
    /// Queues a write; the order of calls is the order in the log. Dropping the future does not
    /// take the write back.
    fn write(&self, message: Bytes) -> BoxFuture<'static, Result<RingReply, RingError>>;

    /// Waits until the entry at `index` is committed on the replicas that `level` asks for, and
    /// tells how far each peer got.
    fn watch(
        &self,
        index: u64,
        level: WatchLevel,
    ) -> BoxFuture<'static, Result<Vec<(String, u64)>, RingError>>;
}

/// The Raft group of a pipeline, over the network.
struct RatisRing {
    client: RaftClient,
}

/// A client of the pipeline's group; it connects on first use and must be made within a runtime.
pub(crate) fn connect(
    datanodes: &Datanodes,
    pipeline: &Pipeline,
    channels: &ratis::Channels,
) -> Arc<dyn Ring> {
    let peers = pipeline.nodes.iter().map(|node| {
        let address = datanodes.ratis_address(node);
        RaftPeerProto {
            id: Bytes::from(node.uuid.clone()),
            client_address: address.clone(),
            address,
            ..Default::default()
        }
    });
    let settings = ClientSettings {
        outstanding_max: datanodes.settings().requests_per_node_max,
        ..datanodes.settings().ratis
    };
    let client = RaftClient::new(
        pipeline.id.0,
        peers.collect(),
        pipeline.leader.as_deref(),
        channels.clone(),
        settings,
    );
    Arc::new(RatisRing { client })
}

impl Ring for RatisRing {
    fn write(&self, message: Bytes) -> BoxFuture<'static, Result<RingReply, RingError>> {
        let answer = self.client.write(message);
        Box::pin(async move { answer.await.map(reply).map_err(error) })
    }

    fn watch(
        &self,
        index: u64,
        level: WatchLevel,
    ) -> BoxFuture<'static, Result<Vec<(String, u64)>, RingError>> {
        let level = match level {
            WatchLevel::All => ReplicationLevel::AllCommitted,
            WatchLevel::Majority => ReplicationLevel::MajorityCommitted,
        };
        let answer = self.client.watch(index, level);
        Box::pin(async move { answer.await.map(|done| commits(&done.commits)).map_err(error) })
    }
}

fn reply(done: ClientReply) -> RingReply {
    RingReply { log_index: done.log_index, commits: commits(&done.commits), message: done.message }
}

/// Commit indices by the peer's id; a peer without an id counts for nothing.
fn commits(infos: &[CommitInfoProto]) -> Vec<(String, u64)> {
    let known = infos.iter().filter_map(|info| {
        let id = &info.server.as_ref()?.id;
        Some((String::from_utf8_lossy(id).into_owned(), info.commit_index))
    });
    known.collect()
}

fn error(error: ClientError) -> RingError {
    match error {
        ClientError::StateMachine { class, message } => RingError::StateMachine { class, message },
        ClientError::NotReplicated { commits: infos, .. } => {
            RingError::NotReplicated { commits: commits(&infos) }
        }
        other => RingError::Unusable(other.to_string()),
    }
}
