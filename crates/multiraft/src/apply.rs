//! Applying committed entries, in order, beside the group's loop.
//!
//! A group has no thread of its own for this: while there is work, one blocking task works the queue
//! off, and ends when the queue is empty. A loop that has its own thread works off new entries itself,
//! and leaves what may take long to a blocking task. So at most one call into the state machine's
//! `apply` and `advance` is under way; snapshots have rules of their own (`snapshots.rs`).

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Weak};
use std::time::Instant;

use bytes::Bytes;
use parking_lot::Mutex;
use ratis_core::TermIndex;
use ratis_log::LogReader;
use ratis_proto::common::{
    LogEntryProto, StateMachineLogEntryProto, log_entry_proto::LogEntryBody,
};
use smallvec::SmallVec;
use tokio::sync::oneshot;

use crate::group::{Event, Group, PendingWrite};
use crate::retry_cache::{Key, Outcome, Waiter};
use crate::snapshots::{Begin, SnapshotResult, SnapshotWaiter, Snapshots};
use crate::state_machine::{Committed, StateMachineError};
use crate::types::Reply;

/// Entries handed to the state machine at once.
const BATCH_ENTRIES_MAX: usize = 1_024;

/// Bytes read from the log at once for replay.
const REPLAY_BYTES_MAX: usize = 4 << 20;

/// Entries that wait in memory; what comes on top is read from the log when its turn comes.
const QUEUED_ENTRIES_MAX: usize = 16_384;

/// Something to do in order.
pub(crate) enum Job {
    /// Committed entries at hand, with what their proposers left.
    Entries(Vec<LogEntryProto>, Vec<PendingWrite>),
    /// Committed entries from the first to before the second index, to be read from the log.
    Stored(u64, u64, Vec<PendingWrite>),
    /// A snapshot if that many entries were applied since the last one.
    Snapshot(u64, Option<SnapshotWaiter>),
    /// An installed snapshot put the state there.
    Reset(TermIndex),
    /// The last job.
    Stop { snapshot: bool, done: oneshot::Sender<()> },
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    entries: usize,
    running: bool,
    /// The state machine panicked: nothing is applied any more.
    dead: bool,
}

/// What only the running task touches.
struct Worker {
    applied: Option<TermIndex>,
}

/// A group's queue of committed entries.
pub(crate) struct Applier {
    group: Weak<Group>,
    reader: LogReader,
    snapshots: Snapshots,
    /// Whoever pushes entries works them off.
    here: bool,
    queue: Mutex<Queue>,
    worker: Mutex<Worker>,
}

impl Applier {
    pub fn new(
        group: Weak<Group>,
        reader: LogReader,
        snapshots: Snapshots,
        durable: Option<TermIndex>,
        here: bool,
    ) -> Self {
        let worker = Worker { applied: durable };
        let (queue, worker) = (Mutex::default(), Mutex::new(worker));
        Self { group, reader, snapshots, here, queue, worker }
    }

    /// Too much waits already: leave the entries in the log.
    pub fn is_full(&self) -> bool {
        self.queue.lock().entries >= QUEUED_ENTRIES_MAX
    }

    /// Queues a job and sees that somebody works.
    pub fn push(self: &Arc<Self>, job: Job) {
        let mut queue = self.queue.lock();
        if queue.dead {
            // Dropping the job tells whoever waits for it.
            return;
        }
        if let Job::Entries(entries, _) = &job {
            queue.entries += entries.len();
        }
        queue.jobs.push_back(job);
        if std::mem::replace(&mut queue.running, true) {
            return;
        }
        drop(queue);
        // A panic is noted by its guard; the loop must live to tell everybody.
        let here = self.here && catch_unwind(AssertUnwindSafe(|| self.work(true))).unwrap_or(true);
        if !here {
            let applier = self.clone();
            tokio::task::spawn_blocking(move || applier.work(false));
        }
    }

    /// Works the queue off; false if it stopped `briefly` before a job that may take long.
    fn work(self: &Arc<Self>, briefly: bool) -> bool {
        let Some(group) = self.group.upgrade() else { return true };
        let panicking = PanicGuard { group: &group, queue: &self.queue, armed: true };
        let mut worker = self.worker.lock();
        let mut done = true;
        loop {
            let job = {
                let mut queue = self.queue.lock();
                let Some(job) = queue.jobs.pop_front() else {
                    queue.running = false;
                    break;
                };
                if briefly && !self.is_brief(&job) {
                    queue.jobs.push_front(job);
                    done = false;
                    break;
                }
                if let Job::Entries(entries, _) = &job {
                    queue.entries -= entries.len();
                }
                job
            };
            self.carry_out(&group, &mut worker, job);
        }
        panicking.disarm();
        done
    }

