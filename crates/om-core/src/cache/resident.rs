//! Rows that stay decoded in memory, because nearly every request reads them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use rustc_hash::FxHashMap;

/// Rows kept at most, some tens of megabytes; beyond that all are dropped and come back as they are read.
const ROWS_MAX: usize = 50_000;

/// Decoded rows of one table. A row is dropped when it changes and read again by who needs it next.
pub(crate) struct Resident<V> {
    rows: RwLock<FxHashMap<Box<[u8]>, Arc<V>>>,
    version: AtomicU64,
}

impl<V> Default for Resident<V> {
    fn default() -> Self {
        Self { rows: RwLock::default(), version: AtomicU64::new(0) }
    }
}

impl<V> Resident<V> {
    pub(crate) fn get(&self, key: &[u8]) -> Option<Arc<V>> {
        self.rows.read().get(key).cloned()
    }

    /// To be asked before a row is read for [`Self::keep`].
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::SeqCst)
    }

    /// Keeps a row that was read, unless any row changed since `version`: it may be outdated.
    pub(crate) fn keep(&self, version: u64, key: &[u8], row: Arc<V>) {
        let mut rows = self.rows.write();
        if self.version() != version {
            return;
        }
        if rows.len() >= ROWS_MAX {
            rows.clear();
        }
        rows.insert(key.into(), row);
    }

    /// The row has changed to this.
    pub(crate) fn replace(&self, key: &[u8], row: Arc<V>) {
        let mut rows = self.rows.write();
        self.version.fetch_add(1, Ordering::SeqCst);
        if let Some(old) = rows.get_mut(key) {
            *old = row;
        } else if rows.len() < ROWS_MAX {
            rows.insert(key.into(), row);
        }
    }

    /// The row has changed.
    pub(crate) fn forget(&self, key: &[u8]) {
        let mut rows = self.rows.write();
        self.version.fetch_add(1, Ordering::SeqCst);
        rows.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_read_before_a_change_is_not_kept_after_it() {
        let rows = Resident::default();
        let before = rows.version();
        rows.forget(b"k");
        rows.keep(before, b"k", Arc::new(1));
        assert_eq!(rows.get(b"k"), None);
        rows.keep(rows.version(), b"k", Arc::new(2));
        assert_eq!(rows.get(b"k").as_deref(), Some(&2));
    }
}
