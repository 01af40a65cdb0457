//! A group as everybody but its own loop sees it: the way in, and what may be looked at.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;
use parking_lot::Mutex;
use ratis::Exception;
use ratis_core::{Core, Millis, Outcome as CoreOutcome, PeerId, Role, TermIndex};
use ratis_log::Ticket;
use ratis_proto::common::{
    AppendEntriesReplyProto, AppendEntriesRequestProto, CommitInfoProto, GroupInfoReplyProto,
    InstallSnapshotReplyProto, InstallSnapshotRequestProto, LogEntryProto, RaftPeerProto,
    ReadIndexReplyProto, ReadIndexRequestProto, ReplicationLevel, RequestVoteReplyProto,
    RequestVoteRequestProto, StartLeaderElectionReplyProto, StartLeaderElectionRequestProto,
};
use tokio::sync::{mpsc, oneshot, watch};

use crate::error::RaftError;
use crate::gate::Gate;
use crate::metrics::GroupMetrics;
use crate::retry_cache::{Key, Known, Outcome, RetryCache, Waiter};
use crate::snapshots::SnapshotWaiter;
use crate::state_machine::{Context, StateMachine, StateMachineError};
use crate::types::{ClientRequest, GroupId, GroupInfo, Leadership, Reply};

/// "No index" in an atomic.
const NONE: u64 = u64::MAX;

/// What comes into a group's loop.
pub(crate) enum Event {
    /// A client's write.
    Propose(Proposal),
    /// A client waits for an index to be replicated.
    Watch(u64, ReplicationLevel, Waiter),
    /// A reader waits for what is committed to be applied.
    Read(oneshot::Sender<Result<u64, RaftError>>),
    /// Take a snapshot if that much was applied since the last.
    Snapshot(u64, SnapshotWaiter),
    /// Change the peers.
    SetConfiguration(Vec<RaftPeerProto>, Vec<RaftPeerProto>, ChangeWaiter),
    /// Hand leadership over.
    Transfer(Option<PeerId>, Millis, ChangeWaiter),
    /// Stop or resume campaigning.
    PauseElections(bool),
    /// Describe the group.
    Info(oneshot::Sender<GroupInfoReplyProto>),
    /// A peer asks.
    Request(Box<PeerRequest>),
    /// A peer answered.
    Answer(PeerId, PeerAnswer),
    /// The log is on disk up to there.
    Durable(Ticket),
    /// Applied up to there; the last configuration entry among what was applied.
    Applied(u64, Option<Box<LogEntryProto>>),
    /// The state machine's state is durable up to there.
    SnapshotTaken(TermIndex),
    /// The leader's state was fetched, or not.
    Installed(Option<TermIndex>),
    /// A stream of append requests ended, which this peer had opened.
    LeaderStreamEnded(PeerId),
    /// Nothing listens at this peer's address any more.
    LeaderGone(PeerId),
    /// Something is due.
    Tick,
    /// The group cannot go on.
    Broken(String),
    /// Stop; with a snapshot if it is cheap to have one.
    Close { snapshot: bool, done: oneshot::Sender<()> },
}

/// Where the end of a change of configuration or leadership is reported.
pub(crate) type ChangeWaiter = oneshot::Sender<Result<CoreOutcome, RaftError>>;

/// Where the reply to a peer goes.
pub(crate) type Sink<T> = oneshot::Sender<Result<T, Exception>>;

/// A peer's request.
pub(crate) enum PeerRequest {
    Vote(RequestVoteRequestProto, Sink<RequestVoteReplyProto>),
    Append(AppendEntriesRequestProto, Sink<AppendEntriesReplyProto>),
    Snapshot(InstallSnapshotRequestProto, Sink<InstallSnapshotReplyProto>),
    StartElection(StartLeaderElectionRequestProto, Sink<StartLeaderElectionReplyProto>),
    ReadIndex(ReadIndexRequestProto, Sink<ReadIndexReplyProto>),
}

