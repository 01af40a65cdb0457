//! What SCM orders.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use container_store::{Container, DeleteOutcome, ReplicaState};
use hdds_proto::convert;
use hdds_proto::datanode::{
    CloseContainerRequestProto, ContainerCommandRequestProto, Type as ContainerCommand,
};
use hdds_proto::hdds::{
    CloseContainerCommandProto, ClosePipelineCommandProto, CommandQueueReportProto, CommandStatus,
    ContainerBlocksDeletionAckProto, CreatePipelineCommandProto, DatanodeDetailsProto,
    DeleteBlocksCommandProto, DeleteContainerCommandProto, DeletedBlocksTransaction,
    ScmCommandProto, SetNodeOperationalStateCommandProto, close_pipeline_info, command_status,
    container_blocks_deletion_ack_proto::DeleteBlockTransactionResult, scm_command_proto::Type,
};
use hdds_types::ContainerId;
use multiraft::{ClientRequest, GroupId, RaftError};
use parking_lot::Mutex;
use ratis_proto::common::{RaftPeerProto, RaftPeerRole};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::node::{Node, Services};
use crate::pipeline::message;

/// Wait before SCM is asked to close a pipeline that cannot be made here: it makes a new one at once.
const PIPELINE_FAILED_PAUSE: Duration = Duration::from_secs(1);

/// An order and what it is carried out on.
pub struct Order {
    /// The order.
    pub command: ScmCommandProto,
    /// The services.
    pub services: Arc<Services>,
}

/// Orders that wait; bounded by `hdds.datanode.command.queue.limit`.
pub struct Commands {
    sender: mpsc::Sender<Order>,
    waiting: Arc<Mutex<BTreeMap<i32, u32>>>,
}

/// The receiving end.
pub struct Executor {
    orders: mpsc::Receiver<Order>,
    waiting: Arc<Mutex<BTreeMap<i32, u32>>>,
}

impl Commands {
    /// A queue of so many orders.
    pub fn new(orders_max: usize) -> (Self, Executor) {
        let (sender, orders) = mpsc::channel(orders_max.max(1));
        let waiting = Arc::<Mutex<BTreeMap<i32, u32>>>::default();
        (Self { sender, waiting: waiting.clone() }, Executor { orders, waiting })
    }

    /// Adds an order; beyond the limit it is dropped, SCM repeats what matters.
    pub fn add(&self, order: Order) {
        let kind = order.command.command_type;
        *self.waiting.lock().entry(kind).or_default() += 1;
        if self.sender.try_send(order).is_err() {
            done(&self.waiting, kind);
            tracing::warn!(kind, "too many commands wait, one dropped");
        }
    }

    /// How many of each type wait.
    pub fn queue_report(&self) -> CommandQueueReportProto {
        let waiting = self.waiting.lock();
        CommandQueueReportProto {
            command: waiting.keys().copied().collect(),
            count: waiting.values().copied().collect(),
        }
    }
}

fn done(waiting: &Mutex<BTreeMap<i32, u32>>, kind: i32) {
    let mut waiting = waiting.lock();
    if let Some(count) = waiting.get_mut(&kind) {
        *count -= 1;
        if *count == 0 {
            waiting.remove(&kind);
        }
    }
}

impl Executor {
    /// Carries orders out, one after another, until `stop`.
    pub async fn run(mut self, node: Arc<Node>, stop: CancellationToken) {
        while let Some(Some(order)) = stop.run_until_cancelled(self.orders.recv()).await {
            let kind = order.command.command_type;
            let term = order.command.term;
            if node.leadership.counts(term) {
                if stop.run_until_cancelled(execute(&node, order)).await.is_none() {
                    return;
                }
            } else {
                tracing::info!(kind, ?term, "command of an earlier leader dropped");
            }
            done(&self.waiting, kind);
        }
    }
}

async fn execute(node: &Arc<Node>, order: Order) {
    let Order { command, services } = order;
    let kind = command.command_type();
    tracing::debug!(command = kind.as_str_name(), "command of SCM");
    match kind {
        Type::CreatePipelineCommand => {
            if let Some(command) = command.create_pipeline_command_proto {
                create_pipeline(node, &services, *command).await;
            }
        }
        Type::ClosePipelineCommand => {
            if let Some(command) = command.close_pipeline_command_proto {
                close_pipeline(node, &services, &command).await;
            }
        }
        Type::CloseContainerCommand => {
            if let Some(command) = command.close_container_command_proto {
                close_container(node, &services, &command).await;
            }
        }
        Type::DeleteContainerCommand => {
            if let Some(command) = command.delete_container_command_proto {
                delete_container(&services, &command).await;
            }
        }
        Type::DeleteBlocksCommand => {
            if let Some(command) = command.delete_blocks_command_proto {
                delete_blocks(node, services, *command).await;
            }
        }
        Type::SetNodeOperationalStateCommand => {
            if let Some(command) = command.set_node_operational_state_command_proto {
                set_state(node, &command).await;
            }
        }
        Type::RefreshVolumeUsageInfo => {
            let measured = tokio::task::spawn_blocking(move || {
                services.store.volumes().iter().for_each(|volume| volume.measure_used());
            });
            // A panic there is logged by the runtime.
            let _ = measured.await;
            node.outbox.report_node_now();
        }
        other => tracing::warn!(command = other.as_str_name(), "not supported yet; ignored"),
    }
}