    /// Whether a job may be worked off on a thread that others wait for.
    fn is_brief(&self, job: &Job) -> bool {
        match job {
            Job::Entries(..) => true,
            Job::Snapshot(..) => self.snapshots.beside,
            Job::Stored(..) | Job::Reset(_) | Job::Stop { .. } => false,
        }
    }

    fn carry_out(self: &Arc<Self>, group: &Arc<Group>, worker: &mut Worker, job: Job) {
        match job {
            Job::Entries(entries, writes) => {
                let mut writes = VecDeque::from(writes);
                worker.apply(group, entries, &mut writes);
                if let Some(after) = self.snapshots.due(worker.applied) {
                    self.queue.lock().jobs.push_front(Job::Snapshot(after, None));
                }
            }
            Job::Stored(from, to, writes) => {
                let mut writes = VecDeque::from(writes);
                let mut next = from;
                while next < to {
                    let read = self.reader.read(next, to, BATCH_ENTRIES_MAX, REPLAY_BYTES_MAX);
                    match read {
                        Ok(entries) if !entries.is_empty() => {
                            next += entries.len() as u64;
                            worker.apply(group, entries, &mut writes);
                            if let Some(after) = self.snapshots.due(worker.applied) {
                                self.snapshot(group, worker, after, None);
                            }
                        }
                        Ok(_) => {
                            return group.send(Event::Broken("the log gave no entries".into()));
                        }
                        Err(error) => return group.send(Event::Broken(error.to_string())),
                    }
                }
            }
            Job::Snapshot(gap, waiter) => self.snapshot(group, worker, gap, waiter),
            Job::Reset(at) => {
                self.snapshots.await_end();
                worker.applied = Some(at);
                self.snapshots.reset(at);
            }
            Job::Stop { snapshot, done } => {
                self.snapshots.await_end();
                if snapshot && let Begin::Take = self.snapshots.begin(worker.applied, 1, &mut None)
                {
                    self.take_snapshot(group, worker.applied, None);
                }
                self.snapshots.close();
                let _ = done.send(());
            }
        }
    }

    /// Takes a snapshot, or begins it, if `gap` entries were applied since the last.
    fn snapshot(
        self: &Arc<Self>,
        group: &Arc<Group>,
        worker: &Worker,
        gap: u64,
        mut waiter: Option<SnapshotWaiter>,
    ) {
        let applied = worker.applied;
        match self.snapshots.begin(applied, gap, &mut waiter) {
            Begin::Take if self.snapshots.beside => {
                let (applier, group) = (self.clone(), group.clone());
                tokio::task::spawn_blocking(move || {
                    let guard = PanicGuard { group: &group, queue: &applier.queue, armed: true };
                    applier.take_snapshot(&group, applied, waiter);
                    guard.disarm();
                });
            }
            Begin::Take => self.take_snapshot(group, applied, waiter),
            Begin::Known(at) => answer(waiter, Ok(at)),
            Begin::Later => {}
        }
    }

    /// The snapshot that was begun when `applied` was applied.
    fn take_snapshot(
        self: &Arc<Self>,
        group: &Group,
        applied: Option<TermIndex>,
        waiter: Option<SnapshotWaiter>,
    ) {
        // Whoever waits for its end must not wait for ever, whatever becomes of it.
        let taken = catch_unwind(AssertUnwindSafe(|| group.machine.take_snapshot()));
        let (result, panic) = match taken {
            Ok(result) => (result, None),
            Err(panic) => (Err(panicked()), Some(panic)),
        };
        match &result {
            Ok(Some(at)) => group.send(Event::SnapshotTaken(*at)),
            Ok(None) => {}
            // The log is kept, and the next batch asks again.
            Err(error) => tracing::warn!(group = %group.id, %error, "no snapshot was taken"),
        }
        for (gap, waiter) in self.snapshots.end(applied, &result) {
            self.push(Job::Snapshot(gap, Some(waiter)));
        }
        answer(waiter, result);
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }
}

/// Whoever asked may have gone.
fn answer(waiter: Option<SnapshotWaiter>, result: SnapshotResult) {
    let _ = waiter.map(|waiter| waiter.send(result));
}

fn panicked() -> StateMachineError {
    StateMachineError {
        class: "java.lang.IllegalStateException".to_owned(),
        message: "the state machine panicked while it took a snapshot".to_owned(),
    }
}

