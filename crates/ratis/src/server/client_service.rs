//! `RaftClientProtocolService`: ordered and unordered streams of client requests.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use bulk_buffers::Buffers;
use bytes::Bytes;
use futures_util::future::{self, BoxFuture, Either, Ready};
use futures_util::stream::{self, Stream, StreamExt};
use ratis_proto::common::{
    ClientMessageEntryProto, CommitInfoProto, RaftClientReplyProto, RaftClientRequestProto,
    RaftRpcRequestProto,
};
use ratis_proto::grpc::raft_client_protocol_service_server::SERVICE_NAME;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::server::NamedService;

use crate::exception::Exception;
use crate::ids;
use crate::server::stream::{Answered, Requests, respond};
use crate::server::window::SlidingWindow;

/// The methods.
const ORDERED_PATH: &str = "/ratis.grpc.RaftClientProtocolService/ordered";
const UNORDERED_PATH: &str = "/ratis.grpc.RaftClientProtocolService/unordered";

/// Requests of one stream in flight; further ones wait in the connection.
const STREAM_IN_FLIGHT_MAX: usize = 512;

/// A successful answer.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Log index: of the applied entry, or the index a watch reached.
    pub index: u64,
    /// The message; `None` where the request has none to give.
    pub message: Option<Bytes>,
    /// Commit index of every peer as far as known, this server first.
    pub commits: Arc<Vec<CommitInfoProto>>,
}

/// The answer to a request that was queued.
pub type Submitted = BoxFuture<'static, Result<Answer, Exception>>;

/// Serves the requests of clients.
pub trait ClientHandler: Send + Sync + 'static {
    /// This server's id as replies carry it.
    fn server_id(&self) -> Bytes;

    /// Takes a request. Must queue it before it returns: the order of calls is the order of requests.
    ///
    /// # Errors
    /// The request was not queued. On an ordered stream those behind it are refused as well, since a
    /// later one must not overtake it.
    fn submit(&self, request: RaftClientRequestProto) -> Result<Submitted, Exception>;
}

/// The service. Written out instead of generated, for the way it reads: see [`super::stream`].
pub(crate) struct ClientService<H> {
    pub handler: Arc<H>,
    pub stop: CancellationToken,
    pub message_bytes_max: usize,
    pub buffers: Buffers,
}

impl<H> Clone for ClientService<H> {
    fn clone(&self) -> Self {
        Self {
            handler: self.handler.clone(),
            stop: self.stop.clone(),
            message_bytes_max: self.message_bytes_max,
            buffers: self.buffers.clone(),
        }
    }
}

type Incoming = Result<RaftClientRequestProto, Status>;

impl<H> NamedService for ClientService<H> {
    const NAME: &'static str = SERVICE_NAME;
}

impl<H: ClientHandler> Service<http::Request<Body>> for ClientService<H> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Ready<Answered>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let (head, body) = request.into_parts();
        let requests = Requests::new(body, self.message_bytes_max, self.buffers.clone());
        let (handler, stop) = (self.handler.clone(), self.stop.clone().cancelled_owned());
        future::ready(Ok(match head.uri.path() {
            ORDERED_PATH => respond(ordered(handler, requests).take_until(stop)),
            UNORDERED_PATH => respond(unordered(handler, requests).take_until(stop)),
            _ => Status::unimplemented("no such method").into_http(),
        }))
    }
}

/// Serves requests in the order of their sequence numbers.
fn ordered<H: ClientHandler>(
    handler: Arc<H>,
    requests: impl Stream<Item = Incoming> + Send,
) -> impl Stream<Item = Result<RaftClientReplyProto, Status>> + Send {
    let in_order = requests
        .scan(Ordered::default(), |ordered, item| future::ready(Some(ordered.receive(item))))
        .flat_map(stream::iter);
    let mut refused = None;
    in_order
        .map(move |item| serve(&*handler, item, Some(&mut refused)))
        .buffered(STREAM_IN_FLIGHT_MAX)
}

