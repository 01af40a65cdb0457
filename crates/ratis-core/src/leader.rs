//! Leading: proposals, what is sent to whom, and what followers answer (`LeaderStateImpl`,
//! `GrpcLogAppender`).
//!
//! Nothing is sent while an input is handled: [`Core::take_effects`] calls `pump`, which looks at every
//! follower and sends what is due. So proposals that come together travel together.

use std::collections::BTreeMap;

use prost::Message as _;
use ratis_proto::common::append_entries_reply_proto::AppendResult;
use ratis_proto::common::log_entry_proto::LogEntryBody;
use ratis_proto::common::{
    AppendEntriesReplyProto, AppendEntriesRequestProto, LogEntryProto, RaftConfigurationProto,
    StateMachineLogEntryProto,
};

use crate::conf::Conf;
use crate::core::{Core, ProposeError, RoleState};
use crate::effect::{Effect, Message, Outcome, RequestId};
use crate::membership::Staging;
use crate::progress::{Heartbeat, InFlight, Progress};
use crate::read::WaitingRead;
use crate::transfer::Transfer;
use crate::types::{Millis, PeerId, TermIndex, from_wire, to_wire};

/// Call ids carry the term above this bit, so that answers to an earlier leadership are recognised.
const CALL_TERM_SHIFT: u32 = 40;
/// The bits of a term that a call id carries; keeps the id positive for Java.
const CALL_TERM_MASK: u64 = (1 << 23) - 1;

/// What only a leader has.
#[derive(Debug)]
pub(crate) struct Leading {
    pub(crate) since: Millis,
    /// The first entry of the term.
    pub(crate) start_index: u64,
    /// That entry is applied.
    pub(crate) ready: bool,
    pub(crate) progress: BTreeMap<PeerId, Progress>,
    /// The last call id, counting over all followers.
    pub(crate) last_call: u64,
    pub(crate) last_ticket: u64,
    pub(crate) staging: Option<Staging>,
    /// Who waits for the configuration in force to be committed.
    pub(crate) conf_request: Option<RequestId>,
    pub(crate) transfer: Option<Transfer>,
    /// After a follower of higher priority did not take over.
    pub(crate) yield_not_before: Millis,
    pub(crate) reads: Vec<WaitingRead>,
}

impl Leading {
    pub(crate) fn next_call(&mut self) -> u64 {
        self.last_call += 1;
        self.last_call
    }
}

impl Core {
    pub(crate) fn leading(&self) -> Option<&Leading> {
        match &self.role {
            RoleState::Leader(leading) => Some(leading),
            _ => None,
        }
    }

    pub(crate) fn leading_mut(&mut self) -> Option<&mut Leading> {
        match &mut self.role {
            RoleState::Leader(leading) => Some(leading),
            _ => None,
        }
    }

    fn first_call_of(term: u64) -> u64 {
        (term & CALL_TERM_MASK) << CALL_TERM_SHIFT
    }

    // ---- coming and going ---------------------------------------------------------------------

    pub(crate) fn become_leader(&mut self) {
        let long_ago = self.now.saturating_sub(self.settings.election_timeout_max);
        let next = self.log.next();
        let progress = self
            .conf()
            .others(&self.settings.id)
            .into_iter()
            .map(|id| (id, Progress::new(next, true, long_ago)))
            .collect();
        self.role = RoleState::Leader(Box::new(Leading {
            since: self.now,
            start_index: next,
            ready: false,
            progress,
            last_call: Self::first_call_of(self.hard.term),
            last_ticket: Self::first_call_of(self.hard.term),
            staging: None,
            conf_request: None,
            transfer: None,
            yield_not_before: 0,
            reads: Vec::new(),
        }));
        self.leader = Some(self.settings.id.clone());
        self.met_leader = true;
        self.end_handing_over();
        self.announce();
        // Commits what earlier terms left, and tells everyone the configuration. A joint one stays
        // joint: only once it is committed may the new one stand alone.
        let proto = self.conf().proto.clone();
        self.append_configuration(proto);
        self.update_commit();
    }

