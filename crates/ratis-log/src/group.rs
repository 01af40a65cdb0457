//! The handle a group's loop holds on its log.

use std::sync::Arc;

use prost::Message;
use ratis_proto::common::LogEntryProto;

use crate::cache::EntryCache;
use crate::disk::Disk;
use crate::error::LogError;
use crate::files::{Change, Frames};
use crate::meta::Metadata;
use crate::reader::LogReader;
use crate::storage::GroupPaths;
use crate::writer::Operation;

/// Names an operation; operations of a group are done in the order of their tickets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Ticket(pub u64);

/// Learns how far the disk has come. Called on the writer thread: hand over, do not work.
pub trait LogListener: Send + Sync + 'static {
    /// Every operation up to this one survives a crash.
    fn durable(&self, ticket: Ticket);

    /// The disk failed; neither this operation nor any later one will succeed, and what was reported
    /// durable before stays so.
    fn failed(&self, ticket: Ticket, error: Arc<LogError>);
}

/// A group's log. Operations are queued and return at once; see [`LogListener`].
pub struct GroupLog {
    disk: Disk,
    slot: u64,
    paths: GroupPaths,
    reader: LogReader,
    cache: EntryCache,
    ticket: Ticket,
    next: u64,
}

impl GroupLog {
    pub(crate) fn new(
        disk: Disk,
        slot: u64,
        paths: GroupPaths,
        reader: LogReader,
        next: u64,
    ) -> Self {
        let cache = EntryCache::default();
        Self { disk, slot, paths, reader, cache, ticket: Ticket::default(), next }
    }

    fn submit(&mut self, change: Change) -> Ticket {
        self.ticket.0 += 1;
        self.disk.send(Operation::Change(self.slot, self.ticket, change));
        self.ticket
    }

    /// Appends entries that follow the last one. Bulk bytes stay in the cache only.
    ///
    /// # Errors
    /// [`LogError::Gap`]; nothing is written then.
    pub fn append(&mut self, entries: &[LogEntryProto]) -> Result<Ticket, LogError> {
        self.stage(entries)?;
        Ok(self.write(entries))
    }

    /// The first half of [`Self::append`]: the entries are in the cache and count, but do not go to
    /// the disk yet.
    ///
    /// # Errors
    /// [`LogError::Gap`]; nothing has changed then.
    pub fn stage(&mut self, entries: &[LogEntryProto]) -> Result<(), LogError> {
        let mut want = self.next;
        for entry in entries {
            if entry.index != want {
                return Err(LogError::Gap { want, got: entry.index });
            }
            want += 1;
        }
        for entry in entries {
            self.cache.push(entry.clone());
        }
        self.next = want;
        Ok(())
    }

    /// The second half of [`Self::append`], in the order of staging: the entries go to the disk. What
    /// was truncated in between must be left out.
    pub fn write(&mut self, entries: &[LogEntryProto]) -> Ticket {
        let frames = Frames::encode(entries, self.next);
        self.submit(Change::Append(frames))
    }

    /// Does what is queued, where the disk has no thread ([`Disk::open_without_thread`]). Blocks until
    /// it is on disk; the listener is told before this returns.
    pub fn work(&self) {
        self.disk.work();
    }

    /// Drops the oldest entries from memory until they take `bytes_max`, but none at or after
    /// `keep_from`, which must not lie behind [`LogReader::next`]: what is dropped can be read back.
    pub fn evict(&mut self, bytes_max: usize, keep_from: u64) {
        self.cache.evict(bytes_max, keep_from);
    }

    /// Forgets the entries from `index` on; those of another leader follow.
    pub fn truncate(&mut self, index: u64) -> Ticket {
        self.cache.truncate(index);
        self.next = self.next.min(index);
        self.submit(Change::Truncate(index))
    }

    /// Forgets everything: an installed snapshot reaches up to before `next`.
    pub fn reset(&mut self, next: u64) -> Ticket {
        self.cache.clear();
        self.next = next;
        self.submit(Change::Reset(next))
    }

    /// Removes closed segments that hold nothing after `index`.
    pub fn purge(&mut self, index: u64) -> Ticket {
        self.submit(Change::Purge(index))
    }

    /// Notes term and vote.
    pub fn save_metadata(&mut self, metadata: Metadata) -> Ticket {
        self.submit(Change::Metadata(metadata))
    }

    /// Notes the latest applied configuration entry.
    pub fn save_configuration(&mut self, entry: &LogEntryProto) -> Ticket {
        self.submit(Change::Configuration(entry.encode_to_vec()))
    }

    /// Recent entries.
    pub fn cache(&self) -> &EntryCache {
        &self.cache
    }

    /// Reads entries that the cache has dropped.
    pub fn reader(&self) -> &LogReader {
        &self.reader
    }

    /// Index of the next entry.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// The group's directory.
    pub fn directory(&self) -> &std::path::Path {
        &self.paths.root
    }

    /// Where the state machine may keep snapshots.
    pub fn state_machine_directory(&self) -> &std::path::Path {
        &self.paths.state_machine
    }

    /// Finishes what is queued and closes the files. Blocks for a round.
    pub fn close(self) {
        let (done, closed) = crossbeam_channel::bounded(1);
        self.disk.send(Operation::Close(self.slot, done));
        // An error means that the writer has stopped, which closed the files as well.
        let _ = closed.recv();
    }
}
