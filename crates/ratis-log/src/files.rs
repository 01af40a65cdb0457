//! The files of one group: entries, term and vote, the configuration. Plain calls, no thread; what is
//! written survives a crash after [`LogFiles::sync`].

use std::sync::Arc;

use parking_lot::Mutex;
use ratis_proto::common::LogEntryProto;

use crate::disk::LogSettings;
use crate::error::LogError;
use crate::folder::{Folder, OpenFile, Place};
use crate::format::{self, MAGIC};
use crate::meta::{self, Metadata};
use crate::recovery::{self, Recovered};
use crate::segment::{Segment, Segments};

/// The first stretch of zeros ahead of a segment's use, in bytes; it doubles from there.
const ZEROS_BYTES_MIN: u64 = 64 << 10;

/// What zeros are written from.
static ZEROS: [u8; 256 << 10] = [0; 256 << 10];

/// Consecutive entries, encoded.
#[derive(Debug)]
pub struct Frames {
    first: u64,
    bytes: Vec<u8>,
    lengths: Vec<u32>,
}

impl Frames {
    /// Encodes entries that follow each other; `next` is where they would begin if there are none.
    pub fn encode(entries: &[LogEntryProto], next: u64) -> Self {
        let mut frames = Self {
            first: entries.first().map_or(next, |entry| entry.index),
            bytes: Vec::new(),
            lengths: Vec::with_capacity(entries.len()),
        };
        for entry in entries {
            let length = format::encode(entry, &mut frames.bytes);
            frames.lengths.push(u32::try_from(length).unwrap_or(u32::MAX));
        }
        frames
    }

    /// Bytes in all.
    pub fn bytes_len(&self) -> usize {
        self.bytes.len()
    }
}

/// What happens to a group's log.
#[derive(Debug)]
pub enum Change {
    /// Entries that follow the last one.
    Append(Frames),
    /// Entries from the index on are replaced.
    Truncate(u64),
    /// Everything goes; the next entry has this index.
    Reset(u64),
    /// Closed segments up to the index may go.
    Purge(u64),
    /// Term and vote.
    Metadata(Metadata),
    /// The latest applied configuration entry, serialized.
    Configuration(Vec<u8>),
}

/// See the [module](self).
pub struct LogFiles {
    place: Place,
    settings: LogSettings,
    segments: Arc<Mutex<Segments>>,
    open: Option<OpenFile>,
    unsynced: bool,
}

impl LogFiles {
    /// Reads what a stop, a crash or a Java server left in the folder; cuts off a torn tail and makes the
    /// rest durable.
    ///
    /// # Errors
    /// The log is damaged, or the disk refuses.
    pub fn open(
        folder: Box<dyn Folder>,
        settings: LogSettings,
    ) -> Result<(Self, Recovered), LogError> {
        let place = Place::new(folder);
        let mut recovered = Recovered {
            metadata: meta::read_metadata(&place)?.unwrap_or_default(),
            stored_configuration: meta::read_configuration(&place)?,
            ..Default::default()
        };
        let mut segments = recovery::recover(&place, &mut recovered)?;
        // A process that was killed leaves entries and names in the page cache. Whoever opens the log
        // counts on them, so they have to be on the disk first.
        if let Some(open) = segments.open() {
            place.open(&open.name())?.sync()?;
        }
        place.sync()?;
        let segments = Arc::new(Mutex::new(segments));
        Ok((Self { place, settings, segments, open: None, unsynced: false }, recovered))
    }

    pub(crate) fn segments(&self) -> Arc<Mutex<Segments>> {
        self.segments.clone()
    }

    /// First index held; equals [`Self::next`] if there is none.
    pub fn first(&self) -> u64 {
        self.segments.lock().first()
    }

    /// Index after the last one written.
    pub fn next(&self) -> u64 {
        self.segments.lock().next
    }

