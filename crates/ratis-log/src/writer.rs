//! The thread that writes the logs of all groups on one disk, in rounds.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, TryRecvError};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use crate::disk::LogSettings;
use crate::error::LogError;
use crate::format::MAGIC;
use crate::group::{LogListener, Ticket};
use crate::meta::{self, Metadata};
use crate::segment::{Segment, Segments};
use crate::storage::GroupPaths;

/// Operations taken into one round at most; the rest waits for the next.
const ROUND_OPERATIONS_MAX: usize = 4096;

/// Bytes of entries taken into one round at most.
const ROUND_BYTES_MAX: usize = 16 << 20;

/// The first stretch of zeros ahead of a segment's use, in bytes; it doubles from there.
const ZEROS_BYTES_MIN: u64 = 64 << 10;

/// What zeros are written from.
static ZEROS: [u8; 256 << 10] = [0; 256 << 10];

/// Consecutive entries, encoded.
#[derive(Debug)]
pub(crate) struct Frames {
    pub first: u64,
    pub bytes: Vec<u8>,
    pub lengths: Vec<u32>,
}

/// What happens to a group's log.
pub(crate) enum Change {
    Append(Frames),
    /// Entries from the index on are replaced.
    Truncate(u64),
    /// Everything goes; the next entry has this index.
    Reset(u64),
    /// Closed segments up to the index may go.
    Purge(u64),
    Metadata(Metadata),
    Configuration(Vec<u8>),
}

pub(crate) enum Operation {
    Open(u64, Box<GroupFiles>),
    Change(u64, Ticket, Change),
    /// Closes the files; the sender learns when.
    Close(u64, Sender<()>),
    /// Ends the thread once everything before is done.
    Stop,
}

/// The open segment.
struct OpenFile {
    file: File,
    path: PathBuf,
    /// Size of the file: used bytes and the zeros ahead.
    size: u64,
}

/// What the writer keeps of a group.
pub(crate) struct GroupFiles {
    pub paths: GroupPaths,
    pub settings: LogSettings,
    pub segments: Arc<Mutex<Segments>>,
    pub listener: Arc<dyn LogListener>,
    open: Option<OpenFile>,
    ticket: Ticket,
    unsynced: bool,
    touched: bool,
    failure: Option<Arc<LogError>>,
    /// Held until the group is closed.
    _lock: File,
}

impl GroupFiles {
    pub fn new(
        paths: GroupPaths,
        settings: LogSettings,
        segments: Arc<Mutex<Segments>>,
        listener: Arc<dyn LogListener>,
        lock: File,
    ) -> Self {
        Self {
            paths,
            settings,
            segments,
            listener,
            _lock: lock,
            open: None,
            ticket: Ticket::default(),
            unsynced: false,
            touched: false,
            failure: None,
        }
    }

    fn change(&mut self, change: Change) -> Result<(), LogError> {
        match change {
            Change::Append(frames) => self.append(&frames),
            Change::Truncate(index) => self.truncate(index),
            Change::Reset(next) => self.reset(next),
            Change::Purge(index) => self.purge(index),
            Change::Metadata(metadata) => {
                meta::replace(&self.paths.current, meta::META, metadata.to_properties().as_bytes())
            }
            Change::Configuration(content) => {
                meta::replace(&self.paths.current, meta::CONFIGURATION, &content)
            }
        }
    }

    fn append(&mut self, frames: &Frames) -> Result<(), LogError> {
        let mut index = frames.first;
        let mut start = 0;
        let mut lengths = frames.lengths.as_slice();
        while !lengths.is_empty() {
            let offset = self.make_room(index)?;
            // Take what fits; a segment may exceed its size by its last entry.
            let mut end = start;
            let mut count = 0;
            for length in lengths {
                if count > 0 && offset + (end - start) as u64 >= self.settings.segment_bytes_max {
                    break;
                }
                end += *length as usize;
                count += 1;
            }
            let bytes = frames.bytes.get(start..end).unwrap_or_default();
            if let Some(open) = &mut self.open {
                open.file.write_all_at(bytes, offset).map_err(LogError::io("write", &open.path))?;
                open.size = open.size.max(offset + bytes.len() as u64);
            }
            self.unsynced = true;
            let mut segments = self.segments.lock();
            if let Some(segment) = segments.open() {
                lengths.iter().take(count).for_each(|length| segment.push(*length as usize));
                segments.next = index + count as u64;
            }
            drop(segments);
            index += count as u64;
            lengths = lengths.get(count..).unwrap_or_default();
            start = end;
        }
        Ok(())
    }

