//! One SCM (or Recon): GETVERSION → REGISTER → HEARTBEAT, and back to the start on `reregister`.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use hdds_client::scm::ScmDatanodeClient;
use hdds_proto::hdds::{
    CommandStatusReportsProto, ContainerActionsProto, ExtendedDatanodeDetailsProto,
    IncrementalContainerReportProto, PipelineActionsProto, ScmCommandProto,
    ScmHeartbeatRequestProto, ScmRegisterRequestProto, scm_command_proto::Type,
    scm_registered_response_proto::ErrorCode,
};
use rand::Rng;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::commands::Order;
use super::{Mail, Mailbox, reports};
use crate::node::{Network, Node, Services};

/// Between urgent heartbeats, so that a burst of changes travels together.
const URGENT_PAUSE: Duration = Duration::from_millis(20);

enum State {
    GetVersion,
    Register(Arc<Services>),
    Heartbeat(Arc<Services>),
}

/// When each report is due.
struct Schedule {
    node: Instant,
    containers: Instant,
    pipelines: Instant,
}

/// The conversation with one SCM.
pub struct Endpoint {
    node: Arc<Node>,
    client: ScmDatanodeClient,
    mailbox: Arc<Mailbox>,
    interval: Duration,
    /// Recon listens; it neither names the cluster nor gives orders.
    passive: bool,
    schedule: Schedule,
    /// Tries in a row that failed; the first is logged.
    failures: u32,
}

impl Endpoint {
    /// An endpoint that has not begun.
    pub fn new(
        node: Arc<Node>,
        client: ScmDatanodeClient,
        mailbox: Arc<Mailbox>,
        interval: Duration,
        passive: bool,
    ) -> Self {
        let now = Instant::now();
        let schedule = Schedule { node: now, containers: now, pipelines: now };
        Self { node, client, mailbox, interval, passive, schedule, failures: 0 }
    }

    /// Talks until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut state = State::GetVersion;
        loop {
            let registered = matches!(state, State::Heartbeat(_));
            let tried = stop.run_until_cancelled(self.step(state)).await;
            let Some((next, outcome)) = tried else { return };
            let moved_on = !registered && matches!(next, State::Register(_) | State::Heartbeat(_));
            state = next;
            self.log(&outcome);
            if outcome.is_ok() && moved_on {
                continue;
            }
            let pause = match state {
                State::Heartbeat(_) => self.interval,
                _ => self.node.settings.heartbeat_initial_interval.min(self.interval),
            };
            // What is urgent does not wait, unless SCM is out of reach.
            let urgent = async {
                self.mailbox.urgent().await;
                if outcome.is_err() {
                    sleep(self.node.settings.heartbeat_initial_interval).await;
                } else {
                    sleep(URGENT_PAUSE).await;
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(pause) => {}
                () = urgent, if matches!(state, State::Heartbeat(_)) => {}
            }
        }
    }

    async fn step(&mut self, state: State) -> (State, anyhow::Result<()>) {
        match state {
            State::GetVersion => match self.get_version().await {
                Ok(services) => (State::Register(services), Ok(())),
                Err(error) => (State::GetVersion, Err(error)),
            },
            State::Register(services) => match self.register(&services).await {
                Ok(()) => (State::Heartbeat(services), Ok(())),
                Err(error) => (State::GetVersion, Err(error)),
            },
            State::Heartbeat(services) => match self.heartbeat(&services).await {
                Ok(true) => (State::Heartbeat(services), Ok(())),
                Ok(false) => (State::GetVersion, Ok(())),
                Err(error) => (State::Heartbeat(services), Err(error)),
            },
        }
    }

    /// The first answer of any SCM opens the disks and starts the services.
    async fn get_version(&self) -> anyhow::Result<Arc<Services>> {
        let version = self.client.get_version().await?;
        if self.passive {
            return self.node.services().context("waiting for SCM before Recon");
        }
        let value = |key: &str| {
            let pair = version.keys.iter().find(|pair| pair.key == key);
            pair.and_then(|pair| pair.value.clone()).filter(|value| !value.is_empty())
        };
        let cluster = value("clusterID").context("SCM named no clusterID")?;
        value("scmUuid").context("SCM named no scmUuid")?;
        self.node.start_services(&cluster).await
    }

