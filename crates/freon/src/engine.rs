//! Runs a load: workers take numbers until there are none left, time is over, or something failed
//! (`BaseFreonGenerator`).

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::task::JoinSet;

use crate::meters::{self, Meters};
use crate::progress::Progress;
use crate::report::{self, Report};
use crate::{Context, FreonError};

/// Failures that are told one by one; the rest is only counted.
const FAILURES_SHOWN_MAX: u64 = 10;
/// How often progress is told.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);
/// Threads of the runtime at most: what one client can use before servers are the limit.
const THREADS_MAX: usize = 4;

/// What a run is to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Operations; with a duration, how many different numbers they get.
    pub tests: u64,
    /// Operations in flight.
    pub threads: u32,
    /// Go on for this long, whatever the number.
    pub duration: Option<Duration>,
    /// Go on after failures.
    pub fail_at_end: bool,
    /// What names begin with.
    pub prefix: String,
}

impl Plan {
    /// The name of the key with this number (`PathSchema`).
    pub fn key(&self, counter: u64) -> String {
        format!("{}/{counter}", self.prefix)
    }

    /// The name of the bucket with this number.
    pub fn bucket(&self, counter: u64) -> String {
        format!("{}{counter}", self.prefix)
    }
}

/// Something that can be done again and again.
pub trait Load: Send + Sync + 'static {
    /// Names of its timers.
    fn timers(&self) -> Vec<&'static str>;

    /// Does it once.
    fn step(&self, step: Step<'_>) -> impl Future<Output = Result<(), FreonError>> + Send;
}

/// One operation of a run.
#[derive(Clone, Copy)]
pub struct Step<'a> {
    /// Its number, below the number of tests.
    pub counter: u64,
    /// Which worker does it, from 0.
    pub worker: u32,
    meters: &'a Meters,
}

impl Step<'_> {
    /// Does `work`, and takes its time with a timer (an index into [`Load::timers`]).
    ///
    /// # Errors
    /// Those of the work.
    pub fn time<T, E>(
        &self,
        timer: usize,
        work: impl Future<Output = Result<T, E>>,
    ) -> impl Future<Output = Result<T, FreonError>>
    where
        FreonError: From<E>,
    {
        // Writing a key is a future of many kilobytes: one allocation instead of moves.
        let work = Box::pin(work);
        async move {
            let begin = Instant::now();
            let outcome = work.await;
            self.meters.record(self.worker, timer, begin.elapsed());
            Ok(outcome?)
        }
    }

    /// Bytes of content were written or read.
    pub fn add_bytes(&self, bytes: u64) {
        self.meters.add_bytes(self.worker, bytes);
    }
}

/// What all workers share.
pub(crate) struct State {
    plan: Plan,
    begin: Instant,
    attempts: AtomicU64,
    pub(crate) successes: AtomicU64,
    pub(crate) failures: AtomicU64,
    completed: AtomicBool,
    kinds: Mutex<BTreeMap<String, u64>>,
    pub(crate) meters: Meters,
}

impl State {
    fn new(plan: Plan, timers: &[&'static str]) -> Self {
        Self {
            plan,
            begin: Instant::now(),
            attempts: AtomicU64::new(0),
            successes: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            completed: AtomicBool::new(false),
            kinds: Mutex::default(),
            meters: Meters::new(timers),
        }
    }

    /// The next number, or `None` when the run is over.
    fn next(&self) -> Option<u64> {
        if self.completed.load(Ordering::Relaxed) {
            return None;
        }
        let attempt = self.attempts.fetch_add(1, Ordering::Relaxed);
        let over = match self.plan.duration {
            Some(limit) => self.begin.elapsed() > limit,
            None => {
                let failed = self.failures.load(Ordering::Relaxed) > 0;
                attempt >= self.plan.tests || failed && !self.plan.fail_at_end
            }
        };
        if over {
            self.completed.store(true, Ordering::Relaxed);
            return None;
        }
        Some(attempt % self.plan.tests)
    }

    fn failed(&self, counter: u64, error: &FreonError) {
        let before = self.failures.fetch_add(1, Ordering::Relaxed);
        *self.kinds.lock().entry(error.kind()).or_default() += 1;
        if before < FAILURES_SHOWN_MAX {
            eprintln!("Error on executing task {counter}: {error}");
        }
    }

    fn report(&self) -> Report {
        Report {
            timers: self.meters.report(),
            elapsed: self.begin.elapsed(),
            successes: self.successes.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            failures_by_kind: self.kinds.lock().clone(),
            tests: self.plan.tests,
            bytes: self.meters.bytes(),
        }
    }
}

/// The runtime of a generator.
///
/// # Errors
/// The system has no threads left.
pub fn runtime() -> Result<tokio::runtime::Runtime, FreonError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.min(THREADS_MAX))
        .enable_all()
        .build()?)
}

