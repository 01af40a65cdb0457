//! Our members beside those of the `raft` crate, as an oracle.
//!
//! ```text
//!   script (seed): deliver · drop · double · propose · let time pass · restart · transfer
//!        │                                   ┌─► our member ──► its messages travel on
//!        └─► an input for one member ────────┤                      compare: term, vote, role, leader,
//!                                            └─► its twin     ──►   log, commit, answers, progress
//! ```
//! The twin gets each input of our member in its own words; what it would send is compared and thrown
//! away, so both see the same history. It has no clock: that our member campaigns or steps down by the
//! clock is told to it.
//!
//! # Differences that are allowed, each counted
//! * [`Difference::PreVoteWhileLed`]: Ratis gives no pre-vote while a leader is heard.
//! * [`Difference::PreVoteOfOldTerm`]: Ratis does not look at the term of a pre-vote.
//! * [`Difference::VoteBesideSilentLeader`]: a voter that has not voted in the term helps another
//!   candidate of it once the leader has fallen silent; the leader's majority cannot be had again.
//! * [`Difference::VoteForLeader`]: who follows a leader still votes for it in its term.
//! * [`Difference::EmptyVoter`]: with commits at hand, the vote of a member without a log does not count.
//! * [`Difference::BeforeCommit`]: entries from before the commit index are answered with INCONSISTENCY
//!   and where to go on; the oracle says that it has them.
//! * [`Difference::GoOnAhead`]: Ratis' follower names the next index also when it lies ahead.
//! * [`Difference::BehindConfirmed`]: whoever refuses what follows his confirmed entries may have lost
//!   them, so Ratis goes back further; the oracle never does.
//! * [`Difference::BackFromPreVote`]: whoever asks around and is asked for a real vote of the same term
//!   stops asking.
//! * [`Difference::SteppedDown`]: a leader without a majority steps down by the clock.
//!
//! Not compared: priorities (refused by other rules), changes of members (in force when appended, not
//! when applied), snapshots (notified, not sent), reads.
//!
//! `RAFT_ORACLE_SEED=n` replays one script, `RAFT_ORACLE_STEPS=n` sets the number of steps in all.

mod compare;
mod script;
mod twin;

use std::collections::BTreeMap;

use script::Script;

use crate::bugs::Bug;

/// Steps of the ordinary test.
const STEPS: u64 = 40_000;
/// Steps of one script.
const STEPS_PER_SCRIPT: u64 = 2_000;

/// Where the two may differ.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Difference {
    PreVoteWhileLed,
    PreVoteOfOldTerm,
    VoteBesideSilentLeader,
    EmptyVoter,
    BeforeCommit,
    GoOnAhead,
    BehindConfirmed,
    BackFromPreVote,
    VoteForLeader,
    SteppedDown,
}

#[derive(Default)]
struct Tally {
    steps: u64,
    compared: u64,
    elections: u64,
    truncations: u64,
    rejections: u64,
    commits: u64,
    restarts: u64,
    allowed: BTreeMap<Difference, u64>,
}

fn env(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

fn run(seed: u64, tally: &mut Tally) {
    let mut script = Script::new(seed, None);
    for step in 0..STEPS_PER_SCRIPT {
        if let Err(difference) = script.step() {
            let history = script.history();
            panic!(
                "{history}\nseed {seed}, step {step}: {difference}\n\
                 replay: RAFT_ORACLE_SEED={seed} cargo test -p ratis-core oracle"
            );
        }
    }
    script.add_to(tally);
}

#[test]
fn every_step_is_decided_as_the_oracle_decides_it() {
    let mut tally = Tally::default();
    if let Some(seed) = env("RAFT_ORACLE_SEED") {
        run(seed, &mut tally);
        return;
    }
    let steps = env("RAFT_ORACLE_STEPS").unwrap_or(STEPS);
    for seed in 0..steps.div_ceil(STEPS_PER_SCRIPT) {
        run(seed, &mut tally);
    }
    println!(
        "{} steps, {} comparisons: {} elections, {} commits, {} truncations, {} rejections, {} restarts; \
         allowed differences: {:?}",
        tally.steps,
        tally.compared,
        tally.elections,
        tally.commits,
        tally.truncations,
        tally.rejections,
        tally.restarts,
        tally.allowed
    );
    assert!(tally.elections > 20 && tally.truncations > 5 && tally.rejections > 100);
    assert!(tally.commits > 1_000 && tally.restarts > 20);
}

/// The oracle is checked, too: mistakes that are planted in our member are differences.
#[test]
fn planted_mistakes_differ_from_the_oracle() {
    const SCRIPTS: u64 = 400;
    let differs = |bug: Bug, seed: u64| {
        let mut script = Script::new(seed, Some(bug));
        (0..STEPS_PER_SCRIPT).any(|_| script.step().is_err())
    };
    for bug in [
        Bug::VoteTwice,
        Bug::VoteForOldLog,
        Bug::VoteFromOtherRound,
        Bug::MinorityWins,
        Bug::CommitOldTerm,
        Bug::CommitUnverified,
        Bug::PreviousNotChecked,
    ] {
        let found = (0..SCRIPTS).find(|seed| differs(bug, *seed));
        println!("{bug:?}: script {found:?}");
        assert!(found.is_some(), "{bug:?} was not found in {SCRIPTS} scripts");
    }
}
