//! A simulated disk beneath the real files of `ratis-log`: what was synced stays, the rest is at the
//! mercy of a power cut.
//!
//! ```text
//!   write, set_len ─► cache ── sync ──► platter          create, rename, remove ─► cache ── sync ──► platter
//!   kill:      the process ends, the cache stays
//!   power cut: of what was not synced nothing, everything, a piece torn at any byte, torn and
//!              garbled, or any set of sectors is on the platter; names go back in order
//!   fuse:      the power goes between two operations, in the middle of a change
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prost::Message as _;
use ratis_log::folder::{Folder, WritableFile};
use ratis_log::format::{self, Frame};
use ratis_proto::common::LogEntryProto;

use super::rng::Rng;
use crate::bugs::Bug;
use crate::types::TermIndex;

/// What a disk writes whole, in bytes.
const SECTOR_BYTES: usize = 512;
const META: &str = "raft-meta";
const CONFIGURATION: &str = "raft-meta.conf";

/// A log in memory: entries from `start` on.
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

    pub(crate) fn append(&mut self, entry: LogEntryProto) {
        assert_eq!(entry.index, self.next(), "an append continues the log");
        self.list.push_back(entry);
    }

    pub(crate) fn truncate(&mut self, from: u64) {
        let keep = usize::try_from(from.saturating_sub(self.start)).unwrap_or(0);
        self.list.truncate(keep);
    }

    pub(crate) fn reset(&mut self, at: TermIndex) {
        self.list.clear();
        self.start = at.index + 1;
    }

    pub(crate) fn purge(&mut self, start: u64) {
        while self.start < start && self.list.pop_front().is_some() {
            self.start += 1;
        }
    }
}

#[derive(Default)]
struct File {
    platter: Vec<u8>,
    cache: Vec<u8>,
    /// Writes since the last sync, oldest first.
    writes: Vec<(usize, Vec<u8>)>,
    /// It was cut since the last sync.
    cut: bool,
}

impl File {
    fn sync(&mut self) {
        self.platter.clone_from(&self.cache);
        self.writes.clear();
        self.cut = false;
    }

    fn power_cut(&mut self, rng: &mut Rng) {
        match rng.range(0, 4) {
            0 => {}
            1 => self.platter.clone_from(&self.cache),
            _ if self.cut => {}
            2 => self.tear(rng, false),
            3 => self.tear(rng, true),
            _ => self.lose_sectors(rng),
        }
        self.cache.clone_from(&self.platter);
        self.writes.clear();
        self.cut = false;
    }

    /// The first writes are there, the last of them up to some byte.
    fn tear(&mut self, rng: &mut Rng, garbled: bool) {
        let whole = rng.below(self.writes.len() + 1);
        for (at, (offset, bytes)) in self.writes.iter().enumerate().take(whole + 1) {
            let torn = at == whole;
            let bytes = if torn { &bytes[..rng.below(bytes.len() + 1)] } else { bytes.as_slice() };
            let end = offset + bytes.len();
            grow(&mut self.platter, end);
            self.platter[*offset..end].copy_from_slice(bytes);
            if torn && garbled {
                // The rest of the sector is noise, so far as it was written to.
                let until = end.next_multiple_of(SECTOR_BYTES).min(self.cache.len());
                grow(&mut self.platter, until);
                self.platter[end..until].fill_with(|| rng.next().to_le_bytes()[0]);
            }
        }
    }

    /// Every sector is the old or the new one.
    fn lose_sectors(&mut self, rng: &mut Rng) {
        if rng.chance(500) {
            grow(&mut self.platter, self.cache.len());
        }
        let survive = *rng.pick(&[100, 500, 900]).unwrap_or(&500);
        for start in (0..self.cache.len()).step_by(SECTOR_BYTES) {
            let end = (start + SECTOR_BYTES).min(self.cache.len());
            if rng.chance(survive) {
                grow(&mut self.platter, end);
                self.platter[start..end].copy_from_slice(&self.cache[start..end]);
            }
        }
    }
}

fn grow(bytes: &mut Vec<u8>, len: usize) {
    if bytes.len() < len {
        bytes.resize(len, 0);
    }
}