    /// Carries a change out. Term, vote and configuration are durable at once, entries after a
    /// [`Self::sync`].
    ///
    /// # Errors
    /// The entries do not follow the last one, or the disk refuses. The files are not to be used any
    /// more then.
    pub fn change(&mut self, change: Change) -> Result<(), LogError> {
        match change {
            Change::Append(frames) => self.append(&frames),
            Change::Truncate(index) => self.truncate(index),
            Change::Reset(next) => self.reset(next),
            Change::Purge(index) => self.purge(index),
            Change::Metadata(metadata) => {
                self.place.replace(meta::META, metadata.to_properties().as_bytes())
            }
            Change::Configuration(content) => self.place.replace(meta::CONFIGURATION, &content),
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
                open.write(bytes, offset)?;
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
        let current = self.segments.lock().open().map(|s| (s.bytes, s.is_empty()));
        match current {
            Some((bytes, is_empty)) if is_empty || bytes < self.settings.segment_bytes_max => {
                if self.open.is_none() {
                    let found = self.segments.lock().open().map(|segment| segment.name());
                    if let Some(name) = found {
                        self.open = Some(self.place.open(&name)?);
                    }
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
        self.open = Some(self.place.open(&segment.name())?);
        Ok(())
    }

    fn create_segment(&mut self, first: u64) -> Result<u64, LogError> {
        let segment = Segment::new(first);
        let mut file = self.place.create(&segment.name())?;
        file.write(MAGIC, 0)?;
        self.place.sync()?;
        let bytes = segment.bytes;
        self.open = Some(file);
        self.segments.lock().list.push_back(segment);
        Ok(bytes)
    }

    /// Cuts the padding off, syncs, and gives the open segment its final name.
    fn close_segment(&mut self) -> Result<(), LogError> {
        let Some(segment) = self.segments.lock().open().cloned() else { return Ok(()) };
        let old = segment.name();
        if self.open.is_none() {
            self.reopen(&segment)?;
        }
        if let Some(mut open) = self.open.take() {
            open.cut(segment.bytes)?;
        }
        self.unsynced = false;
        if segment.is_empty() {
            self.place.remove(&old)?;
            self.segments.lock().list.pop_back();
            return self.place.sync();
        }
        let closed = Segment { closed: true, ..segment };
        self.place.rename(&old, &closed.name())?;
        if let Some(open) = self.segments.lock().open() {
            open.closed = true;
        }
        self.place.sync()
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
            self.place.remove(&last.name())?;
            folder_changed = true;
            let mut segments = self.segments.lock();
            segments.list.pop_back();
            segments.next = last.first;
        }
        if folder_changed {
            self.place.sync()?;
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
            self.place.rename(&last.name(), &open.name())?;
            self.place.sync()?;
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
        let name = segment.name();
        let bytes = self.place.read(&name)?;
        let (mut at, mut offset) = segment.mark(index);
        while at < index {
            let rest = usize::try_from(offset).ok().and_then(|o| bytes.get(o..));
            let Frame::Entry { length, .. } = format::decode(rest.unwrap_or_default()) else {
                let reason = format!("entry {at} is not readable");
                return Err(LogError::Corrupt { path: self.place.path(&name), offset, reason });
            };
            (at, offset) = (at + 1, offset + length as u64);
        }
        Ok(offset)
    }

    fn reset(&mut self, next: u64) -> Result<(), LogError> {
        self.open = None;
        self.unsynced = false;
        while let Some(last) = self.segments.lock().list.pop_back() {
            self.place.remove(&last.name())?;
        }
        self.segments.lock().next = next;
        self.place.sync()
    }

    fn purge(&mut self, up_to: u64) -> Result<(), LogError> {
        loop {
            let name = {
                let mut segments = self.segments.lock();
                match segments.list.front() {
                    Some(s) if s.closed && s.next <= up_to.saturating_add(1) => {
                        let name = s.name();
                        segments.list.pop_front();
                        name
                    }
                    _ => return Ok(()),
                }
            };
            tracing::info!(path = %self.place.path(&name).display(), "purge raft log segment");
            self.place.remove(&name)?;
        }
    }

    /// What was written becomes durable.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn sync(&mut self) -> Result<(), LogError> {
        if std::mem::take(&mut self.unsynced)
            && let Some(open) = &self.open
        {
            open.sync()?;
        }
        Ok(())
    }

    /// Writes zeros ahead when little is left. A sync need not change the file's size then. True if
    /// there is something to sync.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn fill_ahead(&mut self) -> Result<bool, LogError> {
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
            if let Err(error) = open.write(zeros, open.size) {
                // The disk may be almost full. What is to be kept is tried all the same.
                tracing::warn!(%error, path = %open.path.display(), "no zeros ahead of the raft log");
                break;
            }
            self.unsynced = true;
        }
        Ok(self.unsynced)
    }

    /// After an error: nothing is written any more.
    pub(crate) fn abandon(&mut self) {
        self.open = None;
    }

    /// Leaves the open segment without padding.
    pub(crate) fn trim(&mut self) -> Result<(), LogError> {
        let used = self.segments.lock().open().map(|s| s.bytes);
        match (self.open.take(), used) {
            (Some(mut open), Some(used)) => open.cut(used),
            _ => Ok(()),
        }
    }
}
