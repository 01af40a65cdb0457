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

use std::collections::{BTreeMap, VecDeque};
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};

use bytes::Bytes;
use om_proto::{BucketInfo, DirectoryInfo, VolumeInfo};
use ozone_db::{Batch, DbError, Range, Store};
use parking_lot::{Mutex, RwLock};
use rustc_hash::FxHashMap;

use crate::tables;

mod resident;
mod vacancies;
pub(crate) use resident::Resident;
pub(crate) use vacancies::Vacancies;

/// Rows that a scan copies out of a generation at once.
const SCAN_CHUNK_ROWS: usize = 256;
/// Rows of a flush that stay in memory until the next one, at most.
const FLUSHED_ROWS_MAX: usize = 20_000;
/// The same in bytes.
const FLUSHED_BYTES_MAX: usize = 32 << 20;
/// Keys whose rows in the store are known, per table and generation, at most.
const SEEN_KEYS_MAX: usize = 20_000;
/// The longest row of them in bytes.
const SEEN_ROW_BYTES_MAX: usize = 1 << 10;

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
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Position of the table in [`tables::ALL`].
    pub slot: usize,
    /// Key.
    pub key: Bytes,
    /// The new value.
    pub value: Option<Bytes>,
    /// No row had this key before.
    pub is_new: bool,
    /// A bucket's row, decoded.
    pub decoded: Option<Arc<BucketInfo>>,
}

impl Change {
    /// A row that is inserted, replaced or (`None`) removed.
    pub fn new(slot: usize, key: impl Into<Bytes>, value: Option<Bytes>) -> Self {
        Self { slot, key: key.into(), value, is_new: false, decoded: None }
    }
}

/// A row that is not flushed yet.
#[derive(Clone, Debug)]
struct Row {
    value: Option<Bytes>,
    /// Neither the store nor an older generation has a row of this key.
    is_new: bool,
}

type Rows = BTreeMap<Bytes, Row>;

/// Changes that go to the store together.
#[derive(Default)]
struct Generation {
    tables: [RwLock<Rows>; tables::ALL.len()],
    /// Below zero never, though counted up and down.
    rows: AtomicIsize,
    bytes: AtomicIsize,
    applied: Mutex<Option<Applied>>,
    /// What the store had for keys that were looked up: nothing, mostly, since who makes a key asks
    /// twice, at least; and rows that a batch will want.
    seen: [RwLock<FxHashMap<Box<[u8]>, Option<Bytes>>>; tables::ALL.len()],
}

impl Generation {
    fn backlog(&self) -> Backlog {
        let read = |count: &AtomicIsize| count.load(Ordering::Relaxed).max(0).cast_unsigned();
        Backlog { rows: read(&self.rows), bytes: read(&self.bytes) }
    }

    fn seen(&self, slot: usize, key: &[u8]) -> Option<Option<Bytes>> {
        if !tables::is_often_absent(slot) {
            return None;
        }
        self.seen[slot].read().get(key).cloned()
    }

    fn note(&self, slot: usize, key: &[u8], row: Option<&Bytes>) {
        if !tables::is_often_absent(slot) || row.is_some_and(|row| row.len() > SEEN_ROW_BYTES_MAX) {
            return;
        }
        let mut seen = self.seen[slot].write();
        if seen.len() < SEEN_KEYS_MAX {
            seen.insert(key.into(), row.cloned());
        }
    }
}

#[derive(Default)]
struct Generations {
    current: Arc<Generation>,
    flushing: Option<Arc<Generation>>,
    /// The rows that were flushed last. The store has them, too; here they are found quicker, and
    /// what was just written is soon read or written again.
    flushed: Option<Arc<Generation>>,
}

