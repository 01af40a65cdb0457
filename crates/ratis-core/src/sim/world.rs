//! The world of a run: its events and what the engine does with effects.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use bytes::Bytes;
use prost::Message as _;
use ratis_log::files::Change;
use ratis_proto::common::log_entry_proto::LogEntryBody;
use ratis_proto::common::{LogEntryProto, RaftConfigurationProto, RaftPeerProto};

use super::Summary;
use super::chaos::Plan;
use super::checks::Checks;
use super::describe;
use super::disk::Disk;
use super::net::{Net, Packet};
use super::node::{Caller, Machine, Node};
use super::rng::Rng;
use crate::bugs::Bug;
use crate::types::TermIndex;
use crate::{Core, Effect, Outcome, PeerId, Role, Settings};

/// Something that happens at a time. `life` voids events of a node's earlier life.
#[expect(clippy::large_enum_variant, reason = "most events are deliveries")]
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Deliver {
        from: usize,
        to: usize,
        packet: Packet,
    },
    Tick {
        node: usize,
        life: u64,
    },
    Write {
        node: usize,
        life: u64,
    },
    Synced {
        node: usize,
        life: u64,
    },
    Apply {
        node: usize,
        life: u64,
    },
    Loaded {
        node: usize,
        life: u64,
        peer: usize,
        ticket: u64,
        first: u64,
        list: Vec<LogEntryProto>,
    },
    Installed {
        node: usize,
        life: u64,
        leader: usize,
        first: u64,
    },
    Client,
    Chaos,
    /// A new leader is to fall.
    Topple {
        node: usize,
        life: u64,
    },
}

struct Scheduled {
    at: u64,
    seq: u64,
    event: Event,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.seq == other.seq
    }
}
impl Eq for Scheduled {}
impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (Reverse(self.at), Reverse(self.seq)).cmp(&(Reverse(other.at), Reverse(other.seq)))
    }
}

/// Everything of a run.
pub(crate) struct World {
    pub(crate) rng: Rng,
    pub(crate) now: u64,
    pub(crate) nodes: Vec<Node>,
    pub(crate) net: Net,
    pub(crate) plan: Plan,
    pub(crate) checks: Checks,
    pub(crate) summary: Summary,
    pub(crate) trace: Option<Vec<String>>,
    pub(crate) healed: bool,
    pub(crate) next_request: u64,
    events: BinaryHeap<Scheduled>,
    seq: u64,
    pub(crate) bug: Option<Bug>,
    /// Calls that clients wait for.
    pub(crate) unanswered: BTreeSet<u64>,
}

/// Virtual milliseconds after which a healed group is looked at again.
const RECOVERY_STEP: u64 = 1_000;

/// How often the patience with a standstill is the patience with all of the recovery.
const RECOVERY_TOTAL_FACTOR: u64 = 10;

fn is_liveness(violation: &str) -> bool {
    violation.starts_with("liveness")
}

/// The name of a node.
pub(crate) fn id(node: usize) -> PeerId {
    PeerId::from(format!("n{node}").as_str())
}

/// The node of a name.
pub(crate) fn node_of(id: &PeerId) -> usize {
    id.0.strip_prefix('n').and_then(|digits| digits.parse().ok()).unwrap_or(usize::MAX)
}

pub(crate) fn peer(node: usize, priority: u32) -> RaftPeerProto {
    RaftPeerProto { id: id(node).to_wire(), priority, ..RaftPeerProto::default() }
}

macro_rules! trace {
    ($world:expr, $($text:tt)*) => {
        if let Some(trace) = &mut $world.trace {
            let line = format!($($text)*);
            trace.push(format!("{:6} {line}", $world.now));
        }
    };
}
pub(crate) use trace;

impl World {
    pub(crate) fn new(seed: u64, bug: Option<Bug>) -> Self {
        let mut rng = Rng::new(seed);
        let plan = Plan::new(&mut rng);
        let net = Net::new(&mut rng);
        let members = plan.initial_conf();
        let nodes = (0..plan.nodes)
            .map(|node| {
                let conf = if plan.starts_as_member(node) {
                    members.clone()
                } else {
                    RaftConfigurationProto::default()
                };
                let conf = LogEntryProto {
                    term: 0,
                    index: u64::MAX,
                    log_entry_body: Some(LogEntryBody::ConfigurationEntry(conf)),
                };
                let disk = Disk::new(rng.next(), plan.disk_errors, bug);
                disk.format(&conf);
                Node::new(disk, conf, rng.range(0, 10_000))
            })
            .collect();
        Self {
            rng,
            now: 0,
            nodes,
            net,
            plan,
            checks: Checks::default(),
            summary: Summary::default(),
            trace: None,
            healed: false,
            next_request: 0,
            events: BinaryHeap::new(),
            seq: 0,
            bug,
            unanswered: BTreeSet::new(),
        }
    }

