//! A random script, stepped in both.

use std::collections::VecDeque;

use bytes::Bytes;
use raft::StateRole;
use raft::eraftpb::{Message as Theirs, MessageType};
use ratis_proto::common::append_entries_reply_proto::AppendResult;
use ratis_proto::common::log_entry_proto::LogEntryBody;
use ratis_proto::common::{
    AppendEntriesReplyProto, AppendEntriesRequestProto, LogEntryProto, RaftConfigurationProto,
    RaftPeerProto, RequestVoteReplyProto, RequestVoteRequestProto, StateMachineLogEntryProto,
};

use super::twin::{Twin, entry, placed};
use super::{Difference, Tally};
use crate::bugs::Bug;
use crate::core::RoleState;
use crate::election::Phase;
use crate::sim::rng::Rng;
use crate::types::{HardState, TermIndex, from_wire, last_from_wire};
use crate::{Core, Effect, Message, PeerId, Recovered, Reply, ReplyTo, RequestId, Settings};

/// Messages on their way, at most.
const TRAVELLING_MAX: usize = 60;
/// Entries of a log that is still proposed to.
const ENTRIES_MAX: u64 = 400;
/// Lines of a failure's history.
const HISTORY_LINES: usize = 60;

#[derive(Clone, Debug)]
enum Packet {
    Vote(RequestVoteRequestProto),
    VoteReply(RequestVoteRequestProto, RequestVoteReplyProto),
    Append(AppendEntriesRequestProto),
    AppendReply(AppendEntriesReplyProto),
    StartElection(ratis_proto::common::StartLeaderElectionRequestProto),
}

pub(super) struct Member {
    pub(super) core: Core,
    pub(super) twin: Twin,
    pub(super) log: Vec<LogEntryProto>,
    hard: HardState,
    commit: Option<u64>,
    life: u64,
}

struct Travelling {
    from: usize,
    to: usize,
    /// The life of the receiver of a reply.
    life: Option<u64>,
    packet: Packet,
}

pub(super) struct Script {
    rng: Rng,
    now: u64,
    pre_vote: bool,
    bug: Option<Bug>,
    pub(super) members: Vec<Member>,
    travelling: Vec<Travelling>,
    history: VecDeque<String>,
    pub(super) tally: Tally,
    /// A node that nobody reaches for a while.
    cut_off: Option<(usize, u64)>,
}

pub(super) fn id(node: usize) -> PeerId {
    PeerId::from(node.to_string().as_str())
}

pub(super) fn node_of(id: &PeerId) -> usize {
    id.0.parse().unwrap_or(usize::MAX)
}

fn place(at: Option<&ratis_proto::common::TermIndexProto>) -> Option<TermIndex> {
    at.map(|at| TermIndex::new(at.term, at.index))
}

impl Script {
    pub(super) fn new(seed: u64, bug: Option<Bug>) -> Self {
        let mut rng = Rng::new(seed);
        let nodes = *rng.pick(&[1, 2, 3, 3, 3, 4, 5, 5]).unwrap_or(&3);
        let nodes = usize::try_from(nodes).unwrap_or(3);
        let pre_vote = rng.chance(600);
        let mut script = Self {
            rng,
            now: 0,
            pre_vote,
            bug,
            members: Vec::new(),
            travelling: Vec::new(),
            history: VecDeque::new(),
            tally: Tally::default(),
            cut_off: None,
        };
        for node in 0..nodes {
            let core = script.core(node, nodes, Recovered::default());
            let twin = Twin::new(node, nodes, pre_vote);
            let hard = HardState::default();
            let member = Member { core, twin, log: Vec::new(), hard, commit: None, life: 0 };
            script.members.push(member);
        }
        script
    }

    fn core(&mut self, node: usize, nodes: usize, recovered: Recovered) -> Core {
        let peer = |node| RaftPeerProto { id: id(node).to_wire(), ..RaftPeerProto::default() };
        let conf = RaftConfigurationProto {
            peers: (0..nodes).map(peer).collect(),
            ..RaftConfigurationProto::default()
        };
        let configuration = LogEntryProto {
            term: 0,
            index: u64::MAX,
            log_entry_body: Some(LogEntryBody::ConfigurationEntry(conf)),
        };
        let settings = Settings {
            election_timeout_min: 100,
            election_timeout_max: 200,
            first_election_delay: None,
            request_timeout: 300,
            step_down_wait: 100,
            append_outstanding_max: 4,
            append_entries_max: 3,
            pre_vote: self.pre_vote,
            ..Settings::new(id(node), Bytes::from_static(b"group"), self.rng.next())
        };
        let mut core = Core::new(settings, Recovered { configuration, ..recovered }, self.now);
        core.planted = self.bug;
        core
    }