    /// Opens a segment with room for the entry at `index`; says where it goes.
    fn make_room(&mut self, index: u64) -> Result<u64, LogError> {
        let next = self.segments.lock().next;
        if index != next {
            return Err(LogError::Gap { want: next, got: index });
        }
        let current = self.segments.lock().open().map(|s| (s.bytes, s.is_empty(), s.clone()));
        match current {
            Some((bytes, is_empty, segment))
                if is_empty || bytes < self.settings.segment_bytes_max =>
            {
                if self.open.is_none() {
                    self.reopen(&segment)?;
                }
                Ok(bytes)
            }
            Some(_) => {
                self.close_segment()?;
                self.create_segment(index)
            }
            None => self.create_segment(index),
        }
    }

    /// Continues a segment found at the start.
    fn reopen(&mut self, segment: &Segment) -> Result<(), LogError> {
        let path = segment.path(&self.paths.current);
        let file =
            OpenOptions::new().write(true).open(&path).map_err(LogError::io("open", &path))?;
        let size = file.metadata().map_err(LogError::io("inspect", &path))?.len();
        self.open = Some(OpenFile { file, path, size });
        Ok(())
    }

    fn create_segment(&mut self, first: u64) -> Result<u64, LogError> {
        let segment = Segment::new(first);
        let path = segment.path(&self.paths.current);
        let file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .open(&path)
            .map_err(LogError::io("create", &path))?;
        file.write_all_at(MAGIC, 0).map_err(LogError::io("write", &path))?;
        meta::sync_folder(&self.paths.current)?;
        let bytes = segment.bytes;
        self.open = Some(OpenFile { file, path, size: bytes });
        self.segments.lock().list.push_back(segment);
        Ok(bytes)
    }

    /// Cuts the padding off, syncs, and gives the open segment its final name.
    fn close_segment(&mut self) -> Result<(), LogError> {
        let Some(segment) = self.segments.lock().open().cloned() else { return Ok(()) };
        let old = segment.path(&self.paths.current);
        if self.open.is_none() {
            self.reopen(&segment)?;
        }
        if let Some(open) = self.open.take() {
            open.file.set_len(segment.bytes).map_err(LogError::io("truncate", &old))?;
            open.file.sync_all().map_err(LogError::io("sync", &old))?;
        }
        self.unsynced = false;
        if segment.is_empty() {
            fs::remove_file(&old).map_err(LogError::io("remove", &old))?;
            self.segments.lock().list.pop_back();
            return meta::sync_folder(&self.paths.current);
        }
        let closed = Segment { closed: true, ..segment };
        let new = closed.path(&self.paths.current);
        fs::rename(&old, &new).map_err(LogError::io("rename", &old))?;
        if let Some(open) = self.segments.lock().open() {
            open.closed = true;
        }
        meta::sync_folder(&self.paths.current)
    }