    /// What waits for this leader ends. The role is replaced by the caller.
    pub(crate) fn stop_leading(&mut self) {
        let now = self.now;
        let Some(leading) = self.leading_mut() else { return };
        let reads = std::mem::take(&mut leading.reads);
        let changes = [leading.staging.take().map(|it| it.id), leading.conf_request.take()];
        let transfer = leading.transfer.take();
        for read in reads {
            self.fail_read(read);
        }
        for id in changes.into_iter().flatten() {
            self.finish(id, Outcome::LeadershipLost);
        }
        if let Some(transfer) = transfer {
            self.hand_over(transfer, now);
        }
    }

    // ---- proposals ----------------------------------------------------------------------------

    /// Whether a client's request can be taken now.
    ///
    /// # Errors
    /// See [`ProposeError`].
    pub fn check_leader(&self) -> Result<(), ProposeError> {
        let leading = self.leading().ok_or(ProposeError::NotLeader)?;
        if leading.transfer.is_some() {
            return Err(ProposeError::SteppingDown);
        }
        if !leading.ready && !planted!(self, UnreadyLeaderServes) {
            return Err(ProposeError::NotReady);
        }
        Ok(())
    }

    /// Appends a client's entry; it comes out in an [`Effect::Append`] with its term and index. Bulk
    /// data ride inside (`stateMachineEntry.stateMachineData`).
    ///
    /// # Errors
    /// See [`ProposeError`].
    pub fn propose(
        &mut self,
        now: Millis,
        entry: StateMachineLogEntryProto,
    ) -> Result<TermIndex, ProposeError> {
        self.advance_clock(now);
        self.check_leader()?;
        Ok(self.append_body(LogEntryBody::StateMachineLogEntry(entry)))
    }

    fn append_body(&mut self, body: LogEntryBody) -> TermIndex {
        let at = TermIndex::new(self.hard.term, self.log.next());
        let entry = LogEntryProto { term: at.term, index: at.index, log_entry_body: Some(body) };
        self.log.append(at.term, entry.encoded_len());
        if let Some(conf) = Conf::from_entry(&entry) {
            self.configurations.append(conf);
        }
        self.push_append(vec![entry]);
        at
    }

    pub(crate) fn append_configuration(&mut self, proto: RaftConfigurationProto) {
        self.append_body(LogEntryBody::ConfigurationEntry(proto));
        self.announce();
    }

    // ---- time ---------------------------------------------------------------------------------

    pub(crate) fn tick_leader(&mut self) {
        if !self.check_leadership() {
            return;
        }
        self.report_slow_followers();
        self.check_staging();
        self.tick_transfer();
        self.yield_to_higher_priority();
    }

    /// Whether a majority answered within the longest election timeout; steps down if not.
    pub(crate) fn check_leadership(&mut self) -> bool {
        let limit = self.settings.election_timeout_max;
        let (now, me) = (self.now, &self.settings.id);
        let Some(leading) = self.leading() else { return false };
        if now.saturating_sub(leading.since) < limit {
            return true;
        }
        let active = |id: &PeerId| {
            id == me
                || leading
                    .progress
                    .get(id)
                    .is_some_and(|peer| now.saturating_sub(peer.last_reply) <= limit)
        };
        if self.conf().has_majority(active) {
            return true;
        }
        let wait = now.saturating_add(self.settings.step_down_wait);
        self.become_follower(self.hard.term, Some(wait));
        false
    }

    fn report_slow_followers(&mut self) {
        let (now, slowness) = (self.now, self.settings.slowness_timeout);
        let Some(leading) = self.leading_mut() else { return };
        let since = leading.since;
        let mut slow = Vec::new();
        for (id, peer) in &mut leading.progress {
            let silent = now.saturating_sub(peer.last_reply.max(since)) >= slowness;
            if silent && !peer.slow_reported {
                peer.slow_reported = true;
                slow.push(id.clone());
            }
        }
        for id in slow {
            self.push(Effect::Slow(Some(id)));
        }
    }

    pub(crate) fn leader_deadline(&self, leading: &Leading) -> Millis {
        let settings = &self.settings;
        let check = self.now.saturating_add(settings.heartbeat_interval());
        leading.progress.values().fold(check, |deadline, peer| {
            let heartbeat = peer.last_reply.saturating_add(settings.heartbeat_after_reply()).max(
                peer.last_heartbeat
                    .map_or(0, |at| at.saturating_add(settings.heartbeat_interval())),
            );
            let retry = if peer.retry_at > self.now { peer.retry_at } else { Millis::MAX };
            deadline.min(heartbeat.max(peer.retry_at)).min(retry)
        })
    }

