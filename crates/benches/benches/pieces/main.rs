//! What the pieces cost that a request passes. `cargo bench -p benches -- NAME` runs some of them.
//!
//! | module | piece |
//! |---|---|
//! | `rpc` | frames and headers of Hadoop RPC, requests and answers of the Ozone Manager |
//! | `namespace` | applying CreateKey and CommitKey, a page of 1000 keys |
//! | `raft_log` | appending with a real sync |
//! | `chunks` | writing, committing and reading a chunk; checksums |
//!
//! Files are made below the target directory, not in memory: syncs cost what the disk takes.

mod chunks;
mod namespace;
mod raft_log;
mod rpc;

fn main() {
    divan::main();
}

/// A directory on the disk of the target directory, removed when it is dropped.
fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the target directory is writable")
}
