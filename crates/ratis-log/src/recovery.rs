//! Opening a log that was left by a stop, a crash or a Java server.
//!
//! A crash may leave the last round of writes in any state: pages that were never written are zeros
//! (the file was filled with zeros ahead). So damage in the open segment is a torn tail if no intact
//! entry follows it, or if a sector of zeros lies in it (or the rest of the sector in which it begins). Anything else was written and has changed
//! since, and is refused.

use prost::Message;
use ratis_proto::common::{LogEntryProto, MetadataProto, log_entry_proto::LogEntryBody};

use crate::error::LogError;
use crate::folder::Place;
use crate::format::{self, Frame, Kind, MAGIC};
use crate::meta::Metadata;
use crate::segment::{self, Segment, Segments};

/// Smallest unit that a disk writes whole, in bytes.
const SECTOR_BYTES: usize = 512;

/// What was found in a group's directory.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// The directory did not exist before.
    pub is_new: bool,
    /// Term and vote.
    pub metadata: Metadata,
    /// The latest applied configuration entry (`raft-meta.conf`).
    pub stored_configuration: Option<LogEntryProto>,
    /// Configuration entries in the log, oldest first.
    pub configurations: Vec<LogEntryProto>,
    /// `(first index, term)` wherever the term changes in the log.
    pub terms: Vec<(u64, u64)>,
    /// Largest commit index noted in a metadata entry.
    pub noted_commit: Option<u64>,
    /// First index held; equals `next` if the log is empty.
    pub first: u64,
    /// Index of the next entry.
    pub next: u64,
}

impl Recovered {
    /// `(term, index)` of the last entry.
    pub fn last(&self) -> Option<(u64, u64)> {
        let (_, term) = self.terms.last()?;
        Some((*term, self.next.checked_sub(1)?))
    }

    fn visit(&mut self, index: u64, term: u64, kind: Kind, body: &[u8]) -> Result<(), String> {
        if self.terms.last().is_none_or(|(_, last)| *last != term) {
            self.terms.push((index, term));
        }
        if kind == Kind::StateMachine {
            return Ok(());
        }
        let entry = LogEntryProto::decode(body).map_err(|e| e.to_string())?;
        if let Some(LogEntryBody::MetadataEntry(MetadataProto { commit_index })) =
            entry.log_entry_body
        {
            self.noted_commit = self.noted_commit.max(Some(commit_index));
        } else {
            self.configurations.push(entry);
        }
        Ok(())
    }
}

/// Where and why a scan ended.
struct Stop {
    offset: usize,
    damage: Option<String>,
}

/// Reads all segments; cuts off a torn tail.
pub(crate) fn recover(place: &Place, found: &mut Recovered) -> Result<Segments, LogError> {
    let mut segments = Segments::default();
    let mut names: Vec<_> =
        place.list()?.iter().filter_map(|name| segment::parse_name(name)).collect();
    names.sort_unstable();
    let count = names.len();
    for (position, (first, last)) in names.into_iter().enumerate() {
        let mut segment = Segment { closed: last.is_some(), ..Segment::new(first) };
        // The name of a closed segment contains its last index, so set it before asking.
        segment.next = last.map_or(first, |last| last.saturating_add(1));
        let name = segment.name();
        let corrupt = |offset: usize, reason: String| LogError::Corrupt {
            path: place.path(&name),
            offset: offset as u64,
            reason,
        };
        let (expected_next, is_last) = (segment.next, position + 1 == count);
        if segments.list.is_empty() {
            (segments.next, found.first) = (first, first);
        } else if segments.next != first {
            let reason =
                format!("it starts at {first}, but the log so far ends before {}", segments.next);
            return Err(corrupt(0, reason));
        }
        if !segment.closed && !is_last {
            return Err(corrupt(0, "an open segment is not the last one".to_owned()));
        }

        segment.next = first;
        let bytes = place.read(&name)?;
        let stop = scan(&bytes, &mut segment, found);
        if segment.closed {
            if let Some(reason) = stop.damage {
                return Err(corrupt(stop.offset, reason));
            }
            if segment.next != expected_next {
                let reason = format!("it ends before entry {} already", segment.next);
                return Err(corrupt(stop.offset, reason));
            }
        } else if let Some(reason) = &stop.damage {
            if let Some(reason) = refusal(&bytes, &stop, segment.next) {
                return Err(corrupt(stop.offset, reason));
            }
            cut_tail(place, &segment, &bytes, reason)?;
            if stop.offset < MAGIC.len() {
                // Not even the header was written: all is as if there had never been such a file.
                if segments.list.is_empty() {
                    segments.next = 0;
                }
                continue;
            }
        }
        segments.next = segment.next;
        segments.list.push_back(segment);
    }
    found.first = segments.first();
    found.next = segments.next;
    Ok(segments)
}

