//! A container and its replicas.

use std::sync::Arc;

use hdds_proto::hdds::{ContainerInfoProto, container_replica_proto::State as WireState};
use hdds_types::{ContainerId, ContainerState, PipelineId, ReplicationConfig};
use smallvec::SmallVec;

use crate::node::NodeIndex;
use crate::{Ledger, Millis, convert};

/// A container as SCM knows it.
#[derive(Clone, Debug)]
pub struct Container {
    /// Id.
    pub id: ContainerId,
    /// Where it stands in its life.
    pub state: ContainerState,
    /// How it is made redundant.
    pub replication: ReplicationConfig,
    /// Where it was written; the pipeline may be gone.
    pub pipeline: Option<PipelineId>,
    /// Who writes to it, usually an OM service id.
    pub owner: Arc<str>,
    /// When it came to its state.
    pub state_entered_ms: Millis,
    /// Highest deletion sent to datanodes.
    pub delete_transaction: i64,
    /// Highest block commit sequence id known.
    pub sequence: i64,
    /// Left out of admin reports.
    pub suppressed: bool,
    /// Observed: bytes in use.
    pub used_bytes: u64,
    /// Observed: blocks.
    pub keys: u64,
    /// Observed: who holds a copy.
    pub replicas: SmallVec<[Replica; 3]>,
}

/// State of a copy on a datanode (`ContainerReplicaProto.State`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReplicaState {
    /// Takes writes.
    Open,
    /// Takes no new writes.
    Closing,
    /// Closed without a quorum.
    QuasiClosed,
    /// Immutable.
    Closed,
    /// Damaged.
    Unhealthy,
    /// To be ignored.
    Invalid,
    /// Removed.
    Deleted,
}

impl ReplicaState {
    /// From the wire.
    pub fn from_wire(number: i32) -> Option<Self> {
        Some(match WireState::try_from(number).ok()? {
            WireState::Open => Self::Open,
            WireState::Closing => Self::Closing,
            WireState::QuasiClosed => Self::QuasiClosed,
            WireState::Closed => Self::Closed,
            WireState::Unhealthy => Self::Unhealthy,
            WireState::Invalid => Self::Invalid,
            WireState::Deleted => Self::Deleted,
        })
    }

    /// The name in admin output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "OPEN",
            Self::Closing => "CLOSING",
            Self::QuasiClosed => "QUASI_CLOSED",
            Self::Closed => "CLOSED",
            Self::Unhealthy => "UNHEALTHY",
            Self::Invalid => "INVALID",
            Self::Deleted => "DELETED",
        }
    }
}

/// A copy of a container on a datanode.
#[derive(Clone, Debug)]
pub struct Replica {
    /// The datanode.
    pub node: NodeIndex,
    /// Its state there.
    pub state: ReplicaState,
    /// Position in an EC group, from 1; 0 for full copies.
    pub index: u8,
    /// Closed and without blocks.
    pub empty: bool,
    /// Highest block commit sequence id.
    pub sequence: i64,
    /// Bytes in use.
    pub used_bytes: u64,
    /// Blocks.
    pub keys: u64,
    /// The datanode that first created it, if reported.
    pub origin: Option<NodeIndex>,
    /// Checksum over its blocks.
    pub checksum: i64,
}

impl Container {
    /// From the wire or table.
    pub fn from_proto(proto: &ContainerInfoProto, ledger: &mut Ledger) -> Option<Self> {
        let replication = convert::replication(
            proto.replication_type,
            proto.replication_factor,
            proto.ec_replication_config.as_ref(),
        )?;
        Some(Self {
            id: ContainerId(u64::try_from(proto.container_id).ok().filter(|id| *id > 0)?),
            state: convert::container_state(proto.state)?,
            replication,
            pipeline: proto.pipeline_id.as_ref().and_then(convert::pipeline_id),
            owner: ledger.owner(&proto.owner),
            state_entered_ms: proto.state_enter_time.unwrap_or(0).max(0).cast_unsigned(),
            delete_transaction: proto.delete_transaction_id.unwrap_or(0),
            sequence: proto.sequence_id.unwrap_or(0),
            suppressed: proto.suppressed.unwrap_or(false),
            used_bytes: proto.used_bytes,
            keys: proto.number_of_keys,
            replicas: SmallVec::new(),
        })
    }

    /// For the wire and table (`ContainerInfo.getProtobuf`).
    pub fn to_proto(&self) -> ContainerInfoProto {
        let (kind, factor, ec) = convert::replication_proto(self.replication);
        ContainerInfoProto {
            container_id: self.id.0.cast_signed(),
            state: convert::container_state_proto(self.state).into(),
            pipeline_id: self.pipeline.map(convert::pipeline_id_proto),
            used_bytes: self.used_bytes,
            number_of_keys: self.keys,
            state_enter_time: Some(self.state_entered_ms.cast_signed()),
            owner: self.owner.to_string(),
            delete_transaction_id: Some(self.delete_transaction),
            sequence_id: Some(self.sequence),
            replication_factor: factor,
            replication_type: kind.into(),
            ec_replication_config: ec,
            suppressed: self.suppressed.then_some(true),
        }
    }

    /// The copy on a datanode.
    pub fn replica(&self, node: NodeIndex) -> Option<&Replica> {
        self.replicas.iter().find(|replica| replica.node == node)
    }

    /// Recomputes use from the copies: while OPEN what every copy has, later what any copy has
    /// (`AbstractContainerReportHandler.updateContainerStats`).
    pub(crate) fn update_use(&mut self) {
        let data = match self.replication {
            ReplicationConfig::Ec(ec) => ec.data,
            _ => 0,
        };
        // Of an EC group only the first and the parity copies hold something of every block.
        let counts = |r: &&Replica| r.index <= 1 || u32::from(r.index) > data;
        let copies = || self.replicas.iter().filter(counts);
        let (used, keys) = if self.state == ContainerState::Open {
            (copies().map(|r| r.used_bytes).min(), copies().map(|r| r.keys).min())
        } else {
            (copies().map(|r| r.used_bytes).max(), copies().map(|r| r.keys).max())
        };
        if let (Some(used), Some(keys)) = (used, keys) {
            (self.used_bytes, self.keys) = (used, keys);
        }
    }
}