/// A change of names that is not synced.
struct Renaming {
    after: BTreeMap<String, u64>,
    /// A planted mistake: a sync passes it over.
    forgotten: bool,
}

struct State {
    files: BTreeMap<u64, File>,
    names: BTreeMap<String, u64>,
    synced_names: BTreeMap<String, u64>,
    renamings: Vec<Renaming>,
    last_file: u64,
    rng: Rng,
    /// Operations until the power goes.
    fuse: Option<u64>,
    /// Of 1000 operations that change something this many fail.
    errors: u64,
    failed: bool,
    bug: Option<Bug>,
}

/// See the [module](self). Clones share it.
#[derive(Clone)]
pub(crate) struct Disk(Arc<Mutex<State>>);

impl Disk {
    pub(crate) fn new(seed: u64, errors: u64, bug: Option<Bug>) -> Self {
        Self(Arc::new(Mutex::new(State {
            files: BTreeMap::new(),
            names: BTreeMap::new(),
            synced_names: BTreeMap::new(),
            renamings: Vec::new(),
            last_file: 0,
            rng: Rng::new(seed),
            fuse: None,
            errors,
            failed: false,
            bug,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Empty but for the group's first members, all of it synced.
    pub(crate) fn format(&self, members: &LogEntryProto) {
        let mut state = self.state();
        state.files.clear();
        state.names.clear();
        state.renamings.clear();
        state.put(CONFIGURATION, members.encode_to_vec());
        state.put(META, b"term=0\nvotedFor=\n".to_vec());
        state.synced_names = state.names.clone();
    }

    /// The power goes after this many operations.
    pub(crate) fn light_fuse(&self, operations: u64) {
        self.state().fuse = Some(operations);
    }

    /// Whether an operation failed on purpose since the last [`Self::power_cut`] or [`Self::killed`].
    pub(crate) fn has_failed(&self) -> bool {
        self.state().failed
    }

    pub(crate) fn heal(&self) {
        self.state().errors = 0;
    }

    /// The process ended; what it wrote is in the cache.
    pub(crate) fn killed(&self) {
        let mut state = self.state();
        state.fuse = None;
        state.failed = false;
    }

    /// The machine ended.
    pub(crate) fn power_cut(&self) {
        let mut state = self.state();
        let state = &mut *state;
        state.fuse = None;
        state.failed = false;
        for file in state.files.values_mut() {
            file.power_cut(&mut state.rng);
        }
        // Names are journalled: they survive in order, up to somewhere.
        let survive = state.rng.below(state.renamings.len() + 1);
        let forgotten = state.renamings.iter().position(|it| it.forgotten);
        let survive = survive.min(forgotten.unwrap_or(survive));
        if let Some(last) = survive.checked_sub(1) {
            state.synced_names = state.renamings[last].after.clone();
        }
        state.renamings.clear();
        state.names = state.synced_names.clone();
    }

    /// All entries, as a reader finds them.
    pub(crate) fn entries(&self, start: u64) -> Result<Entries, String> {
        let state = self.state();
        let mut found: BTreeMap<u64, LogEntryProto> = BTreeMap::new();
        for (name, file) in state.names.iter().filter(|(name, _)| name.starts_with("log_")) {
            let bytes = &state.files[file].cache;
            let mut offset = format::MAGIC.len();
            while let Some(rest) = bytes.get(offset..) {
                let Frame::Entry { body, length } = format::decode(rest) else { break };
                let entry = LogEntryProto::decode(body)
                    .map_err(|error| format!("{name} at {offset}: {error}"))?;
                found.insert(entry.index, entry);
                offset += length;
            }
        }
        let list: VecDeque<LogEntryProto> = found.into_values().collect();
        Ok(Entries { start: list.front().map_or(start, |entry| entry.index), list })
    }

    /// A planted mistake: the torn entry at the end of the log counts.
    pub(crate) fn accept_torn_tail(&self) {
        let mut state = self.state();
        let state = &mut *state;
        for (_, file) in state.names.iter().filter(|(name, _)| name.starts_with("log_inprogress")) {
            let Some(file) = state.files.get_mut(file) else { continue };
            let bytes = &mut file.cache;
            let mut offset = format::MAGIC.len();
            loop {
                match format::decode(bytes.get(offset..).unwrap_or_default()) {
                    Frame::Entry { length, .. } => offset += length,
                    Frame::Short { needed } if needed > 10 => grow(bytes, offset + needed),
                    Frame::Bad("the checksum does not match") => {
                        let mut rest = &bytes[offset..];
                        let before = rest.len();
                        let length = prost::encoding::decode_varint(&mut rest).unwrap_or(0);
                        let end = offset + before - rest.len() + length as usize;
                        let crc = format::crc32c(&bytes[offset..end]).to_be_bytes();
                        bytes[end..end + 4].copy_from_slice(&crc);
                    }
                    _ => break,
                }
            }
        }
    }
}

impl State {
    fn put(&mut self, name: &str, bytes: Vec<u8>) {
        self.last_file += 1;
        let file = File { platter: bytes.clone(), cache: bytes, ..File::default() };
        self.files.insert(self.last_file, file);
        self.names.insert(name.to_owned(), self.last_file);
    }

    /// Before anything changes: whether the power is still on and the disk willing.
    fn operate(&mut self) -> io::Result<()> {
        if let Some(left) = &mut self.fuse {
            let Some(fewer) = left.checked_sub(1) else {
                self.failed = true;
                return Err(io::Error::other("the power is gone"));
            };
            *left = fewer;
        }
        if self.errors > 0 && self.rng.chance(self.errors) {
            self.failed = true;
            return Err(io::Error::other("the disk refuses"));
        }
        Ok(())
    }

    fn renamed(&mut self, forgotten: bool) {
        self.renamings.push(Renaming { after: self.names.clone(), forgotten });
    }

    fn find(&self, name: &str) -> io::Result<u64> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Folder for Disk {
    fn path(&self) -> &Path {
        Path::new("disk")
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.state().names.keys().cloned().collect())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let state = self.state();
        Ok(state.files[&state.find(name)?].cache.clone())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn WritableFile>> {
        let mut state = self.state();
        state.operate()?;
        state.last_file += 1;
        let number = state.last_file;
        state.files.insert(number, File::default());
        state.names.insert(name.to_owned(), number);
        state.renamed(false);
        Ok(Box::new(Handle { disk: self.clone(), number }))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn WritableFile>> {
        let number = self.state().find(name)?;
        Ok(Box::new(Handle { disk: self.clone(), number }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.operate()?;
        let number = state.find(from)?;
        state.names.remove(from);
        state.names.insert(to.to_owned(), number);
        let forgotten = to == META && state.bug == Some(Bug::VoteFileLost);
        state.renamed(forgotten);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.operate()?;
        state.find(name)?;
        state.names.remove(name);
        state.renamed(false);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.state();
        state.operate()?;
        let synced = state.renamings.iter().position(|it| it.forgotten);
        let synced = synced.unwrap_or(state.renamings.len());
        let last = state.renamings.drain(..synced).next_back();
        if let Some(last) = last {
            state.synced_names = last.after;
        }
        Ok(())
    }
}

struct Handle {
    disk: Disk,
    number: u64,
}

impl Handle {
    fn change(&self, change: impl FnOnce(&mut File)) -> io::Result<()> {
        let mut state = self.disk.state();
        state.operate()?;
        if let Some(file) = state.files.get_mut(&self.number) {
            change(file);
        }
        Ok(())
    }
}

impl WritableFile for Handle {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        self.change(|file| {
            let end = offset + bytes.len();
            grow(&mut file.cache, end);
            file.cache[offset..end].copy_from_slice(bytes);
            file.writes.push((offset, bytes.to_vec()));
        })
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        let bytes = usize::try_from(bytes).map_err(io::Error::other)?;
        self.change(|file| {
            file.cut |= bytes < file.cache.len();
            file.cache.resize(bytes, 0);
        })
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.state().files[&self.number].cache.len() as u64)
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.disk.state().bug == Some(Bug::SyncSkipped) {
            return Ok(());
        }
        self.sync_all()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.change(File::sync)
    }
}
