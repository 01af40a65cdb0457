//! The threads of one disk.
//!
//! ```text
//!  write(key, job) ─► lane key % n ─► one thread each: jobs of one key in the order handed in
//!  read(job)       ─► shared queue ─► n threads
//! ```
//! A slow disk fills its own queues and hurts nobody else. Threads start with their first job.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};
use ozone_metrics::{Record, Timer};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::{Code, StoreError};

/// Jobs that wait in one lane; handing in more blocks the caller until the disk has caught up.
const LANE_JOBS_MAX: usize = 1024;
/// Reads that wait; further ones block the caller.
const READ_JOBS_MAX: usize = 4096;

type Job = Box<dyn FnOnce() + Send>;

struct Queue {
    sender: Sender<Job>,
    receiver: Receiver<Job>,
    started: AtomicUsize,
    threads_max: usize,
    name: String,
}

impl Queue {
    fn new(name: String, jobs_max: usize, threads_max: usize) -> Self {
        let (sender, receiver) = bounded(jobs_max);
        Self { sender, receiver, started: AtomicUsize::new(0), threads_max, name }
    }

    fn push(
        &self,
        threads: &Mutex<Vec<thread::JoinHandle<()>>>,
        job: Job,
    ) -> Result<(), StoreError> {
        let started = self.started.load(Ordering::Acquire);
        if started == 0 || (started < self.threads_max && !self.sender.is_empty()) {
            self.start(threads)?;
        }
        self.sender.send(job).map_err(|_| stopped())
    }

    fn start(&self, threads: &Mutex<Vec<thread::JoinHandle<()>>>) -> Result<(), StoreError> {
        let mut threads = threads.lock();
        let started = self.started.load(Ordering::Acquire);
        if started >= self.threads_max {
            return Ok(());
        }
        let jobs = self.receiver.clone();
        let handle = thread::Builder::new()
            .name(self.name.clone())
            .spawn(move || {
                for job in jobs {
                    job();
                }
            })
            .map_err(|e| StoreError::io("cannot start a disk thread", &e))?;
        threads.push(handle);
        self.started.store(started + 1, Ordering::Release);
        Ok(())
    }
}

/// Write lanes and read threads of a disk.
pub struct DiskThreads {
    lanes: Vec<Queue>,
    reads: Queue,
    threads: Mutex<Vec<thread::JoinHandle<()>>>,
    waits: Arc<Waits>,
}

/// How long jobs wait for their thread.
#[derive(Default)]
struct Waits {
    writes: Timer,
    reads: Timer,
}

impl DiskThreads {
    /// Up to `write_threads` lanes and `read_threads` readers, at least one of each.
    pub fn new(write_threads: usize, read_threads: usize) -> Self {
        let lanes = (0..write_threads.max(1))
            .map(|n| Queue::new(format!("disk-write-{n}"), LANE_JOBS_MAX, 1))
            .collect();
        let reads = Queue::new("disk-read".to_owned(), READ_JOBS_MAX, read_threads.max(1));
        Self { lanes, reads, threads: Mutex::new(Vec::new()), waits: Arc::default() }
    }

    /// Depth of the queues and how long jobs waited in them.
    pub fn collect(&self, record: &mut Record<'_>) {
        let waiting: usize = self.lanes.iter().map(|lane| lane.sender.len()).sum();
        record.gauge("WriteQueueDepth", waiting).gauge("ReadQueueDepth", self.reads.sender.len());
        record.timer_ms("WriteQueueTime", &self.waits.writes);
        record.timer_ms("ReadQueueTime", &self.waits.reads);
        record.summary("WriteQueueSeconds", &self.waits.writes);
        record.summary("ReadQueueSeconds", &self.waits.reads);
    }

    /// Hands in a write; jobs with the same `key` run in the order of the calls. The receiver gets
    /// the result; it need not be awaited.
    pub fn write<T: Send + 'static>(
        &self,
        key: u64,
        job: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Pending<T> {
        // The modulus is at least one, and the remainder an index.
        let lane = (key % self.lanes.len() as u64) as usize;
        match self.lanes.get(lane) {
            Some(queue) => self.submit(queue, |waits| &waits.writes, job),
            None => Pending(Err(stopped())),
        }
    }

    /// Hands in a read.
    pub fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Pending<T> {
        self.submit(&self.reads, |waits| &waits.reads, job)
    }

    fn submit<T: Send + 'static>(
        &self,
        queue: &Queue,
        wait: fn(&Waits) -> &Timer,
        job: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Pending<T> {
        let (sender, receiver) = oneshot::channel();
        let (waits, asked) = (self.waits.clone(), Instant::now());
        let job = Box::new(move || {
            wait(&waits).took(asked.elapsed());
            // Nobody waiting any more is fine.
            let _ = sender.send(job());
        });
        match queue.push(&self.threads, job) {
            Ok(()) => Pending(Ok(receiver)),
            Err(error) => Pending(Err(error)),
        }
    }
}

impl Drop for DiskThreads {
    /// Runs what was handed in, then ends the threads.
    fn drop(&mut self) {
        let (closed, _) = bounded(0);
        for queue in self.lanes.iter_mut().chain([&mut self.reads]) {
            queue.sender = closed.clone();
        }
        let current = thread::current().id();
        for handle in self.threads.get_mut().drain(..) {
            // The last reference may be dropped by a job on one of the threads.
            if handle.thread().id() != current && handle.join().is_err() {
                tracing::error!("a disk thread panicked");
            }
        }
    }
}

/// The result of a job, once it ran.
pub struct Pending<T>(Result<oneshot::Receiver<Result<T, StoreError>>, StoreError>);

impl<T> Pending<T> {
    /// Waits on the async runtime.
    ///
    /// # Errors
    /// The job's, or the disk's threads ended.
    pub async fn wait(self) -> Result<T, StoreError> {
        self.0?.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Waits on a plain thread.
    ///
    /// # Errors
    /// See [`Self::wait`].
    pub fn block(self) -> Result<T, StoreError> {
        self.0?.blocking_recv().unwrap_or_else(|_| Err(stopped()))
    }
}

fn stopped() -> StoreError {
    StoreError::new(
        Code::IoException,
        "the threads of the disk have ended; the datanode is stopping",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_of_one_key_run_in_order_and_a_drop_waits_for_them() {
        let threads = DiskThreads::new(3, 2);
        let seen = Arc::new(Mutex::new(Vec::new()));
        for n in 0..200 {
            let seen = seen.clone();
            threads.write(n % 5, move || {
                seen.lock().push((n % 5, n));
                Ok(())
            });
        }
        assert_eq!(threads.read(|| Ok(7)).block(), Ok(7));
        drop(threads);
        let seen = seen.lock();
        assert_eq!(seen.len(), 200);
        for key in 0..5 {
            let of_key: Vec<u64> =
                seen.iter().filter(|(k, _)| *k == key).map(|(_, n)| *n).collect();
            assert!(of_key.is_sorted());
        }
    }
}
