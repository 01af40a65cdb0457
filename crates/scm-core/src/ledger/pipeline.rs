//! A pipeline.

use hdds_proto::hdds;
use hdds_types::{ContainerId, DatanodeId, PipelineId, PipelineState, ReplicationConfig};
use smallvec::SmallVec;

use crate::{Millis, convert};

/// A pipeline as SCM knows it.
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// Id, also of its Raft group.
    pub id: PipelineId,
    /// How it replicates.
    pub replication: ReplicationConfig,
    /// Where it stands in its life.
    pub state: PipelineState,
    /// Its datanodes, in the order of creation.
    pub members: SmallVec<[DatanodeId; 3]>,
    /// When it was made.
    pub created_ms: Millis,
    /// As it was replicated; holds the members' addresses of that time.
    pub wire: Box<hdds::Pipeline>,
    /// Observed: members that have reported it.
    pub reported: SmallVec<[DatanodeId; 3]>,
    /// Observed: who leads.
    pub leader: Option<DatanodeId>,
    /// Observed: since when it is in its state.
    pub state_entered_ms: Millis,
    /// Observed: the container that got the last block.
    pub last_used: ContainerId,
}

impl Pipeline {
    /// From the wire or table; `None` when a needed field is missing or wrong.
    pub fn from_proto(wire: &hdds::Pipeline, now: Millis) -> Option<Self> {
        let replication = convert::replication(
            wire.r#type.unwrap_or(hdds::ReplicationType::StandAlone.into()),
            wire.factor,
            wire.ec_replication_config.as_ref(),
        )?;
        let state = wire.state.unwrap_or(hdds::PipelineState::PipelineAllocated.into());
        Some(Self {
            id: convert::pipeline_id(&wire.id)?,
            replication,
            state: convert::pipeline_state(state)?,
            members: wire.members.iter().map(convert::datanode_id).collect::<Option<_>>()?,
            created_ms: wire.creation_time_stamp.unwrap_or(0),
            wire: Box::new(wire.clone()),
            reported: SmallVec::new(),
            leader: None,
            state_entered_ms: now,
            last_used: ContainerId(0),
        })
    }

    /// For the table, and for the wire before members' addresses are brought up to date
    /// (`Pipeline.getProtobufMessage`).
    pub fn to_proto(&self) -> hdds::Pipeline {
        hdds::Pipeline { members: self.wire.members.clone(), ..self.without_members() }
    }

    /// The same without the members, which views bring up to date.
    pub(crate) fn without_members(&self) -> hdds::Pipeline {
        let wire = &self.wire;
        hdds::Pipeline {
            members: Vec::new(),
            state: Some(convert::pipeline_state_proto(self.state).into()),
            r#type: wire.r#type,
            factor: wire.factor,
            id: wire.id.clone(),
            leader_id: Some(self.leader.map(|id| id.to_string()).unwrap_or_default()),
            member_orders: Vec::new(),
            creation_time_stamp: wire.creation_time_stamp,
            suggested_leader_id: wire.suggested_leader_id,
            member_replica_indexes: wire.member_replica_indexes.clone(),
            ec_replication_config: wire.ec_replication_config.clone(),
            leader_id128: None,
            leader_datanode_id: self.leader.map(convert::datanode_id_proto),
            suggested_leader_datanode_id: wire.suggested_leader_datanode_id,
        }
    }

    /// Every member has reported it and the leader is known.
    pub fn is_healthy(&self) -> bool {
        self.leader.is_some() && self.members.iter().all(|member| self.reported.contains(member))
    }
}