    pub(crate) fn at(&mut self, delay: u64, event: Event) {
        self.seq += 1;
        self.events.push(Scheduled { at: self.now + delay, seq: self.seq, event });
    }

    pub(crate) fn run(&mut self) -> Result<(), String> {
        for node in 0..self.nodes.len() {
            self.start(node)?;
        }
        self.at(1, Event::Client);
        self.at(1, Event::Chaos);
        self.run_until(self.plan.duration)?;
        if self.bug.is_some() {
            return Ok(());
        }
        self.heal()?;
        // As soon as all is well the run has shown what it can. A member that is far behind and gets one entry at a time may take
        // long, as long as it gets on.
        let (mut waited, mut stands_still, mut furthest) = (0, 0, 0);
        loop {
            waited += RECOVERY_STEP;
            stands_still += RECOVERY_STEP;
            self.run_until(self.plan.duration + waited)?;
            let Err(violation) = self.check_recovered() else { return Ok(()) };
            let applied = self.nodes.iter().filter_map(|node| node.applied).sum::<u64>();
            if applied > furthest {
                (furthest, stands_still) = (applied, 0);
            }
            let patient = stands_still < self.plan.recovery
                && waited < self.plan.recovery * RECOVERY_TOTAL_FACTOR;
            if !patient || !is_liveness(&violation) {
                return Err(format!("{violation}\n{}", self.overview()));
            }
        }
    }

    /// Where everybody stands.
    fn overview(&self) -> String {
        let line = |(at, node): (usize, &Node)| match &node.core {
            None => format!("n{at} down, removed {}", node.removed),
            Some(core) => {
                let names = |peers: &[RaftPeerProto]| {
                    let names = peers.iter().map(|peer| PeerId::from_wire(&peer.id).to_string());
                    names.collect::<Vec<_>>().join(",")
                };
                let conf = core.configuration();
                let status = core.status();
                format!(
                    "n{at} {:?} term {} leader {:?} commit {:?} last {:?} durable {:?} start {} conf {} old {} listeners {} initialized {}",
                    status.leadership.role,
                    status.leadership.term,
                    status.leadership.leader,
                    status.commit,
                    status.last,
                    status.durable,
                    status.log_start,
                    names(&conf.peers),
                    names(&conf.old_peers),
                    names(&conf.listeners),
                    core.initialized,
                )
            }
        };
        self.nodes.iter().enumerate().map(line).collect::<Vec<_>>().join("\n")
    }

    fn run_until(&mut self, end: u64) -> Result<(), String> {
        while let Some(next) = self.events.peek() {
            if next.at > end {
                break;
            }
            let Some(next) = self.events.pop() else { break };
            self.now = next.at;
            self.summary.events += 1;
            self.handle(next.event)?;
        }
        self.now = end;
        Ok(())
    }

    fn alive(&self, node: usize, life: u64) -> bool {
        self.nodes[node].life == life && self.nodes[node].core.is_some()
    }

    pub(crate) fn clock(&self, node: usize) -> u64 {
        self.now + self.nodes[node].clock_offset
    }

