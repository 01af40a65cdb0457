//! The three protocols of SCM, each one method over one envelope.

mod admin;
pub mod audit;
mod block;
mod datanode;
mod location;
mod view;

use std::sync::Arc;

use bytes::Bytes;
use hadoop_rpc::server::RpcError;
use ozone_metrics::{CallTable, Counter};
use prost::Message;
use scm_core::log::Answer;
use scm_core::{Call, ScmError};

use crate::replicate::{Replicator, SubmitError};
use crate::shared::Shared;

pub use block::BlockProtocol;
pub use datanode::DatanodeProtocol;
pub use location::LocationProtocol;

/// What every protocol needs.
#[derive(Clone)]
pub struct Service {
    /// The core.
    pub shared: Arc<Shared>,
    /// The way into the log.
    pub replicator: Arc<dyn Replicator>,
    /// How others reach this SCM.
    pub host: String,
    /// Port of the Raft ring.
    pub ratis_port: u16,
    /// Calls by type.
    pub calls: Arc<Calls>,
    /// Longest wait of an allocation for a pipeline.
    pub pipeline_wait: std::time::Duration,
}

/// Calls of the three protocols by type.
pub struct Calls {
    /// Port 9860.
    pub location: Arc<CallTable>,
    /// Port 9863.
    pub block: Arc<CallTable>,
    /// Port 9861.
    pub datanode: Arc<CallTable>,
    /// Blocks given to OMs.
    pub blocks_allocated: Counter,
}

impl Default for Calls {
    fn default() -> Self {
        use hdds_proto::{block, container as location, hdds};
        fn name<T>(
            kind: Result<T, impl Sized>,
            of: fn(&T) -> &'static str,
        ) -> Option<&'static str> {
            kind.ok().as_ref().map(of)
        }
        Self {
            location: CallTable::of("ScmContainerLocationProtocol", |n| {
                name(location::Type::try_from(n), location::Type::as_str_name)
            }),
            block: CallTable::of("ScmBlockLocationProtocol", |n| {
                name(block::Type::try_from(n), block::Type::as_str_name)
            }),
            datanode: CallTable::of("ScmDatanodeProtocol", |n| {
                name(hdds::Type::try_from(n), hdds::Type::as_str_name)
            }),
            blocks_allocated: Counter::default(),
        }
    }
}

impl Service {
    /// Refuses with the genuine words when this SCM does not lead; `port` is that of the protocol.
    fn require_leader(&self) -> Result<(), RpcError> {
        if self.shared.read(|core| core.leader_term.is_some()) {
            return Ok(());
        }
        Err(self.not_leader())
    }

    fn not_leader(&self) -> RpcError {
        let id = self.shared.read(|core| core.identity.scm_id.clone());
        RpcError::new(
            class::NOT_LEADER,
            format!(
                "FOLLOWER Server:{id}({}) is not the leader. Could not determine the leader node.",
                self.host
            ),
        )
    }

    /// Replicates a call for a caller.
    async fn submit(&self, call: Call) -> Result<Answer, RpcError> {
        self.shared.submit(&*self.replicator, call).await.map_err(|error| match error {
            SubmitError::Refused { class, message } => RpcError::new(class, message),
            SubmitError::NotLeader(_) => self.not_leader(),
            SubmitError::Unavailable(message) => RpcError::new(class::RETRY_HERE, message),
        })
    }
}

/// Java classes of failures. Java clients give up at these; at any other class they go round all SCMs
/// for ten minutes, so nothing that a retry cannot heal may be of another class.
pub mod class {
    pub const NOT_LEADER: &str = "org.apache.hadoop.hdds.ratis.ServerNotLeaderException";
    pub const RETRY_HERE: &str = "org.apache.hadoop.hdds.scm.ha.RetriableWithNoFailoverException";
    pub const SCM: &str = "org.apache.hadoop.hdds.scm.exceptions.SCMException";
    pub const CONTAINER_NOT_FOUND: &str =
        "org.apache.hadoop.hdds.scm.container.ContainerNotFoundException";
    pub const PIPELINE_NOT_FOUND: &str =
        "org.apache.hadoop.hdds.scm.pipeline.PipelineNotFoundException";
}

fn decode<M: Message + Default>(request: Bytes) -> Result<M, RpcError> {
    M::decode(request).map_err(RpcError::malformed)
}

/// A sub-request that the command type promises.
fn need<T>(part: Option<Box<T>>) -> Result<T, RpcError> {
    let part = part.map(|part| *part);
    part.ok_or_else(|| RpcError::missing_fields("the part that belongs to cmdType"))
}

/// A request that no retry can heal.
fn refused(message: impl Into<String>) -> RpcError {
    RpcError::new(class::SCM, message)
}

fn scm_error(error: ScmError) -> RpcError {
    RpcError::new(class::SCM, error.message)
}
