//! What SCM should know, per endpoint (`StateContext`).

use std::collections::VecDeque;
use std::sync::Arc;

use hdds_proto::convert;
use hdds_proto::hdds::{
    ClosePipelineInfo, CommandStatus, ContainerAction, ContainerReplicaProto, PipelineAction,
    close_pipeline_info, container_action, pipeline_action,
};
use hdds_types::{ContainerId, PipelineId};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Container changes kept for an endpoint that does not answer. Beyond, a full report replaces them.
const CHANGES_MAX: usize = 10_000;
/// Actions and command statuses kept; the oldest go first.
const ACTIONS_MAX: usize = 10_000;

/// What waits for one heartbeat.
#[derive(Default, Debug)]
pub struct Mail {
    /// Containers that changed, oldest first.
    pub changes: VecDeque<ContainerReplicaProto>,
    /// Results of commands.
    pub statuses: VecDeque<CommandStatus>,
    /// Containers to be closed.
    pub container_actions: VecDeque<ContainerAction>,
    /// Pipelines to be closed.
    pub pipeline_actions: VecDeque<PipelineAction>,
    /// The pipeline report is due now.
    pub pipelines_due: bool,
    /// The node report is due now.
    pub node_due: bool,
    /// The full container report is due now.
    pub containers_due: bool,
}

/// The mail of one endpoint.
#[derive(Default)]
pub struct Mailbox {
    mail: Mutex<Mail>,
    arrived: Notify,
}

impl Mailbox {
    /// Waits for something that should not wait for the next interval.
    pub async fn urgent(&self) {
        self.arrived.notified().await;
    }

    /// Takes everything, at most so many actions.
    pub fn take(&self, container_actions_max: usize, pipeline_actions_max: usize) -> Mail {
        let mut mail = self.mail.lock();
        let mut taken = std::mem::take(&mut *mail);
        let rest = taken.container_actions.len().min(container_actions_max);
        mail.container_actions = taken.container_actions.split_off(rest);
        let rest = taken.pipeline_actions.len().min(pipeline_actions_max);
        mail.pipeline_actions = taken.pipeline_actions.split_off(rest);
        taken
    }

    /// Puts back what was not delivered, in front of what came since.
    pub fn put_back(&self, undelivered: Mail) {
        let mut mail = self.mail.lock();
        let newer = std::mem::replace(&mut *mail, undelivered);
        mail.changes.extend(newer.changes);
        mail.statuses.extend(newer.statuses);
        mail.container_actions.extend(newer.container_actions);
        mail.pipeline_actions.extend(newer.pipeline_actions);
        mail.pipelines_due |= newer.pipelines_due;
        mail.node_due |= newer.node_due;
        mail.containers_due |= newer.containers_due;
        mail.bound();
    }

    /// Forgets what a full report says anyway.
    pub fn clear_changes(&self) {
        self.mail.lock().changes.clear();
    }

    fn add(&self, urgent: bool, edit: impl FnOnce(&mut Mail)) {
        {
            let mut mail = self.mail.lock();
            edit(&mut mail);
            mail.bound();
        }
        if urgent {
            self.arrived.notify_one();
        }
    }
}

impl Mail {
    fn bound(&mut self) {
        if self.changes.len() > CHANGES_MAX {
            self.changes.clear();
            self.containers_due = true;
        }
        let cut = |len: usize| len.saturating_sub(ACTIONS_MAX);
        self.statuses.drain(..cut(self.statuses.len()));
        self.container_actions.drain(..cut(self.container_actions.len()));
        self.pipeline_actions.drain(..cut(self.pipeline_actions.len()));
    }
}

/// All mailboxes.
pub struct Outbox {
    mailboxes: Vec<Arc<Mailbox>>,
}

impl Outbox {
    /// With so many endpoints.
    pub fn new(endpoints: usize) -> Self {
        Self { mailboxes: (0..endpoints).map(|_| Arc::default()).collect() }
    }

    /// The mailboxes, in the order of the endpoints.
    pub fn mailboxes(&self) -> &[Arc<Mailbox>] {
        &self.mailboxes
    }

