//! Closing and removing pipelines (`PipelineManagerImpl.closePipeline`, `scrubPipelines`).

use hdds_proto::hdds::DatanodeDetailsProto;
use hdds_types::{ContainerId, DatanodeId, PipelineId, PipelineState};

use crate::node::Command;
use crate::{Call, Core, Millis, convert};

impl Core {
    /// Closes a pipeline: its containers take no more blocks, and it gets no more containers. It is
    /// removed later, so that members can still close containers through it. False when unknown.
    pub fn close_pipeline(&mut self, id: PipelineId, now: Millis) -> bool {
        let Some(pipeline) = self.ledger.pipeline(id) else { return false };
        if self.leader_term.is_none() {
            return true;
        }
        let state = pipeline.state;
        let open: Vec<ContainerId> = self.ledger.open_containers(id).collect();
        for container in open {
            self.close_container(container, now);
        }
        if state != PipelineState::Closed {
            self.propose(Call::UpdatePipelineState { id, state: PipelineState::Closed });
        }
        true
    }

    /// Sets a pipeline aside, or takes it back (admin). False when unknown or closed.
    pub fn set_pipeline_dormant(&mut self, id: PipelineId, dormant: bool) -> bool {
        let Some(pipeline) = self.ledger.pipeline(id) else { return false };
        let (from, to) = if dormant {
            (PipelineState::Open, PipelineState::Dormant)
        } else {
            (PipelineState::Dormant, PipelineState::Open)
        };
        if pipeline.state == from {
            self.propose(Call::UpdatePipelineState { id, state: to });
        }
        pipeline_is(self, id, &[from, to])
    }

    /// Closes every pipeline of a datanode.
    pub(crate) fn close_pipelines_of(&mut self, node: DatanodeId, now: Millis) {
        let ids: Vec<PipelineId> = self
            .ledger
            .pipelines_of(node)
            .filter(|pipeline| pipeline.state != PipelineState::Closed)
            .map(|pipeline| pipeline.id)
            .collect();
        for id in ids {
            self.close_pipeline(id, now);
        }
    }

    /// A datanode came back under another address: its peers in old pipelines cannot find it.
    pub(crate) fn close_pipelines_with_old_address(
        &mut self,
        node: DatanodeId,
        details: &DatanodeDetailsProto,
        now: Millis,
    ) {
        let moved = |member: &DatanodeDetailsProto| {
            convert::datanode_id(member) == Some(node)
                && (member.ip_address != details.ip_address
                    || member.host_name != details.host_name
                    || ratis_port(member) != ratis_port(details))
        };
        let stale: Vec<PipelineId> = self
            .ledger
            .pipelines_of(node)
            .filter(|p| p.state != PipelineState::Closed && p.wire.members.iter().any(moved))
            .map(|pipeline| pipeline.id)
            .collect();
        for id in stale {
            self.close_pipeline(id, now);
        }
    }

    /// Gives up pipelines that never opened and removes those closed long enough
    /// (`ozone.scm.pipeline.scrub.interval`).
    pub fn scrub_pipelines(&mut self, now: Millis) {
        if self.leader_term.is_none() {
            return;
        }
        let since = |then: Millis| now.saturating_sub(then);
        let (mut given_up, mut removed) = (Vec::new(), Vec::new());
        for pipeline in self.ledger.pipelines() {
            match pipeline.state {
                PipelineState::Allocated
                    if since(pipeline.created_ms) >= self.rules.pipeline_allocated_timeout_ms =>
                {
                    given_up.push(pipeline.id);
                }
                PipelineState::Closed
                    if since(pipeline.state_entered_ms)
                        >= self.rules.pipeline_destroy_timeout_ms =>
                {
                    removed.push(pipeline.id);
                }
                _ => {}
            }
        }
        for id in given_up {
            self.close_pipeline(id, now);
        }
        for id in removed {
            self.remember_members(id);
            self.propose(Call::RemovePipeline(id));
        }
    }

    /// Tells former members to leave the Raft group, once the pipeline is removed.
    pub(crate) fn dismiss_members(&mut self, id: PipelineId) {
        for member in self.removing.remove(&id).unwrap_or_default() {
            self.send(member, Command::ClosePipeline(id));
        }
    }

    fn remember_members(&mut self, id: PipelineId) {
        if let Some(pipeline) = self.ledger.pipeline(id) {
            self.removing.insert(id, pipeline.members.to_vec());
        }
    }
}

fn pipeline_is(core: &Core, id: PipelineId, states: &[PipelineState]) -> bool {
    core.ledger.pipeline(id).is_some_and(|pipeline| states.contains(&pipeline.state))
}

fn ratis_port(details: &DatanodeDetailsProto) -> Option<u32> {
    details.ports.iter().find(|port| port.name == "RATIS").map(|port| port.value)
}
