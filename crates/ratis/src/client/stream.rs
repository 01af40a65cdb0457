//! One gRPC stream of a client to one server.

use futures_util::StreamExt;
use ratis_proto::common::{RaftClientReplyProto, RaftClientRequestProto};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tonic::Status;
use tonic::transport::Channel;

use crate::gather;

/// Methods of the client's service.
const ORDERED_PATH: &str = "/ratis.grpc.RaftClientProtocolService/ordered";
const UNORDERED_PATH: &str = "/ratis.grpc.RaftClientProtocolService/unordered";

/// What comes back on a stream.
pub(crate) enum StreamEvent {
    Reply(Box<RaftClientReplyProto>),
    /// The stream ended; it is the last event.
    Ended(Status),
}

/// An open stream; dropping it closes it.
pub(crate) struct Stream {
    pub number: u64,
    requests: mpsc::UnboundedSender<RaftClientRequestProto>,
    task: JoinHandle<()>,
}

impl Stream {
    /// Opens a stream. Its events carry `number`.
    pub fn open(
        channel: Channel,
        ordered: bool,
        message_bytes_max: usize,
        number: u64,
        events: mpsc::UnboundedSender<(u64, StreamEvent)>,
    ) -> Self {
        let (requests, receiver) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            let status =
                drive(channel, ordered, message_bytes_max, receiver, number, &events).await;
            // The driver may have gone.
            let _ = events.send((number, StreamEvent::Ended(status)));
        });
        Self { number, requests, task }
    }

    /// Sends a request. On a broken stream it is lost, and the event that says so is on its way.
    pub fn send(&self, request: RaftClientRequestProto) {
        let _ = self.requests.send(request);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn drive(
    channel: Channel,
    ordered: bool,
    message_bytes_max: usize,
    requests: mpsc::UnboundedReceiver<RaftClientRequestProto>,
    number: u64,
    events: &mpsc::UnboundedSender<(u64, StreamEvent)>,
) -> Status {
    let path = if ordered { ORDERED_PATH } else { UNORDERED_PATH };
    let called =
        gather::call::<_, RaftClientReplyProto>(channel, path, requests, message_bytes_max);
    let mut replies = match called.await {
        Ok(replies) => replies,
        Err(status) => return status,
    };
    loop {
        match replies.next().await {
            Some(Ok(reply)) => {
                if events.send((number, StreamEvent::Reply(Box::new(reply)))).is_err() {
                    return Status::cancelled("the client is closed");
                }
            }
            Some(Err(status)) => return status,
            None => return Status::unavailable("the server closed the stream"),
        }
    }
}
