//! A group's ways to its peers: append streams, votes, entries read back for slow ones.

use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use ratis::Status;
use ratis::channel::{Channels, Lane};
use ratis::peer::{AppendLane, LaneEvent, PeerClient};
use ratis_core::{Core, Message, Millis, PeerId, TermIndex};
use ratis_log::{GroupLog, LogReader};
use ratis_proto::common::{
    AppendEntriesRequestProto, LogEntryProto, RaftPeerProto, log_entry_proto::LogEntryBody,
};
use rustc_hash::FxHashMap;

use crate::group::{Event, Group, PeerAnswer};

/// The first pause after a broken stream, in milliseconds; it doubles from there.
const BACKOFF_MIN_MS: Millis = 10;
/// The longest pause, in milliseconds.
const BACKOFF_MAX_MS: Millis = 1_000;
/// Every so many failures in a row the log says why: about every half minute at the longest pause.
const FAILURES_TOLD: u32 = 32;

/// Pauses before each question whether a leader is gone, in milliseconds.
const GONE_PAUSES_MS: [u64; 8] = [0, 50, 100, 200, 500, 1_000, 1_000, 1_000];
/// A connection that is neither taken nor refused for this long says nothing about the process.
const GONE_TIMEOUT: Duration = Duration::from_secs(1);

/// The way to one peer.
struct Link {
    address: String,
    client: PeerClient,
    /// Streams with the numbers under which they were opened.
    data: Option<(u64, AppendLane)>,
    heartbeat: Option<(u64, AppendLane)>,
    failures: u32,
    /// Cold entries that the core will send next.
    loaded: Vec<LogEntryProto>,
}

/// The ways to all peers.
pub(crate) struct Links {
    group: Arc<Group>,
    channels: Channels,
    vote_timeout: Duration,
    links: FxHashMap<PeerId, Link>,
    opened: u64,
}

impl Links {
    pub fn new(group: Arc<Group>, channels: Channels, vote_timeout: Duration) -> Self {
        Self { group, channels, vote_timeout, links: FxHashMap::default(), opened: 0 }
    }

    /// The configuration changed: peers may have gone or moved.
    pub fn keep(&mut self, peers: &[RaftPeerProto]) {
        self.links.retain(|id, link| {
            peers.iter().any(|p| *p.id == *id.0.as_bytes() && p.address == link.address)
        });
    }

    fn link(&mut self, peer: &PeerId, address: Option<String>) -> Option<&mut Link> {
        if !self.links.contains_key(peer) {
            let address = address?;
            let client = match PeerClient::new(&self.channels, &address) {
                Ok(client) => client,
                Err(error) => {
                    tracing::warn!(group = %self.group.id, %peer, %error, "peer cannot be reached");
                    return None;
                }
            };
            let link = Link {
                address,
                client,
                data: None,
                heartbeat: None,
                failures: 0,
                loaded: Vec::new(),
            };
            self.links.insert(peer.clone(), link);
        }
        self.links.get_mut(peer)
    }

    /// Sends a request; `address` is where the peer's server listens. What cannot be sent counts as lost: its answer says so, or the core's own
    /// timeout does.
    pub fn send(
        &mut self,
        peer: &PeerId,
        message: Message,
        log: &GroupLog,
        address: Option<String>,
    ) {
        let (group, vote_timeout) = (self.group.clone(), self.vote_timeout);
        if let Message::Append { request, entries } = message {
            return self.send_append(peer, request, entries, log, address);
        }
        let Some(link) = self.link(peer, address) else {
            if let Message::Vote(request) = message {
                let failed = PeerAnswer::Vote(Box::new(request), None);
                group.send(Event::Answer(peer.clone(), failed));
            }
            return;
        };
        let (client, peer) = (link.client.clone(), peer.clone());
        tokio::spawn(async move {
            let lost = |status: Status| {
                tracing::debug!(group = %group.id, %peer, error = status.message(), "request to peer failed");
            };
            let answer = match message {
                Message::Vote(request) => {
                    let vote = client.vote(request.clone());
                    let reply = tokio::time::timeout(vote_timeout, vote).await;
                    let reply = reply.ok().and_then(|r| r.map_err(lost).ok());
                    Some(PeerAnswer::Vote(Box::new(request), reply))
                }
                Message::Snapshot(request) => {
                    Some(PeerAnswer::Snapshot(client.snapshot(request).await.map_err(lost).ok()))
                }
                Message::StartElection(request) => client
                    .start_election(request)
                    .await
                    .map_err(lost)
                    .ok()
                    .map(PeerAnswer::StartElection),
                Message::ReadIndex(request) => {
                    client.read_index(request).await.map_err(lost).ok().map(PeerAnswer::ReadIndex)
                }
                Message::Append { .. } => None,
            };
            if let Some(answer) = answer {
                group.send(Event::Answer(peer, answer));
            }
        });
    }