async fn create_pipeline(
    node: &Arc<Node>,
    services: &Arc<Services>,
    command: CreatePipelineCommandProto,
) {
    let Some(id) = convert::pipeline_id(&command.pipeline_id) else {
        tracing::warn!("createPipeline names no pipeline");
        return;
    };
    let by_name = node.settings.use_host_names;
    let priorities = command.priority.into_iter().chain(std::iter::repeat(0));
    let peers: Vec<RaftPeerProto> = command
        .datanode
        .iter()
        .zip(priorities)
        .filter_map(|(datanode, priority)| peer(datanode, priority, by_name))
        .collect();
    if peers.len() != command.datanode.len() {
        tracing::warn!(pipeline = %id, "createPipeline names a datanode without ports");
        return;
    }
    match services.raft.add_group(id.0, peers.clone()).await {
        Ok(()) => tracing::info!(pipeline = %id, peers = peers.len(), "pipeline created"),
        Err(RaftError::AlreadyExists(_)) => {}
        Err(error) => {
            tracing::error!(pipeline = %id, %error, "pipeline not created");
            // SCM would wait for this node until the pipeline is scrubbed, and make no other meanwhile. It
            // first hears how full the disks are, or the next pipeline has this node again, at once.
            node.outbox.report_node_now();
            let (node, detail) = (node.clone(), error.to_string());
            tokio::spawn(async move {
                tokio::time::sleep(PIPELINE_FAILED_PAUSE).await;
                let reason = close_pipeline_info::Reason::PipelineFailed;
                node.outbox.close_pipeline(id, reason, detail);
            });
            return;
        }
    }
    node.outbox.report_pipelines_now();
    // The others hear it from SCM too; whoever is first wins.
    let own = node.identity.lock().id.to_string();
    for peer in peers.clone() {
        if peer.id != own.as_bytes() {
            let (raft, peers) = (services.raft.clone(), peers.clone());
            tokio::spawn(async move {
                if let Err(error) = raft.tell_peer_to_add(&peer, id.0, &peers).await {
                    tracing::debug!(pipeline = %id, peer = peer.address, %error, "peer not told");
                }
            });
        }
    }
}

/// A member of a pipeline as Raft knows it (`RatisHelper.raftPeerBuilderFor`).
fn peer(datanode: &DatanodeDetailsProto, priority: i32, by_name: bool) -> Option<RaftPeerProto> {
    let id = convert::datanode_id(datanode)?.to_string();
    let host = if by_name { &datanode.host_name } else { &datanode.ip_address };
    let port = |name: &str| datanode.ports.iter().find(|port| port.name == name).map(|p| p.value);
    let client = port("RATIS")?;
    let address = |name: &str| format!("{host}:{}", port(name).unwrap_or(client));
    Some(RaftPeerProto {
        id: id.into_bytes().into(),
        address: address("RATIS_SERVER"),
        priority: u32::try_from(priority).unwrap_or(0),
        data_stream_address: address("RATIS_DATASTREAM"),
        client_address: format!("{host}:{client}"),
        admin_address: address("RATIS_ADMIN"),
        startup_role: Some(RaftPeerRole::Follower.into()),
    })
}

async fn close_pipeline(
    node: &Node,
    services: &Arc<Services>,
    command: &ClosePipelineCommandProto,
) {
    let Some(id) = convert::pipeline_id(&command.pipeline_id) else { return };
    let own = node.identity.lock().id.to_string();
    let peers = services.raft.info(id.0).map(|info| info.peers).unwrap_or_default();
    for peer in peers.into_iter().filter(|peer| peer.id != own.as_bytes()) {
        let raft = services.raft.clone();
        tokio::spawn(async move {
            if let Err(error) = raft.tell_peer_to_remove(&peer, id.0).await {
                tracing::debug!(pipeline = %id, peer = peer.address, %error, "peer not told");
            }
        });
    }
    match services.raft.remove_group(id.0).await {
        Ok(()) => tracing::info!(pipeline = %id, "pipeline closed"),
        Err(RaftError::GroupMismatch(_)) => {}
        Err(error) => tracing::warn!(pipeline = %id, %error, "pipeline not closed"),
    }
    node.outbox.report_pipelines_now();
}

