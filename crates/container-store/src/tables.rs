//! Schema V3: the tables of a volume's `container.db`, shared by all its containers.
//!
//! ```text
//!  key    containerID, 8 bytes big-endian │ '|' │ suffix        (dn-disk.md §5)
//!  block_data       <localID, decimal>    BlockData
//!  metadata         #BCSID, #BLOCKCOUNT…  8 bytes, big-endian, signed
//!  delete_txns      <txID, decimal>       DeletedBlocksTransaction
//!  finalize_blocks  <localID, decimal>    8 bytes, big-endian: the localID
//!  last_chunk_info  <localID, decimal>    BlockData with the one partial chunk
//! ```
//! Decimal suffixes sort as text, not as numbers; Ozone lists blocks in that order too.

use std::io::Write;

use bytes::Bytes;
use hdds_proto::datanode::ContainerCreateInfo;
use hdds_types::ContainerId;
use ozone_db::{TableDef, codec};

/// Blocks.
pub const BLOCK_DATA: &str = "block_data";
/// Counters.
pub const METADATA: &str = "metadata";
/// Deletions to carry out.
pub const DELETE_TXNS: &str = "delete_txns";
/// Blocks that take no more writes.
pub const FINALIZE_BLOCKS: &str = "finalize_blocks";
/// The partial last chunk of blocks with an incremental chunk list.
pub const LAST_CHUNK_INFO: &str = "last_chunk_info";

/// All tables of `container.db`.
pub const ALL: [&str; 5] = [BLOCK_DATA, METADATA, DELETE_TXNS, FINALIZE_BLOCKS, LAST_CHUNK_INFO];

/// Highest BCSID of the container.
pub const BCSID: &str = "#BCSID";
/// Blocks.
pub const BLOCK_COUNT: &str = "#BLOCKCOUNT";
/// Bytes in chunks.
pub const BYTES_USED: &str = "#BYTESUSED";
/// Blocks waiting for removal.
pub const PENDING_DELETE_COUNT: &str = "#PENDINGDELETEBLOCKCOUNT";
/// Their bytes.
pub const PENDING_DELETE_BYTES: &str = "#PENDINGDELETEBLOCKBYTES";
/// Newest deletion transaction.
pub const DELETE_TRANSACTION: &str = "#delTX";
/// Checksum over all blocks.
pub const DATA_CHECKSUM: &str = "#DATACHECKSUM";

/// Rows of `witnessed_container.db`: containers ever created here.
pub const CONTAINER_CREATE_INFO: TableDef<u64, ContainerCreateInfo> =
    TableDef::new("ContainerCreateInfoTable", codec::U64, codec::proto());

/// Between container id and suffix.
const SEPARATOR: u8 = b'|';
/// Length of what all keys of a container begin with.
pub const PREFIX_BYTES: usize = 9;

/// What all keys of a container begin with.
pub fn prefix(container: ContainerId) -> [u8; PREFIX_BYTES] {
    let mut prefix = [SEPARATOR; PREFIX_BYTES];
    let (id, _) = prefix.split_at_mut(8);
    id.copy_from_slice(&container.0.to_be_bytes());
    prefix
}

/// The first key after all keys of a container.
pub fn prefix_end(container: ContainerId) -> [u8; PREFIX_BYTES] {
    let mut end = prefix(container);
    let (_, separator) = end.split_at_mut(8);
    separator.fill(SEPARATOR + 1);
    end
}

/// The key of a counter.
pub fn key(container: ContainerId, suffix: &str) -> Bytes {
    let mut key = Vec::with_capacity(PREFIX_BYTES + suffix.len());
    key.extend_from_slice(&prefix(container));
    key.extend_from_slice(suffix.as_bytes());
    Bytes::from(key)
}

/// The key of a block or transaction.
pub fn number_key(container: ContainerId, number: i64) -> Bytes {
    let mut key = Vec::with_capacity(PREFIX_BYTES + 20);
    key.extend_from_slice(&prefix(container));
    // Writing to a vector cannot fail.
    let _ = write!(key, "{number}");
    Bytes::from(key)
}

/// The number in a key's suffix; `None` for counters and `#deleting#` rows.
pub fn number_of(key: &[u8]) -> Option<i64> {
    std::str::from_utf8(key.get(PREFIX_BYTES..)?).ok()?.parse().ok()
}

/// The container of a key.
pub fn container_of(key: &[u8]) -> Option<ContainerId> {
    key.first_chunk::<8>().map(|id| ContainerId(u64::from_be_bytes(*id)))
}

/// A counter's value.
pub fn counter(value: i64) -> Bytes {
    Bytes::copy_from_slice(&value.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_the_container_a_bar_and_text() {
        let key = number_key(ContainerId(3), 117_883_640_217_600_001);
        assert_eq!(&key[..], b"\0\0\0\0\0\0\0\x03|117883640217600001");
        assert_eq!(number_of(&key), Some(117_883_640_217_600_001));
        assert_eq!(container_of(&key), Some(ContainerId(3)));
        assert_eq!(number_of(&super::key(ContainerId(3), BCSID)), None);
        assert_eq!(&prefix_end(ContainerId(3)), b"\0\0\0\0\0\0\0\x03}");
    }
}
