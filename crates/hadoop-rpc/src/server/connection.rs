//! One connection: a single task that reads, serves and writes.
//!
//! Performance-critical: everything here runs for each call.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;
use tokio_util::sync::PollSemaphore;
use tracing::{debug, error};

use super::line::{BUSY, Line, Order, UNFINISHED, UNSENT};
use super::session::{Call, Meaning, Preamble, Refusal, Session};
use super::{CallContext, Placement, RpcError, Shared};
use crate::class;
use crate::frame::FrameBuffer;
use crate::out::OutQueue;
use crate::proto::rpc_response_header_proto::RpcErrorCodeProto as Detail;
use crate::proto::rpc_response_header_proto::RpcStatusProto;
use crate::uuid::name_uuid_from_bytes;
use crate::wire;

/// Calls are polled in the connection's task for so long per turn; further ones get own tasks. Long
/// enough for hundreds of short calls, even on a machine that lets this thread wait.
const TURN_MAX: Duration = Duration::from_millis(2);
/// Rounds of reading and writing per turn; then other tasks get theirs.
const ROUNDS_MAX: usize = 16;
/// Requests up to this length are copied out of the read buffer, so that one that takes long does not
/// keep the whole buffer, in bytes.
const COPY_BYTES_MAX: usize = 1 << 10;
/// How long a closed connection is read on, so that the last answer is not lost to a reset.
const LINGER: Duration = Duration::from_millis(500);
/// How many bytes are read on at most.
const LINGER_BYTES_MAX: usize = 1 << 20;
/// Longest answer in bytes: the frame's length is an `int32`.
const ANSWER_BYTES_MAX: usize = i32::MAX as usize - 1024;

type Answer = Result<Bytes, RpcError>;
type CallFuture = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// Serves a connection until it ends.
pub async fn serve(stream: TcpStream, remote: SocketAddr, shared: &Arc<Shared>, line: &Line) {
    let mut connection = Connection {
        stream,
        remote,
        remote_ip: remote.ip().to_string().into(),
        input: FrameBuffer::new(shared.settings.frame_bytes_max, false),
        out: OutQueue::default(),
        phase: Phase::Preamble,
        in_service: FuturesUnordered::new(),
        calls: PollSemaphore::new(shared.calls.clone()),
        request_kib: PollSemaphore::new(shared.request_kib.clone()),
        call_permit: None,
        waiting: false,
        eof: false,
        shared,
        line,
    };
    let end = poll_fn(|cx| connection.poll(cx)).await;
    let Connection { mut stream, in_service, .. } = connection;
    if !in_service.is_empty() {
        // Whatever was begun is finished; the answers go nowhere.
        shared.tasks.spawn(in_service.for_each(|_| std::future::ready(())));
    }
    if end == End::Flushed {
        let _ = stream.shutdown().await;
        let _ = tokio::time::timeout(LINGER, discard(&mut stream)).await;
    }
}

async fn discard(stream: &mut TcpStream) {
    let mut bytes = [0; 4096];
    let mut left = LINGER_BYTES_MAX;
    while let Ok(count @ 1..) = stream.read(&mut bytes).await {
        left = left.saturating_sub(count);
        if left == 0 {
            return;
        }
    }
}

#[derive(PartialEq, Eq)]
enum End {
    /// All answers are written.
    Flushed,
    /// The connection broke, or must.
    Broken,
}

enum Phase {
    Preamble,
    Open(Session),
    /// A last answer was queued.
    Closing,
}

struct Connection<'a> {
    stream: TcpStream,
    remote: SocketAddr,
    remote_ip: Arc<str>,
    shared: &'a Arc<Shared>,
    line: &'a Line,
    input: FrameBuffer,
    out: OutQueue,
    phase: Phase,
    in_service: FuturesUnordered<InService>,
    calls: PollSemaphore,
    request_kib: PollSemaphore,
    /// Acquired for the frame at the front while it waits for its bytes' permits.
    call_permit: Option<OwnedSemaphorePermit>,
    /// A frame waits for permits.
    waiting: bool,
    /// The client sends no more.
    eof: bool,
}

