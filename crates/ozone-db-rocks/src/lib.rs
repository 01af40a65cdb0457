//! The RocksDB engine behind `ozone-db`, readable by RocksDB 7.7.3 of the Java side.
//!
//! The only crate that links RocksDB. Invariant: every column family is opened with table format
//! version 5; one open with the defaults of RocksDB 11 would write files that the Java daemons and
//! tools cannot read (`docs/adr/2026-11-21-rocksdb-table-format.md`).

use std::collections::BTreeSet;
use std::ops::{Bound, ControlFlow};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use ozone_db::{Batch, DbError, Durability, Edit, Range, Store, Updates, UpdatesError, Visitor};
use rust_rocksdb::checkpoint::Checkpoint;
use rust_rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType,
    FlushOptions, Options, ReadOptions, WriteBatch, WriteOptions,
};

/// The newest table format that RocksDB 7.7.3 reads.
const TABLE_FORMAT_VERSION: i32 = 5;
/// Bits per key of the bloom filters, as Ozone's.
const BLOOM_BITS_PER_KEY: f64 = 10.0;

/// What flushes and compactions wrote is sent to the disk in pieces of so many bytes, as in Ozone: a
/// sync of a whole file at once holds up those of the Raft log.
const BYTES_PER_SYNC: u64 = 1 << 20;
/// Removed rows that a scan steps over in memory before what is in memory goes to disk...
const MARKS_PER_SCAN_MAX: u32 = 10_000;
/// ...and of so many rows in a file, one beside the other...
const MARKS_WINDOW: usize = 4_096;
/// ...this many that are marks of removed ones have it compacted soon: whoever lists goes over them.
const MARKS_PER_WINDOW_MAX: usize = 2_048;

/// Properties of RocksDB that are shown as metrics, of each table and in sum (`RocksDBStoreMetrics`).
const GAUGES: [&str; 13] = [
    "block-cache-capacity",
    "block-cache-usage",
    "block-cache-pinned-usage",
    "cur-size-active-mem-table",
    "cur-size-all-mem-tables",
    "size-all-mem-tables",
    "num-immutable-mem-table",
    "estimate-num-keys",
    "estimate-table-readers-mem",
    "estimate-pending-compaction-bytes",
    "compaction-pending",
    "mem-table-flush-pending",
    "live-sst-files-size",
];

/// How a database is opened.
#[derive(Clone, Debug)]
pub struct RocksSettings {
    /// Memory for blocks read from disk, in bytes, shared by all tables.
    pub block_cache_bytes: usize,
    /// Memory of one table's writes before they go to disk, in bytes.
    pub write_buffer_bytes: usize,
    /// Flush all tables together, so that writes without a log stay consistent with each other.
    pub atomic_flush: bool,
    /// Open files kept at most; -1 keeps all.
    pub open_files_max: i32,
}

impl Default for RocksSettings {
    fn default() -> Self {
        Self {
            block_cache_bytes: 64 << 20,
            write_buffer_bytes: 32 << 20,
            atomic_flush: false,
            open_files_max: 1024,
        }
    }
}

/// An open RocksDB database.
pub struct RocksStore {
    db: DB,
    path: PathBuf,
    tables: BTreeSet<&'static str>,
}

impl RocksStore {
    /// Opens `path`, creating it and any of `tables` that are missing. Tables on disk that are not
    /// named are kept and left alone.
    ///
    /// # Errors
    /// The directory cannot be made, is locked by another process, or is damaged.
    pub fn open(
        path: &Path,
        tables: &[&'static str],
        settings: &RocksSettings,
    ) -> Result<Self, DbError> {
        let engine = |message: String| error(path, message);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|e| engine(e.to_string()))?;
        }
        let options = options(settings);
        let mut names: BTreeSet<String> = tables.iter().map(|name| (*name).to_owned()).collect();
        names.insert("default".to_owned());
        if path.join("CURRENT").exists() {
            names.extend(DB::list_cf(&options, path).map_err(|e| engine(e.to_string()))?);
        }
        let table_options = table_options(settings);
        let families = names
            .into_iter()
            .map(|name| ColumnFamilyDescriptor::new(name, family(settings, &table_options)));
        let db =
            DB::open_cf_descriptors(&options, path, families).map_err(|e| engine(e.to_string()))?;
        Ok(Self { db, path: path.to_owned(), tables: tables.iter().copied().collect() })
    }

    /// Where the database lives.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn table(&self, name: &'static str) -> Result<&ColumnFamily, DbError> {
        self.db.cf_handle(name).ok_or_else(|| DbError::NoTable(name.to_owned()))
    }

    /// The oldest number that the log still has.
    fn first_logged(&self) -> Result<Option<u64>, DbError> {
        let mut log = self.db.get_updates_since(0).map_err(|e| self.error(&e))?;
        let first = log.next().transpose().map_err(|e| self.error(&e))?;
        Ok(first.map(|(number, _)| number))
    }

    fn error(&self, error: &rust_rocksdb::Error) -> DbError {
        self::error(&self.path, error.to_string())
    }
}

