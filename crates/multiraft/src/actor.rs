//! A group's loop: events in, steps of the Raft core, effects out.
//!
//! The loop never blocks: disks, peers and the state machine work elsewhere and report back through
//! the mailbox. (With `RaftSettings::own_thread` it has a thread, on which it also writes the log and
//! applies; the reports come through the mailbox all the same.) It takes many events at once, so that proposals share an append, a sync and a reply.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use ratis_core::{Core, Effect, Millis, ReplyTo, RequestId, TermIndex};
use ratis_log::{GroupLog, LogListener, Ticket};
use ratis_proto::common::LogEntryProto;
use rustc_hash::FxHashMap;
use tokio::sync::{mpsc, oneshot};

use crate::apply::{Applier, Job};
use crate::clock::Clock;
use crate::error::RaftError;
use crate::gate::Gathering;
use crate::group::{ChangeWaiter, Event, Group, PeerAnswer, PeerRequest, PendingWrite, Sink};
use crate::links::Links;
use crate::settings::RaftSettings;
use crate::state_machine::StateMachineError;
use crate::watches::Watches;

/// Events taken from the mailbox at once.
const EVENTS_MAX: usize = 1_024;

/// A bulk write that is under way.
type BulkWrite = BoxFuture<'static, (TermIndex, Result<(), StateMachineError>)>;

/// Passes the disk's reports into the mailbox.
pub(crate) struct DiskReports(pub mpsc::UnboundedSender<Event>);

impl LogListener for DiskReports {
    fn durable(&self, ticket: Ticket) {
        // A closed group does not care any more.
        let _ = self.0.send(Event::Durable(ticket));
    }

    fn failed(&self, _: Ticket, error: Arc<ratis_log::LogError>) {
        let _ = self.0.send(Event::Broken(error.to_string()));
    }
}

/// A reply owed to a peer.
pub(crate) enum Owed {
    Vote(Sink<ratis_proto::common::RequestVoteReplyProto>),
    Append(Sink<ratis_proto::common::AppendEntriesReplyProto>),
    Snapshot(Sink<ratis_proto::common::InstallSnapshotReplyProto>),
    StartElection(Sink<ratis_proto::common::StartLeaderElectionReplyProto>),
    ReadIndex(Sink<ratis_proto::common::ReadIndexReplyProto>),
}

/// The loop's state.
pub(crate) struct Actor {
    pub group: Arc<Group>,
    pub settings: Arc<RaftSettings>,
    pub core: Core,
    pub log: GroupLog,
    pub applier: Arc<Applier>,
    pub links: Links,
    mailbox: mpsc::UnboundedReceiver<Event>,
    clock: Arc<Clock>,

    /// Effects behind a vote that is not on disk yet, and the ticket of its write.
    pub deferred: VecDeque<Effect>,
    pub barrier: Option<Ticket>,

    /// Appends that wait for bulk bytes of theirs.
    pub held: VecDeque<Vec<LogEntryProto>>,
    /// Appends that are not synced yet.
    pub appends: VecDeque<(Ticket, TermIndex)>,
    /// Last entry synced.
    pub synced: Option<TermIndex>,
    pub bulk_writes: FuturesUnordered<BulkWrite>,
    /// Entries whose bulk bytes are being written: index to term.
    pub bulk_open: BTreeMap<u64, u64>,
    /// Last entry reported durable to the core.
    pub durable: Option<TermIndex>,
    pub commit: Option<u64>,
    /// First entry not yet handed to the applier.
    pub apply_next: u64,
    pub applied: Option<u64>,

    pub writes: VecDeque<PendingWrite>,
    pub watches: Watches,
    pub reads: FxHashMap<RequestId, oneshot::Sender<Result<u64, RaftError>>>,
    pub read_waits: BTreeMap<(u64, u64), oneshot::Sender<Result<u64, RaftError>>>,
    pub changes: FxHashMap<RequestId, ChangeWaiter>,
    /// Members of the change of configuration under way: new ones are not in the configuration yet.
    pub staged: Vec<ratis_proto::common::RaftPeerProto>,
    pub owed: FxHashMap<u64, Owed>,
    pub serial: u64,
    /// First index of the log as the core knows it.
    pub log_start: u64,
    /// Why the group cannot go on.
    pub broken: Option<String>,
    pub changed: bool,
}

