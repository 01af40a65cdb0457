//! Everything one SCM knows, and the calls it has under way.

use std::collections::BTreeMap;

use hdds_proto::hdds;
use hdds_types::{
    ContainerEvent, ContainerId, ContainerState, DatanodeId, PipelineId, PipelineState,
    ReplicationConfig, ReplicationFactor,
};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::block::{Deletion, IdStock};
use crate::ledger::Ledger;
use crate::node::{Command, Nodes};
use crate::rng::Rng;
use crate::rules::Rules;
use crate::safe_mode::SafeMode;
use crate::{Call, Millis, convert};

/// Who this SCM is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// `CID-<uuid>`.
    pub cluster_id: String,
    /// UUID of this SCM.
    pub scm_id: String,
}

/// State and rules of one SCM. Its methods are in the modules that their nouns name.
pub struct Core {
    /// Who this is.
    pub identity: Identity,
    /// Limits and times.
    pub rules: Rules,
    /// What SCMs agree on.
    pub ledger: Ledger,
    /// Datanodes as seen here.
    pub nodes: Nodes,
    /// Until enough has been reported.
    pub safe_mode: SafeMode,
    /// The term in which this SCM leads; `None` on followers.
    pub leader_term: Option<u64>,
    /// Rises with everything that somebody may wait for.
    pub activity: u64,
    pub(crate) ids: IdStock,
    pub(crate) deletion: Deletion,
    pub(crate) rng: Rng,
    /// CLOSING containers, and when their datanodes are told.
    pub(crate) closing: BTreeMap<ContainerId, Millis>,
    /// Members of pipelines whose removal is under way.
    pub(crate) removing: FxHashMap<PipelineId, Vec<DatanodeId>>,
    pub(crate) pipelines_wanted: bool,
    outbox: Vec<Call>,
    under_way: FxHashSet<CallKey>,
    coming: BTreeMap<PipelineId, Box<hdds::Pipeline>>,
    next_command: i64,
}

/// What makes two calls the same wish.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum CallKey {
    Container(ContainerId, ContainerEvent),
    Restore(ContainerId),
    NewContainer(PipelineId, String),
    NewPipeline(PipelineId),
    PipelineState(PipelineId, PipelineState),
    RemovePipeline(PipelineId),
    Batch(String),
}

fn key_of(call: &Call) -> Option<CallKey> {
    Some(match call {
        Call::UpdateContainerState { id, event, .. } => CallKey::Container(*id, *event),
        Call::RestoreContainer { id, .. } => CallKey::Restore(*id),
        Call::AddContainer(info) => {
            let pipeline = info.pipeline_id.as_ref().and_then(convert::pipeline_id)?;
            CallKey::NewContainer(pipeline, info.owner.clone())
        }
        Call::AddPipeline(wire) => CallKey::NewPipeline(convert::pipeline_id(&wire.id)?),
        Call::UpdatePipelineState { id, state } => CallKey::PipelineState(*id, *state),
        Call::RemovePipeline(id) => CallKey::RemovePipeline(*id),
        Call::AllocateBatch { name, .. } => CallKey::Batch(name.clone()),
        _ => return None,
    })
}

impl Core {
    /// An SCM that has just read its tables. `seed` decides all its random choices.
    pub fn new(identity: Identity, rules: Rules, ledger: Ledger, seed: u64, now: Millis) -> Self {
        let safe_mode = SafeMode::new(&rules, &ledger);
        Self {
            identity,
            rules,
            ledger,
            nodes: Nodes::default(),
            safe_mode,
            leader_term: None,
            activity: 0,
            ids: IdStock::default(),
            deletion: Deletion::default(),
            rng: Rng::new(seed),
            closing: BTreeMap::new(),
            removing: FxHashMap::default(),
            pipelines_wanted: false,
            outbox: Vec::new(),
            under_way: FxHashSet::default(),
            coming: BTreeMap::new(),
            // Unique over restarts, as Java's clock based ids.
            next_command: now.cast_signed() << 16,
        }
    }

    /// This SCM leads from now on: what an earlier leader had in stock or under way is void.
    pub fn become_leader(&mut self, term: u64, now: Millis) {
        self.leader_term = Some(term);
        self.drop_leader_state();
        let closing = self
            .ledger
            .containers_from(ContainerId(0))
            .filter(|container| container.state == ContainerState::Closing)
            .map(|container| (container.id, now + self.rules.close_wait_ms));
        self.closing = closing.collect();
        self.activity += 1;
        self.want_pipelines();
    }

    /// Another SCM leads.
    pub fn become_follower(&mut self) {
        self.leader_term = None;
        self.drop_leader_state();
        self.activity += 1;
    }

    fn drop_leader_state(&mut self) {
        self.ids.clear();
        self.deletion.reset();
        self.closing.clear();
        self.removing.clear();
        self.outbox.clear();
        self.under_way.clear();
        self.coming.clear();
    }

    /// Proposes a change, unless the same is under way. Only the leader's wishes count.
    pub(crate) fn propose(&mut self, call: Call) {
        if self.leader_term.is_none() {
            return;
        }
        if let Some(key) = key_of(&call)
            && !self.under_way.insert(key)
        {
            return;
        }
        if let Call::AddPipeline(wire) = &call
            && let Some(id) = convert::pipeline_id(&wire.id)
        {
            self.coming.insert(id, wire.clone());
        }
        self.outbox.push(call);
    }

