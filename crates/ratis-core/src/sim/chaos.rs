//! What happens to a group during a run: clients, operators, faults; and the end, when all is well again.

use bytes::Bytes;
use ratis_log::files::Change;
use ratis_proto::common::{RaftConfigurationProto, RaftPeerProto, StateMachineLogEntryProto};

use super::node::Machine;
use super::rng::Rng;
use super::world::{Event, World, id, node_of, peer, trace};
use crate::bugs::Bug;
use crate::types::{HardState, TermIndex};
use crate::{PeerId, RequestId, Role};

/// Entries of a leader that are not committed, at most; an engine has such a bound, too.
const PENDING_MAX: u64 = 40;

/// Entries of a log, so that everybody can catch up in the end.
const ENTRIES_MAX: u64 = 600;

/// Calls that a client may repeat.
const REPEATED_CALLS_MAX: usize = 40;

/// The kind of a run, drawn from its seed.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) nodes: usize,
    members: usize,
    listener: bool,
    priorities: Vec<u32>,
    /// Virtual milliseconds under faults.
    pub(crate) duration: u64,
    /// Virtual milliseconds without faults after which a group that has not got on is stuck.
    pub(crate) recovery: u64,
    pub(crate) sync_max: u64,
    pub(crate) entries_max: usize,
    pub(crate) outstanding_max: usize,
    pub(crate) pre_vote: bool,
    pub(crate) first_election_delay: Option<u64>,
    client_interval: u64,
    crash: u64,
    partition: u64,
    /// Of 1000 new leaders this many fall soon.
    pub(crate) topple: u64,
    membership: u64,
    transfer: u64,
    snapshot: u64,
    /// Of 1000 crashes this many are power cuts; of the others the page cache survives.
    pub(crate) power_cuts: u64,
    /// Of 1000 operations of a disk this many fail.
    pub(crate) disk_errors: u64,
    pub(crate) segment_bytes: u64,
    pub(crate) zeros_bytes: u64,
}

impl Plan {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let members =
            usize::try_from(*rng.pick(&[1, 2, 3, 3, 3, 3, 4, 5, 5]).unwrap_or(&3)).unwrap_or(3);
        let changing = rng.chance(400);
        let spare = if changing { usize::try_from(rng.range(1, 2)).unwrap_or(1) } else { 0 };
        let listener = rng.chance(100);
        let nodes = members + spare + usize::from(listener);
        let ranked = rng.chance(300);
        let often =
            |rng: &mut Rng, chance, max| if rng.chance(chance) { rng.range(1, max) } else { 0 };
        Self {
            nodes,
            members,
            listener,
            priorities: (0..nodes)
                .map(|_| if ranked { u32::try_from(rng.range(0, 2)).unwrap_or(0) } else { 0 })
                .collect(),
            duration: rng.range(1_000, 6_000),
            recovery: 12_000,
            sync_max: *rng.pick(&[0, 5, 20, 60]).unwrap_or(&5),
            entries_max: usize::try_from(rng.range(1, 6)).unwrap_or(1),
            outstanding_max: usize::try_from(rng.range(1, 8)).unwrap_or(1),
            pre_vote: rng.chance(800),
            first_election_delay: rng.chance(500).then_some(10),
            client_interval: rng.range(5, 80),
            crash: often(rng, 700, 80),
            partition: often(rng, 600, 60),
            topple: often(rng, 400, 800),
            membership: if changing { rng.range(5, 60) } else { 0 },
            transfer: often(rng, 300, 30),
            snapshot: often(rng, 500, 100),
            power_cuts: *rng.pick(&[0, 300, 700, 1000]).unwrap_or(&500),
            disk_errors: often(rng, 250, 12),
            segment_bytes: rng.range(200, 4_000),
            zeros_bytes: *rng.pick(&[0, 600, 2_000]).unwrap_or(&600),
        }
    }

    pub(crate) fn starts_as_member(&self, node: usize) -> bool {
        node < self.members || (self.listener && node == self.nodes - 1)
    }

    pub(crate) fn initial_conf(&self) -> RaftConfigurationProto {
        let peer = |node: usize| peer(node, self.priorities[node]);
        RaftConfigurationProto {
            peers: (0..self.members).map(peer).collect(),
            listeners: self.listener.then(|| peer(self.nodes - 1)).into_iter().collect(),
            ..RaftConfigurationProto::default()
        }
    }
}

impl World {
    fn request(&mut self) -> RequestId {
        self.next_request += 1;
        RequestId(self.next_request)
    }

    /// Some node, and whether it believes to lead.
    fn somebody(&mut self, leading: bool) -> Option<usize> {
        let nodes: Vec<usize> = (0..self.nodes.len())
            .filter(|node| self.nodes[*node].core.is_some() && (!leading || self.leads(*node)))
            .collect();
        self.rng.pick(&nodes).copied()
    }

    fn leads(&self, node: usize) -> bool {
        let core = self.nodes[node].core.as_ref();
        core.is_some_and(|core| matches!(core.leadership().role, Role::Leader { .. }))
    }