    pub(super) fn history(&self) -> String {
        self.history.iter().cloned().collect::<Vec<_>>().join("\n")
    }

    pub(super) fn add_to(self, tally: &mut Tally) {
        tally.steps += self.tally.steps;
        tally.compared += self.tally.compared;
        tally.elections += self.tally.elections;
        tally.truncations += self.tally.truncations;
        tally.rejections += self.tally.rejections;
        tally.commits += self.tally.commits;
        tally.restarts += self.tally.restarts;
        for (difference, count) in self.tally.allowed {
            *tally.allowed.entry(difference).or_default() += count;
        }
    }

    fn note(&mut self, line: String) {
        if self.history.len() == HISTORY_LINES {
            self.history.pop_front();
        }
        self.history.push_back(format!("{:6} {line}", self.now));
    }

    pub(super) fn allow(&mut self, difference: Difference) {
        *self.tally.allowed.entry(difference).or_default() += 1;
    }

    // ---- the script ---------------------------------------------------------------------------

    pub(super) fn step(&mut self) -> Result<(), String> {
        self.tally.steps += 1;
        let node = self.rng.below(self.members.len());
        match self.rng.range(0, 99) {
            0..=49 => self.deliver()?,
            50..=54 => {
                let lost = self.rng.below(self.travelling.len());
                if lost < self.travelling.len() {
                    self.travelling.swap_remove(lost);
                }
            }
            55..=69 => self.propose(node)?,
            70..=95 => {
                self.now += self.rng.range(1, 40);
                self.tick(node)?;
            }
            96 if self.rng.chance(300) => self.restart(node)?,
            97 => {
                let until = self.now + self.rng.range(50, 600);
                self.cut_off = Some((node, until));
            }
            98 => self.transfer(node)?,
            _ => {}
        }
        while self.travelling.len() > TRAVELLING_MAX {
            self.travelling.remove(0);
        }
        Ok(())
    }

    fn is_cut_off(&self, node: usize) -> bool {
        self.cut_off.is_some_and(|(who, until)| who == node && self.now < until)
    }

    fn deliver(&mut self) -> Result<(), String> {
        if self.travelling.is_empty() {
            return Ok(());
        }
        // Mostly in order.
        let at = if self.rng.chance(800) { 0 } else { self.rng.below(self.travelling.len()) };
        let Travelling { from, to, life, packet } = self.travelling.remove(at);
        if self.is_cut_off(from) || self.is_cut_off(to) {
            return Ok(());
        }
        if self.rng.chance(30) {
            self.travelling.push(Travelling { from, to, life, packet: packet.clone() });
        }
        if life.is_some_and(|life| life != self.members[to].life) {
            return Ok(());
        }
        self.note(format!("{to} <- {from} {packet:?}"));
        match packet {
            Packet::Vote(request) => self.vote_request(from, to, request),
            Packet::VoteReply(request, reply) => self.vote_reply(from, to, &request, &reply),
            Packet::Append(request) => self.append_request(from, to, request),
            Packet::AppendReply(reply) => self.append_reply(from, to, &reply),
            Packet::StartElection(request) => {
                let sent = self.input(to, |core, now| {
                    core.start_election_request(now, ReplyTo(0), &request);
                })?;
                if sent.campaign.is_some() {
                    let term = request.leader_last_entry.map_or(0, |last| last.term);
                    let term = term.max(self.members[to].twin.term());
                    self.members[to].twin.step(
                        MessageType::MsgTimeoutNow,
                        from,
                        term,
                        Theirs::default(),
                    );
                }
                self.compare(to)
            }
        }
    }

    fn tick(&mut self, node: usize) -> Result<(), String> {
        self.note(format!("{node} ticks"));
        let sent = self.input(node, Core::tick)?;
        if sent.campaign.is_some() {
            let twin = &mut self.members[node].twin;
            twin.node.campaign().map_err(|error| error.to_string())?;
        }
        self.compare(node)
    }

