//! A member as the `raft` crate sees it: fed with what our member gets, in its own words.
//!
//! Indices differ by one: ours begin at 0, theirs at 1.

use raft::eraftpb::{ConfState, Entry, Message, MessageType};
use raft::storage::MemStorage;
use raft::{Config, INVALID_ID, RawNode, StateRole};
use ratis_proto::common::LogEntryProto;

use crate::types::{TermIndex, after};

pub(super) struct Twin {
    pub(super) node: RawNode<MemStorage>,
    storage: MemStorage,
    pre_vote: bool,
}

/// Their number of a node.
pub(super) fn number(node: usize) -> u64 {
    node as u64 + 1
}

fn start(storage: &MemStorage, node: u64, pre_vote: bool) -> RawNode<MemStorage> {
    let config = Config {
        id: node,
        election_tick: 10,
        heartbeat_tick: 2,
        max_inflight_msgs: 1 << 20,
        pre_vote,
        ..Config::default()
    };
    let logger = slog::Logger::root(slog::Discard, slog::o!());
    RawNode::new(&config, storage.clone(), &logger).expect("the settings are fine")
}

impl Twin {
    pub(super) fn new(node: usize, nodes: usize, pre_vote: bool) -> Self {
        let voters: Vec<u64> = (0..nodes).map(number).collect();
        let state = ConfState { voters, ..ConfState::default() };
        let storage = MemStorage::new_with_conf_state(state);
        let node = start(&storage, number(node), pre_vote);
        Self { node, storage, pre_vote }
    }

    /// Only what was persisted is left. `commit` is what our member knows of it.
    pub(super) fn restart(&mut self, node: usize, commit: Option<u64>) {
        self.storage.wl().mut_hard_state().commit = after(commit);
        self.node = start(&self.storage, number(node), self.pre_vote);
    }

    /// Persists at once; what it would send comes back.
    pub(super) fn settle(&mut self) -> Vec<Message> {
        let mut sent = Vec::new();
        while self.node.has_ready() {
            let mut ready = self.node.ready();
            sent.extend(ready.take_messages());
            if !ready.entries().is_empty() {
                self.storage.wl().append(ready.entries()).expect("the log continues");
            }
            if let Some(state) = ready.hs() {
                self.storage.wl().set_hardstate(state.clone());
            }
            sent.extend(ready.take_persisted_messages());
            let mut light = self.node.advance(ready);
            if let Some(commit) = light.commit_index() {
                self.storage.wl().mut_hard_state().commit = commit;
            }
            sent.extend(light.take_messages());
            self.node.advance_apply();
        }
        sent
    }

    pub(super) fn step(&mut self, kind: MessageType, from: usize, term: u64, mut message: Message) {
        message.set_msg_type(kind);
        message.from = number(from);
        message.to = self.node.raft.id;
        message.term = term;
        self.node.step(message).expect("a peer's message is taken");
    }

    /// Leaders that lose touch step down by the clock; theirs has no clock here.
    pub(super) fn step_down(&mut self) {
        let term = self.node.raft.term;
        self.node.raft.become_follower(term, INVALID_ID);
    }

    pub(super) fn role(&self) -> StateRole {
        self.node.raft.state
    }

    pub(super) fn term(&self) -> u64 {
        self.node.raft.term
    }

    pub(super) fn vote(&self) -> Option<usize> {
        self.node.raft.vote.checked_sub(1).and_then(|vote| usize::try_from(vote).ok())
    }

    pub(super) fn leader(&self) -> Option<usize> {
        self.node.raft.leader_id.checked_sub(1).and_then(|leader| usize::try_from(leader).ok())
    }

    pub(super) fn commit(&self) -> Option<u64> {
        self.node.raft.raft_log.committed.checked_sub(1)
    }

    pub(super) fn last(&self) -> Option<TermIndex> {
        let log = &self.node.raft.raft_log;
        Some(TermIndex::new(log.last_term(), log.last_index().checked_sub(1)?))
    }

    pub(super) fn term_at(&self, index: u64) -> Option<u64> {
        self.node.raft.raft_log.term(index + 1).ok()
    }

    pub(super) fn matched(&self, peer: usize) -> Option<u64> {
        self.node.raft.prs().get(number(peer))?.matched.checked_sub(1)
    }
}

/// A place before entries.
pub(super) fn placed(message: &mut Message, at: Option<TermIndex>) {
    message.index = after(at.map(|at| at.index));
    message.log_term = at.map_or(0, |at| at.term);
}

pub(super) fn entry(entry: &LogEntryProto) -> Entry {
    Entry { term: entry.term, index: entry.index + 1, ..Entry::default() }
}
