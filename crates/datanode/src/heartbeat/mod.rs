//! Talking to SCM.
//!
//! ```text
//!  containers, pipelines ─► Outbox ─┬─► endpoint of SCM 1 ─► GETVERSION ► REGISTER ► HEARTBEAT …
//!                                   └─► endpoint of SCM 2, Recon           │ commands
//!                                        commands::Executor ◄──────────────┘
//! ```
//! Everything worth telling goes to every endpoint's own mailbox; a heartbeat empties it, and puts
//! back what was not delivered. Reports that are snapshots (node, containers, pipelines) are made at
//! the moment they are sent.

pub mod commands;
pub mod endpoint;
mod leadership;
mod outbox;
pub mod reports;

pub use leadership::Leadership;
pub use outbox::{Mail, Mailbox, Outbox};
