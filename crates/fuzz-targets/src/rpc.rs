//! Hadoop RPC: frames out of a stream, headers out of a frame.

use bytes::Bytes;
use hadoop_rpc::frame::FrameBuffer;
use hadoop_rpc::proto::{RequestHeaderProto, RpcRequestHeaderProto};
use hadoop_rpc::wire::{RequestHeader, Target, delimited};
use prost::Message;

/// Limit of a frame, in bytes.
const FRAME_BYTES_MAX: usize = 4096;
/// What a buffer may hold besides four times what is in it, in bytes.
const SLACK_BYTES: usize = 128 << 10;

/// Bytes arrive in pieces of the size that the first byte says; however they are cut, the frames are
/// the same, and a length that is only claimed costs no memory.
pub fn frames(mut data: &[u8]) {
    let step = usize::from(crate::byte(&mut data)) + 1;
    let whole = split(data, data.len().max(1));
    assert_eq!(whole, split(data, step));
    for frame in whole {
        let mut rest = frame;
        if let Ok(header) = delimited(&mut rest) {
            header_is_read_as_prost_reads_it(&header);
        }
        if let Ok(target) = delimited(&mut rest) {
            target_is_read_as_prost_reads_it(&target);
        }
    }
}

fn split(data: &[u8], step: usize) -> Vec<Bytes> {
    let mut buffer = FrameBuffer::new(FRAME_BYTES_MAX, false);
    let mut frames = Vec::new();
    for piece in data.chunks(step) {
        buffer.room().extend_from_slice(piece);
        buffer.arrived(piece.len());
        let filled = buffer.bytes().len();
        assert!(buffer.capacity() <= 4 * filled + SLACK_BYTES, "{} bytes", buffer.capacity());
        loop {
            match buffer.next() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(_) => return frames,
            }
        }
    }
    frames
}

fn header_is_read_as_prost_reads_it(bytes: &Bytes) {
    let (Ok(ours), Ok(theirs)) =
        (RequestHeader::decode(bytes), RpcRequestHeaderProto::decode(bytes.clone()))
    else {
        return;
    };
    assert_eq!(ours.call_id, theirs.call_id);
    assert_eq!(ours.client_id, theirs.client_id);
    if let Some(retry) = theirs.retry_count {
        assert_eq!(ours.retry, retry);
    }
    assert_eq!(ours.kind, theirs.rpc_kind);
    assert_eq!(ours.op, theirs.rpc_op);
}

fn target_is_read_as_prost_reads_it(bytes: &Bytes) {
    let (Ok(ours), Ok(theirs)) = (Target::decode(bytes), RequestHeaderProto::decode(bytes.clone()))
    else {
        return;
    };
    assert_eq!(ours.method, theirs.method_name.as_bytes());
    assert_eq!(ours.protocol, theirs.declaring_class_protocol_name.as_bytes());
    assert_eq!(ours.version, theirs.client_protocol_version);
}
