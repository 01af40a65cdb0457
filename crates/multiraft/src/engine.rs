//! The engine's interface.

use std::net::SocketAddr;
use std::sync::Arc;

use ratis_proto::common::{RaftPeerProto, ReplicationLevel};
use tokio::sync::watch;

use crate::*;

/// The engine: all Raft groups of one process. Clones share it.
#[derive(Clone)]
pub struct MultiRaft {}

impl MultiRaft {
    /// Opens every group found in the storage directories and starts the services.
    ///
    /// # Errors
    /// A port is taken, or a directory cannot be used.
    pub async fn start(
        settings: RaftSettings,
        machines: Arc<dyn StateMachines>,
    ) -> Result<Self, StartError> {
        unimplemented!("{settings:?}{}", Arc::strong_count(&machines))
    }

    /// The addresses in use: server, client, admin.
    pub fn addresses(&self) -> (SocketAddr, SocketAddr, SocketAddr) {
        unimplemented!()
    }

    /// Creates a group with these peers (ids, addresses, priorities), or reports that it exists.
    ///
    /// # Errors
    /// [`RaftError::AlreadyExists`], or the log cannot be created.
    pub async fn add_group(&self, id: GroupId, peers: Vec<RaftPeerProto>) -> Result<(), RaftError> {
        unimplemented!("{id}{peers:?}")
    }

    /// Stops a group and removes its directory.
    ///
    /// # Errors
    /// [`RaftError::GroupMismatch`] where there is none.
    pub async fn remove_group(&self, id: GroupId) -> Result<(), RaftError> {
        unimplemented!("{id}")
    }

    /// Asks another node's admin service to add or remove the group. Errors are for the log only.
    ///
    /// # Errors
    /// The peer does not answer or refuses.
    pub async fn tell_peer_to_add(
        &self,
        peer: &RaftPeerProto,
        id: GroupId,
        peers: &[RaftPeerProto],
    ) -> Result<(), RaftError> {
        unimplemented!("{peer:?}{id}{peers:?}")
    }

    /// See [`Self::tell_peer_to_add`].
    ///
    /// # Errors
    /// The peer does not answer or refuses.
    pub async fn tell_peer_to_remove(
        &self,
        peer: &RaftPeerProto,
        id: GroupId,
    ) -> Result<(), RaftError> {
        unimplemented!("{peer:?}{id}")
    }

    /// Replicates and applies a write; answers once it is applied here.
    ///
    /// # Errors
    /// See [`RaftError`].
    pub async fn write(&self, id: GroupId, request: ClientRequest) -> Result<Reply, RaftError> {
        unimplemented!("{id}{}", request.call)
    }

    /// Waits until `index` is replicated to `level`.
    ///
    /// # Errors
    /// [`RaftError::NotReplicated`] after the watch timeout.
    pub async fn watch(
        &self,
        id: GroupId,
        index: u64,
        level: ReplicationLevel,
    ) -> Result<Reply, RaftError> {
        unimplemented!("{id}{index}{level:?}")
    }

    /// Returns once everything that was committed at the call is applied here, on the leader.
    ///
    /// # Errors
    /// [`RaftError::NotLeader`] and its kin.
    pub async fn read_barrier(&self, id: GroupId) -> Result<u64, RaftError> {
        unimplemented!("{id}")
    }

    /// Takes a snapshot now and purges the log as configured.
    ///
    /// # Errors
    /// The state machine could not make its state durable.
    pub async fn snapshot(&self, id: GroupId) -> Result<Option<TermIndex>, RaftError> {
        unimplemented!("{id}")
    }

    /// A group at a glance.
    pub fn info(&self, id: GroupId) -> Option<GroupInfo> {
        unimplemented!("{id}")
    }

    /// Every group here.
    pub fn groups(&self) -> Vec<GroupId> {
        unimplemented!()
    }

    /// Follows role, term and leader of a group.
    pub fn leadership(&self, id: GroupId) -> Option<watch::Receiver<Leadership>> {
        unimplemented!("{id}")
    }

    /// Stops all groups: snapshots where cheap, closes logs, releases ports.
    pub async fn shutdown(&self) {
        unimplemented!()
    }
}
