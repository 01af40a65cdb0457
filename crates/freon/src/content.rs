//! What keys are filled with: a short pattern, repeated (`ContentGenerator`).
//!
//! All keys of one size and buffer have the same bytes, in every run, so that keys of several runs
//! (and of the Java tool among themselves) can be verified against the first. Pieces are views of one
//! allocation: nothing is copied per key.

use bytes::{Bytes, BytesMut};

/// Printable characters of ASCII, as Java's `RandomStringUtils.nextAscii` takes them.
const FIRST_CHAR: u8 = 32;
const CHARS: u64 = 95;

/// The bytes of every key of a run.
#[derive(Clone, Debug)]
pub struct Content {
    /// The pattern, as often as a piece at any offset needs.
    repeated: Bytes,
    pattern_bytes: usize,
    size: u64,
}

impl Content {
    /// Content of `size` bytes: a pattern of `buffer` bytes repeated. `piece_max` is the longest
    /// piece that will be asked for.
    pub fn new(size: u64, buffer: usize, piece_max: usize) -> Self {
        let pattern_bytes = buffer.max(1);
        let longest = usize::try_from(size).unwrap_or(usize::MAX).min(piece_max.max(1));
        let length = longest.saturating_add(pattern_bytes);
        let mut repeated = BytesMut::with_capacity(length);
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..pattern_bytes.min(length) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            // Below 95, so it fits.
            repeated.extend_from_slice(&[FIRST_CHAR + (state % CHARS) as u8]);
        }
        while repeated.len() < length {
            let more =
                (length - repeated.len()).min(repeated.len() / pattern_bytes * pattern_bytes);
            repeated.extend_from_within(..more);
        }
        Self { repeated: repeated.freeze(), pattern_bytes, size }
    }

    /// Bytes in all.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The piece at `offset`, at most `bytes_max` long; `None` at the end.
    pub fn piece(&self, offset: u64, bytes_max: usize) -> Option<Bytes> {
        let left = self.size.checked_sub(offset).filter(|left| *left > 0)?;
        // The remainder is below the pattern's length.
        let from = (offset % self.pattern_bytes as u64) as usize;
        let fits = bytes_max.min(self.repeated.len() - from);
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(fits);
        Some(self.repeated.slice(from..from + length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(content: &Content, piece: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some(piece) = content.piece(bytes.len() as u64, piece) {
            bytes.extend_from_slice(&piece);
        }
        bytes
    }

    #[test]
    fn content_is_the_same_however_it_is_cut() {
        for (size, buffer) in [(0, 8), (1, 8), (8, 8), (9, 8), (10_000, 4096), (100, 7), (5, 4096)]
        {
            let content = Content::new(size, buffer, 64);
            let bytes = whole(&content, 64);
            assert_eq!(bytes.len() as u64, size);
            assert_eq!(whole(&content, 3), bytes);
            assert_eq!(whole(&Content::new(size, buffer, 1000), 1000), bytes);
            let repeats = bytes.iter().zip(bytes.iter().skip(buffer)).all(|(a, b)| a == b);
            assert!(repeats, "{size} bytes repeat every {buffer}");
            assert!(bytes.iter().all(|byte| (32..127).contains(byte)));
        }
    }
}