/// What came back from a peer.
pub(crate) enum PeerAnswer {
    /// The request and its reply, if one came.
    Vote(Box<RequestVoteRequestProto>, Option<RequestVoteReplyProto>),
    /// From the stream opened as the given number.
    Append(u64, Box<AppendEntriesReplyProto>),
    /// The stream opened as the given number broke; the call that failed if known.
    StreamFailed(u64, Option<u64>, String),
    Snapshot(Option<InstallSnapshotReplyProto>),
    StartElection(StartLeaderElectionReplyProto),
    ReadIndex(ReadIndexReplyProto),
    /// Cold entries for the peer, by the ticket of the request.
    Loaded(u64, Vec<LogEntryProto>),
}

/// Counts a client's write as pending until dropped.
pub(crate) struct Permit {
    pending: Arc<Pending>,
    bytes: usize,
    begun: Instant,
}

/// Pending writes of a group.
#[derive(Default)]
pub(crate) struct Pending {
    requests: AtomicUsize,
    bytes: AtomicUsize,
    metrics: Arc<GroupMetrics>,
}

impl Pending {
    fn acquire(
        self: &Arc<Self>,
        bytes: usize,
        requests_max: usize,
        bytes_max: usize,
    ) -> Option<Permit> {
        let requests = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let sum = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let permit = Permit { pending: self.clone(), bytes, begun: Instant::now() };
        // A single request larger than the bound may pass when nothing else is pending.
        (requests <= requests_max && (sum <= bytes_max || requests == 1)).then_some(permit)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.pending.requests.fetch_sub(1, Ordering::Relaxed);
        self.pending.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.pending.metrics.writes.took(self.begun.elapsed());
    }
}

/// A client's write on its way to the core. Whoever waits for the reply waits in the retry cache.
pub(crate) struct Proposal {
    pub key: Key,
    pub log: Bytes,
    pub bulk: Option<Bytes>,
    pub context: Option<Context>,
    pub permit: Permit,
}

/// A client's write that has a place in the log.
pub(crate) struct PendingWrite {
    pub at: TermIndex,
    pub key: Key,
    pub context: Option<Context>,
    pub permit: Permit,
}

/// What anybody may look at.
#[derive(Default)]
struct View {
    commits: Arc<Vec<CommitInfoProto>>,
    peers: Arc<Vec<RaftPeerProto>>,
}

/// Bounds of a group.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    pub pending_requests_max: usize,
    pub pending_bytes_max: usize,
}

/// See the [module](self).
pub(crate) struct Group {
    pub id: GroupId,
    pub machine: Arc<dyn StateMachine>,
    pub directory: PathBuf,
    pub retry: Mutex<RetryCache>,
    pub leadership: watch::Sender<Leadership>,
    /// When the loop wants a tick, in the engine's milliseconds.
    pub deadline: AtomicU64,
    /// A tick is in the mailbox.
    pub ticking: AtomicBool,
    pub metrics: Arc<GroupMetrics>,
    /// Where writes gather.
    pub gate: Gate,
    mailbox: mpsc::UnboundedSender<Event>,
    pending: Arc<Pending>,
    bounds: Bounds,
    view: Mutex<View>,
    commit: AtomicU64,
    applied: AtomicU64,
}

impl Group {
    pub fn new(
        id: GroupId,
        machine: Arc<dyn StateMachine>,
        directory: PathBuf,
        retry: RetryCache,
        mailbox: mpsc::UnboundedSender<Event>,
        bounds: Bounds,
    ) -> Self {
        let metrics = Arc::<GroupMetrics>::default();
        let pending = Pending { metrics: metrics.clone(), ..Pending::default() };
        let leadership = Leadership { group: id, term: 0, role: Role::Follower, leader: None };
        Self {
            id,
            machine,
            directory,
            retry: Mutex::new(retry),
            leadership: watch::Sender::new(leadership),
            deadline: AtomicU64::new(0),
            ticking: AtomicBool::new(false),
            metrics,
            gate: Gate::default(),
            mailbox,
            pending: Arc::new(pending),
            bounds,
            view: Mutex::default(),
            commit: AtomicU64::new(NONE),
            applied: AtomicU64::new(NONE),
        }
    }

