//! `RaftServerProtocolService`: what peers ask of each other.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bulk_buffers::Buffers;
use bytes::Bytes;
use futures_util::future::{self, BoxFuture, Either};
use futures_util::stream::{Stream, StreamExt};
use ratis_proto::common::{
    AppendEntriesReplyProto, AppendEntriesRequestProto, InstallSnapshotReplyProto,
    InstallSnapshotRequestProto, RaftRpcRequestProto, ReadIndexReplyProto, ReadIndexRequestProto,
    RequestVoteReplyProto, RequestVoteRequestProto, StartLeaderElectionReplyProto,
    StartLeaderElectionRequestProto,
};
use ratis_proto::grpc::raft_server_protocol_service_server::{
    RaftServerProtocolService, RaftServerProtocolServiceServer, SERVICE_NAME,
};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::server::NamedService;
use tonic::{Request, Response, Status, Streaming};
use uuid::Uuid;

use crate::exception::Exception;
use crate::ids;
use crate::server::stream::{Answered, Requests, respond};

/// The method of append streams.
const APPEND_ENTRIES_PATH: &str = "/ratis.grpc.RaftServerProtocolService/appendEntries";

/// Append requests of one stream in flight. A Java leader sends at most 8.
const APPENDS_IN_FLIGHT_MAX: usize = 64;

/// The future of a peer's reply.
pub type PeerReply<T> = BoxFuture<'static, Result<T, Exception>>;

/// Serves the requests of peers. Each call must queue its request before it returns.
pub trait PeerHandler: Send + Sync + 'static {
    /// `requestVote`.
    fn vote(&self, request: RequestVoteRequestProto) -> PeerReply<RequestVoteReplyProto>;
    /// `appendEntries`; replies leave in request order.
    fn append(&self, request: AppendEntriesRequestProto) -> PeerReply<AppendEntriesReplyProto>;
    /// A stream of append requests ended, by the peer's will or because it is gone: the last request
    /// that came on it was of this group and this peer (ids as on the wire).
    fn append_stream_ended(&self, group: Uuid, peer: &Bytes);
    /// `installSnapshot`.
    fn snapshot(
        &self,
        request: InstallSnapshotRequestProto,
    ) -> PeerReply<InstallSnapshotReplyProto>;
    /// `startLeaderElection`.
    fn start_election(
        &self,
        request: StartLeaderElectionRequestProto,
    ) -> PeerReply<StartLeaderElectionReplyProto>;
    /// `readIndex`.
    fn read_index(&self, request: ReadIndexRequestProto) -> PeerReply<ReadIndexReplyProto>;
}

/// The service.
pub(crate) struct PeerService<H> {
    pub handler: Arc<H>,
    pub stop: CancellationToken,
}

/// Who sends on an append stream; says so when the stream ends, however it does.
struct Sender<H: PeerHandler> {
    handler: Arc<H>,
    last: Option<(Uuid, Bytes)>,
}

impl<H: PeerHandler> Sender<H> {
    fn note(&mut self, header: Option<&RaftRpcRequestProto>) {
        let Some(header) = header else { return };
        if self.last.as_ref().is_none_or(|(_, peer)| *peer != header.requestor_id) {
            let group = ids::group_of(Some(header));
            self.last = group.map(|group| (group, header.requestor_id.clone()));
        }
    }
}

impl<H: PeerHandler> Drop for Sender<H> {
    fn drop(&mut self) {
        if let Some((group, peer)) = &self.last {
            self.handler.append_stream_ended(*group, peer);
        }
    }
}

