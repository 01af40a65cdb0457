//! HEALTHY → STALE → DEAD and back (`NodeStateManager`).

use hdds_types::{DatanodeId, NodeHealth, OperationalState};

use super::{Command, LAYOUT_VERSION};
use crate::{Core, Millis};

impl NodeTimes {
    /// The state after a check: by how long ago it was heard, and whether its layout fits.
    fn next(&self, health: NodeHealth) -> NodeHealth {
        let fresh = self.silent_ms < self.stale_after_ms;
        match health {
            NodeHealth::Healthy | NodeHealth::HealthyReadonly if !fresh => NodeHealth::Stale,
            NodeHealth::Stale if fresh => NodeHealth::HealthyReadonly,
            NodeHealth::Dead if fresh => NodeHealth::HealthyReadonly,
            NodeHealth::Stale if self.silent_ms >= self.dead_after_ms => NodeHealth::Dead,
            NodeHealth::HealthyReadonly if self.layout_fits => NodeHealth::Healthy,
            NodeHealth::Healthy if !self.layout_fits => NodeHealth::HealthyReadonly,
            unchanged => unchanged,
        }
    }
}

struct NodeTimes {
    silent_ms: Millis,
    stale_after_ms: Millis,
    dead_after_ms: Millis,
    layout_fits: bool,
}

impl Core {
    /// Checks every datanode; called at every turn of the health checker
    /// (`ozone.scm.heartbeat.thread.interval`).
    pub fn check_nodes(&mut self, now: Millis) {
        let ids: Vec<DatanodeId> = self.nodes.iter().map(|node| node.id).collect();
        for id in ids {
            self.check_node(id, now);
        }
    }

    /// Moves one datanode on, step by step, until its state fits.
    pub(super) fn check_node(&mut self, id: DatanodeId, now: Millis) {
        loop {
            let Some(node) = self.nodes.get_mut(id) else { return };
            let times = NodeTimes {
                silent_ms: now.saturating_sub(node.last_heartbeat),
                stale_after_ms: self.rules.stale_after_ms,
                dead_after_ms: self.rules.dead_after_ms,
                layout_fits: node.metadata_layout >= LAYOUT_VERSION,
            };
            let next = times.next(node.health);
            if next == node.health {
                return;
            }
            let resurrected = node.health == NodeHealth::Dead;
            node.health = next;
            if resurrected {
                // Its copies were written off: a registration brings the full report.
                self.send(id, Command::Reregister);
            }
            match next {
                NodeHealth::Stale => self.close_pipelines_of(id, now),
                NodeHealth::Dead => self.bury(id, now),
                NodeHealth::Healthy => self.want_pipelines(),
                NodeHealth::HealthyReadonly => {}
            }
        }
    }

    /// A datanode is dead: what it held is written off (`DeadNodeHandler`).
    fn bury(&mut self, id: DatanodeId, now: Millis) {
        self.close_pipelines_of(id, now);
        let Some(node) = self.nodes.get_mut(id) else { return };
        node.queue.clear();
        let index = node.index;
        let keeps_replicas = node.operational == OperationalState::InMaintenance;
        let containers: Vec<_> = node.containers.iter().copied().collect();
        for container in containers {
            let open = self
                .ledger
                .container(container)
                .is_some_and(|c| c.state == hdds_types::ContainerState::Open);
            if open {
                self.close_container(container, now);
            }
            if !keeps_replicas {
                self.drop_replica(container, index);
            }
        }
        self.deletion.forget_node(id);
    }
}
