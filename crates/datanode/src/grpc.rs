//! Port 9859: `XceiverClientProtocolService/send`.
//!
//! A call normally carries one request and gets one response; `ReadBlock` keeps its call open and
//! gets many. Requests of one call are answered in order, calls run side by side. Refusals are
//! responses; a gRPC error would make a client give the whole node up.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use hdds_proto::datanode::xceiver_client_protocol_service_server::{
    XceiverClientProtocolService, XceiverClientProtocolServiceServer,
};
use hdds_proto::datanode::{
    ContainerCommandRequestProto as Request, ContainerCommandResponseProto as Response, Type,
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::{Status, Streaming};

use crate::dispatch::stream::BlockStream;
use crate::dispatch::{Dispatcher, reply};

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
    let service = XceiverClientProtocolServiceServer::new(Xceiver { dispatcher })
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let served = Server::builder()
        .max_frame_size(FRAME_BYTES_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(CALLS_PER_CONNECTION_MAX)
        .http2_keepalive_interval(Some(PING_AFTER))
        .http2_keepalive_timeout(Some(PING_TIMEOUT))
        .tcp_nodelay(true)
        .add_service(service)
        .serve_with_incoming_shutdown(no_delay(listener), stop.cancelled_owned())
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "the container service ended");
    }
}

/// Small replies must not wait for more bytes.
fn no_delay(listener: TcpListener) -> impl Stream<Item = std::io::Result<tokio::net::TcpStream>> {
    use futures_util::StreamExt;
    TcpListenerStream::new(listener).inspect(|accepted| {
        if let Ok(stream) = accepted {
            // Without it the connection works all the same.
            let _ = stream.set_nodelay(true);
        }
    })
}

struct Xceiver {
    dispatcher: Arc<Dispatcher>,
}

#[tonic::async_trait]
impl XceiverClientProtocolService for Xceiver {
    type sendStream = Pin<Box<dyn Stream<Item = Result<Response, Status>> + Send>>;

    async fn send(
        &self,
        requests: tonic::Request<Streaming<Request>>,
    ) -> Result<tonic::Response<Self::sendStream>, Status> {
        let call = Call {
            dispatcher: self.dispatcher.clone(),
            requests: requests.into_inner(),
            reading: None,
        };
        let responses = futures_util::stream::try_unfold(call, Call::next);
        Ok(tonic::Response::new(Box::pin(responses)))
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
