//! Clients of SCM and datanodes; reading and writing blocks.
//!
//! ```text
//!  block::writer ─► ring (Raft client of a pipeline, 9858) ─► leader ─► followers
//!  block::reader ─► datanode (one gRPC call per command, 9859) ─► any replica
//!  scm::…        ─► hadoop-rpc ─► SCM 9860, 9861, 9863         addresses: where they are
//! ```
//! * A writer gives back what no PutBlock has acknowledged, so that its owner can send it again to
//!   another block; it never claims more than a majority has committed.
//! * A reader verifies checksums and goes on with the next replica on any failure.
//!
//! Start reading at [`Datanodes`], [`BlockWriter`] and [`BlockReader`].

pub mod addresses;
pub mod block;
mod datanode;
mod error;
pub mod ring;
pub mod scm;
mod settings;

pub use block::{
    BlockLocation, BlockReader, BlockWriter, Exclude, ExcludeList, Node, Pipeline, block_chunks,
};
pub use datanode::{Datanodes, command};
pub use error::BlockError;
pub use settings::{BlockSettings, WatchLevel};
