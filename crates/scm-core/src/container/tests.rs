use hdds_proto::hdds::container_replica_proto::State;
use hdds_proto::hdds::scm_command_proto::Type;
use hdds_proto::hdds::{
    ContainerAction, ContainerActionsProto, ContainerReportsProto, ScmCommandProto,
};
use hdds_types::{ContainerEvent, ContainerId, ContainerState};

use crate::rules::UnknownContainer;
use crate::test_world::{World, kinds, node_id, replica};
use crate::{Call, convert};

fn state(world: &World, id: ContainerId) -> ContainerState {
    world.core.ledger.container(id).unwrap().state
}

fn ready_with_container() -> (World, ContainerId) {
    let mut world = World::ready(3);
    let id = world.container();
    for number in 1..=3 {
        world.beat_plain(number);
    }
    (world, id)
}

#[test]
fn a_full_container_closes_once_its_writers_had_their_time() {
    let (mut world, id) = ready_with_container();
    let mut heartbeat = world.heartbeat(1);
    heartbeat.container_actions = Some(ContainerActionsProto {
        container_actions: vec![ContainerAction {
            container_id: id.0.cast_signed(),
            action: 1,
            reason: Some(1),
        }],
    });
    world.beat(&heartbeat);
    assert_eq!(state(&world, id), ContainerState::Closing);
    world.core.close_expired_containers(world.now);
    assert!(world.beat_plain(1).is_empty());

    world.pass(world.core.rules.close_wait_ms);
    world.core.close_expired_containers(world.now);
    for number in 1..=3 {
        let commands = world.beat_plain(number);
        assert_eq!(kinds(&commands), [Type::CloseContainerCommand]);
        let close = commands[0].close_container_command_proto.as_ref().unwrap();
        assert_eq!(close.force, Some(false));
        let pipeline = world.core.ledger.container(id).unwrap().pipeline;
        assert_eq!(convert::pipeline_id(&close.pipeline_id), pipeline);
    }
    world.report(1, replica(id.0, State::Closed, 8, 100));
    assert_eq!(state(&world, id), ContainerState::Closed);
    assert_eq!(world.core.ledger.container(id).unwrap().sequence, 8);
}

#[test]
fn an_unheard_close_is_sent_again() {
    let (mut world, id) = ready_with_container();
    world.core.close_container(id, world.now);
    world.settle();
    for wait in [world.core.rules.close_wait_ms, world.core.rules.close_resend_ms] {
        world.pass(wait);
        world.core.close_expired_containers(world.now);
        assert_eq!(kinds(&world.beat_plain(1)), [Type::CloseContainerCommand]);
    }
}

#[test]
fn a_copy_that_is_not_open_closes_the_container() {
    let (mut world, id) = ready_with_container();
    world.report(2, replica(id.0, State::Unhealthy, 3, 100));
    assert_eq!(state(&world, id), ContainerState::Closing);
}

#[test]
fn a_closed_copy_that_is_behind_does_not_count() {
    let (mut world, id) = ready_with_container();
    world.core.close_container(id, world.now);
    world.settle();
    world.report(1, replica(id.0, State::Closing, 9, 100));
    world.report(2, replica(id.0, State::Closed, 5, 100));
    assert_eq!(state(&world, id), ContainerState::Closing);
    world.report(3, replica(id.0, State::Closed, 9, 100));
    assert_eq!(state(&world, id), ContainerState::Closed);
}

#[test]
fn quasi_closed_copies_from_all_origins_close_for_good() {
    let (mut world, id) = ready_with_container();
    world.core.close_container(id, world.now);
    world.settle();
    let quasi = |number, sequence| {
        let mut copy = replica(id.0, State::QuasiClosed, sequence, 100);
        copy.origin_node_id = Some(node_id(number).to_string());
        copy
    };
    assert!(world.report(1, quasi(1, 4)).is_empty());
    assert_eq!(state(&world, id), ContainerState::QuasiClosed);
    assert!(world.report(2, quasi(2, 6)).is_empty());
    world.report(3, quasi(3, 6));
    let commands = world.beat_plain(2);
    assert_eq!(kinds(&commands), [Type::CloseContainerCommand]);
    assert_eq!(commands[0].close_container_command_proto.as_ref().unwrap().force, Some(true));
    assert!(world.beat_plain(1).is_empty(), "the older copy is not the truth");
    world.report(2, replica(id.0, State::Closed, 6, 100));
    assert_eq!(state(&world, id), ContainerState::Closed);
}