impl Actor {
    #[allow(clippy::too_many_arguments, reason = "the parts are made in one place")]
    pub fn new(
        group: Arc<Group>,
        settings: Arc<RaftSettings>,
        core: Core,
        log: GroupLog,
        applier: Arc<Applier>,
        links: Links,
        mailbox: mpsc::UnboundedReceiver<Event>,
        clock: Arc<Clock>,
        durable: Option<TermIndex>,
        last: Option<TermIndex>,
    ) -> Self {
        let log_start = log.reader().first();
        Self {
            group,
            settings,
            core,
            log,
            applier,
            links,
            mailbox,
            clock,
            deferred: VecDeque::new(),
            barrier: None,
            held: VecDeque::new(),
            appends: VecDeque::new(),
            synced: last,
            bulk_writes: FuturesUnordered::new(),
            bulk_open: BTreeMap::new(),
            durable: last.max(durable),
            commit: durable.map(|d| d.index),
            apply_next: durable.map_or(0, |d| d.index + 1),
            applied: durable.map(|d| d.index),
            writes: VecDeque::new(),
            watches: Watches::default(),
            reads: FxHashMap::default(),
            read_waits: BTreeMap::new(),
            changes: FxHashMap::default(),
            staged: Vec::new(),
            owed: FxHashMap::default(),
            serial: 0,
            log_start,
            broken: None,
            changed: true,
        }
    }

    pub fn now(&self) -> Millis {
        self.clock.now()
    }

    /// Works until the group is closed.
    pub async fn run(mut self) {
        let mut events = Vec::with_capacity(64);
        let mut gathering = Gathering::new(self.settings.gather_max);
        let closing = loop {
            self.settle();
            tokio::select! {
                biased;
                count = self.mailbox.recv_many(&mut events, EVENTS_MAX) => {
                    if count == 0 {
                        break None;
                    }
                }
                Some((at, result)) = self.bulk_writes.next(), if !self.bulk_writes.is_empty() => {
                    self.bulk_written(at, result);
                }
            }
            if self.settings.own_thread {
                self.gather(&mut events, &mut gathering);
            }
            let mut closing = None;
            for event in events.drain(..) {
                match event {
                    Event::Close { snapshot, done } => closing = Some((snapshot, done)),
                    event => self.handle(event),
                }
            }
            if closing.is_some() {
                break closing;
            }
        };
        self.close(closing).await;
    }

    /// Handles what must not wait, then leaves the writes, and those that join them.
    fn gather(&mut self, events: &mut Vec<Event>, gathering: &mut Gathering) {
        if !events.iter().any(|event| matches!(event, Event::Propose(_))) {
            return;
        }
        // What was synced is applied and answered before the wait.
        let is_urgent =
            |event: &mut Event| !matches!(event, Event::Propose(_) | Event::Close { .. });
        for event in events.extract_if(.., is_urgent).collect::<Vec<_>>() {
            self.handle(event);
        }
        gathering.wait(&self.group.gate);
        while events.len() < EVENTS_MAX
            && let Ok(event) = self.mailbox.try_recv()
        {
            events.push(event);
        }
        gathering.begin(events.iter().filter(|event| matches!(event, Event::Propose(_))).count());
    }

    /// Carries out what the core asks for, and says when it wants to be woken.
    fn settle(&mut self) {
        if self.broken.is_some() {
            self.group.deadline.store(Millis::MAX, Ordering::Relaxed);
            return;
        }
        self.carry_out();
        // After commits and replies too: the entries of the last burst would stay while the group rests.
        self.evict();
        self.log.work();
        let deadline = self.core.deadline().min(self.watches_deadline().unwrap_or(Millis::MAX));
        self.clock.wish(&self.group.deadline, deadline);
        if std::mem::take(&mut self.changed) {
            self.group.show(&self.core);
        }
    }

    fn handle(&mut self, event: Event) {
        if self.broken.is_some() {
            return self.refuse(event);
        }
        let now = self.now();
        match event {
            Event::Propose(proposal) => {
                self.group.gate.taken();
                self.propose(now, proposal);
            }
            Event::Watch(index, level, waiter) => self.watch(now, index, level, waiter),
            Event::Read(waiter) => {
                let id = self.next_request();
                self.reads.insert(id, waiter);
                self.core.read(now, id);
            }
            Event::Snapshot(gap, waiter) => self.applier.push(Job::Snapshot(gap, Some(waiter))),
            Event::SetConfiguration(peers, listeners, waiter) => {
                let id = self.next_request();
                self.staged = [peers.as_slice(), &listeners].concat();
                let result = self.core.set_configuration(now, id, peers, listeners);
                self.change(id, result, waiter);
            }
            Event::Transfer(to, timeout, waiter) => {
                let id = self.next_request();
                let result = self.core.transfer(now, id, to, timeout);
                self.change(id, result, waiter);
            }
            Event::PauseElections(paused) => self.core.pause_elections(now, paused),
            Event::Info(waiter) => {
                // Whoever asked may have gone.
                let _ = waiter.send(crate::info::describe(self));
            }
            Event::Request(request) => self.request(now, *request),
            Event::Answer(peer, answer) => self.answer(now, peer, answer),
            Event::Durable(ticket) => self.disk_reached(now, ticket),
            Event::Applied(index, configuration) => {
                if let Some(entry) = configuration {
                    self.log.save_configuration(&entry);
                }
                self.applied = Some(index);
                self.group.show_applied(index);
                self.core.applied(now, index);
                self.serve_reads();
            }
            Event::SnapshotTaken(at) => self.snapshot_taken(at),
            Event::Installed(at) => self.core.snapshot_installed(now, at),
            Event::Tick => {
                self.group.ticking.store(false, Ordering::Release);
                self.expire_watches(now);
                self.serve_hopeless_watches();
                self.core.tick(now);
            }
            Event::LeaderStreamEnded(peer) => self.links.ask_whether_gone(peer, &self.core),
            Event::LeaderGone(peer) => {
                tracing::info!(group = %self.group.id, leader = %peer, "the leader's process is gone");
                self.core.leader_gone(now, &peer);
            }
            Event::Broken(reason) => self.break_down(reason),
            Event::Close { .. } => {}
        }
    }

