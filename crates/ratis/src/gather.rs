//! Requests as the body of a gRPC call, bulk bytes by reference.
//!
//! ```text
//!  0 │ length, 4 bytes │ fields … tag, length ║ bulk ║ fields … tag, length ║ bulk ║ …
//!  └────────────── small buffer ──────────────┘ └ as is ┘
//! ```
//! The bytes on the wire are those of a plain encoding. prost hands every `bytes` field to
//! [`BufMut::put`]; here a large one becomes a part of its own instead of being copied.
//! PERFORMANCE CRITICAL: all that is written to a pipeline passes here, once per follower.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::buf::UninitSlice;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use http_body::Frame;
use prost::Message;
use tokio::sync::mpsc;
use tonic::body::Body;
use tonic::codec::Codec;
use tonic::codegen::{Service, http};
use tonic::transport::Channel;
use tonic::{Status, Streaming};
use tonic_prost::ProstCodec;

/// What precedes every gRPC message: no compression, length.
const PREFIX_BYTES: usize = 5;
/// Bulk below this is copied: one part is cheaper than two.
const BULK_BYTES_MIN: usize = 16 << 10;
/// Requests that wait travel together until they take this much, in bytes.
const TOGETHER_BYTES: usize = 32 << 10;

/// A buffer that keeps large `Bytes` as they are.
#[derive(Default)]
struct Gather {
    parts: VecDeque<Bytes>,
    small: BytesMut,
}

impl Gather {
    /// Adds a message with its prefix. `None` if it is too long for one.
    fn message(&mut self, message: &impl Message) -> Option<()> {
        let length = message.encoded_len();
        self.small.reserve(PREFIX_BYTES);
        self.small.put_u8(0);
        self.small.put_u32(u32::try_from(length).ok()?);
        message.encode(self).ok()
    }

    /// What came since the last part becomes one.
    fn close_part(&mut self) {
        if !self.small.is_empty() {
            self.parts.push_back(self.small.split().freeze());
        }
    }
}

// SAFETY: all of it is done by the `BytesMut` inside; parts are put aside only between writes.
unsafe impl BufMut for Gather {
    fn remaining_mut(&self) -> usize {
        self.small.remaining_mut()
    }

    unsafe fn advance_mut(&mut self, count: usize) {
        // SAFETY: as our caller promises.
        unsafe { self.small.advance_mut(count) }
    }

    fn chunk_mut(&mut self) -> &mut UninitSlice {
        self.small.chunk_mut()
    }

    fn put<T: Buf>(&mut self, mut source: T) {
        let length = source.remaining();
        if length < BULK_BYTES_MIN {
            self.small.put(source);
        } else {
            self.close_part();
            // No copy where the source is `Bytes`, as prost's is.
            self.parts.push_back(source.copy_to_bytes(length));
        }
    }
}

/// Requests out of a queue, as a body.
struct Requests<T> {
    queue: mpsc::UnboundedReceiver<T>,
    gathered: Gather,
}

