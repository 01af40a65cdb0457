//! Commands that wait for a datanode's next heartbeat.

use std::collections::VecDeque;

use hdds_proto::hdds::scm_command_proto::Type;
use hdds_proto::hdds::{
    CloseContainerCommandProto, ClosePipelineCommandProto, CommandQueueReportProto,
    CreatePipelineCommandProto, DeleteBlocksCommandProto, DeleteContainerCommandProto,
    ReregisterCommandProto, ScmCommandProto, SetNodeOperationalStateCommandProto,
};
use hdds_types::{ContainerId, OperationalState, PipelineId};
use rustc_hash::FxHashMap;

use crate::convert;

/// What SCM tells a datanode. Ids are filled in when it is queued.
#[derive(Clone, Debug)]
pub enum Command {
    /// SCM does not know you.
    Reregister,
    /// Delete blocks.
    DeleteBlocks(Box<DeleteBlocksCommandProto>),
    /// Close your copy.
    CloseContainer {
        /// Container.
        container: ContainerId,
        /// Its pipeline.
        pipeline: PipelineId,
        /// Without the pipeline's agreement.
        force: bool,
    },
    /// Delete your copy.
    DeleteContainer {
        /// Container.
        container: ContainerId,
        /// Even if not empty.
        force: bool,
        /// Position in an EC group; 0 for full copies.
        index: u8,
    },
    /// Join a Raft group.
    CreatePipeline(Box<CreatePipelineCommandProto>),
    /// Leave a Raft group.
    ClosePipeline(PipelineId),
    /// Remember what you are meant to do.
    SetOperationalState {
        /// State.
        state: OperationalState,
        /// Until, in seconds since the epoch; 0 = for good.
        expiry: i64,
    },
}

impl Command {
    fn into_proto(self, id: i64) -> ScmCommandProto {
        let mut proto = ScmCommandProto {
            encoded_token: Some(String::new()),
            deadline_ms_since_epoch: Some(0),
            ..ScmCommandProto::default()
        };
        let kind = match self {
            Self::Reregister => {
                proto.reregister_command_proto = Some(Box::new(ReregisterCommandProto {}));
                Type::ReregisterCommand
            }
            Self::DeleteBlocks(mut command) => {
                command.cmd_id = id;
                proto.delete_blocks_command_proto = Some(command);
                Type::DeleteBlocksCommand
            }
            Self::CloseContainer { container, pipeline, force } => {
                proto.close_container_command_proto = Some(Box::new(CloseContainerCommandProto {
                    container_id: container.0.cast_signed(),
                    pipeline_id: convert::pipeline_id_proto(pipeline),
                    cmd_id: id,
                    force: Some(force),
                }));
                Type::CloseContainerCommand
            }
            Self::DeleteContainer { container, force, index } => {
                proto.delete_container_command_proto =
                    Some(Box::new(DeleteContainerCommandProto {
                        container_id: container.0.cast_signed(),
                        cmd_id: id,
                        force,
                        replica_index: Some(index.into()),
                    }));
                Type::DeleteContainerCommand
            }
            Self::CreatePipeline(mut command) => {
                command.cmd_id = id;
                proto.create_pipeline_command_proto = Some(command);
                Type::CreatePipelineCommand
            }
            Self::ClosePipeline(pipeline) => {
                let pipeline_id = convert::pipeline_id_proto(pipeline);
                proto.close_pipeline_command_proto =
                    Some(Box::new(ClosePipelineCommandProto { pipeline_id, cmd_id: id }));
                Type::ClosePipelineCommand
            }
            Self::SetOperationalState { state, expiry } => {
                let command = SetNodeOperationalStateCommandProto {
                    cmd_id: id,
                    node_operational_state: convert::operational_state_proto(state).into(),
                    state_expiry_epoch_seconds: expiry,
                };
                proto.set_node_operational_state_command_proto = Some(Box::new(command));
                Type::SetNodeOperationalStateCommand
            }
        };
        proto.command_type = kind.into();
        proto
    }
}

/// Bounded; what does not fit is dropped and comes again from the service that wanted it.
#[derive(Clone, Debug, Default)]
pub struct CommandQueue {
    waiting: VecDeque<ScmCommandProto>,
    /// Commands that the datanode itself has not worked off, by type, as last reported.
    reported: FxHashMap<i32, u32>,
}

impl CommandQueue {
    /// Adds a command with this id. False when the queue is full.
    pub(crate) fn push(&mut self, command: Command, id: i64, limit: usize) -> bool {
        if self.waiting.len() >= limit {
            return false;
        }
        self.waiting.push_back(command.into_proto(id));
        true
    }

    /// Takes up to `limit` commands, marked with the leader's term.
    pub(crate) fn take(&mut self, limit: usize, term: Option<i64>) -> Vec<ScmCommandProto> {
        let count = self.waiting.len().min(limit);
        let mut commands: Vec<_> = self.waiting.drain(..count).collect();
        for command in &mut commands {
            command.term = term;
        }
        commands
    }

    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
        self.reported.clear();
    }

    pub(crate) fn report(&mut self, report: &CommandQueueReportProto) {
        let counts = report.command.iter().copied().zip(report.count.iter().copied());
        self.reported = counts.collect();
    }

    /// Commands waiting here.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits here.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Commands of a type waiting here.
    pub fn waiting(&self, kind: Type) -> usize {
        self.waiting.iter().filter(|command| command.command_type == i32::from(kind)).count()
    }

    /// Commands of a type waiting here and at the datanode.
    pub fn total(&self, kind: Type) -> usize {
        let reported = self.reported.get(&i32::from(kind)).copied().unwrap_or(0);
        self.waiting(kind) + reported as usize
    }
}
