//! Bytes of a segment: frames of varint length, entry and CRC32C (`SegmentedRaftLogFormat`).

use bytes::{Buf, Bytes};
use prost::Message;
use ratis_proto::common::{LogEntryProto, StateMachineLogEntryProto, log_entry_proto};

/// First bytes of every segment.
pub const MAGIC: &[u8; 8] = b"RaftLog1";

/// A length prefix above this is damage: no entry grows so large (the wire limit is 33 MiB).
pub const ENTRY_BYTES_MAX: usize = 128 << 20;

/// Bytes of the checksum behind an entry.
const CRC_BYTES: usize = 4;

/// CRC32C as Java's `PureJavaCrc32C` computes it.
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

/// Bytes that an entry takes in a message.
pub fn size(entry: &LogEntryProto) -> usize {
    entry.encoded_len()
}

/// Appends the frame of an entry and returns its length in bytes.
pub fn encode(entry: &LogEntryProto, out: &mut Vec<u8>) -> usize {
    let start = out.len();
    let stripped = without_bulk(entry);
    let entry = stripped.as_ref().unwrap_or(entry);
    let length = entry.encoded_len();
    out.reserve(length + 5 + CRC_BYTES);
    prost::encoding::encode_varint(length as u64, out);
    // A Vec grows, so encoding cannot run out of room.
    entry.encode_raw(out);
    let crc = crc32c(&out[start..]);
    out.extend_from_slice(&crc.to_be_bytes());
    out.len() - start
}

/// The entry as it goes to disk if it carries bulk bytes: without them, but with the size of the
/// full entry (`LogProtoUtils.removeStateMachineData`). `None` if it can be written as it is.
pub fn without_bulk(entry: &LogEntryProto) -> Option<LogEntryProto> {
    let Some(log_entry_proto::LogEntryBody::StateMachineLogEntry(body)) = &entry.log_entry_body
    else {
        return None;
    };
    let bulk = body.state_machine_entry.as_ref()?;
    if bulk.state_machine_data.is_empty() {
        return None;
    }
    let mut stripped = entry.clone();
    let full_bytes = entry.encoded_len();
    if let Some(body) = state_machine_entry_mut(&mut stripped)
        && let Some(bulk) = &mut body.state_machine_entry
    {
        bulk.state_machine_data = Bytes::new();
        bulk.log_entry_proto_serialized_size = u32::try_from(full_bytes).unwrap_or(u32::MAX);
    }
    Some(stripped)
}

fn state_machine_entry_mut(entry: &mut LogEntryProto) -> Option<&mut StateMachineLogEntryProto> {
    match &mut entry.log_entry_body {
        Some(log_entry_proto::LogEntryBody::StateMachineLogEntry(body)) => Some(body),
        _ => None,
    }
}

/// What lies at a place in a segment.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// An intact entry.
    Entry {
        /// The serialized `LogEntryProto`.
        body: &'a [u8],
        /// Bytes of the whole frame.
        length: usize,
    },
    /// Padding or the end of the buffer: nothing follows.
    End,
    /// The buffer ends before the frame does.
    Short {
        /// Bytes the frame needs in all, if its length could be read.
        needed: usize,
    },
    /// Not a frame.
    Bad(&'static str),
}

/// Reads the frame at the start of `buffer`.
pub fn decode(buffer: &[u8]) -> Frame<'_> {
    let Some(&first) = buffer.first() else { return Frame::End };
    if first == 0 {
        return Frame::End;
    }
    let mut rest = buffer;
    let length = match prost::encoding::decode_varint(&mut rest) {
        Ok(length) => length,
        Err(_) if buffer.len() < 10 => return Frame::Short { needed: buffer.len() + 1 },
        Err(_) => return Frame::Bad("the length is not a varint"),
    };
    if length > ENTRY_BYTES_MAX as u64 {
        return Frame::Bad("the length is beyond the largest entry");
    }
    let head = buffer.len() - rest.remaining();
    let body_end = head + length as usize;
    let end = body_end + CRC_BYTES;
    if buffer.len() < end {
        return Frame::Short { needed: end };
    }
    let mut stored = &buffer[body_end..end];
    if stored.get_u32() != crc32c(&buffer[..body_end]) {
        return Frame::Bad("the checksum does not match");
    }
    Frame::Entry { body: &buffer[head..body_end], length: end }
}

/// What kind of entry it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A transaction of the state machine.
    StateMachine,
    /// A configuration.
    Configuration,
    /// A commit index noted by a Java leader.
    Metadata,
}

/// Term, index and kind of a serialized entry, without decoding the rest.
///
/// # Errors
/// The bytes are not a `LogEntryProto`.
pub fn peek(body: &[u8]) -> Result<(u64, u64, Kind), prost::DecodeError> {
    // Fields come in order of their number from every encoder we know; fall back to a full decode
    // otherwise.
    let mut rest = body;
    let (mut term, mut index) = (0, 0);
    while let Some(&tag) = rest.first() {
        match tag {
            0x08 | 0x10 => {
                rest.advance(1);
                let value = prost::encoding::decode_varint(&mut rest)?;
                if tag == 0x08 {
                    term = value;
                } else {
                    index = value;
                }
            }
            0x1a => return Ok((term, index, Kind::StateMachine)),
            0x22 => return Ok((term, index, Kind::Configuration)),
            0x2a => return Ok((term, index, Kind::Metadata)),
            _ => break,
        }
    }
    let entry = LogEntryProto::decode(body)?;
    let kind = match entry.log_entry_body {
        Some(log_entry_proto::LogEntryBody::ConfigurationEntry(_)) => Kind::Configuration,
        Some(log_entry_proto::LogEntryBody::MetadataEntry(_)) => Kind::Metadata,
        _ => Kind::StateMachine,
    };
    Ok((entry.term, entry.index, kind))
}
