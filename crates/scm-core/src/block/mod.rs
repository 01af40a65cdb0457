//! Blocks: handed out to writers, and taken back.

mod allocate;
mod deletion;
mod ids;
#[cfg(test)]
mod tests;

pub use allocate::{AllocatedBlock, Allocation, BlockRequest};
pub use deletion::{DeletedKeyBlock, Deletion};
pub use ids::IdStock;
