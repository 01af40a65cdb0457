//! Blocks: where they are, writing and reading them.

pub mod exclude;
pub mod location;
mod reader;
pub mod token;
mod writer;

pub use exclude::{Exclude, ExcludeList};
pub use location::{BlockLocation, Node, Pipeline};
pub use reader::{BlockReader, block_chunks};
pub use writer::{BlockWriter, Written};
