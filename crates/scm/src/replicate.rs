//! Getting a call into every SCM's ledger.

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use multiraft::{ClientRequest, GroupId, MultiRaft, RaftError};
use scm_core::Call;
use scm_core::log::Answer;
use thiserror::Error;

/// Why a call was not applied.
#[derive(Clone, Debug, Error)]
pub enum SubmitError {
    /// The state does not allow it; `class` is the Java exception.
    #[error("{message}")]
    Refused {
        /// Java class.
        class: String,
        /// What is wrong.
        message: String,
    },
    /// This SCM does not lead (any more): ask the leader.
    #[error("{0}")]
    NotLeader(String),
    /// The ring is busy or going away: try again.
    #[error("{0}")]
    Unavailable(String),
}

/// Replicates calls: through Raft in a server, directly in tests.
#[async_trait]
pub trait Replicator: Send + Sync + 'static {
    /// Returns once the call is applied here.
    async fn submit(&self, call: &Call) -> Result<Answer, SubmitError>;
}

/// Through the Raft group of this SCM.
pub struct RaftReplicator {
    raft: MultiRaft,
    group: GroupId,
    client: [u8; 16],
    next: AtomicU64,
}

impl RaftReplicator {
    /// For `group`, which this engine takes part in.
    pub fn new(raft: MultiRaft, group: GroupId) -> Self {
        let client = uuid::Uuid::new_v4().into_bytes();
        Self { raft, group, client, next: AtomicU64::new(1) }
    }
}

#[async_trait]
impl Replicator for RaftReplicator {
    async fn submit(&self, call: &Call) -> Result<Answer, SubmitError> {
        let request = ClientRequest {
            client: self.client,
            call: self.next.fetch_add(1, Ordering::Relaxed),
            message: call.encode(),
            context: None,
        };
        match self.raft.write(self.group, request).await {
            Ok(reply) => Ok(Answer::decode(&reply.message)),
            Err(RaftError::StateMachine(error)) => {
                Err(SubmitError::Refused { class: error.class, message: error.message })
            }
            Err(error @ RaftError::NotLeader { .. }) => {
                Err(SubmitError::NotLeader(error.to_string()))
            }
            Err(error) => Err(SubmitError::Unavailable(error.to_string())),
        }
    }
}
