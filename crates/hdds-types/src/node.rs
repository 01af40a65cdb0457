//! How a datanode is, and what it is meant to do.

use std::fmt;

/// Health as SCM sees it from heartbeats (`HddsProtos.NodeState`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum NodeHealth {
    /// Heartbeats arrive.
    Healthy,
    /// Heartbeats arrive, but the layout is older than SCM's: no new pipelines.
    HealthyReadonly,
    /// No heartbeat for the stale interval: its pipelines are closed.
    Stale,
    /// No heartbeat for the dead interval: its replicas are written off.
    Dead,
}

/// What the operator wants of a datanode (`HddsProtos.NodeOperationalState`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum OperationalState {
    /// Takes part.
    #[default]
    InService,
    /// Leaving: its replicas are being copied away.
    Decommissioning,
    /// Has left.
    Decommissioned,
    /// About to be switched off for a while.
    EnteringMaintenance,
    /// Switched off for a while; its replicas still count.
    InMaintenance,
}

impl NodeHealth {
    /// The name on the wire and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Healthy => "HEALTHY",
            Self::HealthyReadonly => "HEALTHY_READONLY",
            Self::Stale => "STALE",
            Self::Dead => "DEAD",
        }
    }
}

impl OperationalState {
    /// The name on the wire, in JSON and in `datanode.id`.
    pub fn name(self) -> &'static str {
        match self {
            Self::InService => "IN_SERVICE",
            Self::Decommissioning => "DECOMMISSIONING",
            Self::Decommissioned => "DECOMMISSIONED",
            Self::EnteringMaintenance => "ENTERING_MAINTENANCE",
            Self::InMaintenance => "IN_MAINTENANCE",
        }
    }
}

impl fmt::Display for NodeHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for OperationalState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
