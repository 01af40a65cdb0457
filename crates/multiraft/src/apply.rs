//! Applying committed entries, in order, beside the group's loop.
//!
//! A group has no thread of its own for this: while there is work, one blocking task works the queue
//! off, and ends when the queue is empty. A loop that has its own thread works off new entries itself,
//! and leaves snapshots and what must be read from the log to a blocking task. So at most one call into the state machine's `apply`,
//! `advance` and `take_snapshot` is under way.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
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
use crate::state_machine::{Committed, StateMachineError};
use crate::types::Reply;

/// Entries handed to the state machine at once.
const BATCH_ENTRIES_MAX: usize = 1_024;

/// Bytes read from the log at once for replay.
const REPLAY_BYTES_MAX: usize = 4 << 20;

/// Entries that wait in memory; what comes on top is read from the log when its turn comes.
const QUEUED_ENTRIES_MAX: usize = 16_384;

/// Where the answer to a request for a snapshot goes.
pub(crate) type SnapshotWaiter = oneshot::Sender<Result<Option<TermIndex>, StateMachineError>>;

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
    snapshot: Option<TermIndex>,
}

/// A group's queue of committed entries.
pub(crate) struct Applier {
    group: Weak<Group>,
    reader: LogReader,
    snapshot_after: Option<u64>,
    /// Whoever pushes entries works them off.
    here: bool,
    queue: Mutex<Queue>,
    worker: Mutex<Worker>,
}

impl Applier {
    pub fn new(
        group: Weak<Group>,
        reader: LogReader,
        snapshot_after: Option<u64>,
        durable: Option<TermIndex>,
        here: bool,
    ) -> Self {
        let worker = Worker { applied: durable, snapshot: durable };
        let (queue, worker) = (Mutex::default(), Mutex::new(worker));
        Self { group, reader, snapshot_after, here, queue, worker }
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
    fn work(&self, briefly: bool) -> bool {
        let Some(group) = self.group.upgrade() else { return true };
        let mut panicking = PanicGuard { group: &group, queue: &self.queue, armed: true };
        let mut worker = self.worker.lock();
        let mut done = true;
        loop {
            let job = {
                let mut queue = self.queue.lock();
                let Some(job) = queue.jobs.pop_front() else {
                    queue.running = false;
                    break;
                };
                if briefly && !matches!(job, Job::Entries(..)) {
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
        panicking.armed = false;
        done
    }

    fn carry_out(&self, group: &Group, worker: &mut Worker, job: Job) {
        match job {
            Job::Entries(entries, writes) => {
                let mut writes = VecDeque::from(writes);
                worker.apply(group, entries, &mut writes);
                if self.here {
                    self.queue_snapshot(worker);
                } else {
                    self.snapshot_if_due(group, worker);
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
                            self.snapshot_if_due(group, worker);
                        }
                        Ok(_) => {
                            return group.send(Event::Broken("the log gave no entries".into()));
                        }
                        Err(error) => return group.send(Event::Broken(error.to_string())),
                    }
                }
            }
            Job::Snapshot(gap, waiter) => {
                let result = if worker.since_snapshot() < gap {
                    Ok(worker.snapshot)
                } else {
                    worker.take_snapshot(group)
                };
                if let Some(waiter) = waiter {
                    // Whoever asked may have gone.
                    let _ = waiter.send(result);
                }
            }
            Job::Reset(at) => {
                worker.applied = Some(at);
                worker.snapshot = Some(at);
            }
            Job::Stop { snapshot, done } => {
                if snapshot && worker.since_snapshot() > 0 {
                    // An error was logged, and the log is replayed at the next start.
                    let _ = worker.take_snapshot(group);
                }
                let _ = done.send(());
            }
        }
    }

    /// A snapshot that is due is the next job.
    fn queue_snapshot(&self, worker: &Worker) {
        let due = self.snapshot_after.filter(|after| worker.since_snapshot() >= (*after).max(1));
        if let Some(after) = due {
            self.queue.lock().jobs.push_front(Job::Snapshot(after, None));
        }
    }

    fn snapshot_if_due(&self, group: &Group, worker: &mut Worker) {
        if self.snapshot_after.is_some_and(|after| worker.since_snapshot() >= after.max(1)) {
            // An error was logged, and the next batch tries again.
            let _ = worker.take_snapshot(group);
        }
    }
}

impl Worker {
    fn since_snapshot(&self) -> u64 {
        let next = |at: Option<TermIndex>| at.map_or(0, |at| at.index + 1);
        next(self.applied).saturating_sub(next(self.snapshot))
    }

    fn take_snapshot(&mut self, group: &Group) -> Result<Option<TermIndex>, StateMachineError> {
        match group.machine.take_snapshot() {
            Ok(at) => {
                // Count from the place that was reached, so that a machine which is behind with its
                // flushes is not asked again at once.
                self.snapshot = self.applied;
                if let Some(at) = at {
                    group.send(Event::SnapshotTaken(at));
                }
                Ok(at)
            }
            Err(error) => {
                tracing::warn!(group = %group.id, %error, "no snapshot was taken");
                Err(error)
            }
        }
    }

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
