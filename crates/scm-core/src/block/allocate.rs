//! A place for new data: an open pipeline, a container with room, a fresh local id
//! (`BlockManagerImpl`, `WritableRatisContainerProvider`). On the OM's hot path: no log entry per block.

use hdds_proto::block::Status;
use hdds_proto::hdds;
use hdds_types::{ContainerId, DatanodeId, PipelineId, PipelineState, ReplicationConfig};

use crate::container::Choice;
use crate::ledger::sequence;
use crate::{Core, Millis, ScmError};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct BlockRequest {
    /// Bytes to keep room for, per block.
    pub size: u64,
    /// Blocks.
    pub count: usize,
    /// How they are made redundant.
    pub replication: ReplicationConfig,
    /// Who will write, usually an OM service id.
    pub owner: String,
    /// Datanodes to avoid.
    pub excluded_nodes: Vec<DatanodeId>,
    /// Containers to avoid.
    pub excluded_containers: Vec<i64>,
    /// Pipelines to avoid.
    pub excluded_pipelines: Vec<PipelineId>,
    /// Address of the writer, to order the datanodes by distance.
    pub client: Option<String>,
}

/// A block.
#[derive(Clone, Debug)]
pub struct AllocatedBlock {
    /// Container.
    pub container: ContainerId,
    /// Local id.
    pub local: i64,
    /// Where to write.
    pub pipeline: hdds::Pipeline,
}

/// The outcome of one try.
#[derive(Clone, Debug)]
pub enum Allocation {
    /// All blocks.
    Done,
    /// Something was ordered (ids, a container, a pipeline): try again when the state has changed.
    /// The text says what is missing.
    Wait(String),
    /// Trying again does not help.
    Refused(ScmError),
}

impl Core {
    /// Adds blocks to `blocks` until there are as many as asked for, or something is missing.
    pub fn allocate_blocks(
        &mut self,
        request: &BlockRequest,
        blocks: &mut Vec<AllocatedBlock>,
        now: Millis,
    ) -> Allocation {
        if let Some(text) = self.safe_mode.refuses("allocateBlock") {
            return Allocation::Refused(ScmError::new(Status::SafeModeException, text));
        }
        if request.size > self.rules.container_bytes {
            let text = format!(
                "Unsupported block size: {}; it must be at most the container size {}",
                request.size, self.rules.container_bytes
            );
            return Allocation::Refused(ScmError::new(Status::InvalidBlockSize, text));
        }
        while blocks.len() < request.count {
            let container = match self.writable_container(request, now) {
                Ok(found) => found,
                Err(outcome) => return outcome,
            };
            let Some(local) = self.next_id(sequence::LOCAL_ID) else {
                return Allocation::Wait("block ids are being fetched".to_owned());
            };
            let (container, pipeline) = container;
            let Some(record) = self.ledger.pipeline(pipeline) else { continue };
            let mut view = self.pipeline_view_for_io(record);
            if let Some(client) = request.client.as_deref().filter(|c| !c.is_empty()) {
                view.member_orders = self.member_order(client, &view.members);
            }
            blocks.push(AllocatedBlock { container, local, pipeline: view });
        }
        Allocation::Done
    }

    /// An open container of a random open pipeline.
    fn writable_container(
        &mut self,
        request: &BlockRequest,
        now: Millis,
    ) -> Result<(ContainerId, PipelineId), Allocation> {
        if let Some(found) = self.likely_container(request, now) {
            return Ok(found);
        }
        let mut candidates = self.candidate_pipelines(request);
        let mut coming = false;
        while !candidates.is_empty() {
            let pipeline = candidates.swap_remove(self.rng.below(candidates.len()));
            match self.choose_container(
                pipeline,
                &request.owner,
                request.size,
                &request.excluded_containers,
                now,
            ) {
                Choice::Container(id) => return Ok((id, pipeline)),
                Choice::Coming => coming = true,
                Choice::None => {}
            }
        }
        if coming {
            return Err(Allocation::Wait("a container is being made".to_owned()));
        }
        Err(self.order_pipeline(request, now))
    }

    /// The first pipeline that comes to hand nearly always has room: no list is made for it.
    fn likely_container(
        &mut self,
        request: &BlockRequest,
        now: Millis,
    ) -> Option<(ContainerId, PipelineId)> {
        if !request.excluded_nodes.is_empty() || !request.excluded_pipelines.is_empty() {
            return None;
        }
        let pipeline = *self.rng.pick(self.ledger.open_pipelines(request.replication))?;
        let (owner, excluded) = (&request.owner, &request.excluded_containers);
        match self.choose_container(pipeline, owner, request.size, excluded, now) {
            Choice::Container(id) => Some((id, pipeline)),
            Choice::Coming | Choice::None => None,
        }
    }

    /// OPEN pipelines without what is excluded; if that leaves none, all of them.
    fn candidate_pipelines(&self, request: &BlockRequest) -> Vec<PipelineId> {
        let open = self.ledger.open_pipelines(request.replication);
        let allowed = |id: &&PipelineId| {
            let members = self.ledger.pipeline(**id).map(|pipeline| &pipeline.members);
            !request.excluded_pipelines.contains(*id)
                && members.is_some_and(|m| !m.iter().any(|m| request.excluded_nodes.contains(m)))
        };
        let candidates: Vec<_> = open.iter().filter(allowed).copied().collect();
        if candidates.is_empty() { open.to_vec() } else { candidates }
    }

    /// No pipeline is open: one that is being made will do, else make one.
    fn order_pipeline(&mut self, request: &BlockRequest, now: Millis) -> Allocation {
        let replication = request.replication;
        let underway = self.is_pipeline_coming(replication)
            || self.ledger.pipelines().any(|pipeline| {
                pipeline.state == PipelineState::Allocated && pipeline.replication == replication
            });
        if underway {
            return Allocation::Wait(format!("a {replication} pipeline is being made"));
        }
        match self.create_pipeline(replication, now) {
            Ok(_) => Allocation::Wait(format!("a {replication} pipeline is being made")),
            Err(error) => Allocation::Refused(no_container(request, &error.to_string())),
        }
    }
}

/// The error of the genuine provider, which callers show to users.
pub(crate) fn no_container(request: &BlockRequest, reason: &str) -> ScmError {
    ScmError::new(
        Status::InternalError,
        format!(
            "Unable to allocate a container to the block of size: {}, replicationConfig: {}. {reason}",
            request.size, request.replication
        ),
    )
}

impl BlockRequest {
    /// The error when what was waited for did not come in time.
    pub fn timed_out(&self, missing: &str) -> ScmError {
        no_container(self, &format!("Waited too long: {missing}"))
    }
}