    fn send_append(
        &mut self,
        peer: &PeerId,
        mut request: AppendEntriesRequestProto,
        entries: std::ops::Range<u64>,
        log: &GroupLog,
        address: Option<String>,
    ) {
        self.opened += 1;
        let (group, number) = (self.group.clone(), self.opened);
        let Some(link) = self.link(peer, address) else { return };
        if !entries.is_empty() {
            let count = (entries.end - entries.start) as usize;
            let cold = link.loaded.first().is_some_and(|e| e.index == entries.start);
            let found = if cold {
                Some(std::mem::take(&mut link.loaded))
            } else {
                log.cache().range(entries.start, entries.end, count, usize::MAX)
            };
            let Some(mut found) = found.filter(|f| f.len() >= count) else {
                tracing::error!(group = %group.id, %peer, ?entries, "entries to send are not at hand");
                let failure = PeerAnswer::StreamFailed(0, None, "entries not at hand".into());
                group.send(Event::Answer(peer.clone(), failure));
                return;
            };
            found.truncate(count);
            request.entries = found;
        }
        let (slot, lane) = if entries.is_empty() {
            (&mut link.heartbeat, Lane::Heartbeat)
        } else {
            (&mut link.data, Lane::Data)
        };
        let (_, stream) = slot.get_or_insert_with(|| {
            let peer = peer.clone();
            let events = move |event| {
                let answer = match event {
                    LaneEvent::Reply(reply) => PeerAnswer::Append(number, Box::new(reply)),
                    LaneEvent::Failed { call, status } => {
                        PeerAnswer::StreamFailed(number, call, status.message().to_owned())
                    }
                };
                group.send(Event::Answer(peer.clone(), answer));
            };
            (number, link.client.append_lane(lane, events))
        });
        stream.send(request);
    }