    /// The calls to replicate, in order; each must come back through [`Self::settled`]. Ends a step:
    /// missing pipelines are added.
    pub fn take_calls(&mut self, now: Millis) -> Vec<Call> {
        if self.pipelines_wanted {
            self.create_pipelines(now);
        }
        std::mem::take(&mut self.outbox)
    }

    /// A call of this leader has been applied (or could not be): what follows from it.
    pub fn settled(&mut self, call: &Call, applied: bool, now: Millis) {
        self.activity += 1;
        if let Some(key) = key_of(call) {
            self.under_way.remove(&key);
        }
        if let Call::AddPipeline(wire) = call
            && let Some(id) = convert::pipeline_id(&wire.id)
        {
            self.coming.remove(&id);
        }
        if applied && self.leader_term.is_some() {
            self.follow_up(call, now);
        } else if let Call::RemoveTransactions { ids, .. } = call {
            self.deletion.forget(ids);
        }
    }

    fn follow_up(&mut self, call: &Call, now: Millis) {
        match call {
            Call::AddPipeline(wire) => {
                if let Some(id) = convert::pipeline_id(&wire.id) {
                    self.announce_pipeline(id);
                }
            }
            Call::UpdatePipelineState { id, state: PipelineState::Open } => {
                self.safe_mode_pipeline_reported(*id);
                self.evaluate_safe_mode(now);
            }
            Call::UpdatePipelineState { state: PipelineState::Closed, .. } => self.want_pipelines(),
            Call::RemovePipeline(id) => {
                self.dismiss_members(*id);
                self.want_pipelines();
            }
            Call::AddContainer(info) => self.check_new_container(info, now),
            Call::UpdateContainerState { id, event: ContainerEvent::Finalize, .. } => {
                self.lease(*id, now);
            }
            Call::AllocateBatch { name, expected, last } => {
                self.ids.add(name, expected + 1..=*last);
            }
            Call::RemoveTransactions { ids, .. } => self.deletion.forget(ids),
            _ => {}
        }
    }

    /// The pipeline was closed while the container was being made on it.
    fn check_new_container(&mut self, info: &hdds::ContainerInfoProto, now: Millis) {
        let pipeline = info.pipeline_id.as_ref().and_then(convert::pipeline_id);
        let open = pipeline
            .and_then(|id| self.ledger.pipeline(id))
            .is_some_and(|pipeline| pipeline.state == PipelineState::Open);
        if !open {
            self.close_container(ContainerId(info.container_id.max(0).cast_unsigned()), now);
        }
    }

    /// Queues a command for a datanode. False when it is unknown or its queue is full.
    pub(crate) fn send(&mut self, node: DatanodeId, command: Command) -> bool {
        let limit = self.rules.command_queue_max;
        let Some(node) = self.nodes.get_mut(node) else { return false };
        self.next_command += 1;
        self.activity += 1;
        node.queue.push(command, self.next_command, limit)
    }

    /// Pipelines that are proposed but not applied.
    pub(crate) fn coming_pipelines(&self) -> impl Iterator<Item = &hdds::Pipeline> {
        let applied = |id: &PipelineId| self.ledger.pipeline(*id).is_some();
        self.coming.iter().filter(move |(id, _)| !applied(id)).map(|(_, wire)| &**wire)
    }

    /// This pipeline is proposed but not applied.
    pub(crate) fn is_coming(&self, id: PipelineId) -> bool {
        self.coming.contains_key(&id)
    }

    /// A pipeline with this member is proposed and not yet announced to it.
    pub(crate) fn is_pipeline_coming_to(&self, node: DatanodeId) -> bool {
        let member = |member| convert::datanode_id(member) == Some(node);
        self.coming.values().any(|wire| wire.members.iter().any(member))
    }

    /// What is still missing before keys can be written, in words; `None` when they can: a leader, the
    /// end of safe mode, and an open pipeline of every replication that the cluster can hold.
    pub fn missing_for_writes(&self) -> Option<String> {
        if self.leader_term.is_none() {
            return Some("SCM does not lead its ring yet".to_owned());
        }
        if self.safe_mode.is_active() {
            let unmet = self.safe_mode_rules().into_iter().find(|rule| !rule.holds);
            let text = unmet.map_or_else(String::new, |rule| format!(": {}", rule.text));
            return Some(format!("SCM is in safe mode{text}"));
        }
        let factor = if self.nodes.usable() >= ReplicationFactor::Three.count() {
            ReplicationFactor::Three
        } else {
            ReplicationFactor::One
        };
        let wanted = ReplicationConfig::Ratis(factor);
        let open = self.ledger.pipelines().any(|pipeline| {
            pipeline.replication == wanted && pipeline.state == PipelineState::Open
        });
        (!open).then(|| format!("no {wanted} pipeline is open yet"))
    }

    /// Some pipeline of this replication is proposed but not applied.
    pub(crate) fn is_pipeline_coming(&self, replication: ReplicationConfig) -> bool {
        let (kind, factor, _) = convert::replication_proto(replication);
        self.coming_pipelines()
            .any(|wire| wire.r#type == Some(kind.into()) && wire.factor == factor)
    }

    /// A container for this owner is proposed but not applied.
    pub(crate) fn is_container_coming(&self, pipeline: PipelineId, owner: &str) -> bool {
        self.under_way.contains(&CallKey::NewContainer(pipeline, owner.to_owned()))
    }

    /// An id beyond all that are known: its container may be proposed but not applied.
    pub(crate) fn is_new_container(&self, id: ContainerId) -> bool {
        self.ledger.last_id(crate::ledger::sequence::CONTAINER_ID) < id.0.cast_signed()
    }
}
