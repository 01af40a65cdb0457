//! Calling other servers: votes, append streams, administration.

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use ratis_proto::common::{
    AppendEntriesReplyProto, AppendEntriesRequestProto, GroupAddRequestProto,
    GroupManagementRequestProto, GroupRemoveRequestProto, InstallSnapshotReplyProto,
    InstallSnapshotRequestProto, RaftGroupProto, RaftPeerProto, RaftRpcRequestProto,
    ReadIndexReplyProto, ReadIndexRequestProto, RequestVoteReplyProto, RequestVoteRequestProto,
    StartLeaderElectionReplyProto, StartLeaderElectionRequestProto, group_management_request_proto,
};
use ratis_proto::grpc::admin_protocol_service_client::AdminProtocolServiceClient;
use ratis_proto::grpc::raft_server_protocol_service_client::RaftServerProtocolServiceClient;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use tonic::{Request, Status};
use uuid::Uuid;

use crate::channel::{Channels, Lane};
use crate::exception::{self, Exception};
use crate::gather;
use crate::ids;

/// The method that append streams call.
const APPEND_ENTRIES_PATH: &str = "/ratis.grpc.RaftServerProtocolService/appendEntries";

/// A peer's server port.
#[derive(Clone)]
pub struct PeerClient {
    data: RaftServerProtocolServiceClient<Channel>,
    quick: RaftServerProtocolServiceClient<Channel>,
    /// The same connections, for append streams.
    channels: [Channel; 2],
}

impl PeerClient {
    /// The peer at `address`; connects when used.
    ///
    /// # Errors
    /// The address is not one.
    pub fn new(channels: &Channels, address: &str) -> Result<Self, Exception> {
        let channels =
            [channels.get(address, Lane::Data)?, channels.get(address, Lane::Heartbeat)?];
        let [data, quick] = channels.clone().map(|channel| {
            RaftServerProtocolServiceClient::new(channel)
                .max_decoding_message_size(usize::MAX)
                .max_encoding_message_size(usize::MAX)
        });
        Ok(Self { data, quick, channels })
    }

    /// `requestVote`.
    ///
    /// # Errors
    /// The peer does not answer, or does not know the group.
    pub async fn vote(
        &self,
        request: RequestVoteRequestProto,
    ) -> Result<RequestVoteReplyProto, Status> {
        self.quick.clone().request_vote(request).await.map(tonic::Response::into_inner)
    }

    /// `startLeaderElection`.
    ///
    /// # Errors
    /// The peer does not answer.
    pub async fn start_election(
        &self,
        request: StartLeaderElectionRequestProto,
    ) -> Result<StartLeaderElectionReplyProto, Status> {
        self.quick.clone().start_leader_election(request).await.map(tonic::Response::into_inner)
    }

    /// `readIndex`.
    ///
    /// # Errors
    /// The peer does not answer.
    pub async fn read_index(
        &self,
        request: ReadIndexRequestProto,
    ) -> Result<ReadIndexReplyProto, Status> {
        self.quick.clone().read_index(request).await.map(tonic::Response::into_inner)
    }

    /// `installSnapshot`, one notification.
    ///
    /// # Errors
    /// The peer does not answer.
    pub async fn snapshot(
        &self,
        request: InstallSnapshotRequestProto,
    ) -> Result<InstallSnapshotReplyProto, Status> {
        let requests = stream::iter([request]);
        let mut replies = self.data.clone().install_snapshot(requests).await?.into_inner();
        replies
            .message()
            .await?
            .ok_or_else(|| Status::unavailable("the stream ended without a reply"))
    }

    /// Opens an append stream.
    pub fn append_lane(
        &self,
        lane: Lane,
        events: impl FnMut(LaneEvent) + Send + 'static,
    ) -> AppendLane {
        let [data, quick] = &self.channels;
        let channel = match lane {
            Lane::Data => data.clone(),
            Lane::Heartbeat => quick.clone(),
        };
        let (queue, requests) = mpsc::unbounded_channel();
        let task = tokio::spawn(drive(channel, requests, events));
        AppendLane { queue, task }
    }
}