impl Connection<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        self.line.register(cx);
        let turn = Instant::now();
        for _ in 0..ROUNDS_MAX {
            let order = self.line.order();
            if order == Order::Kill {
                return Poll::Ready(End::Broken);
            }
            let mut progress = false;
            while let Poll::Ready(Some((reply, answer))) = self.in_service.poll_next_unpin(cx) {
                self.answer(&reply, answer);
                progress = true;
            }
            if order == Order::Serve {
                match self.poll_input(cx, turn) {
                    Ok(moved) => progress |= moved,
                    Err(()) => return Poll::Ready(End::Broken),
                }
            }
            if !self.out.is_empty() {
                match self.out.poll_write(cx, &mut self.stream) {
                    Poll::Ready(Ok(moved)) => {
                        self.line.moved();
                        progress |= moved;
                    }
                    Poll::Ready(Err(_)) => return Poll::Ready(End::Broken),
                    Poll::Pending => {}
                }
            }
            let closing = matches!(self.phase, Phase::Closing);
            let no_more = order == Order::Drain || (self.eof && !self.waiting);
            let last = no_more && self.in_service.is_empty();
            if (closing || last) && self.out.is_empty() {
                return Poll::Ready(End::Flushed);
            }
            if !progress {
                self.show_state();
                return Poll::Pending;
            }
        }
        self.show_state();
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn show_state(&self) {
        let unfinished = match &self.phase {
            Phase::Open(session) => !session.is_established() || !self.input.bytes().is_empty(),
            _ => true,
        };
        let busy = self.waiting || !self.in_service.is_empty();
        let bit = |set: bool, bit| if set { bit } else { 0 };
        let unsent = !self.out.is_empty();
        self.line.set_state(bit(unfinished, UNFINISHED) | bit(unsent, UNSENT) | bit(busy, BUSY));
    }

    /// Room for more calls and answers on this connection.
    fn has_room(&self) -> bool {
        let settings = &self.shared.settings;
        self.in_service.len() < settings.calls_per_connection_max.max(1)
            && self.out.bytes() < settings.unsent_bytes_max
            && !matches!(self.phase, Phase::Closing)
    }

    /// Handles what has arrived and reads on while there is room. Says whether anything happened.
    fn poll_input(&mut self, cx: &mut Context<'_>, turn: Instant) -> Result<bool, ()> {
        let mut progress = false;
        self.waiting = false;
        for _ in 0..ROUNDS_MAX {
            while self.has_room() {
                match self.poll_front(cx, turn)? {
                    Poll::Ready(true) => progress = true,
                    Poll::Ready(false) => break,
                    Poll::Pending => {
                        self.waiting = true;
                        return Ok(progress);
                    }
                }
            }
            if self.eof || !self.has_room() {
                return Ok(progress);
            }
            // A read that does not fill its room tells tokio that the socket is empty, which saves
            // the next one.
            match pin!(self.stream.read_buf(self.input.room())).poll(cx) {
                Poll::Ready(Ok(0)) => self.eof = true,
                Poll::Ready(Ok(count)) => {
                    self.input.arrived(count);
                    self.shared.metrics.received_bytes.add(count as u64);
                    self.line.moved();
                }
                Poll::Ready(Err(_)) => return Err(()),
                Poll::Pending => {
                    self.input.rest();
                    return Ok(progress);
                }
            }
            progress = true;
        }
        Ok(true)
    }

    /// Handles the next preamble or frame, if it is all there. Pending waits for permits.
    fn poll_front(&mut self, cx: &mut Context<'_>, turn: Instant) -> Result<Poll<bool>, ()> {
        match &mut self.phase {
            Phase::Closing => Ok(Poll::Ready(false)),
            Phase::Preamble => {
                let Some(bytes) = self.input.bytes().first_chunk().copied() else {
                    return Ok(Poll::Ready(false));
                };
                self.input.take(wire::PREAMBLE_BYTES);
                self.preamble(bytes);
                Ok(Poll::Ready(true))
            }
            Phase::Open(_) if !self.input.is_ready() => Ok(Poll::Ready(false)),
            Phase::Open(_) => {
                let Poll::Ready(permits) = self.poll_permits(cx) else { return Ok(Poll::Pending) };
                let frame = match self.input.next() {
                    Ok(Some(frame)) => frame,
                    Ok(None) => return Ok(Poll::Ready(false)),
                    Err(error) => {
                        debug!(remote = %self.remote, %error, "closing the connection");
                        return Err(());
                    }
                };
                let Phase::Open(session) = &mut self.phase else { return Err(()) };
                match session.frame(frame) {
                    Meaning::Nothing => {}
                    Meaning::Answer(bytes) => self.out.push(bytes),
                    Meaning::Last(bytes) => {
                        self.out.push(bytes);
                        self.phase = Phase::Closing;
                    }
                    Meaning::Call(call) => self.start(cx, *call, permits, turn),
                }
                Ok(Poll::Ready(true))
            }
        }
    }

    fn preamble(&mut self, bytes: [u8; wire::PREAMBLE_BYTES]) {
        self.phase = match Preamble::read(bytes) {
            Preamble::Rpc { sasl } => {
                let registry = self.shared.registry.clone();
                let proxy_users = self.shared.settings.proxy_users.clone();
                Phase::Open(Session::new(registry, proxy_users, self.remote, sasl))
            }
            Preamble::Refuse(answer) => {
                debug!(remote = %self.remote, ?bytes, "no Hadoop RPC client");
                self.out.push(answer);
                Phase::Closing
            }
        };
    }

    /// A place among the calls of the server, and among their bytes.
    fn poll_permits(&mut self, cx: &mut Context<'_>) -> Poll<Permits> {
        if self.call_permit.is_none() {
            self.call_permit = ready!(self.calls.poll_acquire(cx));
        }
        let kib = u32::try_from(self.input.next_len() >> 10).unwrap_or(u32::MAX);
        let kib = kib.saturating_add(1).min(self.shared.settings.request_kib_max());
        let request = ready!(self.request_kib.poll_acquire_many(cx, kib));
        Poll::Ready(Permits { _call: self.call_permit.take(), _request: request })
    }

    fn start(&mut self, cx: &mut Context<'_>, call: Call, permits: Permits, turn: Instant) {
        let Call { header, target, peer, request } = call;
        let begun = Instant::now();
        let waited = begun.saturating_duration_since(turn);
        self.shared.metrics.begun(waited);
        let reply = Reply {
            begun,
            call_id: header.call_id,
            retry: header.retry,
            client: ClientId::new(&header.client_id),
        };
        let context = CallContext {
            user: peer.user.clone(),
            real_user: peer.real_user.clone(),
            remote: self.remote,
            remote_ip: self.remote_ip.clone(),
            client_id: reply.client.for_service(),
            call_id: header.call_id,
            retry_count: header.retry,
            trace: header.trace,
            caller_context: header
                .caller_context
                .map(|text| String::from_utf8_lossy(&text).into_owned().into()),
        };
        let request = match request.len() {
            0..=COPY_BYTES_MAX => Bytes::copy_from_slice(&request),
            _ => request,
        };
        let placement = target.protocol.placement(target.method, &request);
        let mut future: CallFuture =
            Box::pin(async move { target.protocol.call(context, target.method, request).await });
        let work = if placement == Placement::Task || waited > TURN_MAX {
            Work::Task(self.shared.workers.spawn(future))
        } else {
            match poll_guarded(&mut future, cx) {
                Poll::Ready(answer) => return self.answer(&reply, answer),
                Poll::Pending => Work::Here(future),
            }
        };
        self.in_service.push(InService { work, reply: Some(reply), _permits: permits });
    }

    fn answer(&mut self, reply: &Reply, answer: Answer) {
        let Reply { begun, call_id, retry, client } = reply;
        let bytes = answer.as_ref().map_or(0, Bytes::len);
        self.shared.metrics.answered(*begun, bytes, answer.is_err());
        match answer {
            Ok(message) if message.len() <= ANSWER_BYTES_MAX => {
                let out: &mut BytesMut = self.out.small();
                let count = wire::put_success(out, *call_id, client.bytes(), *retry, message.len());
                self.out.appended(count);
                self.out.push(message);
            }
            Ok(message) => {
                let text = format!("answer of {} bytes is too long", message.len());
                let refusal = Refusal::call(Detail::ErrorSerializingResponse, class::IO, text);
                let client = Bytes::copy_from_slice(client.bytes());
                self.out.push(refusal.frame_for(*call_id, &client, *retry));
            }
            Err(RpcError { class, message }) => {
                let client = Bytes::copy_from_slice(client.bytes());
                let (status, detail) = (RpcStatusProto::Error, Detail::ErrorApplication);
                self.out.push(wire::error_frame(
                    *call_id, &client, *retry, status, detail, &class, &message,
                ));
            }
        }
    }
}

