//! Safe mode: after a start nothing is handed out until enough has been reported
//! (`SCMSafeModeManager`, `SafeModeRuleFactory`).

use hdds_types::{
    ContainerId, ContainerState, PipelineId, PipelineState, ReplicationConfig, ReplicationFactor,
};
use rustc_hash::FxHashSet;

use crate::ledger::{Ledger, Pipeline};
use crate::{Core, Millis, Rules};

/// Containers and pipelines named in a status text.
const SAMPLES_MAX: usize = 5;
const THREE: ReplicationConfig = ReplicationConfig::Ratis(ReplicationFactor::Three);

/// Where SCM stands.
#[derive(Debug, Default)]
pub struct SafeMode {
    active: bool,
    pre_checked: bool,
    exited_ms: Option<Millis>,
    /// The log is applied and a leader known.
    machine_ready: bool,
    ratis: Containers,
    ec: Containers,
    /// RATIS/THREE pipelines that were open at start.
    old_pipelines: FxHashSet<PipelineId>,
    /// Of those, reported by a member.
    reported: FxHashSet<PipelineId>,
}

/// Closed containers with data, and which of them lack copies.
#[derive(Debug, Default)]
struct Containers {
    total: usize,
    missing: FxHashSet<ContainerId>,
}

impl Containers {
    fn fraction(&self) -> f64 {
        if self.total == 0 {
            return 1.0;
        }
        (self.total - self.missing.len()) as f64 / self.total as f64
    }
}

/// A rule as `ozone admin safemode status --verbose` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleStatus {
    /// Name of the Java class.
    pub name: &'static str,
    /// Whether it holds.
    pub holds: bool,
    /// In words.
    pub text: String,
}

impl SafeMode {
    pub(crate) fn new(rules: &Rules, ledger: &Ledger) -> Self {
        let mut safe_mode = Self { active: rules.safe_mode, ..Self::default() };
        if !rules.safe_mode {
            safe_mode.pre_checked = true;
            safe_mode.exited_ms = Some(0);
            return safe_mode;
        }
        for container in ledger.containers_from(ContainerId(0)) {
            let closed =
                matches!(container.state, ContainerState::Closed | ContainerState::QuasiClosed);
            if closed && container.keys > 0 {
                let kind = match container.replication {
                    ReplicationConfig::Ec(_) => &mut safe_mode.ec,
                    _ => &mut safe_mode.ratis,
                };
                kind.total += 1;
                kind.missing.insert(container.id);
            }
        }
        safe_mode.old_pipelines = open_three(ledger).map(|pipeline| pipeline.id).collect();
        safe_mode
    }

    /// Nothing is handed out.
    pub fn is_active(&self) -> bool {
        self.active
    }

    /// Enough datanodes have registered.
    pub fn is_pre_checked(&self) -> bool {
        self.pre_checked
    }

    /// When it was left.
    pub fn exited_ms(&self) -> Option<Millis> {
        self.exited_ms
    }

    /// The message for a caller while active.
    pub fn refuses(&self, operation: &str) -> Option<String> {
        self.active.then(|| format!("SafeModePrecheck failed for {operation}"))
    }

    /// Whether pipelines may be made now.
    pub(crate) fn allows_pipelines(&self, in_safe_mode: bool) -> bool {
        !self.active || (in_safe_mode && self.pre_checked)
    }

    /// Services that move data hold still for a while after safe mode.
    pub(crate) fn waits_after_exit(&self, now: Millis, wait_ms: Millis) -> bool {
        self.active || self.exited_ms.is_none_or(|exited| now.saturating_sub(exited) < wait_ms)
    }
}

impl Core {
    /// The log is applied up to the leader's; services may trust the state.
    pub fn machine_is_ready(&mut self, now: Millis) {
        self.safe_mode.machine_ready = true;
        self.evaluate_safe_mode(now);
    }

    /// An operator ends safe mode. Always true, as the genuine answer.
    pub fn force_exit_safe_mode(&mut self, now: Millis) -> bool {
        self.exit_safe_mode(now);
        true
    }

    /// A copy of a container was reported.
    pub(crate) fn safe_mode_container_reported(&mut self, id: ContainerId) {
        if !self.safe_mode.active || self.safe_mode.ratis.missing.remove(&id) {
            return;
        }
        if self.safe_mode.ec.missing.contains(&id)
            && let Some(container) = self.ledger.container(id)
            && let ReplicationConfig::Ec(ec) = container.replication
            && container.replicas.len() >= ec.data as usize
        {
            self.safe_mode.ec.missing.remove(&id);
        }
    }

    /// A member reported a pipeline, or it has just opened.
    pub(crate) fn safe_mode_pipeline_reported(&mut self, id: PipelineId) {
        if self.safe_mode.active && self.safe_mode.old_pipelines.contains(&id) {
            self.safe_mode.reported.insert(id);
        }
    }

    /// Leaves safe mode when every rule holds.
    pub(crate) fn evaluate_safe_mode(&mut self, now: Millis) {
        if !self.safe_mode.active {
            return;
        }
        if !self.safe_mode.pre_checked && self.datanode_rule().holds {
            self.safe_mode.pre_checked = true;
            self.want_pipelines();
        }
        if self.safe_mode_rules().iter().all(|rule| rule.holds) {
            self.exit_safe_mode(now);
        }
    }

