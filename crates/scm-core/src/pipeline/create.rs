//! Which datanodes form the next pipeline (`RatisPipelineProvider`, `PipelinePlacementPolicy`).

use hdds_proto::block::Status;
use hdds_proto::hdds::{self, CreatePipelineCommandProto};
use hdds_types::{DatanodeId, PipelineId, PipelineState, ReplicationConfig, ReplicationFactor};
use thiserror::Error;

use crate::ledger::Pipeline;
use crate::node::{Command, Node};
use crate::{Call, Core, Millis, ScmError, convert};

/// Pipelines asked for in one round; more come in the next.
const PIPELINES_PER_ROUND_MAX: usize = 1_000;
/// Raft priority of the datanode that should lead.
const LEADER_PRIORITY: i32 = 1;

/// Why no pipeline can be made now.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PlacementError {
    /// As many as allowed exist.
    #[error(
        "Cannot create pipeline as it would exceed the limit per datanode: {limit} \
         replicationConfig: {replication}"
    )]
    Limit {
        /// Pipelines per datanode or in the cluster.
        limit: u64,
        /// Replication.
        replication: ReplicationConfig,
    },
    /// Too few datanodes are healthy, in service, with space, and below their limit.
    #[error(
        "Pipeline creation failed due to no sufficient healthy datanodes. Required {required}. \
         Found {found}."
    )]
    Nodes {
        /// Needed.
        required: usize,
        /// Suitable.
        found: usize,
    },
    /// Made on demand elsewhere, or not at all.
    #[error("pipelines of {0} are not supported")]
    Unsupported(ReplicationConfig),
}

impl From<&PlacementError> for ScmError {
    fn from(error: &PlacementError) -> Self {
        let code = match error {
            PlacementError::Limit { .. } | PlacementError::Nodes { .. } => {
                Status::FailedToFindSuitableNode
            }
            PlacementError::Unsupported(_) => Status::UnsupportedOperation,
        };
        Self::new(code, error.to_string())
    }
}

impl Core {
    /// Notes that pipelines may be missing; [`Core::create_pipelines`] runs at the end of the step.
    pub(crate) fn want_pipelines(&mut self) {
        self.pipelines_wanted = true;
    }

    /// Makes as many pipelines as limits allow (`BackgroundPipelineCreator`). Only the leader does, and
    /// in safe mode only once enough datanodes registered.
    pub fn create_pipelines(&mut self, now: Millis) {
        self.pipelines_wanted = false;
        let allowed = self.safe_mode.allows_pipelines(self.rules.pipelines_in_safe_mode);
        if self.leader_term.is_none() || !allowed {
            return;
        }
        let mut kinds = vec![ReplicationConfig::Ratis(ReplicationFactor::Three)];
        if self.rules.auto_factor_one {
            kinds.push(ReplicationConfig::Ratis(ReplicationFactor::One));
        }
        for replication in kinds {
            for _ in 0..PIPELINES_PER_ROUND_MAX {
                if self.create_pipeline(replication, now).is_err() {
                    break;
                }
            }
        }
    }

    /// Chooses datanodes for one pipeline and proposes it.
    ///
    /// # Errors
    /// Why there can be none now.
    pub fn create_pipeline(
        &mut self,
        replication: ReplicationConfig,
        now: Millis,
    ) -> Result<PipelineId, PlacementError> {
        let members = match replication {
            ReplicationConfig::Ratis(ReplicationFactor::One) => self.place_one()?,
            ReplicationConfig::Ratis(ReplicationFactor::Three) => {
                self.check_limit(replication)?;
                self.place_three()?
            }
            ReplicationConfig::StandAlone(factor) => self.place_any(factor.count())?,
            other @ ReplicationConfig::Ec(_) => return Err(PlacementError::Unsupported(other)),
        };
        // Nobody has to agree on a group of its own before it can be written to.
        let state = match replication {
            ReplicationConfig::StandAlone(_) => hdds::PipelineState::PipelineOpen,
            _ => hdds::PipelineState::PipelineAllocated,
        };
        let id = PipelineId(self.rng.uuid());
        let leader = self.suggest_leader(&members);
        let details = members.iter().filter_map(|id| self.nodes.details(*id));
        let (kind, factor, ec) = convert::replication_proto(replication);
        let wire = hdds::Pipeline {
            members: details.map(|details| (**details).clone()).collect(),
            state: Some(state.into()),
            r#type: Some(kind.into()),
            factor,
            id: convert::pipeline_id_proto(id),
            leader_id: Some(String::new()),
            creation_time_stamp: Some(now),
            member_replica_indexes: vec![0; members.len()],
            ec_replication_config: ec,
            suggested_leader_datanode_id: leader.map(convert::datanode_id_proto),
            ..hdds::Pipeline::default()
        };
        self.propose(Call::AddPipeline(Box::new(wire)));
        Ok(id)
    }