    pub(crate) fn client(&mut self) -> Result<(), String> {
        let next = self.rng.range(1, self.plan.client_interval);
        if self.now + next < self.plan.duration {
            self.at(next, Event::Client);
        }
        if let Some(node) = self.somebody(true) {
            let burst = self.rng.range(1, 4);
            for _ in 0..burst {
                let call = self.call();
                self.submit(node, call)?;
            }
        }
        if self.rng.chance(300)
            && let Some(node) = self.somebody(false)
        {
            let read = self.request();
            let floor = self.checks.acknowledged;
            self.nodes[node].reads.insert(read.0, floor);
            self.with_core(node, |core, now| core.read(now, read))?;
        }
        Ok(())
    }

    /// A new call, or one that was not answered yet.
    fn call(&mut self) -> u64 {
        if self.rng.chance(300) && !self.unanswered.is_empty() {
            self.summary.repetitions += 1;
            let calls: Vec<u64> = self.unanswered.iter().copied().collect();
            return self.rng.pick(&calls).copied().unwrap_or_default();
        }
        let RequestId(call) = self.request();
        self.unanswered.insert(call);
        if self.unanswered.len() > REPEATED_CALLS_MAX {
            self.unanswered.pop_first();
        }
        call
    }

    /// A client sends a call to a node, which does with it what an engine does: a call that was applied
    /// is answered, one that is being worked on waits, any other is proposed.
    fn submit(&mut self, node: usize, call: u64) -> Result<(), String> {
        let it = &self.nodes[node];
        let knows = self.bug != Some(Bug::RepetitionNotKnown);
        if knows && let Some(index) = it.machine.calls.get(&call).copied() {
            let serves = it.core.as_ref().is_some_and(|core| core.check_leader().is_ok());
            if serves {
                self.answered(call, index);
            }
            return Ok(());
        }
        if knows && it.pending_calls.contains_key(&call) {
            return Ok(());
        }
        self.propose(node, call)
    }

    pub(crate) fn answered(&mut self, call: u64, index: u64) {
        self.summary.acknowledged += 1;
        self.unanswered.remove(&call);
        self.checks.acknowledges(call, index);
    }

    fn propose(&mut self, node: usize, call_id: u64) -> Result<(), String> {
        let bytes = self.rng.below(120);
        let entry = StateMachineLogEntryProto {
            log_data: Bytes::from(vec![7; bytes]),
            call_id,
            ..StateMachineLogEntryProto::default()
        };
        // Noted before the effects are carried out, as an engine does.
        let now = self.clock(node);
        let it = &mut self.nodes[node];
        let Some(core) = &mut it.core else { return Ok(()) };
        let pending = it.log.next() - it.commit.map_or(0, |commit| commit + 1);
        if pending >= PENDING_MAX || it.log.next() >= ENTRIES_MAX {
            return Ok(());
        }
        if let Ok(at) = core.propose(now, entry) {
            it.proposed.insert(at.index, at.term);
            it.pending_calls.insert(call_id, at.index);
        }
        self.with_core(node, |_, _| ())
    }

    pub(crate) fn chaos(&mut self) -> Result<(), String> {
        let next = self.rng.range(1, 50);
        if self.now + next < self.plan.duration {
            self.at(next, Event::Chaos);
        }
        for node in 0..self.nodes.len() {
            let down = self.nodes[node].core.is_none();
            if down && self.rng.chance(100) && !self.nodes[node].removed {
                self.start(node)?;
            } else if !down && self.rng.chance(self.plan.crash / 2) {
                self.crash(node);
            }
        }
        if self.rng.chance(self.plan.partition) {
            let nodes = self.nodes.len();
            self.net.partition(nodes, &mut self.rng);
            trace!(self, "partition {:?}", self.net.cut);
        } else if self.rng.chance(80) {
            self.net.cut.clear();
        }
        if self.rng.chance(self.plan.membership) {
            self.change_members()?;
        }
        if self.rng.chance(self.plan.transfer) {
            self.transfer()?;
        }
        if self.rng.chance(self.plan.snapshot) {
            self.snapshot()?;
        }
        if self.rng.chance(50)
            && let Some(node) = self.somebody(false)
        {
            let next = self.nodes[node].log.next();
            let from = self.rng.range(self.nodes[node].log.start, next);
            self.with_core(node, |core, _| core.cached_from(from))?;
        }
        Ok(())
    }

    /// A leader crashes, or is cut off from some of the others.
    pub(crate) fn topple(&mut self, node: usize) {
        if self.rng.chance(600) {
            self.crash(node);
            return;
        }
        for other in 0..self.nodes.len() {
            if other != node && self.rng.chance(700) {
                self.net.cut.insert((node, other));
                self.net.cut.insert((other, node));
            }
        }
        trace!(self, "n{node} is cut off: {:?}", self.net.cut);
    }