    fn propose(&mut self, node: usize) -> Result<(), String> {
        if self.members[node].log.len() as u64 >= ENTRIES_MAX {
            return Ok(());
        }
        let entry = StateMachineLogEntryProto::default();
        let mut taken = false;
        self.input(node, |core, now| taken = core.propose(now, entry).is_ok())?;
        if taken {
            self.note(format!("{node} takes a proposal"));
            let twin = &mut self.members[node].twin;
            twin.node.propose(Vec::new(), Vec::new()).map_err(|e| format!("proposal: {e}"))?;
        }
        self.compare(node)
    }

    fn transfer(&mut self, node: usize) -> Result<(), String> {
        let to = id(self.rng.below(self.members.len()));
        if to != id(node) {
            self.input(node, |core, now| {
                let _ = core.transfer(now, RequestId(1), Some(to), 100);
            })?;
        }
        self.compare(node)
    }

    fn restart(&mut self, node: usize) -> Result<(), String> {
        self.note(format!("{node} restarts"));
        self.tally.restarts += 1;
        let member = &self.members[node];
        let remembered = if self.rng.chance(500) { member.commit } else { None };
        let mut terms: Vec<(u64, u64)> = Vec::new();
        for entry in &member.log {
            match terms.last_mut() {
                Some((term, entries)) if *term == entry.term => *entries += 1,
                _ => terms.push((entry.term, 1)),
            }
        }
        let is_conf = |entry: &&LogEntryProto| crate::conf::Conf::from_entry(entry).is_some();
        let recovered = Recovered {
            hard_state: member.hard.clone(),
            configurations: member.log.iter().filter(is_conf).cloned().collect(),
            terms,
            commit: remembered,
            ..Recovered::default()
        };
        let nodes = self.members.len();
        let core = self.core(node, nodes, recovered);
        let member = &mut self.members[node];
        member.core = core;
        member.life += 1;
        member.commit = remembered;
        member.twin.restart(node, remembered);
        self.input(node, |_, _| ())?;
        self.compare(node)
    }

    // ---- inputs -------------------------------------------------------------------------------

    /// Gives our member an input; its disk is quick.
    fn input(&mut self, node: usize, input: impl FnOnce(&mut Core, u64)) -> Result<Sent, String> {
        let now = self.now;
        let mut sent = Sent::default();
        input(&mut self.members[node].core, now);
        loop {
            let effects = self.members[node].core.take_effects();
            if effects.is_empty() {
                return Ok(sent);
            }
            for effect in effects {
                self.perform(node, effect, &mut sent)?;
            }
        }
    }

    fn perform(&mut self, node: usize, effect: Effect, sent: &mut Sent) -> Result<(), String> {
        let now = self.now;
        let member = &mut self.members[node];
        match effect {
            Effect::SaveVote(hard) => member.hard = hard,
            Effect::Truncate(from) => {
                member.log.truncate(usize::try_from(from).unwrap_or(0));
                self.tally.truncations += 1;
            }
            Effect::Append(entries) => {
                let last = entries.last().map(|entry| TermIndex::new(entry.term, entry.index));
                member.log.extend(entries);
                if let Some(last) = last {
                    member.core.durable(now, last);
                }
            }
            Effect::Commit(index) => {
                member.commit = Some(index);
                member.core.applied(now, index);
                self.tally.commits += 1;
            }
            Effect::Send(to, Message::Append { mut request, entries }) => {
                let range = usize::try_from(entries.start).unwrap_or(0)
                    ..usize::try_from(entries.end).unwrap_or(0);
                let entries = member.log.get(range).ok_or("a leader sends what it lacks")?;
                request.entries = entries.to_vec();
                self.send(node, node_of(&to), None, Packet::Append(request));
            }
            Effect::Send(to, Message::Vote(request)) => {
                sent.campaign = Some(request.pre_vote);
                self.send(node, node_of(&to), None, Packet::Vote(request));
            }
            Effect::Send(to, Message::StartElection(request)) => {
                self.send(node, node_of(&to), None, Packet::StartElection(request));
            }
            Effect::Load { peer, ticket, first, entries_max } => {
                let entries = (member.log.len() as u64 - first).min(entries_max as u64);
                let _ = member.core.loaded(now, &peer, ticket, entries);
            }
            Effect::Reply(_, reply) => sent.replies.push(reply),
            Effect::Leadership(leadership) if leadership.leader == Some(id(node)) => {
                self.tally.elections += 1;
                if self.members.len() == 1 {
                    sent.campaign = Some(false);
                }
            }
            Effect::ResetLog(_) | Effect::InstallSnapshot { .. } | Effect::Removed => {
                return Err(format!("{node} wants {effect:?}"));
            }
            _ => {}
        }
        Ok(())
    }