    /// Time since each follower's last reply, in milliseconds (`groupInfo`); empty unless leading.
    pub fn follower_silence(&self, now: Millis) -> Vec<(PeerId, Millis)> {
        let Some(leading) = self.leading() else { return Vec::new() };
        let silence = |(id, peer): (&PeerId, &Progress)| {
            (id.clone(), now.saturating_sub(peer.last_reply.max(leading.since)))
        };
        leading.progress.iter().map(silence).collect()
    }

    // ---- sending ------------------------------------------------------------------------------

    /// Sends what is due to everyone.
    pub(crate) fn pump(&mut self) {
        let Some(leading) = self.leading() else { return };
        let peers: Vec<PeerId> = leading.progress.keys().cloned().collect();
        for peer in &peers {
            self.pump_peer(peer);
        }
    }

    fn pump_peer(&mut self, id: &PeerId) {
        if self.reset_if_timed_out(id) {
            return;
        }
        let Some(peer) = self.peer(id) else { return };
        if self.now < peer.retry_at {
            return;
        }
        if self.needs_snapshot(peer) {
            self.notify_snapshot(id);
        } else {
            self.send_entries(id);
        }
        if self.heartbeat_is_due(id) {
            self.send_heartbeat(id);
        }
    }

    pub(crate) fn peer(&self, id: &PeerId) -> Option<&Progress> {
        self.leading().and_then(|leading| leading.progress.get(id))
    }

    pub(crate) fn peer_mut(&mut self, id: &PeerId) -> Option<&mut Progress> {
        self.leading_mut().and_then(|leading| leading.progress.get_mut(id))
    }

    fn reset_if_timed_out(&mut self, id: &PeerId) -> bool {
        let (now, timeout) = (self.now, self.settings.request_timeout);
        let Some(peer) = self.peer_mut(id) else { return false };
        let oldest = peer.in_flight.front().map(|request| request.sent_at);
        if oldest.is_none_or(|sent_at| now.saturating_sub(sent_at) < timeout) {
            return false;
        }
        peer.rewind();
        self.push(Effect::ResetStream(id.clone()));
        true
    }

    fn send_entries(&mut self, id: &PeerId) {
        let outstanding_max = self.settings.append_outstanding_max;
        loop {
            let Some(peer) = self.peer(id) else { return };
            let first = peer.next;
            let open = peer.window_is_open(outstanding_max) && peer.loading.is_none();
            if !open || first >= self.log.next() {
                return;
            }
            if first < self.log.hot_from() {
                self.load(id, first);
                return;
            }
            let settings = &self.settings;
            let entries =
                self.log.fitting(first, settings.append_entries_max, settings.append_bytes_max);
            if entries == 0 {
                return;
            }
            self.send_append(id, first, first.saturating_add(entries));
        }
    }

    fn load(&mut self, id: &PeerId, first: u64) {
        let entries_max = self.settings.append_entries_max;
        let Some(leading) = self.leading_mut() else { return };
        // Tickets never repeat, also not in a later leadership.
        leading.last_ticket += 1;
        let ticket = leading.last_ticket;
        if let Some(peer) = leading.progress.get_mut(id) {
            peer.loading = Some((ticket, first));
        }
        self.push(Effect::Load { peer: id.clone(), ticket, first, entries_max });
    }

    /// The load with this ticket is done: `entries` of them (0: it failed, and is tried again after
    /// a while). True if an [`Effect::Send`] of exactly these follows; else they are to be forgotten,
    /// for they may be older than the log is now.
    #[must_use = "entries that are not sent must not be kept"]
    pub fn loaded(&mut self, now: Millis, peer: &PeerId, ticket: u64, entries: u64) -> bool {
        self.advance_clock(now);
        let retry_at = self.now.saturating_add(self.settings.heartbeat_interval());
        let log_next = self.log.next();
        let Some(progress) = self.peer_mut(peer) else { return false };
        let Some((expected, first)) = progress.loading else { return false };
        if expected != ticket {
            return false;
        }
        progress.loading = None;
        if entries == 0 {
            progress.retry_at = retry_at;
            return false;
        }
        let end = first.saturating_add(entries);
        if progress.next != first || end > log_next {
            return false;
        }
        self.send_append(peer, first, end);
        true
    }

