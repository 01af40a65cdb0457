//! Why the engine refuses.

use std::net::SocketAddr;
use std::path::PathBuf;

use ratis_proto::common::{CommitInfoProto, RaftPeerProto, ReplicationLevel};
use thiserror::Error;

use crate::state_machine::StateMachineError;
use crate::types::GroupId;

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
