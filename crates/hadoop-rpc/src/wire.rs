//! Bytes of headers: reading them without trust, writing them without waste.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;
use thiserror::Error;

use crate::proto::RpcResponseHeaderProto;
use crate::proto::rpc_response_header_proto::{RpcErrorCodeProto, RpcStatusProto};

/// First bytes of a connection.
pub const MAGIC: [u8; 4] = *b"hrpc";
/// Version of the RPC protocol.
pub const VERSION: u8 = 9;
/// Length of the connection header.
pub const PREAMBLE_BYTES: usize = 7;
/// Auth byte: none.
pub const AUTH_NONE: u8 = 0;
/// Auth byte: SASL (-33).
pub const AUTH_SASL: u8 = 0xdf;
/// Call id of the connection context.
pub const CONTEXT_CALL: i32 = -3;
/// Call id of a ping.
pub const PING_CALL: i32 = -4;
/// Call id of SASL messages.
pub const SASL_CALL: i32 = -33;
/// Call id where there is none.
pub const NO_CALL: i32 = -1;
/// Retry count where there is none.
pub const NO_RETRY: i32 = -1;

/// A header that cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Malformed {
    /// It ends in the middle of a value.
    #[error("the message ended in the middle of a field")]
    Truncated,
    /// A field has no number or an unknown wire type.
    #[error("the message contained an invalid tag")]
    Tag,
    /// A required field is not there.
    #[error("Message missing required fields: {0}")]
    Missing(&'static str),
}

/// One field of a protobuf message.
pub enum Value<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 2.
    Bytes(&'a [u8]),
    /// Wire types 1 and 5; no header has them.
    Fixed,
}

/// Takes a varint off the front.
pub fn varint(bytes: &mut &[u8]) -> Result<u64, Malformed> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first().ok_or(Malformed::Truncated)?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Malformed::Tag)
}

fn take<'a>(bytes: &mut &'a [u8], count: u64) -> Result<&'a [u8], Malformed> {
    let count = usize::try_from(count).map_err(|_| Malformed::Truncated)?;
    let (taken, rest) = bytes.split_at_checked(count).ok_or(Malformed::Truncated)?;
    *bytes = rest;
    Ok(taken)
}

/// Takes one field off the front: its number and value.
pub fn field<'a>(bytes: &mut &'a [u8]) -> Result<(u64, Value<'a>), Malformed> {
    let tag = varint(bytes)?;
    let value = match tag & 7 {
        0 => Value::Varint(varint(bytes)?),
        1 => take(bytes, 8).map(|_| Value::Fixed)?,
        2 => {
            let count = varint(bytes)?;
            Value::Bytes(take(bytes, count)?)
        }
        5 => take(bytes, 4).map(|_| Value::Fixed)?,
        _ => return Err(Malformed::Tag),
    };
    if tag >> 3 == 0 {
        return Err(Malformed::Tag);
    }
    Ok((tag >> 3, value))
}

/// Takes a delimited message (varint length, bytes) off the front.
pub fn delimited(frame: &mut Bytes) -> Result<Bytes, Malformed> {
    let mut rest = &frame[..];
    let length = varint(&mut rest)?;
    let start = frame.len() - rest.len();
    let length = usize::try_from(length).map_err(|_| Malformed::Truncated)?;
    if length > rest.len() {
        return Err(Malformed::Truncated);
    }
    frame.advance(start);
    Ok(frame.split_to(length))
}

fn zigzag(value: u64) -> i32 {
    let value = value as u32;
    ((value >> 1).cast_signed()) ^ -((value & 1).cast_signed())
}

fn unzigzag(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)).cast_unsigned()
}

/// What the server needs of an `RpcRequestHeaderProto`. prost would lose which required fields are
/// absent, and allocate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestHeader {
    /// `rpcKind`.
    pub kind: Option<i32>,
    /// `rpcOp`.
    pub op: Option<i32>,
    /// `callId`.
    pub call_id: i32,
    /// `clientId` as it came.
    pub client_id: Bytes,
    /// `retryCount`.
    pub retry: i32,
    /// `traceInfo.traceId`; 0 where there is none.
    pub trace: u64,
    /// `callerContext.context`.
    pub caller_context: Option<Bytes>,
}

