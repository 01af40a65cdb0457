//! Streams of requests whose bulk bytes go straight from the frames into page-aligned memory.
//!
//! ```text
//!  frames: │…header…bulk│bulk│bulk…header…│  ─► whole message? ─► decode over the frames as they are
//!                                                bulk field ─► copied once, into memory of the stock
//! ```
//! tonic's own reader puts a message together in fresh memory, which costs more than the copy; and the
//! disk could not take the bulk from where it happens to lie. Messages and errors are the same.
//! PERFORMANCE CRITICAL: all that is written to a pipeline passes here.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bulk_buffers::Buffers;
use bytes::{Buf, Bytes};
use futures_util::stream::Stream;
use http_body::Body as _;
use prost::Message;
use tonic::body::Body;
use tonic::codec::{Codec, EncodeBody, SingleMessageCompressionOverride};
use tonic::codegen::http;
use tonic::{Code, Status};
use tonic_prost::ProstCodec;

/// What precedes every gRPC message: no compression, length.
const PREFIX_BYTES: usize = 5;
/// Messages below this are put together in one piece, of which fields are slices, in bytes.
const WHOLE_BYTES_MAX: usize = 64 << 10;
/// Fields from this size on go into memory of the stock, in bytes.
const BULK_BYTES_MIN: usize = 256 << 10;

/// The requests of a call.
pub(super) struct Requests<T> {
    body: Body,
    frames: Frames,
    /// Length of the message that is coming.
    length: Option<usize>,
    message_bytes_max: usize,
    ended: bool,
    message: PhantomData<fn() -> T>,
}

/// Bytes that came and are not decoded yet.
struct Frames {
    parts: VecDeque<Bytes>,
    bytes: usize,
    buffers: Buffers,
}

impl<T> Requests<T> {
    pub fn new(body: Body, message_bytes_max: usize, buffers: Buffers) -> Self {
        let frames = Frames { parts: VecDeque::new(), bytes: 0, buffers };
        let message = PhantomData;
        Self { body, frames, length: None, message_bytes_max, ended: false, message }
    }
}

impl<T: Message + Default> Requests<T> {
    /// The next message, if all of it is there.
    fn cut(&mut self) -> Result<Option<T>, Status> {
        let length = match self.length {
            Some(length) => length,
            None if self.frames.bytes < PREFIX_BYTES => return Ok(None),
            None => self.prefix()?,
        };
        self.length = Some(length);
        if self.frames.bytes < length {
            return Ok(None);
        }
        self.length = None;
        self.frames.decode(length).map(Some)
    }

    fn prefix(&mut self) -> Result<usize, Status> {
        let mut prefix = self.frames.first(PREFIX_BYTES);
        let compressed = prefix.get_u8();
        let length = prefix.get_u32() as usize;
        if compressed != 0 {
            return Err(Status::unimplemented("messages must not be compressed"));
        }
        if length > self.message_bytes_max {
            let limit = self.message_bytes_max;
            return Err(Status::out_of_range(format!(
                "a message of {length} bytes is longer than the limit of {limit}"
            )));
        }
        Ok(length)
    }

    /// Takes in one frame. `false` at the end of the body.
    fn poll_body(&mut self, context: &mut Context<'_>) -> Poll<Result<bool, Status>> {
        Poll::Ready(match ready!(Pin::new(&mut self.body).poll_frame(context)) {
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    self.frames.push(data);
                }
                Ok(true)
            }
            // The client hung up.
            Some(Err(status)) if status.code() == Code::Cancelled => Ok(false),
            Some(Err(status)) => Err(status),
            None if self.frames.bytes > 0 || self.length.is_some() => {
                Err(Status::internal("the stream ended inside a message"))
            }
            None => Ok(false),
        })
    }
}

impl<T: Message + Default> Stream for Requests<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while !self.ended {
            match self.cut() {
                Ok(Some(message)) => return Poll::Ready(Some(Ok(message))),
                Ok(None) => {}
                Err(status) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(status)));
                }
            }
            match ready!(self.poll_body(context)) {
                Ok(more) => self.ended = !more,
                Err(status) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(status)));
                }
            }
        }
        Poll::Ready(None)
    }
}

impl Frames {
    fn push(&mut self, data: Bytes) {
        if !data.is_empty() {
            self.bytes += data.len();
            self.parts.push_back(data);
        }
    }

    /// A copy of the next `count` bytes, which are there: a slice would keep all of their frame.
    fn first(&mut self, count: usize) -> Bytes {
        Section { left: count, frames: self }.copied(count)
    }

    fn decode<T: Message + Default>(&mut self, length: usize) -> Result<T, Status> {
        let decoded = if length <= WHOLE_BYTES_MAX {
            T::decode(self.first(length))
        } else {
            T::decode(Section { left: length, frames: self })
        };
        decoded.map_err(|error| Status::internal(format!("the message is malformed: {error}")))
    }
}

/// One message, in the frames in which it came.
struct Section<'a> {
    frames: &'a mut Frames,
    left: usize,
}

impl Section<'_> {
    fn copied(&mut self, count: usize) -> Bytes {
        let mut copy = Vec::with_capacity(count);
        let mut missing = count;
        while missing > 0 {
            let chunk = self.chunk();
            let take = chunk.len().min(missing);
            let (taken, _) = chunk.split_at(take);
            copy.extend_from_slice(taken);
            missing -= take;
            self.advance(take);
        }
        Bytes::from(copy)
    }
}

