//! Checksums of chunks: CRC32, CRC32C, SHA-256 and MD5 over every piece of `bytesPerChecksum` bytes.
//!
//! ```text
//!  chunk  |── piece 0 ──|── piece 1 ──|─ rest ─|      pieces count from the start of the chunk
//!  ChecksumData.checksums = [ sum(0),  sum(1), sum(rest) ]     the last piece may be short
//! ```
//! CRCs are four bytes, big-endian; an empty chunk has no checksums; `NONE` has none either.
//! The rules are those of Ozone's `Checksum` and `ChecksumByteBufferFactory` (dn-client.md §2.4).
//! Start reading at [`compute`] and [`verify`].

mod piece;

use std::fmt;

use bytes::{Bytes, BytesMut};
use hdds_proto::datanode::{ChecksumData, ChecksumType};
use thiserror::Error;

pub use piece::PieceSums;

/// Bytes per checksum when a message asks for 0: one checksum for everything would be unbounded.
/// Ozone's default of `ozone.client.bytes.per.checksum`.
pub const DEFAULT_BYTES_PER_CHECKSUM: u32 = 16 << 10;

/// Which checksum (`ChecksumType` of the wire).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Algorithm {
    /// None at all.
    None,
    /// The CRC of Ethernet and zip; Ozone's default.
    #[default]
    Crc32,
    /// Castagnoli's CRC, with instructions of its own in common processors.
    Crc32c,
    /// SHA-256.
    Sha256,
    /// MD5.
    Md5,
}

impl Algorithm {
    /// Bytes of one checksum.
    pub fn sum_bytes(self) -> usize {
        match self {
            Self::None => 0,
            Self::Crc32 | Self::Crc32c => 4,
            Self::Sha256 => 32,
            Self::Md5 => 16,
        }
    }

    /// The name in settings (`ozone.client.checksum.type`) and on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Sha256 => "SHA256",
            Self::Md5 => "MD5",
        }
    }

    /// From the name in settings; any case.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::None, Self::Crc32, Self::Crc32c, Self::Sha256, Self::Md5]
            .into_iter()
            .find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl From<ChecksumType> for Algorithm {
    fn from(kind: ChecksumType) -> Self {
        match kind {
            ChecksumType::None => Self::None,
            ChecksumType::Crc32 => Self::Crc32,
            ChecksumType::Crc32c => Self::Crc32c,
            ChecksumType::Sha256 => Self::Sha256,
            ChecksumType::Md5 => Self::Md5,
        }
    }
}

impl From<Algorithm> for ChecksumType {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::None => Self::None,
            Algorithm::Crc32 => Self::Crc32,
            Algorithm::Crc32c => Self::Crc32c,
            Algorithm::Sha256 => Self::Sha256,
            Algorithm::Md5 => Self::Md5,
        }
    }
}

/// Data that is not what its checksums say.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ChecksumError {
    /// The bytes changed: read another replica.
    #[error("checksum mismatch in piece {piece}: stored {stored}, computed {computed}")]
    Mismatch {
        /// Which piece, counted from the start of the chunk.
        piece: usize,
        /// As stored, in hex.
        stored: String,
        /// As computed, in hex.
        computed: String,
    },
    /// There are more bytes than checksums.
    #[error("{data_bytes} bytes need {needed} checksums but only {present} are present")]
    TooFew {
        /// Length of the data.
        data_bytes: usize,
        /// Checksums that this length needs.
        needed: usize,
        /// Checksums in the message, from the first piece asked for.
        present: usize,
    },
    /// The message names an algorithm that does not exist.
    #[error("unknown checksum type {0}")]
    UnknownType(i32),
    /// `bytesPerChecksum` is 0 although there are checksums.
    #[error("bytesPerChecksum is 0")]
    NoPieces,
}

/// The checksums of `data`, which is a whole chunk.
pub fn compute(algorithm: Algorithm, bytes_per_checksum: u32, data: &[u8]) -> ChecksumData {
    let piece_bytes = effective(bytes_per_checksum);
    let checksums = match algorithm {
        Algorithm::None => Vec::new(),
        _ => sums(algorithm, piece_bytes, data),
    };
    message(algorithm, piece_bytes, checksums)
}

/// The checksums of a whole chunk that lies in several buffers, as if they were one.
pub fn compute_buffers(
    algorithm: Algorithm,
    bytes_per_checksum: u32,
    buffers: &[Bytes],
) -> ChecksumData {
    if let [single] = buffers {
        return compute(algorithm, bytes_per_checksum, single);
    }
    let piece_bytes = effective(bytes_per_checksum);
    let mut pieces = PieceSums::new(algorithm, piece_bytes as usize);
    for buffer in buffers {
        pieces.update(buffer);
    }
    message(algorithm, piece_bytes, pieces.finish())
}

