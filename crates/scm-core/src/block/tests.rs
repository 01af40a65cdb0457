use std::collections::BTreeSet;

use hdds_proto::block::Status;
use hdds_proto::hdds::container_blocks_deletion_ack_proto::DeleteBlockTransactionResult;
use hdds_proto::hdds::container_replica_proto::State;
use hdds_proto::hdds::scm_command_proto::Type;
use hdds_proto::hdds::{
    CommandStatus, CommandStatusReportsProto, ContainerBlocksDeletionAckProto, ScmCommandProto,
};
use hdds_types::{ContainerId, PipelineState, ReplicationConfig};

use super::*;
use crate::test_world::{World, block_request, kinds, replica};
use crate::{Call, Rules};

#[test]
fn blocks_are_handed_out_without_a_log_entry_each() {
    let mut world = World::ready(3);
    world.allocate(1);
    world.allocate(20);
    let before = world.applied.len();
    let blocks = world.allocate(500);
    assert_eq!(world.applied.len(), before);
    let locals: BTreeSet<i64> = blocks.iter().map(|block| block.local).collect();
    assert_eq!(locals.len(), 500);
    assert!(blocks.iter().all(|block| block.pipeline.members.len() == 3));
    let ports = &blocks[0].pipeline.members[0].ports;
    assert!(ports.iter().all(|port| port.name != "HTTP"), "{ports:?}");
}

#[test]
fn the_next_batch_of_ids_is_fetched_before_the_last_is_used_up() {
    let mut world = World::ready(3);
    world.allocate(1);
    let request = block_request(100);
    for _ in 0..50 {
        let mut blocks = Vec::new();
        let outcome = world.core.allocate_blocks(&request, &mut blocks, world.now);
        assert!(matches!(outcome, Allocation::Done), "{outcome:?}");
        world.settle();
    }
}

#[test]
fn blocks_spread_over_containers_and_skip_full_and_excluded_ones() {
    let mut world = World::ready(3);
    world.allocate(30);
    let used: BTreeSet<ContainerId> =
        world.allocate(60).iter().map(|block| block.container).collect();
    // Two pipelines with 1 + (3 * 1 - 1) / 2 containers each.
    assert_eq!(used.len(), 4, "{used:?}");

    let full = *used.first().unwrap();
    let size = world.core.rules.container_bytes.cast_signed();
    for number in 1..=3 {
        world.report(number, replica(full.0, State::Open, 1, size - 1000));
    }
    assert!(world.allocate(60).iter().all(|block| block.container != full));

    let mut request = block_request(60);
    request.excluded_containers = used.iter().take(2).map(|id| id.0.cast_signed()).collect();
    let mut blocks = Vec::new();
    while !matches!(world.core.allocate_blocks(&request, &mut blocks, world.now), Allocation::Done)
    {
        world.settle();
    }
    let excluded = |block: &AllocatedBlock| {
        request.excluded_containers.contains(&block.container.0.cast_signed())
    };
    assert!(!blocks.iter().any(excluded));
}

#[test]
fn excluded_pipelines_are_avoided_unless_nothing_else_is_there() {
    let mut world = World::ready(3);
    world.allocate(30);
    let open = world.pipelines(ReplicationConfig::DEFAULT, PipelineState::Open);
    let mut request = block_request(20);
    request.excluded_pipelines = vec![open[0]];
    let mut blocks = Vec::new();
    world.core.allocate_blocks(&request, &mut blocks, world.now);
    let used = |block: &AllocatedBlock| crate::convert::pipeline_id(&block.pipeline.id).unwrap();
    assert!(blocks.iter().all(|block| used(block) == open[1]));
    request.excluded_pipelines = open;
    let mut blocks = Vec::new();
    let outcome = world.core.allocate_blocks(&request, &mut blocks, world.now);
    assert!(matches!(outcome, Allocation::Done), "{outcome:?}");
}

#[test]
fn safe_mode_and_oversized_blocks_are_refused() {
    let mut world = World::new(Rules::default());
    let mut blocks = Vec::new();
    let refuse = |world: &mut World, request: &BlockRequest, blocks: &mut Vec<_>| match world
        .core
        .allocate_blocks(request, blocks, world.now)
    {
        Allocation::Refused(error) => error,
        other => panic!("{other:?}"),
    };
    let error = refuse(&mut world, &block_request(1), &mut blocks);
    assert_eq!(error.code, Status::SafeModeException);
    assert_eq!(error.message, "SafeModePrecheck failed for allocateBlock");
    world.core.force_exit_safe_mode(world.now);
    let mut request = block_request(1);
    request.size = world.core.rules.container_bytes + 1;
    assert_eq!(refuse(&mut world, &request, &mut blocks).code, Status::InvalidBlockSize);
    let error = refuse(&mut world, &block_request(1), &mut blocks);
    assert!(error.message.starts_with("Unable to allocate a container to the block of size: "));
}