type Replies<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl<H: PeerHandler> RaftServerProtocolService for PeerService<H> {
    type appendEntriesStream = Replies<AppendEntriesReplyProto>;
    type installSnapshotStream = Replies<InstallSnapshotReplyProto>;

    async fn request_vote(
        &self,
        request: Request<RequestVoteRequestProto>,
    ) -> Result<Response<RequestVoteReplyProto>, Status> {
        let reply = self.handler.vote(request.into_inner()).await;
        reply.map(Response::new).map_err(|e| e.to_status(None))
    }

    async fn start_leader_election(
        &self,
        request: Request<StartLeaderElectionRequestProto>,
    ) -> Result<Response<StartLeaderElectionReplyProto>, Status> {
        let reply = self.handler.start_election(request.into_inner()).await;
        reply.map(Response::new).map_err(|e| e.to_status(None))
    }

    /// [`PeerDoor`] takes these.
    async fn append_entries(
        &self,
        _: Request<Streaming<AppendEntriesRequestProto>>,
    ) -> Result<Response<Self::appendEntriesStream>, Status> {
        Err(Status::internal("append streams do not come here"))
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<InstallSnapshotRequestProto>>,
    ) -> Result<Response<Self::installSnapshotStream>, Status> {
        let handler = self.handler.clone();
        let serve = move |item: Result<InstallSnapshotRequestProto, Status>| match item {
            Ok(request) => {
                let reply = handler.snapshot(request);
                Either::Left(async move { reply.await.map_err(|e| e.to_status(None)) })
            }
            Err(status) => Either::Right(future::ready(Err(status))),
        };
        let replies = request.into_inner().map(serve).buffered(1);
        let stop = self.stop.clone().cancelled_owned();
        Ok(Response::new(Box::pin(replies.take_until(stop))))
    }

    async fn read_index(
        &self,
        request: Request<ReadIndexRequestProto>,
    ) -> Result<Response<ReadIndexReplyProto>, Status> {
        let reply = self.handler.read_index(request.into_inner()).await;
        reply.map(Response::new).map_err(|e| e.to_status(None))
    }
}

/// The service as it is entered: append streams are read in our own way (see [`super::stream`]), all
/// else goes to the generated one.
pub(crate) struct PeerDoor<H: PeerHandler> {
    pub rest: RaftServerProtocolServiceServer<PeerService<H>>,
    pub handler: Arc<H>,
    pub stop: CancellationToken,
    pub message_bytes_max: usize,
    pub buffers: Buffers,
}

impl<H: PeerHandler> Clone for PeerDoor<H> {
    fn clone(&self) -> Self {
        Self {
            rest: self.rest.clone(),
            handler: self.handler.clone(),
            stop: self.stop.clone(),
            message_bytes_max: self.message_bytes_max,
            buffers: self.buffers.clone(),
        }
    }
}

impl<H: PeerHandler> NamedService for PeerDoor<H> {
    const NAME: &'static str = SERVICE_NAME;
}

impl<H: PeerHandler> Service<http::Request<Body>> for PeerDoor<H> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Answered>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if request.uri().path() != APPEND_ENTRIES_PATH {
            return self.rest.call(request);
        }
        let body = request.into_body();
        let requests = Requests::new(body, self.message_bytes_max, self.buffers.clone());
        let stop = self.stop.clone().cancelled_owned();
        let replies = append_entries(self.handler.clone(), requests).take_until(stop);
        Box::pin(future::ready(Ok(respond(replies))))
    }
}

/// Queues requests as they come; replies leave in their order.
fn append_entries<H: PeerHandler>(
    handler: Arc<H>,
    requests: impl Stream<Item = Result<AppendEntriesRequestProto, Status>> + Send,
) -> impl Stream<Item = Result<AppendEntriesReplyProto, Status>> + Send {
    let mut sender = Sender { handler, last: None };
    let serve = move |item: Result<AppendEntriesRequestProto, Status>| match item {
        Ok(request) => {
            let call = request.server_request.as_ref().map(|h| h.call_id);
            sender.note(request.server_request.as_ref());
            let reply = sender.handler.append(request);
            Either::Left(async move { reply.await.map_err(|e| e.to_status(call)) })
        }
        Err(status) => Either::Right(future::ready(Err(status))),
    };
    requests.map(serve).buffered(APPENDS_IN_FLIGHT_MAX)
}
