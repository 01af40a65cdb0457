//! The state of one member, its construction, and the inputs that concern every role.

use std::collections::{BTreeMap, VecDeque};

use ratis_proto::common::{
    CommitInfoProto, LogEntryProto, RaftConfigurationProto, RaftGroupIdProto, RaftRpcReplyProto,
    RaftRpcRequestProto,
};
use thiserror::Error;

use crate::conf::{Conf, Configurations};
use crate::effect::{Effect, Outcome, Reply, ReplyTo, RequestId};
use crate::election::Campaign;
use crate::follower::{Following, Installation, PendingReply};
use crate::leader::Leading;
use crate::log::Log;
use crate::settings::{Jitter, Settings};
use crate::transfer::HandingOver;
use crate::types::{HardState, Leadership, Millis, PeerId, Role, TermIndex, from_wire, to_wire};

/// What the disk holds of a member when it starts.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Recovered {
    /// From `raft-meta`.
    pub hard_state: HardState,
    /// The initial configuration (`raft-meta.conf`, or the peers of groupAdd), used until the log has
    /// a newer one; its `index` is `u64::MAX` when it never was in a log.
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
    /// Durable up to here.
    pub durable: Option<u64>,
    /// First index of the log.
    pub log_start: u64,
}

/// The role and what only exists in it.
#[derive(Debug)]
pub(crate) enum RoleState {
    Follower(Following),
    Candidate(Campaign),
    Leader(Box<Leading>),
}

/// One member of one group.
#[derive(Debug)]
pub struct Core {
    pub(crate) settings: Settings,
    pub(crate) jitter: Jitter,
    /// Latest time seen.
    pub(crate) now: Millis,
    pub(crate) hard: HardState,
    pub(crate) role: RoleState,
    pub(crate) leader: Option<PeerId>,
    /// A leader was seen since the start.
    pub(crate) met_leader: bool,
    /// The leader is known to be gone: elections come quickly until then.
    pub(crate) hurry_until: Millis,
    /// Member from the start, or taken in by a leader: may campaign and vote.
    pub(crate) initialized: bool,
    pub(crate) elections_paused: bool,
    pub(crate) log: Log,
    pub(crate) configurations: Configurations,
    pub(crate) snapshot: Option<TermIndex>,
    pub(crate) durable: Option<u64>,
    pub(crate) commit: Option<u64>,
    /// Known to be committed, perhaps ahead of what is durable here.
    pub(crate) commit_target: Option<u64>,
    pub(crate) applied: Option<u64>,
    /// Commit indices of peers by hearsay.
    pub(crate) gossip: BTreeMap<PeerId, CommitInfoProto>,
    /// Replies to append requests that wait for the disk, in request order.
    pub(crate) pending_replies: VecDeque<PendingReply>,
    pub(crate) installation: Installation,
    pub(crate) handing_over: Option<HandingOver>,
    /// Reads that were passed on to the leader, and when.
    pub(crate) forwarded_reads: Vec<(RequestId, Millis)>,
    effects: Vec<Effect>,
    progress_seen: bool,
    announced: Leadership,
    #[cfg(test)]
    pub(crate) planted: Option<crate::bugs::Bug>,
}

impl Core {
    /// Takes up where the disk left off, as a follower (or listener). The whole recovered log counts as
    /// durable. A log that ends before the state machine's state, or contradicts it, is dropped by an
    /// [`Effect::ResetLog`].
    pub fn new(settings: Settings, recovered: Recovered, now: Millis) -> Self {
        let Recovered {
            hard_state,
            configuration,
            configurations,
            snapshot,
            log_start,
            terms,
            commit,
        } = recovered;
        let before = snapshot.filter(|at| at.index.checked_add(1) == Some(log_start));
        let mut log = Log::recovered(log_start, &terms, before);
        let mut effects = Vec::new();
        if let Some(at) = snapshot {
            let behind = log.next() <= at.index;
            let contradicts = log.term_at(at.index).is_some_and(|term| term != at.term);
            if behind || contradicts {
                log.reset(at);
                effects.push(Effect::ResetLog(at));
            }
        }
        let base = Conf::from_entry(&configuration).unwrap_or_default();
        let mut confs = Configurations::new(base);
        for conf in configurations.iter().filter_map(Conf::from_entry) {
            confs.append(conf);
        }
        if let Some(last) = log.last_index() {
            confs.truncate(last.saturating_add(1));
        }
        let durable = log.last_index();
        let commit = commit.min(durable).max(snapshot.map(|at| at.index));
        let mut jitter = Jitter(settings.seed);
        let timeout = jitter.election_timeout(&settings);
        let leadership = Leadership { term: hard_state.term, role: Role::Follower, leader: None };
        let mut core = Self {
            initialized: !hard_state.initializing
                && (hard_state.term > 0 || confs.current().is_member(&settings.id)),
            settings,
            jitter,
            now,
            hard: hard_state,
            role: RoleState::Follower(Following::new(now, timeout)),
            leader: None,
            met_leader: false,
            hurry_until: 0,
            elections_paused: false,
            log,
            configurations: confs,
            snapshot,
            durable,
            commit,
            commit_target: commit,
            applied: snapshot.map(|at| at.index),
            gossip: BTreeMap::new(),
            pending_replies: VecDeque::new(),
            installation: Installation::default(),
            handing_over: None,
            forwarded_reads: Vec::new(),
            effects,
            progress_seen: false,
            announced: leadership,
            #[cfg(test)]
            planted: None,
        };
        let timeout = core.next_election_timeout();
        core.role = RoleState::Follower(Following::new(now, timeout));
        core.announced = core.leadership();
        if let Some(commit) = core.commit.filter(|_| core.commit > core.applied) {
            core.push(Effect::Commit(commit));
        }
        core
    }

