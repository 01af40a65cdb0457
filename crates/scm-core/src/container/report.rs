//! Datanodes report their copies of containers (`AbstractContainerReportHandler` and its heirs).

use hdds_proto::hdds::{ContainerReplicaProto, ContainerReportsProto};
use hdds_types::{ContainerEvent, ContainerId, ContainerState, DatanodeId, ReplicationConfig};
use rustc_hash::FxHashSet;

use crate::ledger::{Container, Replica, ReplicaState};
use crate::node::{Command, NodeIndex};
use crate::rules::UnknownContainer;
use crate::{Call, Core, Millis};

/// What a report means for the container, beyond the copy itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Consequence {
    /// Nothing.
    None,
    /// Move the container on.
    Event(ContainerEvent),
    /// The copy must go.
    DeleteCopy {
        /// Even if not empty.
        force: bool,
    },
    /// The container was being deleted but still holds data.
    Restore(ContainerState),
    /// The copy contradicts what is known; it is not taken in.
    Mismatch,
}

impl Core {
    /// All copies of a datanode are about to be reported: those that are not `named` are gone. Follow
    /// with [`Self::take_replicas`], in pieces if there are many.
    pub fn drop_unnamed_replicas(&mut self, id: DatanodeId, named: &FxHashSet<ContainerId>) {
        let Some(node) = self.nodes.get(id) else { return };
        let index = node.index;
        let missing: Vec<ContainerId> =
            node.containers.iter().filter(|id| !named.contains(id)).copied().collect();
        for container in missing {
            self.drop_replica(container, index);
        }
    }

    /// Copies of a datanode, some or all.
    pub fn take_replicas(&mut self, id: DatanodeId, report: &[ContainerReplicaProto], now: Millis) {
        let Some(index) = self.nodes.get(id).map(|node| node.index) else { return };
        for replica in report {
            self.take_replica(id, index, replica, now);
        }
        self.evaluate_safe_mode(now);
    }

    /// Forgets a copy.
    pub(crate) fn drop_replica(&mut self, container: ContainerId, node: NodeIndex) {
        if let Some(container) = self.ledger.container_mut(container) {
            container.replicas.retain(|replica| replica.node != node);
        }
        if let Some(node) = self.nodes.at_mut(node) {
            node.containers.remove(&container);
        }
    }

    fn take_replica(
        &mut self,
        node: DatanodeId,
        index: NodeIndex,
        report: &ContainerReplicaProto,
        now: Millis,
    ) {
        let Some(container) = container_id(report) else { return };
        let Some(state) = ReplicaState::from_wire(report.state) else { return };
        if self.ledger.container(container).is_none() {
            if self.rules.unknown_container == UnknownContainer::Delete
                && !self.is_new_container(container)
            {
                let index = replica_index(report);
                self.send(node, Command::DeleteContainer { container, force: true, index });
            }
            return;
        }
        if state == ReplicaState::Deleted {
            self.drop_replica(container, index);
            return;
        }
        let replica = self.read_replica(index, state, report);
        let Some(known) = self.ledger.container_mut(container) else { return };
        if !matches!(state, ReplicaState::Unhealthy | ReplicaState::Invalid) {
            known.sequence = known.sequence.max(replica.sequence);
        }
        let consequence = judge(known, &replica);
        if consequence == Consequence::Mismatch {
            return;
        }
        known.replicas.retain(|other| other.node != index);
        known.replicas.push(replica);
        known.update_use();
        let sequence = known.sequence;
        if let Some(node) = self.nodes.at_mut(index) {
            node.containers.insert(container);
            node.pending.remove(&container);
        }
        self.safe_mode_container_reported(container);
        match consequence {
            Consequence::None | Consequence::Mismatch => {}
            Consequence::Event(ContainerEvent::Finalize) => self.close_container(container, now),
            Consequence::Event(event) => {
                self.propose(Call::UpdateContainerState { id: container, event, sequence });
            }
            Consequence::DeleteCopy { force } => {
                let index = replica_index(report);
                self.send(node, Command::DeleteContainer { container, force, index });
            }
            Consequence::Restore(to) => {
                self.propose(Call::RestoreContainer { id: container, to });
            }
        }
        self.force_close_if_all_origins_are_seen(container);
        self.close_left_copy(container, node, index);
    }

