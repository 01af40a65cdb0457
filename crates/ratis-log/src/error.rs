//! What can go wrong with a log.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// A log cannot be opened, written or read.
#[derive(Debug, Error)]
pub enum LogError {
    /// The file system refused.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The bytes are not what was written.
    #[error(
        "{path} is damaged at byte {offset}: {reason}; restore the file, or remove this member from \
         the group, delete its directory and add it again so that it copies the log from its peers"
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where the damage starts.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// Another process has the group open.
    #[error("{path} is locked: another process uses this raft storage; stop it first")]
    InUse {
        /// The lock file.
        path: PathBuf,
    },
    /// Entries do not follow the last one.
    #[error("entry {got} does not follow the log, which continues at {want}")]
    Gap {
        /// The next index of the log.
        want: u64,
        /// The index of the entry.
        got: u64,
    },
    /// The entry was purged or is not written yet.
    #[error("entry {index} is not in the log, which holds {first}..{next}")]
    NotFound {
        /// The index that was asked.
        index: u64,
        /// First index held.
        first: u64,
        /// Index after the last held.
        next: u64,
    },
    /// The disk's writer has stopped.
    #[error("the raft log is closed")]
    Closed,
}

impl LogError {
    /// For `map_err` on file operations.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
