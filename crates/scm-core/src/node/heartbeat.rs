//! A datanode's pulse: reports in, commands out (`SCMDatanodeHeartbeatDispatcher`).

use hdds_proto::hdds::container_action::Action as ContainerActionKind;
use hdds_proto::hdds::{
    ContainerActionsProto, NodeReportProto, PipelineActionsProto, ScmCommandProto,
    ScmHeartbeatRequestProto,
};
use hdds_types::{ContainerId, DatanodeId, NodeHealth};

use super::register::reported_operational_state;
use super::{Command, LAYOUT_VERSION};
use crate::{Core, Millis, convert};

/// What to answer to a heartbeat.
#[derive(Clone, Debug, Default)]
pub struct HeartbeatAnswer {
    /// Commands, in order.
    pub commands: Vec<ScmCommandProto>,
    /// The leader's term; absent from followers.
    pub term: Option<i64>,
    /// The datanode is not registered; nothing of its reports was taken in.
    pub unknown: bool,
}

impl Core {
    /// Takes a heartbeat in, but for its full container report, which comes before through
    /// [`Core::drop_unnamed_replicas`] and [`Core::take_replicas`]. The commands are fetched with [`Core::take_commands`], which may be done
    /// later for a datanode that waits for its first pipeline. `false` when it is not registered.
    pub fn heartbeat(&mut self, request: &ScmHeartbeatRequestProto, now: Millis) -> bool {
        let Some(id) = convert::datanode_id(&request.datanode_details) else { return false };
        if !self.touch(id, request, now) {
            return false;
        }
        if let Some(report) = &request.node_report {
            self.take_node_report(id, report);
        }
        for report in &request.incremental_container_report {
            self.take_replicas(id, &report.report, now);
        }
        if let Some(actions) = &request.container_actions {
            self.take_container_actions(actions, now);
        }
        if let Some(reports) = &request.pipeline_reports {
            self.take_pipeline_reports(id, reports, now);
        }
        if let Some(actions) = &request.pipeline_actions {
            self.take_pipeline_actions(actions, now);
        }
        for report in &request.command_status_reports {
            self.take_command_status(id, report, now);
        }
        self.evaluate_safe_mode(now);
        true
    }

    /// Takes the commands that wait for a datanode. One that is not registered is told to register.
    pub fn take_commands(&mut self, id: DatanodeId) -> HeartbeatAnswer {
        let term = self.leader_term.map(u64::cast_signed);
        let limit = self.rules.commands_per_heartbeat_max;
        let Some(node) = self.nodes.get_mut(id) else {
            let mut queue = super::CommandQueue::default();
            queue.push(Command::Reregister, 0, 1);
            return HeartbeatAnswer { commands: queue.take(1, term), term, unknown: true };
        };
        HeartbeatAnswer { commands: node.queue.take(limit, term), term, unknown: false }
    }

    /// The datanode has nothing to do yet and pipelines are about to be made: its heartbeat may be
    /// answered a little later, so that the first command need not wait for the next one.
    pub fn awaits_first_pipeline(&self, id: DatanodeId) -> bool {
        let Some(node) = self.nodes.get(id) else { return false };
        let idle = node.queue.is_empty() && self.ledger.pipelines_of(id).next().is_none();
        let pending = idle || self.is_pipeline_coming_to(id);
        self.safe_mode.is_active() && self.leader_term.is_some() && node.is_usable() && pending
    }

    /// Life sign, layout and operational state.
    fn touch(&mut self, id: DatanodeId, request: &ScmHeartbeatRequestProto, now: Millis) -> bool {
        let is_leader = self.leader_term.is_some();
        let Some(node) = self.nodes.get_mut(id) else { return false };
        node.last_heartbeat = now;
        if let Some(layout) = &request.data_node_layout_version {
            node.metadata_layout = layout.metadata_layout_version;
        }
        if let Some(report) = &request.command_queue_report {
            node.queue.report(report);
        }
        let mut resent = None;
        if request.datanode_details.persisted_op_state.is_some() {
            let (state, expiry) = reported_operational_state(&request.datanode_details);
            let ours = (node.operational, node.operational_expiry);
            if (state, expiry) != ours && is_leader {
                resent = Some(Command::SetOperationalState { state: ours.0, expiry: ours.1 });
            } else {
                (node.operational, node.operational_expiry) = (state, expiry);
            }
        }
        let returning = matches!(node.health, NodeHealth::Stale | NodeHealth::Dead);
        let ripe =
            node.health == NodeHealth::HealthyReadonly && node.metadata_layout >= LAYOUT_VERSION;
        if let Some(command) = resent {
            self.send(id, command);
        }
        if returning || ripe {
            self.check_node(id, now);
        }
        true
    }

    pub(super) fn take_node_report(&mut self, id: DatanodeId, report: &NodeReportProto) {
        let Some(node) = self.nodes.get_mut(id) else { return };
        node.storage.clone_from(&report.storage_report);
        node.metadata_storage.clone_from(&report.metadata_storage_report);
    }

    fn take_container_actions(&mut self, actions: &ContainerActionsProto, now: Millis) {
        for action in &actions.container_actions {
            let close = action.action == i32::from(ContainerActionKind::Close);
            if let (true, Ok(id)) = (close, u64::try_from(action.container_id)) {
                self.close_container(ContainerId(id), now);
            }
        }
    }

    fn take_pipeline_actions(&mut self, actions: &PipelineActionsProto, now: Millis) {
        for action in &actions.pipeline_actions {
            let close = action.close_pipeline.as_ref();
            if let Some(id) = close.and_then(|close| convert::pipeline_id(&close.pipeline_id)) {
                self.close_pipeline(id, now);
            }
        }
    }
}
