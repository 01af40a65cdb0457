//! Where a piece of a key lives.

use std::fmt;

use crate::{ContainerId, LocalId};

/// A block: container, local id, and how fresh a replica must be to serve it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BlockId {
    /// The container that holds the block.
    pub container: ContainerId,
    /// The block within the container.
    pub local: LocalId,
    /// Block commit sequence id: Raft index of the block's last PutBlock; 0 when not committed
    /// through Raft.
    pub bcsid: u64,
}

impl fmt::Display for BlockId {
    /// The form of Ozone's logs and JSON: `conID: 1 locID: 2 bcsId: 3`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "conID: {} locID: {} bcsId: {}", self.container, self.local, self.bcsid)
    }
}
