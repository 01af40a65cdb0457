//! The state of SCM and its rules: pure.
//!
//! ```text
//!  heartbeat, report, admin request, clock tick ─► Core ─► answer
//!                                                   │
//!                     Call (log/) ◄─ outbox ────────┤   the shell replicates the calls through Raft
//!                       │                           │
//!                       └─► Ledger::apply ──────────┘   every SCM, in log order: state + table rows
//!                           then Core::settled              the leader only: commands to datanodes
//! ```
//! * [`Ledger`] is what SCMs agree on (containers, pipelines, sequence ids, deleted blocks, settings
//!   of services); it changes in [`Ledger::apply`] and nowhere else.
//! * [`Core`] adds what each SCM sees for itself: nodes, replicas, who reported which pipeline, safe
//!   mode, leases, and the calls that are under way.
//!
//! Invariants: no clock (time is an argument, [`Millis`]), no random source but the seeded
//! [`rng::Rng`], no thread, no I/O. A heartbeat costs as much as it reports, never a scan of all
//! containers. Start reading at [`Core`], then `node/`, `pipeline/`, `container/`, `block/`.

pub mod block;
pub mod container;
pub use hdds_proto::convert;
mod core;
pub mod ledger;
pub mod log;
pub mod node;
pub mod pipeline;
pub mod rng;
mod rules;
pub mod safe_mode;
pub mod tables;
#[cfg(test)]
mod test_world;
pub mod topology;

pub use crate::core::{Core, Identity};
pub use ledger::{Ledger, Refusal};
pub use log::Call;
pub use rules::{Rules, UnknownContainer};

/// Milliseconds since the epoch (UTC), from the shell's clock, which never goes back.
pub type Millis = u64;

/// A refusal that travels to callers as `SCMException` with its result code.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{message}")]
pub struct ScmError {
    /// Result code; `Status` on port 9863.
    pub code: hdds_proto::block::Status,
    /// What is wrong and what to do.
    pub message: String,
}

impl ScmError {
    /// An error with this code.
    pub fn new(code: hdds_proto::block::Status, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}