    fn exit_safe_mode(&mut self, now: Millis) {
        if !self.safe_mode.active {
            return;
        }
        self.safe_mode.active = false;
        self.safe_mode.pre_checked = true;
        self.safe_mode.exited_ms = Some(now);
        self.safe_mode.ratis.missing = FxHashSet::default();
        self.safe_mode.ec.missing = FxHashSet::default();
        self.activity += 1;
        self.want_pipelines();
    }

    /// Every rule, in the genuine order.
    pub fn safe_mode_rules(&self) -> Vec<RuleStatus> {
        let cutoff = self.rules.safe_mode_containers;
        let ready = self.safe_mode.machine_ready;
        let mut rules = vec![
            container_rule("RatisContainerSafeModeRule", "RATIS", &self.safe_mode.ratis, cutoff),
            container_rule("ECContainerSafeModeRule", "EC", &self.safe_mode.ec, cutoff),
            self.datanode_rule(),
            RuleStatus {
                name: "StateMachineReadyRule",
                holds: ready,
                text: format!("Refreshed SCM State Machine after leader ready: {ready}"),
            },
        ];
        if self.rules.pipelines_in_safe_mode {
            rules.push(self.healthy_pipeline_rule());
            rules.push(self.reported_pipeline_rule());
        }
        rules
    }

    fn datanode_rule(&self) -> RuleStatus {
        let (registered, required) = (self.nodes.len(), self.rules.safe_mode_datanodes_min);
        RuleStatus {
            name: "DataNodeSafeModeRule",
            holds: registered >= required,
            text: format!(
                "registered datanodes (={registered}) >= required datanodes (={required})"
            ),
        }
    }

    fn healthy_pipeline_rule(&self) -> RuleStatus {
        let healthy = |pipeline: &&Pipeline| {
            let usable = |id| self.nodes.get(id).is_some_and(|node| node.is_usable());
            pipeline.is_healthy() && pipeline.members.iter().copied().all(usable)
        };
        let open = open_three(&self.ledger).count();
        let count = open_three(&self.ledger).filter(healthy).count();
        let share = fraction_of(open, self.rules.safe_mode_healthy_pipelines);
        let least = self.rules.safe_mode_datanodes_min / ReplicationFactor::Three.count();
        let required = share.max(least);
        RuleStatus {
            name: "HealthyPipelineSafeModeRule",
            holds: count >= required,
            text: format!(
                "healthy Ratis/THREE pipelines (={count}) >= healthyPipelineThresholdCount \
                 (={required})"
            ),
        }
    }

    fn reported_pipeline_rule(&self) -> RuleStatus {
        // Those that were closed meanwhile will never be reported.
        let open: Vec<PipelineId> = open_three(&self.ledger)
            .map(|pipeline| pipeline.id)
            .filter(|id| self.safe_mode.old_pipelines.contains(id))
            .collect();
        let count = open.iter().filter(|id| self.safe_mode.reported.contains(id)).count();
        let required = fraction_of(open.len(), self.rules.safe_mode_reported_pipelines);
        let mut text = format!(
            "reported Ratis/THREE pipelines with at least one datanode (={count}) >= threshold \
             (={required})"
        );
        let missing = open.iter().filter(|id| !self.safe_mode.reported.contains(id));
        let samples: Vec<String> =
            missing.take(SAMPLES_MAX).map(|id| format!("PipelineID={id}")).collect();
        if !samples.is_empty() {
            text += "\nSample pipelines not satisfying the criteria : ";
            text += &format!("[{}]", samples.join(", "));
        }
        RuleStatus { name: "OneReplicaPipelineSafeModeRule", holds: count >= required, text }
    }
}

fn open_three(ledger: &Ledger) -> impl Iterator<Item = &Pipeline> {
    ledger
        .pipelines()
        .filter(|pipeline| pipeline.state == PipelineState::Open && pipeline.replication == THREE)
}

fn fraction_of(count: usize, fraction: f64) -> usize {
    (count as f64 * fraction).ceil() as usize
}

fn container_rule(
    name: &'static str,
    kind: &str,
    containers: &Containers,
    cutoff: f64,
) -> RuleStatus {
    let fraction = containers.fraction();
    let (total, with_copy) = (containers.total, containers.total - containers.missing.len());
    let mut text = format!(
        "{:.2}% of [{kind}] Containers({with_copy} / {total}) with at least N reported replica \
         (={fraction:.2}) >= safeModeCutoff (={cutoff:.2})",
        fraction * 100.0
    );
    let mut samples: Vec<ContainerId> = containers.missing.iter().copied().collect();
    samples.sort_unstable();
    let samples: Vec<String> =
        samples.iter().take(SAMPLES_MAX).map(|id| format!("#{id}")).collect();
    if !samples.is_empty() {
        text += &format!(
            "\nSample {kind} Containers not satisfying the criteria : [{}]",
            samples.join(", ")
        );
    }
    RuleStatus { name, holds: fraction >= cutoff, text }
}

#[cfg(test)]
mod tests;