    fn send(&mut self, from: usize, to: usize, life: Option<u64>, packet: Packet) {
        self.travelling.push(Travelling { from, to, life, packet });
    }

    fn vote_request(
        &mut self,
        from: usize,
        to: usize,
        request: RequestVoteRequestProto,
    ) -> Result<(), String> {
        let member = &self.members[to];
        let term_before = member.core.hard.term;
        let leader_before = member.core.leader.clone();
        let life = self.members[from].life;
        let sent =
            self.input(to, |core, now| core.vote_request(now, ReplyTo(0), request.clone()))?;
        let Some(Reply::Vote(reply)) = sent.replies.into_iter().next() else {
            return Err(format!("{to} does not answer a vote request"));
        };
        let granted = reply.server_reply.as_ref().is_some_and(|header| header.success);
        let (kind, answer, term) = if request.pre_vote {
            let term = request.candidate_term + 1;
            (MessageType::MsgRequestPreVote, MessageType::MsgRequestPreVoteResponse, term)
        } else {
            let term = request.candidate_term;
            (MessageType::MsgRequestVote, MessageType::MsgRequestVoteResponse, term)
        };
        let mut message = Theirs::default();
        placed(&mut message, last_from_wire(request.candidate_last_entry.as_ref()));
        let old_pre_vote = request.pre_vote && request.candidate_term < term_before;
        let twin = &mut self.members[to].twin;
        // A vote that only our member gives is not to be given by its twin either.
        let led = leader_before.is_some() && leader_before != Some(id(from));
        let beside_leader =
            !request.pre_vote && granted && led && request.candidate_term == term_before;
        let for_leader = !request.pre_vote && leader_before == Some(id(from));
        twin.step(kind, from, term, message);
        let theirs = twin.settle();
        let their_answer = theirs.iter().find(|it| it.get_msg_type() == answer);
        let theirs = their_answer.is_some_and(|it| !it.reject);
        self.tally.compared += 1;
        if granted != theirs {
            if request.pre_vote && !granted && led {
                self.allow(Difference::PreVoteWhileLed);
            } else if old_pre_vote && granted {
                self.allow(Difference::PreVoteOfOldTerm);
            } else if beside_leader {
                self.allow(Difference::VoteBesideSilentLeader);
                let twin = &mut self.members[to].twin;
                twin.node.raft.vote = super::twin::number(from);
            } else if granted && for_leader {
                self.allow(Difference::VoteForLeader);
                let twin = &mut self.members[to].twin;
                twin.node.raft.vote = super::twin::number(from);
            } else {
                return Err(format!(
                    "{to} {} the vote of {from}, its twin does not: {request:?}",
                    if granted { "gives" } else { "refuses" }
                ));
            }
        }
        let member = &mut self.members[to];
        let back = matches!(member.core.role, RoleState::Follower(_))
            && member.twin.role() == StateRole::PreCandidate
            && member.core.hard.term == member.twin.term();
        if !request.pre_vote && back {
            member.twin.step_down();
            self.allow(Difference::BackFromPreVote);
        }
        let packet = Packet::VoteReply(request, reply);
        self.send(to, from, Some(life), packet);
        self.compare(to)
    }

    fn vote_reply(
        &mut self,
        from: usize,
        to: usize,
        request: &RequestVoteRequestProto,
        reply: &RequestVoteReplyProto,
    ) -> Result<(), String> {
        let core = &self.members[to].core;
        let phase = if request.pre_vote { Phase::PreVote } else { Phase::Election };
        // Theirs do not say which request they answer; what is for an earlier one is not told.
        let current = matches!(&core.role, RoleState::Candidate(it)
            if it.phase == phase && request.candidate_term == core.hard.term);
        let own_term = core.hard.term;
        let has_commits = core.commit.is_some();
        self.input(to, |core, now| core.vote_reply(now, &id(from), request, reply))?;
        if current {
            let granted = reply.server_reply.as_ref().is_some_and(|header| header.success);
            let empty = reply.last_entry.is_some_and(|last| last.term == 0 && last.index != 0);
            // A higher term comes first, also with a pre-vote that was given in spite of it.
            let reject = !granted || reply.term > own_term;
            let mut message = Theirs { reject, ..Theirs::default() };
            if granted && empty && has_commits {
                self.allow(Difference::EmptyVoter);
                message.reject = true;
            }
            let kind = match phase {
                Phase::PreVote => MessageType::MsgRequestPreVoteResponse,
                Phase::Election => MessageType::MsgRequestVoteResponse,
            };
            let term = match (phase, message.reject) {
                (Phase::PreVote, false) if reply.term <= own_term => own_term + 1,
                _ => reply.term.max(own_term),
            };
            self.members[to].twin.step(kind, from, term, message);
        }
        self.compare(to)
    }

