//! One connection of a client, and the task that drives it.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, Sleep};
use tracing::debug;

use super::response::{self, Response};
use super::{CallError, CallId, ClientSettings};
use crate::frame::FrameBuffer;
use crate::out::OutQueue;
use crate::wire;

/// Calls pending on one connection; further ones wait.
const PENDING_MAX: usize = 10_000;
/// Longest error of an old server, in bytes.
const OLD_ERROR_BYTES_MAX: usize = 64 << 10;

type Answer = Result<Bytes, CallError>;

/// A connection as callers see it.
pub struct Connection {
    address: SocketAddr,
    protocol: &'static str,
    client: [u8; 16],
    places: Arc<Semaphore>,
    state: Mutex<State>,
    waker: AtomicWaker,
}

#[derive(Default)]
struct State {
    out: OutQueue,
    pending: HashMap<i32, Pending>,
    closed: bool,
    /// Distinguishes a call from a retry of the same id.
    next_token: u64,
    /// Delimited request headers by method.
    targets: HashMap<&'static str, Bytes>,
}

struct Pending {
    token: u64,
    answer: oneshot::Sender<Answer>,
    _place: OwnedSemaphorePermit,
}

/// Whether a call is on its way.
pub enum Enqueue<F> {
    /// Wait for this.
    Queued(F),
    /// The connection takes no calls any more.
    Closed,
}

/// Forgets a call whose caller went away.
struct Forget<'a> {
    connection: &'a Connection,
    call: i32,
    token: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        let mut state = self.connection.state.lock();
        if state.pending.get(&self.call).is_some_and(|pending| pending.token == self.token) {
            state.pending.remove(&self.call);
        }
    }
}

impl Connection {
    /// Starts connecting; `opening` is sent first.
    pub fn open(
        address: SocketAddr,
        protocol: &'static str,
        client: [u8; 16],
        settings: ClientSettings,
        opening: Bytes,
    ) -> Arc<Self> {
        let mut state = State::default();
        state.out.push(opening);
        let connection = Arc::new(Self {
            address,
            protocol,
            client,
            places: Arc::new(Semaphore::new(PENDING_MAX)),
            state: Mutex::new(state),
            waker: AtomicWaker::new(),
        });
        tokio::spawn(run(connection.clone(), settings));
        connection
    }

    /// Takes no calls any more.
    pub fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// Queues a call.
    pub async fn enqueue(
        &self,
        id: CallId,
        method: &'static str,
        request: &Bytes,
    ) -> Enqueue<impl Future<Output = Answer> + Send + '_> {
        let Ok(place) = self.places.clone().acquire_owned().await else { return Enqueue::Closed };
        let (sender, answer) = oneshot::channel();
        let token = {
            let mut state = self.state.lock();
            if state.closed {
                return Enqueue::Closed;
            }
            let target = state
                .targets
                .entry(method)
                .or_insert_with(|| super::target(self.protocol, method))
                .clone();
            let mut length = BytesMut::new();
            wire::put_varint(&mut length, request.len() as u64);
            let payload = target.len() + length.len() + request.len();
            let run = state.out.small();
            let before = run.len();
            wire::put_request_header(run, id.call, &self.client, id.retry, payload);
            run.put_slice(&target);
            run.put_slice(&length);
            let appended = run.len() - before;
            state.out.appended(appended);
            state.out.push(request.clone());
            let token = state.next_token;
            state.next_token += 1;
            state.pending.insert(id.call, Pending { token, answer: sender, _place: place });
            token
        };
        self.waker.wake();
        let forget = Forget { connection: self, call: id.call, token };
        Enqueue::Queued(async move {
            let _forget = forget;
            answer.await.unwrap_or_else(|_| Err(self.broken("the connection was closed")))
        })
    }

    fn broken(&self, message: impl Into<String>) -> CallError {
        CallError::Connection { address: self.address, message: message.into() }
    }

    /// Ends it; what is pending fails.
    pub fn close(&self) {
        self.fail(&self.broken("the client was closed"));
        self.waker.wake();
    }

    fn fail(&self, error: &CallError) {
        let pending = {
            let mut state = self.state.lock();
            state.closed = true;
            std::mem::take(&mut state.pending)
        };
        self.places.close();
        for pending in pending.into_values() {
            let _ = pending.answer.send(Err(error.clone()));
        }
    }

    /// Closes it unless calls are pending.
    fn close_if_idle(&self) -> bool {
        let mut state = self.state.lock();
        if state.pending.is_empty() {
            state.closed = true;
            self.places.close();
        }
        state.closed
    }

    /// Queues a ping if calls are pending.
    fn ping(&self) -> bool {
        let mut state = self.state.lock();
        if state.pending.is_empty() {
            return false;
        }
        let mut ping = BytesMut::new();
        wire::put_request_header(&mut ping, wire::PING_CALL, &self.client, wire::NO_RETRY, 0);
        state.out.push(ping.freeze());
        true
    }

    fn answer(&self, call: i32, answer: Answer) {
        let pending = self.state.lock().pending.remove(&call);
        if let Some(pending) = pending {
            let _ = pending.answer.send(answer);
        }
    }
}

