//! What SCMs agree on, and the one way it changes: [`Ledger::apply`].
//!
//! Everything here is in memory; the tables are read once, at start. Beside each record live the few
//! fields that every SCM observes for itself (replicas of a container, reports of a pipeline): they
//! are never part of a decision of `apply`.

mod apply;
mod container;
mod deleted;
#[cfg(test)]
mod golden_tests;
pub mod load;
mod pipeline;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use hdds_types::{
    ContainerId, ContainerState, DatanodeId, PipelineId, PipelineState, ReplicationConfig,
};
use rustc_hash::FxHashMap;
use thiserror::Error;

pub use container::{Container, Replica, ReplicaState};
pub use deleted::DeletedBlocks;
pub use pipeline::Pipeline;

/// Names of the id sequences (`SequenceIdType`).
pub mod sequence {
    /// Blocks.
    pub const LOCAL_ID: &str = "localId";
    /// Containers.
    pub const CONTAINER_ID: &str = "containerId";
    /// Transactions of deleted blocks.
    pub const DELETED_TRANSACTION_ID: &str = "delTxnId";
    /// Certificates; 1 is the root's, 2 the first SCM's.
    pub const CERTIFICATE_ID: &str = "CertificateId";
}

/// A call that the state does not allow. Every SCM refuses it alike.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{message}")]
pub struct Refusal {
    /// Java class of the exception.
    pub class: &'static str,
    /// What is wrong.
    pub message: String,
}

impl Refusal {
    fn container_not_found(id: ContainerId) -> Self {
        Self {
            class: "org.apache.hadoop.hdds.scm.container.ContainerNotFoundException",
            message: format!("Container with id #{id} not found."),
        }
    }

    fn pipeline_not_found(id: PipelineId) -> Self {
        Self {
            class: "org.apache.hadoop.hdds.scm.pipeline.PipelineNotFoundException",
            message: format!("PipelineID={id} not found"),
        }
    }

    fn scm(message: String) -> Self {
        Self { class: "org.apache.hadoop.hdds.scm.exceptions.SCMException", message }
    }
}

/// The replicated state.
#[derive(Default)]
pub struct Ledger {
    containers: BTreeMap<ContainerId, Container>,
    /// OPEN containers by pipeline.
    open: FxHashMap<PipelineId, BTreeSet<ContainerId>>,
    /// Containers by state, in the order of [`ContainerState`].
    counts: [u64; 6],
    pipelines: BTreeMap<PipelineId, Pipeline>,
    by_node: FxHashMap<DatanodeId, BTreeSet<PipelineId>>,
    /// OPEN pipelines by replication, in no order.
    writable: FxHashMap<ReplicationConfig, Vec<PipelineId>>,
    sequences: BTreeMap<String, i64>,
    /// Blocks that datanodes must delete.
    pub deleted: DeletedBlocks,
    settings: BTreeMap<String, Bytes>,
    owners: BTreeSet<Arc<str>>,
    /// Rises with every applied change; lets waiters notice.
    pub version: u64,
}

impl Ledger {
    /// A container.
    pub fn container(&self, id: ContainerId) -> Option<&Container> {
        self.containers.get(&id)
    }

    /// A container, for what is observed about it.
    pub(crate) fn container_mut(&mut self, id: ContainerId) -> Option<&mut Container> {
        self.containers.get_mut(&id)
    }

    /// Containers from `start` on, in order of their ids.
    pub fn containers_from(&self, start: ContainerId) -> impl Iterator<Item = &Container> {
        self.containers.range(start..).map(|(_, container)| container)
    }

    /// How many containers are in `state`.
    pub fn container_count(&self, state: ContainerState) -> u64 {
        self.counts.get(state as usize).copied().unwrap_or(0)
    }

    /// How many containers there are, deleted ones included.
    pub fn containers_total(&self) -> usize {
        self.containers.len()
    }

    /// OPEN containers of a pipeline, in order.
    pub fn open_containers(&self, pipeline: PipelineId) -> impl Iterator<Item = ContainerId> {
        self.open.get(&pipeline).into_iter().flatten().copied()
    }

    /// A pipeline.
    pub fn pipeline(&self, id: PipelineId) -> Option<&Pipeline> {
        self.pipelines.get(&id)
    }

    /// A pipeline, for what is observed about it.
    pub(crate) fn pipeline_mut(&mut self, id: PipelineId) -> Option<&mut Pipeline> {
        self.pipelines.get_mut(&id)
    }

    /// Every pipeline, in order of ids.
    pub fn pipelines(&self) -> impl Iterator<Item = &Pipeline> {
        self.pipelines.values()
    }

    /// Pipelines that a datanode is a member of, in order of ids.
    pub fn pipelines_of(&self, node: DatanodeId) -> impl Iterator<Item = &Pipeline> {
        self.by_node.get(&node).into_iter().flatten().filter_map(|id| self.pipelines.get(id))
    }

    /// OPEN pipelines of a replication.
    pub fn open_pipelines(&self, replication: ReplicationConfig) -> &[PipelineId] {
        self.writable.get(&replication).map_or(&[], Vec::as_slice)
    }

    /// Pipelines that are gone or closed but still have OPEN containers.
    pub fn open_containers_without_pipeline(&self) -> Vec<ContainerId> {
        let lost = |id: &PipelineId| {
            self.pipelines.get(id).is_none_or(|pipeline| pipeline.state == PipelineState::Closed)
        };
        let lost = self.open.iter().filter(|(id, _)| lost(id));
        lost.flat_map(|(_, containers)| containers.iter().copied()).collect()
    }

    /// The last id that was given away of a sequence; 0 for a new one.
    pub fn last_id(&self, name: &str) -> i64 {
        self.sequences.get(name).copied().unwrap_or(0)
    }

    /// Stored settings of a service.
    pub fn settings(&self, service: &str) -> Option<&Bytes> {
        self.settings.get(service)
    }

    /// One copy of each owner's name.
    pub(crate) fn owner(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.owners.get(name) {
            return Arc::clone(known);
        }
        let owner: Arc<str> = name.into();
        self.owners.insert(Arc::clone(&owner));
        owner
    }

    fn count(&mut self, state: ContainerState, up: bool) {
        if let Some(count) = self.counts.get_mut(state as usize) {
            *count = if up { *count + 1 } else { count.saturating_sub(1) };
        }
    }

    pub(super) fn insert_container(&mut self, container: Container) {
        self.count(container.state, true);
        if let (ContainerState::Open, Some(pipeline)) = (container.state, container.pipeline) {
            self.open.entry(pipeline).or_default().insert(container.id);
        }
        self.containers.insert(container.id, container);
    }

    pub(super) fn insert_pipeline(&mut self, pipeline: Pipeline) {
        for member in &pipeline.members {
            self.by_node.entry(*member).or_default().insert(pipeline.id);
        }
        let (id, replication, state) = (pipeline.id, pipeline.replication, pipeline.state);
        self.pipelines.insert(id, pipeline);
        self.index_pipeline(id, replication, state);
    }

    /// Keeps the index of OPEN pipelines right.
    fn index_pipeline(
        &mut self,
        id: PipelineId,
        replication: ReplicationConfig,
        state: PipelineState,
    ) {
        let open = self.writable.entry(replication).or_default();
        open.retain(|other| *other != id);
        if state == PipelineState::Open {
            open.push(id);
        }
    }
}
