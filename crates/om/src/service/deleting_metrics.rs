//! What the services count that take deleted keys and trees away (`DeletingServiceMetrics`), as the leader
//! sees it.

use ozone_metrics::{Counter, Records};
use parking_lot::Mutex;

use crate::ids::now_ms;

/// What is counted "in the interval" begins anew so often, in seconds (`METRIC_RESET_INTERVAL`).
const INTERVAL_S: u64 = 24 * 60 * 60;

/// A round of the key deleting service.
#[derive(Clone, Copy, Default)]
pub(crate) struct KeyRound {
    /// Rows of the deleted table that were looked at.
    pub iterated: u64,
    /// Those that are gone.
    pub reclaimed: u64,
    /// What they occupied on all disks, in bytes.
    pub reclaimed_bytes: u64,
}

/// A round of the directory deleting service, or a part of it.
#[derive(Clone, Copy, Default)]
pub(crate) struct DirectoryRound {
    /// Deleted directories that are gone.
    pub purged: u64,
    /// Directories found in them.
    pub directories: u64,
    /// Files found in them.
    pub files: u64,
}

/// When a service ran, in milliseconds since 1970; 0 if it did not.
#[derive(Clone, Copy, Default)]
struct Runs {
    last: u64,
    current: u64,
}

#[derive(Default)]
struct Rounds {
    keys: KeyRound,
    key_runs: Runs,
    directories: DirectoryRound,
    directory_runs: Runs,
    /// Seconds since 1970; 0 before the first round.
    interval_began_s: u64,
    interval_keys: u64,
    interval_bytes: u64,
}

/// See the [module](self).
#[derive(Default)]
pub(crate) struct DeletingMetrics {
    keys_processed: Counter,
    keys_purged: Counter,
    directories_purged: Counter,
    sub_directories: Counter,
    sub_files: Counter,
    rounds: Mutex<Rounds>,
}

impl DeletingMetrics {
    pub(crate) fn keys_begin(&self) {
        self.rounds.lock().key_runs.current = now_ms();
    }

    /// Rows were taken up.
    pub(crate) fn keys_taken(&self, count: u64) {
        self.keys_processed.add(count);
    }

    /// They are gone.
    pub(crate) fn keys_gone(&self, count: u64) {
        self.keys_purged.add(count);
    }

    pub(crate) fn keys_end(&self, round: KeyRound) {
        let mut rounds = self.rounds.lock();
        rounds.add(round, now_ms() / 1000);
        rounds.key_runs.last = rounds.key_runs.current;
    }

    pub(crate) fn directories_begin(&self) {
        self.rounds.lock().directory_runs.current = now_ms();
    }

    /// A request of a round was carried out.
    pub(crate) fn directories_gone(&self, part: DirectoryRound) {
        self.directories_purged.add(part.purged);
        self.sub_directories.add(part.directories);
        self.sub_files.add(part.files);
    }

    pub(crate) fn directories_end(&self, round: DirectoryRound) {
        let mut rounds = self.rounds.lock();
        rounds.directories = round;
        rounds.directory_runs.last = rounds.directory_runs.current;
    }

    pub(crate) fn collect(&self, records: &mut Records) {
        let mut record = records.record("DeletingServiceMetrics");
        record.context("ozone");
        let (purged, directories, files) =
            (self.directories_purged.get(), self.sub_directories.get(), self.sub_files.get());
        for (name, total) in [
            ("NumKeysProcessed", self.keys_processed.get()),
            ("NumKeysSentForPurge", self.keys_purged.get()),
            ("NumKeysPurged", self.keys_purged.get()),
            ("NumDirsSentForPurge", purged),
            ("NumDirsPurged", purged),
            ("NumSubDirsSentForPurge", directories),
            ("NumSubDirsMovedToDeletedDirTable", directories),
            ("NumSubFilesSentForPurge", files),
            ("NumSubFilesMovedToDeletedTable", files),
        ] {
            // Gauges there, though they only rise.
            record.gauge(name, total);
        }
        let rounds = self.rounds.lock();
        let (keys, directories) = (rounds.keys, rounds.directories);
        for (name, value) in [
            ("MetricsResetTimeStamp", rounds.interval_began_s),
            ("KeysReclaimedInInterval", rounds.interval_keys),
            ("ReclaimedSizeInInterval", rounds.interval_bytes),
            ("KdsLastRunTimestamp", rounds.key_runs.last),
            ("KdsCurRunTimestamp", rounds.key_runs.current),
            ("DdsLastRunTimestamp", rounds.directory_runs.last),
            ("DdsCurRunTimestamp", rounds.directory_runs.current),
            ("AosKeysReclaimedLast", keys.reclaimed),
            ("AosReclaimedSizeLast", keys.reclaimed_bytes),
            ("AosKeysIteratedLast", keys.iterated),
            // Only snapshots keep keys from being reclaimed.
            ("AosKeysNotReclaimableLast", 0),
            ("DdsAosDirsSentForPurgeLast", directories.purged),
            ("DdsAosSubDirsLast", directories.directories),
            ("DdsAosSubFilesLast", directories.files),
        ] {
            record.gauge(name, value);
        }
    }
}

impl Rounds {
    fn add(&mut self, round: KeyRound, now_s: u64) {
        if self.interval_began_s == 0 || now_s.saturating_sub(self.interval_began_s) > INTERVAL_S {
            (self.interval_began_s, self.interval_keys, self.interval_bytes) = (now_s, 0, 0);
        }
        self.interval_keys += round.reclaimed;
        self.interval_bytes += round.reclaimed_bytes;
        self.keys = round;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_sums_up_its_rounds_and_then_begins_anew() {
        let mut rounds = Rounds::default();
        let round = KeyRound { iterated: 3, reclaimed: 2, reclaimed_bytes: 100 };
        rounds.add(round, 1_000);
        rounds.add(round, 1_000 + INTERVAL_S);
        assert_eq!((rounds.interval_keys, rounds.interval_bytes), (4, 200));
        assert_eq!((rounds.interval_began_s, rounds.keys.reclaimed), (1_000, 2));
        rounds.add(round, 1_001 + INTERVAL_S);
        assert_eq!((rounds.interval_keys, rounds.interval_bytes), (2, 100));
        assert_eq!(rounds.interval_began_s, 1_001 + INTERVAL_S);
    }
}