/// Held while a call is in service.
struct Permits {
    _call: Option<OwnedSemaphorePermit>,
    _request: Option<OwnedSemaphorePermit>,
}

/// What an answer echoes.
struct Reply {
    begun: Instant,
    call_id: i32,
    retry: i32,
    client: ClientId,
}

enum ClientId {
    Usual([u8; 16]),
    Odd(Bytes),
}

impl ClientId {
    fn new(bytes: &Bytes) -> Self {
        match <[u8; 16]>::try_from(&bytes[..]) {
            Ok(id) => Self::Usual(id),
            Err(_) => Self::Odd(Bytes::copy_from_slice(bytes)),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Usual(id) => id,
            Self::Odd(id) => id,
        }
    }

    /// Services identify clients by 16 bytes.
    fn for_service(&self) -> [u8; 16] {
        match self {
            Self::Usual(id) => *id,
            Self::Odd(id) if id.is_empty() => [0; 16],
            Self::Odd(id) => name_uuid_from_bytes(id),
        }
    }
}

enum Work {
    Here(CallFuture),
    Task(JoinHandle<Answer>),
}

struct InService {
    work: Work,
    reply: Option<Reply>,
    _permits: Permits,
}

impl Future for InService {
    type Output = (Reply, Answer);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = match &mut self.work {
            Work::Here(future) => ready!(poll_guarded(future, cx)),
            Work::Task(task) => match ready!(Pin::new(task).poll(cx)) {
                Ok(answer) => answer,
                Err(error) => Err(defect(&error.to_string())),
            },
        };
        match self.reply.take() {
            Some(reply) => Poll::Ready((reply, answer)),
            None => Poll::Pending, // was answered before; never polled again
        }
    }
}

/// Polls a call; a panic in it is its answer, not the end of the connection.
fn poll_guarded(future: &mut CallFuture, cx: &mut Context<'_>) -> Poll<Answer> {
    catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Poll::Ready(Err(defect(&text.unwrap_or_else(|| "panic".to_owned()))))
    })
}

fn defect(message: &str) -> RpcError {
    error!(message, "a call panicked; this is a defect");
    RpcError::new(class::RUNTIME, format!("internal error: {message}"))
}
