//! Which entries lie in which file, and roughly where.

use std::collections::VecDeque;

/// One place is remembered for this many entries; a reader walks the rest.
const MARK_STRIDE: u64 = 64;

/// A segment file.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    /// Index of the first entry.
    pub first: u64,
    /// Index after the last entry.
    pub next: u64,
    /// Closed segments carry their last index in their name and grow no more.
    pub closed: bool,
    /// Bytes in use, header included, padding not.
    pub bytes: u64,
    /// `(index, offset)` of every 64th entry.
    pub marks: Vec<(u64, u64)>,
}

impl Segment {
    /// A segment with nothing but its header.
    pub fn new(first: u64) -> Self {
        let bytes = crate::format::MAGIC.len() as u64;
        Self { first, next: first, closed: false, bytes, marks: Vec::new() }
    }

    /// Notes the next entry, `length` bytes long.
    pub fn push(&mut self, length: usize) {
        if (self.next - self.first).is_multiple_of(MARK_STRIDE) {
            self.marks.push((self.next, self.bytes));
        }
        self.next += 1;
        self.bytes += length as u64;
    }

    /// Forgets the entries from `index` on, which starts at `offset`.
    pub fn cut(&mut self, index: u64, offset: u64) {
        self.next = index;
        self.bytes = offset;
        self.marks.retain(|(at, _)| *at < index);
    }

    /// The last known place at or before `index`.
    pub fn mark(&self, index: u64) -> (u64, u64) {
        let after = self.marks.partition_point(|(at, _)| *at <= index);
        after
            .checked_sub(1)
            .and_then(|at| self.marks.get(at).copied())
            .unwrap_or((self.first, crate::format::MAGIC.len() as u64))
    }

    /// The file's name.
    pub fn name(&self) -> String {
        if self.closed {
            format!("log_{}-{}", self.first, self.next.saturating_sub(1))
        } else {
            format!("log_inprogress_{}", self.first)
        }
    }

    /// No entry is in it.
    pub fn is_empty(&self) -> bool {
        self.next == self.first
    }
}

/// `(first, last if closed)` of a segment's file name.
pub(crate) fn parse_name(name: &str) -> Option<(u64, Option<u64>)> {
    let rest = name.strip_prefix("log_")?;
    if let Some(first) = rest.strip_prefix("inprogress_") {
        return Some((first.parse().ok()?, None));
    }
    let (first, last) = rest.split_once('-')?;
    Some((first.parse().ok()?, Some(last.parse().ok()?)))
}

/// The segments of a group, oldest first; each starts where the one before ends.
#[derive(Debug, Default)]
pub(crate) struct Segments {
    pub list: VecDeque<Segment>,
    /// Index of the next entry.
    pub next: u64,
}

impl Segments {
    /// First index held; the next index if nothing is.
    pub fn first(&self) -> u64 {
        self.list.iter().find(|s| !s.is_empty()).map_or(self.next, |s| s.first)
    }

    /// The segment that holds `index`.
    pub fn find(&self, index: u64) -> Option<&Segment> {
        let after = self.list.partition_point(|s| s.first <= index);
        self.list.get(after.checked_sub(1)?).filter(|s| index < s.next)
    }

    /// The segment that is being written.
    pub fn open(&mut self) -> Option<&mut Segment> {
        self.list.back_mut().filter(|s| !s.closed)
    }
}
