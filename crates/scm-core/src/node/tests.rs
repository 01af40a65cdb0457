use hdds_proto::hdds::LayoutVersionProto;
use hdds_proto::hdds::scm_command_proto::Type;
use hdds_types::{ContainerState, NodeHealth, PipelineState, ReplicationConfig};

use crate::Rules;
use crate::test_world::{World, details, kinds, node_id};

fn health(world: &World, number: u8) -> NodeHealth {
    world.core.nodes.get(node_id(number)).unwrap().health
}

#[test]
fn a_silent_datanode_is_stale_then_dead_and_comes_back_healthy() {
    let mut world = World::ready(4);
    let (stale, dead) = (world.core.rules.stale_after_ms, world.core.rules.dead_after_ms);
    world.pass(stale);
    for number in 2..=4 {
        world.beat_plain(number);
    }
    world.core.check_nodes(world.now);
    assert_eq!(health(&world, 1), NodeHealth::Stale);
    assert_eq!(health(&world, 2), NodeHealth::Healthy);

    world.pass(dead - stale);
    for number in 2..=4 {
        world.beat_plain(number);
    }
    world.core.check_nodes(world.now);
    assert_eq!(health(&world, 1), NodeHealth::Dead);

    let commands = world.beat_plain(1);
    assert_eq!(health(&world, 1), NodeHealth::Healthy);
    assert!(kinds(&commands).contains(&Type::ReregisterCommand), "its copies were written off");
}

#[test]
fn the_pipelines_of_a_stale_datanode_close() {
    let mut world = World::ready(3);
    let container = world.container();
    world.pass(world.core.rules.stale_after_ms);
    world.beat_plain(2);
    world.beat_plain(3);
    world.core.check_nodes(world.now);
    world.settle();
    assert!(world.pipelines(ReplicationConfig::DEFAULT, PipelineState::Open).is_empty());
    assert_eq!(world.core.ledger.container(container).unwrap().state, ContainerState::Closing);
    assert_eq!(world.core.ledger.container(container).unwrap().replicas.len(), 3);
}

#[test]
fn the_copies_of_a_dead_datanode_are_written_off() {
    let mut world = World::ready(3);
    let container = world.container();
    world.pass(world.core.rules.dead_after_ms);
    world.beat_plain(2);
    world.beat_plain(3);
    world.core.check_nodes(world.now);
    assert_eq!(world.core.ledger.container(container).unwrap().replicas.len(), 2);
}

#[test]
fn a_datanode_that_is_not_registered_is_told_to() {
    let mut world = World::new(Rules::default());
    let commands = world.beat_plain(1);
    assert_eq!(kinds(&commands), [Type::ReregisterCommand]);
    assert_eq!(commands[0].term, Some(1));
    assert_eq!(commands[0].encoded_token.as_deref(), Some(""));
}

#[test]
fn another_software_layout_is_refused_and_an_older_data_layout_is_read_only() {
    let mut world = World::new(Rules::default());
    let mut request = hdds_proto::hdds::ScmRegisterRequestProto::default();
    request.extended_datanode_details.datanode_details = details(1);
    let layout = |metadata, software| {
        Some(LayoutVersionProto {
            metadata_layout_version: metadata,
            software_layout_version: software,
        })
    };
    for software in [9, 11] {
        request.data_node_layout_version = layout(9, software);
        let answer = world.core.register(&request, None, world.now).unwrap();
        assert!(answer.refused.is_some());
        assert_eq!(answer.response.error_code, 2);
    }
    request.data_node_layout_version = layout(9, 10);
    let answer = world.core.register(&request, Some("10.9.9.9"), world.now).unwrap();
    assert_eq!(answer.refused, None);
    assert_eq!(answer.response.ip_address.as_deref(), Some("10.9.9.9"));
    assert_eq!(answer.response.network_location.as_deref(), Some("/default-rack"));
    assert_eq!(health(&world, 1), NodeHealth::HealthyReadonly);

    let mut heartbeat = world.heartbeat(1);
    heartbeat.data_node_layout_version = layout(10, 10);
    world.beat(&heartbeat);
    assert_eq!(health(&world, 1), NodeHealth::Healthy);
}

#[test]
fn a_follower_takes_reports_but_gives_no_orders() {
    let mut world = World::new(Rules::default());
    world.core.become_follower();
    for number in 1..=3 {
        world.register(number);
    }
    assert_eq!(world.core.nodes.len(), 3);
    assert!(world.applied.is_empty());
    let answer = world.core.take_commands(node_id(1));
    assert!(answer.commands.is_empty());
    assert_eq!(answer.term, None);
}