    /// A stream from the leader ended: when its process died, its port refuses connections. One that
    /// stops in order closes its port a little later than its streams, so this is asked a few times.
    pub fn ask_whether_gone(&self, peer: PeerId, core: &Core) {
        if core.leadership().leader.as_ref() != Some(&peer) {
            return;
        }
        let peers = &core.configuration().peers;
        let Some(address) = peers.iter().find(|p| *p.id == *peer.0.as_bytes()) else { return };
        let (address, group) = (address.address.clone(), self.group.clone());
        tokio::spawn(async move {
            for pause in GONE_PAUSES_MS {
                tokio::time::sleep(Duration::from_millis(pause)).await;
                if group.leadership.borrow().leader.as_ref() != Some(&peer) {
                    return;
                }
                let connecting = tokio::net::TcpStream::connect(&address);
                let Ok(connected) = tokio::time::timeout(GONE_TIMEOUT, connecting).await else {
                    return;
                };
                if connected.is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionRefused) {
                    return group.send(Event::LeaderGone(peer));
                }
            }
        });
    }

    /// An answer came on this stream. False if it was closed meanwhile.
    pub fn is_current(&mut self, peer: &PeerId, number: u64) -> bool {
        let Some(link) = self.links.get_mut(peer) else { return false };
        let is =
            |lane: &Option<(u64, AppendLane)>| lane.as_ref().is_some_and(|(n, _)| *n == number);
        is(&link.data) || is(&link.heartbeat)
    }

    /// The peer answers: the next failure starts with the shortest pause.
    pub fn answered(&mut self, peer: &PeerId) {
        if let Some(link) = self.links.get_mut(peer) {
            link.failures = 0;
        }
    }

    /// A stream broke, for this reason: closes both and says how long to pause.
    pub fn broken(&mut self, peer: &PeerId, reason: &str) -> Millis {
        let Some(link) = self.links.get_mut(peer) else { return BACKOFF_MAX_MS };
        link.data = None;
        link.heartbeat = None;
        link.loaded.clear();
        let pause = BACKOFF_MIN_MS.saturating_mul(1 << link.failures.min(10)).min(BACKOFF_MAX_MS);
        link.failures += 1;
        if link.failures.is_multiple_of(FAILURES_TOLD) {
            tracing::warn!(
                group = %self.group.id, %peer, reason, failures = link.failures,
                "entries cannot be brought to a peer; tried again"
            );
        }
        pause
    }

    /// Closes the streams to a peer.
    pub fn reset(&mut self, peer: &PeerId) {
        if let Some(link) = self.links.get_mut(peer) {
            link.data = None;
            link.heartbeat = None;
            link.loaded.clear();
        }
    }

    /// Keeps cold entries until the core sends them.
    pub fn keep_loaded(&mut self, peer: &PeerId, entries: Vec<LogEntryProto>) {
        if let Some(link) = self.links.get_mut(peer) {
            link.loaded = entries;
        }
    }

    /// Reads cold entries, with their bulk bytes, in the background.
    pub fn load(
        &mut self,
        peer: PeerId,
        ticket: u64,
        first: u64,
        entries_max: usize,
        bytes_max: usize,
        reader: LogReader,
    ) {
        let group = self.group.clone();
        tokio::spawn(async move {
            let read = tokio::task::spawn_blocking(move || {
                let to = first.saturating_add(entries_max as u64).min(reader.next());
                reader.read(first, to, entries_max, bytes_max)
            });
            let mut entries = match read.await {
                Ok(Ok(entries)) => entries,
                Ok(Err(error)) => {
                    tracing::warn!(group = %group.id, %peer, first, %error, "cannot read entries for a slow peer");
                    Vec::new()
                }
                Err(_) => Vec::new(),
            };
            fill_bulk(&group, &mut entries, bytes_max).await;
            group.send(Event::Answer(peer, PeerAnswer::Loaded(ticket, entries)));
        });
    }
}

/// Puts bulk bytes back into entries; cuts the list where they cannot be read, and before it becomes larger than a follower
/// takes in one message. At least one entry stays.
async fn fill_bulk(group: &Group, entries: &mut Vec<LogEntryProto>, bytes_max: usize) {
    let mut bytes = 0_usize;
    let mut count = 0;
    for entry in entries.iter_mut() {
        let at = TermIndex::new(entry.term, entry.index);
        if let Some(LogEntryBody::StateMachineLogEntry(body)) = &mut entry.log_entry_body
            && body.state_machine_entry.is_some()
        {
            let read = group.machine.read_bulk(at, body).await;
            match (read, &mut body.state_machine_entry) {
                (Ok(bulk), Some(place)) => {
                    place.state_machine_data = bulk;
                    place.log_entry_proto_serialized_size = 0;
                }
                (Err(error), _) => {
                    tracing::warn!(group = %group.id, %at, %error, "cannot read bulk bytes for a slow peer");
                    break;
                }
                _ => {}
            }
        }
        bytes = bytes.saturating_add(entry.encoded_len());
        if count > 0 && bytes > bytes_max {
            break;
        }
        count += 1;
    }
    entries.truncate(count);
}