impl Drop for RocksStore {
    fn drop(&mut self) {
        self.db.cancel_all_background_work(true);
    }
}

impl Store for RocksStore {
    fn get(&self, table: &'static str, key: &[u8]) -> Result<Option<Bytes>, DbError> {
        let value = self.db.get_cf(self.table(table)?, key).map_err(|e| self.error(&e))?;
        Ok(value.map(Bytes::from))
    }

    fn visit(
        &self,
        table: &'static str,
        range: Range<'_>,
        visitor: Visitor<'_>,
    ) -> Result<(), DbError> {
        let mut read = ReadOptions::default();
        if let Bound::Excluded(to) = range.to {
            read.set_iterate_upper_bound(to);
        }
        let mut rows = self.db.raw_iterator_cf_opt(self.table(table)?, read);
        match range.from {
            Bound::Unbounded => rows.seek_to_first(),
            Bound::Included(key) => rows.seek(key),
            Bound::Excluded(key) => {
                rows.seek(key);
                if rows.key() == Some(key) {
                    rows.next();
                }
            }
        }
        while let Some((key, value)) = rows.item() {
            if let Bound::Included(last) = range.to
                && key > last
            {
                return Ok(());
            }
            if let ControlFlow::Break(()) = visitor(key, value) {
                return Ok(());
            }
            rows.next();
        }
        rows.status().map_err(|e| self.error(&e))
    }

    fn write(&self, batch: Batch, durability: Durability) -> Result<(), DbError> {
        let mut writes = WriteBatch::default();
        for edit in &batch.edits {
            match edit {
                Edit::Put { table, key, value } => writes.put_cf(self.table(table)?, key, value),
                Edit::Delete { table, key } => writes.delete_cf(self.table(table)?, key),
                Edit::DeleteRange { table, from, to } => {
                    writes.delete_range_cf(self.table(table)?, from, to);
                }
            }
        }
        let mut options = WriteOptions::default();
        match durability {
            Durability::Synced => options.set_sync(true),
            Durability::Logged => {}
            Durability::Memory => options.disable_wal(true),
        }
        self.db.write_opt(&writes, &options).map_err(|e| self.error(&e))
    }

    fn flush(&self) -> Result<(), DbError> {
        let mut options = FlushOptions::default();
        options.set_wait(true);
        let tables: Vec<&ColumnFamily> =
            self.tables.iter().map(|name| self.table(name)).collect::<Result<_, _>>()?;
        self.db.flush_cfs_opt(&tables, &options).map_err(|e| self.error(&e))
    }

    fn checkpoint(&self, target: &Path) -> Result<(), DbError> {
        let checkpoint = Checkpoint::new(&self.db).map_err(|e| self.error(&e))?;
        checkpoint.create_checkpoint(target).map_err(|e| self.error(&e))
    }

    fn estimated_rows(&self, table: &'static str) -> Result<u64, DbError> {
        let rows = self
            .db
            .property_int_value_cf(self.table(table)?, "rocksdb.estimate-num-keys")
            .map_err(|e| self.error(&e))?;
        Ok(rows.unwrap_or(0))
    }

