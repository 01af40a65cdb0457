//! The Ozone Manager server: RPC in front of `om-core`, Raft and RocksDB behind it.
//!
//! ```text
//!  rpc ─► read?  ─► om_core::read over the table cache ─► locations (pipelines) ─► reply
//!    └──► submit: om_core::prepare (leader) ─► data key (encrypted buckets: KMS)
//!                                           ─► blocks (pool, refilled from SCM) ─► multiraft
//!                                                                                     │ log synced
//!         reply ◄─ state_machine: om_core::apply ─► table cache ◄─────────────────────┘
//!                                        double_buffer ─► one RocksDB batch + transaction info
//! ```
//! Invariants: a write is answered once the log holds it and it is applied; RocksDB follows behind,
//! and the row `#TRANSACTIONINFO` in each batch says how far, so that a restart replays the rest.
//! Apply reads no clock and asks nobody. Start reading at `server.rs`.

mod admin;
mod audit;
mod blocks;
mod double_buffer;
mod encryption;
mod http;
mod identity;
mod ids;
mod init;
mod kept_replies;
mod locations;
mod metrics;
mod outstanding;
mod quota_repair;
mod rpc;
mod server;
mod service;
mod service_list;
mod settings;
mod state_machine;
mod submit;
mod updates;
mod upgrade;
mod users;

pub use init::{Initialized, init};
pub use server::Om;
pub use settings::Settings;
pub use upgrade::cancel_prepare;