/// Blocks on a generator.
///
/// # Errors
/// Those of the generator.
pub fn block_on<T>(work: impl Future<Output = Result<T, FreonError>>) -> Result<T, FreonError> {
    let runtime = runtime()?;
    let outcome = runtime.block_on(work);
    // Name lookups may hang; nobody waits for them.
    runtime.shutdown_background();
    outcome
}

/// Runs a load as planned and prints the report.
///
/// # Errors
/// Something failed, or Ctrl-C.
pub async fn run<L: Load>(context: &Context<'_>, plan: Plan, load: L) -> Result<(), FreonError> {
    let load = Arc::new(load);
    let prefix = if plan.prefix.is_empty() { "''" } else { &plan.prefix };
    report::log(&format!("Executing test with prefix {prefix} and number-of-tests {}", plan.tests));
    let state = Arc::new(State::new(plan, &load.timers()));
    let mut workers = JoinSet::new();
    for worker in 0..state.plan.threads {
        workers.spawn(work(Arc::clone(&load), Arc::clone(&state), worker));
    }
    let interrupted = watch(context, &state, &mut workers).await;
    workers.shutdown().await;
    state.report().print(context.interactive);
    if interrupted {
        return Err(FreonError::Interrupted);
    }
    if state.failures.load(Ordering::Relaxed) > 0 {
        return Err(FreonError::TestsFailed);
    }
    Ok(())
}

async fn work<L: Load>(load: Arc<L>, state: Arc<State>, worker: u32) {
    while let Some(counter) = state.next() {
        let step = Step { counter, worker, meters: &state.meters };
        match load.step(step).await {
            Ok(()) => {
                state.successes.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => state.failed(counter, &error),
        }
    }
}

/// Tells progress until the workers are done; whether it was interrupted.
async fn watch(context: &Context<'_>, state: &State, workers: &mut JoinSet<()>) -> bool {
    let mut progress = Progress::new(context.interactive, state.plan.tests, state.plan.duration);
    let mut second = tokio::time::interval(PROGRESS_EVERY);
    let mut tick = tokio::time::interval_at(
        tokio::time::Instant::from_std(state.begin) + meters::TICK,
        meters::TICK,
    );
    let mut ctrl_c = std::pin::pin!(tokio::signal::ctrl_c());
    let interrupted = loop {
        tokio::select! {
            worker = workers.join_next() => match worker {
                None => break false,
                // A worker that panics has said so on stderr; its operation counts as failed.
                Some(Err(_)) => { state.failures.fetch_add(1, Ordering::Relaxed); }
                Some(Ok(())) => {}
            },
            _ = second.tick() => progress.tell(state),
            _ = tick.tick() => state.meters.tick(),
            _ = &mut ctrl_c => break true,
        }
    };
    progress.end(state);
    interrupted
}

impl State {
    /// Operations that ended.
    pub(crate) fn done(&self) -> u64 {
        self.successes.load(Ordering::Relaxed) + self.failures.load(Ordering::Relaxed)
    }

    /// Since the beginning.
    pub(crate) fn elapsed(&self) -> Duration {
        self.begin.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct FailsAt(Option<u64>);

    impl Load for FailsAt {
        fn timers(&self) -> Vec<&'static str> {
            vec!["nothing"]
        }

        async fn step(&self, step: Step<'_>) -> Result<(), FreonError> {
            step.time(0, async {
                if Some(step.counter) == self.0 {
                    return Err(FreonError::Wrong("as told".to_owned()));
                }
                Ok(())
            })
            .await
        }
    }

    async fn run_workers(load: FailsAt, fail_at_end: bool) -> Arc<State> {
        let plan =
            Plan { tests: 100, threads: 1, duration: None, fail_at_end, prefix: "p".to_owned() };
        let state = Arc::new(State::new(plan, &load.timers()));
        work(Arc::new(load), Arc::clone(&state), 0).await;
        state
    }

    #[tokio::test]
    async fn every_number_is_done_once() {
        let report = run_workers(FailsAt(None), false).await.report();
        assert_eq!((report.successes, report.failures), (100, 0));
        assert_eq!(report.timers[0].count, 100);
    }

    #[tokio::test]
    async fn a_failure_ends_the_run_unless_it_is_to_fail_at_the_end() {
        let report = run_workers(FailsAt(Some(9)), false).await.report();
        assert_eq!((report.successes, report.failures), (9, 1));
        let report = run_workers(FailsAt(Some(9)), true).await.report();
        assert_eq!((report.successes, report.failures), (99, 1));
        assert_eq!(report.failures_by_kind["WRONG_DATA"], 1);
        assert_eq!(report.timers[0].count, 100, "failures take their time too");
    }
}
