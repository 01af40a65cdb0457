//! Drives many Raft groups in one process.

pub mod state_machine;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ratis_proto::common::{CommitInfoProto, RaftPeerProto, ReplicationLevel};
use thiserror::Error;
use tokio::sync::watch;
use uuid::Uuid;

pub use state_machine::{
    Committed, Context, StateMachine, StateMachineError, StateMachines, Transaction,
};

/// A place in a log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct TermIndex {
    /// Term, from 1.
    pub term: u64,
    /// Index, from 0.
    pub index: u64,
}

impl fmt::Display for TermIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "(t:{}, i:{})", self.term, self.index)
    }
}

/// A Raft group; for pipelines the pipeline's UUID.
pub type GroupId = Uuid;

/// A peer: the text of its id (datanode UUID, OM node id, SCM UUID).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PeerId(pub Arc<str>);

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Settings of the engine, filled from the `*.ratis.*` keys of its user.
#[derive(Clone, Debug)]
pub struct RaftSettings {
    /// This node.
    pub id: PeerId,
    /// Where server, client and admin services listen (`port 0` picks one). Client and admin share
    /// the server's listener when `None`.
    pub server_address: SocketAddr,
    /// Client service.
    pub client_address: Option<SocketAddr>,
    /// Admin service.
    pub admin_address: Option<SocketAddr>,
    /// Log directories; new groups go to the one with the fewest. Each has one writer thread.
    pub storage: Vec<PathBuf>,
    /// Shortest election timeout.
    pub election_timeout_min: Duration,
    /// Longest election timeout.
    pub election_timeout_max: Duration,
    /// A request to a peer without an answer for this long has failed.
    pub request_timeout: Duration,
    /// A `watch` is answered with NotReplicated after this.
    pub watch_timeout: Duration,
    /// How long a reply is kept for a client's retry.
    pub retry_cache_expiry: Duration,
    /// A peer silent for this long is reported as slow.
    pub slowness_timeout: Duration,
    /// Size at which a log segment is closed, in bytes.
    pub segment_bytes_max: u64,
    /// A segment is filled with zeros this far ahead of use, in bytes.
    pub segment_preallocated_bytes: u64,
    /// Bytes of entries in one append request.
    pub append_bytes_max: usize,
    /// Entries in one append request.
    pub append_entries_max: usize,
    /// Pending client writes per group, in requests.
    pub pending_requests_max: usize,
    /// Pending client writes per group, in bytes.
    pub pending_bytes_max: usize,
    /// Applied entries after which a snapshot is taken; `None` takes none by count.
    pub snapshot_after_entries: Option<u64>,
    /// Entries that must lie before the snapshot before the log is purged; `None` never purges.
    pub purge_gap: Option<u64>,
    /// Largest gRPC message, in bytes.
    pub message_bytes_max: usize,
    /// Delete (else rename away) a group's directory when it is removed.
    pub delete_removed_groups: bool,
}

/// A client's write.
pub struct ClientRequest {
    /// Who asks: 16 bytes.
    pub client: [u8; 16],
    /// The request; a repetition of (client, call) gets the first one's reply.
    pub call: u64,
    /// The message, for [`StateMachine::prepare`].
    pub message: Bytes,
    /// Passed to [`StateMachine::prepare`].
    pub context: Option<Context>,
}

/// The answer to a write or watch.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Index of the applied entry; for a watch the index reached.
    pub index: u64,
    /// The state machine's message; empty for a watch.
    pub message: Bytes,
    /// Commit index of every peer as far as known, this node first.
    pub commits: Vec<CommitInfoProto>,
}

/// Why a request was not served. Each variant is one exception of Ratis.
#[derive(Clone, Debug, Error)]
pub enum RaftError {
    /// Go to the suggested leader, or try the others.
    #[error("not the leader of {group}; {}", leader.as_ref().map_or("no leader is known".to_owned(), |l| format!("try {}", l.address)))]
    NotLeader {
        /// The group.
        group: GroupId,
        /// Who leads, if known.
        leader: Option<Box<RaftPeerProto>>,
        /// Everyone in the configuration.
        peers: Vec<RaftPeerProto>,
    },
    /// Elected, but the first entry of the term is not applied yet: try again shortly.
    #[error("leader of {0} but not ready yet")]
    LeaderNotReady(GroupId),
    /// Leadership is being handed over: try again shortly.
    #[error("stepping down as leader of {0}")]
    SteppingDown(GroupId),
    /// The state machine refused.
    #[error(transparent)]
    StateMachine(#[from] StateMachineError),
    /// A watch was not reached in time.
    #[error("index {index} did not reach level {level:?} in time")]
    NotReplicated {
        /// The index that was waited for.
        index: u64,
        /// The level that was asked.
        level: ReplicationLevel,
        /// How far everyone got.
        commits: Vec<CommitInfoProto>,
    },
    /// No such group here.
    #[error("group {0} is not here")]
    GroupMismatch(GroupId),
    /// The group is there already.
    #[error("group {0} exists already")]
    AlreadyExists(GroupId),
    /// The server or group is going away.
    #[error("group {0} is closed")]
    AlreadyClosed(GroupId),
    /// Too much is pending: wait, then try again.
    #[error("too many requests are pending for {0}")]
    ResourceUnavailable(GroupId),
    /// The log cannot be written.
    #[error("raft log of {group}: {message}")]
    Log {
        /// The group.
        group: GroupId,
        /// What happened.
        message: String,
    },
}

/// A node's part in a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Leads; `ready` once the first entry of the term is applied.
    Leader {
        /// Answers clients.
        ready: bool,
    },
    /// Campaigns.
    Candidate,
    /// Follows.
    Follower,
    /// Follows without a vote.
    Listener,
}

