//! Following: append requests, their replies, and catching up by the leader's snapshot
//! (`RaftServerImpl.appendEntries`, `SnapshotInstallationHandler`).

use prost::Message as _;
use ratis_proto::common::append_entries_reply_proto::AppendResult;
use ratis_proto::common::install_snapshot_reply_proto::InstallSnapshotReplyBody;
use ratis_proto::common::install_snapshot_request_proto::InstallSnapshotRequestBody;
use ratis_proto::common::{
    AppendEntriesReplyProto, AppendEntriesRequestProto, InstallSnapshotReplyProto,
    InstallSnapshotRequestProto, InstallSnapshotResult, LogEntryProto, RaftRpcRequestProto,
};

use crate::conf::Conf;
use crate::core::{Core, RoleState};
use crate::effect::{Effect, Reply, ReplyTo};
use crate::types::{Millis, PeerId, TermIndex, after, from_wire, to_wire};

/// What only a follower has.
#[derive(Clone, Debug)]
pub(crate) struct Following {
    /// The last sign of a leader, or vote: the next campaign counts from it.
    pub(crate) last_contact: Millis,
    /// The last sign of a leader. A vote is none: who keeps asking for votes must not make others believe
    /// in a leader that is gone.
    pub(crate) led_at: Millis,
    pub(crate) timeout: Millis,
    /// After losing the majority as a leader.
    pub(crate) campaign_not_before: Option<Millis>,
    slow_reported: bool,
}

impl Following {
    pub(crate) fn new(now: Millis, timeout: Millis) -> Self {
        Self {
            last_contact: now,
            led_at: now,
            timeout,
            campaign_not_before: None,
            slow_reported: false,
        }
    }
}

/// A reply to an append request with entries, in its place in the queue.
#[derive(Clone, Debug)]
pub(crate) struct PendingReply {
    to: ReplyTo,
    /// Released once this entry is durable; at once where there is none.
    waits_for: Option<TermIndex>,
    reply: AppendEntriesReplyProto,
}

/// Catching up by the leader's snapshot.
#[derive(Clone, Debug, Default)]
pub(crate) struct Installation {
    /// Under way: the leader's first entry.
    running: bool,
    /// Done, but the leader was not told yet.
    installed: Option<TermIndex>,
}

/// Why entries were not taken; where the leader should go on.
struct Inconsistent {
    next: u64,
}

impl Core {
    // ---- time ---------------------------------------------------------------------------------

    pub(crate) fn tick_follower(&mut self) {
        let may_campaign = self.may_campaign();
        let busy = !self.pending_replies.is_empty() || self.installation.running;
        let (now, slowness) = (self.now, self.settings.slowness_timeout);
        let RoleState::Follower(following) = &mut self.role else { return };
        let silence = now.saturating_sub(following.last_contact);
        if silence >= slowness && !following.slow_reported {
            following.slow_reported = true;
            self.push(Effect::Slow(None));
            return;
        }
        // Entries on their way to the disk are a sign of life, too.
        let waits = busy || following.campaign_not_before.is_some_and(|until| now < until);
        if silence >= following.timeout && !waits && may_campaign {
            self.campaign(false);
        }
    }

    pub(crate) fn follower_deadline(&self, following: &Following) -> Millis {
        let due = following
            .last_contact
            .saturating_add(following.timeout)
            .max(following.campaign_not_before.unwrap_or(0));
        let busy = !self.pending_replies.is_empty() || self.installation.running;
        if due > self.now || (self.may_campaign() && !busy) {
            return due;
        }
        // Nothing to do at the moment: look again once in a while.
        self.now.saturating_add(self.settings.heartbeat_interval())
    }

    /// A recognized leader: the next campaign is an election timeout away.
    pub(crate) fn heard_from_leader(&mut self) {
        self.wait_anew();
        self.end_rest();
        let now = self.now;
        if let RoleState::Follower(following) = &mut self.role {
            following.led_at = now;
        }
    }

    /// The rest after stepping down is over.
    pub(crate) fn end_rest(&mut self) {
        if let RoleState::Follower(following) = &mut self.role {
            following.campaign_not_before = None;
        }
    }

    /// The next campaign is an election timeout away at least.
    pub(crate) fn wait_anew(&mut self) {
        let timeout = self.next_election_timeout();
        let now = self.now;
        if let RoleState::Follower(following) = &mut self.role {
            following.last_contact = now;
            following.timeout = timeout;
            following.slow_reported = false;
        }
    }

