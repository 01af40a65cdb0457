//! Bytes that wait to be written. Small pieces are copied together, large ones travel as they are,
//! so that many answers leave in one system call and bulk bytes are not copied.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncWrite;

/// Up to this length a piece is copied, in bytes.
const COPY_BYTES_MAX: usize = 4 << 10;
/// A run of copied pieces is closed at this length, in bytes.
const RUN_BYTES_MAX: usize = 64 << 10;
/// Pieces of one `writev`.
const SLICES_MAX: usize = 32;

/// The queue of one connection.
#[derive(Debug, Default)]
pub struct OutQueue {
    closed: VecDeque<Bytes>,
    run: BytesMut,
    bytes: usize,
}

impl OutQueue {
    /// Bytes waiting.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Nothing waits.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// A buffer to append a small piece to; account for it with [`Self::appended`].
    pub fn small(&mut self) -> &mut BytesMut {
        if self.run.len() >= RUN_BYTES_MAX {
            self.close_run();
        }
        &mut self.run
    }

    /// `count` bytes were appended to [`Self::small`].
    pub fn appended(&mut self, count: usize) {
        self.bytes += count;
    }

    /// Appends bytes, without copying where they are many.
    pub fn push(&mut self, piece: Bytes) {
        let count = piece.len();
        if count <= COPY_BYTES_MAX {
            self.small().extend_from_slice(&piece);
        } else {
            self.close_run();
            self.closed.push_back(piece);
        }
        self.bytes += count;
    }

    fn close_run(&mut self) {
        if !self.run.is_empty() {
            let run = self.run.split().freeze();
            self.closed.push_back(run);
        }
    }

    /// Writes what the socket takes. Ready once nothing waits; the flag says whether any byte went.
    pub fn poll_write<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut W,
    ) -> Poll<io::Result<bool>> {
        let mut progress = false;
        while !self.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let mut used = 0;
            for (slot, piece) in slices.iter_mut().zip(&self.closed) {
                *slot = IoSlice::new(piece);
                used += 1;
            }
            if let Some(slot) = slices.get_mut(used).filter(|_| !self.run.is_empty()) {
                *slot = IoSlice::new(&self.run);
                used += 1;
            }
            let slices = slices.get(..used).unwrap_or_default();
            match Pin::new(&mut *stream).poll_write_vectored(cx, slices) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => {
                    progress = true;
                    self.written(count);
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if progress => return Poll::Ready(Ok(true)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(progress))
    }

    fn written(&mut self, mut count: usize) {
        self.bytes = self.bytes.saturating_sub(count);
        while let Some(front) = self.closed.front_mut() {
            if count < front.len() {
                front.advance(count);
                return;
            }
            count -= front.len();
            self.closed.pop_front();
        }
        self.run.advance(count.min(self.run.len()));
        if self.run.is_empty() && self.run.capacity() > RUN_BYTES_MAX {
            self.run = BytesMut::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn pieces_of_all_sizes_leave_in_order_through_a_narrow_pipe() {
        let (mut near, mut far) = tokio::io::duplex(1000);
        let mut queue = OutQueue::default();
        let mut expected = Vec::new();
        for (byte, count) in [(1, 10), (2, 100_000), (3, 1), (4, 5000), (5, 4096), (6, 70_000)] {
            queue.push(Bytes::from(vec![byte; count]));
            expected.extend(vec![byte; count]);
        }
        assert_eq!(queue.bytes(), expected.len());
        let writer = async {
            while !queue.is_empty() {
                std::future::poll_fn(|cx| queue.poll_write(cx, &mut near)).await.unwrap();
            }
            drop(near);
        };
        let mut found = Vec::new();
        let (_, read) = tokio::join!(writer, far.read_to_end(&mut found));
        read.unwrap();
        assert!(found == expected);
    }
}
