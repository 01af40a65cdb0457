//! Bulk replies in full packets.
//!
//! A Java client takes HTTP/2 frames of 16 KiB. Each frame is a write of its own, and a connection
//! without Nagle's delay would make a packet and a wake-up of the client of each. Large writes are
//! therefore marked as "more follows" (`MSG_MORE`), so that the kernel gathers them to packets of 64
//! KiB; a small write, or a flush after which nothing more was written, lets the rest go.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tonic::transport::server::{Connected, TcpConnectInfo};

/// Writes of at least this many bytes belong to a bulk reply.
const BULK_BYTES_MIN: usize = 8 << 10;

/// A connection whose bulk writes are gathered.
pub struct Corked {
    stream: TcpStream,
    /// The kernel may hold back the end of what was written.
    held: bool,
    /// Something was written since the last flush.
    written: bool,
}

impl Corked {
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, held: false, written: false }
    }

    fn send(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let bulk = slices.iter().map(|slice| slice.len()).sum::<usize>() >= BULK_BYTES_MIN;
        let flags = if bulk { libc::MSG_MORE } else { 0 } | libc::MSG_NOSIGNAL;
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            let sent = self.stream.try_io(Interest::WRITABLE, || {
                SockRef::from(&self.stream).send_vectored_with_flags(slices, flags)
            });
            match sent {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                sent => {
                    (self.held, self.written) = (bulk, true);
                    return Poll::Ready(sent);
                }
            }
        }
    }
}

impl AsyncWrite for Corked {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.send(cx, &[IoSlice::new(data)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.send(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.held {
            if std::mem::take(&mut self.written) {
                // HTTP/2 flushes after each frame: the next turn of the connection shows whether this
                // was the last one.
                cx.waker().wake_by_ref();
            } else {
                // Setting it again is what sends the rest (tcp(7)).
                self.stream.set_nodelay(true)?;
                self.held = false;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl AsyncRead for Corked {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl Connected for Corked {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (Corked, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        (Corked::new(stream), peer)
    }

    #[tokio::test]
    async fn small_and_large_writes_arrive_in_order_and_whole() {
        let (mut corked, mut peer) = pair().await;
        let sizes = [9, 16_384, 16_393, 100_000, 1, 8192, 8191, 3_000_000, 5];
        let all: Vec<u8> = (0..sizes.iter().sum::<usize>()).map(|at| (at % 251) as u8).collect();
        let sent = all.clone();
        let writer = tokio::spawn(async move {
            let mut rest = &sent[..];
            for size in sizes {
                let (now, then) = rest.split_at(size);
                corked.write_all(now).await.unwrap();
                corked.flush().await.unwrap();
                rest = then;
            }
            corked.shutdown().await.unwrap();
        });
        let mut got = Vec::new();
        peer.read_to_end(&mut got).await.unwrap();
        writer.await.unwrap();
        assert!(got == all);
    }

    #[tokio::test]
    async fn the_end_of_a_bulk_is_let_go_by_the_turn_after_its_flush() {
        let (mut corked, mut peer) = pair().await;
        let data = [7; 20_000];
        corked.write_all(&data).await.unwrap();
        let mut flushes = 0;
        poll_fn(|cx| {
            flushes += 1;
            let _ = Pin::new(&mut corked).poll_flush(cx);
            if corked.held { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
        assert_eq!(flushes, 2, "the first one asks for another turn");
        let mut got = vec![0; data.len()];
        peer.read_exact(&mut got).await.unwrap();
        assert!(got == data);
    }
}
