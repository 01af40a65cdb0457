//! Closing a container (`CloseContainerEventHandler`): first no new blocks, then time for writers to
//! finish, then the word to its datanodes.

use hdds_types::{
    ContainerEvent, ContainerId, ContainerState, DatanodeId, PipelineId, ReplicationConfig,
};
use smallvec::SmallVec;

use crate::ledger::ReplicaState;
use crate::node::{Command, NodeIndex};
use crate::{Call, Core, Millis};

/// Containers told to close in one turn of the service; the rest in the next.
const CLOSES_PER_TURN_MAX: usize = 10_000;

/// Turns of resending after which a container without any copy counts as never made.
const PHANTOM_TURNS: u64 = 5;

impl Core {
    /// Somebody wants this container closed: a full copy, a failing pipeline, an operator.
    pub fn close_container(&mut self, id: ContainerId, now: Millis) {
        if self.leader_term.is_none() {
            return;
        }
        let Some(container) = self.ledger.container(id) else { return };
        match container.state {
            ContainerState::Open => {
                let (event, sequence) = (ContainerEvent::Finalize, container.sequence);
                self.propose(Call::UpdateContainerState { id, event, sequence });
            }
            ContainerState::Closing => self.lease(id, now),
            _ => {}
        }
    }

    /// Gives writers of a CLOSING container time to finish. A second wish during that time is nothing
    /// new.
    pub(crate) fn lease(&mut self, id: ContainerId, now: Millis) {
        self.closing.entry(id).or_insert(now + self.rules.close_wait_ms);
    }

    /// Tells datanodes to close containers whose time is up; again after a while, until they did.
    pub fn close_expired_containers(&mut self, now: Millis) {
        if self.leader_term.is_none() || self.safe_mode.is_active() {
            return;
        }
        let due: Vec<ContainerId> = self
            .closing
            .iter()
            .filter(|(_, deadline)| **deadline <= now)
            .map(|(id, _)| *id)
            .take(CLOSES_PER_TURN_MAX)
            .collect();
        for id in due {
            let state = self.ledger.container(id).map(|container| container.state);
            if state != Some(ContainerState::Closing) {
                self.closing.remove(&id);
                continue;
            }
            self.closing.insert(id, now + self.rules.close_resend_ms);
            if !self.close_phantom(id, now) {
                self.send_close(id);
            }
        }
        // A leader may have died between closing a pipeline and its containers.
        for id in self.ledger.open_containers_without_pipeline() {
            self.close_container(id, now);
        }
    }

    /// A container that no datanode ever made: nobody will report it closed
    /// (`ClosingContainerHandler`).
    fn close_phantom(&mut self, id: ContainerId, now: Millis) -> bool {
        let Some(container) = self.ledger.container(id) else { return false };
        let age = now.saturating_sub(container.state_entered_ms);
        let patience = PHANTOM_TURNS * self.rules.close_resend_ms;
        if !container.replicas.is_empty() || container.keys > 0 || age < patience {
            return false;
        }
        let (event, sequence) = (ContainerEvent::Close, container.sequence);
        self.propose(Call::UpdateContainerState { id, event, sequence });
        true
    }

    /// To the members of the pipeline, or to whoever holds a copy when it is gone.
    fn send_close(&mut self, id: ContainerId) {
        let Some(container) = self.ledger.container(id) else { return };
        let force = !matches!(container.replication, ReplicationConfig::Ratis(_));
        let pipeline = container.pipeline.unwrap_or(PipelineId(uuid::Uuid::nil()));
        let members = match self.ledger.pipeline(pipeline) {
            Some(pipeline) => pipeline.members.clone(),
            None => {
                let holders = container.replicas.iter().filter(|replica| {
                    matches!(replica.state, ReplicaState::Open | ReplicaState::Closing)
                });
                holders.filter_map(|replica| self.nodes.id(replica.node)).collect()
            }
        };
        for member in members {
            self.send(member, Command::CloseContainer { container: id, pipeline, force });
        }
    }

    /// A copy that is open although its container is not any more: its datanode could not close it
    /// then, or was not there. Or one that is only quasi-closed and has all that the closed ones have
    /// (`MismatchedReplicasHandler`). Deleted blocks leave only closed copies.
    pub(crate) fn close_left_copy(&mut self, id: ContainerId, node: DatanodeId, index: NodeIndex) {
        let Some(container) = self.ledger.container(id) else { return };
        let Some(replica) = container.replica(index) else { return };
        let is_ratis = matches!(container.replication, ReplicationConfig::Ratis(_));
        let force = match (container.state, replica.state) {
            (
                ContainerState::QuasiClosed | ContainerState::Closed,
                ReplicaState::Open | ReplicaState::Closing,
            ) => !is_ratis,
            (ContainerState::Closed, ReplicaState::QuasiClosed)
                if container.sequence == replica.sequence =>
            {
                true
            }
            _ => return,
        };
        let pipeline = container.pipeline.unwrap_or(PipelineId(uuid::Uuid::nil()));
        if self.leader_term.is_some() {
            self.send(node, Command::CloseContainer { container: id, pipeline, force });
        }
    }

    /// A QUASI_CLOSED container whose copies stem from every datanode that wrote it: the freshest are
    /// right, and are closed for good (`QuasiClosedContainerHandler`).
    pub(crate) fn force_close_if_all_origins_are_seen(&mut self, id: ContainerId) {
        let Some(container) = self.ledger.container(id) else { return };
        if container.state != ContainerState::QuasiClosed || self.leader_term.is_none() {
            return;
        }
        let mut origins: SmallVec<[_; 4]> = SmallVec::new();
        let (mut best, mut best_unhealthy) = (i64::MIN, i64::MIN);
        for replica in &container.replicas {
            match replica.state {
                ReplicaState::QuasiClosed => best = best.max(replica.sequence),
                ReplicaState::Unhealthy => best_unhealthy = best_unhealthy.max(replica.sequence),
                _ => continue,
            }
            if let Some(origin) = replica.origin.filter(|origin| !origins.contains(origin)) {
                origins.push(origin);
            }
        }
        let required = container.replication.required_nodes();
        if origins.len() < required || best < best_unhealthy {
            return;
        }
        let pipeline = container.pipeline.unwrap_or(PipelineId(uuid::Uuid::nil()));
        let freshest: SmallVec<[_; 3]> = container
            .replicas
            .iter()
            .filter(|r| r.state == ReplicaState::QuasiClosed && r.sequence == best)
            .filter_map(|replica| self.nodes.id(replica.node))
            .collect();
        for node in freshest {
            self.send(node, Command::CloseContainer { container: id, pipeline, force: true });
        }
    }
}
