//! One storage directory and its writer.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::Sender;
use parking_lot::Mutex;
use ratis_proto::common::LogEntryProto;
use uuid::Uuid;

use crate::error::LogError;
use crate::files::LogFiles;
use crate::folder::FsFolder;
use crate::group::{GroupLog, LogListener};
use crate::meta;
use crate::metrics::DiskMetrics;
use crate::reader::LogReader;
use crate::recovery::Recovered;
use crate::storage::{self, GroupPaths};
use crate::writer::{GroupFiles, Operation, Writer};

/// Sizes of a group's log.
#[derive(Clone, Copy, Debug)]
pub struct LogSettings {
    /// A segment is closed when it has grown to this, in bytes.
    pub segment_bytes_max: u64,
    /// Zeros are written this far ahead of use, in bytes.
    pub preallocated_bytes: u64,
}

impl Default for LogSettings {
    /// As Ozone sets them for datanodes.
    fn default() -> Self {
        Self { segment_bytes_max: 64 << 20, preallocated_bytes: 4 << 20 }
    }
}

struct Inner {
    path: PathBuf,
    queue: Sender<Operation>,
    next_slot: AtomicU64,
    metrics: Arc<DiskMetrics>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Where there is no thread.
    writer: Option<Mutex<Writer>>,
}

/// A storage directory. Clones share it.
#[derive(Clone)]
pub struct Disk {
    inner: Arc<Inner>,
}

impl Disk {
    /// Opens a storage directory, creating it if need be, and starts its writer.
    ///
    /// # Errors
    /// The directory or the thread cannot be created.
    pub fn open(path: &Path) -> Result<Self, LogError> {
        fs::create_dir_all(path).map_err(LogError::io("create", path))?;
        // Bounded by the callers: a group limits what its clients and its leader have in flight.
        let (queue, operations) = crossbeam_channel::unbounded();
        let metrics = Arc::<DiskMetrics>::default();
        let writer = Writer::new(operations, metrics.clone());
        let thread = std::thread::Builder::new()
            .name("raft-log".to_owned())
            .spawn(move || writer.run())
            .map_err(LogError::io("start a writer thread for", path))?;
        let inner = Inner {
            path: path.to_owned(),
            queue,
            next_slot: AtomicU64::new(0),
            metrics,
            thread: Mutex::new(Some(thread)),
            writer: None,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Opens a storage directory without a thread: what is queued is written, synced and reported by
    /// whoever calls [`GroupLog::work`]. For a process with one group, whose loop may block: it saves
    /// two changes of thread for each round.
    ///
    /// # Errors
    /// The directory cannot be created.
    pub fn open_without_thread(path: &Path) -> Result<Self, LogError> {
        fs::create_dir_all(path).map_err(LogError::io("create", path))?;
        let (queue, operations) = crossbeam_channel::unbounded();
        let metrics = Arc::<DiskMetrics>::default();
        let writer = Some(Mutex::new(Writer::new(operations, metrics.clone())));
        let inner = Inner {
            path: path.to_owned(),
            queue,
            next_slot: AtomicU64::new(0),
            metrics,
            thread: Mutex::new(None),
            writer,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The storage directory.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// What the writer counted: `syncTime`, `flushTime`, `syncBatchSize`, `workerQueueSize`, ….
    pub fn collect(&self, record: &mut ozone_metrics::Record<'_>) {
        self.inner.metrics.collect(record, self.inner.queue.len());
    }

    /// Groups that have a directory here.
    ///
    /// # Errors
    /// The directory cannot be listed.
    pub fn groups(&self) -> Result<Vec<Uuid>, LogError> {
        storage::groups(self.path())
    }

    /// Opens a group's log, creating it if need be: with `members`, a configuration entry, as
    /// `raft-meta.conf`. Blocks while the log is read.
    ///
    /// # Errors
    /// The log is damaged, in use, or cannot be read or written.
    pub fn open_group(
        &self,
        group: Uuid,
        settings: LogSettings,
        listener: Arc<dyn LogListener>,
        members: Option<&LogEntryProto>,
    ) -> Result<(GroupLog, Recovered), LogError> {
        let paths = GroupPaths::new(self.path(), group);
        let is_new = paths.create(members)?;
        let lock = paths.lock()?;
        let folder = FsFolder(paths.current.clone());
        let (files, mut recovered) = LogFiles::open(Box::new(folder), settings)?;
        recovered.is_new = is_new;
        let slot = self.inner.next_slot.fetch_add(1, Ordering::Relaxed);
        let reader = LogReader { current: paths.current.clone(), segments: files.segments() };
        let files = GroupFiles::new(paths.root.clone(), files, listener, lock);
        self.send(Operation::Open(slot, Box::new(files)));
        let log = GroupLog::new(self.clone(), slot, paths, reader, recovered.next);
        Ok((log, recovered))
    }

    /// Removes the directory of a group whose log is closed, or moves it below `renamed_to`.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn remove_group(&self, group: Uuid, renamed_to: Option<&Path>) -> Result<(), LogError> {
        let root = GroupPaths::new(self.path(), group).root;
        if let Some(folder) = renamed_to {
            fs::create_dir_all(folder).map_err(LogError::io("create", folder))?;
            let target = folder.join(group.to_string());
            fs::rename(&root, &target).map_err(LogError::io("rename", &root))?;
        } else {
            // raft-meta first: half a directory must not look like a group.
            let metadata = root.join("current").join(meta::META);
            fs::remove_file(&metadata).map_err(LogError::io("remove", &metadata))?;
            fs::remove_dir_all(&root).map_err(LogError::io("remove", &root))?;
        }
        meta::sync_folder(self.path())
    }

    /// Finishes what is queued, closes all files and ends the writer. Blocks.
    pub fn shutdown(&self) {
        self.send(Operation::Stop);
        let thread = self.inner.thread.lock().take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!(path = %self.path().display(), "the raft log writer panicked");
        }
    }

    /// Queues an operation. After a shutdown there is nobody to do it and nobody who waits for it.
    pub(crate) fn send(&self, operation: Operation) {
        let is_change = matches!(operation, Operation::Change(..));
        if self.inner.queue.send(operation).is_err() {
            tracing::debug!(path = %self.path().display(), "raft log operation after shutdown");
        }
        if !is_change {
            self.work();
        }
    }

    /// Does what is queued, if no thread does.
    pub(crate) fn work(&self) {
        if let Some(writer) = &self.inner.writer {
            writer.lock().work_off();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Send errors mean that the thread has ended already.
        let _ = self.queue.send(Operation::Stop);
    }
}
