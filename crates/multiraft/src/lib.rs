//! Drives many Raft groups in one process.
//!
//! ```text
//!  write ──► retry cache ──► prepare ──► mailbox ─┐            ┌─► log writer of the disk ──┐
//!  peers' requests, answers ────────► mailbox ────┤  Actor:    ├─► write_bulk ──────────────┤ durable
//!  disk reached, bulk written, applied ► mailbox ─┼─► step  ───┼─► peers (append streams)   │
//!  tick (one for all groups) ───────► mailbox ────┘  the core  └─► Applier ──► apply ──► replies
//!                                                                    ▲                      │
//!                                                                    └── committed, durable ┘
//! ```
//!
//! One task owns a group and steps its [`ratis_core::Core`]; it takes everything that waits in its
//! mailbox at once, so that many writes share an append, a sync, a batch of `apply` and a wake-up.
//!
//! Invariants:
//! - The loop never blocks and never awaits anything but its mailbox and bulk writes.
//! - `apply` sees only entries that are committed **and** on this node's disk, bulk bytes included.
//! - An entry goes to the log after its bulk bytes were written, so that what is found in the log after
//!   a crash is whole; peers get it meanwhile.
//! - A (client, call) is applied at most once per retry-cache lifetime, whoever leads.
//! - What a vote allows happens after the vote is on disk.
//! - A group that cannot go on (disk error, failed bulk write, panicking state machine) stops, says
//!   so to everybody who waits, and leaves the other groups alone.
//!
//! Start reading at [`MultiRaft`], then `group.rs` (the way in), `actor.rs` (the loop), `effects.rs`,
//! `apply.rs`; [`state_machine`] is the contract with users.

mod actor;
mod apply;
mod clients;
mod clock;
mod durability;
mod effects;
mod engine;
mod error;
mod gate;
mod group;
mod handlers;
mod info;
mod links;
mod metrics;
mod open;
mod retry_cache;
mod settings;
mod snapshots;
pub mod state_machine;
mod types;
mod watches;

pub use engine::MultiRaft;
pub use error::{RaftError, StartError};
pub use ratis_core::{PeerId, Role, TermIndex};
pub use settings::RaftSettings;
pub use state_machine::{
    Committed, Context, KnownReply, StateMachine, StateMachineError, StateMachines, Transaction,
};
pub use types::{ClientRequest, GroupId, GroupInfo, Leadership, Reply};
