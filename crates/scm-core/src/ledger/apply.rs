//! One call, applied: the state changes, and the rows that say so join the batch.
//!
//! Deterministic but for `now`, which Java takes from each SCM's own clock as well: it only stamps
//! when a container came to its state.

use std::collections::BTreeSet;

use hdds_proto::hdds::{
    ContainerInfoProto, DeletedBlocksTransaction, DeletedBlocksTransactionSummary,
};
use hdds_types::{ContainerEvent, ContainerId, ContainerState, PipelineId, PipelineState};
use ozone_db::Batch;
use prost::Message;

use super::{Container, Ledger, Pipeline, Refusal};
use crate::log::Answer;
use crate::{Call, Millis, tables};

impl Ledger {
    /// Applies a committed call.
    ///
    /// # Errors
    /// The state does not allow it; nothing has changed then.
    pub fn apply(
        &mut self,
        call: &Call,
        now: Millis,
        batch: &mut Batch,
    ) -> Result<Answer, Refusal> {
        self.version += 1;
        match call {
            Call::AddContainer(info) => self.add_container(info, batch),
            Call::RemoveContainer(id) => self.remove_container(*id, batch),
            Call::UpdateContainerInfo(info) => self.replace_container(info, batch),
            Call::UpdateContainerState { id, event, sequence } => {
                self.update_container(*id, *event, *sequence, now, batch)
            }
            Call::RestoreContainer { id, to } => self.restore_container(*id, *to, now, batch),
            Call::AddPipeline(wire) => self.add_pipeline(wire, now, batch),
            Call::RemovePipeline(id) => self.remove_pipeline(*id, batch),
            Call::UpdatePipelineState { id, state } => {
                self.update_pipeline(*id, *state, now, batch)
            }
            Call::AddTransactions { transactions, summary } => {
                self.add_transactions(transactions, batch);
                self.put_summary(summary.as_ref(), batch);
                Ok(Answer::Void)
            }
            Call::RemoveTransactions { ids, summary } => {
                for id in ids {
                    tables::DELETED_BLOCKS.delete(batch, id);
                    self.deleted.transactions.remove(id);
                }
                self.put_summary(summary.as_ref(), batch);
                Ok(Answer::Void)
            }
            Call::AllocateBatch { name, expected, last } => {
                if self.last_id(name) != *expected {
                    return Ok(Answer::Boolean(false));
                }
                self.sequences.insert(name.clone(), *last);
                tables::SEQUENCE_IDS.put(batch, name, last);
                Ok(Answer::Boolean(true))
            }
            Call::SaveConfiguration { service, value } => {
                tables::SERVICE_SETTINGS.put(batch, service, &value.to_vec());
                self.settings.insert(service.clone(), value.clone());
                Ok(Answer::Void)
            }
            Call::DeleteConfiguration { service } => {
                tables::SERVICE_SETTINGS.delete(batch, service);
                self.settings.remove(service);
                Ok(Answer::Void)
            }
            Call::AddFinalizingMark => {
                tables::META.put(batch, &tables::FINALIZING_KEY.to_owned(), &String::new());
                Ok(Answer::Void)
            }
            Call::RemoveFinalizingMark => {
                tables::META.delete(batch, &tables::FINALIZING_KEY.to_owned());
                Ok(Answer::Void)
            }
            Call::FinalizeLayoutFeature(version) => {
                let key = tables::LAYOUT_VERSION_KEY.to_owned();
                tables::META.put(batch, &key, &version.to_string());
                Ok(Answer::Void)
            }
        }
    }

    fn add_container(
        &mut self,
        info: &ContainerInfoProto,
        batch: &mut Batch,
    ) -> Result<Answer, Refusal> {
        let container = Container::from_proto(info, self)
            .ok_or_else(|| Refusal::scm(format!("container {} is malformed", info.container_id)))?;
        if !self.containers.contains_key(&container.id) {
            put_container(&container, batch);
            self.insert_container(container);
        }
        Ok(Answer::Void)
    }

    fn remove_container(&mut self, id: ContainerId, batch: &mut Batch) -> Result<Answer, Refusal> {
        let container =
            self.containers.remove(&id).ok_or_else(|| Refusal::container_not_found(id))?;
        self.count(container.state, false);
        self.leave_pipeline(id, container.pipeline);
        tables::CONTAINERS.delete(batch, &id.0.cast_signed());
        Ok(Answer::Void)
    }

    /// The record as sent, but what this SCM has observed stays.
    fn replace_container(
        &mut self,
        info: &ContainerInfoProto,
        batch: &mut Batch,
    ) -> Result<Answer, Refusal> {
        let sent = Container::from_proto(info, self)
            .ok_or_else(|| Refusal::scm(format!("container {} is malformed", info.container_id)))?;
        let container = self
            .containers
            .get_mut(&sent.id)
            .ok_or_else(|| Refusal::container_not_found(sent.id))?;
        container.suppressed = sent.suppressed;
        container.delete_transaction = container.delete_transaction.max(sent.delete_transaction);
        container.sequence = container.sequence.max(sent.sequence);
        put_container(container, batch);
        Ok(Answer::Void)
    }

    /// An event for a container that is not there has no effect, as on the Java side; nor has one
    /// whose aim is reached.
    fn update_container(
        &mut self,
        id: ContainerId,
        event: ContainerEvent,
        sequence: i64,
        now: Millis,
        batch: &mut Batch,
    ) -> Result<Answer, Refusal> {
        let Some(container) = self.containers.get_mut(&id) else { return Ok(Answer::Void) };
        let from = container.state;
        let to = from.on(event).map_err(|error| Refusal {
            class: "org.apache.hadoop.ozone.common.statemachine.InvalidStateTransitionException",
            message: format!("container {id}: {error}"),
        })?;
        container.sequence = container.sequence.max(sequence);
        self.move_container(id, to, now, batch);
        Ok(Answer::Void)
    }

