use hdds_proto::hdds::container_replica_proto::State;
use hdds_types::{ContainerEvent, ContainerId, ContainerState, PipelineState, ReplicationConfig};
use ozone_db::{Batch, MemoryStore};

use super::load::local_id_start;
use super::*;
use crate::test_world::{START, World, replica};
use crate::{Call, tables};

#[test]
fn local_ids_start_at_the_turn_of_the_year() {
    assert_eq!(local_id_start(START), 1_798_761_600_000 << 16);
    assert_eq!(local_id_start(START), 117_883_640_217_600_000);
}

#[test]
fn a_restart_finds_everything_in_the_tables() {
    let mut world = World::ready(3);
    let container = world.container();
    let open = world.pipelines(ReplicationConfig::DEFAULT, PipelineState::Open);
    let last = world.core.ledger.last_id(sequence::LOCAL_ID);
    let before = world.core.ledger.container(container).unwrap().to_proto();

    let world = world.restart();
    assert!(world.core.safe_mode.is_active());
    assert_eq!(world.pipelines(ReplicationConfig::DEFAULT, PipelineState::Open), open);
    assert_eq!(world.core.ledger.last_id(sequence::LOCAL_ID), last);
    let mut after = world.core.ledger.container(container).unwrap().to_proto();
    // What replicas use is reported anew, not stored.
    (after.used_bytes, after.number_of_keys) = (before.used_bytes, before.number_of_keys);
    assert_eq!(after, before);
    let pipeline = world.core.ledger.container(container).unwrap().pipeline.unwrap();
    assert!(world.core.ledger.open_containers(pipeline).any(|id| id == container));
}

#[test]
fn a_batch_of_ids_goes_to_whoever_knows_the_last_one() {
    let mut ledger = Ledger::default();
    let mut batch = Batch::default();
    let call = |expected, last| Call::AllocateBatch { name: "localId".to_owned(), expected, last };
    let mut apply = |call| ledger.apply(&call, START, &mut batch).unwrap();
    assert_eq!(apply(call(0, 1000)), crate::log::Answer::Boolean(true));
    assert_eq!(apply(call(0, 1000)), crate::log::Answer::Boolean(false));
    assert_eq!(apply(call(1000, 2000)), crate::log::Answer::Boolean(true));
    assert_eq!(ledger.last_id("localId"), 2000);
}

#[test]
fn a_new_leader_skips_what_the_old_one_had_in_stock() {
    let mut world = World::ready(3);
    let first = world.allocate(1)[0].local;
    assert_eq!(first, local_id_start(START) + 1);
    world.core.become_leader(2, world.now);
    let next = world.allocate(1)[0].local;
    assert!(next >= local_id_start(START) + 1000, "{next}");
    assert_eq!((next - 1 - local_id_start(START)) % 1000, 0);
}

#[test]
fn a_container_that_is_gone_comes_back_only_from_deletion() {
    let mut world = World::ready(3);
    let id = world.container();
    let refused = Call::RestoreContainer { id, to: ContainerState::Closed };
    let mut batch = Batch::default();
    let ledger = &mut world.core.ledger;
    assert!(ledger.apply(&refused, START, &mut batch).is_err());
    for event in [
        ContainerEvent::Finalize,
        ContainerEvent::Close,
        ContainerEvent::Delete,
        ContainerEvent::Cleanup,
    ] {
        let call = Call::UpdateContainerState { id, event, sequence: 9 };
        ledger.apply(&call, START, &mut batch).unwrap();
    }
    assert_eq!(ledger.container(id).unwrap().state, ContainerState::Deleted);
    ledger.apply(&refused, START, &mut batch).unwrap();
    assert_eq!(ledger.container(id).unwrap().state, ContainerState::Closed);
    assert_eq!(ledger.container_count(ContainerState::Closed), 1);
    assert_eq!(ledger.container_count(ContainerState::Deleted), 0);
}

#[test]
fn calls_that_the_state_does_not_allow_are_refused_alike() {
    let mut world = World::ready(3);
    let open = world.pipelines(ReplicationConfig::DEFAULT, PipelineState::Open)[0];
    let mut batch = Batch::default();
    let ledger = &mut world.core.ledger;
    let error = ledger.apply(&Call::RemovePipeline(open), START, &mut batch).unwrap_err();
    assert!(error.class.ends_with("InvalidPipelineStateException"), "{}", error.class);
    let error =
        ledger.apply(&Call::RemoveContainer(ContainerId(999)), START, &mut batch).unwrap_err();
    assert!(error.class.ends_with("ContainerNotFoundException"), "{}", error.class);
    let missing = Call::UpdateContainerState {
        id: ContainerId(999),
        event: ContainerEvent::Finalize,
        sequence: 0,
    };
    ledger.apply(&missing, START, &mut batch).unwrap();
    assert!(batch.is_empty());
}

#[test]
fn use_is_the_least_while_open_and_the_most_later() {
    let mut world = World::ready(3);
    let id = world.container();
    world.report(1, replica(id.0, State::Open, 5, 300));
    world.report(2, replica(id.0, State::Open, 5, 200));
    assert_eq!(world.core.ledger.container(id).unwrap().used_bytes, 100);
    world.core.close_container(id, world.now);
    world.settle();
    world.report(3, replica(id.0, State::Closing, 5, 250));
    assert_eq!(world.core.ledger.container(id).unwrap().used_bytes, 300);
}

#[test]
fn the_log_position_is_read_as_java_writes_it() {
    let store = MemoryStore::default();
    assert_eq!(tables::transaction_info(&store).unwrap(), None);
    let mut batch = Batch::default();
    tables::put_transaction_info(&mut batch, 3, 42);
    ozone_db::Store::write(&store, batch, ozone_db::Durability::Memory).unwrap();
    assert_eq!(tables::transaction_info(&store).unwrap(), Some((3, 42)));
}
