//! The words of the engine's interface.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use ratis_core::{PeerId, Role};
use ratis_proto::common::{CommitInfoProto, RaftPeerProto};
use uuid::Uuid;

use crate::state_machine::Context;

/// A Raft group; for pipelines the pipeline's UUID.
pub type GroupId = Uuid;

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
    pub commits: Arc<Vec<CommitInfoProto>>,
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