/// What happens on an append stream.
#[derive(Debug)]
pub enum LaneEvent {
    /// A reply came.
    Reply(AppendEntriesReplyProto),
    /// The stream broke; it is the last event.
    Failed {
        /// The request that failed, if the peer said so.
        call: Option<u64>,
        /// Why.
        status: Status,
    },
}

/// An append stream to a peer; dropping it closes the stream. What is in flight is bounded by the
/// Raft core, which stops at a number of outstanding requests.
#[derive(Debug)]
pub struct AppendLane {
    queue: mpsc::UnboundedSender<AppendEntriesRequestProto>,
    task: JoinHandle<()>,
}

impl AppendLane {
    /// Sends a request. On a broken stream it is lost, and a failure event is on its way.
    pub fn send(&self, request: AppendEntriesRequestProto) {
        // The event says what happened.
        let _ = self.queue.send(request);
    }
}

impl Drop for AppendLane {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn drive(
    channel: Channel,
    requests: mpsc::UnboundedReceiver<AppendEntriesRequestProto>,
    mut events: impl FnMut(LaneEvent),
) {
    let called = gather::call(channel, APPEND_ENTRIES_PATH, requests, usize::MAX).await;
    let status = match called {
        Ok(mut replies) => loop {
            match replies.next().await {
                Some(Ok(reply)) => events(LaneEvent::Reply(reply)),
                Some(Err(status)) => break status,
                None => break Status::unavailable("the peer closed the stream"),
            }
        },
        Err(status) => status,
    };
    events(LaneEvent::Failed { call: exception::call_of(&status), status });
}

/// Another server's admin port.
#[derive(Clone)]
pub struct AdminClient {
    client: AdminProtocolServiceClient<Channel>,
    peer: Bytes,
}

impl AdminClient {
    /// The admin service of a peer, at its admin address.
    ///
    /// # Errors
    /// The address is not one.
    pub fn new(channels: &Channels, peer: &RaftPeerProto) -> Result<Self, Exception> {
        let address =
            if peer.admin_address.is_empty() { &peer.address } else { &peer.admin_address };
        let client = AdminProtocolServiceClient::new(channels.get(address, Lane::Data)?);
        Ok(Self { client, peer: peer.id.clone() })
    }

    /// Creates a group there.
    ///
    /// # Errors
    /// The peer does not answer or refuses, e.g. with [`Exception::AlreadyExists`].
    pub async fn add_group(&self, group: Uuid, peers: Vec<RaftPeerProto>) -> Result<(), Exception> {
        let add = GroupAddRequestProto {
            group: Some(RaftGroupProto { group_id: Some(ids::group_to(group)), peers }),
            format: true,
        };
        self.manage(group, group_management_request_proto::Op::GroupAdd(add)).await
    }

    /// Removes a group there, with its directory.
    ///
    /// # Errors
    /// The peer does not answer or refuses.
    pub async fn remove_group(&self, group: Uuid) -> Result<(), Exception> {
        let remove = GroupRemoveRequestProto {
            group_id: Some(ids::group_to(group)),
            delete_directory: true,
            rename_directory: false,
        };
        self.manage(group, group_management_request_proto::Op::GroupRemove(remove)).await
    }

    async fn manage(
        &self,
        group: Uuid,
        op: group_management_request_proto::Op,
    ) -> Result<(), Exception> {
        let rpc_request = RaftRpcRequestProto {
            requestor_id: Bytes::copy_from_slice(&rand::random::<[u8; 16]>()),
            reply_id: self.peer.clone(),
            raft_group_id: Some(ids::group_to(group)),
            call_id: 1,
            ..Default::default()
        };
        let request = GroupManagementRequestProto { rpc_request: Some(rpc_request), op: Some(op) };
        let reply = self.client.clone().group_management(Request::new(request)).await;
        let reply = reply.map_err(|status| {
            Exception::from_status(&status)
                .unwrap_or_else(|| Exception::io(format!("admin call: {}", status.message())))
        })?;
        let reply = reply.into_inner();
        match Exception::from_reply(&reply) {
            Some(exception) => Err(exception),
            None => Ok(()),
        }
    }
}
