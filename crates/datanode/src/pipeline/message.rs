//! Container commands as Raft messages and log entries (`ContainerCommandRequestMessage`).
//!
//! ```text
//!  message    int32 header length, big-endian │ header: the command without its bulk │ bulk
//!  log entry  WriteChunk: the command without its bulk, bulk beside │ others: the whole command
//! ```

use bytes::{Buf, BufMut, Bytes, BytesMut};
use hdds_proto::datanode::{ContainerCommandRequestProto as Request, Type};
use prost::Message;
use thiserror::Error;
use uuid::Uuid;

/// Length of the header length, in bytes.
const LENGTH_BYTES: usize = 4;

/// A message that is no container command.
#[derive(Debug, Error)]
pub enum MessageError {
    /// Too short for what it announces.
    #[error("the message has {present} bytes but its header needs {needed}")]
    Short {
        /// Bytes there.
        present: usize,
        /// Bytes needed.
        needed: usize,
    },
    /// The header is no protobuf message.
    #[error("the header is no container command: {0}")]
    Header(#[from] prost::DecodeError),
    /// Sent to a pipeline that it is not meant for.
    #[error("the command is for pipeline {named} but this is {group}")]
    OtherPipeline {
        /// In the command.
        named: String,
        /// The group.
        group: Uuid,
    },
}

/// Takes a message apart; the bulk stays a slice of it.
///
/// # Errors
/// [`MessageError`].
pub fn decode(mut message: Bytes) -> Result<(Request, Bytes), MessageError> {
    let present = message.len();
    if present < LENGTH_BYTES {
        return Err(MessageError::Short { present, needed: LENGTH_BYTES });
    }
    let announced = usize::try_from(message.get_i32()).unwrap_or(usize::MAX);
    if message.len() < announced {
        let needed = announced.saturating_add(LENGTH_BYTES);
        return Err(MessageError::Short { present, needed });
    }
    let header = message.split_to(announced);
    Ok((Request::decode(header)?, message))
}

/// Puts a message together from a command whose bulk is apart.
pub fn encode(header: &Request, bulk: &[u8]) -> Bytes {
    let length = header.encoded_len();
    let mut message = BytesMut::with_capacity(LENGTH_BYTES + length + bulk.len());
    message.put_i32(i32::try_from(length).unwrap_or(i32::MAX));
    // The buffer has room for all of it.
    let _ = header.encode(&mut message);
    message.put_slice(bulk);
    message.freeze()
}

/// Makes a command ready for the log: addressed to its pipeline, without its token.
///
/// # Errors
/// [`MessageError::OtherPipeline`].
pub fn address(request: &mut Request, group: Uuid) -> Result<(), MessageError> {
    let own = group.to_string();
    match &request.pipeline_id {
        Some(named) if !named.is_empty() && *named != own => {
            return Err(MessageError::OtherPipeline { named: named.clone(), group });
        }
        _ => request.pipeline_id = Some(own),
    }
    request.trace_id.get_or_insert_default();
    request.encoded_token = None;
    Ok(())
}

/// Puts the bulk of a PutSmallFile back in its place.
pub fn restore_bulk(request: &mut Request, bulk: Bytes) {
    if request.cmd_type == i32::from(Type::PutSmallFile)
        && let Some(small) = &mut request.put_small_file
        && small.data.is_empty()
    {
        small.data = bulk;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded from the Java client: a chunk "hello" for container 1, block 77.
    fn recorded() -> Bytes {
        let uuid = "9e2a6c2c-63bd-4fd1-b240-21bbd3834ecf";
        let mut header: Vec<u8> = vec![0x08, 0x0c, 0x12, 0x00, 0x18, 0x01, 0x22, 0x24];
        header.extend_from_slice(uuid.as_bytes());
        header.extend_from_slice(&[0x8a, 0x01, 0x2a, 0x0a, 0x08, 0x08, 0x01, 0x10, 0x4d, 0x18, 0]);
        header.extend_from_slice(&[0x20, 0x00, 0x12, 0x1e, 0x0a, 0x0a]);
        header.extend_from_slice(b"77_chunk_1");
        header.extend_from_slice(&[0x10, 0x00, 0x18, 0x05, 0x2a, 0x0c, 0x08, 0x02, 0x10, 0x80]);
        header.extend_from_slice(&[0x80, 0x01, 0x1a, 0x04, 0x36, 0x10, 0xa6, 0x86]);
        header.extend_from_slice(&[0xc0, 0x01, 0x03]);
        let mut message = vec![0, 0, 0, header.len() as u8];
        message.extend_from_slice(&header);
        message.extend_from_slice(b"hello");
        Bytes::from(message)
    }

    #[test]
    fn a_recorded_message_is_taken_apart_and_put_together_again() {
        let message = recorded();
        assert_eq!(message[3], 0x5c);
        let (request, bulk) = decode(message.clone()).unwrap();
        assert_eq!(&bulk[..], b"hello");
        let write = request.write_chunk.as_ref().unwrap();
        assert_eq!((write.block_id.local_id, write.data.as_ref()), (77, None));
        let chunk = write.chunk_data.as_ref().unwrap();
        chunk_checksum::verify(&chunk.checksum_data, 0, &bulk).unwrap();
        assert_eq!(encode(&request, &bulk), message);
    }

    #[test]
    fn cut_messages_and_foreign_pipelines_are_refused() {
        let message = recorded();
        for len in [0, 3, 4, 50] {
            assert!(decode(message.slice(..len)).is_err(), "{len}");
        }
        assert!(decode(Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 1])).is_err());
        let group = Uuid::from_u128(7);
        let (mut request, _) = decode(message).unwrap();
        request.encoded_token = Some("secret".to_owned());
        address(&mut request, group).unwrap();
        assert_eq!(request.pipeline_id, Some(group.to_string()));
        assert_eq!(request.encoded_token, None);
        assert!(address(&mut request, Uuid::from_u128(8)).is_err());
    }
}
