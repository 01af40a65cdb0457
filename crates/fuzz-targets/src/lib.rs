//! One function per decoder of bytes that come from a socket or a disk.
//!
//! ```text
//!   fuzz/ (coverage-guided, its own workspace) ──► TARGETS ◄── tests/replay.rs (the committed corpora)
//! ```
//! A target takes any bytes. It panics when the decoder does, or when a property does not hold: what
//! was decoded and encoded decodes to the same, memory stays bounded, state never goes back.
//!
//! Start reading at [`TARGETS`].

mod commands;
mod files;
mod memory;
mod messages;
mod raft;
mod rpc;
mod tables;

/// Takes any bytes; panics if something is wrong.
pub type Target = fn(&[u8]);

/// All targets by name; the name is that of the folder in `fuzz/corpus`.
pub const TARGETS: &[(&str, Target)] = &[
    ("rpc_frame", rpc::frames),
    ("messages", messages::messages),
    ("container_command", commands::container_commands),
    ("raft_core", raft::core_inputs),
    ("raft_log", raft::log_files),
    ("table_rows", tables::rows),
    ("container_descriptor", files::descriptor),
    ("datanode_files", files::datanode_files),
    ("java_properties", files::properties),
    ("ozone_site", files::site),
    ("names", files::names),
];

/// The target of a name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().find(|(known, _)| *known == name).map(|(_, target)| *target)
}

/// Takes a byte off the front; 0 at the end.
pub(crate) fn byte(data: &mut &[u8]) -> u8 {
    let Some((first, rest)) = data.split_first() else { return 0 };
    *data = rest;
    *first
}

/// Takes a piece with a length of two bytes (big-endian) in front of it; what there is if it is short.
pub(crate) fn piece<'a>(data: &mut &'a [u8]) -> &'a [u8] {
    let length = usize::from(byte(data)) << 8 | usize::from(byte(data));
    let (piece, rest) = data.split_at(length.min(data.len()));
    *data = rest;
    piece
}