    fn updates_since(
        &self,
        sequence: u64,
        count_max: u64,
        bytes_max: u64,
    ) -> Result<Updates, UpdatesError> {
        let log = self.db.get_updates_since(sequence).map_err(|e| self.error(&e))?;
        let mut updates = Updates::default();
        if !log.valid() && self.db.latest_sequence_number() != sequence {
            return Err(UpdatesError::TooOld { wanted: sequence, first: None });
        }
        let mut bytes = 0;
        for batch in log {
            let (number, batch) = batch.map_err(|e| self.error(&e))?;
            // The iterator passes over older batches silently: is this the next one, or was there
            // another before it?
            if updates.last.is_none() && number > sequence + 1 {
                let first = self.first_logged()?;
                if first.is_none_or(|first| first > sequence + 1) {
                    return Err(UpdatesError::TooOld { wanted: sequence, first });
                }
            }
            let data = Bytes::copy_from_slice(batch.data());
            bytes += data.len() as u64;
            updates.batches.push(data);
            updates.last = Some(number);
            if number - sequence >= count_max || bytes >= bytes_max {
                break;
            }
        }
        updates.latest = self.db.latest_sequence_number();
        Ok(updates)
    }

    fn gauges(&self) -> Vec<(String, u64)> {
        let mut gauges = Vec::with_capacity((self.tables.len() + 1) * GAUGES.len());
        let mut sums = [0_u64; GAUGES.len()];
        for table in &self.tables {
            let Some(handle) = self.db.cf_handle(table) else { continue };
            let table = table.to_ascii_lowercase();
            for (gauge, sum) in GAUGES.iter().zip(&mut sums) {
                let property = format!("rocksdb.{gauge}");
                let value = self.db.property_int_value_cf(handle, property.as_str()).ok().flatten();
                let value = value.unwrap_or(0);
                gauges.push((format!("{table}_{}", gauge.replace('-', "_")), value));
                // All tables share one cache.
                *sum = if gauge.starts_with("block-cache") { value } else { *sum + value };
            }
        }
        let all = GAUGES.iter().zip(sums);
        gauges.extend(all.map(|(gauge, sum)| (gauge.replace('-', "_"), sum)));
        let last = self.db.latest_sequence_number();
        gauges.push(("last_sequence_number".to_owned(), last));
        gauges
    }
}

fn options(settings: &RocksSettings) -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_atomic_flush(settings.atomic_flush);
    options.set_max_open_files(settings.open_files_max);
    options.set_keep_log_file_num(3);
    options.set_max_log_file_size(8 << 20);
    options.set_max_total_wal_size(256 << 20);
    options.set_bytes_per_sync(BYTES_PER_SYNC);
    options
}

fn table_options(settings: &RocksSettings) -> BlockBasedOptions {
    let mut table = BlockBasedOptions::default();
    table.set_format_version(TABLE_FORMAT_VERSION);
    table.set_bloom_filter(BLOOM_BITS_PER_KEY, false);
    table.set_block_cache(&Cache::new_lru_cache(settings.block_cache_bytes));
    table
}

fn family(settings: &RocksSettings, table: &BlockBasedOptions) -> Options {
    let mut options = Options::default();
    options.set_block_based_table_factory(table);
    options.set_compression_type(DBCompressionType::Snappy);
    options.set_write_buffer_size(settings.write_buffer_bytes);
    options.set_memtable_op_scan_flush_trigger(MARKS_PER_SCAN_MAX);
    options.add_compact_on_deletion_collector_factory(MARKS_WINDOW, MARKS_PER_WINDOW_MAX, 0.0);
    options
}

