//! Typed tables over a key-value engine, and an engine in memory.
//!
//! ```text
//!  TableDef<K, V> ─ codec ─► Batch ─► dyn Store: MemoryStore here, RocksStore in ozone-db-rocks
//! ```
//! A [`TableDef`] names a table (a RocksDB column family) and how its keys and values become bytes;
//! the schemas live beside their users (`om-core/src/tables.rs`, `scm-core/src/tables.rs`,
//! `container-store/src/tables.rs`). A [`Batch`] is written as one: all of it or nothing.
//! Invariant: engines order keys bytewise, so that ranges mean the same everywhere.

pub mod codec;
mod memory;
mod table;

use std::ops::{Bound, ControlFlow};
use std::path::Path;

use bytes::Bytes;
use thiserror::Error;

pub use codec::{Codec, CodecError};
pub use memory::MemoryStore;
pub use table::TableDef;

/// Why the store did not do what was asked.
#[derive(Clone, Debug, Error)]
pub enum DbError {
    /// A row is not what its table holds.
    #[error("table {table}, key {key}: {source}")]
    Codec {
        /// The table.
        table: &'static str,
        /// The key, printable.
        key: String,
        /// What is wrong.
        source: CodecError,
    },
    /// The table is not part of this database.
    #[error("no table {0} in this database")]
    NoTable(String),
    /// The engine failed; the data may be damaged or the disk full.
    #[error("database {path}: {message}")]
    Engine {
        /// Where the database lives.
        path: String,
        /// The engine's words.
        message: String,
    },
}

/// How far a write must have come when the call returns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// In the write-ahead log, on disk.
    Synced,
    /// In the write-ahead log; survives the process, not the machine.
    Logged,
    /// In memory; survives nothing until [`Store::flush`]. For what a Raft log can replay.
    Memory,
}

/// One edit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Edit {
    /// Inserts or replaces.
    Put {
        /// Table.
        table: &'static str,
        /// Key.
        key: Bytes,
        /// Value.
        value: Bytes,
    },
    /// Removes, if there.
    Delete {
        /// Table.
        table: &'static str,
        /// Key.
        key: Bytes,
    },
    /// Removes every key in `from..to`.
    DeleteRange {
        /// Table.
        table: &'static str,
        /// First key.
        from: Bytes,
        /// First key after.
        to: Bytes,
    },
}

/// Edits that become visible and durable together.
#[derive(Clone, Default, Debug)]
pub struct Batch {
    /// In order: a later edit of a key wins.
    pub edits: Vec<Edit>,
}

impl Batch {
    /// Inserts or replaces a row.
    pub fn put(&mut self, table: &'static str, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.edits.push(Edit::Put { table, key: key.into(), value: value.into() });
    }

    /// Removes a row.
    pub fn delete(&mut self, table: &'static str, key: impl Into<Bytes>) {
        self.edits.push(Edit::Delete { table, key: key.into() });
    }

    /// Removes the rows of `from..to`.
    pub fn delete_range(
        &mut self,
        table: &'static str,
        from: impl Into<Bytes>,
        to: impl Into<Bytes>,
    ) {
        self.edits.push(Edit::DeleteRange { table, from: from.into(), to: to.into() });
    }

    /// Adds the edits of another batch after those of this one.
    pub fn append(&mut self, mut other: Self) {
        self.edits.append(&mut other.edits);
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }
}

/// A range of keys, in ascending order.
#[derive(Clone, Debug)]
pub struct Range<'a> {
    /// Where to begin.
    pub from: Bound<&'a [u8]>,
    /// Where to end.
    pub to: Bound<&'a [u8]>,
}

impl<'a> Range<'a> {
    /// Everything.
    pub const ALL: Range<'static> = Range { from: Bound::Unbounded, to: Bound::Unbounded };

    /// From `key` on, inclusive.
    pub fn from(key: &'a [u8]) -> Self {
        Self { from: Bound::Included(key), to: Bound::Unbounded }
    }

    /// After `key`.
    pub fn after(key: &'a [u8]) -> Self {
        Self { from: Bound::Excluded(key), to: Bound::Unbounded }
    }
}

/// The first key after all keys that begin with `prefix`; `None` when there is none.
pub fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

/// Gets one row after another, borrowed: `visit(key, value)`.
pub type Visitor<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>;

/// What was written to a store after some moment, as the engine's own log has it.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Updates {
    /// Write batches in the engine's encoding, in order.
    pub batches: Vec<Bytes>,
    /// Sequence number of the last of them; `None` without any.
    pub last: Option<u64>,
    /// Sequence number of the newest write to the store.
    pub latest: u64,
}

/// Why there are no [`Updates`].
#[derive(thiserror::Error, Debug)]
pub enum UpdatesError {
    /// The log does not reach back so far: take a whole copy instead. `first` is where it begins.
    #[error("the log does not reach back to sequence number {wanted}; take a copy of the database")]
    TooOld {
        /// The sequence number that was asked for.
        wanted: u64,
        /// The first one that the log has.
        first: Option<u64>,
    },
    /// The engine failed, or nothing was written yet under that number.
    #[error(transparent)]
    Engine(#[from] DbError),
}

/// A key-value engine with tables. Calls may block on the disk.
pub trait Store: Send + Sync + 'static {
    /// The value of a key.
    ///
    /// # Errors
    /// Unknown table, or the engine failed.
    fn get(&self, table: &'static str, key: &[u8]) -> Result<Option<Bytes>, DbError>;

    /// Shows the rows of a range in ascending order until the visitor breaks. The view is of one
    /// moment: writes that come later are not seen.
    ///
    /// # Errors
    /// Unknown table, or the engine failed.
    fn visit(
        &self,
        table: &'static str,
        range: Range<'_>,
        visitor: Visitor<'_>,
    ) -> Result<(), DbError>;

    /// Writes all edits or none.
    ///
    /// # Errors
    /// Unknown table, or the engine failed; then nothing was written.
    fn write(&self, batch: Batch, durability: Durability) -> Result<(), DbError>;

    /// Makes everything written so far durable.
    ///
    /// # Errors
    /// The engine failed.
    fn flush(&self) -> Result<(), DbError>;

    /// Makes a consistent copy in the new directory `target`, by hard links where possible.
    ///
    /// # Errors
    /// The directory exists, or the engine failed.
    fn checkpoint(&self, target: &Path) -> Result<(), DbError>;

    /// About how many rows a table holds; cheap.
    ///
    /// # Errors
    /// Unknown table, or the engine failed.
    fn estimated_rows(&self, table: &'static str) -> Result<u64, DbError>;

    /// What was written after `sequence`: batches up to the one that is `count_max` numbers later, or
    /// until they are `bytes_max` bytes.
    ///
    /// # Errors
    /// See [`UpdatesError`]; engines without a log always fail.
    fn updates_since(
        &self,
        sequence: u64,
        count_max: u64,
        bytes_max: u64,
    ) -> Result<Updates, UpdatesError> {
        let _ = (count_max, bytes_max);
        Err(UpdatesError::TooOld { wanted: sequence, first: None })
    }

    /// What the engine tells about itself, of the whole and by table (`<table>_live_sst_files_size`);
    /// for metrics. May take a moment.
    fn gauges(&self) -> Vec<(String, u64)> {
        Vec::new()
    }
}
