//! The namespace of Ozone and its rules: which request changes which rows, and what it answers. Pure.
//!
//! ```text
//!  request ─► command::prepare  (leader: names, links, layout; what must be brought from outside)
//!             command::apply    (every replica, in log order) ─► Namespace: reads + edits
//!                                                                  │ edits on success only
//!  query   ─► command::read  ◄─── TableCache: unflushed rows over a Store ◄─┘
//! ```
//! Invariants: no clock, no random numbers, no threads, no I/O beyond [`ozone_db::Store`]; `apply`
//! reads only the namespace and its request, so that every replica comes to the same rows. Whatever
//! may refuse refuses before the first edit; a refusal leaves no trace but the consumed index.
//!
//! Start reading at [`command`], then [`layout`] (how a path becomes a row) and [`cache`].

pub mod acl;
pub mod cache;
pub mod command;
pub mod deletion;
pub mod encryption;
pub mod error;
pub mod key;
pub mod layout;
pub mod names;
pub mod namespace;
pub mod quota;
pub mod replication;
pub mod rights;
pub mod rules;
pub mod tables;
pub mod trash;

pub use cache::{Applied, TableCache};
pub use error::{Failure, OmError};
pub use namespace::{At, Namespace};
pub use rules::Rules;