#[test]
fn a_missing_pipeline_is_made_and_waited_for() {
    let mut world = World::ready(3);
    let mut request = block_request(1);
    request.replication = ReplicationConfig::DEFAULT;
    for id in world.pipelines(ReplicationConfig::DEFAULT, PipelineState::Open) {
        world.core.close_pipeline(id, world.now);
    }
    world.settle();
    let mut blocks = Vec::new();
    let outcome = world.core.allocate_blocks(&request, &mut blocks, world.now);
    assert!(matches!(outcome, Allocation::Wait(_)), "{outcome:?}");
    world.settle();
    world.open_pipelines();
    assert_eq!(world.allocate(1).len(), 1);
}

fn deletion(world: &mut World, blocks: &[DeletedKeyBlock]) {
    for _ in 0..5 {
        if let Some(call) = world.core.plan_deletion(blocks) {
            return world.apply(call);
        }
        world.settle();
    }
    panic!("no ids");
}

fn acknowledge(world: &mut World, number: u8, commands: &[ScmCommandProto]) {
    let deletes = commands.iter().filter_map(|c| c.delete_blocks_command_proto.as_ref());
    let cmd_status = deletes
        .map(|command| CommandStatus {
            cmd_id: command.cmd_id,
            status: 2,
            r#type: Type::DeleteBlocksCommand.into(),
            msg: None,
            block_deletion_ack: Some(ContainerBlocksDeletionAckProto {
                results: command
                    .deleted_blocks_transactions
                    .iter()
                    .map(|t| DeleteBlockTransactionResult {
                        tx_id: t.tx_id,
                        container_id: t.container_id,
                        success: true,
                    })
                    .collect(),
                dn_id: String::new(),
            }),
        })
        .collect();
    let mut heartbeat = world.heartbeat(number);
    heartbeat.command_status_reports = vec![CommandStatusReportsProto { cmd_status }];
    world.beat(&heartbeat);
}

#[test]
fn deleted_blocks_are_forgotten_when_every_copy_has_confirmed() {
    let mut world = World::ready(3);
    let id = world.container();
    world.pass(world.core.rules.wait_after_safe_mode_ms);
    for number in 1..=3 {
        world.beat_plain(number);
    }
    let blocks = [
        DeletedKeyBlock { container: id, local: 1, sizes: Some((10, 30, 10)) },
        DeletedKeyBlock { container: id, local: 2, sizes: Some((10, 30, 10)) },
    ];
    deletion(&mut world, &blocks);
    assert_eq!(world.core.ledger.deleted.len(), 1);
    assert_eq!(world.core.ledger.deleted.summary().total_block_size, Some(20));

    world.core.delete_blocks(world.now);
    assert!(world.beat_plain(1).is_empty(), "the container is still open");
    world.apply(Call::UpdateContainerState {
        id,
        event: hdds_types::ContainerEvent::Finalize,
        sequence: 0,
    });
    world.core.delete_blocks(world.now);
    let commands: Vec<_> = (1..=3).map(|number| world.beat_plain(number)).collect();
    for commands in &commands {
        assert_eq!(kinds(commands), [Type::DeleteBlocksCommand]);
        let delete = commands[0].delete_blocks_command_proto.as_ref().unwrap();
        assert_eq!(delete.deleted_blocks_transactions[0].local_id, [1, 2]);
    }
    world.core.delete_blocks(world.now);
    assert!(world.beat_plain(1).is_empty(), "it is under way");

    acknowledge(&mut world, 1, &commands[0]);
    acknowledge(&mut world, 2, &commands[1]);
    assert_eq!(world.core.ledger.deleted.len(), 1);
    acknowledge(&mut world, 3, &commands[2]);
    assert!(world.core.ledger.deleted.is_empty());
    assert_eq!(world.core.ledger.deleted.summary().total_block_size, Some(0));
}

#[test]
fn a_deletion_without_an_answer_is_sent_again() {
    let mut world = World::ready(3);
    let id = world.container();
    world.core.close_container(id, world.now);
    world.settle();
    deletion(&mut world, &[DeletedKeyBlock { container: id, local: 1, sizes: None }]);
    world.pass(world.core.rules.wait_after_safe_mode_ms);
    for number in 1..=3 {
        world.beat_plain(number);
    }
    for _ in 0..2 {
        world.core.delete_blocks(world.now);
        assert!(kinds(&world.beat_plain(1)).contains(&Type::DeleteBlocksCommand));
        world.pass(world.core.rules.deletion_timeout_ms);
        for number in 1..=3 {
            world.beat_plain(number);
        }
    }
}

#[test]
fn deletions_in_containers_that_are_gone_are_forgotten() {
    let mut world = World::ready(3);
    world.pass(world.core.rules.wait_after_safe_mode_ms);
    let nowhere = DeletedKeyBlock { container: ContainerId(999), local: 1, sizes: None };
    deletion(&mut world, &[nowhere]);
    world.core.delete_blocks(world.now);
    world.settle();
    assert!(world.core.ledger.deleted.is_empty());
}
