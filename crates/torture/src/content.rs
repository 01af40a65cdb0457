//! What is in a key: a function of the run's seed and a number that no two writes share, so that every byte can be judged
//! and nothing has to be kept.

use bytes::{Bytes, BytesMut};

/// Largest piece that is generated at once.
const PIECE_BYTES: usize = 1 << 20;

/// One written content.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Content {
    /// Distinguishes it from every other content of the run.
    pub id: u64,
    /// Bytes.
    pub length: u64,
}

/// The first byte that is not what it should be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Difference {
    /// Another byte.
    Byte {
        /// Where.
        offset: u64,
        /// What should be there.
        expected: u8,
        /// What is there.
        found: u8,
    },
    /// All bytes are right, but there are too few or too many.
    Length {
        /// Bytes found.
        found: u64,
    },
}

fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

impl Content {
    fn word(self, index: u64) -> [u8; 8] {
        mix(self.id ^ mix(index.wrapping_add(0x9e37_79b9_7f4a_7c15))).to_le_bytes()
    }

    /// Its bytes, in pieces.
    pub fn pieces(self) -> impl Iterator<Item = Bytes> {
        let pieces = self.length.div_ceil(PIECE_BYTES as u64);
        (0..pieces).map(move |piece| {
            let from = piece * PIECE_BYTES as u64;
            let length = (self.length - from).min(PIECE_BYTES as u64) as usize;
            let mut bytes = BytesMut::with_capacity(length + 8);
            let mut index = from / 8;
            while bytes.len() < length {
                bytes.extend_from_slice(&self.word(index));
                index += 1;
            }
            bytes.truncate(length);
            bytes.freeze()
        })
    }

    /// The first difference between this content and what was read.
    pub fn difference(self, read: &[Bytes]) -> Option<Difference> {
        let found: u64 = read.iter().map(|piece| piece.len() as u64).sum();
        let mut offset = 0;
        for piece in read {
            let rest = usize::try_from(self.length - offset).unwrap_or(usize::MAX);
            let judged = &piece[..piece.len().min(rest)];
            if let Some((at, expected, found)) = self.first_wrong(offset, judged) {
                return Some(Difference::Byte { offset: at, expected, found });
            }
            offset += judged.len() as u64;
        }
        (found != self.length).then_some(Difference::Length { found })
    }

    fn first_wrong(self, from: u64, bytes: &[u8]) -> Option<(u64, u8, u8)> {
        let mut at = from;
        let mut rest = bytes;
        while !rest.is_empty() {
            let inside = (at % 8) as usize;
            let (now, later) = rest.split_at(rest.len().min(8 - inside));
            let word = self.word(at / 8);
            let expected = &word[inside..inside + now.len()];
            if expected != now {
                let wrong = expected.iter().zip(now).position(|(a, b)| a != b).unwrap_or_default();
                return Some((at + wrong as u64, expected[wrong], now[wrong]));
            }
            at += now.len() as u64;
            rest = later;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_expected() {
        for length in [0, 1, 7, 8, 9, 1 << 20, (1 << 20) + 3, 2_500_000] {
            let content = Content { id: 5, length };
            let pieces: Vec<_> = content.pieces().collect();
            assert_eq!(content.difference(&pieces), None, "{length}");
            let whole: Bytes = pieces.concat().into();
            let odd: Vec<Bytes> = whole.chunks(13_007).map(Bytes::copy_from_slice).collect();
            assert_eq!(content.difference(&odd), None, "{length}");
        }
    }

    #[test]
    fn every_kind_of_wrong_content_is_seen() {
        let content = Content { id: 5, length: 1000 };
        let good = content.pieces().next().expect("a piece");
        assert_eq!(
            content.difference(&[good.slice(..999)]),
            Some(Difference::Length { found: 999 })
        );
        let longer = [good.clone(), Bytes::from_static(b"x")];
        assert_eq!(content.difference(&longer), Some(Difference::Length { found: 1001 }));
        let mut flipped = good.to_vec();
        flipped[500] ^= 1;
        let found = content.difference(&[flipped.into()]);
        assert!(matches!(found, Some(Difference::Byte { offset: 500, .. })), "{found:?}");
        let other = Content { id: 6, length: 1000 };
        assert!(other.difference(&[good]).is_some());
    }
}
