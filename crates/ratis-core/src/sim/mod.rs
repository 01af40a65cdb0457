//! Whole groups in virtual time, under faults, from one seed.
//!
//! ```text
//!   seed ─► plan (size, loss, delays, crash rate …) ─► World: a heap of events in virtual milliseconds
//!              deliver · tick · write · synced · apply · loaded · installed · client · chaos · heal
//!           after every event the checks of `checks.rs` look at what happened
//! ```
//! A failing run names its seed and the last things that happened.
//!
//! * `RAFT_SIM_SEED=n` replays one run with its trace.
//! * `RAFT_SIM_RUNS=n` sets the number of runs (default [`RUNS`]).

mod chaos;
mod checks;
mod describe;
mod disk;
mod net;
mod node;
pub(crate) mod rng;
mod storage;
mod traffic;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::bugs::Bug;
use world::World;

/// Runs of the ordinary test.
const RUNS: u64 = 300;
/// Runs within which a planted mistake must show.
const RUNS_PER_BUG: u64 = 10_000;
/// Lines of the trace that a failure prints.
const TRACE_LINES: usize = 120;

/// How a run went.
#[derive(Debug, Default, Clone, Copy)]
struct Summary {
    events: u64,
    elections: u64,
    applied: u64,
    acknowledged: u64,
    repetitions: u64,
    reads: u64,
    changes: u64,
    transfers: u64,
    installs: u64,
    crashes: u64,
    power_cuts: u64,
    disk_errors: u64,
    purges: u64,
}

impl Summary {
    fn add(&mut self, other: Self) {
        self.events += other.events;
        self.elections += other.elections;
        self.applied += other.applied;
        self.acknowledged += other.acknowledged;
        self.repetitions += other.repetitions;
        self.reads += other.reads;
        self.changes += other.changes;
        self.transfers += other.transfers;
        self.installs += other.installs;
        self.crashes += other.crashes;
        self.power_cuts += other.power_cuts;
        self.disk_errors += other.disk_errors;
        self.purges += other.purges;
    }
}

fn env(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

/// One run. The error says what was violated.
fn run(seed: u64, bug: Option<Bug>, trace: &mut Option<Vec<String>>) -> Result<Summary, String> {
    let mut world = World::new(seed, bug);
    world.trace = trace.take();
    let outcome = catch_unwind(AssertUnwindSafe(|| world.run()));
    *trace = world.trace.take();
    match outcome {
        Ok(Ok(())) => Ok(world.summary),
        Ok(Err(violation)) => Err(violation),
        Err(panic) => {
            let message = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Err(format!("panic: {}", message.unwrap_or_default()))
        }
    }
}

fn explain(seed: u64, violation: &str) -> String {
    let mut trace = Some(Vec::new());
    let _ = run(seed, None, &mut trace);
    let trace = trace.unwrap_or_default();
    let tail = trace.len().saturating_sub(TRACE_LINES);
    format!(
        "{violation}\n{}\nreplay: RAFT_SIM_SEED={seed} cargo test -p ratis-core sim\n",
        trace[tail..].join("\n")
    )
}

#[test]
fn groups_stay_safe_and_recover_under_faults() {
    if let Some(seed) = env("RAFT_SIM_SEED") {
        let mut trace = Some(Vec::new());
        let outcome = run(seed, None, &mut trace);
        println!("{}\n{outcome:?}", trace.unwrap_or_default().join("\n"));
        assert!(outcome.is_ok(), "seed {seed}");
        return;
    }
    let first = env("RAFT_SIM_FIRST").unwrap_or(0);
    let runs = env("RAFT_SIM_RUNS").unwrap_or(RUNS);
    let mut total = Summary::default();
    for seed in first..first + runs {
        match run(seed, None, &mut None) {
            Ok(summary) => total.add(summary),
            Err(violation) => panic!("{}", explain(seed, &format!("seed {seed}: {violation}"))),
        }
    }
    println!("{runs} runs: {total:?}");
    assert!(
        total.acknowledged > runs && total.elections > runs,
        "the runs do something: {total:?}"
    );
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..20 {
        let (mut first, mut second) = (Some(Vec::new()), Some(Vec::new()));
        let _ = run(seed, None, &mut first);
        let _ = run(seed, None, &mut second);
        assert_eq!(first, second, "seed {seed}");
    }
}

/// Looks for a planted mistake in `runs` runs: after how many it was found, and how it showed.
fn hunt(bug: Bug, runs: u64) -> Option<(u64, String)> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let found = (0..runs).find_map(|seed| {
        run(seed, Some(bug), &mut None).err().map(|violation| (seed + 1, violation))
    });
    std::panic::set_hook(hook);
    found
}

/// The mistakes that show soonest, so that the checks themselves are checked with every test run.
#[test]
fn coarse_planted_bugs_are_found_at_once() {
    for bug in [Bug::VoteNotSaved, Bug::VoteForOldLog, Bug::MinorityWins, Bug::PreviousNotChecked] {
        assert!(hunt(bug, RUNS).is_some(), "{bug:?} was not found in {RUNS} runs");
    }
}

/// Every planted mistake is found; how soon is printed. `RAFT_SIM_BUG=n` looks at one of them.
#[test]
#[ignore = "takes minutes"]
fn planted_bugs_are_found() {
    let only = env("RAFT_SIM_BUG").and_then(|at| usize::try_from(at).ok());
    let mut missed = Vec::new();
    for (at, bug) in Bug::ALL.into_iter().enumerate() {
        if only.is_some_and(|only| only != at) {
            continue;
        }
        match hunt(bug, RUNS_PER_BUG) {
            Some((runs, violation)) => println!("{bug:?}: run {runs}: {violation}"),
            None => missed.push(bug),
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}