    fn append_request(
        &mut self,
        from: usize,
        to: usize,
        request: AppendEntriesRequestProto,
    ) -> Result<(), String> {
        let commit_before = self.members[to].core.commit;
        let term_before = self.members[to].core.hard.term;
        let life = self.members[from].life;
        let sent =
            self.input(to, |core, now| core.append_request(now, ReplyTo(0), request.clone()))?;
        let previous = place(request.previous_log.as_ref());
        let mut message = Theirs {
            commit: crate::types::after(from_wire(request.leader_commit)),
            entries: request.entries.iter().map(entry).collect::<Vec<_>>().into(),
            ..Theirs::default()
        };
        placed(&mut message, previous);
        let twin = &mut self.members[to].twin;
        twin.step(MessageType::MsgAppend, from, request.leader_term, message);
        let theirs = twin.settle();
        let theirs = theirs.iter().find(|it| it.get_msg_type() == MessageType::MsgAppendResponse);
        let Some(Reply::Append(reply)) = sent.replies.into_iter().next() else {
            return Err(format!("{to} does not answer an append request"));
        };
        self.tally.compared += 1;
        let old = request.leader_term < term_before;
        let before_commit = previous.map(|at| at.index) < commit_before;
        match reply.result() {
            AppendResult::NotLeader if old => {}
            AppendResult::NotLeader => return Err(format!("{to} does not follow {from}")),
            AppendResult::Success => {
                let taken = theirs.is_some_and(|it| !it.reject);
                if old || !taken {
                    return Err(format!("{to} takes what its twin refuses: {request:?}"));
                }
            }
            AppendResult::Inconsistency => {
                self.tally.rejections += 1;
                let refused = theirs.is_some_and(|it| it.reject);
                if !refused && before_commit && !request.entries.is_empty() {
                    self.allow(Difference::BeforeCommit);
                } else if !refused {
                    return Err(format!("{to} refuses what its twin takes: {request:?}"));
                } else if let Some(theirs) = theirs
                    && theirs.reject_hint > reply.next_index + 1
                {
                    // Theirs names the last place that may agree and passes over whole terms; ours the
                    // entry to go on with, before the one that did not agree.
                    return Err(format!(
                        "{to} wants {} next, its twin has {} for sure",
                        reply.next_index, theirs.reject_hint
                    ));
                }
            }
        }
        self.send(to, from, Some(life), Packet::AppendReply(reply));
        self.compare(to)
    }

    fn append_reply(
        &mut self,
        from: usize,
        to: usize,
        reply: &AppendEntriesReplyProto,
    ) -> Result<(), String> {
        let core = &self.members[to].core;
        let term = core.hard.term;
        let call = reply.server_reply.as_ref().map_or(0, |header| header.call_id);
        let of_this_term = core.leading().is_some() && call >> 40 == term;
        let before = core.peer(&id(from)).map(|peer| {
            let asked = peer.in_flight.iter().find(|it| it.call == call).map(|it| it.first);
            let beat = peer.heartbeat.filter(|it| it.call == call).and_then(|it| it.first);
            (peer.matched, asked.or(beat))
        });
        self.input(to, |core, now| core.append_reply(now, &id(from), reply))?;
        if of_this_term {
            let twin = &mut self.members[to].twin;
            let kind = MessageType::MsgAppendResponse;
            match reply.result() {
                AppendResult::Success if !reply.is_hearbeat => {
                    let index = crate::types::after(from_wire(reply.match_index));
                    twin.step(kind, from, term, Theirs { index, ..Theirs::default() });
                }
                AppendResult::NotLeader if reply.term > term => {
                    twin.step(kind, from, reply.term, Theirs { reject: true, ..Theirs::default() });
                }
                AppendResult::Inconsistency => {
                    if let Some((matched, Some(first))) = before {
                        self.next_after_rejection(from, to, matched, first, reply.next_index)?;
                    }
                }
                _ => {}
            }
        }
        self.compare(to)
    }
}

/// What an input led to.
#[derive(Default)]
struct Sent {
    /// It asks for votes: whether by a pre-vote.
    campaign: Option<bool>,
    replies: Vec<Reply>,
}
