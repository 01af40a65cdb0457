//! Datanodes: who they are, how they are, what they are told.
//!
//! Nothing here is replicated: every SCM learns it from registrations and heartbeats.

mod health;
mod heartbeat;
mod queue;
mod register;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use hdds_proto::hdds::{DatanodeDetailsProto, MetadataStorageReportProto, StorageReportProto};
use hdds_types::{ContainerId, DatanodeId, NodeHealth, OperationalState};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::{Millis, convert};

pub use heartbeat::HeartbeatAnswer;
pub use queue::{Command, CommandQueue};
pub use register::Registration;

/// Layout version of this software (`HDDSLayoutFeature`, newest): datanodes must have the same.
pub const LAYOUT_VERSION: u32 = 10;
/// Where a datanode is when nothing says otherwise.
pub const DEFAULT_RACK: &str = "/default-rack";

/// A datanode's place in [`Nodes`]; small, so that replicas stay small.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeIndex(pub u32);

/// A registered datanode.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its place.
    pub index: NodeIndex,
    /// Id.
    pub id: DatanodeId,
    /// Addresses and ports as registered; network name and location filled in.
    pub details: Arc<DatanodeDetailsProto>,
    /// How it is.
    pub health: NodeHealth,
    /// What it is meant to do.
    pub operational: OperationalState,
    /// When that ends, in seconds since the epoch; 0 = never.
    pub operational_expiry: i64,
    /// Layout of its data.
    pub metadata_layout: u32,
    /// When it was last heard.
    pub last_heartbeat: Millis,
    /// Data volumes.
    pub storage: Vec<StorageReportProto>,
    /// Metadata volumes.
    pub metadata_storage: Vec<MetadataStorageReportProto>,
    /// What to tell it.
    pub queue: CommandQueue,
    /// Containers it holds copies of.
    pub containers: FxHashSet<ContainerId>,
    /// Containers made for it that it has not reported, and since when.
    pub pending: BTreeMap<ContainerId, Millis>,
}

impl Node {
    /// Takes new pipelines and containers.
    pub fn is_usable(&self) -> bool {
        self.health == NodeHealth::Healthy && self.operational == OperationalState::InService
    }

    /// Heartbeats arrive.
    pub fn is_alive(&self) -> bool {
        matches!(self.health, NodeHealth::Healthy | NodeHealth::HealthyReadonly)
    }

    /// Data volumes that work.
    pub fn healthy_volumes(&self) -> usize {
        self.storage.iter().filter(|volume| volume.failed != Some(true)).count()
    }

    /// Some data volume has more than `bytes` to give, and some metadata volume more than
    /// `metadata_bytes` (`SCMCommonPlacementPolicy.hasEnoughSpace`).
    pub fn has_space(&self, bytes: u64, metadata_bytes: u64) -> bool {
        let data = self.storage.iter().any(|volume| usable_bytes(volume) > bytes);
        let metadata = self.metadata_storage.iter().any(|volume| {
            volume.failed != Some(true) && volume.remaining.unwrap_or(0) > metadata_bytes
        });
        data && metadata
    }

    /// Its volumes hold another container of `bytes` besides those that it was given and has not
    /// reported since `forget_before` (`PendingContainerTracker`).
    pub fn has_room_for_container(&self, bytes: u64, forget_before: Millis) -> bool {
        let pending = self.pending.values().filter(|since| **since >= forget_before).count();
        let volumes = self.storage.iter();
        let room: u64 = volumes.map(|volume| usable_bytes(volume) / bytes.max(1)).sum();
        room > pending as u64
    }

    /// Rack.
    pub fn location(&self) -> &str {
        self.details.network_location.as_deref().unwrap_or(DEFAULT_RACK)
    }
}

/// All datanodes that ever registered, and origins that replicas name.
#[derive(Default)]
pub struct Nodes {
    ids: Vec<DatanodeId>,
    indexes: FxHashMap<DatanodeId, NodeIndex>,
    nodes: FxHashMap<NodeIndex, Node>,
}

impl Nodes {
    /// The place of an id, made if new.
    pub(crate) fn intern(&mut self, id: DatanodeId) -> NodeIndex {
        if let Some(index) = self.indexes.get(&id) {
            return *index;
        }
        let index = NodeIndex(u32::try_from(self.ids.len()).unwrap_or(u32::MAX));
        self.ids.push(id);
        self.indexes.insert(id, index);
        index
    }

    /// The id of a place.
    pub fn id(&self, index: NodeIndex) -> Option<DatanodeId> {
        self.ids.get(index.0 as usize).copied()
    }

    /// A registered datanode.
    pub fn get(&self, id: DatanodeId) -> Option<&Node> {
        self.nodes.get(self.indexes.get(&id)?)
    }

    pub(crate) fn get_mut(&mut self, id: DatanodeId) -> Option<&mut Node> {
        self.nodes.get_mut(self.indexes.get(&id)?)
    }

    /// A registered datanode by place.
    pub fn at(&self, index: NodeIndex) -> Option<&Node> {
        self.nodes.get(&index)
    }

    pub(crate) fn at_mut(&mut self, index: NodeIndex) -> Option<&mut Node> {
        self.nodes.get_mut(&index)
    }

    /// Registered datanodes, in order of registration.
    pub fn iter(&self) -> impl Iterator<Item = &Node> {
        let mut nodes: Vec<&Node> = self.nodes.values().collect();
        nodes.sort_unstable_by_key(|node| node.index);
        nodes.into_iter()
    }

    /// How many are registered.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether none is registered.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// How many take new pipelines.
    pub fn usable(&self) -> usize {
        self.nodes.values().filter(|node| node.is_usable()).count()
    }

    /// Current details of a datanode, for pipelines that go to clients.
    pub fn details(&self, id: DatanodeId) -> Option<&Arc<DatanodeDetailsProto>> {
        self.get(id).map(|node| &node.details)
    }

    /// A datanode by IP address or host name.
    pub fn by_address(&self, address: &str) -> Option<&Node> {
        self.nodes.values().filter(|node| has_address(node, address)).min_by_key(|n| n.index)
    }

    pub(crate) fn insert(&mut self, node: Node) {
        self.nodes.insert(node.index, node);
    }
}

/// Bytes that a data volume can still take; none when it failed.
fn usable_bytes(volume: &StorageReportProto) -> u64 {
    if volume.failed == Some(true) {
        return 0;
    }
    let promised =
        volume.committed.unwrap_or(0).saturating_add(volume.free_space_to_spare.unwrap_or(0));
    volume.remaining.unwrap_or(0).saturating_sub(promised)
}

fn has_address(node: &Node, address: &str) -> bool {
    node.details.ip_address == address || node.details.host_name == address
}

/// Details with every form of the id, as a Java SCM sends them.
pub(crate) fn complete(mut details: DatanodeDetailsProto, id: DatanodeId) -> DatanodeDetailsProto {
    details.uuid = Some(id.to_string());
    details.uuid128 = Some(convert::uuid_proto(id.0));
    details.id = Some(convert::datanode_id_proto(id));
    details
}