    /// The leader's process is gone for certain, e.g. because its port refuses connections: this node
    /// follows nobody, and asks around (pre-vote) shortly instead of after an election timeout. Where
    /// the leader lives after all, its next heartbeat ends this.
    pub fn leader_gone(&mut self, now: Millis, leader: &PeerId) {
        self.advance_clock(now);
        if self.leader.as_ref() != Some(leader) || !matches!(self.role, RoleState::Follower(_)) {
            return;
        }
        self.leader = None;
        self.hurry_until = self.now.saturating_add(self.settings.election_timeout_max);
        let timeout = self.next_election_timeout();
        let now = self.now;
        if let RoleState::Follower(following) = &mut self.role {
            following.last_contact = now;
            following.timeout = timeout;
        }
        self.announce();
    }

    // ---- appending ----------------------------------------------------------------------------

    /// A leader's append request or heartbeat. Success is answered once the entries are durable.
    pub fn append_request(&mut self, now: Millis, to: ReplyTo, request: AppendEntriesRequestProto) {
        self.advance_clock(now);
        let Some(header) = request.server_request.clone() else { return };
        let leader = PeerId::from_wire(&header.requestor_id);
        let term_before = self.hard.term;
        let is_heartbeat = request.entries.is_empty();
        let mut reply = AppendEntriesReplyProto {
            server_reply: None,
            term: term_before,
            next_index: self.log.next(),
            result: AppendResult::NotLeader.into(),
            follower_commit: to_wire(self.commit),
            match_index: to_wire(None),
            is_hearbeat: is_heartbeat,
        };
        if !self.recognize_leader(&leader, request.leader_term) {
            reply.server_reply = self.reply_header(&header, false);
            self.queue_reply(PendingReply { to, waits_for: None, reply });
            return;
        }
        self.follow(&leader, request.leader_term);
        if !request.initializing {
            self.initialize();
        }
        let previous = request.previous_log.as_ref().map(|at| TermIndex::new(at.term, at.index));
        self.hear(request.commit_infos);
        let last = match self.append_entries(previous, request.leader_term, request.entries) {
            Ok(last) => last,
            Err(Inconsistent { next }) => {
                reply.result = AppendResult::Inconsistency.into();
                reply.next_index = next;
                reply.server_reply = self.reply_header(&header, false);
                self.queue_reply(PendingReply { to, waits_for: None, reply });
                return;
            }
        };
        // Everything up to the previous entry or the last of the request is the leader's; nothing is
        // known of what follows.
        let known = last.or(previous).map(|at| at.index);
        let capped = from_wire(request.leader_commit).min(known);
        let target = if planted!(self, CommitUnverified) {
            from_wire(request.leader_commit)
        } else {
            capped
        };
        self.commit_target = self.commit_target.max(target);
        self.follow_commit();
        reply.result = AppendResult::Success.into();
        reply.server_reply = self.reply_header(&header, true);
        reply.next_index = last.map_or(self.log.next(), |at| at.index.saturating_add(1));
        reply.match_index = to_wire(last.map(|at| at.index));
        self.queue_reply(PendingReply { to, waits_for: last, reply });
    }

    /// Whether the peer leads, as far as this node knows (`ServerState.recognizeLeader`).
    pub(crate) fn recognize_leader(&self, leader: &PeerId, term: u64) -> bool {
        if leader == &self.settings.id {
            return false;
        }
        if term == self.hard.term {
            return self.leader.as_ref().is_none_or(|known| known == leader);
        }
        term > self.hard.term
    }

    /// Follows a recognized leader.
    pub(crate) fn follow(&mut self, leader: &PeerId, term: u64) {
        // Written down together with the term: a restart must not take this node for a full member.
        let begins = !self.initialized && !self.hard.initializing;
        self.hard.initializing |= begins;
        if term > self.hard.term || !matches!(self.role, RoleState::Follower(_)) {
            self.become_follower(term, None);
        } else if begins {
            self.save_vote();
        }
        self.met_leader = true;
        self.hurry_until = 0;
        if self.leader.as_ref() != Some(leader) {
            self.leader = Some(leader.clone());
            self.announce();
            self.end_handing_over();
        }
        self.heard_from_leader();
    }

    /// The leader has brought this node up: from now on it votes, after a restart, too.
    fn initialize(&mut self) {
        if self.initialized {
            return;
        }
        self.initialized = true;
        if std::mem::take(&mut self.hard.initializing) {
            self.save_vote();
        }
    }

