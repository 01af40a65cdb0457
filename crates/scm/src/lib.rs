//! The Storage Container Manager server.
//!
//! ```text
//!  9861 datanodes ─┐                    ┌─► settled ─► commands to datanodes, next calls
//!  9863 OM ────────┼─► rpc ─► Shared ───┤
//!  9860 admin ─────┘     (scm_core::Core│behind one lock, held for microseconds)
//!  clock ─► services ──────────┘        └─► calls ─► driver ─► Raft log ─► machine: Ledger::apply
//!                                                                   └─► batch ─► scm.db, now and then
//! ```
//! Every change of the replicated state is a [`scm_core::Call`] in the Raft log of the group that is
//! named after the cluster. Applied calls are in memory at once; their table rows collect in a batch
//! that is written together with the log index it reaches. Reads never touch the disk.
//!
//! Invariants: nobody waits for Raft or disk while holding the lock; a block is handed out without a
//! log entry of its own; a restart replays the log from the index in the tables.
//! Start reading at [`Scm`], then `shared.rs`, `machine.rs`, `rpc/`.

mod clock;
mod http;
mod machine;
mod metrics;
mod replicate;
mod rpc;
mod server;
mod services;
mod settings;
mod shared;
mod storage;

#[cfg(test)]
mod tests;

pub use server::Scm;
pub use settings::ScmSettings;
pub use storage::{Initialized, init, init_with};
