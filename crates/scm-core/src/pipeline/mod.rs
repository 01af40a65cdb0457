//! Pipelines: made ahead of use, opened when every member has reported, closed when one fails.
//!
//! ```text
//!  create ─► AddPipeline ─► createPipeline to members ─► reports ─► OPEN
//!  close  ─► containers CLOSING, state CLOSED ─(destroy timeout)─► removed, closePipeline to members
//! ```

mod close;
mod create;
mod report;
#[cfg(test)]
mod tests;
mod view;

pub use create::PlacementError;