    fn restore_container(
        &mut self,
        id: ContainerId,
        to: ContainerState,
        now: Millis,
        batch: &mut Batch,
    ) -> Result<Answer, Refusal> {
        let container = self.container(id).ok_or_else(|| Refusal::container_not_found(id))?;
        let is_gone = matches!(container.state, ContainerState::Deleting | ContainerState::Deleted);
        if !is_gone || !matches!(to, ContainerState::Closed | ContainerState::QuasiClosed) {
            return Err(Refusal::scm(format!(
                "container {id} cannot go back from {} to {to}",
                container.state
            )));
        }
        self.move_container(id, to, now, batch);
        Ok(Answer::Void)
    }

    /// To `to`, wherever it was; keeps counts and indexes right.
    fn move_container(
        &mut self,
        id: ContainerId,
        to: ContainerState,
        now: Millis,
        batch: &mut Batch,
    ) {
        let Some(container) = self.containers.get_mut(&id) else { return };
        let (from, pipeline) = (container.state, container.pipeline);
        if from == to {
            return;
        }
        container.state = to;
        container.state_entered_ms = now;
        put_container(container, batch);
        self.count(from, false);
        self.count(to, true);
        if from == ContainerState::Open {
            self.leave_pipeline(id, pipeline);
        }
    }

    /// Transactions, and with each container the highest that concerns it.
    fn add_transactions(&mut self, transactions: &[DeletedBlocksTransaction], batch: &mut Batch) {
        let mut touched = BTreeSet::new();
        for transaction in transactions {
            tables::DELETED_BLOCKS.put(batch, &transaction.tx_id, transaction);
            self.deleted.transactions.insert(transaction.tx_id, transaction.clone());
            let id = ContainerId(transaction.container_id.max(0).cast_unsigned());
            if let Some(container) = self.containers.get_mut(&id) {
                container.delete_transaction = container.delete_transaction.max(transaction.tx_id);
                touched.insert(id);
            }
        }
        for container in touched.iter().filter_map(|id| self.containers.get(id)) {
            put_container(container, batch);
        }
    }

    fn leave_pipeline(&mut self, id: ContainerId, pipeline: Option<PipelineId>) {
        let Some(pipeline) = pipeline else { return };
        if let Some(open) = self.open.get_mut(&pipeline) {
            open.remove(&id);
            if open.is_empty() {
                self.open.remove(&pipeline);
            }
        }
    }

    fn add_pipeline(
        &mut self,
        wire: &hdds_proto::hdds::Pipeline,
        now: Millis,
        batch: &mut Batch,
    ) -> Result<Answer, Refusal> {
        let pipeline = Pipeline::from_proto(wire, now)
            .ok_or_else(|| Refusal::scm("the pipeline is malformed".to_owned()))?;
        if self.pipelines.contains_key(&pipeline.id) {
            return Err(Refusal::scm(format!("Duplicate pipeline ID {} detected.", pipeline.id)));
        }
        tables::PIPELINES.put(batch, &pipeline.id, wire);
        self.insert_pipeline(pipeline);
        Ok(Answer::Void)
    }

    fn remove_pipeline(&mut self, id: PipelineId, batch: &mut Batch) -> Result<Answer, Refusal> {
        let pipeline = self.pipeline(id).ok_or_else(|| Refusal::pipeline_not_found(id))?;
        if pipeline.state != PipelineState::Closed {
            return Err(Refusal {
                class: "org.apache.hadoop.hdds.scm.pipeline.InvalidPipelineStateException",
                message: format!("Pipeline with {id} is not yet closed"),
            });
        }
        if let Some(pipeline) = self.pipelines.remove(&id) {
            for member in &pipeline.members {
                if let Some(of_member) = self.by_node.get_mut(member) {
                    of_member.remove(&id);
                }
            }
        }
        tables::PIPELINES.delete(batch, &id);
        Ok(Answer::Void)
    }

    fn update_pipeline(
        &mut self,
        id: PipelineId,
        state: PipelineState,
        now: Millis,
        batch: &mut Batch,
    ) -> Result<Answer, Refusal> {
        let pipeline =
            self.pipelines.get_mut(&id).ok_or_else(|| Refusal::pipeline_not_found(id))?;
        // A pipeline that is closed stays closed, even if an "open" was under way.
        if pipeline.state != PipelineState::Closed && pipeline.state != state {
            pipeline.state = state;
            pipeline.state_entered_ms = now;
        }
        tables::PIPELINES.put(batch, &id, &pipeline.to_proto());
        let (replication, state) = (pipeline.replication, pipeline.state);
        self.index_pipeline(id, replication, state);
        Ok(Answer::Void)
    }

    fn put_summary(
        &mut self,
        summary: Option<&DeletedBlocksTransactionSummary>,
        batch: &mut Batch,
    ) {
        let Some(summary) = summary else { return };
        self.deleted.summary = *summary;
        let key = tables::DELETED_BLOCKS_SUMMARY_KEY.to_owned();
        tables::SERVICE_SETTINGS.put(batch, &key, &summary.encode_to_vec());
    }
}

fn put_container(container: &Container, batch: &mut Batch) {
    tables::CONTAINERS.put(batch, &container.id.0.cast_signed(), &container.to_proto());
}
