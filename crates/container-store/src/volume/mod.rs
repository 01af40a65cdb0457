//! One disk: its directory, identity, database, space and threads.
//!
//! ```text
//!  <root>/scmUsed
//!  <root>/hdds/VERSION                          which cluster and datanode the disk belongs to
//!  <root>/hdds/<cluster>/current/containerDir<N>/<container>/{metadata,chunks}
//!  <root>/hdds/<cluster>/<storage id>/container.db
//!  <root>/hdds/<cluster>/tmp/{deleted-containers,disk-check}
//! ```

mod choose;
mod format;
mod space;

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use bulk_buffers::Buffers;
use hdds_proto::hdds::{StorageReportProto, StorageTypeProto};
use hdds_types::ContainerId;
use ozone_db::Store;
use ozone_metrics::{Counter, Record, Timer};
use parking_lot::Mutex;

pub use choose::choose;
pub use format::{FormatError, Version};
pub use space::{FileSystem, Space, SpaceLimits, Usage, file_system};

use crate::block_file::BlockIo;
use crate::chunk::OpenBlocks;
use crate::settings::{OpenDatabase, StoreSettings, VolumeSettings};
use crate::{DiskThreads, StoreError, tables};

/// Checks in a row that must fail before a disk is given up (`hdds.datanode.disk.check.*`: a window
/// of three with one failure tolerated).
const FAILED_CHECKS_MAX: u32 = 2;
/// Bytes written by a check.
const CHECK_BYTES: usize = 100;
/// Containers per directory, as a power of two.
const CONTAINERS_PER_DIR_BITS: u32 = 9;
/// Number of container directories.
const CONTAINER_DIRS: u64 = 256;

/// Kind of disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum StorageType {
    /// Spinning, or unknown.
    #[default]
    Disk,
    /// Flash.
    Ssd,
    /// Cold.
    Archive,
    /// Memory.
    RamDisk,
}

impl StorageType {
    /// Splits an entry of `hdds.datanode.dir` into type and path; `None` for an unknown prefix.
    pub fn split(entry: &str) -> Option<(Self, &str)> {
        let Some(rest) = entry.strip_prefix('[') else { return Some((Self::Disk, entry)) };
        let (name, path) = rest.split_once(']')?;
        let storage_type = match name.to_ascii_uppercase().as_str() {
            "DISK" => Self::Disk,
            "SSD" => Self::Ssd,
            "ARCHIVE" => Self::Archive,
            "RAM_DISK" => Self::RamDisk,
            _ => return None,
        };
        Some((storage_type, path.trim()))
    }
}

impl From<StorageType> for StorageTypeProto {
    fn from(storage_type: StorageType) -> Self {
        match storage_type {
            StorageType::Disk => Self::Disk,
            StorageType::Ssd => Self::Ssd,
            StorageType::Archive => Self::Archive,
            StorageType::RamDisk => Self::RamDisk,
        }
    }
}

/// Reads and writes of block files on one disk (`VolumeIOStats`).
#[derive(Debug, Default)]
pub struct IoStats {
    /// Time of each read.
    pub reads: Timer,
    /// Bytes read.
    pub read_bytes: Counter,
    /// Time of each write, its sync included.
    pub writes: Timer,
    /// Bytes written.
    pub write_bytes: Counter,
}

/// An open disk.
pub struct Volume {
    root: PathBuf,
    storage_type: StorageType,
    /// `DS-<uuid>`.
    storage_id: String,
    /// `<root>/hdds/<cluster>`.
    cluster_dir: PathBuf,
    database: Arc<dyn Store>,
    /// Held while a batch of edits is put together and written: see `block`.
    pub(crate) commit: Mutex<()>,
    /// Accounting.
    pub space: Space,
    /// Its threads.
    pub threads: DiskThreads,
    /// Bytes and times of its block files.
    pub io: IoStats,
    pub(crate) open_blocks: OpenBlocks,
    pub(crate) block_io: BlockIo,
    failed: AtomicBool,
    failed_checks: AtomicU32,
}