/// Fails what is pending when the task goes away for whatever reason, even with its runtime.
struct Guard(Arc<Connection>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.fail(&self.0.broken("the connection was closed"));
    }
}

async fn run(connection: Arc<Connection>, settings: ClientSettings) {
    let guard = Guard(connection);
    let connection = &*guard.0;
    let connecting = TcpStream::connect(connection.address);
    let stream = match tokio::time::timeout(settings.connect_timeout, connecting).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return connection.fail(&connection.broken(error.to_string())),
        Err(_) => {
            let message = format!("no connection within {:?}", settings.connect_timeout);
            return connection.fail(&connection.broken(message));
        }
    };
    let _ = stream.set_nodelay(true);
    let _ = socket2::SockRef::from(&stream).set_keepalive(true);
    let now = Instant::now();
    let mut driver = Driver {
        connection,
        stream,
        out: OutQueue::default(),
        input: FrameBuffer::new(settings.response_bytes_max, true),
        fresh: true,
        moved: now,
        alarm: Box::pin(tokio::time::sleep(settings.idle_timeout.min(settings.ping_interval))),
        settings,
    };
    let error = poll_fn(|cx| driver.poll(cx)).await;
    debug!(address = %connection.address, %error, "RPC connection ended");
    connection.fail(&error);
}

/// Drives one connection.
struct Driver<'a> {
    connection: &'a Connection,
    stream: TcpStream,
    /// What is being written.
    out: OutQueue,
    input: FrameBuffer,
    /// Nothing was answered yet: an old server might be at the other end.
    fresh: bool,
    /// Last byte in or out.
    moved: Instant,
    alarm: Pin<Box<Sleep>>,
    settings: ClientSettings,
}

impl Driver<'_> {
    /// Ready with the reason once the connection has ended.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<CallError> {
        self.connection.waker.register(cx.waker());
        if let Err(error) = self.poll_write(cx) {
            return Poll::Ready(error);
        }
        if let Err(error) = self.poll_read(cx) {
            return Poll::Ready(error);
        }
        self.poll_alarm(cx)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<(), CallError> {
        loop {
            if self.out.is_empty() {
                let mut state = self.connection.state.lock();
                if state.closed {
                    return Err(self.connection.broken("the client was closed"));
                }
                std::mem::swap(&mut self.out, &mut state.out);
            }
            if self.out.is_empty() {
                return Ok(());
            }
            match self.out.poll_write(cx, &mut self.stream) {
                Poll::Ready(Ok(_)) => self.moved = Instant::now(),
                Poll::Ready(Err(error)) => return Err(self.connection.broken(error.to_string())),
                Poll::Pending => return Ok(()),
            }
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Result<(), CallError> {
        loop {
            self.frames()?;
            match self.stream.poll_read_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Err(self.connection.broken(error.to_string())),
                Poll::Pending => {
                    self.input.rest();
                    return Ok(());
                }
            }
            match self.stream.try_read_buf(self.input.room()) {
                Ok(0) => return Err(self.connection.broken("the server closed the connection")),
                Ok(count) => {
                    self.input.arrived(count);
                    self.moved = Instant::now();
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(self.connection.broken(error.to_string())),
            }
        }
    }

    fn frames(&mut self) -> Result<(), CallError> {
        if self.fresh && self.input.bytes().starts_with(&(-1_i32).to_be_bytes()) {
            return match response::read_old(self.input.bytes()) {
                Some(error) => Err(error),
                None if self.input.bytes().len() < OLD_ERROR_BYTES_MAX => Ok(()),
                None => Err(self.connection.broken("malformed response of an old server")),
            };
        }
        let broken = |error: String| self.connection.broken(error);
        while let Some(frame) = self.input.next().map_err(|error| broken(error.to_string()))? {
            self.fresh = false;
            let response = response::read(frame, &self.connection.client);
            match response.map_err(|error| broken(error.to_string()))? {
                Response::One(call, answer) => self.connection.answer(call, answer),
                Response::All(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Closes the connection when idle, pings while calls are pending.
    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<CallError> {
        while self.alarm.as_mut().poll(cx).is_ready() {
            let quiet = self.moved.elapsed();
            if quiet >= self.settings.idle_timeout && self.connection.close_if_idle() {
                return Poll::Ready(self.connection.broken("idle"));
            }
            if quiet >= self.settings.ping_interval && self.connection.ping() {
                self.moved = Instant::now();
                cx.waker().wake_by_ref();
            }
            let period = self.settings.idle_timeout.min(self.settings.ping_interval);
            let due = (self.moved + period).max(Instant::now() + period / 4);
            self.alarm.as_mut().reset(due);
        }
        Poll::Pending
    }
}
