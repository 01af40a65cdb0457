//! Rows that are applied but not yet in the database, over the database.
//!
//! ```text
//!  apply ─► current ──rotate──► flushing ──Batch──► Store
//!             ▲                    ▲                  ▲
//!  get, scan ─┴────── newer wins ──┴──────────────────┘
//! ```
//! Each generation keeps the newest value of a row only, so a batch writes a busy row (a bucket's
//! usage) once. Invariants: a row leaves a generation only after the store has it, and readers take
//! hold of the generations before they look into the store; hence nobody misses a row in between.
//! Changes of one transaction are never spread over two generations.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use om_proto::{BucketInfo, VolumeInfo};
use ozone_db::{Batch, DbError, Range, Store};
use parking_lot::{Mutex, RwLock};

use crate::tables;

mod resident;
pub(crate) use resident::Resident;

/// Rows that a scan copies out of a generation at once.
const SCAN_CHUNK_ROWS: usize = 256;

/// The last applied entry of the log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Applied {
    /// Term.
    pub term: u64,
    /// Index.
    pub index: u64,
}

impl Applied {
    /// `<term>#<index>`, as `transactionInfoTable` holds it.
    pub fn to_row(self) -> String {
        format!("{}#{}", self.term, self.index)
    }

    /// From `<term>#<index>`.
    pub fn from_row(row: &[u8]) -> Option<Self> {
        let (term, index) = std::str::from_utf8(row).ok()?.split_once('#')?;
        Some(Self { term: term.parse().ok()?, index: index.parse().ok()? })
    }
}

/// A changed row; `None` removes it.
#[derive(Clone, Debug)]
pub struct Change {
    /// Position of the table in [`tables::ALL`].
    pub slot: usize,
    /// Key.
    pub key: Bytes,
    /// The new value.
    pub value: Option<Bytes>,
}

type Rows = BTreeMap<Bytes, Option<Bytes>>;

/// Changes that go to the store together.
#[derive(Default)]
struct Generation {
    tables: [RwLock<Rows>; tables::ALL.len()],
    rows: AtomicUsize,
    applied: Mutex<Option<Applied>>,
}

#[derive(Default)]
struct Generations {
    current: Arc<Generation>,
    flushing: Option<Arc<Generation>>,
}

/// What one flush writes.
pub struct Flush {
    /// The rows, and up to where they carry the state.
    pub batch: Batch,
    /// The last transaction in it.
    pub applied: Applied,
}

/// Unflushed rows over a store.
pub struct TableCache {
    store: Arc<dyn Store>,
    generations: RwLock<Generations>,
    /// Decoded: every request reads one of each.
    pub(crate) volumes: Resident<VolumeInfo>,
    pub(crate) buckets: Resident<BucketInfo>,
    /// Whether any prefix may have ACLs: most clusters have none, and no key pays for looking.
    prefixes: AtomicBool,
}

impl TableCache {
    /// An empty cache over `store`.
    pub fn new(store: Arc<dyn Store>) -> Self {
        let mut prefixes = false;
        // A store that cannot tell is asked each time.
        let asked = store.visit(tables::ALL[tables::PREFIX.slot], Range::from(b""), &mut |_, _| {
            prefixes = true;
            ControlFlow::Break(())
        });
        Self {
            prefixes: AtomicBool::new(prefixes || asked.is_err()),
            store,
            generations: RwLock::default(),
            volumes: Resident::default(),
            buckets: Resident::default(),
        }
    }

    /// Whether any prefix may have ACLs.
    pub(crate) fn has_prefixes(&self) -> bool {
        self.prefixes.load(Ordering::Acquire)
    }

    /// The database below.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The last transaction that the store has.
    ///
    /// # Errors
    /// The store failed or holds garbage there.
    pub fn flushed(&self) -> Result<Option<Applied>, DbError> {
        let table = tables::TRANSACTION_INFO;
        let Some(row) = self.store.get(table, tables::TRANSACTION_INFO_KEY)? else {
            return Ok(None);
        };
        Applied::from_row(&row).map(Some).ok_or_else(|| DbError::Codec {
            table,
            key: tables::TRANSACTION_INFO_KEY.escape_ascii().to_string(),
            source: ozone_db::CodecError("not of the form <term>#<index>".to_owned()),
        })
    }