    fn next_request(&mut self) -> RequestId {
        self.serial += 1;
        RequestId(self.serial)
    }

    fn request(&mut self, now: Millis, request: PeerRequest) {
        self.serial += 1;
        let to = ReplyTo(self.serial);
        let owed = match request {
            PeerRequest::Vote(request, sink) => {
                self.core.vote_request(now, to, request);
                Owed::Vote(sink)
            }
            PeerRequest::Append(request, sink) => {
                self.core.append_request(now, to, request);
                Owed::Append(sink)
            }
            PeerRequest::Snapshot(request, sink) => {
                self.core.snapshot_request(now, to, request);
                Owed::Snapshot(sink)
            }
            PeerRequest::StartElection(request, sink) => {
                self.core.start_election_request(now, to, &request);
                Owed::StartElection(sink)
            }
            PeerRequest::ReadIndex(request, sink) => {
                self.core.read_index_request(now, to, request);
                Owed::ReadIndex(sink)
            }
        };
        self.owed.insert(to.0, owed);
    }

    fn answer(&mut self, now: Millis, peer: ratis_core::PeerId, answer: PeerAnswer) {
        match answer {
            PeerAnswer::Vote(request, Some(reply)) => {
                self.core.vote_reply(now, &peer, &request, &reply);
            }
            PeerAnswer::Vote(request, None) => self.core.vote_failed(now, &peer, &request),
            PeerAnswer::Append(number, reply) => {
                if self.links.is_current(&peer, number) {
                    self.links.answered(&peer);
                    self.core.append_reply(now, &peer, &reply);
                }
            }
            PeerAnswer::StreamFailed(number, call, reason) => {
                // Number 0 is our own: entries were not at hand.
                if number == 0 || self.links.is_current(&peer, number) {
                    tracing::debug!(group = %self.group.id, %peer, reason, "append stream broke");
                    let pause = self.links.broken(&peer, &reason);
                    self.core.stream_failed(now, &peer, call, now + pause);
                }
            }
            PeerAnswer::Snapshot(Some(reply)) => self.core.snapshot_reply(now, &peer, &reply),
            PeerAnswer::Snapshot(None) => {
                let pause = self.links.broken(&peer, "a snapshot was not taken");
                self.core.stream_failed(now, &peer, None, now + pause);
            }
            PeerAnswer::StartElection(reply) => self.core.start_election_reply(now, &peer, &reply),
            PeerAnswer::ReadIndex(reply) => self.core.read_index_reply(now, &peer, &reply),
            PeerAnswer::Loaded(ticket, entries) => {
                // A load for an earlier leadership may hold entries that were replaced since.
                if self.core.loaded(now, &peer, ticket, entries.len() as u64) {
                    self.links.keep_loaded(&peer, entries);
                }
            }
        }
    }

    /// The group stops here; its other members elect somebody else.
    pub fn break_down(&mut self, reason: String) {
        if self.broken.is_some() {
            return;
        }
        tracing::error!(group = %self.group.id, reason, "raft group stops on this node; repair the cause and restart");
        self.broken = Some(reason);
        let term = self.group.leadership.borrow().term;
        let stopped = crate::types::Leadership {
            group: self.group.id,
            term,
            role: ratis_core::Role::Follower,
            leader: None,
        };
        self.group.leadership.send_replace(stopped.clone());
        self.group.machine.leadership_changed(&stopped);
        self.group.machine.failed(self.broken.as_deref().unwrap_or_default());
        self.fail_everybody();
    }

    async fn close(mut self, closing: Option<(bool, oneshot::Sender<()>)>) {
        let (snapshot, done) = closing.map_or((false, None), |(s, d)| (s, Some(d)));
        self.links.keep(&[]);
        // What is committed is still applied, and its clients answered.
        let (drained, wait) = oneshot::channel();
        let snapshot = snapshot && self.broken.is_none();
        self.applier.push(Job::Stop { snapshot, done: drained });
        // An error means that the applier died; there is nothing more to wait for.
        let _ = wait.await;
        self.fail_everybody();
        self.mailbox.close();
        while let Ok(event) = self.mailbox.try_recv() {
            self.refuse(event);
        }
        let log = self.log;
        if tokio::task::spawn_blocking(move || log.close()).await.is_err() {
            tracing::error!(group = %self.group.id, "closing the raft log panicked");
        }
        if let Some(done) = done {
            let _ = done.send(());
        }
    }
}
