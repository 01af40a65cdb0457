//! What writes the logs of all groups on one disk, in rounds: a thread, or the loop of a group.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, TryRecvError};
use rustc_hash::FxHashMap;

use crate::error::LogError;
use crate::files::{Change, LogFiles};
use crate::group::{LogListener, Ticket};
use crate::metrics::DiskMetrics;

/// Operations taken into one round at most; the rest waits for the next.
const ROUND_OPERATIONS_MAX: usize = 4096;

/// Bytes of entries taken into one round at most.
const ROUND_BYTES_MAX: usize = 16 << 20;

pub(crate) enum Operation {
    Open(u64, Box<GroupFiles>),
    Change(u64, Ticket, Change),
    /// Closes the files; the sender learns when.
    Close(u64, Sender<()>),
    /// Ends the thread once everything before is done.
    Stop,
}

/// What the writer keeps of a group.
pub(crate) struct GroupFiles {
    /// The group's directory, for messages.
    pub root: PathBuf,
    pub files: LogFiles,
    pub listener: Arc<dyn LogListener>,
    ticket: Ticket,
    touched: bool,
    failure: Option<Arc<LogError>>,
    /// Held until the group is closed.
    _lock: File,
}

impl GroupFiles {
    pub fn new(root: PathBuf, files: LogFiles, listener: Arc<dyn LogListener>, lock: File) -> Self {
        Self {
            root,
            files,
            listener,
            ticket: Ticket::default(),
            touched: false,
            failure: None,
            _lock: lock,
        }
    }

    fn fail(&mut self, error: LogError) {
        tracing::error!(error = %error, path = %self.root.display(), "raft log failed; the group accepts no more entries here");
        self.files.abandon();
        self.failure = Some(Arc::new(error));
    }

    /// Leaves the open segment without padding.
    fn close(mut self) {
        if self.failure.is_none()
            && let Err(error) = self.files.trim()
        {
            tracing::warn!(%error, path = %self.root.display(), "raft log segment was not trimmed");
        }
    }
}

/// The writer's state.
pub(crate) struct Writer {
    pub queue: Receiver<Operation>,
    groups: FxHashMap<u64, GroupFiles>,
    touched: Vec<u64>,
    metrics: Arc<DiskMetrics>,
    /// Of this round: operations, appends and their bytes.
    counts: [usize; 3],
}

impl Writer {
    pub fn new(queue: Receiver<Operation>, metrics: Arc<DiskMetrics>) -> Self {
        let (groups, touched) = (FxHashMap::default(), Vec::new());
        Self { queue, groups, touched, metrics, counts: [0; 3] }
    }

    /// Works until told to stop, or until nobody can send any more.
    pub fn run(mut self) {
        while let Ok(first) = self.queue.recv() {
            let begun = Instant::now();
            let go_on = self.round(first);
            self.finish_round();
            let [operations, appends, bytes] = std::mem::take(&mut self.counts);
            self.metrics.round(begun.elapsed(), operations, appends, bytes);
            if !go_on {
                break;
            }
        }
        self.end();
    }

    /// Works off what is queued now.
    pub fn work_off(&mut self) {
        while let Ok(first) = self.queue.try_recv() {
            let go_on = self.round(first);
            self.finish_round();
            if !go_on {
                self.end();
            }
        }
    }

    fn end(&mut self) {
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
            self.counts[0] += 1;
            match operation {
                Operation::Open(slot, files) => {
                    self.groups.insert(slot, *files);
                }
                Operation::Change(slot, ticket, change) => {
                    if let Change::Append(frames) = &change {
                        bytes += frames.bytes_len();
                        self.counts[1] += 1;
                        self.counts[2] += frames.bytes_len();
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
            && let Err(error) = files.files.change(change)
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
            let begun = Instant::now();
            if files.failure.is_none()
                && let Err(error) = files.files.sync()
            {
                files.fail(error);
            }
            match &files.failure {
                None => {
                    self.metrics.synced(begun.elapsed());
                    files.listener.durable(files.ticket);
                }
                Some(error) => {
                    self.metrics.failed();
                    files.listener.failed(files.ticket, error.clone());
                }
            }
        }
        for slot in touched {
            let Some(files) = self.groups.get_mut(&slot) else { continue };
            if files.failure.is_some() {
                continue;
            }
            let filled = files.files.fill_ahead().and_then(|filled| {
                if filled && self.queue.is_empty() { files.files.sync() } else { Ok(()) }
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
