//! Asking for votes and giving them (`LeaderElection`, `VoteContext`).
//!
//! ```text
//!   follower ── timeout ──► PRE_VOTE at the current term ── passed ──► ELECTION at term + 1 ── passed ──► leader
//!      ▲                      │        ▲    │ timeout                     │       │ timeout
//!      └──────── rejected ────┘        └────┘◄──────────── back to PRE_VOTE ──────┘
//! ```
//! A pre-vote changes nothing anywhere; only ELECTION moves terms and is written down.

use std::collections::BTreeMap;

use ratis_proto::common::{RequestVoteReplyProto, RequestVoteRequestProto, TermIndexProto};

use crate::conf::Conf;
use crate::core::{Core, RoleState};
use crate::effect::{Effect, Message, Reply, ReplyTo};
use crate::follower::Following;
use crate::types::{Millis, PeerId, last_from_wire, last_to_wire};

/// Share of the election timeout that a winner waits for silent peers of higher priority. Ratis waits
/// the whole of it, which a hung leader makes long.
const PATIENCE_SHARE: Millis = 10;

/// Which question is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    PreVote,
    Election,
}

/// What a peer answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Answer {
    Granted,
    Refused,
    Failed,
}

/// A round of asking for votes.
#[derive(Clone, Debug)]
pub(crate) struct Campaign {
    pub(crate) phase: Phase,
    pub(crate) deadline: Millis,
    /// How long a majority waits for peers of higher priority to speak up.
    patience: Millis,
    asked: usize,
    answers: BTreeMap<PeerId, Answer>,
}

/// What the answers so far amount to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Tally {
    Passed,
    Rejected,
    Open,
}

impl Core {
    /// Starts over as a candidate; `forced` (by the leader's wish) skips the pre-vote.
    pub(crate) fn campaign(&mut self, forced: bool) {
        let phase =
            if forced || !self.settings.pre_vote { Phase::Election } else { Phase::PreVote };
        self.ask(phase);
    }

    fn ask(&mut self, phase: Phase) {
        self.leader = None;
        if phase == Phase::Election {
            self.hard.term = self.hard.term.saturating_add(1);
            self.hard.voted_for = Some(self.settings.id.clone());
            self.save_vote();
            // Now patience: hurry would only split the votes.
            self.hurry_until = 0;
        }
        let timeout = self.next_campaign_timeout();
        let voters = self.conf().other_voters(&self.settings.id);
        self.role = RoleState::Candidate(Campaign {
            phase,
            deadline: self.now.saturating_add(timeout),
            patience: self.now.saturating_add(timeout / PATIENCE_SHARE),
            asked: voters.len(),
            answers: BTreeMap::new(),
        });
        self.announce();
        if voters.is_empty() {
            self.passed(phase);
            return;
        }
        for voter in voters {
            let request = RequestVoteRequestProto {
                server_request: self.request_header(&voter, self.hard.term),
                candidate_term: self.hard.term,
                // Absent for an empty log, as Ratis does.
                candidate_last_entry: self.log.last().map(Into::into),
                pre_vote: phase == Phase::PreVote,
            };
            self.push(Effect::Send(voter, Message::Vote(request)));
        }
    }

    fn passed(&mut self, phase: Phase) {
        match phase {
            Phase::PreVote => self.ask(Phase::Election),
            Phase::Election => self.become_leader(),
        }
    }

    /// A peer answered a vote request. `request` is the one that was sent: Ratis' replies do not say
    /// which they belong to.
    pub fn vote_reply(
        &mut self,
        now: Millis,
        from: &PeerId,
        request: &RequestVoteRequestProto,
        reply: &RequestVoteReplyProto,
    ) {
        self.advance_clock(now);
        if !self.is_asking(request) {
            return;
        }
        if reply.should_shutdown {
            self.become_follower(self.hard.term, None);
            self.push(Effect::Removed);
            return;
        }
        if reply.term > self.hard.term {
            self.become_follower(reply.term, None);
            return;
        }
        let granted = reply.server_reply.as_ref().is_some_and(|header| header.success);
        // With commits at hand, the vote of somebody who lost his log must not decide. While members
        // change an empty log is nothing unusual.
        let counts =
            self.commit.is_none() || self.conf().is_joint() || has_log(reply.last_entry.as_ref());
        let answer = if granted && counts { Answer::Granted } else { Answer::Refused };
        let vetoed = !granted && self.outranks_me(from);
        self.answered(from, answer);
        if vetoed && self.is_asking(request) {
            self.become_follower(self.hard.term, None);
            return;
        }
        self.decide();
    }