    fn handle(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Deliver { from, to, packet } => self.deliver(from, to, packet),
            Event::Tick { node, life } => {
                if !self.alive(node, life) || self.nodes[node].tick_at != Some(self.now) {
                    return Ok(());
                }
                self.nodes[node].tick_at = None;
                self.with_core(node, |core, now| core.tick(now))
            }
            Event::Write { node, life } => {
                if self.alive(node, life) {
                    self.write_round(node)
                } else {
                    Ok(())
                }
            }
            Event::Synced { node, life } => {
                if self.alive(node, life) {
                    self.end_round(node)
                } else {
                    Ok(())
                }
            }
            Event::Apply { node, life } => {
                if !self.alive(node, life) {
                    return Ok(());
                }
                self.apply(node)
            }
            Event::Loaded { node, life, peer, ticket, first, list } => {
                if !self.alive(node, life) {
                    return Ok(());
                }
                let now = self.clock(node);
                let it = &mut self.nodes[node];
                let Some(core) = &mut it.core else { return Ok(()) };
                if core.loaded(now, &id(peer), ticket, list.len() as u64) {
                    it.loaded.insert(peer, (first, list));
                }
                self.with_core(node, |_, _| ())
            }
            Event::Installed { node, life, leader, first } => {
                if !self.alive(node, life) {
                    return Ok(());
                }
                self.install(node, leader, first)
            }
            Event::Client => self.client(),
            Event::Chaos => self.chaos(),
            Event::Topple { node, life } => {
                if self.alive(node, life) && !self.healed {
                    self.topple(node);
                }
                Ok(())
            }
        }
    }

    // ---- nodes --------------------------------------------------------------------------------

    pub(crate) fn start(&mut self, node: usize) -> Result<(), String> {
        trace!(self, "n{node} starts");
        let settings = Settings {
            election_timeout_min: 100,
            election_timeout_max: 200,
            first_election_delay: self.plan.first_election_delay,
            request_timeout: 300,
            slowness_timeout: 2_000,
            step_down_wait: 200,
            append_outstanding_max: self.plan.outstanding_max,
            append_entries_max: self.plan.entries_max,
            append_bytes_max: 200,
            staging_gap_max: 5,
            pre_vote: self.plan.pre_vote,
            ..Settings::new(id(node), Bytes::from_static(b"group"), self.rng.next())
        };
        let now = self.clock(node);
        self.nodes[node].lose_memory();
        self.nodes[node].removed = false;
        let Some(recovered) = self.recover(node)? else { return Ok(()) };
        let mut core = Core::new(settings, recovered, now);
        core.planted = self.bug;
        self.nodes[node].core = Some(core);
        self.with_core(node, |_, _| ())
    }

    /// Gives the core an input and does what it asks.
    pub(crate) fn with_core<T>(
        &mut self,
        node: usize,
        input: impl FnOnce(&mut Core, u64) -> T,
    ) -> Result<T, String> {
        let now = self.clock(node);
        let it = &mut self.nodes[node];
        let Some(core) = &mut it.core else { return Err(format!("n{node} is down")) };
        let output = input(core, now);
        let effects = core.take_effects();
        it.waiting.extend(effects);
        self.perform(node)?;
        self.schedule_tick(node);
        Ok(output)
    }

    fn schedule_tick(&mut self, node: usize) {
        let it = &mut self.nodes[node];
        let Some(core) = &it.core else { return };
        let deadline = core.deadline().saturating_sub(it.clock_offset).max(self.now + 1);
        if it.tick_at.is_none_or(|at| at > deadline) {
            it.tick_at = Some(deadline);
            let life = it.life;
            self.at(deadline - self.now, Event::Tick { node, life });
        }
    }

    /// Carries out effects in order, up to a vote that has to be saved first.
    fn perform(&mut self, node: usize) -> Result<(), String> {
        while !self.nodes[node].saving {
            let Some(effect) = self.nodes[node].waiting.front() else {
                return self.check_configuration(node);
            };
            trace!(self, "n{node} {}", describe::effect(effect));
            if let Effect::SaveVote(vote) = effect {
                let vote = vote.clone();
                self.save_vote(node, vote);
                return Ok(());
            }
            let Some(effect) = self.nodes[node].waiting.pop_front() else { return Ok(()) };
            self.perform_one(node, effect)?;
            if self.nodes[node].core.is_none() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// After its log was cut, a member goes by the last configuration that is left in it, unless a
    /// snapshot told it of a later one.
    fn check_configuration(&mut self, node: usize) -> Result<(), String> {
        let it = &mut self.nodes[node];
        if !std::mem::take(&mut it.truncated) || it.told {
            return Ok(());
        }
        let left = it.log.list.iter().rev().find_map(|entry| match &entry.log_entry_body {
            Some(LogEntryBody::ConfigurationEntry(conf)) => Some((entry.index, conf)),
            _ => None,
        });
        match (left, &it.core) {
            (Some((index, conf)), Some(core)) if core.configuration() != conf => Err(format!(
                "membership: n{node} does not go by the configuration at {index}: {:?}, not {conf:?}",
                core.configuration()
            )),
            _ => Ok(()),
        }
    }

    fn perform_one(&mut self, node: usize, effect: Effect) -> Result<(), String> {
        let life = self.nodes[node].life;
        match effect {
            Effect::SaveVote(_) | Effect::Progress | Effect::Slow(_) => {}
            Effect::Append(entries) => {
                self.append(node, entries)?;
            }
            Effect::Truncate(from) => {
                self.nodes[node].truncated = true;
                self.truncate(node, from)?;
            }
            Effect::ResetLog(at) => self.reset_log(node, at),
            Effect::Send(to, message) => self.send(node, node_of(&to), message)?,
            Effect::Reply(to, reply) => {
                let Some(caller) = self.nodes[node].callers.remove(&to) else {
                    return Err(format!("n{node} answers {to:?} twice"));
                };
                let Caller { node: to, life, asked } = caller;
                self.transmit(node, to, Packet::Reply { life, asked, reply });
            }
            Effect::ResetStream(_) => {}
            Effect::Load { peer, ticket, first, entries_max } => {
                let failed = self.rng.chance(50);
                let entries = if failed { 0 } else { self.rng.range(1, entries_max as u64) };
                let delay = self.rng.range(0, 10);
                let peer = node_of(&peer);
                let log = &self.nodes[node].log;
                let list =
                    (first..first + entries).map_while(|index| log.get(index).cloned()).collect();
                self.at(delay, Event::Loaded { node, life, peer, ticket, first, list });
            }
            Effect::Commit(index) => {
                let it = &mut self.nodes[node];
                if it.commit >= Some(index) {
                    return Err(format!("n{node} commits {index} after {:?}", it.commit));
                }
                it.commit = Some(index);
                self.schedule_apply(node);
            }
            Effect::Leadership(leadership) => {
                if !matches!(leadership.role, Role::Leader { .. }) {
                    self.nodes[node].pending_calls.clear();
                }
                if matches!(leadership.role, Role::Leader { .. })
                    && self.checks.leads(node, leadership.term)?
                {
                    self.summary.elections += 1;
                    if self.rng.chance(self.plan.topple) {
                        let delay = self.rng.range(0, 80);
                        self.at(delay, Event::Topple { node, life });
                    }
                    let it = &self.nodes[node];
                    self.checks.is_complete(node, &it.log, it.machine.snapshot)?;
                }
            }
            Effect::InstallSnapshot { leader, first_available } => {
                let delay = self.rng.range(1, 100);
                let (leader, first) = (node_of(&leader), first_available.index);
                self.at(delay, Event::Installed { node, life, leader, first });
            }
            Effect::Read(read, index) => {
                let floor = self.nodes[node].reads.remove(&read.0);
                if let (Some(floor), Some(index)) = (floor, index) {
                    self.summary.reads += 1;
                    self.checks.reads(floor, index)?;
                }
            }
            Effect::Finished(_, outcome) => {
                if outcome == Outcome::Done {
                    self.summary.changes += 1;
                }
            }
            Effect::Removed => self.remove(node),
        }
        Ok(())
    }

    // ---- state machine --------------------------------------------------------------------------

    fn schedule_apply(&mut self, node: usize) {
        let it = &mut self.nodes[node];
        if it.applying || it.applied >= it.commit {
            return;
        }
        it.applying = true;
        let life = it.life;
        let delay = self.rng.range(0, 5);
        self.at(delay, Event::Apply { node, life });
    }

    fn apply(&mut self, node: usize) -> Result<(), String> {
        self.nodes[node].applying = false;
        let batch = self.rng.range(1, 8);
        for _ in 0..batch {
            let it = &mut self.nodes[node];
            let index = it.applied.map_or(0, |index| index + 1);
            if it.commit.is_none_or(|commit| commit < index) {
                break;
            }
            let Some(entry) = it.log.get(index).cloned() else {
                return Err(format!("n{node} commits {index}, which is not in its log"));
            };
            it.applied = Some(index);
            let mine = it.proposed.remove(&index) == Some(entry.term);
            self.summary.applied += 1;
            self.checks.applies(node, &entry)?;
            match &entry.log_entry_body {
                Some(LogEntryBody::ConfigurationEntry(_)) => {
                    self.nodes[node].machine.conf = entry.clone();
                    let change = Change::Configuration(entry.encode_to_vec());
                    self.enqueue(node, change, None);
                }
                Some(LogEntryBody::StateMachineLogEntry(body)) => {
                    let it = &mut self.nodes[node];
                    it.machine.calls.insert(body.call_id, index);
                    it.pending_calls.remove(&body.call_id);
                    if mine {
                        self.answered(body.call_id, index);
                    }
                }
                _ => {}
            }
        }
        self.schedule_apply(node);
        match self.nodes[node].applied {
            Some(applied) => self.with_core(node, |core, now| core.applied(now, applied)),
            None => Ok(()),
        }
    }

    fn install(&mut self, node: usize, leader: usize, first: u64) -> Result<(), String> {
        let source = &self.nodes[leader];
        let at = source.applied.filter(|_| source.core.is_some()).and_then(|index| {
            let term = self.checks.applied.get(&index)?.0;
            Some(TermIndex::new(term, index))
        });
        let at = at.filter(|at| at.index + 1 >= first && !self.rng.chance(100));
        if let Some(at) = at {
            let state = Machine { snapshot: Some(at), ..source.machine.clone() };
            let it = &mut self.nodes[node];
            if it.applied < Some(at.index) {
                it.applied = Some(at.index);
                it.commit = it.commit.max(Some(at.index));
                it.saved = state.clone();
                it.machine = state;
                self.summary.installs += 1;
                let conf = it.machine.conf.encode_to_vec();
                self.enqueue(node, Change::Configuration(conf), None);
            }
        }
        self.with_core(node, |core, now| core.snapshot_installed(now, at))
    }
}