    fn send_append(&mut self, id: &PeerId, first: u64, end: u64) {
        let previous = first.checked_sub(1).and_then(|index| self.place(index));
        let now = self.now;
        let commit = self.commit.min(end.checked_sub(1));
        let Some(leading) = self.leading_mut() else { return };
        let call = leading.next_call();
        let Some(peer) = leading.progress.get_mut(id) else { return };
        peer.in_flight.push_back(InFlight { call, first, end, sent_at: now });
        peer.asked(now);
        peer.next = end;
        peer.sent_call = call;
        peer.commit_told = peer.commit_told.max(commit);
        let request = self.append_message(id, call, previous, commit, false);
        self.push(Effect::Send(id.clone(), Message::Append { request, entries: first..end }));
    }

    /// Term of an entry that stands before what is sent.
    fn place(&self, index: u64) -> Option<TermIndex> {
        self.log
            .term_at(index)
            .map(|term| TermIndex { term, index })
            .or_else(|| self.snapshot.filter(|at| at.index == index))
    }

    /// Whether a heartbeat is due, and why: for the clock, a commit to tell, or a read to confirm.
    fn heartbeat_is_due(&self, id: &PeerId) -> bool {
        let Some(leading) = self.leading() else { return false };
        let Some(peer) = leading.progress.get(id) else { return false };
        let silent =
            self.now.saturating_sub(peer.last_reply) >= self.settings.heartbeat_after_reply();
        let rested = peer
            .last_heartbeat
            .is_none_or(|at| self.now.saturating_sub(at) >= self.settings.heartbeat_interval());
        if silent && rested {
            return true;
        }
        if peer.heartbeat.is_some() && !rested {
            return false;
        }
        let idle = peer.in_flight.is_empty() && peer.loading.is_none();
        let tellable = self.commit.min(peer.next.checked_sub(1));
        let untold = idle && tellable > peer.commit_told && tellable > peer.commit;
        let unread = leading.reads.iter().any(|read| read.waits_for_heartbeat_to(peer));
        let news = leading.staging.as_ref().is_some_and(|it| it.has_news_for(id, peer.sent_call));
        untold || unread || news
    }

    fn send_heartbeat(&mut self, id: &PeerId) {
        let now = self.now;
        let gossip_interval = self.settings.heartbeat_interval();
        let Some(peer) = self.peer(id) else { return };
        let idle = peer.in_flight.is_empty() && peer.loading.is_none();
        // With entries in flight only what is confirmed can be relied on.
        let known = if idle { peer.next.checked_sub(1) } else { peer.matched };
        let previous = known.and_then(|index| self.place(index));
        let commit = if planted!(self, CommitUnverified) {
            self.commit
        } else {
            self.commit.min(previous.map(|at| at.index))
        };
        let gossip = peer.gossiped_at.is_none_or(|at| now.saturating_sub(at) >= gossip_interval);
        let Some(leading) = self.leading_mut() else { return };
        let call = leading.next_call();
        let Some(peer) = leading.progress.get_mut(id) else { return };
        let first = previous.map(|at| at.index.saturating_add(1));
        peer.heartbeat = Some(Heartbeat { call, first, sent_at: now });
        peer.asked(now);
        peer.last_heartbeat = Some(now);
        peer.sent_call = call;
        peer.commit_told = peer.commit_told.max(commit);
        if gossip {
            peer.gossiped_at = Some(now);
        }
        let request = self.append_message(id, call, previous, commit, gossip);
        self.push(Effect::Send(id.clone(), Message::Append { request, entries: 0..0 }));
    }

    fn append_message(
        &self,
        id: &PeerId,
        call: u64,
        previous: Option<TermIndex>,
        commit: Option<u64>,
        gossip: bool,
    ) -> AppendEntriesRequestProto {
        AppendEntriesRequestProto {
            server_request: self.request_header(id, call),
            leader_term: self.hard.term,
            previous_log: previous.map(Into::into),
            entries: Vec::new(),
            leader_commit: to_wire(commit),
            initializing: self.peer(id).is_some_and(|peer| !peer.caught_up),
            commit_infos: if gossip { self.commit_infos() } else { Vec::new() },
        }
    }