impl RequestHeader {
    /// Decodes one.
    pub fn decode(message: &Bytes) -> Result<Self, Malformed> {
        let mut header = Self { retry: NO_RETRY, ..Self::default() };
        let (mut call, mut client) = (false, false);
        let mut rest = &message[..];
        while !rest.is_empty() {
            match field(&mut rest)? {
                (1, Value::Varint(kind)) => header.kind = Some(kind as i32),
                (2, Value::Varint(op)) => header.op = Some(op as i32),
                (3, Value::Varint(id)) => {
                    header.call_id = zigzag(id);
                    call = true;
                }
                (4, Value::Bytes(id)) => {
                    header.client_id = message.slice_ref(id);
                    client = true;
                }
                (5, Value::Varint(retry)) => header.retry = zigzag(retry),
                (6, Value::Bytes(mut trace)) => {
                    while !trace.is_empty() {
                        if let (1, Value::Varint(id)) = field(&mut trace)? {
                            header.trace = id;
                        }
                    }
                }
                (7, Value::Bytes(mut context)) => {
                    while !context.is_empty() {
                        if let (1, Value::Bytes(text)) = field(&mut context)? {
                            header.caller_context = Some(message.slice_ref(text));
                        }
                    }
                }
                _ => {}
            }
        }
        match (call, client) {
            (true, true) => Ok(header),
            (false, true) => Err(Malformed::Missing("callId")),
            (true, false) => Err(Malformed::Missing("clientId")),
            (false, false) => Err(Malformed::Missing("callId, clientId")),
        }
    }
}

/// The parts of a `RequestHeaderProto`, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// `methodName`.
    pub method: &'a [u8],
    /// `declaringClassProtocolName`.
    pub protocol: &'a [u8],
    /// `clientProtocolVersion`.
    pub version: u64,
}

impl<'a> Target<'a> {
    /// Decodes one.
    pub fn decode(mut bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (mut method, mut protocol, mut version) = (None, None, None);
        while !bytes.is_empty() {
            match field(&mut bytes)? {
                (1, Value::Bytes(name)) => method = Some(name),
                (2, Value::Bytes(name)) => protocol = Some(name),
                (3, Value::Varint(number)) => version = Some(number),
                _ => {}
            }
        }
        Ok(Self {
            method: method.ok_or(Malformed::Missing("methodName"))?,
            protocol: protocol.ok_or(Malformed::Missing("declaringClassProtocolName"))?,
            version: version.ok_or(Malformed::Missing("clientProtocolVersion"))?,
        })
    }
}

/// Bytes of a varint.
fn varint_len(value: u64) -> usize {
    (70 - (value | 1).leading_zeros() as usize) / 7
}