/// What is applied and waits for a flush.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Backlog {
    /// Rows, each counted once however often it changed.
    pub rows: usize,
    /// Bytes of their keys and newest values.
    pub bytes: usize,
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
    /// Decoded: who names a file in a tree names the folders above it.
    pub(crate) directories: Resident<DirectoryInfo>,
    pub(crate) vacancies: Vacancies,
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
            directories: Resident::default(),
            vacancies: Vacancies::default(),
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
        self.look_up(slot, key, false)
    }

    /// As [`Self::get`], and a row of a key or folder is found in memory by whoever asks again soon.
    ///
    /// # Errors
    /// The store failed.
    pub fn get_ahead(&self, slot: usize, key: &[u8]) -> Result<Option<Bytes>, DbError> {
        self.look_up(slot, key, true)
    }

    fn look_up(&self, slot: usize, key: &[u8], ahead: bool) -> Result<Option<Bytes>, DbError> {
        let current = {
            let generations = self.generations.read();
            let older = generations.flushing.iter().chain(&generations.flushed);
            for generation in std::iter::once(&generations.current).chain(older) {
                if let Some(row) = generation.tables[slot].read().get(key) {
                    return Ok(row.value.clone());
                }
                if let Some(seen) = generation.seen(slot, key) {
                    return Ok(seen);
                }
            }
            generations.current.clone()
        };
        let found = self.store.get(tables::ALL[slot], key)?;
        if ahead || found.is_none() {
            // Noted in the generation that was looked into, though a newer one may be there by now:
            // a row that came meanwhile is in that one or a newer, and found first.
            current.note(slot, key, found.as_ref());
        }
        Ok(found)
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
        let (mut added, mut grown) = (0_isize, 0_isize);
        let length = |value: &Option<Bytes>| value.as_ref().map_or(0, Bytes::len).cast_signed();
        for Change { slot, key, value, is_new, decoded } in changes {
            let (name, is_put) = (key.clone(), value.is_some());
            if slot == tables::PREFIX.slot {
                self.prefixes.store(true, Ordering::Release);
            }
            let mut rows = current.tables[slot].write();
            match rows.get_mut(&key) {
                // It came and went within this generation: the store need not know.
                Some(row) if row.is_new && value.is_none() => {
                    added -= 1;
                    grown -= key.len().cast_signed() + length(&row.value);
                    rows.remove(&key);
                }
                Some(row) => {
                    grown += length(&value) - length(&row.value);
                    row.value = value;
                }
                None => {
                    added += 1;
                    grown += key.len().cast_signed() + length(&value);
                    rows.insert(key, Row { value, is_new });
                }
            }
            drop(rows);
            // After the new row is visible: who reads from now on keeps the new one.
            if is_put {
                self.vacancies.put(slot, &name);
            }
            match decoded {
                Some(bucket) => self.buckets.replace(&name, bucket),
                None if slot == tables::BUCKET.slot => self.buckets.forget(&name),
                None if slot == tables::VOLUME.slot => self.volumes.forget(&name),
                None if slot == tables::DIRECTORY.slot => self.directories.forget(&name),
                None => {}
            }
        }
        current.rows.fetch_add(added, Ordering::Relaxed);
        current.bytes.fetch_add(grown, Ordering::Relaxed);
        *current.applied.lock() = Some(at);
    }

    /// What waits for a flush, or is being written.
    pub fn backlog(&self) -> Backlog {
        let generations = self.generations.read();
        let (current, flushing) = (generations.current.backlog(), generations.flushing.as_ref());
        let flushing = flushing.map(|generation| generation.backlog()).unwrap_or_default();
        Backlog { rows: current.rows + flushing.rows, bytes: current.bytes + flushing.bytes }
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
            for (key, row) in rows.read().iter() {
                match &row.value {
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
        let mut generations = self.generations.write();
        let written = generations.flushing.take();
        let kept = written.clone().filter(|rows| {
            let Backlog { rows, bytes } = rows.backlog();
            rows <= FLUSHED_ROWS_MAX && bytes <= FLUSHED_BYTES_MAX
        });
        let before = std::mem::replace(&mut generations.flushed, kept);
        drop(generations);
        // Many small pieces of memory: nobody waits while they are given back.
        drop((before, written));
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
                .map(|(key, row)| (key.clone(), row.value.clone())),
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
