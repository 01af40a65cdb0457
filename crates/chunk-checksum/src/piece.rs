//! One piece after another, whole or in parts.

use bytes::{Bytes, BytesMut};
use crc_fast::CrcAlgorithm;
use md5::{Digest as _, Md5};
use sha2::Sha256;

use crate::{Algorithm, split};

/// Longest checksum: SHA-256, in bytes.
const SUM_BYTES_MAX: usize = 32;

/// A checksum of up to [`SUM_BYTES_MAX`] bytes, without an allocation.
#[derive(Clone, Copy)]
pub(crate) struct Sum {
    bytes: [u8; SUM_BYTES_MAX],
    len: usize,
}

impl Sum {
    fn new(from: &[u8]) -> Self {
        let mut bytes = [0; SUM_BYTES_MAX];
        bytes[..from.len()].copy_from_slice(from);
        Self { bytes, len: from.len() }
    }
}

impl AsRef<[u8]> for Sum {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// The checksum of one whole piece.
pub(crate) fn sum(algorithm: Algorithm, piece: &[u8]) -> Sum {
    match algorithm {
        Algorithm::None => Sum::new(&[]),
        Algorithm::Crc32 => crc(crc_fast::checksum(CrcAlgorithm::Crc32IsoHdlc, piece)),
        Algorithm::Crc32c => crc(crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, piece)),
        Algorithm::Sha256 => Sum::new(&Sha256::digest(piece)),
        Algorithm::Md5 => Sum::new(&Md5::digest(piece)),
    }
}

/// See [`crate::combine`].
pub(crate) fn combine(
    algorithm: Algorithm,
    first: u32,
    second: u32,
    second_bytes: u64,
) -> Option<u32> {
    let kind = match algorithm {
        Algorithm::Crc32 => CrcAlgorithm::Crc32IsoHdlc,
        Algorithm::Crc32c => CrcAlgorithm::Crc32Iscsi,
        Algorithm::None | Algorithm::Sha256 | Algorithm::Md5 => return None,
    };
    let joined = crc_fast::checksum_combine(kind, first.into(), second.into(), second_bytes);
    u32::try_from(joined).ok()
}

/// A 32 bit CRC in the four bytes that Java's `ByteBuffer.putInt` writes.
fn crc(value: u64) -> Sum {
    let [_, _, _, _, low @ ..] = value.to_be_bytes();
    Sum::new(&low)
}

enum State {
    None,
    Crc(CrcAlgorithm, crc_fast::Digest),
    Sha256(Sha256),
    Md5(Md5),
}

impl State {
    fn new(algorithm: Algorithm) -> Self {
        let crc = |kind| Self::Crc(kind, crc_fast::Digest::new(kind));
        match algorithm {
            Algorithm::None => Self::None,
            Algorithm::Crc32 => crc(CrcAlgorithm::Crc32IsoHdlc),
            Algorithm::Crc32c => crc(CrcAlgorithm::Crc32Iscsi),
            Algorithm::Sha256 => Self::Sha256(Sha256::new()),
            Algorithm::Md5 => Self::Md5(Md5::new()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::None => {}
            Self::Crc(_, digest) => digest.update(bytes),
            Self::Sha256(digest) => digest.update(bytes),
            Self::Md5(digest) => digest.update(bytes),
        }
    }

    /// The sum so far; begins a new piece.
    fn take(&mut self) -> Sum {
        match self {
            Self::None => Sum::new(&[]),
            Self::Crc(kind, digest) => {
                let value = digest.finalize();
                *digest = crc_fast::Digest::new(*kind);
                crc(value)
            }
            Self::Sha256(digest) => Sum::new(&digest.finalize_reset()),
            Self::Md5(digest) => Sum::new(&digest.finalize_reset()),
        }
    }
}

/// Checksums of a chunk that arrives in parts, whatever their lengths.
pub struct PieceSums {
    algorithm: Algorithm,
    piece_bytes: usize,
    state: State,
    filled: usize,
    sums: BytesMut,
}

impl PieceSums {
    /// Pieces of `piece_bytes` bytes, at least 1.
    pub fn new(algorithm: Algorithm, piece_bytes: usize) -> Self {
        let state = State::new(algorithm);
        let piece_bytes = piece_bytes.max(1);
        Self { algorithm, piece_bytes, state, filled: 0, sums: BytesMut::new() }
    }

    /// The next bytes of the chunk.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(self.piece_bytes - self.filled));
            self.state.update(now);
            self.filled += now.len();
            bytes = later;
            if self.filled == self.piece_bytes {
                self.end_piece();
            }
        }
    }

    /// All checksums; a short last piece counts.
    pub fn finish(mut self) -> Vec<Bytes> {
        if self.filled > 0 {
            self.end_piece();
        }
        split(self.sums, self.algorithm)
    }

    fn end_piece(&mut self) {
        let sum = self.state.take();
        self.sums.extend_from_slice(sum.as_ref());
        self.filled = 0;
    }
}