    fn change_members(&mut self) -> Result<(), String> {
        let Some(leader) = self.somebody(true) else { return Ok(()) };
        let mut peers: Vec<RaftPeerProto> = Vec::new();
        let mut listeners = Vec::new();
        for node in 0..self.nodes.len() {
            let priority = self.plan.priorities[node];
            if self.rng.chance(650) {
                peers.push(peer(node, priority));
            } else if self.plan.listener && self.rng.chance(300) {
                listeners.push(peer(node, priority));
            }
        }
        if peers.is_empty() {
            return Ok(());
        }
        // The operator brings up the group where it was closed.
        for wanted in peers.iter().chain(&listeners) {
            let node = node_of(&PeerId::from_wire(&wanted.id));
            if self.nodes[node].removed && self.nodes[node].core.is_none() {
                self.start(node)?;
            }
        }
        let names: Vec<_> = peers.iter().map(|peer| peer.id.clone()).collect();
        let id = self.request();
        let outcome =
            self.with_core(leader, |core, now| core.set_configuration(now, id, peers, listeners))?;
        trace!(self, "n{leader} set configuration {names:?}: {outcome:?}");
        Ok(())
    }

    fn transfer(&mut self) -> Result<(), String> {
        let Some(leader) = self.somebody(true) else { return Ok(()) };
        let to = self.rng.range(0, self.nodes.len() as u64);
        let to = usize::try_from(to).ok().filter(|to| *to < self.nodes.len()).map(id);
        let request = self.request();
        let outcome = self.with_core(leader, |core, now| core.transfer(now, request, to, 300))?;
        if outcome.is_ok() {
            self.summary.transfers += 1;
        }
        Ok(())
    }

    fn snapshot(&mut self) -> Result<(), String> {
        let Some(node) = self.somebody(false) else { return Ok(()) };
        let Some(index) = self.nodes[node].applied else { return Ok(()) };
        let Some((term, _)) = self.checks.applied.get(&index).copied() else { return Ok(()) };
        let at = TermIndex::new(term, index);
        let it = &mut self.nodes[node];
        if it.saved.snapshot < Some(at) {
            it.saved = Machine { snapshot: Some(at), ..it.machine.clone() };
        }
        let up_to = index.saturating_sub(self.rng.range(0, 10));
        trace!(self, "n{node} snapshot {at}, purge up to {up_to}");
        self.enqueue(node, Change::Purge(up_to), None);
        self.with_core(node, |core, _| core.snapshot_taken(at))
    }

    /// The group was closed on this node; its directory goes with it, or stays.
    pub(crate) fn remove(&mut self, node: usize) {
        trace!(self, "n{node} is removed");
        let it = &mut self.nodes[node];
        it.disk.power_cut();
        it.lose_memory();
        it.removed = true;
        if self.rng.chance(500) {
            let nobody = crate::conf::Conf::default().to_entry();
            it.wiped_in = it.life;
            it.disk.format(&nobody);
            it.saved = Machine { conf: nobody, ..Machine::default() };
            it.machine = it.saved.clone();
            (it.promised, it.promised_vote) = (None, HardState::default());
            it.coming_vote = None;
        }
    }

    // ---- the end ------------------------------------------------------------------------------

    /// All faults end and everybody who is in the group runs.
    pub(crate) fn heal(&mut self) -> Result<(), String> {
        trace!(self, "healed");
        self.healed = true;
        self.net.heal();
        self.plan.sync_max = self.plan.sync_max.min(10);
        for node in 0..self.nodes.len() {
            self.nodes[node].disk.heal();
            if self.nodes[node].core.is_none() && !self.nodes[node].removed {
                self.start(node)?;
            }
        }
        Ok(())
    }

    /// A healed group has a leader that takes a write, and every member applies it.
    pub(crate) fn check_recovered(&mut self) -> Result<(), String> {
        let leaders: Vec<usize> = (0..self.nodes.len()).filter(|node| self.leads(*node)).collect();
        let best = leaders
            .iter()
            .copied()
            .max_by_key(|node| self.nodes[*node].core.as_ref().map(|core| core.leadership().term));
        let Some(leader) = best else { return Err("liveness: no leader after healing".to_owned()) };
        let Some(core) = &self.nodes[leader].core else { return Ok(()) };
        let status = core.status();
        if status.leadership.role != (Role::Leader { ready: true }) {
            return Err(format!("liveness: n{leader} leads but is not ready: {status:?}"));
        }
        if status.commit != status.last.map(|last| last.index) {
            return Err(format!("liveness: n{leader} cannot commit: {status:?}"));
        }
        let conf = core.configuration().clone();
        let known = &self.nodes[leader].machine.calls;
        for (call, index) in &self.checks.acknowledged_calls {
            if known.get(call) != Some(index) {
                return Err(format!(
                    "durability: call {call} was acknowledged at {index}, n{leader} has {:?}",
                    known.get(call)
                ));
            }
        }
        for member in conf.peers.iter().chain(&conf.listeners) {
            let member = node_of(&PeerId::from_wire(&member.id));
            let it = &self.nodes[member];
            if it.applied != status.commit {
                return Err(format!(
                    "liveness: n{member} applied {:?} of {:?} of leader n{leader}; removed {}",
                    it.applied, status.commit, it.removed
                ));
            }
        }
        Ok(())
    }
}