impl Worker {
    fn apply(
        &mut self,
        group: &Group,
        entries: Vec<LogEntryProto>,
        writes: &mut VecDeque<PendingWrite>,
    ) {
        let mut batch = Vec::with_capacity(entries.len().min(BATCH_ENTRIES_MAX));
        let mut configuration = None;
        for entry in entries {
            let at = TermIndex::new(entry.term, entry.index);
            if self.applied.is_some_and(|applied| at.index <= applied.index) {
                continue;
            }
            match entry.log_entry_body {
                Some(LogEntryBody::StateMachineLogEntry(mut body)) => {
                    if let Some(bulk) = &mut body.state_machine_entry {
                        bulk.state_machine_data = Bytes::new();
                    }
                    batch.push((at, body, take_write(writes, at)));
                    if batch.len() >= BATCH_ENTRIES_MAX {
                        apply_batch(group, &mut batch);
                    }
                }
                other => {
                    apply_batch(group, &mut batch);
                    group.machine.advance(at);
                    if let Some(LogEntryBody::ConfigurationEntry(_)) = &other {
                        let entry = LogEntryProto { log_entry_body: other, ..entry };
                        configuration = Some(Box::new(entry));
                    }
                }
            }
            self.applied = Some(at);
        }
        apply_batch(group, &mut batch);
        if let Some(at) = self.applied {
            group.send(Event::Applied(at.index, configuration));
        }
    }
}

/// What the proposer of the entry at `at` left.
fn take_write(writes: &mut VecDeque<PendingWrite>, at: TermIndex) -> Option<PendingWrite> {
    while writes.front().is_some_and(|w| w.at.index < at.index) {
        writes.pop_front();
    }
    writes.pop_front_if(|w| w.at == at)
}

/// A committed entry with what its proposer left.
type Entry = (TermIndex, StateMachineLogEntryProto, Option<PendingWrite>);

/// Applies, notes the replies for repetitions, and answers.
fn apply_batch(group: &Group, batch: &mut Vec<Entry>) {
    if batch.is_empty() {
        return;
    }
    let mut keys = Vec::with_capacity(batch.len());
    // Freed only after the replies, so that what is pending stays counted.
    let mut permits = Vec::new();
    let committed = batch
        .drain(..)
        .map(|(at, entry, write)| {
            let client: Option<[u8; 16]> = entry.client_id.as_ref().try_into().ok();
            let key = client.map(|c| Key { client: u128::from_be_bytes(c), call: entry.call_id });
            keys.push((at.index, key));
            let context = write.and_then(|mut write| {
                permits.push(write.permit);
                write.context.take()
            });
            Committed { at, entry, context }
        })
        .collect();
    let begun = Instant::now();
    let mut results = group.machine.apply(committed).into_iter();
    let commits = group.commits();
    let now = Instant::now();
    group.metrics.apply.took(now - begun);
    let mut answers: Vec<(SmallVec<[Waiter; 1]>, Outcome)> = Vec::with_capacity(keys.len());
    {
        let mut cache = group.retry.lock();
        for (index, key) in keys {
            let result = results.next().unwrap_or_else(|| {
                Err(StateMachineError {
                    class: "java.lang.IllegalStateException".to_owned(),
                    message: "the state machine gave no reply for the entry".to_owned(),
                })
            });
            let Some(key) = key else { continue };
            let outcome = Outcome { index, result };
            let waiters = cache.finish(key, outcome.clone(), now);
            if !waiters.is_empty() {
                answers.push((waiters, outcome));
            }
        }
    }
    for (waiters, outcome) in answers {
        for waiter in waiters {
            let reply = match &outcome.result {
                Ok(message) => Ok(Reply {
                    index: outcome.index,
                    message: message.clone(),
                    commits: commits.clone(),
                }),
                Err(error) => Err(error.clone().into()),
            };
            // A client that has gone will ask again.
            let _ = waiter.send(reply);
        }
    }
    drop(permits);
}

/// A state machine that panics has lost its invariants: the group stops rather than diverge.
struct PanicGuard<'a> {
    group: &'a Group,
    queue: &'a Mutex<Queue>,
    armed: bool,
}

impl PanicGuard<'_> {
    fn disarm(mut self) {
        self.armed = false;
    }
}

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if self.armed {
            let mut queue = self.queue.lock();
            queue.dead = true;
            queue.jobs.clear();
            drop(queue);
            self.group.send(Event::Broken("the state machine panicked".into()));
        }
    }
}
