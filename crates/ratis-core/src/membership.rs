//! Changing who is in the group (`LeaderStateImpl.startSetConfiguration`).
//!
//! ```text
//!   set_configuration ─► new peers are brought up (initializing) ─► all close: told so, and they say yes
//!                         └ silent too long: given up                  │
//!      done ◄─ committed ◄─ new entry ◄─ committed by both majorities ◄─ joint entry
//! ```
//! A new peer votes only once it was told that it is brought up. That comes before the joint entry, so
//! that every voter of that configuration does vote; and after it holds the present configuration, so
//! that one that was wiped and taken in again cannot help those who lag behind its removal.

use ratis_proto::common::{RaftConfigurationProto, RaftPeerProto};

use crate::conf::Conf;
use crate::core::{Core, ProposeError};
use crate::effect::{Outcome, RequestId};
use crate::progress::Progress;
use crate::types::{Millis, PeerId, after};

/// A change of configuration whose new peers are brought up.
#[derive(Debug)]
pub(crate) struct Staging {
    pub(crate) id: RequestId,
    target: RaftConfigurationProto,
    since: Millis,
    new: Vec<PeerId>,
    /// All are close. The last call before: answers to later ones say that a peer knows.
    pub(crate) told_after: Option<u64>,
}

impl Staging {
    /// Whether the peer was not told yet that it is brought up.
    pub(crate) fn has_news_for(&self, id: &PeerId, sent_call: u64) -> bool {
        self.told_after.is_some_and(|call| sent_call <= call) && self.new.contains(id)
    }
}

impl Core {
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
        self.advance_clock(now);
        let now = self.now;
        self.check_leader()?;
        if peers.is_empty() {
            return Err(ProposeError::Invalid("a configuration needs at least one voter"));
        }
        let target =
            RaftConfigurationProto { peers, listeners, ..RaftConfigurationProto::default() };
        let wanted = Conf::new(None, target.clone());
        let unique = wanted.others(&self.settings.id).len()
            + usize::from(wanted.is_member(&self.settings.id));
        if unique != target.peers.len() + target.listeners.len() {
            return Err(ProposeError::Invalid("a peer is named twice"));
        }
        if self.is_changing() {
            return Err(ProposeError::Busy);
        }
        if target.peers == self.conf().proto.peers
            && target.listeners == self.conf().proto.listeners
        {
            self.finish(id, Outcome::Done);
            return Ok(());
        }
        let new: Vec<PeerId> = wanted
            .others(&self.settings.id)
            .into_iter()
            .filter(|peer| !self.conf().is_member(peer))
            .collect();
        let Some(leading) = self.leading_mut() else { return Err(ProposeError::NotLeader) };
        for peer in &new {
            // From the first entry on; silence is counted from now.
            leading.progress.insert(peer.clone(), Progress::new(0, false, now));
        }
        leading.staging = Some(Staging { id, target, since: now, new, told_after: None });
        self.check_staging();
        Ok(())
    }

    /// Whether a change of configuration is under way.
    pub(crate) fn is_changing(&self) -> bool {
        let conf = self.conf();
        let staging = self.leading().is_some_and(|leading| leading.staging.is_some());
        conf.is_joint() || !self.is_settled(conf) || staging
    }

    /// Looks how far the new peers are: all close enough, or one silent for too long.
    pub(crate) fn check_staging(&mut self) {
        let settings = &self.settings;
        let conf_index = self.conf().at.map(|at| at.index);
        let Some(leading) = self.leading() else { return };
        let Some(staging) = &leading.staging else { return };
        let mut all_close = true;
        let mut all_know = true;
        let mut gone = false;
        for peer in staging.new.iter().filter_map(|id| leading.progress.get(id)) {
            let silence = self.now.saturating_sub(peer.last_reply.max(staging.since));
            gone |= silence >= settings.staging_timeout();
            let near =
                after(peer.matched).saturating_add(settings.staging_gap_max) > after(self.commit);
            let lively = silence <= settings.election_timeout_max;
            all_close &= near && lively && peer.matched.is_some() && peer.matched >= conf_index;
            all_know &= staging.told_after.is_some_and(|call| peer.acked_call > call);
        }
        if gone {
            self.give_up_staging();
        } else if all_know {
            self.enter_joint_configuration();
        } else if all_close {
            self.tell_brought_up();
        }
    }

    fn tell_brought_up(&mut self) {
        let Some(leading) = self.leading_mut() else { return };
        let Some(staging) = &mut leading.staging else { return };
        if staging.told_after.is_none() {
            staging.told_after = Some(leading.last_call);
            for id in &staging.new {
                if let Some(peer) = leading.progress.get_mut(id) {
                    peer.caught_up = true;
                }
            }
        }
    }

    fn give_up_staging(&mut self) {
        let Some(leading) = self.leading_mut() else { return };
        let Some(staging) = leading.staging.take() else { return };
        leading.progress.retain(|id, _| !staging.new.contains(id));
        self.finish(staging.id, Outcome::TimedOut);
    }

    fn enter_joint_configuration(&mut self) {
        let old = self.conf().proto.clone();
        let Some(leading) = self.leading_mut() else { return };
        let Some(staging) = leading.staging.take() else { return };
        leading.conf_request = Some(staging.id);
        let joint = RaftConfigurationProto {
            old_peers: old.peers,
            old_listeners: old.listeners,
            ..staging.target
        };
        self.append_configuration(if planted!(self, NoJointConfiguration) {
            RaftConfigurationProto { old_peers: Vec::new(), old_listeners: Vec::new(), ..joint }
        } else {
            joint
        });
        self.update_commit();
    }

    /// The joint configuration is committed: the new one may stand alone.
    pub(crate) fn leave_joint_configuration(&mut self) {
        let stable = RaftConfigurationProto {
            old_peers: Vec::new(),
            old_listeners: Vec::new(),
            ..self.conf().proto.clone()
        };
        self.append_configuration(stable);
        self.drop_progress_of_strangers();
        self.update_commit();
    }
}
