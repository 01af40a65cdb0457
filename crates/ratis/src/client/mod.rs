//! A client of one group.
//!
//! ```text
//!  write, read ──► Driver ──ordered stream──► leader      one at a time until the first is answered,
//!  watch ────────►        ──unordered stream► leader      then a window of requests
//! ```
//!
//! Writes and reads are ordered: they reach the log in the order in which [`RaftClient::write`] was
//! called, also across a change of leader (the server drops repetitions by call id). The driver finds
//! the leader, retries what can be retried, and gives up at a deadline.
//!
//! Start reading at [`RaftClient`]; the rules of retry are in `driver.rs`.

mod driver;
mod stream;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use ratis_proto::common::{CommitInfoProto, RaftPeerProto, ReplicationLevel};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::channel::Channels;
use crate::ids;

/// How patient a client is.
#[derive(Clone, Copy, Debug)]
pub struct ClientSettings {
    /// A write or read without an answer for this long is sent again
    /// (`hdds.ratis.raft.client.rpc.request.timeout`).
    pub request_timeout: Duration,
    /// A watch without an answer for this long has failed
    /// (`hdds.ratis.raft.client.rpc.watch.request.timeout`).
    pub watch_timeout: Duration,
    /// A write or read fails after this long in all (`hdds.ratis.client.request.write.timeout`).
    pub write_deadline: Duration,
    /// When every member has refused the connection and none has answered for this long, requests fail.
    pub unreachable_timeout: Duration,
    /// Requests fail when nobody led the group for this long: an election takes less (5.2 s after a
    /// leader fell silent, at once after it died), so a majority is gone.
    pub leaderless_timeout: Duration,
    /// A server that answers nothing for this long while requests wait is left for another member; twice
    /// as long the next time, and so on. Longer than an election takes, since a hanging leader is
    /// replaced by one.
    pub silence_timeout: Duration,
    /// Requests on the way at once (`hdds.ratis.raft.client.async.outstanding-requests.max`).
    pub outstanding_max: usize,
    /// The first pause before a retry; it doubles from there.
    pub retry_pause_min: Duration,
    /// The longest pause before a retry.
    pub retry_pause_max: Duration,
    /// Largest reply, in bytes (`raft.grpc.message.size.max`).
    pub message_bytes_max: usize,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_secs(60),
            watch_timeout: Duration::from_secs(180),
            write_deadline: Duration::from_secs(300),
            unreachable_timeout: Duration::from_secs(10),
            leaderless_timeout: Duration::from_secs(10),
            silence_timeout: Duration::from_secs(6),
            outstanding_max: 32,
            retry_pause_min: Duration::from_millis(50),
            retry_pause_max: Duration::from_secs(1),
            message_bytes_max: 64 << 20,
        }
    }
}

/// A successful answer.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientReply {
    /// Log index of the applied entry; for a watch the index reached.
    pub log_index: u64,
    /// The state machine's message; empty for a watch.
    pub message: Bytes,
    /// Commit index of every peer as far as the server knows.
    pub commits: Vec<CommitInfoProto>,
}

/// Why a request failed for good.
#[derive(Clone, Debug, Error)]
pub enum ClientError {
    /// The state machine refused; asking again gives the same.
    #[error("{class}: {message}")]
    StateMachine {
        /// Java class of the cause, e.g. `…ContainerNotOpenException`.
        class: String,
        /// Why.
        message: String,
    },
    /// A watch was not reached in the server's time.
    #[error("index {index} did not reach {level:?} in time")]
    NotReplicated {
        /// The index asked.
        index: u64,
        /// The level asked.
        level: ReplicationLevel,
        /// How far everyone got.
        commits: Vec<CommitInfoProto>,
    },
    /// The group is gone: use another pipeline.
    #[error("the group is not there any more: {0}")]
    GroupMismatch(String),
    /// No member answered in time; the text is the last failure.
    #[error("gave up after {after:?}: {last}")]
    TimedOut {
        /// How long it was tried.
        after: Duration,
        /// What happened last.
        last: String,
    },
    /// A server answered with an error that no retry cures.
    #[error("{0}")]
    Refused(String),
    /// The client was dropped.
    #[error("the client is closed")]
    Closed,
}

/// What the driver is asked to do.
enum Command {
    Ordered { read: bool, message: Bytes, reply: Answer },
    Watch { index: u64, level: ReplicationLevel, reply: Answer },
}

type Answer = oneshot::Sender<Result<ClientReply, ClientError>>;

/// What the driver shares with its handles.
#[derive(Debug, Default)]
struct Known {
    leader: Option<Bytes>,
    commits: Vec<(Bytes, u64)>,
}

/// A client of one group. Clones share the streams; the last one closes them.
#[derive(Clone)]
pub struct RaftClient {
    commands: mpsc::UnboundedSender<Command>,
    known: Arc<Mutex<Known>>,
    group: Uuid,
}

impl RaftClient {
    /// A client of `group`. Starts connecting at once to `leader` (a peer's id) or else the first of
    /// `peers`. Must be called within a tokio runtime.
    pub fn new(
        group: Uuid,
        peers: Vec<RaftPeerProto>,
        leader: Option<&str>,
        channels: Channels,
        settings: ClientSettings,
    ) -> Self {
        let (commands, receiver) = mpsc::unbounded_channel();
        let known = Arc::new(Mutex::new(Known::default()));
        let driver = driver::Driver::new(
            group,
            peers,
            leader,
            channels,
            settings,
            known.clone(),
            Instant::now(),
        );
        tokio::spawn(driver.run(receiver));
        Self { commands, known, group }
    }

    /// The group.
    pub fn group(&self) -> Uuid {
        self.group
    }

    /// Queues a write at once (the order of calls is the order in the log); the future waits for its
    /// reply. What is queued beyond the window waits in memory: callers bound it.
    pub fn write(
        &self,
        message: Bytes,
    ) -> impl Future<Output = Result<ClientReply, ClientError>> + Send + use<> {
        let (reply, answer) = oneshot::channel();
        self.submit(Command::Ordered { read: false, message, reply }, answer)
    }

    /// As [`Self::write`], for a read that is answered by the leader and not logged.
    pub fn read(
        &self,
        message: Bytes,
    ) -> impl Future<Output = Result<ClientReply, ClientError>> + Send + use<> {
        let (reply, answer) = oneshot::channel();
        self.submit(Command::Ordered { read: true, message, reply }, answer)
    }

    /// Waits until `index` is replicated to `level`.
    pub fn watch(
        &self,
        index: u64,
        level: ReplicationLevel,
    ) -> impl Future<Output = Result<ClientReply, ClientError>> + Send + use<> {
        let (reply, answer) = oneshot::channel();
        self.submit(Command::Watch { index, level, reply }, answer)
    }

    fn submit(
        &self,
        command: Command,
        answer: oneshot::Receiver<Result<ClientReply, ClientError>>,
    ) -> impl Future<Output = Result<ClientReply, ClientError>> + Send + use<> {
        // A closed channel shows in the answer.
        let _ = self.commands.send(command);
        async move { answer.await.unwrap_or(Err(ClientError::Closed)) }
    }

    /// Id of the peer that answered last, presumably the leader.
    pub fn leader(&self) -> Option<String> {
        self.known.lock().leader.as_ref().map(|id| ids::peer_text(id))
    }

    /// The latest known commit index of every peer, by id; updated by every successful reply.
    pub fn commits(&self) -> Vec<(String, u64)> {
        let known = self.known.lock();
        known.commits.iter().map(|(id, index)| (ids::peer_text(id), *index)).collect()
    }
}