/// Through the pipeline where there is one; else closed, or quasi-closed without `force`.
async fn close_container(
    node: &Arc<Node>,
    services: &Arc<Services>,
    command: &CloseContainerCommandProto,
) {
    let id = ContainerId(command.container_id.cast_unsigned());
    let Some(container) = services.store.get(id) else {
        tracing::info!(container = %id, "asked to close a container that is not here");
        return;
    };
    let force = command.force.unwrap_or(false);
    match container.state() {
        ReplicaState::Open | ReplicaState::Closing => {}
        ReplicaState::QuasiClosed if force => {
            on_disk(services, &container, |services, container| {
                services.store.close_container(container)
            })
            .await;
            return;
        }
        _ => return,
    }
    on_disk(services, &container, |services, container| services.store.mark_closing(container))
        .await;
    let group = convert::pipeline_id(&command.pipeline_id).map(|id| id.0);
    match group.filter(|group| services.raft.info(*group).is_some()) {
        Some(group) => {
            let (node, services) = (node.clone(), services.clone());
            // The leader's own order does the work; ours may be told so.
            tokio::spawn(async move { submit_close(&node, &services, group, id).await });
        }
        None => {
            on_disk(services, &container, move |services, container| match force {
                true => services.store.close_container(container),
                false => services.store.quasi_close(container),
            })
            .await;
        }
    }
}

async fn submit_close(node: &Node, services: &Services, group: GroupId, id: ContainerId) {
    let request = ContainerCommandRequestProto {
        cmd_type: ContainerCommand::CloseContainer.into(),
        trace_id: Some(String::new()),
        container_id: id.0.cast_signed(),
        datanode_uuid: node.identity.lock().id.to_string(),
        close_container: Some(Box::new(CloseContainerRequestProto {})),
        ..ContainerCommandRequestProto::default()
    };
    let request = ClientRequest {
        client: *uuid::Uuid::new_v4().as_bytes(),
        call: 1,
        message: message::encode(&request, &[]),
        context: None,
    };
    match services.raft.write(group, request).await {
        Ok(_) => {}
        Err(RaftError::NotLeader { .. }) => {}
        Err(error) => tracing::warn!(container = %id, %error, "close not submitted"),
    }
}

/// Runs a step on the container's own lane, behind its writes.
async fn on_disk(
    services: &Arc<Services>,
    container: &Arc<Container>,
    step: impl FnOnce(&Services, &Arc<Container>) -> Result<(), container_store::StoreError>
    + Send
    + 'static,
) {
    let (held, moved) = (services.clone(), container.clone());
    let done = container.volume().threads.write(container.id().0, move || step(&held, &moved));
    if let Err(error) = done.wait().await {
        tracing::warn!(container = %container.id(), %error, "state not changed");
    }
}

async fn delete_container(services: &Arc<Services>, command: &DeleteContainerCommandProto) {
    let id = ContainerId(command.container_id.cast_unsigned());
    let Some(container) = services.store.get(id) else { return };
    if container.check_replica_index(command.replica_index).is_err() {
        tracing::warn!(container = %id, "asked to delete another replica index; ignored");
        return;
    }
    let force = command.force;
    on_disk(services, &container, move |services, container| {
        services.store.delete_container(container, force)
    })
    .await;
}

async fn delete_blocks(
    node: &Arc<Node>,
    services: Arc<Services>,
    command: DeleteBlocksCommandProto,
) {
    let cmd_id = command.cmd_id;
    let noted = tokio::task::spawn_blocking(move || {
        let note = |transaction: &DeletedBlocksTransaction| match services
            .store
            .accept_deletion(transaction)
        {
            Ok(DeleteOutcome::Accepted) => true,
            Ok(DeleteOutcome::NoContainer) => false,
            Err(error) => {
                tracing::warn!(container = transaction.container_id, %error, "deletion not noted");
                false
            }
        };
        let result = |transaction: &DeletedBlocksTransaction| DeleteBlockTransactionResult {
            tx_id: transaction.tx_id,
            container_id: transaction.container_id,
            success: note(transaction),
        };
        command.deleted_blocks_transactions.iter().map(result).collect::<Vec<_>>()
    });
    // A panic there is logged by the runtime; SCM repeats what is not acknowledged.
    let Ok(results) = noted.await else { return };
    node.outbox.command_done(&CommandStatus {
        cmd_id,
        status: command_status::Status::Executed.into(),
        r#type: Type::DeleteBlocksCommand.into(),
        msg: None,
        block_deletion_ack: Some(ContainerBlocksDeletionAckProto {
            results,
            dn_id: node.identity.lock().id.to_string(),
        }),
    });
}

async fn set_state(node: &Arc<Node>, command: &SetNodeOperationalStateCommandProto) {
    let Some(state) = convert::operational_state(command.node_operational_state) else { return };
    let expiry = command.state_expiry_epoch_seconds;
    let identity = {
        let mut identity = node.identity.lock();
        identity.state = state;
        identity.state_expiry = expiry;
        identity.clone()
    };
    tracing::info!(%state, expiry, "operational state set");
    let path = node.id_path();
    let written = tokio::task::spawn_blocking(move || identity.write(&path)).await;
    if let Ok(Err(error)) = written {
        tracing::error!("operational state not saved: {error:#}");
    }
}
