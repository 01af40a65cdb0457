//! Messages of SCM, datanodes and HDDS, generated from `proto/` at build time.
//!
//! One module per protobuf package: [`hdds`] for what all share and the heartbeat protocol (9861),
//! [`container`] for port 9860, [`block`] for 9863, [`datanode`] for container commands, [`scm_log`]
//! for the entries of SCM's Raft log. Names follow `proto/`; `golden/messages.json` is held against
//! it by a test of `om-proto`.

pub mod convert;

#[allow(clippy::all, clippy::pedantic, missing_docs, non_camel_case_types)]
mod messages {
    include!(concat!(env!("OUT_DIR"), "/messages.rs"));
}

pub use messages::hadoop::common;
pub use messages::hadoop::hdds;
pub use messages::hadoop::hdds::{block, container, datanode, scm, security};

/// Entries of SCM's Raft log and the checkpoint download between SCMs (no protobuf package).
pub mod scm_log {
    pub use super::messages::*;
}