    /// A row's bytes.
    ///
    /// # Errors
    /// The store failed.
    pub fn get(&self, slot: usize, key: &[u8]) -> Result<Option<Bytes>, DbError> {
        {
            let generations = self.generations.read();
            if let Some(value) = generations.current.tables[slot].read().get(key) {
                return Ok(value.clone());
            }
            if let Some(flushing) = &generations.flushing
                && let Some(value) = flushing.tables[slot].read().get(key)
            {
                return Ok(value.clone());
            }
        }
        self.store.get(tables::ALL[slot], key)
    }

    /// Shows the rows of a range in order until `visit` breaks.
    ///
    /// # Errors
    /// The store failed.
    pub fn scan(
        &self,
        slot: usize,
        range: Range<'_>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), DbError> {
        let (current, flushing) = {
            let generations = self.generations.read();
            (generations.current.clone(), generations.flushing.clone())
        };
        let mut newer = Unflushed::new(current, flushing, slot, &range);
        let mut stopped = false;
        self.store.visit(tables::ALL[slot], range, &mut |key, value| {
            // Unflushed rows up to this key come first; one of the same key replaces it.
            while let Some((unflushed, replacement)) = newer.next_at_most(key) {
                let same = unflushed == key;
                if let Some(value) = replacement
                    && visit(&unflushed, &value).is_break()
                {
                    stopped = true;
                    return ControlFlow::Break(());
                }
                if same {
                    return ControlFlow::Continue(());
                }
            }
            let flow = visit(key, value);
            stopped = flow.is_break();
            flow
        })?;
        while !stopped {
            let Some((key, value)) = newer.next() else { break };
            if let Some(value) = value {
                stopped = visit(&key, &value).is_break();
            }
        }
        Ok(())
    }

    /// Makes the changes of one transaction visible.
    pub fn apply(&self, at: Applied, changes: Vec<Change>) {
        let generations = self.generations.read();
        let current = &generations.current;
        let mut added = 0;
        for Change { slot, key, value } in changes {
            let resident =
                (slot == tables::BUCKET.slot || slot == tables::VOLUME.slot).then(|| key.clone());
            if slot == tables::PREFIX.slot {
                self.prefixes.store(true, Ordering::Release);
            }
            if current.tables[slot].write().insert(key, value).is_none() {
                added += 1;
            }
            if let Some(key) = resident {
                // After the new row is visible: who reads from now on keeps the new one.
                self.buckets.forget(&key);
                self.volumes.forget(&key);
            }
        }
        current.rows.fetch_add(added, Ordering::Relaxed);
        *current.applied.lock() = Some(at);
    }

    /// Rows waiting for a flush.
    pub fn unflushed_rows(&self) -> usize {
        let generations = self.generations.read();
        let flushing = generations.flushing.as_ref();
        generations.current.rows.load(Ordering::Relaxed)
            + flushing.map_or(0, |generation| generation.rows.load(Ordering::Relaxed))
    }

    /// Whether anything was applied since the last [`Self::begin_flush`].
    pub fn is_dirty(&self) -> bool {
        self.generations.read().current.applied.lock().is_some()
    }

    /// Closes the current generation and hands out its rows for the store; `None` when there is
    /// nothing. The caller writes the batch, then calls [`Self::finish_flush`]; one at a time. A
    /// batch that was not finished is handed out again.
    pub fn begin_flush(&self) -> Option<Flush> {
        let generation = {
            let mut generations = self.generations.write();
            match &generations.flushing {
                Some(unfinished) => unfinished.clone(),
                None => {
                    if generations.current.applied.lock().is_none() {
                        return None;
                    }
                    let closed = std::mem::take(&mut generations.current);
                    generations.flushing = Some(closed.clone());
                    closed
                }
            }
        };
        let applied = (*generation.applied.lock())?;
        let mut batch = Batch::default();
        for (slot, rows) in generation.tables.iter().enumerate() {
            for (key, value) in rows.read().iter() {
                match value {
                    Some(value) => batch.put(tables::ALL[slot], key.clone(), value.clone()),
                    None => batch.delete(tables::ALL[slot], key.clone()),
                }
            }
        }
        batch.put(tables::TRANSACTION_INFO, tables::TRANSACTION_INFO_KEY, applied.to_row());
        Some(Flush { batch, applied })
    }

