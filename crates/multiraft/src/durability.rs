//! How far log and bulk bytes are on disk, and what follows from it: commits, applying, eviction, purge.

use ratis_core::{Millis, TermIndex};
use ratis_log::Ticket;
use ratis_proto::common::ReplicationLevel;

use crate::actor::Actor;
use crate::apply::Job;
use crate::state_machine::StateMachineError;

/// Bytes of entries kept although everybody has and has applied them: a repetition after a broken
/// stream is served from them. An idle daemon holds this for each of its groups.
const CACHE_SPARE_BYTES: usize = 512 << 10;

impl Actor {
    pub fn disk_reached(&mut self, now: Millis, ticket: Ticket) {
        while let Some((_, at)) = self.appends.pop_front_if(|(t, _)| *t <= ticket) {
            self.synced = Some(at);
        }
        if self.barrier.is_some_and(|barrier| barrier <= ticket) {
            self.barrier = None;
        }
        let start = self.log.reader().first();
        if start > self.log_start {
            self.log_start = start;
            self.core.purged(start);
        }
        self.report_durable(now);
    }

    /// Writes what waited for its bulk bytes. An entry must not be in the log without them: after a
    /// crash nothing else tells that they are missing, and the entry would count as held here.
    pub fn release_held(&mut self) {
        let open = self.bulk_open.keys().next().copied().unwrap_or(u64::MAX);
        while let Some(entries) =
            self.held.pop_front_if(|held| held.last().is_none_or(|last| last.index < open))
        {
            let Some(last) = entries.last() else { continue };
            let at = TermIndex::new(last.term, last.index);
            let ticket = self.log.write(&entries);
            self.appends.push_back((ticket, at));
        }
    }

    /// Drops from memory what can be read back from disk.
    pub fn evict(&mut self) {
        let written = self.log.reader().next();
        let keep_from = self.bulk_open.keys().next().map_or(written, |open| written.min(*open));
        // What nobody is known to need any more may go earlier.
        let leads = self.group.leadership.borrow().role != ratis_core::Role::Follower;
        let needed_from = match self.core.level(ReplicationLevel::All) {
            Some(all) if leads => self.apply_next.min(all.saturating_add(1)),
            _ if leads => 0,
            _ => self.apply_next,
        };
        let spare_bytes = CACHE_SPARE_BYTES.min(self.settings.cache_bytes_max);
        self.log.evict(spare_bytes, keep_from.min(needed_from));
        self.log.evict(self.settings.cache_bytes_max, keep_from);
        self.core.cached_from(self.log.cache().first().unwrap_or(self.log.next()));
    }

    pub fn bulk_written(&mut self, at: TermIndex, result: Result<(), StateMachineError>) {
        if self.bulk_open.get(&at.index) != Some(&at.term) {
            return;
        }
        match result {
            Ok(()) => {
                self.bulk_open.remove(&at.index);
                self.release_held();
                let now = self.now();
                self.report_durable(now);
            }
            Err(error) => self.break_down(format!("bulk bytes of entry {at}: {error}")),
        }
    }

    /// Tells the core how far log and bulk bytes are on disk.
    pub fn report_durable(&mut self, now: Millis) {
        let Some(synced) = self.synced else { return };
        let durable = match self.bulk_open.keys().next() {
            Some(open) if *open <= synced.index => {
                let Some(index) = open.checked_sub(1) else { return };
                let Some(term) = self.core.term_at(index) else { return };
                TermIndex::new(term, index)
            }
            _ => synced,
        };
        if self.durable.is_none_or(|before| before.index < durable.index) {
            self.durable = Some(durable);
            self.core.durable(now, durable);
            self.hand_to_applier();
        }
    }

    /// Hands over what is committed and durable here.
    pub fn hand_to_applier(&mut self) {
        let (Some(commit), Some(durable)) = (self.commit, self.durable) else { return };
        let end = commit.min(durable.index) + 1;
        if end <= self.apply_next {
            return;
        }
        let mut writes = Vec::new();
        while let Some(write) = self.writes.pop_front_if(|w| w.at.index < end) {
            writes.push(write);
        }
        let count = (end - self.apply_next) as usize;
        let in_memory = if writes.is_empty() && self.applier.is_full() {
            None
        } else {
            self.log.cache().range(self.apply_next, end, count, usize::MAX)
        };
        let job = match in_memory {
            Some(entries) if entries.len() == count => Job::Entries(entries, writes),
            _ => Job::Stored(self.apply_next, end, writes),
        };
        self.apply_next = end;
        if self.changed {
            // Replies carry the commit index of their own entry at least.
            self.changed = false;
            self.group.show(&self.core);
        }
        self.applier.push(job);
    }

    pub fn snapshot_taken(&mut self, at: TermIndex) {
        self.core.snapshot_taken(at);
        let mut limit = at.index;
        if !self.settings.purge_up_to_snapshot {
            for info in self.core.commit_infos() {
                // -1 on the wire: nothing is known of the peer.
                let commit = if info.commit_index == u64::MAX { 0 } else { info.commit_index };
                limit = limit.min(commit);
            }
        }
        let Some(gap) = self.settings.purge_gap else { return };
        if limit.saturating_sub(self.log_start) >= gap.max(1) {
            self.log.purge(limit);
        }
    }
}
