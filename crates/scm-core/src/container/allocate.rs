//! Which container takes the next block (`ContainerManagerImpl.getMatchingContainer`).

use hdds_proto::block::Status;
use hdds_proto::hdds::ContainerInfoProto;
use hdds_types::{ContainerId, PipelineId, PipelineState, ReplicationConfig};

use crate::ledger::{Container, sequence};
use crate::{Call, Core, Millis, ScmError, convert};

/// The outcome of looking for a container.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Choice {
    /// This one has room.
    Container(ContainerId),
    /// One is being made: try again when the state has changed.
    Coming,
    /// The pipeline cannot take one.
    None,
}

impl Core {
    /// A container of the pipeline with room for `size` bytes, the next after the one used last. Another
    /// is ordered in the background while there are fewer than allowed, so that blocks spread.
    pub fn choose_container(
        &mut self,
        pipeline: PipelineId,
        owner: &str,
        size: u64,
        excluded: &[i64],
        now: Millis,
    ) -> Choice {
        let Some(record) = self.ledger.pipeline(pipeline) else { return Choice::None };
        if record.state != PipelineState::Open {
            return Choice::None;
        }
        let last_used = record.last_used;
        let fits = |container: &Container| {
            &*container.owner == owner
                && container.used_bytes.saturating_add(size) <= self.rules.container_bytes
                && !excluded.contains(&container.id.0.cast_signed())
        };
        let (mut count, mut first, mut next) = (0_u64, None, None);
        for id in self.ledger.open_containers(pipeline) {
            let Some(container) = self.ledger.container(id) else { continue };
            count += u64::from(&*container.owner == owner);
            if !fits(container) {
                continue;
            }
            first = first.or(Some(id));
            if id > last_used {
                next = next.or(Some(id));
            }
        }
        let chosen = next.or(first);

        let below_limit = count < self.open_container_limit(pipeline);
        let ordered =
            (below_limit || chosen.is_none()) && self.order_container(pipeline, owner, now);
        match chosen {
            Some(id) => {
                if let Some(record) = self.ledger.pipeline_mut(pipeline) {
                    record.last_used = id;
                }
                Choice::Container(id)
            }
            None if ordered => Choice::Coming,
            None => Choice::None,
        }
    }

    /// Proposes a new container on a pipeline. True when one is on its way.
    pub fn order_container(&mut self, pipeline: PipelineId, owner: &str, now: Millis) -> bool {
        if self.leader_term.is_none() || self.is_container_coming(pipeline, owner) {
            return self.leader_term.is_some();
        }
        if !self.has_room_for_container(pipeline, now) {
            return false;
        }
        // Without an id in stock the batch that was just ordered brings the caller back.
        if let Some(id) = self.next_id(sequence::CONTAINER_ID)
            && let Some(call) = self.container_call(id, pipeline, owner, now)
        {
            self.reserve(pipeline, id, now);
            self.propose(call);
        }
        true
    }

    /// Every member has room for one more container.
    fn has_room_for_container(&self, pipeline: PipelineId, now: Millis) -> bool {
        let Some(record) = self.ledger.pipeline(pipeline) else { return false };
        let forget_before = now.saturating_sub(self.rules.pending_container_ms);
        record.members.iter().all(|id| {
            self.nodes.get(*id).is_some_and(|node| {
                node.has_room_for_container(self.rules.container_bytes, forget_before)
            })
        })
    }

    /// Notes that the members will need room for this container.
    fn reserve(&mut self, pipeline: PipelineId, id: i64, now: Millis) {
        let Some(record) = self.ledger.pipeline(pipeline) else { return };
        let forget_before = now.saturating_sub(self.rules.pending_container_ms);
        for member in &record.members {
            if let Some(node) = self.nodes.get_mut(*member) {
                node.pending.retain(|_, since| *since >= forget_before);
                node.pending.insert(ContainerId(id.cast_unsigned()), now);
            }
        }
    }

    /// A container on any open pipeline of a replication, for a caller who replicates the call itself.
    /// `None`: an id or a pipeline was ordered, try again when the state has changed.
    ///
    /// # Errors
    /// There is no pipeline and none can be made.
    pub fn plan_container(
        &mut self,
        replication: ReplicationConfig,
        owner: &str,
        now: Millis,
    ) -> Result<Option<(ContainerId, Call)>, ScmError> {
        if let Some(text) = self.safe_mode.refuses("allocateContainer") {
            return Err(ScmError::new(Status::SafeModeException, text));
        }
        let open: Vec<PipelineId> = self
            .ledger
            .open_pipelines(replication)
            .iter()
            .filter(|id| self.has_room_for_container(**id, now))
            .copied()
            .collect();
        let Some(pipeline) = self.rng.pick(&open).copied() else {
            let coming = self.is_pipeline_coming(replication)
                || self
                    .ledger
                    .pipelines()
                    .any(|p| p.state == PipelineState::Allocated && p.replication == replication);
            if !coming {
                self.create_pipeline(replication, now).map_err(|error| ScmError::from(&error))?;
            }
            return Ok(None);
        };
        let Some(id) = self.next_id(sequence::CONTAINER_ID) else { return Ok(None) };
        let call = self.container_call(id, pipeline, owner, now);
        self.reserve(pipeline, id, now);
        Ok(call.map(|call| (ContainerId(id.cast_unsigned()), call)))
    }

    fn container_call(
        &self,
        id: i64,
        pipeline: PipelineId,
        owner: &str,
        now: Millis,
    ) -> Option<Call> {
        let record = self.ledger.pipeline(pipeline)?;
        let (kind, factor, ec) = convert::replication_proto(record.replication);
        Some(Call::AddContainer(Box::new(ContainerInfoProto {
            container_id: id,
            state: hdds_proto::hdds::LifeCycleState::Open.into(),
            pipeline_id: Some(convert::pipeline_id_proto(pipeline)),
            used_bytes: 0,
            number_of_keys: 0,
            state_enter_time: Some(now.cast_signed()),
            owner: owner.to_owned(),
            delete_transaction_id: Some(0),
            sequence_id: Some(0),
            replication_factor: factor,
            replication_type: kind.into(),
            ec_replication_config: ec,
            suppressed: None,
        })))
    }

    /// Open containers per owner: by the member with the fewest volumes
    /// (`PipelineManagerImpl.openContainerLimit`).
    fn open_container_limit(&self, pipeline: PipelineId) -> u64 {
        let Some(record) = self.ledger.pipeline(pipeline) else { return 1 };
        let limit_of = |node: &crate::node::Node| {
            let volumes = node.healthy_volumes().max(1) as u64;
            let wanted = self.rules.containers_per_owner.max(1) * volumes;
            1 + (wanted - 1) / self.pipeline_limit(node).max(1)
        };
        let members = record.members.iter().filter_map(|id| self.nodes.get(*id));
        members.map(limit_of).min().unwrap_or(1)
    }
}
