//! What the core asks of the engine.
//!
//! # Rules for the engine
//! 1. Carry effects out **in list order**. Only [`Effect::SaveVote`] is a barrier: nothing after it may
//!    happen before it is synced. It is rare (a term change or a vote), so blocking the group is fine.
//! 2. [`Effect::Truncate`] and [`Effect::Append`] go to the log writer, which works in order; nobody waits.
//!    When entries are synced **and** their bulk bytes are written, call `Core::durable` with the place
//!    of the last one. Reports may be merged and must not go backwards; a report for an entry that was
//!    truncated in between is recognised by its term and ignored.
//! 3. [`Effect::Send`] with entries: take `entries` from memory, put them into `request.entries`, send on
//!    the peer's entry stream. The core only names entries from `Core::cached_from` on, so this never
//!    waits. Heartbeats (no entries) may use a second stream.
//! 4. [`Effect::Load`]: read entries (and bulk bytes) from disk, in the background, from `first`, as many
//!    as fit, at least one; then call `Core::loaded`. If it says yes, a `Send` of exactly these follows.
//! 5. [`Effect::Commit`]: apply up to there in order; call `Core::applied`.
//! 6. Hand the request back with the reply (or failure) to `Core::vote_reply`: Ratis' vote replies do not
//!    say which request they answer.
//! 7. Messages may be lost, delayed, doubled. When a stream to a peer breaks, call `Core::stream_failed`.

use std::ops::Range;

use ratis_proto::common::{
    AppendEntriesReplyProto, AppendEntriesRequestProto, InstallSnapshotReplyProto,
    InstallSnapshotRequestProto, LogEntryProto, ReadIndexReplyProto, ReadIndexRequestProto,
    RequestVoteReplyProto, RequestVoteRequestProto, StartLeaderElectionReplyProto,
    StartLeaderElectionRequestProto,
};

use crate::types::{HardState, Leadership, PeerId, TermIndex};

/// Names the call that waits for a [`Reply`]; chosen by the engine, returned as is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ReplyTo(pub u64);

/// Names a local request (read, change of configuration, transfer); chosen by the engine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RequestId(pub u64);

/// A request to a peer.
#[derive(Clone, PartialEq, Debug)]
pub enum Message {
    /// `requestVote`; the reply goes to `Core::vote_reply`.
    Vote(RequestVoteRequestProto),
    /// `appendEntries`; the reply goes to `Core::append_reply`.
    Append {
        /// Complete but for its entries.
        request: AppendEntriesRequestProto,
        /// The entries to put in; empty for a heartbeat.
        entries: Range<u64>,
    },
    /// `installSnapshot` as a notification; the reply goes to `Core::snapshot_reply`.
    Snapshot(InstallSnapshotRequestProto),
    /// `startLeaderElection`; the reply goes to `Core::start_election_reply`.
    StartElection(StartLeaderElectionRequestProto),
    /// `readIndex`; the reply goes to `Core::read_index_reply`.
    ReadIndex(ReadIndexRequestProto),
}

/// A reply to a peer's request.
#[derive(Clone, PartialEq, Debug)]
pub enum Reply {
    /// To `requestVote`.
    Vote(RequestVoteReplyProto),
    /// To `appendEntries`. Those to requests with entries come in request order.
    Append(AppendEntriesReplyProto),
    /// To `installSnapshot`.
    Snapshot(InstallSnapshotReplyProto),
    /// To `startLeaderElection`.
    StartElection(StartLeaderElectionReplyProto),
    /// To `readIndex`.
    ReadIndex(ReadIndexReplyProto),
}

/// How a change of configuration or a transfer of leadership ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It is done.
    Done,
    /// This node lost leadership first; ask the new leader.
    LeadershipLost,
    /// It took too long, or a new peer did not catch up. The old state holds.
    TimedOut,
}

/// Something for the engine to do, see the rules in the [module](self).
#[expect(clippy::large_enum_variant, reason = "most effects are the large ones")]
#[derive(Clone, PartialEq, Debug)]
pub enum Effect {
    /// Write `raft-meta` and sync it **before** anything that follows in the list.
    SaveVote(HardState),
    /// Drop the log from this index on. Replies to clients waiting for these entries fail with NotLeader.
    Truncate(u64),
    /// Append to the log; always continues it without a gap. Never empty.
    Append(Vec<LogEntryProto>),
    /// The state machine now stands at this place (a snapshot was installed): forget the whole log, go on
    /// after it.
    ResetLog(TermIndex),
    /// Send a request.
    Send(PeerId, Message),
    /// Answer a request.
    Reply(ReplyTo, Reply),
    /// Close the streams to a peer; what is in flight on them counts as lost. The next `Send` opens
    /// new ones.
    ResetStream(PeerId),
    /// Read cold entries for a peer, then call `Core::loaded` with the same ticket.
    Load {
        /// For whom.
        peer: PeerId,
        /// Handed back to `Core::loaded`; tells stale loads apart.
        ticket: u64,
        /// The first entry.
        first: u64,
        /// Entries at most; stop at `Settings::append_bytes_max`, too.
        entries_max: usize,
    },
    /// Everything up to this index is committed.
    Commit(u64),
    /// Term, role, leader or readiness changed.
    Leadership(Leadership),
    /// Matched or committed indices of peers moved: look at waiting watches. At most once per list.
    Progress,
    /// Fetch the leader's state, whose log starts at the given place; then call
    /// `Core::snapshot_installed`.
    InstallSnapshot {
        /// From whom.
        leader: PeerId,
        /// The first entry the leader still has.
        first_available: TermIndex,
    },
    /// A local read may be served once this index is applied; `None`: it failed, ask again later.
    Read(RequestId, Option<u64>),
    /// A change of configuration or a transfer ended.
    Finished(RequestId, Outcome),
    /// A peer (`None`: the leader) is silent for the slowness timeout. Once per silence.
    Slow(Option<PeerId>),
    /// The leader says that this node is no member any more: close the group here.
    Removed,
}