    /// Takes entries into the log. `Ok` is the last entry of the request.
    fn append_entries(
        &mut self,
        previous: Option<TermIndex>,
        leader_term: u64,
        entries: Vec<LogEntryProto>,
    ) -> Result<Option<TermIndex>, Inconsistent> {
        if self.installation.running {
            return Err(Inconsistent { next: self.log.next() });
        }
        self.check_entries(previous, leader_term, &entries)?;
        let last = entries.last().map(|entry| TermIndex::new(entry.term, entry.index));
        let mut entries = entries.into_iter().peekable();
        while entries.next_if(|entry| self.log.term_at(entry.index) == Some(entry.term)).is_some() {
        }
        let Some(first) = entries.peek() else { return Ok(last) };
        if first.index < self.log.next() {
            self.truncate(first.index);
        }
        let new: Vec<LogEntryProto> = entries.collect();
        for entry in &new {
            self.log.append(entry.term, entry.encoded_len());
            if let Some(conf) = Conf::from_entry(entry) {
                self.configurations.append(conf);
            }
        }
        self.push_append(new);
        Ok(last)
    }

    /// Whether the entries continue this log (`checkInconsistentAppendEntries`).
    fn check_entries(
        &self,
        previous: Option<TermIndex>,
        leader_term: u64,
        entries: &[LogEntryProto],
    ) -> Result<(), Inconsistent> {
        let settled = self.commit.max(self.snapshot.map(|at| at.index));
        let mut expected = previous;
        for entry in entries {
            let in_order = expected.is_none_or(|before| {
                before.index.checked_add(1) == Some(entry.index) && before.term <= entry.term
            });
            if !in_order || entry.term > leader_term || entry.index == u64::MAX {
                return Err(Inconsistent { next: self.log.next() });
            }
            expected = Some(TermIndex::new(entry.term, entry.index));
        }
        let first = entries.first().map(|entry| entry.index);
        if first.is_some() && first <= settled {
            return Err(Inconsistent { next: after(settled) });
        }
        match (previous, first) {
            (Some(previous), _) => {
                let known = self.log.contains(previous)
                    || self.snapshot == Some(previous)
                    || planted!(self, PreviousNotChecked) && previous.index < self.log.next();
                if known {
                    Ok(())
                } else {
                    Err(Inconsistent { next: self.log.next().min(previous.index) })
                }
            }
            // Without a previous entry only what follows the settled part can be taken.
            (None, Some(first)) if first != after(settled) => {
                Err(Inconsistent { next: self.log.next().min(first) })
            }
            (None, _) => Ok(()),
        }
    }

    /// Drops the log from `from` on: another leader's entries take the place.
    fn truncate(&mut self, from: u64) {
        self.log.truncate(from);
        self.configurations.truncate(from);
        if !planted!(self, DurableNotRewound) {
            self.durable = self.durable.min(from.checked_sub(1));
        }
        self.push(Effect::Truncate(from));
        let term = self.hard.term;
        for pending in &mut self.pending_replies {
            if pending.waits_for.is_some_and(|at| at.index >= from) {
                pending.waits_for = None;
                pending.reply.result = AppendResult::NotLeader.into();
                pending.reply.term = term;
                pending.reply.match_index = to_wire(None);
                if let Some(header) = &mut pending.reply.server_reply {
                    header.success = false;
                }
            }
        }
    }

    /// Commits what the leader said, as far as it is durable.
    pub(crate) fn follow_commit(&mut self) {
        self.commit_to(self.commit_target);
    }

    // ---- replies ------------------------------------------------------------------------------

    fn queue_reply(&mut self, pending: PendingReply) {
        if pending.reply.is_hearbeat {
            self.reply(pending.to, Reply::Append(self.completed(pending.reply)));
            return;
        }
        self.pending_replies.push_back(pending);
        self.release_replies();
    }

    /// Sends the replies whose entries are durable, in order.
    pub(crate) fn release_replies(&mut self) {
        while let Some(pending) = self.pending_replies.front() {
            let ready = pending.waits_for.is_none_or(|at| Some(at.index) <= self.durable);
            if !ready && !planted!(self, ReplyBeforeSync) {
                return;
            }
            let Some(pending) = self.pending_replies.pop_front() else { return };
            if pending.waits_for.is_some() {
                self.postpone_campaign();
            }
            self.reply(pending.to, Reply::Append(self.completed(pending.reply)));
        }
    }

    fn postpone_campaign(&mut self) {
        let now = self.now;
        if let RoleState::Follower(following) = &mut self.role {
            following.last_contact = now;
        }
    }

