//! The words that inputs and effects share.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use ratis_proto::common::TermIndexProto;

/// A point in time, in milliseconds of any monotonic clock that the engine chooses.
pub type Millis = u64;

/// What Ratis writes for "no index" (-1) in an unsigned field.
pub(crate) const INVALID_INDEX: u64 = u64::MAX;

/// An index as the wire has it.
pub(crate) fn to_wire(index: Option<u64>) -> u64 {
    index.unwrap_or(INVALID_INDEX)
}

/// An index from the wire.
pub(crate) fn from_wire(index: u64) -> Option<u64> {
    (index != INVALID_INDEX).then_some(index)
}

/// The index that follows, from 0.
pub(crate) fn after(index: Option<u64>) -> u64 {
    index.map_or(0, |index| index.saturating_add(1))
}

/// A place in a log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct TermIndex {
    /// Term, from 1.
    pub term: u64,
    /// Index, from 0.
    pub index: u64,
}

impl TermIndex {
    /// The place of `index`, written in `term`.
    pub const fn new(term: u64, index: u64) -> Self {
        Self { term, index }
    }
}

impl fmt::Display for TermIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "(t:{}, i:{})", self.term, self.index)
    }
}

impl From<TermIndex> for TermIndexProto {
    fn from(at: TermIndex) -> Self {
        Self { term: at.term, index: at.index }
    }
}

/// A last entry as the wire has it: `(0, -1)` for an empty log.
pub(crate) fn last_to_wire(last: Option<TermIndex>) -> TermIndexProto {
    last.map_or(TermIndexProto { term: 0, index: INVALID_INDEX }, Into::into)
}

/// A last entry from the wire; a term of 0 or an index of -1 is an empty log.
pub(crate) fn last_from_wire(last: Option<&TermIndexProto>) -> Option<TermIndex> {
    let last = last?;
    (last.term != 0 && last.index != INVALID_INDEX).then(|| TermIndex::new(last.term, last.index))
}

/// A peer: the text of its id (datanode UUID, OM node id, SCM UUID).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PeerId(pub Arc<str>);

impl PeerId {
    /// From the bytes of a message. Ids are text; what is not UTF-8 is replaced and so matches nobody.
    pub fn from_wire(id: &[u8]) -> Self {
        Self(String::from_utf8_lossy(id).as_ref().into())
    }

    /// As a message carries it.
    pub fn to_wire(&self) -> Bytes {
        Bytes::copy_from_slice(self.0.as_bytes())
    }
}

impl From<&str> for PeerId {
    fn from(id: &str) -> Self {
        Self(id.into())
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What must survive a crash besides the log: the content of `raft-meta`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HardState {
    /// Latest term seen; 0 before the first election.
    pub term: u64,
    /// Who got this node's vote in `term`.
    pub voted_for: Option<PeerId>,
    /// This node is being taken into the group and must not vote yet. Ratis does not write this down; a
    /// directory without it counts as a full member's.
    pub initializing: bool,
}

/// A node's part in a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Leads; `ready` once the first entry of the term is applied.
    Leader {
        /// Answers clients.
        ready: bool,
    },
    /// Campaigns.
    Candidate,
    /// Follows.
    Follower,
    /// Follows without a vote.
    Listener,
}

/// Who leads, as this node sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leadership {
    /// Current term.
    pub term: u64,
    /// This node's part.
    pub role: Role,
    /// The leader, if known.
    pub leader: Option<PeerId>,
}