    fn read_replica(
        &mut self,
        node: NodeIndex,
        state: ReplicaState,
        report: &ContainerReplicaProto,
    ) -> Replica {
        let origin = report.origin_node_id.as_deref().and_then(|text| text.parse().ok());
        Replica {
            node,
            state,
            index: replica_index(report),
            empty: report.is_empty.unwrap_or(false),
            sequence: report.block_commit_sequence_id.unwrap_or(0).cast_signed(),
            used_bytes: report.used.unwrap_or(0).max(0).cast_unsigned(),
            keys: report.key_count.unwrap_or(0).max(0).cast_unsigned(),
            origin: origin.map(|id| self.nodes.intern(id)),
            checksum: report.data_checksum.unwrap_or(0),
        }
    }
}

/// What a copy's state means for the container (`updateContainerState`).
pub(crate) fn judge(container: &Container, replica: &Replica) -> Consequence {
    use ContainerState as S;
    let ec = match container.replication {
        ReplicationConfig::Ec(ec) => Some(ec),
        _ => None,
    };
    let fresh = replica.sequence == container.sequence;
    match (container.state, replica.state) {
        (S::Open, ReplicaState::Open) => Consequence::None,
        (S::Open, _) => Consequence::Event(ContainerEvent::Finalize),
        (S::Closing, ReplicaState::QuasiClosed) => Consequence::Event(ContainerEvent::QuasiClose),
        (S::Closing, ReplicaState::Closed) => {
            let partial = |data| replica.index != 1 && u32::from(replica.index) <= data;
            if ec.is_some_and(|ec| partial(ec.data)) {
                Consequence::None
            } else if fresh {
                Consequence::Event(ContainerEvent::Close)
            } else {
                Consequence::Mismatch
            }
        }
        (S::QuasiClosed, ReplicaState::Closed) if fresh => {
            Consequence::Event(ContainerEvent::ForceClose)
        }
        (S::QuasiClosed, ReplicaState::Closed) => Consequence::Mismatch,
        (S::Closing | S::QuasiClosed | S::Closed, _) => Consequence::None,
        (S::Deleted, _) if replica.empty => Consequence::DeleteCopy { force: false },
        (S::Deleting | S::Deleted, _) => judge_deleted(container, replica, ec.is_some()),
    }
}

fn judge_deleted(container: &Container, replica: &Replica, is_ec: bool) -> Consequence {
    if is_ec && !replica.empty {
        return Consequence::DeleteCopy { force: true };
    }
    let closed = matches!(replica.state, ReplicaState::Closed | ReplicaState::QuasiClosed);
    let is_ratis = matches!(container.replication, ReplicationConfig::Ratis(_));
    if closed && is_ratis && replica.sequence <= container.sequence {
        return Consequence::DeleteCopy { force: true };
    }
    match replica.state {
        ReplicaState::Invalid | ReplicaState::Deleted => Consequence::None,
        _ if replica.empty => Consequence::None,
        ReplicaState::Closed => Consequence::Restore(ContainerState::Closed),
        _ => Consequence::Restore(ContainerState::QuasiClosed),
    }
}

/// The containers that a full report names.
pub fn named_containers(report: &ContainerReportsProto) -> FxHashSet<ContainerId> {
    report.reports.iter().filter_map(container_id).collect()
}

fn container_id(report: &ContainerReplicaProto) -> Option<ContainerId> {
    u64::try_from(report.container_id).ok().filter(|id| *id > 0).map(ContainerId)
}

fn replica_index(report: &ContainerReplicaProto) -> u8 {
    u8::try_from(report.replica_index.unwrap_or(0)).unwrap_or(0)
}
