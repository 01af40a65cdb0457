use std::collections::BTreeMap;

use hdds_proto::hdds::scm_command_proto::Type;
use hdds_proto::hdds::{
    ClosePipelineInfo, PipelineAction, PipelineActionsProto, PipelineReport, PipelineReportsProto,
};
use hdds_types::{PipelineId, PipelineState, ReplicationConfig, ReplicationFactor};

use crate::test_world::{World, details, kinds, node_id};
use crate::{Rules, convert};

const THREE: ReplicationConfig = ReplicationConfig::Ratis(ReplicationFactor::Three);
const ONE: ReplicationConfig = ReplicationConfig::Ratis(ReplicationFactor::One);

#[test]
fn pipelines_are_made_as_soon_as_enough_datanodes_registered() {
    let mut world = World::new(Rules::default());
    world.register(1);
    world.register(2);
    assert!(world.applied.is_empty());
    world.register(3);
    // Two per datanode of three members each; one each of one member.
    assert_eq!(world.pipelines(THREE, PipelineState::Allocated).len(), 2);
    assert_eq!(world.pipelines(ONE, PipelineState::Allocated).len(), 3);
    let commands = world.beat_plain(1);
    assert_eq!(kinds(&commands), [Type::CreatePipelineCommand; 3]);
    let create = commands[0].create_pipeline_command_proto.as_ref().unwrap();
    assert_eq!(create.datanode.len(), 3);
    assert_eq!(create.priority.iter().sum::<i32>(), 1);
    assert_ne!(create.cmd_id, 0);
}

#[test]
fn leaders_are_spread_over_datanodes() {
    let world = World::ready(6);
    let mut leaders: BTreeMap<_, usize> = BTreeMap::new();
    for pipeline in world.core.ledger.pipelines().filter(|p| p.replication == THREE) {
        let leader = pipeline.wire.suggested_leader_datanode_id.as_ref().unwrap();
        *leaders.entry(convert::uuid(&leader.uuid)).or_default() += 1;
    }
    assert_eq!(leaders.values().sum::<usize>(), 4);
    assert!(leaders.values().all(|count| *count == 1), "{leaders:?}");
}

#[test]
fn a_pipeline_opens_when_every_member_and_the_leader_have_reported() {
    let mut world = World::new(Rules::default());
    for number in 1..=3 {
        world.register(number);
    }
    let id = world.pipelines(THREE, PipelineState::Allocated)[0];
    let report = |world: &mut World, number, leads| {
        let mut heartbeat = world.heartbeat(number);
        heartbeat.pipeline_reports = Some(PipelineReportsProto {
            pipeline_report: vec![PipelineReport {
                pipeline_id: convert::pipeline_id_proto(id),
                is_leader: leads,
                ..PipelineReport::default()
            }],
        });
        world.beat(&heartbeat);
        world.core.ledger.pipeline(id).unwrap().state
    };
    assert_eq!(report(&mut world, 1, false), PipelineState::Allocated);
    assert_eq!(report(&mut world, 2, false), PipelineState::Allocated);
    assert_eq!(report(&mut world, 3, false), PipelineState::Allocated);
    assert_eq!(report(&mut world, 2, true), PipelineState::Open);
    let view = world.core.pipeline_view(world.core.ledger.pipeline(id).unwrap());
    assert_eq!(view.leader_id.as_deref(), Some(node_id(2).to_string().as_str()));
}

#[test]
fn a_failing_pipeline_closes_and_is_removed_after_its_time() {
    let mut world = World::ready(3);
    for number in 1..=3 {
        world.beat_plain(number);
    }
    let id = world.pipelines(THREE, PipelineState::Open)[0];
    let mut heartbeat = world.heartbeat(2);
    heartbeat.pipeline_actions = Some(PipelineActionsProto {
        pipeline_actions: vec![PipelineAction {
            action: 1,
            close_pipeline: Some(ClosePipelineInfo {
                pipeline_id: convert::pipeline_id_proto(id),
                ..ClosePipelineInfo::default()
            }),
        }],
    });
    world.beat(&heartbeat);
    assert_eq!(world.core.ledger.pipeline(id).unwrap().state, PipelineState::Closed);
    // Another takes its place.
    assert_eq!(world.pipelines(THREE, PipelineState::Allocated).len(), 1);

    world.core.scrub_pipelines(world.now);
    world.settle();
    assert!(world.core.ledger.pipeline(id).is_some());
    world.pass(world.core.rules.pipeline_destroy_timeout_ms);
    world.core.scrub_pipelines(world.now);
    world.settle();
    assert!(world.core.ledger.pipeline(id).is_none());
    let commands = world.beat_plain(1);
    assert!(kinds(&commands).contains(&Type::ClosePipelineCommand));
}

