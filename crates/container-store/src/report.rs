//! A container as reports to SCM carry it.

use std::sync::atomic::Ordering;

use hdds_proto::hdds::{ContainerReplicaProto, container_replica_proto::State};

use crate::{Container, ReplicaState};

/// The line of a report; `None` for replicas that are not reported in their state.
pub fn replica(container: &Container) -> Option<ContainerReplicaProto> {
    let state = container.state();
    state.reported().map(|state| line(container, state))
}

/// The line that takes a replica off SCM's books.
pub fn deleted(container: &Container) -> ContainerReplicaProto {
    line(container, State::Deleted)
}

fn line(container: &Container, state: State) -> ContainerReplicaProto {
    let counters = &container.counters;
    let unsigned = |counter: &std::sync::atomic::AtomicU64| {
        Some(counter.load(Ordering::Relaxed).cast_signed())
    };
    let blocks = container.blocks();
    let closed = matches!(
        container.state(),
        ReplicaState::Closed | ReplicaState::QuasiClosed | ReplicaState::Unhealthy
    );
    ContainerReplicaProto {
        container_id: container.id().0.cast_signed(),
        state: state.into(),
        size: Some(container.bytes_max().cast_signed()),
        used: unsigned(&counters.bytes_used),
        key_count: Some(blocks),
        read_count: unsigned(&counters.reads),
        write_count: unsigned(&counters.writes),
        read_bytes: unsigned(&counters.read_bytes),
        write_bytes: unsigned(&counters.write_bytes),
        delete_transaction_id: Some(counters.delete_transaction.load(Ordering::Relaxed)),
        block_commit_sequence_id: Some(container.bcsid()),
        origin_node_id: Some(container.origin_node()),
        replica_index: Some(container.replica_index().cast_signed()),
        is_empty: Some(closed && blocks == 0 && container.bytes_used() == 0),
        ..ContainerReplicaProto::default()
    }
}