    /// A vote request failed: the peer is not there.
    pub fn vote_failed(&mut self, now: Millis, from: &PeerId, request: &RequestVoteRequestProto) {
        self.advance_clock(now);
        if self.is_asking(request) {
            self.answered(from, Answer::Failed);
            self.decide();
        }
    }

    fn is_asking(&self, request: &RequestVoteRequestProto) -> bool {
        let RoleState::Candidate(campaign) = &self.role else { return false };
        planted!(self, VoteFromOtherRound)
            || (request.candidate_term == self.hard.term
                && request.pre_vote == (campaign.phase == Phase::PreVote))
    }

    /// The first answer of a peer counts.
    fn answered(&mut self, from: &PeerId, answer: Answer) {
        if let RoleState::Candidate(campaign) = &mut self.role {
            campaign.answers.entry(from.clone()).or_insert(answer);
        }
    }

    fn outranks_me(&self, other: &PeerId) -> bool {
        let conf = self.conf();
        conf.priority(other) > conf.priority(&self.settings.id)
    }

    fn decide(&mut self) {
        let RoleState::Candidate(campaign) = &self.role else { return };
        let phase = campaign.phase;
        match self.tally(campaign) {
            Tally::Passed => self.passed(phase),
            Tally::Rejected => self.become_follower(self.hard.term, None),
            Tally::Open => {}
        }
    }

    fn tally(&self, campaign: &Campaign) -> Tally {
        let me = &self.settings.id;
        let conf = self.conf();
        let answer = |id: &PeerId| campaign.answers.get(id).copied();
        let majority = conf.has_majority(|id| id == me || answer(id) == Some(Answer::Granted));
        if planted!(self, MinorityWins) && campaign.phase == Phase::Election {
            return Tally::Passed;
        }
        let all_answered = campaign.answers.len() >= campaign.asked;
        // Peers of higher priority are heard before a majority decides, unless they stay silent.
        let superiors_heard = conf.voters.iter().all(|id| {
            !self.outranks_me(id) || matches!(answer(id), Some(Answer::Granted | Answer::Refused))
        });
        if majority && (superiors_heard || all_answered || self.now >= campaign.patience) {
            return Tally::Passed;
        }
        let refused = conf.is_refused(|id| answer(id) == Some(Answer::Refused));
        if refused || all_answered { Tally::Rejected } else { Tally::Open }
    }

    pub(crate) fn tick_candidate(&mut self) {
        let RoleState::Candidate(campaign) = &self.role else { return };
        let (phase, timed_out) = (campaign.phase, self.now >= campaign.deadline);
        if self.tally(campaign) == Tally::Passed {
            self.passed(phase);
        } else if timed_out && self.may_campaign() {
            self.campaign(false);
        } else if timed_out {
            self.become_follower(self.hard.term, None);
        }
    }

    pub(crate) fn candidate_deadline(&self, campaign: &Campaign) -> Millis {
        if self.now < campaign.patience { campaign.patience } else { campaign.deadline }
    }

    /// Whether this node may ask for votes at all: as a voter, old or new; and as long as the
    /// configuration without it is not committed, for it may be the only one to have that entry.
    pub(crate) fn may_campaign(&self) -> bool {
        let conf = self.conf();
        let me = &self.settings.id;
        let votes = conf.is_voter(me) || conf.old_voters.contains(me) || !self.is_settled(conf);
        self.initialized && !self.elections_paused && votes
    }