/// Who leads a group, as this node sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leadership {
    /// The group.
    pub group: GroupId,
    /// Term.
    pub term: u64,
    /// This node's role.
    pub role: Role,
    /// The leader, if known.
    pub leader: Option<PeerId>,
}

/// A group at a glance.
#[derive(Clone, Debug)]
pub struct GroupInfo {
    /// Term, role, leader.
    pub leadership: Leadership,
    /// The current configuration.
    pub peers: Vec<RaftPeerProto>,
    /// Committed up to here; `None` when nothing is.
    pub commit: Option<u64>,
    /// Applied up to here.
    pub applied: Option<u64>,
    /// Commit index of every peer as far as known, this node first.
    pub commits: Vec<CommitInfoProto>,
    /// Where the group's log lives.
    pub directory: PathBuf,
}

/// The engine: all Raft groups of one process. Clones share it.
#[derive(Clone)]
pub struct MultiRaft {}

impl MultiRaft {
    /// Opens every group found in the storage directories and starts the services.
    ///
    /// # Errors
    /// A port is taken, or a directory cannot be used.
    pub async fn start(
        settings: RaftSettings,
        machines: Arc<dyn StateMachines>,
    ) -> Result<Self, StartError> {
        unimplemented!("{settings:?}{}", Arc::strong_count(&machines))
    }

    /// The addresses in use: server, client, admin.
    pub fn addresses(&self) -> (SocketAddr, SocketAddr, SocketAddr) {
        unimplemented!()
    }

    /// Creates a group with these peers (ids, addresses, priorities), or reports that it exists.
    ///
    /// # Errors
    /// [`RaftError::AlreadyExists`], or the log cannot be created.
    pub async fn add_group(&self, id: GroupId, peers: Vec<RaftPeerProto>) -> Result<(), RaftError> {
        unimplemented!("{id}{peers:?}")
    }

    /// Stops a group and removes its directory.
    ///
    /// # Errors
    /// [`RaftError::GroupMismatch`] where there is none.
    pub async fn remove_group(&self, id: GroupId) -> Result<(), RaftError> {
        unimplemented!("{id}")
    }

    /// Asks another node's admin service to add or remove the group. Errors are for the log only.
    ///
    /// # Errors
    /// The peer does not answer or refuses.
    pub async fn tell_peer_to_add(
        &self,
        peer: &RaftPeerProto,
        id: GroupId,
        peers: &[RaftPeerProto],
    ) -> Result<(), RaftError> {
        unimplemented!("{peer:?}{id}{peers:?}")
    }

    /// See [`Self::tell_peer_to_add`].
    ///
    /// # Errors
    /// The peer does not answer or refuses.
    pub async fn tell_peer_to_remove(
        &self,
        peer: &RaftPeerProto,
        id: GroupId,
    ) -> Result<(), RaftError> {
        unimplemented!("{peer:?}{id}")
    }

    /// Replicates and applies a write; answers once it is applied here.
    ///
    /// # Errors
    /// See [`RaftError`].
    pub async fn write(&self, id: GroupId, request: ClientRequest) -> Result<Reply, RaftError> {
        unimplemented!("{id}{}", request.call)
    }

    /// Waits until `index` is replicated to `level`.
    ///
    /// # Errors
    /// [`RaftError::NotReplicated`] after the watch timeout.
    pub async fn watch(
        &self,
        id: GroupId,
        index: u64,
        level: ReplicationLevel,
    ) -> Result<Reply, RaftError> {
        unimplemented!("{id}{index}{level:?}")
    }

    /// Returns once everything that was committed at the call is applied here, on the leader.
    ///
    /// # Errors
    /// [`RaftError::NotLeader`] and its kin.
    pub async fn read_barrier(&self, id: GroupId) -> Result<u64, RaftError> {
        unimplemented!("{id}")
    }

    /// Takes a snapshot now and purges the log as configured.
    ///
    /// # Errors
    /// The state machine could not make its state durable.
    pub async fn snapshot(&self, id: GroupId) -> Result<Option<TermIndex>, RaftError> {
        unimplemented!("{id}")
    }

    /// A group at a glance.
    pub fn info(&self, id: GroupId) -> Option<GroupInfo> {
        unimplemented!("{id}")
    }

    /// Every group here.
    pub fn groups(&self) -> Vec<GroupId> {
        unimplemented!()
    }

    /// Follows role, term and leader of a group.
    pub fn leadership(&self, id: GroupId) -> Option<watch::Receiver<Leadership>> {
        unimplemented!("{id}")
    }

    /// Stops all groups: snapshots where cheap, closes logs, releases ports.
    pub async fn shutdown(&self) {
        unimplemented!()
    }
}

/// The engine cannot start.
#[derive(Debug, Error)]
pub enum StartError {
    /// A listener could not be opened.
    #[error("cannot listen on {address}: {source}; another process may use the port")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// A storage directory cannot be used.
    #[error("raft storage {path}: {message}")]
    Storage {
        /// The directory.
        path: PathBuf,
        /// What is wrong and what to do.
        message: String,
    },
}