/// Appends a varint.
pub fn put_varint(out: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// Appends length and headers of a request frame; `payload` bytes must follow.
pub fn put_request_header(
    out: &mut BytesMut,
    call_id: i32,
    client_id: &[u8],
    retry: i32,
    payload: usize,
) {
    let (call, retry) = (unzigzag(call_id), unzigzag(retry));
    let header = 4
        + 1
        + varint_len(call.into())
        + 1
        + varint_len(client_id.len() as u64)
        + client_id.len()
        + 1
        + varint_len(retry.into());
    let frame = varint_len(header as u64) + header + payload;
    out.reserve(4 + frame);
    out.put_u32(frame as u32);
    put_varint(out, header as u64);
    out.put_slice(&[0x08, 2, 0x10, 0, 0x18]); // kind PROTOCOL_BUFFER, op FINAL_PACKET
    put_varint(out, call.into());
    out.put_u8(0x22);
    put_varint(out, client_id.len() as u64);
    out.put_slice(client_id);
    out.put_u8(0x28);
    put_varint(out, retry.into());
}

/// Appends length and header of a SUCCESS frame and the length of its message; `message` bytes must
/// follow. Returns how many bytes were appended.
pub fn put_success(
    out: &mut BytesMut,
    call_id: i32,
    client_id: &[u8],
    retry: i32,
    message: usize,
) -> usize {
    let before = out.len();
    let (call, retry) = (call_id.cast_unsigned(), unzigzag(retry));
    let header = 1
        + varint_len(call.into())
        + 4
        + 1
        + varint_len(client_id.len() as u64)
        + client_id.len()
        + 1
        + varint_len(retry.into());
    let frame = varint_len(header as u64) + header + varint_len(message as u64) + message;
    out.reserve(4 + frame - message);
    out.put_u32(frame as u32);
    put_varint(out, header as u64);
    out.put_u8(0x08);
    put_varint(out, call.into());
    out.put_slice(&[0x10, 0, 0x18, VERSION]);
    out.put_u8(0x3a);
    put_varint(out, client_id.len() as u64);
    out.put_slice(client_id);
    out.put_u8(0x40);
    put_varint(out, retry.into());
    put_varint(out, message as u64);
    out.len() - before
}

/// A whole ERROR or FATAL frame.
pub fn error_frame(
    call_id: i32,
    client_id: &Bytes,
    retry: i32,
    status: RpcStatusProto,
    detail: RpcErrorCodeProto,
    class: &str,
    message: &str,
) -> Bytes {
    let header = RpcResponseHeaderProto {
        call_id: call_id.cast_unsigned(),
        status: status.into(),
        server_ipc_version_num: Some(VERSION.into()),
        exception_class_name: Some(class.to_owned()),
        error_msg: Some(message.to_owned()),
        error_detail: Some(detail.into()),
        client_id: Some(client_id.clone()),
        retry_count: Some(retry),
        state_id: None,
    };
    let length = header.encoded_len();
    let mut out = BytesMut::with_capacity(length + 9);
    out.put_u32((length + varint_len(length as u64)) as u32);
    put_varint(&mut out, length as u64);
    out.put_slice(&header.encode_to_vec());
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{RequestHeaderProto, RpcRequestHeaderProto};
    use proptest::prelude::*;

    #[test]
    fn the_trace_of_a_header_is_read() {
        let info = crate::proto::RpcTraceInfoProto { trace_id: Some(0x4bf9), parent_id: Some(7) };
        let proto = RpcRequestHeaderProto {
            client_id: Bytes::from_static(&[1; 16]),
            trace_info: Some(info),
            ..RpcRequestHeaderProto::default()
        };
        let header = RequestHeader::decode(&proto.encode_to_vec().into()).unwrap();
        assert_eq!(header.trace, 0x4bf9);
    }

    proptest! {
        #[test]
        fn request_headers_are_read_and_written_as_prost_does(
            call_id: i32, retry: i32, client in prop::collection::vec(any::<u8>(), 0..200),
            payload in 0_usize..100_000,
        ) {
            let mut out = BytesMut::new();
            put_request_header(&mut out, call_id, &client, retry, payload);
            let mut frame = out.freeze();
            prop_assert_eq!(frame.get_u32() as usize, frame.len() + payload);
            let message = delimited(&mut frame).unwrap();
            prop_assert!(frame.is_empty());
            let header = RequestHeader::decode(&message).unwrap();
            let proto = RpcRequestHeaderProto::decode(message).unwrap();
            prop_assert_eq!((header.call_id, header.retry), (call_id, retry));
            prop_assert_eq!(&header.client_id, &client);
            prop_assert_eq!((header.kind, header.op), (Some(2), Some(0)));
            prop_assert_eq!((proto.call_id, proto.retry_count), (call_id, Some(retry)));
            prop_assert_eq!((proto.rpc_kind, proto.rpc_op), (Some(2), Some(0)));
            prop_assert_eq!(&proto.client_id, &client);
        }

        #[test]
        fn success_headers_are_what_prost_reads(
            call_id: i32, retry: i32, client in prop::collection::vec(any::<u8>(), 0..200),
            message in 0_usize..100_000,
        ) {
            let mut out = BytesMut::new();
            let count = put_success(&mut out, call_id, &client, retry, message);
            prop_assert_eq!(count, out.len());
            let mut frame = out.freeze();
            prop_assert_eq!(frame.get_u32() as usize, frame.len() + message);
            let header = RpcResponseHeaderProto::decode(delimited(&mut frame).unwrap()).unwrap();
            prop_assert_eq!(varint(&mut &frame[..]).unwrap() as usize, message);
            prop_assert_eq!(header.call_id, call_id.cast_unsigned());
            prop_assert_eq!(header.retry_count, Some(retry));
            prop_assert_eq!((header.status, header.server_ipc_version_num), (0, Some(9)));
            prop_assert_eq!(header.client_id.unwrap(), client);
        }

        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let bytes = Bytes::from(bytes);
            let _ = RequestHeader::decode(&bytes);
            let _ = Target::decode(&bytes);
            let _ = delimited(&mut bytes.clone());
        }
    }

    #[test]
    fn absent_required_fields_are_named() {
        let header = |bytes: &'static [u8]| RequestHeader::decode(&Bytes::from_static(bytes));
        assert_eq!(header(&[0x08, 2, 0x18, 0]), Err(Malformed::Missing("clientId")));
        assert_eq!(header(&[0x22, 0]), Err(Malformed::Missing("callId")));
        assert_eq!(header(&[0x22, 5, 1]), Err(Malformed::Truncated));
        assert_eq!(header(&[0x00, 0]), Err(Malformed::Tag));
        let target = RequestHeaderProto {
            method_name: "m".into(),
            declaring_class_protocol_name: "p".into(),
            client_protocol_version: 1,
        };
        let bytes = target.encode_to_vec();
        let read = Target::decode(&bytes).unwrap();
        assert_eq!(read, Target { method: b"m", protocol: b"p", version: 1 });
        assert_eq!(Target::decode(&bytes[3..]), Err(Malformed::Missing("methodName")));
    }
}
