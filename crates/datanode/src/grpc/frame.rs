//! Responses as gRPC frames, bulk bytes by reference.
//!
//! ```text
//!  0 │ length, 4 bytes │ fields … tag 16, length │ block, chunk, tag 3, length ║ bulk ║
//!  └──────────────────────── one small buffer ─────────────────────────────────┘ └ as read from disk
//! ```
//! The bulk is the last field of the last field, so that it can follow the rest without being copied
//! into it; the bytes on the wire are those that a plain encoding gives.
//! PERFORMANCE CRITICAL: every read of a client passes here.

use bytes::{BufMut, Bytes, BytesMut};
use hdds_proto::datanode::read_chunk_response_proto::ResponseData;
use hdds_proto::datanode::{ContainerCommandResponseProto as Response, ReadChunkResponseProto};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

/// What precedes every gRPC message: no compression, length.
const PREFIX_BYTES: usize = 5;
/// Bulk below this is copied: one small frame is cheaper than two.
const BULK_BYTES_MIN: usize = 4 << 10;
/// Field of `ContainerCommandResponseProto`.
const READ_CHUNK_TAG: u32 = 16;
/// Fields of `ReadChunkResponseProto`.
const DATA_TAG: u32 = 3;
const DATA_BUFFERS_TAG: u32 = 4;
/// Field of `DataBuffers`.
const BUFFER_TAG: u32 = 1;

/// The frame of a response in one or two parts; nothing if it is too long for a frame.
pub fn encode(mut response: Response) -> Option<(Bytes, Option<Bytes>)> {
    match take_bulk(&mut response) {
        Some((read, bulk, in_list)) => with_bulk(&response, &read, bulk, in_list),
        None => {
            let length = response.encoded_len();
            let mut frame = BytesMut::with_capacity(PREFIX_BYTES + length);
            prefix(&mut frame, length)?;
            response.encode(&mut frame).ok()?;
            Some((frame.freeze(), None))
        }
    }
}

/// Takes a large bulk out; `true` if it was in a list of one buffer.
fn take_bulk(response: &mut Response) -> Option<(Box<ReadChunkResponseProto>, Bytes, bool)> {
    let read = response.read_chunk.as_mut()?;
    let (bulk, in_list) = match &mut read.response_data {
        Some(ResponseData::Data(data)) => (data, false),
        Some(ResponseData::DataBuffers(list)) => match list.buffers.as_mut_slice() {
            [only] => (only, true),
            _ => return None,
        },
        None => return None,
    };
    if bulk.len() < BULK_BYTES_MIN {
        return None;
    }
    let bulk = std::mem::take(bulk);
    let mut read = response.read_chunk.take()?;
    read.response_data = None;
    Some((read, bulk, in_list))
}

fn with_bulk(
    response: &Response,
    read: &ReadChunkResponseProto,
    bulk: Bytes,
    in_list: bool,
) -> Option<(Bytes, Option<Bytes>)> {
    // Inside out: every length counts what follows it.
    let mut tail = BytesMut::with_capacity(32);
    if in_list {
        let mut item = BytesMut::with_capacity(16);
        field(BUFFER_TAG, bulk.len(), &mut item);
        field(DATA_BUFFERS_TAG, item.len() + bulk.len(), &mut tail);
        tail.put(item);
    } else {
        field(DATA_TAG, bulk.len(), &mut tail);
    }
    let inner = read.encoded_len() + tail.len() + bulk.len();
    let key = encoded_len_varint(u64::from(READ_CHUNK_TAG << 3));
    let outer = response.encoded_len() + key + encoded_len_varint(inner as u64) + inner;
    let mut frame = BytesMut::with_capacity(PREFIX_BYTES + outer - bulk.len());
    prefix(&mut frame, outer)?;
    response.encode(&mut frame).ok()?;
    field(READ_CHUNK_TAG, inner, &mut frame);
    read.encode(&mut frame).ok()?;
    frame.put(tail);
    Some((frame.freeze(), Some(bulk)))
}

fn prefix(frame: &mut BytesMut, length: usize) -> Option<()> {
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).ok()?);
    Some(())
}

fn field(tag: u32, length: usize, buffer: &mut BytesMut) {
    encode_key(tag, WireType::LengthDelimited, buffer);
    encode_varint(length as u64, buffer);
}

#[cfg(test)]
mod tests {
    use hdds_proto::datanode::{ChunkInfo, DataBuffers, DatanodeBlockId};

    use super::*;

    fn response(data: Option<ResponseData>) -> Response {
        Response {
            cmd_type: 10,
            trace_id: Some("trace".to_owned()),
            result: 1,
            message: Some(String::new()),
            read_chunk: Some(Box::new(ReadChunkResponseProto {
                block_id: DatanodeBlockId { container_id: 1, local_id: 2, ..Default::default() },
                chunk_data: ChunkInfo { len: 99, ..ChunkInfo::default() },
                response_data: data,
            })),
            ..Response::default()
        }
    }

    #[test]
    fn the_bytes_are_those_of_a_plain_encoding() {
        for len in [0, 1, BULK_BYTES_MIN, 100_000, 5 << 20] {
            let bulk = Bytes::from(vec![7_u8; len]);
            let list = |buffers| Some(ResponseData::DataBuffers(DataBuffers { buffers }));
            for data in [
                None,
                Some(ResponseData::Data(bulk.clone())),
                list(vec![bulk.clone()]),
                list(vec![bulk.clone(), bulk.clone()]),
            ] {
                let message = response(data);
                let plain = message.encode_to_vec();
                let (head, rest) = encode(message).unwrap();
                let mut frame = head.to_vec();
                frame.extend_from_slice(&rest.unwrap_or_default());
                assert_eq!(frame[0], 0);
                assert_eq!(frame[1..5], (plain.len() as u32).to_be_bytes());
                assert!(frame[5..] == plain, "{len}");
            }
        }
    }

    #[test]
    fn large_bulk_is_passed_on_without_a_copy() {
        let bulk = Bytes::from(vec![7_u8; 1 << 20]);
        let (head, rest) = encode(response(Some(ResponseData::Data(bulk.clone())))).unwrap();
        assert!(head.len() < 100);
        assert_eq!(rest.unwrap().as_ptr(), bulk.as_ptr());
    }
}