/// Checks `data`, which begins at piece `first_piece` of the chunk that `expected` describes: a read
/// that was widened to piece boundaries begins at `(offset - chunk offset) / bytesPerChecksum`.
///
/// # Errors
/// [`ChecksumError`]; `NONE` always passes.
pub fn verify(
    expected: &ChecksumData,
    first_piece: usize,
    data: &[u8],
) -> Result<(), ChecksumError> {
    let Some((algorithm, piece_bytes)) = plan(expected, first_piece, data.len())? else {
        return Ok(());
    };
    let stored = expected.checksums.iter().enumerate().skip(first_piece);
    for ((index, stored), piece) in stored.zip(data.chunks(piece_bytes)) {
        let computed = piece::sum(algorithm, piece);
        compare(index, stored, computed.as_ref())?;
    }
    Ok(())
}

/// As [`verify`], for data in several buffers.
///
/// # Errors
/// See [`verify`].
pub fn verify_buffers(
    expected: &ChecksumData,
    first_piece: usize,
    buffers: &[Bytes],
) -> Result<(), ChecksumError> {
    if let [single] = buffers {
        return verify(expected, first_piece, single);
    }
    let data_bytes = buffers.iter().map(Bytes::len).sum();
    let Some((algorithm, piece_bytes)) = plan(expected, first_piece, data_bytes)? else {
        return Ok(());
    };
    let mut pieces = PieceSums::new(algorithm, piece_bytes);
    for buffer in buffers {
        pieces.update(buffer);
    }
    let stored = expected.checksums.iter().enumerate().skip(first_piece);
    for ((index, stored), computed) in stored.zip(pieces.finish()) {
        compare(index, stored, &computed)?;
    }
    Ok(())
}

/// The algorithm of a message.
///
/// # Errors
/// [`ChecksumError::UnknownType`].
pub fn algorithm_of(data: &ChecksumData) -> Result<Algorithm, ChecksumError> {
    ChecksumType::try_from(data.r#type)
        .map(Algorithm::from)
        .map_err(|_| ChecksumError::UnknownType(data.r#type))
}

/// The CRC of two texts behind each other, from the CRC of each and the length of the second, in
/// bytes; `None` for what is no CRC.
pub fn combine(algorithm: Algorithm, first: u32, second: u32, second_bytes: u64) -> Option<u32> {
    piece::combine(algorithm, first, second, second_bytes)
}

/// What to check: `None` when there is nothing to check.
fn plan(
    expected: &ChecksumData,
    first_piece: usize,
    data_bytes: usize,
) -> Result<Option<(Algorithm, usize)>, ChecksumError> {
    let algorithm = algorithm_of(expected)?;
    if algorithm == Algorithm::None || data_bytes == 0 {
        return Ok(None);
    }
    let piece_bytes = expected.bytes_per_checksum as usize;
    if piece_bytes == 0 {
        return Err(ChecksumError::NoPieces);
    }
    let needed = data_bytes.div_ceil(piece_bytes);
    let present = expected.checksums.len().saturating_sub(first_piece);
    if needed > present {
        return Err(ChecksumError::TooFew { data_bytes, needed, present });
    }
    Ok(Some((algorithm, piece_bytes)))
}

fn compare(piece: usize, stored: &[u8], computed: &[u8]) -> Result<(), ChecksumError> {
    if stored == computed {
        return Ok(());
    }
    Err(ChecksumError::Mismatch { piece, stored: hex(stored), computed: hex(computed) })
}

/// All sums share one allocation.
fn sums(algorithm: Algorithm, piece_bytes: u32, data: &[u8]) -> Vec<Bytes> {
    let pieces = data.chunks(piece_bytes as usize);
    let mut buffer = BytesMut::with_capacity(pieces.len() * algorithm.sum_bytes());
    for piece in pieces {
        buffer.extend_from_slice(piece::sum(algorithm, piece).as_ref());
    }
    split(buffer, algorithm)
}

fn split(buffer: BytesMut, algorithm: Algorithm) -> Vec<Bytes> {
    let mut rest = buffer.freeze();
    let mut sums = Vec::with_capacity(rest.len() / algorithm.sum_bytes().max(1));
    while !rest.is_empty() {
        sums.push(rest.split_to(algorithm.sum_bytes().min(rest.len())));
    }
    sums
}

fn message(algorithm: Algorithm, bytes_per_checksum: u32, checksums: Vec<Bytes>) -> ChecksumData {
    ChecksumData { r#type: ChecksumType::from(algorithm).into(), bytes_per_checksum, checksums }
}

fn effective(bytes_per_checksum: u32) -> u32 {
    if bytes_per_checksum == 0 { DEFAULT_BYTES_PER_CHECKSUM } else { bytes_per_checksum }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
