//! What a response frame says. Pure.

use bytes::{Buf, Bytes};
use prost::Message;
use thiserror::Error;

use super::CallError;
use crate::class;
use crate::proto::RpcResponseHeaderProto;
use crate::proto::rpc_response_header_proto::RpcStatusProto;
use crate::wire;

/// A response frame, read.
#[derive(Debug)]
pub enum Response {
    /// For one call.
    One(i32, Result<Bytes, CallError>),
    /// For all calls: the server closes the connection.
    All(CallError),
}

/// A frame after which the connection is of no use.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Garbage(String);

/// Reads a frame that is meant for the client `id`.
pub fn read(mut frame: Bytes, id: &[u8; 16]) -> Result<Response, Garbage> {
    let garbage = |text: &str| Garbage(format!("malformed response: {text}"));
    let header = wire::delimited(&mut frame).map_err(|error| garbage(&error.to_string()))?;
    let header =
        RpcResponseHeaderProto::decode(header).map_err(|error| garbage(&error.to_string()))?;
    if header.client_id.is_some_and(|theirs| !theirs.is_empty() && theirs != id[..]) {
        return Err(garbage("it is for another client"));
    }
    let call = header.call_id.cast_signed();
    let status = RpcStatusProto::try_from(header.status);
    if status == Ok(RpcStatusProto::Success) {
        let message = wire::delimited(&mut frame).map_err(|error| garbage(&error.to_string()))?;
        return Ok(Response::One(call, Ok(message)));
    }
    if frame.has_remaining() {
        return Err(garbage("bytes after an error"));
    }
    let fatal = status != Ok(RpcStatusProto::Error);
    let error = CallError::Remote {
        class: header.exception_class_name.unwrap_or_else(|| class::IO.to_owned()),
        message: header.error_msg.unwrap_or_default(),
        fatal,
    };
    Ok(if fatal { Response::All(error) } else { Response::One(call, Err(error)) })
}

/// Reads the layout of servers before version 9, which starts with -1 where the length would be:
/// `int32` status, then class and message, each `int32` length and bytes. `None` until it is all there.
pub fn read_old(mut bytes: &[u8]) -> Option<CallError> {
    bytes.try_get_i32().ok()?; // call id -1
    bytes.try_get_i32().ok()?; // status
    let mut text = || {
        let length = usize::try_from(bytes.try_get_i32().ok()?).ok()?;
        let (text, rest) = bytes.split_at_checked(length)?;
        bytes = rest;
        Some(String::from_utf8_lossy(text).into_owned())
    };
    let class = text()?;
    let message = text()?;
    Some(CallError::Remote { class, message, fatal: true })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_layout_of_old_servers_is_read_once_it_is_complete() {
        let mut bytes = Vec::new();
        bytes.extend((-1_i32).to_be_bytes());
        bytes.extend((-1_i32).to_be_bytes());
        for text in ["a.b.VersionMismatch", "too new"] {
            bytes.extend((text.len() as i32).to_be_bytes());
            bytes.extend(text.as_bytes());
        }
        for end in 0..bytes.len() {
            assert!(read_old(&bytes[..end]).is_none());
        }
        let error = read_old(&bytes).unwrap().to_string();
        assert_eq!(error, "a.b.VersionMismatch: too new");
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_old(&bytes);
            let _ = read(Bytes::from(bytes), &[0; 16]);
        }
    }
}