    async fn register(&mut self, services: &Services) -> anyhow::Result<()> {
        // The reports below say all of it.
        self.mailbox.clear_changes();
        let request = ScmRegisterRequestProto {
            extended_datanode_details: ExtendedDatanodeDetailsProto {
                datanode_details: reports::details(&self.node, Some(services)),
                version: Some(env!("CARGO_PKG_VERSION").to_owned()),
                setup_time: Some(self.node.started_ms),
                revision: Some(String::new()),
                build_date: Some(String::new()),
            },
            node_report: reports::node_report(&self.node, services),
            container_report: reports::container_report(services),
            pipeline_reports: reports::pipeline_report(services),
            data_node_layout_version: Some(reports::layout(services)),
        };
        let response = self.client.register(request).await?;
        if response.error_code() != ErrorCode::Success {
            bail!("SCM refuses to register this datanode; do its layout and SCM's differ?");
        }
        let own = self.node.identity.lock().id.to_string();
        if response.datanode_uuid != own {
            bail!("SCM registered {} instead of {own}", response.datanode_uuid);
        }
        if response.cluster_id != services.cluster_id {
            bail!("SCM is of cluster {}, not {}", response.cluster_id, services.cluster_id);
        }
        if !self.passive {
            self.node.adopt(
                response.hostname,
                response.ip_address,
                Network { name: response.network_name, location: response.network_location },
            );
        }
        let now = Instant::now();
        let settings = &self.node.settings;
        // Spread over the first interval, so that a restarted cluster does not report in step.
        let spread = rand::rng().random_range(0.0..1.0);
        self.schedule = Schedule {
            node: now + settings.node_report_interval,
            containers: now + settings.container_report_interval.mul_f64(spread),
            pipelines: now + settings.pipeline_report_interval,
        };
        tracing::info!(scm = %self.client.address(), "registered");
        Ok(())
    }

    /// `false` when SCM wants a new registration.
    async fn heartbeat(&mut self, services: &Arc<Services>) -> anyhow::Result<bool> {
        let settings = self.node.settings.clone();
        let mail = self.mailbox.take(settings.container_actions_max, settings.pipeline_actions_max);
        let now = Instant::now();
        let due = |at: &mut Instant, every: Duration, asked: bool| {
            let due = asked || *at <= now;
            if due {
                *at = now + every;
            }
            due
        };
        let schedule = &mut self.schedule;
        let node = due(&mut schedule.node, settings.node_report_interval, mail.node_due);
        let containers =
            due(&mut schedule.containers, settings.container_report_interval, mail.containers_due);
        let pipelines =
            due(&mut schedule.pipelines, settings.pipeline_report_interval, mail.pipelines_due);
        let mut request = to_request(&mail);
        request.datanode_details = reports::details(&self.node, Some(services));
        request.node_report = node.then(|| reports::node_report(&self.node, services));
        request.container_report = containers.then(|| reports::container_report(services));
        request.pipeline_reports = pipelines.then(|| reports::pipeline_report(services));
        request.data_node_layout_version = Some(reports::layout(services));
        request.command_queue_report = Some(self.node.commands.queue_report());
        let begun = Instant::now();
        let answer = self.client.send_heartbeat(request).await;
        self.node.heartbeats.done(begun.elapsed(), answer.is_err());
        let mut undelivered = mail;
        undelivered.node_due |= node;
        undelivered.containers_due |= containers;
        undelivered.pipelines_due |= pipelines;
        let response = match answer {
            Ok(response) => response,
            Err(error) => {
                self.mailbox.put_back(undelivered);
                return Err(error.into());
            }
        };
        if self.passive {
            return Ok(true);
        }
        self.node.leadership.heard(response.term);
        let reregister =
            |command: &ScmCommandProto| command.command_type() == Type::ReregisterCommand;
        let registered = !response.commands.iter().any(reregister);
        if !registered {
            // An SCM that does not know this node (it has just started) has not read the rest.
            tracing::info!(scm = %self.client.address(), "asked to register again");
            self.mailbox.put_back(undelivered);
        }
        for command in response.commands {
            if !reregister(&command) {
                self.node.commands.add(Order { command, services: services.clone() });
            }
        }
        Ok(registered)
    }

    fn log(&mut self, outcome: &anyhow::Result<()>) {
        let scm = self.client.address();
        match outcome {
            Ok(()) => {
                if self.failures > 0 {
                    tracing::info!(%scm, failures = self.failures, "reached again");
                }
                self.failures = 0;
            }
            Err(error) => {
                self.failures += 1;
                // Once, then every so often.
                if self.failures.is_power_of_two() {
                    tracing::warn!(%scm, failures = self.failures, "{error:#}");
                }
            }
        }
    }
}

/// The parts of a heartbeat that were waiting; empty ones are left out.
fn to_request(mail: &Mail) -> ScmHeartbeatRequestProto {
    let mut request = ScmHeartbeatRequestProto::default();
    if !mail.changes.is_empty() {
        let report = mail.changes.iter().cloned().collect();
        request.incremental_container_report.push(IncrementalContainerReportProto { report });
    }
    if !mail.statuses.is_empty() {
        let cmd_status = mail.statuses.iter().cloned().collect();
        request.command_status_reports.push(CommandStatusReportsProto { cmd_status });
    }
    if !mail.container_actions.is_empty() {
        let container_actions = mail.container_actions.iter().cloned().collect();
        request.container_actions = Some(ContainerActionsProto { container_actions });
    }
    if !mail.pipeline_actions.is_empty() {
        let pipeline_actions = mail.pipeline_actions.iter().cloned().collect();
        request.pipeline_actions = Some(PipelineActionsProto { pipeline_actions });
    }
    request
}
