//! Writes what is applied to RocksDB, behind the replies.
//!
//! One thread takes all rows that are applied but unflushed and writes them as one batch, together
//! with the last (term, index). Nobody waits for it but a snapshot and a stop, so it lets rows gather
//! for [`GATHER`]: a bucket that a thousand commits changed is then written once.
//!
//! When the database is slow (it compacts, or the disk is busy), rows wait in memory and requests are
//! answered all the same, up to [`BACKLOG_MAX`]; then apply waits, hence every writer, until a batch was
//! written.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use om_core::cache::Backlog;
use om_core::{Applied, TableCache};
use ozone_db::{DbError, Durability};
use ozone_metrics::{Gauge, Rate, Records, Timer};
use parking_lot::{Condvar, Mutex};

use crate::kept_replies::KeptReplies;

/// How long rows gather before they are written: long enough that most keys are opened and committed
/// meanwhile, whose open rows the database then never sees; a crash replays no more than that.
const GATHER: Duration = Duration::from_millis(100);
/// Unflushed rows above which they are written at once.
const ROWS_GATHERED_MAX: usize = 20_000;
/// What may wait for the disk before apply does: seconds of the fastest deletion.
const BACKLOG_MAX: Backlog = Backlog { rows: 200_000, bytes: 256 << 20 };

#[derive(Default)]
struct Signals {
    dirty: bool,
    stopping: bool,
}

struct Shared {
    cache: Arc<TableCache>,
    replies: KeptReplies,
    signals: Mutex<Signals>,
    wake: Condvar,
    /// Held while a batch is written; apply waits on `flushed` when too much has gathered.
    writing: Mutex<()>,
    flushed: Condvar,
    metrics: BufferMetrics,
}

/// Counts of the flusher.
#[derive(Default)]
struct BufferMetrics {
    flush: Timer,
    /// Entries of the log in a batch.
    transactions: Rate,
    transactions_max: Gauge,
    rows: Rate,
    /// Apply waited because of [`BACKLOG_MAX`].
    waits: Timer,
}

/// The flusher and its thread.
pub struct DoubleBuffer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl DoubleBuffer {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start(cache: Arc<TableCache>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            cache,
            replies: KeptReplies::default(),
            signals: Mutex::default(),
            wake: Condvar::new(),
            writing: Mutex::new(()),
            flushed: Condvar::new(),
            metrics: BufferMetrics::default(),
        });
        let worker = shared.clone();
        let thread =
            std::thread::Builder::new().name("om-double-buffer".to_owned()).spawn(move || {
                worker.run();
            })?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// `ozone_manager_double_buffer_metrics_*`.
    pub fn collect(&self, records: &mut Records) {
        let metrics = &self.shared.metrics;
        let mut record = records.record("OzoneManagerDoubleBufferMetrics");
        record.counter("TotalNumOfFlushOperations", metrics.transactions.count());
        record.counter("TotalNumOfFlushedTransactions", metrics.transactions.sum());
        record.gauge("AvgFlushTransactionsInOneIteration", metrics.transactions.average());
        let max = metrics.transactions_max.get();
        record.gauge("MaxNumberOfTransactionsFlushedInOneIteration", max);
        record.timer_ms("FlushTime", &metrics.flush).summary("flushSeconds", &metrics.flush);
        record.sizes("QueueSize", "Size", &metrics.transactions);
        record.sizes("FlushedRows", "Size", &metrics.rows);
        let backlog = self.shared.cache.backlog();
        record.gauge("UnflushedRows", backlog.rows).gauge("UnflushedBytes", backlog.bytes);
        record.timer_ms("ApplyWaitTime", &metrics.waits);
    }

    /// The replies that are written with the rows.
    pub fn replies(&self) -> &KeptReplies {
        &self.shared.replies
    }

    /// Rows were applied. Waits while more are unflushed than memory should hold.
    pub fn applied(&self) {
        let backlog = self.shared.cache.backlog();
        {
            let mut signals = self.shared.signals.lock();
            if !signals.dirty || backlog.rows > ROWS_GATHERED_MAX {
                signals.dirty = true;
                self.shared.wake.notify_one();
            }
        }
        if is_too_long(backlog) {
            let begun = Instant::now();
            let mut writing = self.shared.writing.lock();
            while is_too_long(self.shared.cache.backlog()) {
                self.shared.flushed.wait(&mut writing);
            }
            self.shared.metrics.waits.took(begun.elapsed());
        }
    }

    /// Writes everything that is applied now, and makes it survive a crash of the machine; what is
    /// applied meanwhile may be left. Says up to where.
    ///
    /// # Errors
    /// RocksDB failed.
    pub fn flush_all(&self) -> Result<Option<Applied>, DbError> {
        // A batch that could not be written before comes first.
        for _ in 0..2 {
            self.shared.flush()?;
        }
        // Batches that are written during the flush below are not part of it.
        let at = self.shared.cache.flushed()?;
        self.shared.cache.store().flush()?;
        Ok(at)
    }

    /// Writes the rest and ends the thread.
    ///
    /// # Errors
    /// RocksDB failed.
    pub fn stop(&self) -> Result<(), DbError> {
        self.shared.signals.lock().stopping = true;
        self.shared.wake.notify_all();
        if let Some(thread) = self.thread.lock().take() {
            // A panic of the thread was printed; the rows it left are written below.
            let _ = thread.join();
        }
        self.flush_all().map(drop)
    }
}

