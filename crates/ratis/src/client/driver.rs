//! Finds the leader, keeps the window, retries.
//!
//! | answer | what happens |
//! |---|---|
//! | NotLeader | all that is on the way goes to the suggested leader, or to the next peer after a pause |
//! | LeaderNotReady, SteppingDown, ResourceUnavailable | again at the same server after a pause |
//! | stream broken, AlreadyClosed, no answer in time | again at the next peer after a pause |
//! | StateMachine | only this request fails |
//! | GroupMismatch | everything fails: the pipeline is gone |
//!
//! On a new stream the oldest request goes first and alone (`isFirst`); the others follow when it is
//! answered. Otherwise a server that becomes ready in between could take a later one before it.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use ratis_proto::common::{
    ClientMessageEntryProto, RaftClientReplyProto, RaftClientRequestProto, RaftPeerProto,
    RaftRpcRequestProto, ReadRequestTypeProto, ReplicationLevel, SlidingWindowEntry,
    WatchRequestTypeProto, WriteRequestTypeProto, raft_client_request_proto::Type,
};
use tokio::sync::mpsc;
use tonic::Status;
use uuid::Uuid;

use crate::channel::{Channels, Lane};
use crate::client::stream::{Stream, StreamEvent};
use crate::client::{Answer, ClientError, ClientReply, ClientSettings, Command, Known};
use crate::exception::{self, Exception};
use crate::ids;

/// Answered calls told to the server in one request, at most.
const REPLIED_CALLS_MAX: usize = 256;

/// Shortest pauses before a request goes to another leader than the one tried last, after failures: two
/// servers may name each other for a while.
const REDIRECT_PAUSES: u32 = 4;
/// How often deadlines are looked at.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// What an ordered request asks.
#[derive(Clone)]
enum Kind {
    Write(Bytes),
    Read(Bytes),
    /// Opens the stream before there is something to write, as Java clients do.
    Dummy,
}

struct Pending {
    call: u64,
    kind: Kind,
    /// `None` for the dummy.
    reply: Option<Answer>,
    since: Instant,
    /// When it was sent on the present stream.
    sent: Option<Instant>,
}

struct Watch {
    index: u64,
    level: ReplicationLevel,
    reply: Answer,
    since: Instant,
    sent: bool,
}

pub(crate) struct Driver {
    id: Bytes,
    group: Uuid,
    peers: Vec<RaftPeerProto>,
    target: usize,
    channels: Channels,
    settings: ClientSettings,
    known: Arc<Mutex<Known>>,

    ordered: Option<Stream>,
    /// The first request on the ordered stream was answered.
    primed: bool,
    unordered: Option<Stream>,
    opened: u64,

    waiting: VecDeque<Pending>,
    /// By sequence number.
    pending: BTreeMap<u64, Pending>,
    watches: HashMap<u64, Watch>,
    next_seq: u64,
    next_call: u64,
    replied: Vec<u64>,

    /// Nothing is sent before.
    pause_until: Option<Instant>,
    failures: u32,
    last_failure: String,
    /// Members that could not be reached since any of them answered last, and since when.
    unreachable: HashSet<Bytes>,
    unreachable_since: Option<Instant>,
    /// Since when no request succeeded although some were tried.
    leaderless_since: Option<Instant>,
    /// When the server said something last.
    heard: Instant,
    /// Servers left in a row because they said nothing.
    silences: u32,
}

impl Driver {
    pub fn new(
        group: Uuid,
        peers: Vec<RaftPeerProto>,
        leader: Option<&str>,
        channels: Channels,
        settings: ClientSettings,
        known: Arc<Mutex<Known>>,
        now: Instant,
    ) -> Self {
        let is_leader = |p: &RaftPeerProto| leader.is_some_and(|l| *p.id == *l.as_bytes());
        let target = peers.iter().position(is_leader).unwrap_or(0);
        let mut driver = Self {
            id: Bytes::copy_from_slice(Uuid::from_bytes(rand::random()).as_bytes()),
            group,
            peers,
            target,
            channels,
            settings,
            known,
            ordered: None,
            primed: false,
            unordered: None,
            opened: 0,
            waiting: VecDeque::new(),
            pending: BTreeMap::new(),
            watches: HashMap::new(),
            next_seq: 1,
            next_call: 1,
            replied: Vec::new(),
            pause_until: None,
            failures: 0,
            last_failure: "no server was asked yet".to_owned(),
            unreachable: HashSet::new(),
            unreachable_since: None,
            leaderless_since: None,
            heard: now,
            silences: 0,
        };
        driver.enqueue(Kind::Dummy, None, now);
        driver
    }