/// Serves requests side by side.
fn unordered<H: ClientHandler>(
    handler: Arc<H>,
    requests: impl Stream<Item = Incoming> + Send,
) -> impl Stream<Item = Result<RaftClientReplyProto, Status>> + Send {
    requests.map(move |item| serve(&*handler, item, None)).buffer_unordered(STREAM_IN_FLIGHT_MAX)
}

/// An ordered stream belongs to one group.
#[derive(Default)]
struct Ordered {
    group: Option<Bytes>,
    window: SlidingWindow<RaftClientRequestProto>,
}

impl Ordered {
    fn receive(&mut self, item: Incoming) -> Vec<Incoming> {
        let request = match item {
            Ok(request) => request,
            Err(status) => return vec![Err(status)],
        };
        let header = request.rpc_request.as_ref();
        let call = header.map(|h| h.call_id);
        let group =
            header.and_then(|h| h.raft_group_id.as_ref()).map(|g| g.id.clone()).unwrap_or_default();
        let stream_group = self.group.get_or_insert_with(|| group.clone());
        if *stream_group != group {
            let message = "an ordered stream serves one group; open another for this one";
            return vec![Err(Exception::GroupMismatch(message.to_owned()).to_status(call))];
        }
        let entry = header.and_then(|h| h.sliding_window_entry).unwrap_or_default();
        match self.window.receive(entry.seq_num, entry.is_first, request) {
            Ok(ready) => ready.into_iter().map(Ok).collect(),
            Err(_) => {
                let message = "too many requests wait for one that is missing";
                vec![Err(Exception::ResourceUnavailable(message.to_owned()).to_status(call))]
            }
        }
    }
}

/// Submits at once; the future only waits for the answer. `refused` is why an earlier request of an
/// ordered stream was not queued, until the client starts anew.
fn serve<H: ClientHandler>(
    handler: &H,
    item: Incoming,
    mut refused: Option<&mut Option<Exception>>,
) -> impl Future<Output = Result<RaftClientReplyProto, Status>> + Send + use<H> {
    let mut request = match item {
        Ok(request) => request,
        Err(status) => return Either::Left(future::ready(Err(status))),
    };
    let Some(header) = &mut request.rpc_request else {
        let refusal = Exception::illegal_argument("the request has no header").to_status(None);
        return Either::Left(future::ready(Err(refusal)));
    };
    let replied_call_ids = std::mem::take(&mut header.replied_call_ids);
    let for_reply = header.clone();
    header.replied_call_ids = replied_call_ids;
    let server = handler.server_id();
    if let Some(refused) = &mut refused {
        if header.sliding_window_entry.is_some_and(|entry| entry.is_first) {
            **refused = None;
        }
        if let Some(exception) = refused.as_ref() {
            let reply = reply(&for_reply, &server, Err(exception.clone()));
            return Either::Left(future::ready(reply));
        }
    }
    match handler.submit(request) {
        Ok(answer) => Either::Right(async move { reply(&for_reply, &server, answer.await) }),
        Err(exception) => {
            if let Some(refused) = refused {
                *refused = Some(exception.clone());
            }
            Either::Left(future::ready(reply(&for_reply, &server, Err(exception))))
        }
    }
}

/// A reply, or the gRPC error that ends the stream.
pub(crate) fn reply(
    header: &RaftRpcRequestProto,
    server: &Bytes,
    answer: Result<Answer, Exception>,
) -> Result<RaftClientReplyProto, Status> {
    let rpc_reply = Some(ids::reply_header(header, server, answer.is_ok()));
    let mut reply = RaftClientReplyProto { rpc_reply, ..Default::default() };
    match answer {
        Ok(answer) => {
            reply.message = answer.message.map(|content| ClientMessageEntryProto { content });
            reply.log_index = answer.index;
            reply.commit_infos = Arc::unwrap_or_clone(answer.commits);
        }
        Err(exception) => exception.into_reply(&mut reply)?,
    }
    Ok(reply)
}
