//! Handing leadership over: on request, or to a follower of higher priority (`TransferLeadership`).

use ratis_proto::common::{StartLeaderElectionReplyProto, StartLeaderElectionRequestProto};

use crate::core::{Core, ProposeError, RoleState};
use crate::effect::{Effect, Message, Outcome, Reply, ReplyTo, RequestId};
use crate::types::{Millis, PeerId, TermIndex, last_from_wire};

/// A transfer under way on the leader; no proposals are taken meanwhile.
#[derive(Debug)]
pub(crate) struct Transfer {
    /// `None` when the leader yields by itself.
    id: Option<RequestId>,
    to: PeerId,
    deadline: Millis,
    asked_at: Option<Millis>,
}

/// A transfer whose leader stepped down: it is done once the wanted peer is seen leading.
#[derive(Debug)]
pub(crate) struct HandingOver {
    id: RequestId,
    to: PeerId,
    pub(crate) deadline: Millis,
}

impl Core {
    /// Hands leadership to `to`, which must have the highest priority; `None` only steps down. Ends
    /// with [`Effect::Finished`], at the latest after `timeout`.
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
        self.advance_clock(now);
        self.check_leader()?;
        let Some(to) = to else {
            let wait = self.now.saturating_add(self.settings.step_down_wait);
            self.become_follower(self.hard.term, Some(wait));
            self.finish(id, Outcome::Done);
            return Ok(());
        };
        if to == self.settings.id {
            self.finish(id, Outcome::Done);
            return Ok(());
        }
        if self.is_changing() || self.handing_over.is_some() {
            return Err(ProposeError::Busy);
        }
        let conf = self.conf();
        let priority = conf.priority(&to);
        if priority.is_none() {
            return Err(ProposeError::Invalid("the new leader is no voter of this group"));
        }
        if conf.voters.iter().any(|voter| conf.priority(voter) > priority) {
            return Err(ProposeError::Invalid("the new leader does not have the highest priority"));
        }
        self.start_transfer(Some(id), to, timeout);
        Ok(())
    }

    fn start_transfer(&mut self, id: Option<RequestId>, to: PeerId, timeout: Millis) {
        let deadline = self.now.saturating_add(timeout);
        if let Some(leading) = self.leading_mut() {
            leading.transfer = Some(Transfer { id, to, deadline, asked_at: None });
        }
        self.push_transfer();
    }

    /// Asks the chosen follower to campaign once it has everything.
    pub(crate) fn push_transfer(&mut self) {
        let now = self.now;
        let again = self.settings.heartbeat_interval();
        let last = self.log.last();
        let Some(leading) = self.leading_mut() else { return };
        let Some(transfer) = &mut leading.transfer else { return };
        let matched = leading.progress.get(&transfer.to).and_then(|peer| peer.matched);
        let complete = matched >= last.map(|last| last.index);
        let asked = transfer.asked_at.is_some_and(|at| now.saturating_sub(at) < again);
        if !complete || asked {
            return;
        }
        transfer.asked_at = Some(now);
        let to = transfer.to.clone();
        let request = StartLeaderElectionRequestProto {
            server_request: self.request_header(&to, 0),
            leader_last_entry: last.map(Into::into),
        };
        self.push(Effect::Send(to, Message::StartElection(request)));
    }

    pub(crate) fn tick_transfer(&mut self) {
        let now = self.now;
        let again = now.saturating_add(self.settings.election_timeout_max);
        let Some(leading) = self.leading_mut() else { return };
        if leading.transfer.as_ref().is_some_and(|transfer| now >= transfer.deadline) {
            leading.yield_not_before = again;
            if let Some(id) = leading.transfer.take().and_then(|transfer| transfer.id) {
                self.finish(id, Outcome::TimedOut);
            }
            return;
        }
        self.push_transfer();
    }

    /// The leader stepped down while handing over.
    pub(crate) fn hand_over(&mut self, transfer: Transfer, now: Millis) {
        let Transfer { id: Some(id), to, deadline, .. } = transfer else { return };
        self.handing_over = Some(HandingOver { id, to, deadline: deadline.max(now) });
    }

    /// A leader was seen.
    pub(crate) fn end_handing_over(&mut self) {
        let Some(it) = self.handing_over.take() else { return };
        let done = self.leader.as_ref() == Some(&it.to);
        self.finish(it.id, if done { Outcome::Done } else { Outcome::LeadershipLost });
    }

    pub(crate) fn tick_handing_over(&mut self) {
        if let Some(it) = self.handing_over.take_if(|it| self.now >= it.deadline) {
            self.finish(it.id, Outcome::TimedOut);
        }
    }

    /// A follower of higher priority that has everything and answers takes over.
    pub(crate) fn yield_to_higher_priority(&mut self) {
        let conf = self.conf();
        let me = &self.settings.id;
        let last = self.log.last_index();
        let Some(leading) = self.leading() else { return };
        let busy = leading.transfer.is_some() || leading.staging.is_some();
        if busy || self.now < leading.yield_not_before {
            return;
        }
        let mine = conf.priority(me);
        let highest = conf.voters.iter().map(|id| conf.priority(id)).max().flatten();
        if mine.is_none() || mine >= highest {
            return;
        }
        let heir = conf.voters.iter().find(|id| {
            let complete = leading.progress.get(id).is_some_and(|peer| {
                let silence = self.now.saturating_sub(peer.last_reply);
                peer.matched >= last && silence < self.settings.election_timeout_min
            });
            conf.priority(id) == highest && complete
        });
        if let Some(heir) = heir.cloned() {
            let timeout = self.settings.election_timeout_min;
            self.start_transfer(None, heir, timeout);
        }
    }

    /// The leader wants this node to lead: campaigns at once, without asking around first.
    pub fn start_election_request(
        &mut self,
        now: Millis,
        to: ReplyTo,
        request: &StartLeaderElectionRequestProto,
    ) {
        self.advance_clock(now);
        let Some(header) = &request.server_request else { return };
        let leader = PeerId::from_wire(&header.requestor_id);
        let theirs: Option<TermIndex> = last_from_wire(request.leader_last_entry.as_ref());
        let willing = theirs.is_some_and(|last| self.recognize_leader(&leader, last.term))
            && matches!(self.role, RoleState::Follower(_))
            && self.may_campaign()
            && self.log.last() >= theirs;
        let reply =
            StartLeaderElectionReplyProto { server_reply: self.reply_header(header, willing) };
        self.reply(to, Reply::StartElection(reply));
        if willing {
            self.campaign(true);
        }
    }

    /// The chosen follower answered; whether it wins will show by itself. If it refuses, a leader that
    /// yields of its own accord goes on leading for a while.
    pub fn start_election_reply(
        &mut self,
        now: Millis,
        from: &PeerId,
        reply: &StartLeaderElectionReplyProto,
    ) {
        self.advance_clock(now);
        let willing = reply.server_reply.as_ref().is_some_and(|header| header.success);
        let again = self.now.saturating_add(self.settings.election_timeout_max);
        let Some(leading) = self.leading_mut() else { return };
        let yielding = |it: &mut Transfer| it.id.is_none() && it.to == *from;
        if !willing && leading.transfer.take_if(yielding).is_some() {
            leading.yield_not_before = again;
        }
    }
}