    /// The rows handed out last are in the store.
    pub fn finish_flush(&self) {
        self.generations.write().flushing = None;
    }
}

/// The unflushed rows of a range in order, newest value per key, copied in chunks.
struct Unflushed {
    newest: Layer,
    older: Option<Layer>,
}

struct Layer {
    generation: Arc<Generation>,
    slot: usize,
    chunk: VecDeque<(Bytes, Option<Bytes>)>,
    from: Bound<Vec<u8>>,
    to: Bound<Vec<u8>>,
    exhausted: bool,
}

impl Unflushed {
    fn new(
        current: Arc<Generation>,
        flushing: Option<Arc<Generation>>,
        slot: usize,
        range: &Range<'_>,
    ) -> Self {
        let layer = |generation| Layer {
            generation,
            slot,
            chunk: VecDeque::new(),
            from: range.from.map(<[u8]>::to_vec),
            to: range.to.map(<[u8]>::to_vec),
            exhausted: false,
        };
        Self { newest: layer(current), older: flushing.map(layer) }
    }

    /// Takes the next row if its key is `limit` or less.
    fn next_at_most(&mut self, limit: &[u8]) -> Option<(Bytes, Option<Bytes>)> {
        let first = self.first_key()?;
        if first.as_ref() > limit {
            return None;
        }
        self.next()
    }

    fn first_key(&mut self) -> Option<Bytes> {
        let newest = self.newest.peek();
        let older = self.older.as_mut().and_then(Layer::peek);
        match (newest, older) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    fn next(&mut self) -> Option<(Bytes, Option<Bytes>)> {
        let newest = self.newest.peek();
        let older = self.older.as_mut().and_then(Layer::peek);
        match (newest, older) {
            (None, None) => None,
            (Some(_), None) => self.newest.chunk.pop_front(),
            (None, Some(_)) => self.older.as_mut()?.chunk.pop_front(),
            (Some(a), Some(b)) => {
                if b < a {
                    return self.older.as_mut()?.chunk.pop_front();
                }
                if a == b {
                    self.older.as_mut()?.chunk.pop_front();
                }
                self.newest.chunk.pop_front()
            }
        }
    }
}

impl Layer {
    fn peek(&mut self) -> Option<Bytes> {
        if self.chunk.is_empty() && !self.exhausted {
            self.refill();
        }
        self.chunk.front().map(|(key, _)| key.clone())
    }

    fn refill(&mut self) {
        if is_empty(&self.from, &self.to) {
            self.exhausted = true;
            return;
        }
        let rows = self.generation.tables[self.slot].read();
        let range = (borrowed(&self.from), borrowed(&self.to));
        self.chunk.extend(
            rows.range::<[u8], _>(range)
                .take(SCAN_CHUNK_ROWS)
                .map(|(key, value)| (key.clone(), value.clone())),
        );
        match self.chunk.back() {
            Some((last, _)) if self.chunk.len() == SCAN_CHUNK_ROWS => {
                self.from = Bound::Excluded(last.to_vec());
            }
            _ => self.exhausted = true,
        }
    }
}

fn borrowed(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    match bound {
        Bound::Included(key) => Bound::Included(key),
        Bound::Excluded(key) => Bound::Excluded(key),
        Bound::Unbounded => Bound::Unbounded,
    }
}

/// A range that `BTreeMap::range` would refuse with a panic, or that holds nothing.
fn is_empty(from: &Bound<Vec<u8>>, to: &Bound<Vec<u8>>) -> bool {
    match (from, to) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(a), Bound::Included(b)) => a > b,
        (Bound::Included(a) | Bound::Excluded(a), Bound::Included(b) | Bound::Excluded(b)) => {
            a >= b
        }
    }
}

#[cfg(test)]
mod tests;
