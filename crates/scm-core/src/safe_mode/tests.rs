use hdds_proto::hdds::container_replica_proto::State;
use hdds_types::{PipelineState, ReplicationConfig};

use crate::Rules;
use crate::test_world::{World, details, replica};

fn holds(world: &World, name: &str) -> bool {
    let rules = world.core.safe_mode_rules();
    rules.iter().find(|rule| rule.name == name).unwrap().holds
}

#[test]
fn a_new_cluster_leaves_safe_mode_with_its_first_pipeline() {
    let mut world = World::new(Rules::default());
    world.register(1);
    world.register(2);
    assert!(!world.core.safe_mode.is_pre_checked());
    world.register(3);
    assert!(world.core.safe_mode.is_pre_checked());
    assert!(holds(&world, "DataNodeSafeModeRule"));
    assert!(!holds(&world, "HealthyPipelineSafeModeRule"));
    assert!(world.core.missing_for_writes().unwrap().contains("safe mode"));
    world.open_pipelines();
    assert!(!world.core.safe_mode.is_active());
    assert_eq!(world.core.missing_for_writes(), None);
}

#[test]
fn one_datanode_is_enough_where_the_operator_says_so() {
    let mut world = World::new(Rules { safe_mode_datanodes_min: 1, ..Rules::default() });
    world.register(1);
    assert!(!world.core.safe_mode.is_active());
    assert!(world.core.missing_for_writes().is_some());
    world.open_pipelines();
    assert_eq!(world.core.missing_for_writes(), None);
}

#[test]
fn after_a_restart_containers_and_pipelines_must_be_reported() {
    let mut world = World::ready(3);
    let id = world.container();
    world.core.close_container(id, world.now);
    world.settle();
    world.report(1, replica(id.0, State::Closed, 0, 100));
    // The row of the close holds the use as of then.
    let mut world = world.restart();
    assert_eq!(world.pipelines(ReplicationConfig::DEFAULT, PipelineState::Open).len(), 2);
    assert!(!holds(&world, "RatisContainerSafeModeRule"));
    assert!(!holds(&world, "OneReplicaPipelineSafeModeRule"));
    let text = &world.core.safe_mode_rules()[0].text;
    assert!(text.starts_with("0.00% of [RATIS] Containers(0 / 1) with at least N"), "{text}");

    world.register_with(1, details(1), vec![replica(id.0, State::Closed, 0, 100)]);
    assert!(holds(&world, "RatisContainerSafeModeRule"));
    assert!(holds(&world, "OneReplicaPipelineSafeModeRule"));
    assert!(world.core.safe_mode.is_active());
    world.register(2);
    world.register(3);
    assert!(!world.core.safe_mode.is_active(), "{:?}", world.core.safe_mode_rules());
}

#[test]
fn an_operator_can_end_safe_mode() {
    let mut world = World::new(Rules::default());
    assert!(world.core.safe_mode.is_active());
    assert!(world.core.force_exit_safe_mode(world.now));
    assert!(!world.core.safe_mode.is_active());
}
