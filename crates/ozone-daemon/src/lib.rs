//! What every server shares: logging, signals, directories and `VERSION` files.
//!
//! - [`logging`]: structured logs on standard error; levels by `OZONE_LOG` and at run time.
//! - [`audit`]: who did what, in the form of Ozone's audit logs.
//! - [`stop`]: waits for the signal that ends a daemon.
//! - [`directories`]: where a daemon keeps its metadata (`ozone.metadata.dirs` and its kin).
//! - [`durable`]: small files that a crash must not tear.
//! - [`properties`]: Java properties text, the form of `VERSION` and `raft-meta` files.

pub mod audit;
pub mod directories;
pub mod durable;
pub mod logging;
pub mod properties;
pub mod stop;