    /// Each step leaves a log that opens: later segments go first, newest before older.
    fn truncate(&mut self, index: u64) -> Result<(), LogError> {
        let mut folder_changed = false;
        loop {
            let Some(last) = self.segments.lock().list.back().cloned() else { break };
            if last.first < index {
                break;
            }
            self.open = None;
            let path = last.path(&self.paths.current);
            fs::remove_file(&path).map_err(LogError::io("remove", &path))?;
            folder_changed = true;
            let mut segments = self.segments.lock();
            segments.list.pop_back();
            segments.next = last.first;
        }
        if folder_changed {
            meta::sync_folder(&self.paths.current)?;
        }
        {
            let mut segments = self.segments.lock();
            segments.next = segments.next.min(index);
        }
        let Some(last) = self.segments.lock().list.back().cloned() else { return Ok(()) };
        if last.next <= index {
            return Ok(());
        }
        let offset = self.offset_of(&last, index)?;
        if last.closed {
            let open = Segment { closed: false, ..last.clone() };
            let (from, to) = (last.path(&self.paths.current), open.path(&self.paths.current));
            fs::rename(&from, &to).map_err(LogError::io("rename", &from))?;
            meta::sync_folder(&self.paths.current)?;
        }
        if let Some(segment) = self.segments.lock().list.back_mut() {
            segment.closed = false;
            segment.cut(index, offset);
        }
        self.close_segment()
    }

    /// Where the entry at `index` starts.
    fn offset_of(&self, segment: &Segment, index: u64) -> Result<u64, LogError> {
        use crate::format::{self, Frame};
        let path = segment.path(&self.paths.current);
        let bytes = fs::read(&path).map_err(LogError::io("read", &path))?;
        let (mut at, mut offset) = segment.mark(index);
        while at < index {
            let rest = usize::try_from(offset).ok().and_then(|o| bytes.get(o..));
            let Frame::Entry { length, .. } = format::decode(rest.unwrap_or_default()) else {
                let reason = format!("entry {at} is not readable");
                return Err(LogError::Corrupt { path, offset, reason });
            };
            (at, offset) = (at + 1, offset + length as u64);
        }
        Ok(offset)
    }

    fn reset(&mut self, next: u64) -> Result<(), LogError> {
        self.open = None;
        self.unsynced = false;
        while let Some(last) = self.segments.lock().list.pop_back() {
            let path = last.path(&self.paths.current);
            fs::remove_file(&path).map_err(LogError::io("remove", &path))?;
        }
        self.segments.lock().next = next;
        meta::sync_folder(&self.paths.current)
    }

    fn purge(&mut self, up_to: u64) -> Result<(), LogError> {
        loop {
            let path = {
                let mut segments = self.segments.lock();
                match segments.list.front() {
                    Some(s) if s.closed && s.next <= up_to.saturating_add(1) => {
                        let path = s.path(&self.paths.current);
                        segments.list.pop_front();
                        path
                    }
                    _ => return Ok(()),
                }
            };
            tracing::info!(path = %path.display(), "purge raft log segment");
            fs::remove_file(&path).map_err(LogError::io("remove", &path))?;
        }
    }

    /// What was written becomes durable.
    fn sync(&mut self) -> Result<(), LogError> {
        if std::mem::take(&mut self.unsynced)
            && let Some(open) = &self.open
        {
            open.file.sync_data().map_err(LogError::io("sync", &open.path))?;
        }
        Ok(())
    }

    /// Writes zeros ahead when little is left. A sync need not change the file's size then.
    fn fill_ahead(&mut self) -> Result<bool, LogError> {
        let Some(used) = self.segments.lock().open().map(|s| s.bytes) else { return Ok(false) };
        let Some(open) = &mut self.open else { return Ok(false) };
        let ahead = self.settings.preallocated_bytes.min(used.max(ZEROS_BYTES_MIN));
        if open.size.saturating_sub(used) >= ahead / 2 {
            return Ok(false);
        }
        let end = (used + ahead).min(self.settings.segment_bytes_max.max(used));
        while open.size < end {
            let count = (end - open.size).min(ZEROS.len() as u64);
            let zeros = ZEROS.get(..count as usize).unwrap_or_default();
            if let Err(error) = open.file.write_all_at(zeros, open.size) {
                // The disk may be almost full. What is to be kept is tried all the same.
                tracing::warn!(%error, path = %open.path.display(), "no zeros ahead of the raft log");
                break;
            }
            open.size += count;
            self.unsynced = true;
        }
        Ok(self.unsynced)
    }

