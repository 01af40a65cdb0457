//! Frames out of a byte stream: `int32` length, then that many bytes.

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;

/// What a read is offered when nothing is known about the next frame, in bytes.
const READ_BYTES_MIN: usize = 8 << 10;
/// Most that a read is offered, in bytes.
const READ_BYTES_MAX: usize = 64 << 10;

/// A length that ends the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum BadLength {
    /// Below the least.
    #[error("frame length {0} is not valid")]
    Invalid(i32),
    /// Above the limit.
    #[error("frame of {length} bytes exceeds the limit of {max}")]
    TooLong {
        /// The length.
        length: usize,
        /// The limit.
        max: usize,
    },
}

/// Collects bytes and cuts frames off. The buffer grows by what has arrived: a read is offered at
/// most as much room again as is filled, whatever length the frame claims.
#[derive(Debug, Default)]
pub struct FrameBuffer {
    bytes: BytesMut,
    /// Limit of a frame's length.
    max: usize,
    /// A frame of length 0 is an error too (on the client).
    refuse_empty: bool,
    /// Room of the last read; doubled while reads fill it.
    offered: usize,
}

impl FrameBuffer {
    /// Frames of up to `max` bytes.
    pub fn new(max: usize, refuse_empty: bool) -> Self {
        Self { bytes: BytesMut::new(), max, refuse_empty, offered: READ_BYTES_MIN }
    }

    /// Bytes not cut off yet.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes `count` bytes off the front; the caller has seen them in [`Self::bytes`].
    pub fn take(&mut self, count: usize) -> Bytes {
        self.bytes.split_to(count.min(self.bytes.len())).freeze()
    }

    /// A buffer with room for a read. Append to it, and say so with [`Self::arrived`].
    pub fn room(&mut self) -> &mut BytesMut {
        let filled = self.bytes.len();
        // What is left of the frame in progress, if its length is known.
        let missing = self.claimed().map_or(0, |length| (length + 4).saturating_sub(filled));
        let room = missing.min(filled).max(self.offered).min(READ_BYTES_MAX.max(filled));
        if self.bytes.capacity() - filled < room / 2 {
            self.bytes.reserve(room);
        }
        &mut self.bytes
    }

    /// `count` bytes were read.
    pub fn arrived(&mut self, count: usize) {
        let next = if count >= self.offered { self.offered * 2 } else { self.offered };
        self.offered = next.clamp(READ_BYTES_MIN, READ_BYTES_MAX);
    }

    /// Gives memory back while nothing is buffered, but for the room of a small read: a busy client
    /// pauses after each request.
    pub fn rest(&mut self) {
        if self.bytes.is_empty() && self.offered > READ_BYTES_MIN {
            self.bytes = BytesMut::new();
            self.offered = READ_BYTES_MIN;
        }
    }

    fn claimed(&self) -> Option<usize> {
        let prefix: [u8; 4] = self.bytes.get(..4)?.try_into().ok()?;
        usize::try_from(i32::from_be_bytes(prefix)).ok()
    }

    /// Whether [`Self::next`] has something to say: a whole frame or a bad length.
    pub fn is_ready(&self) -> bool {
        let Some(prefix) = self.bytes.get(..4) else { return false };
        let length = i32::from_be_bytes(prefix.try_into().unwrap_or_default());
        match usize::try_from(length) {
            Ok(length) => length > self.max || self.bytes.len() - 4 >= length,
            Err(_) => true,
        }
    }

    /// Bytes of the frame that [`Self::next`] would cut off.
    pub fn next_len(&self) -> usize {
        self.claimed().unwrap_or_default()
    }

    /// The next whole frame, without its length.
    ///
    /// # Errors
    /// The length is not acceptable; the stream cannot be used any further.
    #[expect(
        clippy::should_implement_trait,
        reason = "a stream that can be refused is no iterator"
    )]
    pub fn next(&mut self) -> Result<Option<Bytes>, BadLength> {
        let Some(prefix) = self.bytes.get(..4) else { return Ok(None) };
        let signed = i32::from_be_bytes(prefix.try_into().unwrap_or_default());
        let length = usize::try_from(signed).map_err(|_| BadLength::Invalid(signed))?;
        if length == 0 && self.refuse_empty {
            return Err(BadLength::Invalid(0));
        }
        if length > self.max {
            return Err(BadLength::TooLong { length, max: self.max });
        }
        if self.bytes.len() - 4 < length {
            return Ok(None);
        }
        self.bytes.advance(4);
        Ok(Some(self.bytes.split_to(length).freeze()))
    }

    /// Bytes of memory held.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn feed(buffer: &mut FrameBuffer, bytes: &[u8]) {
        buffer.room().extend_from_slice(bytes);
        buffer.arrived(bytes.len());
    }

    #[test]
    fn a_claimed_length_costs_no_memory() {
        let mut buffer = FrameBuffer::new(128 << 20, false);
        feed(&mut buffer, &(100_i32 << 20).to_be_bytes());
        feed(&mut buffer, &[7; 1000]);
        assert_eq!(buffer.next(), Ok(None));
        let _ = buffer.room();
        assert!(buffer.capacity() < 32 << 10, "{}", buffer.capacity());
    }

    #[test]
    fn lengths_below_zero_and_above_the_limit_are_refused_at_once() {
        for (length, error) in [
            (-1, BadLength::Invalid(-1)),
            (i32::MIN, BadLength::Invalid(i32::MIN)),
            (101, BadLength::TooLong { length: 101, max: 100 }),
            (i32::MAX, BadLength::TooLong { length: i32::MAX as usize, max: 100 }),
        ] {
            let mut buffer = FrameBuffer::new(100, false);
            feed(&mut buffer, &length.to_be_bytes());
            assert!(buffer.is_ready());
            assert_eq!(buffer.next(), Err(error));
        }
        let mut buffer = FrameBuffer::new(100, true);
        feed(&mut buffer, &[0; 4]);
        assert_eq!(buffer.next(), Err(BadLength::Invalid(0)));
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in_however_the_stream_is_cut(
            frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20),
            cuts in prop::collection::vec(1_usize..200, 1..40),
        ) {
            let mut stream = Vec::new();
            for frame in &frames {
                stream.extend_from_slice(&(frame.len() as i32).to_be_bytes());
                stream.extend_from_slice(frame);
            }
            let mut buffer = FrameBuffer::new(300, false);
            let mut found = Vec::new();
            let (mut rest, mut cuts) = (&stream[..], cuts.iter().cycle());
            while !rest.is_empty() {
                let (now, later) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
                feed(&mut buffer, now);
                rest = later;
                while let Some(frame) = buffer.next().unwrap() {
                    found.push(frame.to_vec());
                }
                prop_assert!(!buffer.is_ready());
            }
            prop_assert_eq!(found, frames);
        }

        #[test]
        fn random_bytes_neither_panic_nor_take_memory_that_no_byte_paid_for(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 0..30),
            max in 0_usize..100_000,
        ) {
            let mut buffer = FrameBuffer::new(max, false);
            for piece in pieces {
                feed(&mut buffer, &piece);
                let end = loop {
                    match buffer.next() {
                        Ok(Some(frame)) => prop_assert!(frame.len() <= max),
                        end => break end,
                    }
                };
                prop_assert!(buffer.capacity() <= 4 * buffer.bytes().len() + 2 * READ_BYTES_MAX);
                if end.is_err() {
                    break;
                }
            }
        }
    }
}