    // ---- replies ------------------------------------------------------------------------------

    /// A follower answered an append request or heartbeat.
    pub fn append_reply(&mut self, now: Millis, from: &PeerId, reply: &AppendEntriesReplyProto) {
        self.advance_clock(now);
        let now = self.now;
        let term = self.hard.term;
        let call = reply.server_reply.as_ref().map_or(0, |header| header.call_id);
        let of_this_term = call & !((1 << CALL_TERM_SHIFT) - 1) == Self::first_call_of(term);
        let Some(leading) = self.leading_mut() else { return };
        let Some(peer) = leading.progress.get_mut(from) else { return };
        if !of_this_term {
            return;
        }
        let request = peer.answered(call);
        let heartbeat = peer.heartbeat.filter(|heartbeat| heartbeat.call == call);
        if peer.heartbeat.is_some_and(|heartbeat| heartbeat.call <= call) {
            peer.heartbeat = None;
        }
        peer.spoke(now);
        let result = AppendResult::try_from(reply.result);
        if !matches!(result, Ok(AppendResult::NotLeader) | Err(_)) {
            // A request with entries that went well opens the pipeline, a refused one closes it: then
            // one request at a time looks for the place where the logs agree.
            peer.established = match result {
                Ok(AppendResult::Success) => peer.established || !reply.is_hearbeat,
                _ => false,
            };
            peer.acked_call = peer.acked_call.max(call);
        }
        match result {
            Ok(AppendResult::Success) => self.succeeded(from, reply),
            Ok(AppendResult::NotLeader) => self.refused(from, reply.term),
            Ok(AppendResult::Inconsistency) => {
                let first = request.map(|it| it.first).or(heartbeat.and_then(|it| it.first));
                if request.is_some() || heartbeat.is_some() {
                    self.inconsistent(from, first, reply.next_index);
                }
            }
            Err(_) => {}
        }
        self.confirm_reads();
        self.check_staging();
    }

    fn succeeded(&mut self, from: &PeerId, reply: &AppendEntriesReplyProto) {
        let last = self.log.last_index();
        let Some(peer) = self.peer_mut(from) else { return };
        let commit = from_wire(reply.follower_commit);
        let mut news = commit > peer.commit;
        peer.commit = peer.commit.max(commit);
        let matched = from_wire(reply.match_index).filter(|_| !reply.is_hearbeat);
        // More than there is cannot be right: no number from a peer moves the commit index.
        if let Some(index) = matched.filter(|index| Some(*index) <= last)
            && peer.confirm(index)
        {
            news = true;
            self.update_commit();
            self.push_transfer();
        }
        if news {
            self.progress_made();
        }
    }

    fn refused(&mut self, from: &PeerId, their_term: u64) {
        let caught_up = self.peer(from).is_some_and(|peer| peer.caught_up);
        if caught_up && their_term > self.hard.term {
            self.become_follower(their_term, None);
        }
    }

    fn inconsistent(&mut self, from: &PeerId, first: Option<u64>, wanted: u64) {
        let (log_start, log_next) = (self.log.start(), self.log.next());
        let Some(peer) = self.peer_mut(from) else { return };
        let next = peer.next_after_inconsistency(first, wanted, log_start, log_next);
        peer.in_flight.clear();
        peer.loading = None;
        peer.next = next;
    }

    /// A stream to the peer broke, or an append failed: what is in flight counts as lost. `call` is the
    /// call id of the failed request where known (trailer `call-id`). Nothing is sent to the peer before
    /// `retry_at` (the engine's back-off).
    pub fn stream_failed(
        &mut self,
        now: Millis,
        peer: &PeerId,
        call: Option<u64>,
        retry_at: Millis,
    ) {
        self.advance_clock(now);
        let latest = self.now.saturating_add(self.settings.request_timeout);
        let Some(progress) = self.peer_mut(peer) else { return };
        // A late report about a stream that was replaced already.
        let stale = call.is_some_and(|call| {
            progress.in_flight.iter().all(|request| request.call != call)
                && progress.heartbeat.is_none_or(|heartbeat| heartbeat.call != call)
        });
        if stale && !progress.in_flight.is_empty() {
            return;
        }
        progress.rewind();
        progress.retry_at = retry_at.min(latest);
    }
}