    /// Whether the configuration is committed.
    pub(crate) fn is_settled(&self, conf: &Conf) -> bool {
        conf.at.is_none_or(|at| Some(at.index) <= self.commit)
    }

    /// Whether this node is the one meant to lead: of highest priority, among equals the first by id.
    fn is_preferred(&self) -> bool {
        let conf = self.conf();
        let me = &self.settings.id;
        let rank = |id| (conf.priority(id), std::cmp::Reverse(id));
        conf.is_voter(me) && conf.other_voters(me).iter().all(|other| rank(other) < rank(me))
    }

    pub(crate) fn next_election_timeout(&mut self) -> Millis {
        let me = &self.settings.id;
        if self.conf().is_voter(me) && self.conf().other_voters(me).is_empty() {
            return 0;
        }
        if let Some(delay) = self.first_election_delay() {
            return delay;
        }
        if self.now < self.hurry_until {
            return self.jitter.hurried(&self.settings);
        }
        self.jitter.election_timeout(&self.settings)
    }

    fn next_campaign_timeout(&mut self) -> Millis {
        if self.now < self.hurry_until {
            return self.jitter.hurried(&self.settings).saturating_mul(2);
        }
        let timeout = self.jitter.election_timeout(&self.settings);
        // A peer may be starting: ask again soon.
        self.first_election_delay().map_or(timeout, |delay| timeout.min(delay.saturating_mul(10)))
    }

    fn first_election_delay(&self) -> Option<Millis> {
        self.settings
            .first_election_delay
            .filter(|_| self.settings.pre_vote && !self.met_leader && self.is_preferred())
    }

    // ---- voting -------------------------------------------------------------------------------

    /// A peer asks for this node's vote. Answered at once; an election vote is synced first.
    pub fn vote_request(&mut self, now: Millis, to: ReplyTo, request: RequestVoteRequestProto) {
        self.advance_clock(now);
        let Some(header) = request.server_request.clone() else { return };
        let candidate = PeerId::from_wire(&header.requestor_id);
        let phase = if request.pre_vote { Phase::PreVote } else { Phase::Election };
        let last = request.candidate_last_entry.as_ref();
        let recognized = self.recognizes(&candidate, last, request.candidate_term, phase);
        let granted = recognized && self.grants(&candidate, last);
        if recognized && phase == Phase::Election {
            // Also for a candidate whose log is too old: its term counts.
            let raised = request.candidate_term > self.hard.term;
            self.step_back(request.candidate_term);
            if granted {
                self.hard.voted_for = Some(candidate.clone());
            }
            if (raised || granted) && !planted!(self, VoteNotSaved) {
                self.save_vote();
            }
        }
        if granted {
            if phase == Phase::Election {
                self.hurry_until = 0;
                self.end_rest();
            }
            // In a pre-vote who rests goes on resting: the same candidate will ask for the vote itself.
            self.wait_anew();
        }
        let should_shutdown = !granted
            && self.leading().is_some_and(|leading| !leading.progress.contains_key(&candidate))
            && self.has_expelled(&candidate, last);
        let reply = RequestVoteReplyProto {
            server_reply: self.reply_header(&header, granted),
            term: self.hard.term,
            should_shutdown,
            last_entry: Some(last_to_wire(self.log.last())),
        };
        self.reply(to, Reply::Vote(reply));
    }

    /// Whether the candidate's question is worth an answer on the merits of its log.
    ///
    /// Ratis asks that the candidate is in the voter's configuration. That can stop a group for good
    /// when the voter lags behind a change of members and its vote is needed to elect a new one. Here
    /// only a candidate that certainly lags behind its own removal is turned away. Likewise a listener
    /// votes if asked: nobody asks who is no voter, so it is to become one and does not know yet.
    fn recognizes(
        &mut self,
        candidate: &PeerId,
        last: Option<&TermIndexProto>,
        term: u64,
        phase: Phase,
    ) -> bool {
        if candidate == &self.settings.id || self.has_expelled(candidate, last) {
            return false;
        }
        // A node that is being taken in may have been a member before and lost its memory since: it does
        // not vote before it has the whole configuration history.
        if !self.initialized {
            return false;
        }
        if phase == Phase::Election {
            if self.hard.term > term {
                return false;
            }
            if self.hard.term < term {
                return true;
            }
            let other = self.hard.voted_for.as_ref().is_some_and(|voted| voted != candidate);
            if other && !planted!(self, VoteTwice) {
                return false;
            }
        }
        !self.has_other_leader(candidate)
    }

