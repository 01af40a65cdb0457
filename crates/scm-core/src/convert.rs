//! Between messages and types.

use hdds_proto::hdds;
use hdds_types::{
    ContainerEvent, ContainerState, DatanodeId, Ec, EcCodec, NodeHealth, OperationalState,
    PipelineId, PipelineState, ReplicationConfig, ReplicationFactor,
};
use uuid::Uuid;

/// A UUID from Java's halves.
pub fn uuid(proto: &hdds::Uuid) -> Uuid {
    Uuid::from_u64_pair(proto.most_sig_bits.cast_unsigned(), proto.least_sig_bits.cast_unsigned())
}

/// Java's halves of a UUID.
pub fn uuid_proto(id: Uuid) -> hdds::Uuid {
    let (most, least) = id.as_u64_pair();
    hdds::Uuid { most_sig_bits: most.cast_signed(), least_sig_bits: least.cast_signed() }
}

/// A pipeline's id in any of its two forms.
pub fn pipeline_id(proto: &hdds::PipelineId) -> Option<PipelineId> {
    match &proto.uuid128 {
        Some(halves) => Some(PipelineId(uuid(halves))),
        None => proto.id.as_deref()?.parse().ok(),
    }
}

/// A pipeline's id in both forms.
pub fn pipeline_id_proto(id: PipelineId) -> hdds::PipelineId {
    hdds::PipelineId { id: Some(id.to_string()), uuid128: Some(uuid_proto(id.0)) }
}

/// A datanode's id in any of its three forms.
pub fn datanode_id(proto: &hdds::DatanodeDetailsProto) -> Option<DatanodeId> {
    if let Some(id) = &proto.id {
        return Some(DatanodeId(uuid(&id.uuid)));
    }
    match &proto.uuid128 {
        Some(halves) => Some(DatanodeId(uuid(halves))),
        None => proto.uuid.as_deref()?.parse().ok(),
    }
}

/// A datanode's id alone.
pub fn datanode_id_proto(id: DatanodeId) -> hdds::DatanodeIdProto {
    hdds::DatanodeIdProto { uuid: uuid_proto(id.0) }
}

/// A replication from its three fields; `None` when they do not fit each other.
pub fn replication(
    kind: i32,
    factor: Option<i32>,
    ec: Option<&hdds::EcReplicationConfig>,
) -> Option<ReplicationConfig> {
    let factor = || match factor? {
        1 => Some(ReplicationFactor::One),
        3 => Some(ReplicationFactor::Three),
        _ => None,
    };
    match hdds::ReplicationType::try_from(kind).ok()? {
        hdds::ReplicationType::Ratis => factor().map(ReplicationConfig::Ratis),
        hdds::ReplicationType::StandAlone => factor().map(ReplicationConfig::StandAlone),
        hdds::ReplicationType::Ec => ec.and_then(erasure_code).map(ReplicationConfig::Ec),
        hdds::ReplicationType::Chained | hdds::ReplicationType::None => None,
    }
}

fn erasure_code(proto: &hdds::EcReplicationConfig) -> Option<Ec> {
    let codec = match proto.codec.to_ascii_lowercase().as_str() {
        "rs" => EcCodec::Rs,
        "xor" => EcCodec::Xor,
        _ => return None,
    };
    let positive = |n: i32| u32::try_from(n).ok().filter(|n| *n > 0);
    Some(Ec {
        codec,
        data: positive(proto.data)?,
        parity: positive(proto.parity)?,
        chunk_bytes: positive(proto.ec_chunk_size)?,
    })
}

/// The three fields of a replication: type, factor, erasure code.
pub fn replication_proto(
    config: ReplicationConfig,
) -> (hdds::ReplicationType, Option<i32>, Option<hdds::EcReplicationConfig>) {
    let count = |factor: ReplicationFactor| Some(factor.count() as i32);
    match config {
        ReplicationConfig::Ratis(factor) => (hdds::ReplicationType::Ratis, count(factor), None),
        ReplicationConfig::StandAlone(factor) => {
            (hdds::ReplicationType::StandAlone, count(factor), None)
        }
        ReplicationConfig::Ec(ec) => {
            let proto = hdds::EcReplicationConfig {
                data: ec.data.cast_signed(),
                parity: ec.parity.cast_signed(),
                codec: match ec.codec {
                    EcCodec::Rs => "rs".to_owned(),
                    EcCodec::Xor => "xor".to_owned(),
                },
                ec_chunk_size: ec.chunk_bytes.cast_signed(),
            };
            (hdds::ReplicationType::Ec, None, Some(proto))
        }
    }
}