    // ---- time ---------------------------------------------------------------------------------

    /// Time passed. Call it at [`Self::deadline`] or on any regular tick.
    pub fn tick(&mut self, now: Millis) {
        self.advance_clock(now);
        match &self.role {
            RoleState::Follower(_) => self.tick_follower(),
            RoleState::Candidate(_) => self.tick_candidate(),
            RoleState::Leader(_) => self.tick_leader(),
        }
        self.tick_handing_over();
        self.tick_forwarded_reads();
    }

    /// When the next tick matters. Changes with every input.
    pub fn deadline(&self) -> Millis {
        let role = match &self.role {
            RoleState::Follower(following) => self.follower_deadline(following),
            RoleState::Candidate(campaign) => self.candidate_deadline(campaign),
            RoleState::Leader(leading) => self.leader_deadline(leading),
        };
        let handing_over = self.handing_over.as_ref().map_or(role, |it| it.deadline.min(role));
        self.forwarded_reads
            .iter()
            .map(|(_, at)| at.saturating_add(self.settings.request_timeout))
            .fold(handing_over, Millis::min)
    }

    pub(crate) fn advance_clock(&mut self, now: Millis) {
        self.now = self.now.max(now);
    }

    // ---- effects ------------------------------------------------------------------------------

    /// What is to be done, in order. Call it after every input, or after several: what a leader has to
    /// send is gathered here, so that many proposals travel in one request.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        self.pump();
        if std::mem::take(&mut self.progress_seen) {
            self.effects.push(Effect::Progress);
        }
        std::mem::take(&mut self.effects)
    }

    pub(crate) fn push(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    pub(crate) fn push_append(&mut self, mut entries: Vec<LogEntryProto>) {
        if entries.is_empty() {
            return;
        }
        if let Some(Effect::Append(last)) = self.effects.last_mut() {
            last.append(&mut entries);
        } else {
            self.effects.push(Effect::Append(entries));
        }
    }

    pub(crate) fn progress_made(&mut self) {
        self.progress_seen = true;
    }

    pub(crate) fn reply(&mut self, to: ReplyTo, reply: Reply) {
        self.push(Effect::Reply(to, reply));
    }

    pub(crate) fn finish(&mut self, id: RequestId, outcome: Outcome) {
        self.push(Effect::Finished(id, outcome));
    }

    /// Tells the engine where leadership of the group stands if that changed.
    pub(crate) fn announce(&mut self) {
        let leadership = self.leadership();
        if leadership != self.announced {
            self.announced = leadership.clone();
            self.push(Effect::Leadership(leadership));
        }
    }

    pub(crate) fn save_vote(&mut self) {
        self.push(Effect::SaveVote(self.hard.clone()));
    }

    // ---- message headers ----------------------------------------------------------------------

    fn group(&self) -> Option<RaftGroupIdProto> {
        Some(RaftGroupIdProto { id: self.settings.group.clone() })
    }

    pub(crate) fn request_header(&self, to: &PeerId, call_id: u64) -> Option<RaftRpcRequestProto> {
        Some(RaftRpcRequestProto {
            requestor_id: self.settings.id.to_wire(),
            reply_id: to.to_wire(),
            raft_group_id: self.group(),
            call_id,
            ..RaftRpcRequestProto::default()
        })
    }

    pub(crate) fn reply_header(
        &self,
        request: &RaftRpcRequestProto,
        success: bool,
    ) -> Option<RaftRpcReplyProto> {
        Some(RaftRpcReplyProto {
            requestor_id: request.requestor_id.clone(),
            reply_id: self.settings.id.to_wire(),
            raft_group_id: self.group(),
            call_id: request.call_id,
            success,
        })
    }

    // ---- log and state machine ----------------------------------------------------------------

    /// Everything up to this entry is synced and its bulk bytes are written.
    pub fn durable(&mut self, now: Millis, upto: TermIndex) {
        self.advance_clock(now);
        // Reports overtaken by a truncation name an entry that is not in the log any more.
        if !self.log.contains(upto) || Some(upto.index) <= self.durable {
            return;
        }
        self.durable = Some(upto.index);
        match &self.role {
            RoleState::Leader(_) => self.update_commit(),
            _ => self.follow_commit(),
        }
        self.release_replies();
        self.progress_made();
    }

    /// Everything up to this index is applied.
    pub fn applied(&mut self, now: Millis, index: u64) {
        self.advance_clock(now);
        self.applied = self.applied.max(Some(index));
        if let RoleState::Leader(leading) = &mut self.role
            && !leading.ready
            && Some(leading.start_index) <= self.applied
        {
            leading.ready = true;
            self.announce();
            self.start_waiting_reads();
        }
    }

    /// Entries below `index` left the engine's memory; they will be asked for by [`Effect::Load`].
    pub fn cached_from(&mut self, index: u64) {
        self.log.set_hot_from(index);
    }

    /// The state machine's state is durable up to here.
    pub fn snapshot_taken(&mut self, at: TermIndex) {
        if self.snapshot.is_none_or(|old| old.index < at.index) {
            self.snapshot = Some(at);
        }
    }

    /// The log now starts at this index.
    pub fn purged(&mut self, start: u64) {
        self.log.purge(start);
    }

    /// Marks entries as committed, as far as they are durable here.
    pub(crate) fn commit_to(&mut self, index: Option<u64>) {
        let durable =
            if planted!(self, LeaderCountsUnsynced) { self.log.last_index() } else { self.durable };
        let index = index.min(durable);
        if index <= self.commit {
            return;
        }
        self.commit = index;
        self.commit_target = self.commit_target.max(index);
        self.configurations.compact(index);
        if let Some(index) = index {
            self.push(Effect::Commit(index));
        }
        self.progress_made();
    }

    // ---- questions ----------------------------------------------------------------------------

    /// Term, role and leader.
    pub fn leadership(&self) -> Leadership {
        let role = match &self.role {
            RoleState::Leader(leading) => Role::Leader { ready: leading.ready },
            RoleState::Candidate(_) => Role::Candidate,
            RoleState::Follower(_) if self.conf().is_listener(&self.settings.id) => Role::Listener,
            RoleState::Follower(_) => Role::Follower,
        };
        Leadership { term: self.hard.term, role, leader: self.leader.clone() }
    }

    /// Where everything stands.
    pub fn status(&self) -> Status {
        Status {
            leadership: self.leadership(),
            commit: self.commit,
            applied: self.applied,
            last: self.log.last(),
            durable: self.durable,
            log_start: self.log.start(),
        }
    }

    /// The configuration in force.
    pub fn configuration(&self) -> &RaftConfigurationProto {
        &self.conf().proto
    }

    pub(crate) fn conf(&self) -> &Conf {
        self.configurations.current()
    }

    /// Term of an entry of the log, or of the place just before it.
    pub fn term_at(&self, index: u64) -> Option<u64> {
        self.log.term_at(index)
    }

    /// Commit index of every peer as far as known, this node first; for client replies.
    pub fn commit_infos(&self) -> Vec<CommitInfoProto> {
        let conf = self.conf();
        let me = &self.settings.id;
        let mut infos = Vec::new();
        if let Some(server) = conf.peer(me) {
            infos.push(CommitInfoProto {
                server: Some(server.clone()),
                commit_index: to_wire(self.commit),
            });
        }
        for id in conf.others(me) {
            let known = match &self.role {
                RoleState::Leader(leading) => leading.progress.get(&id).map(|peer| peer.commit),
                _ => None,
            };
            let heard = self.gossip.get(&id).and_then(|info| from_wire(info.commit_index));
            let Some(server) = conf.peer(&id) else { continue };
            if known.is_none() && heard.is_none() {
                continue;
            }
            infos.push(CommitInfoProto {
                server: Some(server.clone()),
                commit_index: to_wire(known.flatten().max(heard)),
            });
        }
        infos
    }

    /// Remembers what a leader says about everybody's commit index.
    pub(crate) fn hear(&mut self, infos: Vec<CommitInfoProto>) {
        for info in infos {
            let Some(server) = &info.server else { continue };
            let id = PeerId::from_wire(&server.id);
            if id == self.settings.id || !self.conf().is_member(&id) {
                continue;
            }
            let known = self.gossip.get(&id).and_then(|info| from_wire(info.commit_index));
            if from_wire(info.commit_index) > known {
                self.gossip.insert(id, info);
            }
        }
    }
}
