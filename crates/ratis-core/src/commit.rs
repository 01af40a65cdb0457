//! What is committed, and how far `watch` got (`LeaderStateImpl.updateCommit`, `WatchRequests`).

use ratis_proto::common::ReplicationLevel;

use crate::conf::Reached;
use crate::core::{Core, RoleState};
use crate::effect::{Effect, Outcome};
use crate::types::PeerId;

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