impl Volume {
    /// Opens a disk, formatting it when it is new.
    ///
    /// # Errors
    /// It belongs to another cluster or datanode, or cannot be read and written.
    pub fn open(
        volume: &VolumeSettings,
        settings: &StoreSettings,
        cluster_id: &str,
        datanode: &str,
        open_database: &OpenDatabase,
        buffers: &Buffers,
    ) -> Result<Self, FormatError> {
        let hdds = volume.root.join("hdds");
        let version = format::open_or_format(&hdds, cluster_id, datanode)?;
        let cluster_dir = hdds.join(cluster_id);
        let io = |source| FormatError::Io { path: cluster_dir.clone(), source };
        for dir in ["current", "tmp/deleted-containers", "tmp/disk-check"] {
            fs::create_dir_all(cluster_dir.join(dir)).map_err(io)?;
        }
        clear(&cluster_dir.join("tmp/deleted-containers"));
        let home = cluster_dir.join(&version.storage_id);
        fs::create_dir_all(&home).map_err(io)?;
        let database = open_database(&home.join("container.db"), &tables::ALL)
            .map_err(|source| FormatError::Database { path: home.clone(), source })?;
        let space = Space::new(SpaceLimits {
            reserved_bytes: volume.reserved_bytes,
            reserved_fraction: settings.reserved_fraction,
            min_free_bytes: settings.min_free_bytes,
            min_free_fraction: settings.min_free_fraction,
            min_free_hard_fraction: settings.min_free_hard_fraction,
        });
        let opened = Self {
            root: volume.root.clone(),
            storage_type: volume.storage_type,
            storage_id: version.storage_id,
            cluster_dir,
            database,
            commit: Mutex::new(()),
            space,
            threads: DiskThreads::new(
                settings.write_threads_per_volume,
                settings.read_threads_per_volume,
            ),
            io: IoStats::default(),
            open_blocks: OpenBlocks::default(),
            block_io: BlockIo::new(settings.direct_bytes_min, buffers.clone()),
            failed: AtomicBool::new(false),
            failed_checks: AtomicU32::new(0),
        };
        opened.space.set_used(opened.saved_used().unwrap_or(0));
        Ok(opened)
    }

    /// `volume_io_stats_*`, and the queues of its threads; the labels are the caller's.
    pub fn collect(&self, record: &mut Record<'_>) {
        let io = &self.io;
        record.counter("ReadBytes", io.read_bytes.get());
        record.counter("WriteBytes", io.write_bytes.get());
        record.counter("ReadOpCount", io.reads.summary().count);
        record.counter("WriteOpCount", io.writes.summary().count);
        record.timer_ms("ReadTime", &io.reads).timer_ms("WriteTime", &io.writes);
        record.summary("ReadSeconds", &io.reads).summary("WriteSeconds", &io.writes);
        self.threads.collect(record);
    }

    /// The directory of the setting.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `DS-<uuid>`.
    pub fn storage_id(&self) -> &str {
        &self.storage_id
    }

    /// The block table.
    pub fn database(&self) -> &dyn Store {
        self.database.as_ref()
    }

    /// Where containers live.
    pub fn current_dir(&self) -> PathBuf {
        self.cluster_dir.join("current")
    }

    /// Where a container lives (`KeyValueContainerLocationUtil`).
    pub fn container_dir(&self, id: ContainerId) -> PathBuf {
        let subdir = (id.0 >> CONTAINERS_PER_DIR_BITS) % CONTAINER_DIRS;
        self.cluster_dir.join(format!("current/containerDir{subdir}/{id}"))
    }

    /// Where a container goes before it is removed.
    pub fn deleted_dir(&self, id: ContainerId) -> PathBuf {
        self.cluster_dir.join(format!("tmp/deleted-containers/{id}"))
    }

    /// Whether the disk was given up.
    pub fn is_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// The figures of now; a disk that does not answer has none.
    pub fn usage(&self) -> Option<Usage> {
        self.space.usage(&self.root).ok()
    }

