//! What the writer of a disk counts.

use std::time::Duration;

use ozone_metrics::{Counter, Rate, Record, Timer};

/// Counts of one disk; all its groups share them, as they share its rounds and syncs.
#[derive(Debug, Default)]
pub struct DiskMetrics {
    /// One sync of one file.
    sync: Timer,
    /// A round: writes, syncs, reports.
    round: Timer,
    /// Operations of a round.
    operations: Rate,
    /// Bytes of entries of a round.
    bytes: Rate,
    appends: Counter,
    failures: Counter,
}

impl DiskMetrics {
    pub(crate) fn synced(&self, took: Duration) {
        self.sync.took(took);
    }

    pub(crate) fn failed(&self) {
        self.failures.inc();
    }

    pub(crate) fn round(&self, took: Duration, operations: usize, appends: usize, bytes: usize) {
        self.round.took(took);
        self.operations.record(operations as u64);
        self.bytes.record(bytes as u64);
        self.appends.add(appends as u64);
    }

    /// Ratis' names where it has them.
    pub(crate) fn collect(&self, worker: &mut Record<'_>, queued: usize) {
        worker.summary("syncTime", &self.sync).summary("flushTime", &self.round);
        worker.gauge("flushCount", self.operations.count());
        worker.gauge("syncBatchSize", self.operations.average());
        worker.gauge("syncBatchBytes", self.bytes.average());
        worker.gauge("appendEntryCount", self.appends.get());
        worker.gauge("appendBytes", self.bytes.sum());
        worker.gauge("failureCount", self.failures.get());
        worker.gauge("workerQueueSize", queued).gauge("dataQueueSize", queued);
    }
}
