//! Port 9859: `XceiverClientProtocolService/send`.
//!
//! A call normally carries one request and gets one response; `ReadBlock` keeps its call open and
//! gets many. Requests of one call are answered in order, calls run side by side. Refusals are
//! responses; a gRPC error would make a client give the whole node up.

mod cork;
mod frame;

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use hdds_proto::datanode::xceiver_client_protocol_service_server::SERVICE_NAME;
use hdds_proto::datanode::{
    ContainerCommandRequestProto as Request, ContainerCommandResponseProto as Response, Type,
};
use http_body::Frame;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::codec::Codec;
use tonic::server::NamedService;
use tonic::transport::Server;
use tonic::{Status, Streaming};
use tonic_prost::ProstCodec;
use tower::Service;

use crate::dispatch::stream::BlockStream;
use crate::dispatch::{Dispatcher, reply};
use crate::grpc::cork::Corked;

/// The one method.
const SEND_PATH: &str = "/hadoop.hdds.datanode.XceiverClientProtocolService/send";
/// Largest message either way: a chunk of 32 MiB and what is around it.
const MESSAGE_BYTES_MAX: usize = (32 << 20) + (1 << 20);
/// HTTP/2 frames, in bytes.
const FRAME_BYTES_MAX: u32 = 1 << 20;
/// What may be on its way in one call before we have read it, in bytes.
const STREAM_WINDOW_BYTES: u32 = 8 << 20;
/// What may be on its way on one connection, in bytes.
const CONNECTION_WINDOW_BYTES: u32 = 32 << 20;
/// Calls at the same time on one connection.
const CALLS_PER_CONNECTION_MAX: u32 = 1024;
/// Silence after which a connection is asked whether it lives.
const PING_AFTER: Duration = Duration::from_secs(300);
/// How long it may take to answer.
const PING_TIMEOUT: Duration = Duration::from_secs(30);

/// Serves until `stop`, then finishes what is under way.
pub async fn serve(listener: TcpListener, dispatcher: Arc<Dispatcher>, stop: CancellationToken) {
    let service = Xceiver { dispatcher };
    let served = Server::builder()
        .max_frame_size(FRAME_BYTES_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(CALLS_PER_CONNECTION_MAX)
        .http2_keepalive_interval(Some(PING_AFTER))
        .http2_keepalive_timeout(Some(PING_TIMEOUT))
        .add_service(service)
        .serve_with_incoming_shutdown(accepted(listener), stop.cancelled_owned())
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "the container service ended");
    }
}

/// The connections. Small replies must not wait for more bytes, frames of large ones go together.
fn accepted(listener: TcpListener) -> impl Stream<Item = std::io::Result<Corked>> {
    use futures_util::StreamExt;
    TcpListenerStream::new(listener).map(|accepted| {
        let stream = accepted?;
        // Without it the connection works all the same.
        let _ = stream.set_nodelay(true);
        Ok(Corked::new(stream))
    })
}

/// The service. Written out instead of generated, so that bulk bytes leave as they are: see
/// [`frame`].
#[derive(Clone)]
struct Xceiver {
    dispatcher: Arc<Dispatcher>,
}

impl NamedService for Xceiver {
    const NAME: &'static str = SERVICE_NAME;
}

impl Service<http::Request<Body>> for Xceiver {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let (head, body) = request.into_parts();
        if head.uri.path() != SEND_PATH {
            return ready(Ok(Status::unimplemented("no such method").into_http()));
        }
        let decoder = ProstCodec::<Response, Request>::default().decoder();
        let requests = Streaming::new_request(decoder, body, None, Some(MESSAGE_BYTES_MAX));
        let call = Call { dispatcher: self.dispatcher.clone(), requests, reading: None };
        let responses = futures_util::stream::try_unfold(call, Call::next);
        let body = Frames { responses: Box::pin(responses), bulk: None, done: false };
        let mut response = http::Response::new(Body::new(body));
        let grpc = http::HeaderValue::from_static("application/grpc");
        response.headers_mut().insert(http::header::CONTENT_TYPE, grpc);
        ready(Ok(response))
    }
}

/// The responses of a call as a body: frames, then the status.
struct Frames {
    responses: Pin<Box<dyn Stream<Item = Result<Response, Status>> + Send>>,
    /// Follows the frame that went out last.
    bulk: Option<Bytes>,
    done: bool,
}

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(bulk) = self.bulk.take() {
            return Poll::Ready(Some(Ok(Frame::data(bulk))));
        }
        if self.done {
            return Poll::Ready(None);
        }
        let status = match std::task::ready!(self.responses.as_mut().poll_next(context)) {
            Some(Ok(response)) => match frame::encode(response) {
                Some((head, bulk)) => {
                    self.bulk = bulk;
                    return Poll::Ready(Some(Ok(Frame::data(head))));
                }
                None => Status::internal("the response is too long"),
            },
            Some(Err(status)) => status,
            None => Status::ok(""),
        };
        self.done = true;
        let mut trailers = http::HeaderMap::new();
        // A status whose message cannot be a header still ends the call.
        let _ = status.add_header(&mut trailers);
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }
}

/// One call.
struct Call {
    dispatcher: Arc<Dispatcher>,
    requests: Streaming<Request>,
    reading: Option<Box<BlockStream>>,
}

impl Call {
    async fn next(mut self) -> Result<Option<(Response, Self)>, Status> {
        loop {
            if let Some(reading) = &mut self.reading {
                if let Some(response) = reading.next().await {
                    return Ok(Some((response, self)));
                }
                self.reading = None;
            }
            let Some(request) = self.requests.message().await? else { return Ok(None) };
            if request.cmd_type != i32::from(Type::ReadBlock) {
                let response = self.dispatcher.serve(request).await;
                return Ok(Some((response, self)));
            }
            match BlockStream::open(self.dispatcher.clone(), request.clone()).await {
                Ok(reading) => self.reading = Some(Box::new(reading)),
                Err(error) => return Ok(Some((reply::refusal(&request, &error), self))),
            }
        }
    }
}