#[test]
fn a_pipeline_that_never_opens_is_given_up() {
    let mut world = World::new(Rules::default());
    for number in 1..=3 {
        world.register(number);
    }
    let first = world.pipelines(THREE, PipelineState::Allocated);
    world.pass(world.core.rules.pipeline_allocated_timeout_ms);
    world.core.scrub_pipelines(world.now);
    world.settle();
    let closed = world.pipelines(THREE, PipelineState::Closed);
    assert_eq!(closed, first);
}

#[test]
fn a_pipeline_that_nobody_knows_is_left() {
    let mut world = World::ready(3);
    let unknown: PipelineId = "00000000-0000-4000-8000-000000000009".parse().unwrap();
    world.beat_plain(1);
    let mut heartbeat = world.heartbeat(1);
    heartbeat.pipeline_reports = Some(PipelineReportsProto {
        pipeline_report: vec![PipelineReport {
            pipeline_id: convert::pipeline_id_proto(unknown),
            is_leader: true,
            ..PipelineReport::default()
        }],
    });
    assert_eq!(kinds(&world.beat(&heartbeat)), [Type::ClosePipelineCommand]);
}

#[test]
fn a_datanode_under_a_new_address_gets_new_pipelines() {
    let mut world = World::ready(3);
    let old = world.pipelines(THREE, PipelineState::Open);
    let mut moved = details(1);
    moved.ip_address = "10.0.1.1".to_owned();
    world.register_with(1, moved, Vec::new());
    assert_eq!(world.pipelines(THREE, PipelineState::Closed), old);
    assert_eq!(world.pipelines(THREE, PipelineState::Allocated).len(), 2);
}

#[test]
fn a_member_that_missed_the_word_hears_it_when_it_registers_again() {
    let mut world = World::new(Rules::default());
    for number in 1..=3 {
        world.register(number);
    }
    world.beat_plain(1);
    let id = world.pipelines(THREE, PipelineState::Allocated)[0];
    world.core.heartbeat(&world.heartbeat(1), world.now);
    let reports = PipelineReportsProto::default();
    let mut request = hdds_proto::hdds::ScmRegisterRequestProto::default();
    request.extended_datanode_details.datanode_details = details(1);
    request.pipeline_reports = reports;
    request.data_node_layout_version = Some(hdds_proto::hdds::LayoutVersionProto {
        metadata_layout_version: 10,
        software_layout_version: 10,
    });
    world.core.register(&request, Some("10.0.0.1"), world.now).unwrap();
    let commands = world.beat_plain(1);
    let again = commands.iter().filter_map(|c| c.create_pipeline_command_proto.as_ref());
    assert!(again.into_iter().any(|c| convert::pipeline_id(&c.pipeline_id) == Some(id)));
}

#[test]
fn two_racks_share_a_pipeline_two_and_one() {
    let mut world = World::new(Rules::default());
    for number in 1..=4 {
        let mut place = details(number);
        let rack = if number <= 2 { "/rack1" } else { "/rack2" };
        place.network_location = Some(rack.to_owned());
        world.register_with(number, place, Vec::new());
    }
    world.settle();
    let mut mixed = 0;
    for pipeline in world.core.ledger.pipelines().filter(|p| p.replication == THREE) {
        let on_first =
            pipeline.members.iter().filter(|id| **id == node_id(1) || **id == node_id(2)).count();
        mixed += usize::from(on_first == 1 || on_first == 2);
    }
    let all = world.core.ledger.pipelines().filter(|p| p.replication == THREE).count();
    assert!(all > 0);
    assert_eq!(mixed, all);
}

#[test]
fn datanodes_without_room_get_no_pipeline() {
    let mut world = World::new(Rules { container_bytes: 200 << 30, ..Rules::default() });
    for number in 1..=3 {
        world.register(number);
    }
    assert!(world.core.ledger.pipelines().next().is_none());
    let error = world.core.create_pipeline(THREE, world.now).unwrap_err();
    assert!(error.to_string().contains("Required 3. Found 0"), "{error}");
}

#[test]
fn a_stand_alone_pipeline_is_open_at_once() {
    let mut world = World::ready(3);
    let alone = ReplicationConfig::StandAlone(ReplicationFactor::One);
    let id = world.core.create_pipeline(alone, world.now).unwrap();
    world.settle();
    assert_eq!(world.core.ledger.pipeline(id).unwrap().state, PipelineState::Open);
    let mut commands = (1..=3).flat_map(|number| world.beat_plain(number));
    assert!(commands.next().is_none(), "nobody has to be told");
}

#[test]
fn hundreds_of_datanodes_all_get_their_pipelines() {
    let mut world = World::new(Rules::default());
    for number in 1..=250 {
        world.register(number);
    }
    world.open_pipelines();
    assert_eq!(world.pipelines(ONE, PipelineState::Open).len(), 250);
    assert_eq!(world.pipelines(THREE, PipelineState::Open).len(), 166);
}
