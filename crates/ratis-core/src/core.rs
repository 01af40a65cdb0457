//! The state of one member, its construction, and the inputs that concern every role.

use ratis_proto::common::{
    AppendEntriesReplyProto, AppendEntriesRequestProto, CommitInfoProto, InstallSnapshotReplyProto,
    InstallSnapshotRequestProto, LogEntryProto, RaftConfigurationProto, RaftPeerProto,
    ReadIndexReplyProto, ReadIndexRequestProto, ReplicationLevel, RequestVoteReplyProto,
    RequestVoteRequestProto, StartLeaderElectionReplyProto, StartLeaderElectionRequestProto,
    StateMachineLogEntryProto,
};
use thiserror::Error;

use crate::effect::{Effect, ReplyTo, RequestId};
use crate::settings::Settings;
use crate::types::{HardState, Leadership, Millis, PeerId, TermIndex};

/// What the disk holds of a member when it starts.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Recovered {
    /// From `raft-meta`.
    pub hard_state: HardState,
    /// The initial configuration (`raft-meta.conf`, or the peers of groupAdd), used until the log has
    /// one; its `index` is `u64::MAX` when it never was in a log.
    pub configuration: LogEntryProto,
    /// Every configuration entry of the log, in order.
    pub configurations: Vec<LogEntryProto>,
    /// Where the state machine's durable state stands.
    pub snapshot: Option<TermIndex>,
    /// First index on disk; without entries the index that comes next.
    pub log_start: u64,
    /// Terms by runs: (term, number of entries), from `log_start`, in order, without gaps.
    pub terms: Vec<(u64, u64)>,
    /// Committed for sure (from the last metadata entry on disk), if known.
    pub commit: Option<u64>,
}

/// Why a proposal was not taken.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ProposeError {
    /// Not the leader: see [`Core::leadership`] for where to go.
    #[error("not the leader")]
    NotLeader,
    /// Leader, but its first entry is not applied yet: try again shortly.
    #[error("leader but not ready yet")]
    NotReady,
    /// Leadership is being handed over: try again shortly.
    #[error("leadership is being handed over")]
    SteppingDown,
    /// Another change of configuration or transfer is under way.
    #[error("another change of configuration or leadership is under way")]
    Busy,
    /// The request makes no sense: says why.
    #[error("{0}")]
    Invalid(&'static str),
}

/// A member at a glance.
#[derive(Clone, PartialEq, Debug)]
pub struct Status {
    /// Term, role, leader.
    pub leadership: Leadership,
    /// Committed up to here.
    pub commit: Option<u64>,
    /// Applied up to here, as the engine said.
    pub applied: Option<u64>,
    /// Last entry, durable or not.
    pub last: Option<TermIndex>,
    /// First index of the log.
    pub log_start: u64,
}

/// One member of one group.
#[derive(Debug)]
pub struct Core {}

#[allow(unused_variables, clippy::unimplemented, missing_docs)]
impl Core {
    /// Takes up where the disk left off, as a follower (or listener). The whole recovered log counts as
    /// durable.
    pub fn new(settings: Settings, recovered: Recovered, now: Millis) -> Self {
        unimplemented!()
    }

    // ---- time -------------------------------------------------------------------------------------
    /// Time passed. Call it at [`Self::deadline`] or on any regular tick.
    pub fn tick(&mut self, now: Millis) {
        unimplemented!()
    }
    /// When the next tick matters. Changes with every input.
    pub fn deadline(&self) -> Millis {
        unimplemented!()
    }