    /// Writes, reads back and removes a small file. Two failures in a row give the disk up.
    /// Returns whether it is still in use.
    pub fn check(&self) -> bool {
        if self.is_failed() {
            return false;
        }
        match self.probe() {
            Ok(()) => {
                self.failed_checks.store(0, Ordering::Release);
                true
            }
            Err(error) => {
                let failures = self.failed_checks.fetch_add(1, Ordering::AcqRel) + 1;
                tracing::warn!(volume = %self.root.display(), failures, %error, "disk check failed");
                if failures >= FAILED_CHECKS_MAX {
                    self.failed.store(true, Ordering::Release);
                    tracing::error!(volume = %self.root.display(), "disk given up");
                }
                !self.is_failed()
            }
        }
    }

    fn probe(&self) -> io::Result<()> {
        let name = format!("disk-check-{}", uuid::Uuid::new_v4());
        let path = self.cluster_dir.join("tmp/disk-check").join(name);
        let written: [u8; CHECK_BYTES] = rand::random();
        let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        file.write_all(&written)?;
        file.sync_all()?;
        let mut read = Vec::with_capacity(CHECK_BYTES);
        fs::File::open(&path)?.read_to_end(&mut read)?;
        fs::remove_file(&path)?;
        if read == written {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "the disk returns other bytes than written"))
    }

    /// The line of the node report.
    pub fn report(&self) -> StorageReportProto {
        let mut report = StorageReportProto {
            storage_uuid: self.storage_id.clone(),
            storage_location: self.root.display().to_string(),
            storage_type: Some(StorageTypeProto::from(self.storage_type).into()),
            failed: Some(self.is_failed()),
            ..StorageReportProto::default()
        };
        let usage = if self.is_failed() { None } else { self.usage() };
        if let Some(usage) = usage {
            report.capacity = Some(usage.capacity);
            report.scm_used = Some(usage.used);
            report.remaining = Some(usage.available);
            report.committed = Some(usage.committed);
            report.free_space_to_spare = Some(usage.free_to_spare);
            report.reserved = Some(usage.reserved);
            report.fs_capacity = Some(usage.fs_capacity);
            report.fs_available = Some(usage.fs_available);
        }
        report
    }

    /// Walks the disk and takes the sum as used; slow.
    pub fn measure_used(&self) {
        let bytes = tree_bytes(&self.root.join("hdds"));
        self.space.set_used(bytes);
        self.space.forget_measurement();
        self.save_used();
    }

    /// Writes `scmUsed`: bytes and the time in milliseconds since 1970.
    pub fn save_used(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let text = format!("{} {now}", self.space.used());
        if let Err(error) = fs::write(self.root.join("scmUsed"), text) {
            tracing::warn!(volume = %self.root.display(), %error, "cannot save the used space");
        }
    }

    fn saved_used(&self) -> Option<u64> {
        let text = fs::read_to_string(self.root.join("scmUsed")).ok()?;
        text.split_whitespace().next()?.parse().ok()
    }

    /// Makes all edits so far durable.
    pub(crate) fn flush(&self) -> Result<(), StoreError> {
        self.database.flush().map_err(StoreError::from)
    }
}

/// The report of a disk that could not be opened.
pub fn failed_report(volume: &VolumeSettings) -> StorageReportProto {
    StorageReportProto {
        storage_location: volume.root.display().to_string(),
        storage_type: Some(StorageTypeProto::from(volume.storage_type).into()),
        failed: Some(true),
        ..StorageReportProto::default()
    }
}

/// Removes leftovers of deletions; what resists is left for the next start.
fn clear(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        if let Err(error) = fs::remove_dir_all(entry.path()) {
            tracing::warn!(path = %entry.path().display(), %error, "cannot remove a leftover");
        }
    }
}

/// Bytes of all files below; what vanishes meanwhile does not count.
fn tree_bytes(root: &Path) -> u64 {
    let mut bytes = 0;
    let mut pending = vec![root.to_owned()];
    while let Some(dir) = pending.pop() {
        let Ok(entries) = fs::read_dir(dir) else { continue };
        for entry in entries.flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => pending.push(entry.path()),
                Ok(kind) if kind.is_file() => bytes += entry.metadata().map_or(0, |m| m.len()),
                _ => {}
            }
        }
    }
    bytes
}