    fn completed(&self, mut reply: AppendEntriesReplyProto) -> AppendEntriesReplyProto {
        if reply.result == i32::from(AppendResult::Success) {
            reply.follower_commit = to_wire(self.commit);
        }
        reply
    }

    // ---- the leader's snapshot ----------------------------------------------------------------

    /// The leader purged what this node needs: the state machine is asked to fetch the leader's state.
    /// Chunks of a snapshot are refused, as every Ozone server does.
    pub fn snapshot_request(
        &mut self,
        now: Millis,
        to: ReplyTo,
        request: InstallSnapshotRequestProto,
    ) {
        self.advance_clock(now);
        let Some(header) = request.server_request.clone() else { return };
        let leader = PeerId::from_wire(&header.requestor_id);
        let term_before = self.hard.term;
        let mut answer = (InstallSnapshotResult::NotLeader, None);
        if self.recognize_leader(&leader, request.leader_term) {
            self.follow(&leader, request.leader_term);
            answer = match &request.install_snapshot_request_body {
                Some(InstallSnapshotRequestBody::Notification(notification)) => {
                    let first = notification.first_available_term_index.unwrap_or_default();
                    if let Some(conf) = request
                        .last_raft_configuration_log_entry_proto
                        .as_ref()
                        .and_then(Conf::from_entry)
                    {
                        self.configurations.adopt(conf);
                    }
                    self.notified(leader, TermIndex::new(first.term, first.index))
                }
                _ => (InstallSnapshotResult::ConfMismatch, None),
            };
        }
        let reply = self.snapshot_reply_to(&header, term_before, answer);
        self.reply(to, Reply::Snapshot(reply));
    }

    fn notified(
        &mut self,
        leader: PeerId,
        first_available: TermIndex,
    ) -> (InstallSnapshotResult, Option<u64>) {
        if self.installation.running {
            return (InstallSnapshotResult::InProgress, None);
        }
        if let Some(at) = self.installation.installed.take() {
            return (InstallSnapshotResult::SnapshotInstalled, Some(at.index));
        }
        let snapshot = self.snapshot.map(|at| at.index);
        if snapshot.is_some() && after(snapshot) >= first_available.index {
            return (InstallSnapshotResult::AlreadyInstalled, snapshot);
        }
        self.installation.running = true;
        self.push(Effect::InstallSnapshot { leader, first_available });
        (InstallSnapshotResult::InProgress, None)
    }

    fn snapshot_reply_to(
        &self,
        header: &RaftRpcRequestProto,
        term: u64,
        (result, index): (InstallSnapshotResult, Option<u64>),
    ) -> InstallSnapshotReplyProto {
        let success = !matches!(
            result,
            InstallSnapshotResult::NotLeader | InstallSnapshotResult::ConfMismatch
        );
        InstallSnapshotReplyProto {
            server_reply: self.reply_header(header, success),
            term,
            result: result.into(),
            // A Java leader insists on this case, with 0 where there is no index.
            install_snapshot_reply_body: Some(InstallSnapshotReplyBody::SnapshotIndex(
                index.unwrap_or(0),
            )),
        }
    }

    /// The installation asked for by [`Effect::InstallSnapshot`] ended: where the state stands now, or
    /// `None` if it failed (the leader will ask again).
    pub fn snapshot_installed(&mut self, now: Millis, at: Option<TermIndex>) {
        self.advance_clock(now);
        if !std::mem::take(&mut self.installation.running) {
            return;
        }
        let Some(at) = at else { return };
        self.installation.installed = Some(at);
        self.heard_from_leader();
        if Some(at.index) <= self.commit {
            return;
        }
        self.snapshot = self.snapshot.max(Some(at));
        if self.log.contains(at) && Some(at.index) <= self.durable {
            // The log goes on behind the snapshot and agrees with it.
            self.commit_target = self.commit_target.max(Some(at.index));
        } else {
            self.configurations.compact(Some(at.index));
            self.configurations.truncate(at.index.saturating_add(1));
            self.log.reset(at);
            self.durable = Some(at.index);
            self.push(Effect::ResetLog(at));
            for pending in &mut self.pending_replies {
                pending.waits_for = None;
            }
            self.commit_target = self.commit_target.max(Some(at.index));
        }
        self.commit = self.commit.max(Some(at.index));
        self.applied = self.applied.max(Some(at.index));
        self.release_replies();
        self.progress_made();
    }
}
