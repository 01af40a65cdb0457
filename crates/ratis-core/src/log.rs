//! What the core knows of the log: terms as ranges, and sizes of the entries that are still in memory.

use std::collections::VecDeque;

use crate::types::TermIndex;

/// Entries from `first` up to the next run were written in `term`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Run {
    first: u64,
    term: u64,
}

/// The map of a log. Indices `start..next` exist; `hot_from..next` are in the engine's memory.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Log {
    start: u64,
    next: u64,
    /// The entry just before `start`, where known: what a follower's previous entry is compared with.
    before: Option<TermIndex>,
    runs: Vec<Run>,
    hot_from: u64,
    hot_bytes: VecDeque<u32>,
}

impl Log {
    /// From the disk: `terms` are (term, number of entries) from `start` on.
    pub(crate) fn recovered(start: u64, terms: &[(u64, u64)], before: Option<TermIndex>) -> Self {
        let mut log = Self { start, next: start, before, ..Self::default() };
        for &(term, entries) in terms {
            log.extend(term, entries);
        }
        log.hot_from = log.next;
        log
    }

    fn extend(&mut self, term: u64, entries: u64) {
        if entries == 0 {
            return;
        }
        if self.runs.last().is_none_or(|run| run.term != term) {
            self.runs.push(Run { first: self.next, term });
        }
        self.next = self.next.saturating_add(entries);
    }

    /// First index on disk; the index that comes next where there is none.
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    /// Index of the entry that comes next.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Index of the last entry, also where only its place is remembered.
    pub(crate) fn last_index(&self) -> Option<u64> {
        self.next.checked_sub(1)
    }

    /// The last entry, also where only its place is remembered.
    pub(crate) fn last(&self) -> Option<TermIndex> {
        let index = self.last_index()?;
        self.term_at(index).map(|term| TermIndex { term, index })
    }

    /// Term of an entry, if it is in the log or just before it.
    pub(crate) fn term_at(&self, index: u64) -> Option<u64> {
        if (self.start..self.next).contains(&index) {
            let run = self.runs.partition_point(|run| run.first <= index);
            return run.checked_sub(1).and_then(|run| self.runs.get(run)).map(|run| run.term);
        }
        self.before.filter(|before| before.index == index).map(|before| before.term)
    }

    /// Whether exactly this entry is in the log or just before it.
    pub(crate) fn contains(&self, at: TermIndex) -> bool {
        self.term_at(at.index) == Some(at.term)
    }

    /// Adds the entry that comes next.
    pub(crate) fn append(&mut self, term: u64, bytes: usize) -> u64 {
        let index = self.next;
        self.extend(term, 1);
        self.hot_bytes.push_back(u32::try_from(bytes).unwrap_or(u32::MAX));
        index
    }

    /// Drops everything from `from` on.
    pub(crate) fn truncate(&mut self, from: u64) {
        let from = from.max(self.start);
        if from >= self.next {
            return;
        }
        self.next = from;
        self.runs.retain(|run| run.first < from);
        if from <= self.hot_from {
            self.hot_from = from;
            self.hot_bytes.clear();
        } else {
            self.hot_bytes.truncate(usize::try_from(from - self.hot_from).unwrap_or(0));
        }
    }

    /// The log now starts at `start`; entries before it are gone.
    pub(crate) fn purge(&mut self, start: u64) {
        let start = start.min(self.next);
        if start <= self.start {
            return;
        }
        if let Some(term) = self.term_at(start - 1) {
            self.before = Some(TermIndex { term, index: start - 1 });
        }
        let keep = self.runs.partition_point(|run| run.first <= start).saturating_sub(1);
        self.runs.drain(..keep);
        if let Some(run) = self.runs.first_mut() {
            run.first = run.first.max(start);
        }
        if start == self.next {
            self.runs.clear();
        }
        self.start = start;
        self.set_hot_from(start.max(self.hot_from));
    }

    /// The whole log is gone; it goes on after `at`.
    pub(crate) fn reset(&mut self, at: TermIndex) {
        let next = at.index.saturating_add(1);
        *self = Self { start: next, next, before: Some(at), hot_from: next, ..Self::default() };
    }

    /// First entry in the engine's memory.
    pub(crate) fn hot_from(&self) -> u64 {
        self.hot_from
    }

    /// Entries before `index` left the engine's memory.
    pub(crate) fn set_hot_from(&mut self, index: u64) {
        let index = index.min(self.next);
        while self.hot_from < index {
            self.hot_bytes.pop_front();
            self.hot_from += 1;
        }
    }

    /// How many hot entries from `first` on fit into one request: at least one if there is any.
    pub(crate) fn fitting(&self, first: u64, entries_max: usize, bytes_max: usize) -> u64 {
        let Some(skip) = first.checked_sub(self.hot_from) else { return 0 };
        let mut bytes = 0_usize;
        let mut entries = 0_u64;
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        for size in self.hot_bytes.iter().skip(skip).take(entries_max.max(1)) {
            bytes = bytes.saturating_add(usize::try_from(*size).unwrap_or(usize::MAX));
            if entries > 0 && bytes > bytes_max {
                break;
            }
            entries += 1;
        }
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> Log {
        let mut log = Log::recovered(0, &[(1, 3), (2, 2)], None);
        log.append(4, 10);
        log.append(4, 20);
        log
    }

    #[test]
    fn terms_are_found_by_range() {
        let log = log();
        assert_eq!(log.last(), Some(TermIndex::new(4, 6)));
        let terms: Vec<_> = (0..8).map(|index| log.term_at(index)).collect();
        assert_eq!(terms, [Some(1), Some(1), Some(1), Some(2), Some(2), Some(4), Some(4), None]);
    }

    #[test]
    fn truncation_forgets_terms_and_sizes() {
        let mut log = log();
        log.truncate(6);
        assert_eq!(log.last(), Some(TermIndex::new(4, 5)));
        assert_eq!(log.fitting(5, 10, 100), 1);
        log.truncate(3);
        assert_eq!((log.last(), log.hot_from()), (Some(TermIndex::new(1, 2)), 3));
        log.append(9, 7);
        assert_eq!(log.last(), Some(TermIndex::new(9, 3)));
    }

    #[test]
    fn purging_remembers_the_entry_before_the_start() {
        let mut log = log();
        log.purge(4);
        assert_eq!(log.term_at(3), Some(2));
        assert_eq!(log.term_at(2), None);
        assert_eq!(log.term_at(4), Some(2));
        log.purge(7);
        assert_eq!(log.last(), Some(TermIndex::new(4, 6)));
        assert_eq!(log.start(), 7);
        assert_eq!(log.append(5, 1), 7);
        assert_eq!(log.term_at(7), Some(5));
    }

    #[test]
    fn a_reset_log_goes_on_after_the_snapshot() {
        let mut log = log();
        log.reset(TermIndex::new(8, 99));
        assert_eq!(log.last(), Some(TermIndex::new(8, 99)));
        assert_eq!(log.append(8, 1), 100);
    }

    #[test]
    fn a_request_holds_what_fits_and_at_least_one_entry() {
        let log = log();
        assert_eq!(log.fitting(5, 10, 30), 2);
        assert_eq!(log.fitting(5, 10, 29), 1);
        assert_eq!(log.fitting(5, 10, 1), 1);
        assert_eq!(log.fitting(5, 1, 30), 1);
        assert_eq!(log.fitting(4, 10, 30), 0, "cold");
        assert_eq!(log.fitting(7, 10, 30), 0, "not written");
    }
}
