//! Recent entries in memory, for peers that keep up.

use std::collections::VecDeque;

use prost::Message;
use ratis_proto::common::LogEntryProto;

/// Consecutive entries up to the last one appended, bulk bytes included. Its user bounds it.
#[derive(Debug, Default)]
pub struct EntryCache {
    entries: VecDeque<(LogEntryProto, usize)>,
    bytes: usize,
}

impl EntryCache {
    /// Adds the next entry.
    pub fn push(&mut self, entry: LogEntryProto) {
        let follows = self.entries.back().is_none_or(|(last, _)| last.index + 1 == entry.index);
        if !follows {
            self.clear();
        }
        let bytes = entry.encoded_len();
        self.bytes += bytes;
        self.entries.push_back((entry, bytes));
    }

    /// Forgets the entries from `index` on.
    pub fn truncate(&mut self, index: u64) {
        while let Some((last, bytes)) = self.entries.back() {
            if last.index < index {
                break;
            }
            self.bytes -= bytes;
            self.entries.pop_back();
        }
    }

    /// Forgets the oldest entries until they take `bytes_max`, but none at or after `keep_from`.
    pub fn evict(&mut self, bytes_max: usize, keep_from: u64) {
        while self.bytes > bytes_max
            && let Some((first, bytes)) = self.entries.front()
            && first.index < keep_from
        {
            self.bytes -= bytes;
            self.entries.pop_front();
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }

    /// The entry at `index` and its size in bytes.
    pub fn get(&self, index: u64) -> Option<(&LogEntryProto, usize)> {
        let first = self.entries.front()?.0.index;
        let at = usize::try_from(index.checked_sub(first)?).ok()?;
        self.entries.get(at).map(|(entry, bytes)| (entry, *bytes))
    }

    /// Entries from `from` up to before `to`, at most `entries_max` and about `bytes_max` bytes but
    /// at least one. `None` if `from` is not here.
    pub fn range(
        &self,
        from: u64,
        to: u64,
        entries_max: usize,
        bytes_max: usize,
    ) -> Option<Vec<LogEntryProto>> {
        self.get(from)?;
        let first = self.entries.front()?.0.index;
        let skip = usize::try_from(from - first).ok()?;
        let mut bytes_sum = 0;
        let mut out = Vec::new();
        for (entry, bytes) in self.entries.range(skip..) {
            bytes_sum += bytes;
            let full = out.len() >= entries_max || bytes_sum > bytes_max;
            if entry.index >= to || (full && !out.is_empty()) {
                break;
            }
            out.push(entry.clone());
        }
        Some(out)
    }

    /// Index of the oldest entry held.
    pub fn first(&self) -> Option<u64> {
        self.entries.front().map(|(entry, _)| entry.index)
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(index: u64) -> LogEntryProto {
        LogEntryProto { term: 1, index, log_entry_body: None }
    }

    fn indices(entries: Option<Vec<LogEntryProto>>) -> Option<Vec<u64>> {
        entries.map(|e| e.iter().map(|e| e.index).collect())
    }

    #[test]
    fn eviction_spares_what_is_not_on_disk() {
        let mut cache = EntryCache::default();
        (1..=10).for_each(|i| cache.push(entry(i)));
        cache.evict(8, 4);
        assert!(cache.get(3).is_none() && cache.get(4).is_some());
        cache.evict(8, 11);
        assert_eq!(indices(cache.range(9, 100, 10, 1000)), Some(vec![9, 10]));
        assert_eq!(cache.bytes(), 8);
    }

    #[test]
    fn a_range_gives_at_least_one_entry_and_respects_its_bounds() {
        let mut cache = EntryCache::default();
        (5..=10).for_each(|i| cache.push(entry(i)));
        assert_eq!(indices(cache.range(6, 11, 10, 1)), Some(vec![6]));
        assert_eq!(indices(cache.range(6, 9, 10, 100)), Some(vec![6, 7, 8]));
        assert_eq!(indices(cache.range(6, 11, 2, 100)), Some(vec![6, 7]));
        assert_eq!(cache.range(4, 11, 2, 100), None);
        cache.truncate(7);
        cache.push(entry(7));
        assert_eq!(indices(cache.range(5, 11, 9, 100)), Some(vec![5, 6, 7]));
    }
}