impl Buf for Section<'_> {
    fn remaining(&self) -> usize {
        self.left
    }

    fn chunk(&self) -> &[u8] {
        let part = self.frames.parts.front().map_or(&[][..], |part| part);
        part.get(..self.left).unwrap_or(part)
    }

    fn advance(&mut self, count: usize) {
        assert!(count <= self.left, "a message is read past its end");
        self.left -= count;
        self.frames.bytes -= count;
        let mut count = count;
        while count > 0
            && let Some(part) = self.frames.parts.front_mut()
        {
            let step = count.min(part.len());
            part.advance(step);
            count -= step;
            if part.is_empty() {
                self.frames.parts.pop_front();
            }
        }
    }

    fn copy_to_bytes(&mut self, count: usize) -> Bytes {
        assert!(count <= self.left, "a message is read past its end");
        if count < BULK_BYTES_MIN {
            return self.copied(count);
        }
        match self.frames.buffers.take(count) {
            Ok(mut buffer) => {
                self.copy_to_slice(&mut buffer);
                buffer.freeze()
            }
            // No memory of that kind; an ordinary allocation may still succeed.
            Err(_) => self.copied(count),
        }
    }
}

/// The response of a call: `replies`, then the status.
pub(super) fn respond<R, S>(replies: S) -> http::Response<Body>
where
    R: Message + Default + 'static,
    S: Stream<Item = Result<R, Status>> + Send + 'static,
{
    let encoder = ProstCodec::<R, R>::default().encoder();
    let uncompressed = SingleMessageCompressionOverride::Disable;
    let body = EncodeBody::new_server(encoder, replies, None, uncompressed, Some(usize::MAX));
    let mut response = http::Response::new(Body::new(body));
    let grpc = http::HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(http::header::CONTENT_TYPE, grpc);
    response
}

/// What a call is answered with; streams begin at once.
pub(super) type Answered = Result<http::Response<Body>, Infallible>;

#[cfg(test)]
mod tests {
    use bulk_buffers::is_aligned;
    use bytes::{BufMut, BytesMut};
    use futures_util::StreamExt;
    use http_body::Frame;
    use ratis_proto::common::{
        ClientMessageEntryProto, RaftClientRequestProto, RaftRpcRequestProto,
    };

    use super::*;

    /// Parts as the frames of a body.
    struct Parts(VecDeque<Bytes>);

    impl http_body::Body for Parts {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.0.pop_front().map(|part| Ok(Frame::data(part))))
        }
    }

    fn request(call_id: u64, bulk: usize) -> RaftClientRequestProto {
        let content: Bytes = (0..bulk).map(|at| (at / 7) as u8 ^ call_id as u8).collect();
        RaftClientRequestProto {
            rpc_request: Some(RaftRpcRequestProto { call_id, ..Default::default() }),
            message: Some(ClientMessageEntryProto { content }),
            ..Default::default()
        }
    }

    fn encoded(message: &RaftClientRequestProto) -> Bytes {
        let mut bytes = BytesMut::new();
        bytes.put_u8(0);
        bytes.put_u32(message.encoded_len() as u32);
        message.encode(&mut bytes).unwrap();
        bytes.freeze()
    }

    fn read(bytes: &Bytes, frame: usize, max: usize) -> Vec<Result<RaftClientRequestProto, Code>> {
        let parts = bytes.chunks(frame).map(Bytes::copy_from_slice).collect();
        let requests = Requests::new(Body::new(Parts(parts)), max, Buffers::new(0));
        let read = requests.map(|item| item.map_err(|status| status.code())).collect::<Vec<_>>();
        futures_util::FutureExt::now_or_never(read).expect("the body never waits")
    }

    #[test]
    fn messages_come_out_as_they_went_in_whatever_the_frames() {
        let sizes = [0, 1, 5_000, WHOLE_BYTES_MAX, 100_000, BULK_BYTES_MIN, 3 << 20];
        let sent: Vec<_> = sizes.iter().enumerate().map(|(n, s)| request(n as u64, *s)).collect();
        let bytes: BytesMut = sent.iter().flat_map(encoded).collect();
        let bytes = bytes.freeze();
        for frame in [1_000, 16_384, 1 << 20, 100 << 20] {
            let expected: Vec<_> = sent.iter().cloned().map(Ok).collect();
            assert!(read(&bytes, frame, usize::MAX) == expected, "frames of {frame}");
        }
        assert_eq!(read(&bytes.slice(..50), 1, usize::MAX).len(), 3, "two, then the torn one");
    }

    #[test]
    fn bulk_lies_on_a_page_boundary() {
        let bytes = encoded(&request(1, 4 << 20));
        let read = read(&bytes, 16_384, usize::MAX).remove(0).unwrap();
        assert!(is_aligned(&read.message.unwrap().content));
    }

    #[test]
    fn what_is_no_message_ends_the_stream() {
        let whole = encoded(&request(1, 100_000));
        let code = |bytes: &Bytes, max| match read(bytes, 1 << 20, max).as_slice() {
            [Err(code)] => *code,
            other => panic!("{} items", other.len()),
        };
        assert_eq!(code(&whole, 1_000), Code::OutOfRange);
        assert_eq!(code(&whole.slice(..whole.len() - 1), usize::MAX), Code::Internal);
        assert_eq!(code(&whole.slice(..3), usize::MAX), Code::Internal);
        let compressed = [&[1][..], &whole[1..]].concat().into();
        assert_eq!(code(&compressed, usize::MAX), Code::Unimplemented);
        // A field that announces more than its message has.
        let mut torn = whole.to_vec();
        torn[1..5].copy_from_slice(&80_000_u32.to_be_bytes());
        assert_eq!(code(&torn.into(), usize::MAX), Code::Internal);
    }
}