    // ---- effects ----------------------------------------------------------------------------------
    /// What is to be done, in order. Call it after every input, or after several.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        unimplemented!()
    }

    // ---- requests of peers: each is answered by one Effect::Reply, some only after durable() --------
    pub fn vote_request(&mut self, now: Millis, to: ReplyTo, request: RequestVoteRequestProto) {
        unimplemented!()
    }
    pub fn append_request(&mut self, now: Millis, to: ReplyTo, request: AppendEntriesRequestProto) {
        unimplemented!()
    }
    pub fn snapshot_request(
        &mut self,
        now: Millis,
        to: ReplyTo,
        request: InstallSnapshotRequestProto,
    ) {
        unimplemented!()
    }
    pub fn start_election_request(
        &mut self,
        now: Millis,
        to: ReplyTo,
        request: StartLeaderElectionRequestProto,
    ) {
        unimplemented!()
    }
    pub fn read_index_request(&mut self, now: Millis, to: ReplyTo, request: ReadIndexRequestProto) {
        unimplemented!()
    }

    // ---- replies of peers -------------------------------------------------------------------------
    pub fn vote_reply(&mut self, now: Millis, from: &PeerId, reply: RequestVoteReplyProto) {
        unimplemented!()
    }
    /// The vote request failed or timed out.
    pub fn vote_failed(&mut self, now: Millis, from: &PeerId) {
        unimplemented!()
    }
    pub fn append_reply(&mut self, now: Millis, from: &PeerId, reply: AppendEntriesReplyProto) {
        unimplemented!()
    }
    /// A stream to the peer broke, or an append failed: what is in flight counts as lost. `call` is the
    /// call id of the failed request where known (trailer `call-id`). Back off before the next attempt:
    /// nothing is sent to the peer before `retry_at`.
    pub fn stream_failed(
        &mut self,
        now: Millis,
        peer: &PeerId,
        call: Option<u64>,
        retry_at: Millis,
    ) {
        unimplemented!()
    }
    pub fn snapshot_reply(&mut self, now: Millis, from: &PeerId, reply: InstallSnapshotReplyProto) {
        unimplemented!()
    }
    pub fn start_election_reply(
        &mut self,
        now: Millis,
        from: &PeerId,
        reply: StartLeaderElectionReplyProto,
    ) {
        unimplemented!()
    }
    pub fn read_index_reply(&mut self, now: Millis, from: &PeerId, reply: ReadIndexReplyProto) {
        unimplemented!()
    }

    // ---- clients ----------------------------------------------------------------------------------
    /// Appends a client's entry; it comes out in an [`Effect::Append`] with its term and index. `bytes`
    /// of bulk data ride inside the entry (`stateMachineEntry.stateMachineData`).
    ///
    /// # Errors
    /// See [`ProposeError`].
    pub fn propose(
        &mut self,
        now: Millis,
        entry: StateMachineLogEntryProto,
    ) -> Result<TermIndex, ProposeError> {
        unimplemented!()
    }
    /// Asks for the index up to which a linearizable read must wait; answered by [`Effect::Read`], on a
    /// follower by asking the leader.
    pub fn read(&mut self, now: Millis, id: RequestId) {
        unimplemented!()
    }
    /// How far the group got, by level of `watch`. Only a leader knows.
    pub fn level(&self, level: ReplicationLevel) -> Option<u64> {
        unimplemented!()
    }
    /// Commit index of every peer as far as known, this node first; for client replies.
    pub fn commit_infos(&self) -> Vec<CommitInfoProto> {
        unimplemented!()
    }
    /// Replaces voters and listeners; new peers are brought up first. Ends with [`Effect::Finished`].
    ///
    /// # Errors
    /// See [`ProposeError`].
    pub fn set_configuration(
        &mut self,
        now: Millis,
        id: RequestId,
        peers: Vec<RaftPeerProto>,
        listeners: Vec<RaftPeerProto>,
    ) -> Result<(), ProposeError> {
        unimplemented!()
    }
    /// Hands leadership to `to`, which must have the highest priority; `None` only steps down. Ends with
    /// [`Effect::Finished`].
    ///
    /// # Errors
    /// See [`ProposeError`].
    pub fn transfer(
        &mut self,
        now: Millis,
        id: RequestId,
        to: Option<PeerId>,
        timeout: Millis,
    ) -> Result<(), ProposeError> {
        unimplemented!()
    }
    /// Stops or resumes campaigning (`leaderElectionManagement`).
    pub fn pause_elections(&mut self, now: Millis, paused: bool) {
        unimplemented!()
    }

    // ---- log and state machine --------------------------------------------------------------------
    /// Everything up to this entry is synced and its bulk bytes are written.
    pub fn durable(&mut self, now: Millis, upto: TermIndex) {
        unimplemented!()
    }
    /// Everything up to this index is applied.
    pub fn applied(&mut self, now: Millis, index: u64) {
        unimplemented!()
    }
    /// Entries below `index` left the engine's memory; they will be asked for by [`Effect::Load`].
    pub fn cached_from(&mut self, index: u64) {
        unimplemented!()
    }
    /// The load with this ticket is done: `entries` of them, which take `bytes` (0 entries: it failed).
    pub fn loaded(&mut self, now: Millis, peer: &PeerId, ticket: u64, entries: u64, bytes: usize) {
        unimplemented!()
    }
    /// The state machine's state is durable up to here.
    pub fn snapshot_taken(&mut self, at: TermIndex) {
        unimplemented!()
    }
    /// The log now starts at this index.
    pub fn purged(&mut self, start: u64) {
        unimplemented!()
    }
    /// The installation asked for by [`Effect::InstallSnapshot`] ended: where the state stands now, or
    /// `None` if it failed (the leader will ask again).
    pub fn snapshot_installed(&mut self, now: Millis, at: Option<TermIndex>) {
        unimplemented!()
    }

    // ---- questions --------------------------------------------------------------------------------
    /// Term, role and leader.
    pub fn leadership(&self) -> Leadership {
        unimplemented!()
    }
    /// Where everything stands.
    pub fn status(&self) -> Status {
        unimplemented!()
    }
    /// The configuration in force.
    pub fn configuration(&self) -> &RaftConfigurationProto {
        unimplemented!()
    }
    /// Time since each follower's last reply, in milliseconds (`groupInfo`); empty unless leading.
    pub fn follower_silence(&self, now: Millis) -> Vec<(PeerId, Millis)> {
        unimplemented!()
    }
    /// Term of an entry of the log, or of the snapshot's place.
    pub fn term_at(&self, index: u64) -> Option<u64> {
        unimplemented!()
    }
}
