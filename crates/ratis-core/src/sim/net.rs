//! The network of a run: what travels, and who can reach whom.

use std::collections::BTreeSet;

use ratis_proto::common::{
    AppendEntriesRequestProto, InstallSnapshotRequestProto, ReadIndexRequestProto,
    RequestVoteRequestProto, StartLeaderElectionRequestProto,
};

use super::rng::Rng;
use crate::Reply;

/// A request with its entries.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    Vote(RequestVoteRequestProto),
    Append(AppendEntriesRequestProto),
    Snapshot(InstallSnapshotRequestProto),
    StartElection(StartLeaderElectionRequestProto),
    ReadIndex(ReadIndexRequestProto),
}

/// What arrives somewhere.
#[derive(Clone, Debug)]
pub(crate) enum Packet {
    /// `life` is the sender's, for the reply; `to_life` the receiver's when it was sent.
    Request { life: u64, to_life: u64, request: Request },
    /// Reaches its receiver only in the life in which it asked.
    Reply { life: u64, asked: Option<RequestVoteRequestProto>, reply: Reply },
    /// The request got lost and the sender notices.
    Failed { life: u64, request: Request },
}

/// Who can reach whom, and how well.
#[derive(Clone, Debug)]
pub(crate) struct Net {
    pub(crate) loss: u64,
    pub(crate) duplication: u64,
    pub(crate) stray: u64,
    pub(crate) delay_max: u64,
    /// Of 1000 lost requests this many are noticed.
    pub(crate) noticed: u64,
    pub(crate) cut: BTreeSet<(usize, usize)>,
}

impl Net {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let calm = rng.chance(300);
        Self {
            loss: if calm { 0 } else { rng.range(0, 200) },
            duplication: if calm { 0 } else { rng.range(0, 100) },
            stray: match rng.range(0, 9) {
                0..=4 => 0,
                5..=8 => rng.range(0, 60),
                _ => rng.range(60, 400),
            },
            delay_max: rng.range(1, 40),
            noticed: rng.range(0, 1000),
            cut: BTreeSet::new(),
        }
    }

    pub(crate) fn heal(&mut self) {
        self.loss = 0;
        self.duplication = 0;
        self.stray = 0;
        self.delay_max = self.delay_max.min(10);
        self.cut.clear();
    }

    /// How long a message takes; a stray one comes when nobody expects it any more.
    pub(crate) fn delay(&self, rng: &mut Rng) -> u64 {
        if rng.chance(self.stray) {
            return rng.range(self.delay_max, 1500);
        }
        rng.range(0, self.delay_max)
    }

    pub(crate) fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cut.contains(&(from, to))
    }

    /// Splits the nodes into two camps, sometimes in one direction only.
    pub(crate) fn partition(&mut self, nodes: usize, rng: &mut Rng) {
        self.cut.clear();
        let camps: Vec<bool> = (0..nodes).map(|_| rng.chance(500)).collect();
        let one_way = rng.chance(200);
        for from in 0..nodes {
            for to in 0..nodes {
                if camps[from] != camps[to] && (!one_way || camps[from]) {
                    self.cut.insert((from, to));
                }
            }
        }
    }
}