impl<T: Message> http_body::Body for Requests<T>
where
    Self: Unpin,
{
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        loop {
            if let Some(part) = this.gathered.parts.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(part))));
            }
            match this.queue.poll_recv(context) {
                Poll::Ready(Some(message)) => {
                    if this.gathered.message(&message).is_none() {
                        // Nothing sensible can follow; the end of the stream fails what is in flight.
                        return Poll::Ready(None);
                    }
                    let full = this.gathered.small.len() >= TOGETHER_BYTES;
                    if full || !this.gathered.parts.is_empty() {
                        this.gathered.close_part();
                    }
                }
                _ if !this.gathered.small.is_empty() => this.gathered.close_part(),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// Opens a stream of requests and replies. What comes out of `queue` is sent until it ends.
///
/// # Errors
/// The server cannot be reached or refuses the call.
pub(crate) async fn call<T, R>(
    mut channel: Channel,
    path: &'static str,
    queue: mpsc::UnboundedReceiver<T>,
    reply_bytes_max: usize,
) -> Result<Streaming<R>, Status>
where
    T: Message + Default + 'static,
    R: Message + Default + 'static,
{
    let lost = |error: tonic::transport::Error| Status::from_error(error.into());
    std::future::poll_fn(|context| channel.poll_ready(context)).await.map_err(lost)?;
    let mut request =
        http::Request::new(Body::new(Requests { queue, gathered: Gather::default() }));
    *request.method_mut() = http::Method::POST;
    *request.version_mut() = http::Version::HTTP_2;
    *request.uri_mut() = http::Uri::from_static(path);
    let headers = request.headers_mut();
    headers.insert(http::header::TE, http::HeaderValue::from_static("trailers"));
    let grpc = http::HeaderValue::from_static("application/grpc");
    headers.insert(http::header::CONTENT_TYPE, grpc);
    let response = channel.call(request).await.map_err(lost)?;
    let (head, body) = response.into_parts();
    if let Some(status) = Status::from_header_map(&head.headers)
        && status.code() != tonic::Code::Ok
    {
        return Err(status);
    }
    let decoder = ProstCodec::<T, R>::default().decoder();
    Ok(Streaming::new_response(decoder, body, head.status, None, Some(reply_bytes_max)))
}

#[cfg(test)]
mod tests {
    use ratis_proto::common::{
        AppendEntriesRequestProto, LogEntryProto, StateMachineEntryProto,
        StateMachineLogEntryProto, log_entry_proto::LogEntryBody,
    };

    use super::*;

    fn entry(index: u64, bulk: Bytes) -> LogEntryProto {
        let body = StateMachineLogEntryProto {
            log_data: Bytes::from_static(b"what was written"),
            state_machine_entry: Some(StateMachineEntryProto {
                state_machine_data: bulk,
                log_entry_proto_serialized_size: 7,
            }),
            call_id: index,
            ..Default::default()
        };
        let log_entry_body = Some(LogEntryBody::StateMachineLogEntry(body));
        LogEntryProto { term: 3, index, log_entry_body }
    }

    #[test]
    fn the_bytes_are_those_of_a_plain_encoding() {
        for length in [0, 1, BULK_BYTES_MIN - 1, BULK_BYTES_MIN, 1 << 20] {
            let bulk = Bytes::from(vec![7_u8; length]);
            let message = AppendEntriesRequestProto {
                entries: vec![entry(1, bulk.clone()), entry(2, Bytes::new()), entry(3, bulk)],
                leader_term: 3,
                leader_commit: 9,
                ..Default::default()
            };
            let mut gathered = Gather::default();
            gathered.message(&message).unwrap();
            gathered.message(&message).unwrap();
            gathered.close_part();
            let bytes: Vec<u8> = gathered.parts.iter().flatten().copied().collect();
            let plain = message.encode_to_vec();
            let half = bytes.len() / 2;
            for frame in [&bytes[..half], &bytes[half..]] {
                assert_eq!(frame[0], 0);
                assert_eq!(frame[1..5], (plain.len() as u32).to_be_bytes());
                assert!(frame[5..] == plain, "{length}");
            }
        }
    }

    #[test]
    fn bulk_is_passed_on_without_a_copy() {
        let bulk = Bytes::from(vec![7_u8; 1 << 20]);
        let message = AppendEntriesRequestProto {
            entries: vec![entry(1, bulk.clone())],
            ..Default::default()
        };
        let mut gathered = Gather::default();
        gathered.message(&message).unwrap();
        gathered.close_part();
        assert!(gathered.parts.iter().any(|part| part.as_ptr() == bulk.as_ptr()));
        let others: usize = gathered.parts.iter().map(Bytes::len).sum::<usize>() - bulk.len();
        assert!(others < 200, "{others}");
    }
}