    /// After the pipeline is agreed on: tells its members (`CreatePipelineCommand`).
    pub(crate) fn announce_pipeline(&mut self, id: PipelineId) {
        let Some(pipeline) = self.ledger.pipeline(id) else { return };
        let Some(command) = create_command(pipeline) else { return };
        for member in pipeline.members.clone() {
            self.send(member, Command::CreatePipeline(Box::new(command.clone())));
        }
    }

    /// A datanode that (re-)registers may have missed the word about pipelines still being made.
    pub(crate) fn announce_pending_pipelines(&mut self, node: DatanodeId) {
        let missed =
            |p: &&Pipeline| p.state == PipelineState::Allocated && !p.reported.contains(&node);
        let pipelines = self.ledger.pipelines_of(node).filter(missed);
        let commands: Vec<_> = pipelines.filter_map(create_command).collect();
        for command in commands {
            self.send(node, Command::CreatePipeline(Box::new(command)));
        }
    }

    /// RATIS/ONE: any datanode that has none yet.
    fn place_one(&mut self) -> Result<Vec<DatanodeId>, PlacementError> {
        let one = ReplicationConfig::Ratis(ReplicationFactor::One);
        let free: Vec<DatanodeId> = self
            .suitable_nodes()
            .filter(|node| self.pipeline_count(node.id, one) == 0)
            .map(|node| node.id)
            .collect();
        match self.rng.pick(&free) {
            Some(id) => Ok(vec![*id]),
            None => Err(PlacementError::Nodes { required: 1, found: 0 }),
        }
    }

    /// STAND_ALONE: any datanodes (`SimplePipelineProvider`).
    fn place_any(&mut self, required: usize) -> Result<Vec<DatanodeId>, PlacementError> {
        let mut usable: Vec<DatanodeId> =
            self.nodes.iter().filter(|node| node.is_usable()).map(|node| node.id).collect();
        if usable.len() < required {
            return Err(PlacementError::Nodes { required, found: usable.len() });
        }
        self.rng.shuffle(&mut usable);
        usable.truncate(required);
        Ok(usable)
    }

    /// RATIS/THREE: the least loaded; over two racks where there are several.
    fn place_three(&mut self) -> Result<Vec<DatanodeId>, PlacementError> {
        let three = ReplicationConfig::Ratis(ReplicationFactor::Three);
        let required = ReplicationFactor::Three.count();
        let suitable: Vec<&Node> = self.suitable_nodes().collect();
        if suitable.len() < required {
            return Err(PlacementError::Nodes { required, found: suitable.len() });
        }
        let several_racks = suitable.iter().any(|n| n.location() != suitable[0].location());
        let mut candidates: Vec<(usize, DatanodeId, String)> = suitable
            .into_iter()
            .map(|node| (node, self.pipeline_count(node.id, three)))
            .filter(|(node, count)| (*count as u64) < self.pipeline_limit(node))
            .map(|(node, count)| (count, node.id, node.location().to_owned()))
            .collect();
        if candidates.len() < required {
            return Err(PlacementError::Nodes { required, found: candidates.len() });
        }
        // Equal loads in random order, so that the same three do not always meet.
        self.rng.shuffle(&mut candidates);
        candidates.sort_by_key(|(count, ..)| *count);
        if !several_racks {
            return Ok(candidates.into_iter().take(required).map(|(_, id, _)| id).collect());
        }
        two_and_one(&candidates).ok_or(PlacementError::Nodes { required, found: candidates.len() })
    }

    /// Usable datanodes with room for a container.
    fn suitable_nodes(&self) -> impl Iterator<Item = &Node> {
        let (data, metadata) = (self.rules.container_bytes, self.rules.metadata_free_bytes_min);
        self.nodes.iter().filter(move |node| node.is_usable() && node.has_space(data, metadata))
    }

    /// RATIS/THREE pipelines that a datanode may carry.
    pub(crate) fn pipeline_limit(&self, node: &Node) -> u64 {
        if self.rules.pipelines_per_datanode > 0 {
            return self.rules.pipelines_per_datanode;
        }
        let volumes = node.metadata_storage.iter().filter(|v| v.failed != Some(true)).count();
        self.rules.pipelines_per_metadata_volume * volumes as u64
    }