    fn fail(&mut self, error: LogError) {
        tracing::error!(error = %error, path = %self.paths.root.display(), "raft log failed; the group accepts no more entries here");
        self.open = None;
        self.failure = Some(Arc::new(error));
    }

    /// Leaves the open segment without padding.
    fn close(mut self) {
        if self.failure.is_some() {
            return;
        }
        let used = self.segments.lock().open().map(|s| s.bytes);
        if let (Some(open), Some(used)) = (self.open.take(), used) {
            let result = open.file.set_len(used).and_then(|()| open.file.sync_all());
            if let Err(error) = result {
                tracing::warn!(%error, path = %open.path.display(), "raft log segment was not trimmed");
            }
        }
    }
}

/// The writer's state.
pub(crate) struct Writer {
    pub queue: Receiver<Operation>,
    groups: FxHashMap<u64, GroupFiles>,
    touched: Vec<u64>,
}

impl Writer {
    pub fn new(queue: Receiver<Operation>) -> Self {
        Self { queue, groups: FxHashMap::default(), touched: Vec::new() }
    }

    /// Works until told to stop, or until nobody can send any more.
    pub fn run(mut self) {
        while let Ok(first) = self.queue.recv() {
            let go_on = self.round(first);
            self.finish_round();
            if !go_on {
                break;
            }
        }
        for (_, files) in self.groups.drain() {
            files.close();
        }
    }

    /// Takes what is queued. False if the thread shall end.
    fn round(&mut self, first: Operation) -> bool {
        let mut bytes = 0;
        let mut next = Some(first);
        for _ in 0..ROUND_OPERATIONS_MAX {
            let operation = match next.take() {
                Some(operation) => operation,
                None => match self.queue.try_recv() {
                    Ok(operation) => operation,
                    Err(TryRecvError::Empty | TryRecvError::Disconnected) => return true,
                },
            };
            match operation {
                Operation::Open(slot, files) => {
                    self.groups.insert(slot, *files);
                }
                Operation::Change(slot, ticket, change) => {
                    if let Change::Append(frames) = &change {
                        bytes += frames.bytes.len();
                    }
                    self.change(slot, ticket, change);
                }
                Operation::Close(slot, done) => {
                    self.finish_round();
                    if let Some(files) = self.groups.remove(&slot) {
                        files.close();
                    }
                    // Whoever asked may have gone.
                    let _ = done.send(());
                }
                Operation::Stop => return false,
            }
            if bytes >= ROUND_BYTES_MAX {
                return true;
            }
        }
        true
    }

    fn change(&mut self, slot: u64, ticket: Ticket, change: Change) {
        let Some(files) = self.groups.get_mut(&slot) else { return };
        if !std::mem::replace(&mut files.touched, true) {
            self.touched.push(slot);
        }
        files.ticket = ticket;
        if files.failure.is_none()
            && let Err(error) = files.change(change)
        {
            files.fail(error);
        }
    }

    /// Syncs, reports, then prepares the files for the next round.
    fn finish_round(&mut self) {
        let touched = std::mem::take(&mut self.touched);
        for slot in &touched {
            let Some(files) = self.groups.get_mut(slot) else { continue };
            files.touched = false;
            if files.failure.is_none()
                && let Err(error) = files.sync()
            {
                files.fail(error);
            }
            match &files.failure {
                None => files.listener.durable(files.ticket),
                Some(error) => files.listener.failed(files.ticket, error.clone()),
            }
        }
        for slot in touched {
            let Some(files) = self.groups.get_mut(&slot) else { continue };
            if files.failure.is_some() {
                continue;
            }
            let filled = files.fill_ahead().and_then(|filled| {
                if filled && self.queue.is_empty() { files.sync() } else { Ok(()) }
            });
            if let Err(error) = filled {
                files.fail(error);
                if let Some(error) = &files.failure {
                    files.listener.failed(files.ticket, error.clone());
                }
            }
        }
    }
}