    /// Leader stickiness: whoever is led does not help to overthrow.
    fn has_other_leader(&mut self, candidate: &PeerId) -> bool {
        match &self.role {
            RoleState::Leader(_) => self.check_leadership(),
            RoleState::Candidate(_) => false,
            RoleState::Follower(following) => {
                let fresh =
                    self.now.saturating_sub(following.led_at) < self.settings.election_timeout_min;
                fresh && self.leader.as_ref().is_some_and(|leader| leader != candidate)
            }
        }
    }

    /// Compares logs, then priorities.
    fn grants(&self, candidate: &PeerId, last: Option<&TermIndexProto>) -> bool {
        let mine = self.log.last();
        let theirs = last_from_wire(last);
        if planted!(self, VoteForOldLog) {
            return true;
        }
        match mine.cmp(&theirs) {
            std::cmp::Ordering::Less => true,
            std::cmp::Ordering::Greater => false,
            // A voter that is about to leave the group has no priority to defend. Nor has one that
            // stepped down and rests: else nobody would lead for all that time, as in Ratis.
            std::cmp::Ordering::Equal => {
                self.rests()
                    || self.conf().priority(&self.settings.id) <= self.conf().priority(candidate)
            }
        }
    }

    /// Stepped down a while ago, and lets others try first.
    fn rests(&self) -> bool {
        let RoleState::Follower(following) = &self.role else { return false };
        following.campaign_not_before.is_some_and(|until| self.now < until)
    }

    /// Whether the candidate was removed from the group without noticing.
    fn has_expelled(&self, candidate: &PeerId, last: Option<&TermIndexProto>) -> bool {
        let conf = self.conf();
        // Its log ends before the entry of the configuration, or in a term before that entry's.
        let behind = match (last_from_wire(last), conf.at) {
            (Some(last), Some(at)) => last.index < at.index || last.term < at.term,
            (None, _) => true,
            (Some(_), None) => false,
        };
        let known = conf.is_member(candidate) || conf.voters.is_empty();
        !conf.is_joint() && self.is_settled(conf) && !known && behind
    }

    // ---- stepping down ------------------------------------------------------------------------

    /// Becomes a follower at `term` (the present one or higher) and writes a new term down. What a
    /// leader or candidate had under way ends.
    pub(crate) fn become_follower(&mut self, term: u64, campaign_not_before: Option<Millis>) {
        let raised = term > self.hard.term;
        self.step_back(term);
        if raised {
            self.save_vote();
        }
        if let RoleState::Follower(following) = &mut self.role {
            following.campaign_not_before = campaign_not_before;
        }
    }

    /// As [`Self::become_follower`], without writing the term down.
    fn step_back(&mut self, term: u64) {
        let led = matches!(self.role, RoleState::Leader(_));
        if term > self.hard.term {
            self.hard.term = term;
            self.hard.voted_for = None;
            self.leader = None;
        }
        if led {
            self.leader = None;
            self.stop_leading();
        }
        let timeout = self.next_election_timeout();
        self.role = RoleState::Follower(Following::new(self.now, timeout));
        self.announce();
    }

    /// Stops or resumes campaigning (`leaderElectionManagement`).
    pub fn pause_elections(&mut self, now: Millis, paused: bool) {
        self.advance_clock(now);
        self.elections_paused = paused;
        if paused && matches!(self.role, RoleState::Candidate(_)) {
            self.become_follower(self.hard.term, None);
        }
    }
}

/// Whether a voter has a log: (0, -1) says no. A missing field or (0, 0) comes from an old version.
fn has_log(last: Option<&TermIndexProto>) -> bool {
    last.is_none_or(|last| last.term > 0 || last.index == 0)
}