/// Walks the entries of a segment.
fn scan(bytes: &[u8], segment: &mut Segment, found: &mut Recovered) -> Stop {
    let stop = |offset, damage: &str| Stop { offset, damage: Some(damage.to_owned()) };
    if !bytes.starts_with(MAGIC) {
        return stop(0, "the header is missing");
    }
    let mut offset = MAGIC.len();
    loop {
        let rest = bytes.get(offset..).unwrap_or_default();
        let (body, length) = match format::decode(rest) {
            Frame::Entry { body, length } => (body, length),
            Frame::End if rest.iter().all(|b| *b == 0) => return Stop { offset, damage: None },
            Frame::End => return stop(offset, "zeros are followed by data"),
            Frame::Short { .. } => return stop(offset, "the file ends within an entry"),
            Frame::Bad(reason) => return stop(offset, reason),
        };
        let (term, index, kind) = match format::peek(body) {
            Ok(peeked) => peeked,
            Err(_) => return stop(offset, "the entry cannot be decoded"),
        };
        if index != segment.next {
            let reason = format!("entry {index} is where {} should be", segment.next);
            return Stop { offset, damage: Some(reason) };
        }
        if let Err(reason) = found.visit(index, term, kind, body) {
            return Stop { offset, damage: Some(reason) };
        }
        segment.push(length);
        offset += length;
    }
}

/// Why damage in the open segment is not a torn tail; `None` if it is one.
fn refusal(bytes: &[u8], stop: &Stop, next: u64) -> Option<String> {
    let follows = intact_entry_after(bytes, stop.offset, next)?;
    let gap = bytes.get(stop.offset..follows)?;
    let to_sector = stop.offset.next_multiple_of(SECTOR_BYTES) - stop.offset;
    // A sector that holds synced entries in front keeps them and has zeros behind.
    let half = gap.get(..to_sector).is_some_and(|g| !g.is_empty() && g.iter().all(|b| *b == 0));
    let whole = gap
        .get(to_sector..)
        .is_some_and(|g| g.chunks_exact(SECTOR_BYTES).any(|s| s.iter().all(|b| *b == 0)));
    if half || whole {
        return None;
    }
    let reason = stop.damage.as_deref().unwrap_or_default();
    Some(format!("{reason} at entry {next}, yet an intact entry follows at byte {follows}"))
}

/// Offset of an intact entry with an index after `next`.
fn intact_entry_after(bytes: &[u8], offset: usize, next: u64) -> Option<usize> {
    let mut at = offset + 1;
    while at < bytes.len() {
        // A frame is a length without zeros in front of an entry that begins with its term.
        let head = bytes.get(at..bytes.len().min(at + 6))?;
        let plausible = head[0] != 0 && head[1..].contains(&0x08);
        if plausible
            && let Frame::Entry { body, .. } = format::decode(&bytes[at..])
            && let Ok((term, index, _)) = format::peek(body)
            && (term > 0 && index > next)
        {
            return Some(at);
        }
        at += 1;
    }
    None
}

fn cut_tail(place: &Place, segment: &Segment, bytes: &[u8], reason: &str) -> Result<(), LogError> {
    let name = segment.name();
    let path = place.path(&name);
    let used = bytes.iter().rposition(|b| *b != 0).map_or(0, |at| at + 1) as u64;
    if !bytes.starts_with(MAGIC) {
        tracing::warn!(path = %path.display(), "open raft log segment has no header; it was never used and is removed");
        return place.remove(&name);
    }
    tracing::warn!(
        path = %path.display(),
        next_index = segment.next,
        kept_bytes = segment.bytes,
        cut_bytes = used.saturating_sub(segment.bytes),
        reason,
        "torn tail of the raft log is cut off"
    );
    place.open(&name)?.cut(segment.bytes)
}
