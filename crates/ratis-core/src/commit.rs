//! What is committed, and how far `watch` got (`LeaderStateImpl.updateCommit`, `WatchRequests`).

use ratis_proto::common::ReplicationLevel;

use crate::conf::Reached;
use crate::core::{Core, RoleState};
use crate::effect::{Effect, Outcome};
use crate::types::{Millis, PeerId};

impl Core {
    /// On the leader: what a majority has made durable is committed, if the entry is of this term
    /// (earlier ones follow along). The leader's own share is what it has synced.
    pub(crate) fn update_commit(&mut self) {
        if self.leading().is_none() {
            return;
        }
        let Some(majority) = self.matched().majority else { return };
        let of_this_term = self.log.term_at(majority) == Some(self.hard.term);
        if Some(majority) <= self.commit || !(of_this_term || planted!(self, CommitOldTerm)) {
            return;
        }
        let before = self.commit;
        self.commit_to(Some(majority));
        if self.commit > before {
            self.configuration_committed();
        }
    }

    /// How far entries are durable on the voters.
    fn matched(&self) -> Reached {
        let me = &self.settings.id;
        let mine =
            if planted!(self, LeaderCountsUnsynced) { self.log.last_index() } else { self.durable };
        self.conf()
            .reached(|id| if id == me { mine } else { self.peer(id).and_then(|peer| peer.matched) })
    }

    /// How far entries are committed on the voters, as they say.
    fn committed(&self) -> Reached {
        let me = &self.settings.id;
        self.conf().reached(|id| {
            if id == me { self.commit } else { self.peer(id).and_then(|peer| peer.commit) }
        })
    }

    /// How far the group got, by level of `watch`; `None` while nothing is reached, and on everybody but
    /// the leader.
    pub fn level(&self, level: ReplicationLevel) -> Option<u64> {
        self.leading()?;
        match level {
            ReplicationLevel::Majority => self.committed().any,
            ReplicationLevel::All => self.matched().all,
            ReplicationLevel::MajorityCommitted => self.committed().majority,
            ReplicationLevel::AllCommitted => self.committed().all,
        }
    }

    /// How far the group got by a level that asks for everybody ([`ReplicationLevel::All`] and
    /// [`ReplicationLevel::AllCommitted`]), leaving out the voters that were asked something `patience`
    /// milliseconds ago or longer and have said nothing since; never past what a majority is known to
    /// have committed. `None` for
    /// other levels, unless leading, and while nobody is that silent. Whoever waits for more than that
    /// waits for somebody who may never come.
    pub fn level_without_silent(
        &self,
        level: ReplicationLevel,
        now: Millis,
        patience: Millis,
    ) -> Option<u64> {
        let leading = self.leading()?;
        let is_silent = |id: &PeerId| {
            leading.progress.get(id).is_some_and(|peer| peer.is_silent(now, patience))
        };
        if !leading.progress.keys().any(is_silent) {
            return None;
        }
        let me = &self.settings.id;
        let by = |value: &dyn Fn(&PeerId) -> Option<u64>| {
            self.conf().reached(|id| if is_silent(id) { Some(u64::MAX) } else { value(id) }).all
        };
        let reached = match level {
            ReplicationLevel::All => by(&|id| {
                if id == me { self.durable } else { self.peer(id).and_then(|peer| peer.matched) }
            }),
            ReplicationLevel::AllCommitted => by(&|id| {
                if id == me { self.commit } else { self.peer(id).and_then(|peer| peer.commit) }
            }),
            ReplicationLevel::Majority | ReplicationLevel::MajorityCommitted => None,
        };
        // Whoever is told so takes those for lost that are not known to have it: a majority must be known.
        reached.min(self.committed().majority)
    }

    /// When the next voter becomes too silent for [`Self::level_without_silent`]; `None` while all
    /// that were asked have answered, or are so silent already.
    pub fn silence_deadline(&self, now: Millis, patience: Millis) -> Option<Millis> {
        let peers = self.leading()?.progress.values();
        let due = |since: Millis| since.saturating_add(patience);
        peers.filter_map(|peer| peer.silent_since).map(due).filter(|due| *due > now).min()
    }

    /// The leader's next step in a change of configuration, once an entry of it is committed.
    fn configuration_committed(&mut self) {
        let conf = self.conf();
        if !self.is_settled(conf) {
            return;
        }
        if conf.is_joint() {
            self.leave_joint_configuration();
            return;
        }
        let removed = !conf.is_member(&self.settings.id);
        let request = self.leading_mut().and_then(|leading| leading.conf_request.take());
        if let Some(id) = request {
            self.finish(id, Outcome::Done);
        }
        if removed {
            self.tell_commit_before_leaving();
            self.become_follower(self.hard.term, None);
            self.push(Effect::Removed);
        } else if !self.conf().is_voter(&self.settings.id) {
            // Now a listener: leads no more.
            self.become_follower(self.hard.term, None);
        }
    }

    /// A leader that is removed lets the others know that its last entry is committed.
    fn tell_commit_before_leaving(&mut self) {
        if let RoleState::Leader(leading) = &mut self.role {
            for peer in leading.progress.values_mut() {
                peer.heartbeat = None;
            }
            self.pump();
        }
    }

    /// Peers that only the old configuration had are not written to any more.
    pub(crate) fn drop_progress_of_strangers(&mut self) {
        let keep: Vec<PeerId> = self.conf().others(&self.settings.id);
        if let Some(leading) = self.leading_mut() {
            leading.progress.retain(|id, _| keep.contains(id));
        }
    }
}
