//! Where the two must agree.

use std::collections::BTreeMap;

use raft::StateRole;

use super::Difference;
use super::script::{Member, Script, id, node_of};
use crate::core::RoleState;
use crate::election::Phase;

impl Script {
    /// Where the leader goes on after a rejection, against their progress of a follower.
    pub(super) fn next_after_rejection(
        &mut self,
        from: usize,
        to: usize,
        matched: Option<u64>,
        first: u64,
        wanted: u64,
    ) -> Result<(), String> {
        let Some(peer) = self.members[to].core.peer(&id(from)) else { return Ok(()) };
        // What is in flight was given up; the first request since then begins where it goes on.
        let ours = peer.in_flight.front().map_or(peer.next, |request| request.first);
        self.tally.compared += 1;
        let mut theirs = raft::Progress::new(first + 1, 8);
        theirs.matched = crate::types::after(matched);
        theirs.become_probe();
        theirs.next_idx = first + 1;
        theirs.maybe_decr_to(first, wanted, raft::INVALID_INDEX);
        let theirs = theirs.next_idx.saturating_sub(1).max(crate::types::after(matched));
        if ours == theirs {
            return Ok(());
        }
        if wanted > first && ours > theirs {
            self.allow(Difference::GoOnAhead);
            return Ok(());
        }
        if first == crate::types::after(matched) && ours < theirs {
            self.allow(Difference::BehindConfirmed);
            return Ok(());
        }
        Err(format!(
            "{to} goes on at {ours} after {from} refused {first} and wanted {wanted}, theirs at {theirs}"
        ))
    }

    pub(super) fn compare(&mut self, node: usize) -> Result<(), String> {
        let member = &mut self.members[node];
        member.twin.settle();
        // Only a leader without a majority that answers leaves within its term.
        let left = matches!(&member.core.role, RoleState::Follower(_))
            && member.core.hard.term == member.twin.term();
        if left && member.twin.role() == StateRole::Leader {
            member.twin.step_down();
            self.allow(Difference::SteppedDown);
        }
        self.tally.compared += 1;
        let Member { core, twin, log, .. } = &self.members[node];
        let role = match &core.role {
            RoleState::Follower(_) => StateRole::Follower,
            RoleState::Leader(_) => StateRole::Leader,
            RoleState::Candidate(it) if it.phase == Phase::PreVote => StateRole::PreCandidate,
            RoleState::Candidate(_) => StateRole::Candidate,
        };
        let voted = core.hard.voted_for.as_ref().map(node_of);
        let leader = core.leader.as_ref().map(node_of);
        let ours = (core.hard.term, role, voted, leader, core.log.last(), core.commit);
        let theirs =
            (twin.term(), twin.role(), twin.vote(), twin.leader(), twin.last(), twin.commit());
        if ours != theirs {
            return Err(format!(
                "{node} stands at (term, role, vote, leader, last, commit)\n  ours   {ours:?}\n  theirs {theirs:?}"
            ));
        }
        for entry in log.iter().rev().take(8) {
            if twin.term_at(entry.index) != Some(entry.term) {
                return Err(format!(
                    "{node} has term {} at {}, its twin {:?}",
                    entry.term,
                    entry.index,
                    twin.term_at(entry.index)
                ));
            }
        }
        if let Some(leading) = core.leading() {
            let mut matched: BTreeMap<usize, (Option<u64>, Option<u64>)> = BTreeMap::new();
            for (peer, progress) in &leading.progress {
                let peer = node_of(peer);
                matched.insert(peer, (progress.matched, twin.matched(peer)));
            }
            if matched.values().any(|(ours, theirs)| ours != theirs) {
                return Err(format!("{node} believes its peers at (ours, theirs) {matched:?}"));
            }
        }
        Ok(())
    }
}