    /// A container was created, changed its state or was removed: goes out at once.
    pub fn container_changed(&self, replica: &ContainerReplicaProto) {
        self.each(true, |mail| mail.changes.push_back(replica.clone()));
    }

    /// Asks SCM to close a container: goes out at once.
    pub fn close_container(&self, id: ContainerId, reason: container_action::Reason) {
        let action = ContainerAction {
            container_id: id.0.cast_signed(),
            action: container_action::Action::Close.into(),
            reason: Some(reason.into()),
        };
        self.each(true, |mail| mail.container_actions.push_back(action));
    }

    /// Asks SCM to close a pipeline: goes out at once, and once.
    pub fn close_pipeline(
        &self,
        id: PipelineId,
        reason: close_pipeline_info::Reason,
        detail: String,
    ) {
        let action = PipelineAction {
            action: pipeline_action::Action::Close.into(),
            close_pipeline: Some(ClosePipelineInfo {
                pipeline_id: convert::pipeline_id_proto(id),
                reason: Some(reason.into()),
                detailed_reason: Some(detail),
            }),
        };
        self.each(true, |mail| {
            let same = |known: &PipelineAction| {
                let pipeline =
                    |a: &PipelineAction| a.close_pipeline.as_ref().map(|c| c.pipeline_id.clone());
                pipeline(known) == pipeline(&action)
            };
            if !mail.pipeline_actions.iter().any(same) {
                mail.pipeline_actions.push_back(action.clone());
            }
        });
    }

    /// The result of a command: goes out with the next heartbeat.
    pub fn command_done(&self, status: &CommandStatus) {
        self.each(false, |mail| mail.statuses.push_back(status.clone()));
    }

    /// Pipelines came, went or changed their leader: goes out at once.
    pub fn report_pipelines_now(&self) {
        self.each(true, |mail| mail.pipelines_due = true);
    }

    /// Disks changed: goes out at once.
    pub fn report_node_now(&self) {
        self.each(true, |mail| mail.node_due = true);
    }

    fn each(&self, urgent: bool, edit: impl Fn(&mut Mail)) {
        for mailbox in &self.mailboxes {
            mailbox.add(urgent, &edit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn undelivered_mail_goes_back_in_front_and_actions_are_dosed() {
        let outbox = Outbox::new(1);
        let mailbox = &outbox.mailboxes()[0];
        for id in 1..=5 {
            outbox.close_container(ContainerId(id), container_action::Reason::ContainerFull);
        }
        let replica = |id| ContainerReplicaProto { container_id: id, ..Default::default() };
        outbox.container_changed(&replica(1));
        let taken = mailbox.take(3, 3);
        assert_eq!((taken.container_actions.len(), taken.changes.len()), (3, 1));
        outbox.container_changed(&replica(2));
        mailbox.put_back(taken);
        let all = mailbox.take(100, 100);
        let ids: Vec<i64> =
            all.container_actions.iter().map(|action| action.container_id).collect();
        assert_eq!(ids, [1, 2, 3, 4, 5]);
        let changed: Vec<i64> = all.changes.iter().map(|replica| replica.container_id).collect();
        assert_eq!(changed, [1, 2]);
    }

    #[test]
    fn a_pipeline_is_complained_about_once_and_floods_become_a_full_report() {
        let outbox = Outbox::new(2);
        let reason = close_pipeline_info::Reason::PipelineFailed;
        let id = PipelineId::random();
        outbox.close_pipeline(id, reason, "one".to_owned());
        outbox.close_pipeline(id, reason, "two".to_owned());
        for id in 0..=CHANGES_MAX {
            let replica = ContainerReplicaProto { container_id: id as i64, ..Default::default() };
            outbox.container_changed(&replica);
        }
        for mailbox in outbox.mailboxes() {
            let mail = mailbox.take(10, 10);
            assert_eq!((mail.pipeline_actions.len(), mail.changes.len()), (1, 0));
            assert!(mail.containers_due);
        }
    }
}