    /// Limits over the whole cluster.
    fn check_limit(&self, replication: ReplicationConfig) -> Result<(), PlacementError> {
        let per_node = self.rules.pipelines_per_datanode;
        let existing = self.live_pipelines(replication);
        let limit = if per_node > 0 {
            per_node * self.nodes.usable() as u64 / replication.required_nodes() as u64
        } else if self.rules.pipelines_max > 0 {
            let ones = self.live_pipelines(ReplicationConfig::Ratis(ReplicationFactor::One));
            self.rules.pipelines_max.saturating_sub(ones)
        } else {
            return Ok(());
        };
        if existing < limit {
            return Ok(());
        }
        let limit = if per_node > 0 { per_node } else { self.rules.pipelines_max };
        Err(PlacementError::Limit { limit, replication })
    }

    /// Pipelines of a replication that are not closed, those being made included.
    fn live_pipelines(&self, replication: ReplicationConfig) -> u64 {
        let existing = self.ledger.pipelines().filter(|pipeline| {
            pipeline.replication == replication && pipeline.state != PipelineState::Closed
        });
        let coming = self.coming_pipelines().filter(|p| wire_replication(p) == Some(replication));
        (existing.count() + coming.count()) as u64
    }

    /// Pipelines of a replication on a datanode that are not closed, those being made included.
    fn pipeline_count(&self, node: DatanodeId, replication: ReplicationConfig) -> usize {
        let existing = self.ledger.pipelines_of(node).filter(|pipeline| {
            pipeline.replication == replication && pipeline.state != PipelineState::Closed
        });
        let coming = self.coming_pipelines().filter(|pipeline| {
            wire_replication(pipeline) == Some(replication)
                && pipeline.members.iter().any(|m| convert::datanode_id(m) == Some(node))
        });
        existing.count() + coming.count()
    }

    /// The member that is the suggested leader of the fewest pipelines (`MinLeaderCountChoosePolicy`).
    fn suggest_leader(&mut self, members: &[DatanodeId]) -> Option<DatanodeId> {
        if members.len() < 2 {
            return members.first().copied();
        }
        let led = |member: &DatanodeId| {
            let existing = self.ledger.pipelines_of(*member).filter(|pipeline| {
                pipeline.state != PipelineState::Closed
                    && pipeline.members.len() > 1
                    && suggested_leader(pipeline) == Some(*member)
            });
            let coming = self.coming_pipelines().filter(|pipeline| {
                pipeline.members.len() > 1 && wire_leader(pipeline) == Some(*member)
            });
            existing.count() + coming.count()
        };
        members.iter().copied().min_by_key(led)
    }
}

/// Three of these, least loaded first: an anchor, one on another rack, one more on the anchor's.
fn two_and_one(candidates: &[(usize, DatanodeId, String)]) -> Option<Vec<DatanodeId>> {
    let (_, anchor, rack) = candidates.first()?;
    let (_, other, _) = candidates.iter().find(|(.., location)| location != rack)?;
    let rest = || candidates.iter().filter(|(_, id, _)| id != anchor && id != other);
    let (_, third, _) = rest().find(|(.., location)| location == rack).or_else(|| rest().next())?;
    Some(vec![*anchor, *other, *third])
}

fn create_command(pipeline: &Pipeline) -> Option<CreatePipelineCommandProto> {
    let ReplicationConfig::Ratis(factor) = pipeline.replication else { return None };
    let suggested = suggested_leader(pipeline);
    let priority =
        |member: &DatanodeId| if Some(*member) == suggested { LEADER_PRIORITY } else { 0 };
    Some(CreatePipelineCommandProto {
        pipeline_id: convert::pipeline_id_proto(pipeline.id),
        r#type: hdds::ReplicationType::Ratis.into(),
        factor: factor.count() as i32,
        datanode: pipeline.wire.members.clone(),
        cmd_id: 0,
        priority: pipeline.members.iter().map(priority).collect(),
    })
}

fn suggested_leader(pipeline: &Pipeline) -> Option<DatanodeId> {
    wire_leader(&pipeline.wire)
}

fn wire_leader(wire: &hdds::Pipeline) -> Option<DatanodeId> {
    let id = wire.suggested_leader_datanode_id.as_ref().map(|id| &id.uuid);
    id.or(wire.suggested_leader_id.as_ref()).map(|id| DatanodeId(convert::uuid(id)))
}

fn wire_replication(wire: &hdds::Pipeline) -> Option<ReplicationConfig> {
    convert::replication(wire.r#type?, wire.factor, wire.ec_replication_config.as_ref())
}
