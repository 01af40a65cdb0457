//! Reading entries back from disk, beside the writer.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use prost::Message;
use ratis_proto::common::LogEntryProto;

use crate::error::LogError;
use crate::format::{self, Frame};
use crate::segment::Segments;

/// Bytes read from a segment at a time, at least.
const READ_BYTES: usize = 256 << 10;

/// How often a file that was renamed or purged meanwhile is looked up again.
const LOOKUPS_MAX: usize = 5;

/// Reads entries that are on disk. Blocks: not for the async runtime's threads.
#[derive(Clone, Debug)]
pub struct LogReader {
    pub(crate) current: PathBuf,
    pub(crate) segments: Arc<Mutex<Segments>>,
}

impl LogReader {
    /// First index on disk; equals the next one if there is none.
    pub fn first(&self) -> u64 {
        self.segments.lock().first()
    }

    /// Index after the last one written.
    pub fn next(&self) -> u64 {
        self.segments.lock().next
    }

    /// Entries from `from` up to before `to`, at most `entries_max` and about `bytes_max` bytes, but
    /// at least one. Bulk bytes are not in the log; `stateMachineEntry` shows where they belong.
    ///
    /// # Errors
    /// `from` is not in the log, or the disk cannot be read.
    pub fn read(
        &self,
        from: u64,
        to: u64,
        entries_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<LogEntryProto>, LogError> {
        let mut out = Vec::new();
        let mut bytes = 0;
        let mut lookups = 0;
        while from + (out.len() as u64) < to && out.len() < entries_max && bytes < bytes_max {
            let index = from + out.len() as u64;
            match self.read_segment(index, to, entries_max, bytes_max, &mut bytes, &mut out) {
                Ok(()) => lookups = 0,
                Err(LogError::Io { source, .. })
                    if source.kind() == io::ErrorKind::NotFound && lookups < LOOKUPS_MAX =>
                {
                    lookups += 1;
                }
                Err(LogError::NotFound { .. }) if !out.is_empty() => break,
                Err(e) => return Err(e),
            }
        }
        Ok(out)
    }

    /// Reads on from `index` within its segment.
    fn read_segment(
        &self,
        index: u64,
        to: u64,
        entries_max: usize,
        bytes_max: usize,
        bytes: &mut usize,
        out: &mut Vec<LogEntryProto>,
    ) -> Result<(), LogError> {
        let (path, mark, segment_next, segment_bytes) = {
            let segments = self.segments.lock();
            let segment = segments.find(index).ok_or(LogError::NotFound {
                index,
                first: segments.first(),
                next: segments.next,
            })?;
            (self.current.join(segment.name()), segment.mark(index), segment.next, segment.bytes)
        };
        let file = File::open(&path).map_err(LogError::io("open", &path))?;
        let (mut at, mut offset) = mark;
        let mut buffer = Vec::new();
        let mut used = 0;
        while at < segment_next.min(to) && out.len() < entries_max && *bytes < bytes_max {
            match format::decode(&buffer[used..]) {
                Frame::Entry { body, length } => {
                    if at >= index {
                        let entry = LogEntryProto::decode(body).map_err(|e| {
                            corrupt(&path, offset, format!("entry {at} cannot be decoded: {e}"))
                        })?;
                        if entry.index != at {
                            let reason = format!("entry {} is where {at} should be", entry.index);
                            return Err(corrupt(&path, offset, reason));
                        }
                        *bytes += body.len();
                        out.push(entry);
                    }
                    (at, offset, used) = (at + 1, offset + length as u64, used + length);
                }
                Frame::End if used < buffer.len() => {
                    return Err(corrupt(&path, offset, format!("entry {at} is missing")));
                }
                Frame::Bad(reason) => {
                    return Err(corrupt(&path, offset, format!("entry {at}: {reason}")));
                }
                end => {
                    let needed = if let Frame::Short { needed } = end { needed } else { 0 };
                    buffer.clear();
                    used = 0;
                    let want = needed.max(READ_BYTES) as u64;
                    let left = segment_bytes.saturating_sub(offset);
                    if left < needed as u64 || left == 0 {
                        return Err(corrupt(&path, offset, format!("entry {at} is cut off")));
                    }
                    buffer.resize(want.min(left) as usize, 0);
                    file.read_exact_at(&mut buffer, offset).map_err(LogError::io("read", &path))?;
                }
            }
        }
        Ok(())
    }
}

fn corrupt(path: &std::path::Path, offset: u64, reason: String) -> LogError {
    LogError::Corrupt { path: path.to_owned(), offset, reason }
}