fn error(path: &Path, message: String) -> DbError {
    DbError::Engine { path: path.display().to_string(), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_survive_a_reopen_and_unnamed_tables_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        let settings = RocksSettings::default();
        {
            let store = RocksStore::open(&path, &["a", "b"], &settings).unwrap();
            let mut batch = Batch::default();
            batch.put("a", "k1", "v1");
            batch.put("a", "k2", "v2");
            batch.put("b", "k", "v");
            store.write(batch, Durability::Synced).unwrap();
        }
        let store = RocksStore::open(&path, &["a"], &settings).unwrap();
        let mut keys = Vec::new();
        store
            .visit("a", Range::after(b"k1"), &mut |key, _| {
                keys.push(key.to_vec());
                ControlFlow::Continue(())
            })
            .unwrap();
        assert_eq!(keys, [b"k2"]);
        assert_eq!(store.get("b", b"k").unwrap().as_deref(), Some(&b"v"[..]));
        assert!(matches!(store.get("c", b"k"), Err(DbError::NoTable(_))));
    }

    #[test]
    fn updates_are_what_was_written_after_a_number_until_the_log_forgets_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        let settings = RocksSettings::default();
        let store = RocksStore::open(&path, &["a"], &settings).unwrap();
        let write = |keys: &[&'static str]| {
            let mut batch = Batch::default();
            keys.iter().for_each(|key| batch.put("a", *key, "v"));
            store.write(batch, Durability::Logged).unwrap();
        };
        write(&["k1"]);
        write(&["k2", "k3"]);
        write(&["k4"]);
        let all = store.updates_since(0, u64::MAX, u64::MAX).unwrap();
        assert_eq!((all.batches.len(), all.last, all.latest), (3, Some(4), 4));
        assert!(all.batches[1].windows(2).any(|bytes| bytes == b"k3"));
        let rest = store.updates_since(1, u64::MAX, u64::MAX).unwrap();
        assert_eq!(rest.batches, all.batches[1..]);
        // In the middle of a batch, which is passed over.
        assert_eq!(store.updates_since(2, u64::MAX, u64::MAX).unwrap().batches, all.batches[2..]);
        assert_eq!(store.updates_since(0, 2, u64::MAX).unwrap().batches, all.batches[..2]);
        assert_eq!(store.updates_since(0, u64::MAX, 1).unwrap().batches, all.batches[..1]);
        let none = store.updates_since(4, u64::MAX, u64::MAX).unwrap();
        assert_eq!((none.batches.len(), none.last, none.latest), (0, None, 4));
        assert!(matches!(store.updates_since(9, 1, 1), Err(UpdatesError::Engine(_))));

        store.flush().unwrap();
        write(&["k5"]);
        let forgotten = store.updates_since(1, u64::MAX, u64::MAX);
        assert!(matches!(forgotten, Err(UpdatesError::TooOld { wanted: 1, .. })), "{forgotten:?}");
        assert_eq!(store.updates_since(4, u64::MAX, u64::MAX).unwrap().last, Some(5));
    }

    #[test]
    fn marks_of_removed_rows_go_away_by_themselves_once_a_scan_met_them() {
        const ROWS: u32 = 4 * MARKS_PER_SCAN_MAX;
        let dir = tempfile::tempdir().unwrap();
        let settings = RocksSettings::default();
        let store = RocksStore::open(&dir.path().join("x.db"), &["a"], &settings).unwrap();
        let key = |n: u32| n.to_be_bytes().to_vec();
        let mut batch = Batch::default();
        (0..ROWS).for_each(|n| batch.put("a", key(n), "value"));
        store.write(batch, Durability::Logged).unwrap();
        store.flush().unwrap();
        let mut batch = Batch::default();
        (0..ROWS).for_each(|n| batch.delete("a", key(n)));
        store.write(batch, Durability::Logged).unwrap();
        let scan = || {
            let visit = &mut |_: &[u8], _: &[u8]| ControlFlow::Break(());
            store.visit("a", Range::ALL, visit).unwrap();
        };
        scan();
        // RocksDB notices with one write, begins with the next, and works on in the background.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        for _ in 0..2 {
            let mut batch = Batch::default();
            batch.delete("a", key(0));
            store.write(batch, Durability::Logged).unwrap();
        }
        let bytes = || {
            let gauges = store.gauges();
            gauges.into_iter().find(|(name, _)| name == "a_live_sst_files_size").unwrap().1
        };
        while bytes() > 0 {
            assert!(std::time::Instant::now() < deadline, "{} bytes of marks are left", bytes());
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_flush_makes_writes_without_a_log_durable_and_a_checkpoint_opens() {
        let dir = tempfile::tempdir().unwrap();
        let settings = RocksSettings { atomic_flush: true, ..RocksSettings::default() };
        let store = RocksStore::open(&dir.path().join("x.db"), &["a", "b"], &settings).unwrap();
        let mut batch = Batch::default();
        batch.put("a", "k", "v");
        batch.put("b", "gone", "v");
        batch.delete_range("b", "a", "z");
        store.write(batch, Durability::Memory).unwrap();
        store.flush().unwrap();
        let copy = dir.path().join("copy");
        store.checkpoint(&copy).unwrap();
        let copy = RocksStore::open(&copy, &["a", "b"], &settings).unwrap();
        assert_eq!(copy.get("a", b"k").unwrap().as_deref(), Some(&b"v"[..]));
        assert_eq!(copy.get("b", b"gone").unwrap(), None);
    }
}