    /// Works until all handles are dropped.
    pub async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        let (events, mut incoming) = mpsc::unbounded_channel();
        let mut check = tokio::time::interval(CHECK_INTERVAL);
        check.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            self.send_what_may_go(&events);
            let pause = self.pause_until.map(tokio::time::Instant::from_std);
            let busy = !self.pending.is_empty() || !self.watches.is_empty();
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.take(command),
                    None => return,
                },
                Some((number, event)) = incoming.recv() => self.event(number, event),
                () = tokio::time::sleep_until(pause.unwrap_or_else(tokio::time::Instant::now)),
                    if pause.is_some() => {}
                _ = check.tick(), if busy => self.check(Instant::now()),
            }
        }
    }

    fn take(&mut self, command: Command) {
        let now = Instant::now();
        match command {
            Command::Ordered { read: false, message, reply } => {
                self.enqueue(Kind::Write(message), Some(reply), now);
            }
            Command::Ordered { read: true, message, reply } => {
                self.enqueue(Kind::Read(message), Some(reply), now);
            }
            Command::Watch { index, level, reply } => {
                let call = self.call();
                self.watches.insert(call, Watch { index, level, reply, since: now, sent: false });
            }
        }
    }

    fn call(&mut self) -> u64 {
        self.next_call += 1;
        self.next_call - 1
    }

    fn enqueue(&mut self, kind: Kind, reply: Option<Answer>, now: Instant) {
        let call = self.call();
        self.waiting.push_back(Pending { call, kind, reply, since: now, sent: None });
    }

    // ---- sending ----------------------------------------------------------------------------------

    fn send_what_may_go(&mut self, events: &mpsc::UnboundedSender<(u64, StreamEvent)>) {
        while self.pending.len() < self.settings.outstanding_max
            && let Some(next) = self.waiting.pop_front()
        {
            self.pending.insert(self.next_seq, next);
            self.next_seq += 1;
        }
        let now = Instant::now();
        if self.pause_until.is_some_and(|until| now < until) {
            return;
        }
        self.pause_until = None;
        if self.pending.values().any(|p| p.sent.is_none()) {
            self.send_ordered(now, events);
        }
        if self.watches.values().any(|w| !w.sent) {
            self.send_watches(events);
        }
    }

    fn open(
        &mut self,
        ordered: bool,
        events: &mpsc::UnboundedSender<(u64, StreamEvent)>,
    ) -> Option<Stream> {
        let peer = self.peers.get(self.target)?;
        let address =
            if peer.client_address.is_empty() { &peer.address } else { &peer.client_address };
        let channel = match self.channels.get(address, Lane::Data) {
            Ok(channel) => channel,
            Err(error) => {
                self.move_on(None, error.to_string());
                return None;
            }
        };
        self.opened += 1;
        let largest = self.settings.message_bytes_max;
        Some(Stream::open(channel, ordered, largest, self.opened, events.clone()))
    }

    fn send_ordered(&mut self, now: Instant, events: &mpsc::UnboundedSender<(u64, StreamEvent)>) {
        if self.ordered.is_none() {
            self.ordered = self.open(true, events);
            self.primed = false;
            self.renumber();
        }
        let Some(stream) = self.ordered.take() else { return };
        let first = self.pending.keys().next().copied();
        let unsent: Vec<u64> =
            self.pending.iter().filter(|(_, p)| p.sent.is_none()).map(|(seq, _)| *seq).collect();
        for seq in unsent {
            let is_first = !self.primed && Some(seq) == first;
            if !self.primed && !is_first {
                break;
            }
            let header = self.header(seq, is_first);
            let Some(pending) = self.pending.get_mut(&seq) else { continue };
            pending.sent = Some(now);
            let (kind, message) = match &pending.kind {
                Kind::Write(message) => {
                    (Type::Write(WriteRequestTypeProto::default()), Some(message))
                }
                Kind::Read(message) => (Type::Read(ReadRequestTypeProto::default()), Some(message)),
                Kind::Dummy => (Type::Watch(WatchRequestTypeProto::default()), None),
            };
            stream.send(RaftClientRequestProto {
                rpc_request: Some(RaftRpcRequestProto { call_id: pending.call, ..header }),
                message: message.map(|m| ClientMessageEntryProto { content: m.clone() }),
                r#type: Some(kind),
            });
        }
        self.ordered = Some(stream);
    }

    /// A server waits for a missing number, so there must be none on a new stream.
    fn renumber(&mut self) {
        let Some(first) = self.pending.keys().next().copied() else { return };
        let pending = std::mem::take(&mut self.pending).into_values();
        let unsent = pending.map(|p| Pending { sent: None, ..p });
        self.pending = (first..).zip(unsent).collect();
        self.next_seq = first + self.pending.len() as u64;
    }

    fn header(&mut self, seq: u64, is_first: bool) -> RaftRpcRequestProto {
        RaftRpcRequestProto {
            requestor_id: self.id.clone(),
            reply_id: self.peers.get(self.target).map(|p| p.id.clone()).unwrap_or_default(),
            raft_group_id: Some(ids::group_to(self.group)),
            to_leader: true,
            replied_call_ids: std::mem::take(&mut self.replied),
            sliding_window_entry: (seq > 0)
                .then_some(SlidingWindowEntry { seq_num: seq, is_first }),
            ..Default::default()
        }
    }

    fn send_watches(&mut self, events: &mpsc::UnboundedSender<(u64, StreamEvent)>) {
        if self.unordered.is_none() {
            self.unordered = self.open(false, events);
            self.watches.values_mut().for_each(|w| w.sent = false);
        }
        let Some(stream) = self.unordered.take() else { return };
        let header = RaftRpcRequestProto { replied_call_ids: Vec::new(), ..self.header(0, false) };
        for (call, watch) in &mut self.watches {
            if std::mem::replace(&mut watch.sent, true) {
                continue;
            }
            let mut kind = WatchRequestTypeProto { index: watch.index, ..Default::default() };
            kind.set_replication(watch.level);
            stream.send(RaftClientRequestProto {
                rpc_request: Some(RaftRpcRequestProto { call_id: *call, ..header.clone() }),
                message: None,
                r#type: Some(Type::Watch(kind)),
            });
        }
        self.unordered = Some(stream);
    }

    // ---- what comes back --------------------------------------------------------------------------

    fn event(&mut self, number: u64, event: StreamEvent) {
        let is = |stream: &Option<Stream>| stream.as_ref().is_some_and(|s| s.number == number);
        let (ordered, unordered) = (is(&self.ordered), is(&self.unordered));
        match event {
            StreamEvent::Reply(reply) if ordered || unordered => {
                self.unreachable.clear();
                self.unreachable_since = None;
                self.heard = Instant::now();
                self.reply(*reply);
            }
            StreamEvent::Ended(status) if ordered || unordered => {
                if ordered {
                    self.ordered = None;
                } else {
                    self.unordered = None;
                }
                self.ended(&status);
            }
            // Of a stream that was given up.
            _ => {}
        }
    }

    fn ended(&mut self, status: &Status) {
        if exception::is_transport(status)
            && let Some(peer) = self.peers.get(self.target)
        {
            self.unreachable.insert(peer.id.clone());
            self.unreachable_since.get_or_insert_with(Instant::now);
        }
        match Exception::from_status(status) {
            Some(Exception::GroupMismatch(message)) => {
                self.fail_all(&ClientError::GroupMismatch(message));
            }
            Some(
                exception @ (Exception::ResourceUnavailable(_) | Exception::ServerNotReady(_)),
            ) => {
                self.pause(exception.to_string());
            }
            Some(exception @ Exception::Other { .. }) => {
                self.fail_oldest(ClientError::Refused(exception.to_string()));
                self.move_on(None, exception.to_string());
            }
            other => {
                let reason = other.map_or_else(|| status.message().to_owned(), |e| e.to_string());
                // An idle stream may end without harm: the next request opens another.
                if self.pending.values().any(|p| p.sent.is_some())
                    || self.watches.values().any(|w| w.sent)
                {
                    self.move_on(None, reason);
                }
            }
        }
    }

    fn reply(&mut self, reply: RaftClientReplyProto) {
        let Some(header) = &reply.rpc_reply else { return };
        let call = header.call_id;
        match Exception::from_reply(&reply) {
            None if header.success => self.success(call, reply),
            None => self.answer(call, Err(ClientError::Refused("refused without a reason".into()))),
            Some(Exception::NotLeader { leader, peers }) => {
                if !peers.is_empty() {
                    self.learn(peers);
                }
                self.move_on(leader.map(|l| l.id), "not the leader".to_owned());
            }
            Some(exception @ (Exception::LeaderNotReady { .. } | Exception::SteppingDown(_))) => {
                self.pause(exception.to_string());
            }
            Some(exception @ Exception::AlreadyClosed(_)) => {
                self.move_on(None, exception.to_string());
            }
            Some(Exception::StateMachine { class, message }) => {
                self.answer(call, Err(ClientError::StateMachine { class, message }));
            }
            Some(Exception::NotReplicated { level, index, commits, .. }) => {
                self.answer(call, Err(ClientError::NotReplicated { index, level, commits }));
            }
            Some(other) => self.answer(call, Err(ClientError::Refused(other.to_string()))),
        }
    }

    fn success(&mut self, call: u64, reply: RaftClientReplyProto) {
        self.failures = 0;
        self.silences = 0;
        self.leaderless_since = None;
        {
            let mut known = self.known.lock();
            known.leader = self.peers.get(self.target).map(|p| p.id.clone());
            for info in &reply.commit_infos {
                let Some(server) = &info.server else { continue };
                match known.commits.iter_mut().find(|(id, _)| *id == server.id) {
                    Some((_, index)) => *index = (*index).max(info.commit_index),
                    None => known.commits.push((server.id.clone(), info.commit_index)),
                }
            }
        }
        let answer = ClientReply {
            log_index: reply.log_index,
            message: reply.message.map(|m| m.content).unwrap_or_default(),
            commits: reply.commit_infos,
        };
        self.answer(call, Ok(answer));
    }

    /// Ends a request.
    fn answer(&mut self, call: u64, result: Result<ClientReply, ClientError>) {
        if let Some(watch) = self.watches.remove(&call) {
            // Whoever asked may have gone.
            let _ = watch.reply.send(result);
            return;
        }
        let seq = self.pending.iter().find(|(_, p)| p.call == call).map(|(seq, _)| *seq);
        let Some(pending) = seq.and_then(|seq| self.pending.remove(&seq)) else { return };
        self.primed = true;
        if self.replied.len() < REPLIED_CALLS_MAX {
            self.replied.push(call);
        }
        if let Some(reply) = pending.reply {
            let _ = reply.send(result);
        }
    }

    /// The members according to a server; the target stays the same peer.
    fn learn(&mut self, peers: Vec<RaftPeerProto>) {
        let target = self.peers.get(self.target).map(|p| p.id.clone());
        self.peers = peers;
        let position = self.peers.iter().position(|p| Some(&p.id) == target.as_ref());
        self.target = position.unwrap_or(0);
    }

    // ---- retries ----------------------------------------------------------------------------------

    /// Everything again at the suggested leader at once, or at the next peer after a pause.
    fn move_on(&mut self, to: Option<Bytes>, reason: String) {
        let suggested = to.and_then(|id| self.peers.iter().position(|p| p.id == id));
        match suggested {
            Some(at) if at != self.target && self.failures == 0 => {
                self.target = at;
                self.failures += 1;
                self.give_up_streams(reason);
            }
            // A leader was found after a while without one: no need to be as patient as before.
            Some(at) if at != self.target => {
                self.target = at;
                let pause = self.settings.retry_pause_min.saturating_mul(REDIRECT_PAUSES);
                self.pause_for(pause, reason);
            }
            Some(_) => self.pause(reason),
            None => {
                self.target = (self.target + 1) % self.peers.len().max(1);
                self.pause(reason);
            }
        }
    }

    /// Everything again after a pause.
    fn pause(&mut self, reason: String) {
        let factor = 1_u32 << self.failures.min(10);
        let pause = self.settings.retry_pause_min.saturating_mul(factor);
        self.pause_for(pause, reason);
    }

    fn pause_for(&mut self, pause: Duration, reason: String) {
        self.pause_until = Some(Instant::now() + pause.min(self.settings.retry_pause_max));
        self.failures += 1;
        self.give_up_streams(reason);
    }

    fn give_up_streams(&mut self, reason: String) {
        if !self.pending.is_empty() || !self.watches.is_empty() {
            self.leaderless_since.get_or_insert_with(Instant::now);
        }
        tracing::debug!(group = %self.group, reason, failures = self.failures, "raft client retries");
        self.last_failure = reason;
        self.ordered = None;
        self.unordered = None;
        self.primed = false;
        self.pending.values_mut().for_each(|p| p.sent = None);
        self.watches.values_mut().for_each(|w| w.sent = false);
    }

    fn fail_all(&mut self, error: &ClientError) {
        for pending in std::mem::take(&mut self.pending).into_values().chain(self.waiting.drain(..))
        {
            if let Some(reply) = pending.reply {
                let _ = reply.send(Err(error.clone()));
            }
        }
        for (_, watch) in self.watches.drain() {
            let _ = watch.reply.send(Err(error.clone()));
        }
        self.give_up_streams(error.to_string());
    }

    /// A gRPC error without a call id is about the oldest request, as replies come in order.
    fn fail_oldest(&mut self, error: ClientError) {
        if let Some((_, pending)) = self.pending.pop_first()
            && let Some(reply) = pending.reply
        {
            let _ = reply.send(Err(error));
        }
    }

    /// Deadlines.
    fn check(&mut self, now: Instant) {
        let settings = self.settings;
        let late = |since: Instant, limit: Duration| now.duration_since(since) > limit;
        let all_refuse = self.peers.iter().all(|p| self.unreachable.contains(&p.id));
        if all_refuse
            && self.unreachable_since.is_some_and(|s| late(s, settings.unreachable_timeout))
        {
            let (after, last) = (settings.unreachable_timeout, self.last_failure.clone());
            self.fail_all(&ClientError::TimedOut { after, last });
            self.unreachable.clear();
            self.unreachable_since = None;
        }
        if self.leaderless_since.is_some_and(|s| late(s, settings.leaderless_timeout)) {
            let (after, last) = (settings.leaderless_timeout, self.last_failure.clone());
            self.fail_all(&ClientError::TimedOut { after, last });
            self.leaderless_since = None;
        }
        let patience = settings.silence_timeout.saturating_mul(1 << self.silences.min(10));
        let patience = patience.min(settings.request_timeout);
        let heard = self.heard;
        if self.pending.values().any(|p| p.sent.is_some_and(|s| late(s.max(heard), patience))) {
            self.silences += 1;
            self.move_on(None, format!("no answer within {patience:?}"));
        }
        let expired: Vec<u64> = self
            .pending
            .iter()
            .filter(|(_, p)| late(p.since, settings.write_deadline))
            .map(|(seq, _)| *seq)
            .collect();
        if !expired.is_empty() {
            let (after, last) = (settings.write_deadline, self.last_failure.clone());
            for seq in expired {
                if let Some(reply) = self.pending.remove(&seq).and_then(|p| p.reply) {
                    let error = ClientError::TimedOut { after, last: last.clone() };
                    let _ = reply.send(Err(error));
                }
            }
            // The numbers behind it are not consecutive any more.
            self.give_up_streams(last);
        }
        let expired: Vec<u64> = self
            .watches
            .iter()
            .filter(|(_, w)| late(w.since, settings.watch_timeout))
            .map(|(call, _)| *call)
            .collect();
        for call in expired {
            if let Some(watch) = self.watches.remove(&call) {
                let (after, last) = (settings.watch_timeout, self.last_failure.clone());
                let _ = watch.reply.send(Err(ClientError::TimedOut { after, last }));
            }
        }
    }
}