    /// Puts something into the mailbox. What comes after the end is dropped, which tells its senders.
    pub fn send(&self, event: Event) {
        if self.mailbox.send(event).is_err() {
            tracing::trace!(group = %self.id, "event for a closed group");
        }
    }

    /// Commit index of every peer as far as known, this node first.
    pub fn commits(&self) -> Arc<Vec<CommitInfoProto>> {
        self.view.lock().commits.clone()
    }

    /// Everyone in the configuration.
    pub fn peers(&self) -> Arc<Vec<RaftPeerProto>> {
        self.view.lock().peers.clone()
    }

    /// Notes where the group stands, for onlookers.
    pub fn show(&self, core: &Core) {
        let commits = Arc::new(core.commit_infos());
        let configuration = core.configuration();
        let mut view = self.view.lock();
        view.commits = commits;
        let shown = view.peers.len() == configuration.peers.len() + configuration.listeners.len()
            && view.peers.iter().zip(&configuration.peers).all(|(a, b)| a == b);
        if !shown {
            let all = configuration.peers.iter().chain(&configuration.listeners);
            view.peers = Arc::new(all.cloned().collect());
        }
        drop(view);
        self.commit.store(core.status().commit.unwrap_or(NONE), Ordering::Relaxed);
    }

    /// Requests and bytes of client writes under way.
    pub fn pending(&self) -> (usize, usize) {
        let read = |atomic: &AtomicUsize| atomic.load(Ordering::Relaxed);
        (read(&self.pending.requests), read(&self.pending.bytes))
    }

    /// Notes how far the state machine is.
    pub fn show_applied(&self, index: u64) {
        self.applied.store(index, Ordering::Relaxed);
    }

    /// The group at a glance.
    pub fn info(&self) -> GroupInfo {
        let index =
            |atomic: &AtomicU64| Some(atomic.load(Ordering::Relaxed)).filter(|i| *i != NONE);
        GroupInfo {
            leadership: self.leadership.borrow().clone(),
            peers: self.peers().as_ref().clone(),
            commit: index(&self.commit),
            applied: index(&self.applied),
            commits: self.commits().as_ref().clone(),
            directory: self.directory.clone(),
        }
    }

    /// The refusal of a member that does not lead.
    pub fn not_leader(&self) -> RaftError {
        let peers = self.peers();
        let leader = self.leadership.borrow().leader.clone();
        let leader =
            leader.and_then(|id| peers.iter().find(|p| *p.id == *id.0.as_bytes()).cloned());
        RaftError::NotLeader {
            group: self.id,
            leader: leader.map(Box::new),
            peers: peers.as_ref().clone(),
        }
    }

    /// Refuses unless this member leads and is ready.
    pub fn check_leader(&self) -> Result<(), RaftError> {
        let role = self.leadership.borrow().role;
        match role {
            Role::Leader { ready: true } => Ok(()),
            Role::Leader { ready: false } => Err(RaftError::LeaderNotReady(self.id)),
            _ => Err(self.not_leader()),
        }
    }