fn is_too_long(backlog: Backlog) -> bool {
    backlog.rows > BACKLOG_MAX.rows || backlog.bytes > BACKLOG_MAX.bytes
}

impl Shared {
    fn run(&self) {
        loop {
            {
                let mut signals = self.signals.lock();
                while !signals.dirty && !signals.stopping {
                    self.wake.wait(&mut signals);
                }
                if signals.stopping {
                    return;
                }
                if self.cache.backlog().rows <= ROWS_GATHERED_MAX {
                    self.wake.wait_for(&mut signals, GATHER);
                }
                signals.dirty = false;
            }
            if let Err(error) = self.flush() {
                // The rows stay in memory and are tried again; the Raft log still has them.
                tracing::error!(%error, "applied rows cannot be written; check the disk of om.db");
                std::thread::sleep(Duration::from_secs(1));
                self.signals.lock().dirty = true;
            }
        }
    }

    /// Writes one batch; false if there was nothing.
    fn flush(&self) -> Result<bool, DbError> {
        let _writing = self.writing.lock();
        let before = self.cache.flushed()?.map_or(0, |at| at.index);
        let Some(mut flush) = self.cache.begin_flush() else { return Ok(false) };
        self.replies.put(&mut flush.batch, flush.applied.index);
        let (begun, rows) = (Instant::now(), flush.batch.edits.len());
        let transactions = flush.applied.index.saturating_sub(before);
        // Not synced: what the machine loses with its power, the Raft log replays.
        self.cache.store().write(flush.batch, Durability::Logged)?;
        self.cache.finish_flush();
        self.replies.written(flush.applied.index);
        self.metrics.flush.took(begun.elapsed());
        self.metrics.transactions.record(transactions);
        self.metrics.transactions_max.raise(i64::try_from(transactions).unwrap_or(i64::MAX));
        self.metrics.rows.record(rows as u64);
        self.flushed.notify_all();
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::path::Path;

    use bytes::Bytes;
    use om_core::cache::Change;
    use ozone_db::{Batch, MemoryStore, Range, Store};

    use super::*;

    /// A store in memory on a disk that takes as long as a test wishes.
    #[derive(Default)]
    struct SlowStore {
        memory: MemoryStore,
        writes: Gate,
        flushes: Gate,
    }

    /// Where calls wait while it is held.
    #[derive(Default)]
    struct Gate {
        state: Mutex<(bool, usize)>,
        changed: Condvar,
    }

    impl Gate {
        fn hold(&self, held: bool) {
            self.state.lock().0 = held;
            self.changed.notify_all();
        }

        fn pass(&self) {
            let mut state = self.state.lock();
            state.1 += 1;
            self.changed.notify_all();
            while state.0 {
                self.changed.wait(&mut state);
            }
            state.1 -= 1;
        }

        fn await_somebody(&self) {
            let mut state = self.state.lock();
            while state.1 == 0 {
                self.changed.wait(&mut state);
            }
        }
    }

    impl Store for SlowStore {
        fn get(&self, table: &'static str, key: &[u8]) -> Result<Option<Bytes>, DbError> {
            self.memory.get(table, key)
        }

        fn visit(
            &self,
            table: &'static str,
            range: Range<'_>,
            visitor: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>,
        ) -> Result<(), DbError> {
            self.memory.visit(table, range, visitor)
        }

        fn write(&self, batch: Batch, durability: Durability) -> Result<(), DbError> {
            self.writes.pass();
            self.memory.write(batch, durability)
        }

        fn flush(&self) -> Result<(), DbError> {
            self.flushes.pass();
            Ok(())
        }

        fn checkpoint(&self, target: &Path) -> Result<(), DbError> {
            self.memory.checkpoint(target)
        }

        fn estimated_rows(&self, table: &'static str) -> Result<u64, DbError> {
            self.memory.estimated_rows(table)
        }
    }

    fn start() -> (Arc<SlowStore>, Arc<TableCache>, Arc<DoubleBuffer>) {
        let store = Arc::new(SlowStore::default());
        let cache = Arc::new(TableCache::new(store.clone()));
        let buffer = Arc::new(DoubleBuffer::start(cache.clone()).unwrap());
        (store, cache, buffer)
    }

    /// Rows of their own for the entry at `index`.
    fn apply(cache: &TableCache, buffer: &DoubleBuffer, index: u64, rows: usize, value: &Bytes) {
        let row = |n| {
            let key = format!("/volume/{index}/{n}").into_bytes();
            Change::new(om_core::tables::KEY.slot, key, Some(value.clone()))
        };
        cache.apply(Applied { term: 1, index }, (0..rows).map(row).collect());
        buffer.applied();
    }

    #[test]
    fn a_stop_leaves_every_applied_row_and_the_index_in_the_store() {
        let cache = Arc::new(TableCache::new(Arc::new(MemoryStore::default())));
        let buffer = DoubleBuffer::start(cache.clone()).unwrap();
        for index in 1..=1000 {
            let key = format!("/volume{}", index % 10).into_bytes();
            let value = index.to_string().into_bytes().into();
            let change = Change::new(om_core::tables::VOLUME.slot, key, Some(value));
            cache.apply(Applied { term: 1, index }, vec![change]);
            buffer.applied();
        }
        buffer.stop().unwrap();
        assert_eq!(cache.flushed().unwrap(), Some(Applied { term: 1, index: 1000 }));
        let row = cache.store().get(om_core::tables::VOLUME.def.name, b"/volume0").unwrap();
        assert_eq!(row.as_deref(), Some(&b"1000"[..]));
        assert_eq!(cache.backlog(), Backlog::default());
    }

    #[test]
    fn rows_are_applied_and_written_while_the_database_flushes_and_do_not_count_as_flushed() {
        let (store, cache, buffer) = start();
        let value = Bytes::from_static(b"value");
        apply(&cache, &buffer, 1, 10, &value);
        store.flushes.hold(true);
        let flusher = std::thread::spawn({
            let buffer = buffer.clone();
            move || buffer.flush_all()
        });
        store.flushes.await_somebody();
        for index in 2..100 {
            apply(&cache, &buffer, index, 10, &value);
        }
        // Nothing but the disk is waited for, or this does not end.
        while cache.backlog().rows > 0 {
            std::thread::yield_now();
        }
        assert_eq!(cache.flushed().unwrap(), Some(Applied { term: 1, index: 99 }));
        store.flushes.hold(false);
        assert_eq!(flusher.join().unwrap().unwrap(), Some(Applied { term: 1, index: 1 }));
        buffer.stop().unwrap();
    }

    #[test]
    fn a_disk_that_is_behind_holds_up_apply_at_a_bound_only() {
        const ROW_BYTES: usize = 1 << 20;
        let (store, cache, buffer) = start();
        store.writes.hold(true);
        let entries = (2 * BACKLOG_MAX.bytes / ROW_BYTES) as u64;
        // All rows share it.
        let value = Bytes::from(vec![7; ROW_BYTES]);
        let applier = std::thread::spawn({
            let (cache, buffer) = (cache.clone(), buffer.clone());
            move || {
                for index in 1..=entries {
                    apply(&cache, &buffer, index, 1, &value);
                    assert!(!is_too_long(cache.backlog()), "apply went on at entry {index}");
                }
            }
        });
        // As far as that nobody waited for the disk.
        while !is_too_long(cache.backlog()) && !applier.is_finished() {
            std::thread::yield_now();
        }
        assert!(!applier.is_finished());
        store.writes.hold(false);
        applier.join().unwrap();
        assert!(buffer.shared.metrics.waits.summary().count > 0);
        buffer.stop().unwrap();
        let last = cache.flushed().unwrap();
        assert_eq!(last, Some(Applied { term: 1, index: entries }));
    }
}
