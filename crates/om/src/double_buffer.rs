//! Writes what is applied to RocksDB, behind the replies.
//!
//! One thread takes all rows that are applied but unflushed and writes them as one batch, together
//! with the last (term, index). Nobody waits for it but a snapshot and a stop, so it lets rows gather
//! for [`GATHER`]: a bucket that a thousand commits changed is then written once.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use om_core::{Applied, TableCache};
use ozone_db::{DbError, Durability};
use ozone_metrics::{Gauge, Rate, Records, Timer};
use parking_lot::{Condvar, Mutex};

use crate::kept_replies::KeptReplies;

/// How long rows gather before they are written.
const GATHER: Duration = Duration::from_millis(20);
/// Unflushed rows above which they are written at once.
const ROWS_GATHERED_MAX: usize = 20_000;
/// Unflushed rows above which apply waits for the disk.
const ROWS_UNFLUSHED_MAX: usize = 200_000;

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
        record.gauge("UnflushedRows", self.shared.cache.unflushed_rows());
    }

    /// The replies that are written with the rows.
    pub fn replies(&self) -> &KeptReplies {
        &self.shared.replies
    }

    /// Rows were applied. Waits while more are unflushed than memory should hold.
    pub fn applied(&self) {
        let unflushed = self.shared.cache.unflushed_rows();
        {
            let mut signals = self.shared.signals.lock();
            if !signals.dirty || unflushed > ROWS_GATHERED_MAX {
                signals.dirty = true;
                self.shared.wake.notify_one();
            }
        }
        if unflushed > ROWS_UNFLUSHED_MAX {
            let mut writing = self.shared.writing.lock();
            while self.shared.cache.unflushed_rows() > ROWS_UNFLUSHED_MAX {
                self.shared.flushed.wait(&mut writing);
            }
        }
    }

    /// Writes everything that is applied now, and makes it survive a crash of the machine.
    ///
    /// # Errors
    /// RocksDB failed.
    pub fn flush_all(&self) -> Result<Option<Applied>, DbError> {
        while self.shared.flush()? {}
        self.shared.cache.store().flush()?;
        self.shared.cache.flushed()
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
                if self.cache.unflushed_rows() <= ROWS_GATHERED_MAX {
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
    use om_core::cache::Change;
    use ozone_db::MemoryStore;

    use super::*;

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
        assert_eq!(cache.unflushed_rows(), 0);
    }
}