    /// Queues a write. The order of calls is the order of entries.
    pub fn write(
        &self,
        request: ClientRequest,
    ) -> Result<oneshot::Receiver<Result<Reply, RaftError>>, RaftError> {
        self.check_leader()?;
        let bounds = self.bounds;
        let permit = self
            .pending
            .acquire(request.message.len(), bounds.pending_requests_max, bounds.pending_bytes_max)
            .ok_or(RaftError::ResourceUnavailable(self.id))?;
        let (waiter, reply) = oneshot::channel();
        let key = Key { client: u128::from_be_bytes(request.client), call: request.call };
        match self.retry.lock().begin(key, waiter) {
            Known::New => {}
            Known::Pending => return Ok(reply),
            Known::Done(outcome, waiter) => {
                self.answer_again(outcome, waiter);
                return Ok(reply);
            }
        }
        match self.machine.prepare(request.message, request.context) {
            Ok(transaction) => {
                let proposal = Proposal {
                    key,
                    log: transaction.log,
                    bulk: transaction.bulk,
                    context: transaction.context,
                    permit,
                };
                if self.mailbox.send(Event::Propose(proposal)).is_err() {
                    self.abort(key, &RaftError::AlreadyClosed(self.id));
                } else {
                    self.gate.arrived();
                }
            }
            Err(refusal) => self.abort(key, &RaftError::StateMachine(refusal)),
        }
        Ok(reply)
    }

    /// The reply to a request that came in before, or will have; `None` if it is new.
    pub fn repeated(
        &self,
        client: [u8; 16],
        call: u64,
    ) -> Option<oneshot::Receiver<Result<Reply, RaftError>>> {
        let (waiter, reply) = oneshot::channel();
        let key = Key { client: u128::from_be_bytes(client), call };
        match self.retry.lock().join(key, waiter)? {
            Known::Done(outcome, waiter) => self.answer_again(outcome, waiter),
            Known::New | Known::Pending => {}
        }
        Some(reply)
    }

    fn answer_again(&self, outcome: Outcome, waiter: Waiter) {
        let commits = self.commits();
        let known = outcome.result.map_err(RaftError::from);
        // Who asked may have gone.
        let _ = waiter.send(known.map(|message| Reply { index: outcome.index, message, commits }));
    }

    /// Answers everybody who waits for a request that has no place in the log.
    pub fn abort(&self, key: Key, error: &RaftError) {
        let waiters = self.retry.lock().abort(key);
        for waiter in waiters {
            // A client that has gone will ask again.
            let _ = waiter.send(Err(error.clone()));
        }
    }

    /// Hands leadership over; see [`crate::MultiRaft::transfer_leadership`].
    pub async fn transfer(&self, to: Option<PeerId>, timeout: Millis) -> Result<(), RaftError> {
        self.check_leader()?;
        let outcome = self.ask(|waiter| Event::Transfer(to, timeout, waiter)).await??;
        self.ended(outcome)
    }

    /// Replaces the members; see [`crate::MultiRaft::set_configuration`].
    pub async fn set_configuration(
        &self,
        peers: Vec<RaftPeerProto>,
        listeners: Vec<RaftPeerProto>,
    ) -> Result<(), RaftError> {
        self.check_leader()?;
        let change = |waiter| Event::SetConfiguration(peers, listeners, waiter);
        let outcome = self.ask(change).await??;
        self.ended(outcome)
    }

    /// How a change of configuration or leadership ended.
    fn ended(&self, outcome: CoreOutcome) -> Result<(), RaftError> {
        match outcome {
            CoreOutcome::Done => Ok(()),
            CoreOutcome::LeadershipLost => Err(self.not_leader()),
            CoreOutcome::TimedOut => Err(RaftError::Log {
                group: self.id,
                message: "the change took too long; the old state holds".to_owned(),
            }),
        }
    }

    /// Puts a question into the mailbox and waits for its answer.
    pub async fn ask<T>(
        &self,
        event: impl FnOnce(oneshot::Sender<T>) -> Event,
    ) -> Result<T, RaftError> {
        let (sender, answer) = oneshot::channel();
        self.send(event(sender));
        answer.await.map_err(|_| RaftError::AlreadyClosed(self.id))
    }
}

impl From<StateMachineError> for Exception {
    fn from(error: StateMachineError) -> Self {
        Self::StateMachine { class: error.class, message: error.message }
    }
}