#[test]
fn a_copy_that_was_left_open_is_closed_when_it_is_reported() {
    let (mut world, id) = ready_with_container();
    world.core.close_container(id, world.now);
    world.settle();
    let told = |commands: &[ScmCommandProto]| -> Vec<Option<bool>> {
        let close = commands.iter().filter_map(|c| c.close_container_command_proto.as_ref());
        close.map(|close| close.force).collect()
    };
    assert!(world.report(1, replica(id.0, State::Open, 4, 100)).is_empty());
    world.report(2, replica(id.0, State::Closed, 4, 100));
    assert_eq!(state(&world, id), ContainerState::Closed);
    // Its pipeline may still close it as it should; if there is none, it becomes quasi-closed…
    assert_eq!(told(&world.report(1, replica(id.0, State::Open, 4, 100))), [Some(false)]);
    // …and is closed for good if it has everything.
    assert_eq!(told(&world.report(1, replica(id.0, State::QuasiClosed, 4, 100))), [Some(true)]);
    assert!(world.report(1, replica(id.0, State::Closed, 4, 100)).is_empty());
    assert!(world.report(3, replica(id.0, State::QuasiClosed, 3, 100)).is_empty());
}

#[test]
fn a_full_report_drops_what_it_does_not_name() {
    let (mut world, id) = ready_with_container();
    world.full_report(1, &ContainerReportsProto::default());
    assert_eq!(world.core.ledger.container(id).unwrap().replicas.len(), 2);
    world.report(2, replica(id.0, State::Deleted, 0, 0));
    assert_eq!(world.core.ledger.container(id).unwrap().replicas.len(), 1);
}

#[test]
fn copies_of_deleted_containers_are_removed_and_fresher_data_comes_back() {
    let (mut world, id) = ready_with_container();
    let events = [
        ContainerEvent::Finalize,
        ContainerEvent::Close,
        ContainerEvent::Delete,
        ContainerEvent::Cleanup,
    ];
    for event in events {
        world.apply(Call::UpdateContainerState { id, event, sequence: 10 });
    }
    let mut empty = replica(id.0, State::Closed, 10, 0);
    empty.is_empty = Some(true);
    let commands = world.report(1, empty);
    assert!(!commands[0].delete_container_command_proto.as_ref().unwrap().force);
    let commands = world.report(2, replica(id.0, State::Closed, 10, 100));
    assert!(commands[0].delete_container_command_proto.as_ref().unwrap().force);
    assert_eq!(state(&world, id), ContainerState::Deleted);
    world.report(3, replica(id.0, State::Open, 10, 100));
    assert_eq!(state(&world, id), ContainerState::QuasiClosed);
}

#[test]
fn unknown_containers_are_deleted_only_where_the_operator_says_so() {
    let (mut world, _) = ready_with_container();
    let stranger = || replica(500, State::Closed, 1, 10);
    assert!(world.report(1, stranger()).is_empty());
    world.core.rules.unknown_container = UnknownContainer::Delete;
    assert_eq!(kinds(&world.report(1, stranger())), [Type::DeleteContainerCommand]);
    let beyond = replica(1_000_000, State::Open, 1, 10);
    assert!(world.report(1, beyond).is_empty(), "it may be on its way through the log");
}

#[test]
fn a_closed_container_is_read_through_its_copies() {
    let (mut world, id) = ready_with_container();
    world.core.close_container(id, world.now);
    world.settle();
    for number in 1..=2 {
        world.report(number, replica(id.0, State::Closed, 1, 100));
    }
    let container = world.core.ledger.container(id).unwrap().clone();
    let pipeline = world.core.read_pipeline(&container, world.now);
    assert_eq!(pipeline.members.len(), 3);
    assert_eq!(pipeline.r#type, Some(1));
    assert_ne!(convert::pipeline_id(&pipeline.id), container.pipeline);
}

#[test]
fn no_more_containers_are_made_than_datanodes_have_room_for() {
    let mut world = World::ready(3);
    // 100 GB per datanode hold two containers of 40 GB.
    world.core.rules.container_bytes = 40 << 30;
    world.allocate(40);
    let made = world.core.ledger.containers_total();
    assert_eq!(made, 2);
    for number in 1..=3 {
        assert_eq!(world.core.nodes.get(node_id(number)).unwrap().pending.len(), 2);
        world.report(number, replica(1, State::Open, 0, 1));
        assert_eq!(world.core.nodes.get(node_id(number)).unwrap().pending.len(), 1);
    }
}

#[test]
fn a_container_that_no_datanode_made_closes_in_the_end() {
    let mut world = World::ready(3);
    let id = world.allocate(1)[0].container;
    world.core.close_container(id, world.now);
    world.settle();
    for _ in 0..5 {
        assert_eq!(state(&world, id), ContainerState::Closing);
        world.pass(world.core.rules.close_resend_ms);
        world.core.close_expired_containers(world.now);
        world.settle();
    }
    assert_eq!(state(&world, id), ContainerState::Closed);
}

#[test]
fn an_open_container_whose_pipeline_is_closed_closes_too() {
    let (mut world, id) = ready_with_container();
    let pipeline = world.core.ledger.container(id).unwrap().pipeline.unwrap();
    // As a leader leaves it that dies half way.
    let closed = hdds_types::PipelineState::Closed;
    world.apply(Call::UpdatePipelineState { id: pipeline, state: closed });
    assert_eq!(state(&world, id), ContainerState::Open);
    world.core.close_expired_containers(world.now);
    world.settle();
    assert_eq!(state(&world, id), ContainerState::Closing);
}
