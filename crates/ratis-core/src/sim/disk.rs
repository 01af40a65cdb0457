//! A node's disk: what survives a crash, and what was written but not synced.

use std::collections::VecDeque;

use ratis_proto::common::LogEntryProto;
use ratis_proto::common::log_entry_proto::LogEntryBody;

use super::rng::Rng;
use crate::Recovered;
use crate::types::{HardState, TermIndex};

/// Something written to the log.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    Append(LogEntryProto),
    Truncate(u64),
    Reset(TermIndex),
}

/// A log: entries from `start` on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entries {
    pub(crate) start: u64,
    pub(crate) list: VecDeque<LogEntryProto>,
}

impl Entries {
    pub(crate) fn next(&self) -> u64 {
        self.start + self.list.len() as u64
    }

    pub(crate) fn get(&self, index: u64) -> Option<&LogEntryProto> {
        self.list.get(usize::try_from(index.checked_sub(self.start)?).ok()?)
    }

    pub(crate) fn last(&self) -> Option<TermIndex> {
        self.list.back().map(|entry| TermIndex::new(entry.term, entry.index))
    }

    pub(crate) fn write(&mut self, write: &Write) {
        match write {
            Write::Append(entry) => {
                assert_eq!(entry.index, self.next(), "an append continues the log");
                self.list.push_back(entry.clone());
            }
            Write::Truncate(from) => {
                let keep = usize::try_from(from.saturating_sub(self.start)).unwrap_or(0);
                self.list.truncate(keep);
            }
            Write::Reset(at) => {
                self.list.clear();
                self.start = at.index + 1;
            }
        }
    }

    pub(crate) fn purge(&mut self, start: u64) {
        while self.start < start && self.list.pop_front().is_some() {
            self.start += 1;
        }
    }
}

/// What a crash leaves, and what it may take.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    pub(crate) vote: HardState,
    /// `raft-meta.conf`.
    pub(crate) conf: LogEntryProto,
    /// Where the state machine's durable state stands.
    pub(crate) snapshot: Option<TermIndex>,
    pub(crate) synced: Entries,
    pub(crate) unsynced: VecDeque<Write>,
}

impl Disk {
    /// The first `writes` unsynced writes are on the disk now.
    pub(crate) fn sync(&mut self, writes: usize) {
        for _ in 0..writes {
            if let Some(write) = self.unsynced.pop_front() {
                self.synced.write(&write);
            }
        }
    }

    /// A crash: some of what was not synced made it to the disk all the same, in order.
    pub(crate) fn crash(&mut self, rng: &mut Rng) {
        let survive = rng.range(0, self.unsynced.len() as u64);
        self.sync(usize::try_from(survive).unwrap_or(0));
        self.unsynced.clear();
    }

    pub(crate) fn recovered(&self) -> Recovered {
        let mut terms: Vec<(u64, u64)> = Vec::new();
        for entry in &self.synced.list {
            match terms.last_mut() {
                Some((term, entries)) if *term == entry.term => *entries += 1,
                _ => terms.push((entry.term, 1)),
            }
        }
        let is_conf = |entry: &&LogEntryProto| {
            matches!(entry.log_entry_body, Some(LogEntryBody::ConfigurationEntry(_)))
        };
        Recovered {
            hard_state: self.vote.clone(),
            configuration: self.conf.clone(),
            configurations: self.synced.list.iter().filter(is_conf).cloned().collect(),
            snapshot: self.snapshot,
            log_start: self.synced.start,
            terms,
            commit: None,
        }
    }
}