/// A container's state; `None` for RECOVERING, which only datanodes use.
pub fn container_state(number: i32) -> Option<ContainerState> {
    use hdds::LifeCycleState as P;
    match P::try_from(number).ok()? {
        P::Open => Some(ContainerState::Open),
        P::Closing => Some(ContainerState::Closing),
        P::QuasiClosed => Some(ContainerState::QuasiClosed),
        P::Closed => Some(ContainerState::Closed),
        P::Deleting => Some(ContainerState::Deleting),
        P::Deleted => Some(ContainerState::Deleted),
        P::Recovering => None,
    }
}

/// The wire's name of a container's state.
pub fn container_state_proto(state: ContainerState) -> hdds::LifeCycleState {
    use hdds::LifeCycleState as P;
    match state {
        ContainerState::Open => P::Open,
        ContainerState::Closing => P::Closing,
        ContainerState::QuasiClosed => P::QuasiClosed,
        ContainerState::Closed => P::Closed,
        ContainerState::Deleting => P::Deleting,
        ContainerState::Deleted => P::Deleted,
    }
}

/// A container's event.
pub fn container_event(number: i32) -> Option<ContainerEvent> {
    use hdds::LifeCycleEvent as P;
    Some(match P::try_from(number).ok()? {
        P::Finalize => ContainerEvent::Finalize,
        P::QuasiClose => ContainerEvent::QuasiClose,
        P::Close => ContainerEvent::Close,
        P::ForceClose => ContainerEvent::ForceClose,
        P::Delete => ContainerEvent::Delete,
        P::Cleanup => ContainerEvent::Cleanup,
    })
}

/// The wire's name of a container's event.
pub fn container_event_proto(event: ContainerEvent) -> hdds::LifeCycleEvent {
    use hdds::LifeCycleEvent as P;
    match event {
        ContainerEvent::Finalize => P::Finalize,
        ContainerEvent::QuasiClose => P::QuasiClose,
        ContainerEvent::Close => P::Close,
        ContainerEvent::ForceClose => P::ForceClose,
        ContainerEvent::Delete => P::Delete,
        ContainerEvent::Cleanup => P::Cleanup,
    }
}

/// A pipeline's state.
pub fn pipeline_state(number: i32) -> Option<PipelineState> {
    use hdds::PipelineState as P;
    Some(match P::try_from(number).ok()? {
        P::PipelineAllocated => PipelineState::Allocated,
        P::PipelineOpen => PipelineState::Open,
        P::PipelineDormant => PipelineState::Dormant,
        P::PipelineClosed => PipelineState::Closed,
    })
}

/// The wire's name of a pipeline's state.
pub fn pipeline_state_proto(state: PipelineState) -> hdds::PipelineState {
    use hdds::PipelineState as P;
    match state {
        PipelineState::Allocated => P::PipelineAllocated,
        PipelineState::Open => P::PipelineOpen,
        PipelineState::Dormant => P::PipelineDormant,
        PipelineState::Closed => P::PipelineClosed,
    }
}

/// The wire's name of a node's health.
pub fn node_health_proto(health: NodeHealth) -> hdds::NodeState {
    match health {
        NodeHealth::Healthy => hdds::NodeState::Healthy,
        NodeHealth::HealthyReadonly => hdds::NodeState::HealthyReadonly,
        NodeHealth::Stale => hdds::NodeState::Stale,
        NodeHealth::Dead => hdds::NodeState::Dead,
    }
}

/// A node's operational state.
pub fn operational_state(number: i32) -> Option<OperationalState> {
    use hdds::NodeOperationalState as P;
    Some(match P::try_from(number).ok()? {
        P::InService => OperationalState::InService,
        P::Decommissioning => OperationalState::Decommissioning,
        P::Decommissioned => OperationalState::Decommissioned,
        P::EnteringMaintenance => OperationalState::EnteringMaintenance,
        P::InMaintenance => OperationalState::InMaintenance,
    })
}

/// The wire's name of a node's operational state.
pub fn operational_state_proto(state: OperationalState) -> hdds::NodeOperationalState {
    use hdds::NodeOperationalState as P;
    match state {
        OperationalState::InService => P::InService,
        OperationalState::Decommissioning => P::Decommissioning,
        OperationalState::Decommissioned => P::Decommissioned,
        OperationalState::EnteringMaintenance => P::EnteringMaintenance,
        OperationalState::InMaintenance => P::InMaintenance,
    }
}
