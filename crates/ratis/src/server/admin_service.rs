//! `AdminProtocolService`: groups, configuration, leadership, snapshots.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use ratis_proto::common::{
    GroupInfoReplyProto, GroupInfoRequestProto, GroupListReplyProto, GroupListRequestProto,
    GroupManagementRequestProto, LeaderElectionManagementRequestProto, RaftClientReplyProto,
    RaftPeerProto, RaftRpcRequestProto, SetConfigurationRequestProto,
    SnapshotManagementRequestProto, TransferLeadershipRequestProto, group_management_request_proto,
    leader_election_management_request_proto,
};
use ratis_proto::grpc::admin_protocol_service_server::AdminProtocolService;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::exception::Exception;
use crate::ids;
use crate::server::client_service::{Answer, reply};

/// The future of an administrative answer.
pub type AdminReply<T> = BoxFuture<'static, Result<T, Exception>>;

/// Serves administrators, SCM and peers.
pub trait AdminHandler: Send + Sync + 'static {
    /// This server's id as replies carry it.
    fn server_id(&self) -> Bytes;
    /// Creates a group.
    fn add_group(&self, group: Uuid, peers: Vec<RaftPeerProto>) -> AdminReply<()>;
    /// Removes a group; `delete` its directory or else move it away.
    fn remove_group(&self, group: Uuid, delete: bool) -> AdminReply<()>;
    /// Every group here.
    fn groups(&self) -> Vec<Uuid>;
    /// A group's state; the header is filled in by the service.
    fn group_info(&self, group: Uuid) -> AdminReply<GroupInfoReplyProto>;
    /// Changes the peers of a group.
    fn set_configuration(
        &self,
        group: Uuid,
        request: SetConfigurationRequestProto,
    ) -> AdminReply<Answer>;
    /// Hands leadership over; `None` only steps down.
    fn transfer_leadership(
        &self,
        group: Uuid,
        to: Option<Bytes>,
        timeout_ms: u64,
    ) -> AdminReply<Answer>;
    /// Takes a snapshot if at least `gap` entries were applied since the last.
    fn snapshot(&self, group: Uuid, gap: u64) -> AdminReply<Answer>;
    /// Stops or resumes campaigning.
    fn pause_elections(&self, group: Uuid, paused: bool) -> AdminReply<Answer>;
}

/// The service.
pub(crate) struct AdminService<H> {
    pub handler: Arc<H>,
}

fn header_of(header: Option<RaftRpcRequestProto>) -> Result<(RaftRpcRequestProto, Uuid), Status> {
    let header = header.unwrap_or_default();
    match ids::group_of(Some(&header)) {
        Some(group) => Ok((header, group)),
        None => {
            let refusal = Exception::illegal_argument("the request names no group");
            Err(refusal.to_status(Some(header.call_id)))
        }
    }
}

impl<H: AdminHandler> AdminService<H> {
    fn answer(
        &self,
        header: &RaftRpcRequestProto,
        answer: Result<Answer, Exception>,
    ) -> Result<Response<RaftClientReplyProto>, Status> {
        reply(header, &self.handler.server_id(), answer).map(Response::new)
    }
}

#[tonic::async_trait]
impl<H: AdminHandler> AdminProtocolService for AdminService<H> {
    async fn group_management(
        &self,
        request: Request<GroupManagementRequestProto>,
    ) -> Result<Response<RaftClientReplyProto>, Status> {
        use group_management_request_proto::Op;
        let request = request.into_inner();
        let (header, group) = header_of(request.rpc_request)?;
        let done = match request.op {
            Some(Op::GroupAdd(add)) => {
                let added = add.group.unwrap_or_default();
                let group = ids::group_from(added.group_id.as_ref()).unwrap_or(group);
                self.handler.add_group(group, added.peers).await
            }
            Some(Op::GroupRemove(remove)) => match ids::group_from(remove.group_id.as_ref()) {
                Some(named) if named != group => {
                    let message = format!("the header names {group}, the request {named}");
                    Err(Exception::GroupMismatch(message))
                }
                _ => self.handler.remove_group(group, !remove.rename_directory).await,
            },
            None => Err(Exception::illegal_argument("neither add nor remove")),
        };
        self.answer(&header, done.map(|()| Answer::default()))
    }

    async fn group_list(
        &self,
        request: Request<GroupListRequestProto>,
    ) -> Result<Response<GroupListReplyProto>, Status> {
        let header = request.into_inner().rpc_request.unwrap_or_default();
        let rpc_reply = Some(ids::reply_header(&header, &self.handler.server_id(), true));
        let group_id = self.handler.groups().into_iter().map(ids::group_to).collect();
        Ok(Response::new(GroupListReplyProto { rpc_reply, group_id }))
    }

    async fn group_info(
        &self,
        request: Request<GroupInfoRequestProto>,
    ) -> Result<Response<GroupInfoReplyProto>, Status> {
        // Java fills the header's group and ignores the other field, and so do we.
        let (header, group) = header_of(request.into_inner().rpc_request)?;
        let info = self.handler.group_info(group).await;
        let mut info = info.map_err(|e| e.to_status(Some(header.call_id)))?;
        info.rpc_reply = Some(ids::reply_header(&header, &self.handler.server_id(), true));
        Ok(Response::new(info))
    }

    async fn set_configuration(
        &self,
        request: Request<SetConfigurationRequestProto>,
    ) -> Result<Response<RaftClientReplyProto>, Status> {
        let mut request = request.into_inner();
        let (header, group) = header_of(request.rpc_request.take())?;
        let done = self.handler.set_configuration(group, request).await;
        self.answer(&header, done)
    }

    async fn transfer_leadership(
        &self,
        request: Request<TransferLeadershipRequestProto>,
    ) -> Result<Response<RaftClientReplyProto>, Status> {
        let request = request.into_inner();
        let (header, group) = header_of(request.rpc_request)?;
        let to = request.new_leader.map(|peer| peer.id);
        let done = self.handler.transfer_leadership(group, to, header.timeout_ms).await;
        self.answer(&header, done)
    }

    async fn snapshot_management(
        &self,
        request: Request<SnapshotManagementRequestProto>,
    ) -> Result<Response<RaftClientReplyProto>, Status> {
        use ratis_proto::common::snapshot_management_request_proto::Op;
        let request = request.into_inner();
        let (header, group) = header_of(request.rpc_request)?;
        let gap = match request.op {
            Some(Op::Create(create)) => create.creation_gap,
            None => 0,
        };
        let done = self.handler.snapshot(group, gap).await;
        self.answer(&header, done)
    }

    async fn leader_election_management(
        &self,
        request: Request<LeaderElectionManagementRequestProto>,
    ) -> Result<Response<RaftClientReplyProto>, Status> {
        use leader_election_management_request_proto::Op;
        let request = request.into_inner();
        let (header, group) = header_of(request.rpc_request)?;
        let paused = matches!(request.op, Some(Op::Pause(_)));
        let done = self.handler.pause_elections(group, paused).await;
        self.answer(&header, done)
    }
}
