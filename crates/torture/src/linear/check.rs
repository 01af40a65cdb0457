//! Is there an order of the operations, each between its call and its end, that explains every answer?
//!
//! Just-in-time linearization (Lowe, "Testing for linearizability", 2017, after Wing and Gong): the history is read once, in the order
//! of calls and ends. A *configuration* is a state and the operations under way that have taken effect already. A call adds nothing but
//! a possibility; at an end, each configuration in which the operation has not taken effect yet is extended by every sequence of
//! operations under way that lets it. What cannot be extended is given up; when none is left, no order explains the history. Equal
//! configurations are one, so that the work is bounded by the operations under way at a time, not by the length of the history.
//!
//! An operation without an answer may have taken effect or not: at its end the configurations stay that did without it.

use std::collections::{BTreeSet, HashSet};

use super::history::Operation;
use super::state::State;

/// Configurations at a time, at most; a history that needs more is not judged.
const CONFIGURATIONS_MAX: usize = 500_000;
/// Operations before the one that nothing explains which a finding shows.
const SHOWN: usize = 24;

/// How a history was judged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// An order explains it. The most configurations that were open at a time.
    Linearizable {
        /// Of them.
        configurations_max: usize,
    },
    /// None does: the operation that nothing explains, and what was going on around it.
    Violation(String),
    /// Too many possibilities.
    Undecided,
}

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Configuration {
    state: State,
    /// Operations under way that have taken effect.
    done: BTreeSet<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Call,
    End,
}

/// Judges the operations on one group of names, which was empty before them.
pub fn check(operations: &[Operation]) -> Verdict {
    // A read without an answer says nothing.
    let told: Vec<&Operation> =
        operations.iter().filter(|one| one.is_certain || !one.action.is_read()).collect();
    let mut events: Vec<(u64, Event, usize)> = told
        .iter()
        .enumerate()
        .flat_map(|(at, one)| [(one.call, Event::Call, at), (one.end, Event::End, at)])
        .collect();
    events.sort_unstable();
    let start = Configuration { state: State::default(), done: BTreeSet::new() };
    let mut open = HashSet::from([start]);
    let mut under_way = BTreeSet::new();
    let mut configurations_max = 1;
    for (tick, event, at) in events {
        if event == Event::Call {
            under_way.insert(at);
            continue;
        }
        let Some(next) = extend(&open, &under_way, &told, at) else { return Verdict::Undecided };
        if next.is_empty() {
            return Verdict::Violation(tell(&told, &open, at, tick));
        }
        under_way.remove(&at);
        configurations_max = configurations_max.max(next.len());
        open = next;
    }
    Verdict::Linearizable { configurations_max }
}

/// The configurations in which the operation `at` is over; `None` when there are too many.
fn extend(
    open: &HashSet<Configuration>,
    under_way: &BTreeSet<usize>,
    told: &[&Operation],
    at: usize,
) -> Option<HashSet<Configuration>> {
    let mut next = HashSet::new();
    let mut seen: HashSet<Configuration> = open.clone();
    let mut waiting: Vec<Configuration> = open.iter().cloned().collect();
    while let Some(configuration) = waiting.pop() {
        if configuration.done.contains(&at) {
            let mut over = configuration;
            over.done.remove(&at);
            next.insert(over);
            continue;
        }
        for other in under_way.iter().filter(|other| !configuration.done.contains(other)) {
            let Some(state) = told[*other].action.apply(&configuration.state) else { continue };
            let mut done = configuration.done.clone();
            done.insert(*other);
            let further = Configuration { state, done };
            if seen.insert(further.clone()) {
                waiting.push(further);
            }
        }
        if seen.len() > CONFIGURATIONS_MAX {
            return None;
        }
    }
    if !told[at].is_certain {
        // It did not take effect.
        next.extend(open.iter().filter(|one| !one.done.contains(&at)).cloned());
    }
    Some(next)
}

fn tell(told: &[&Operation], open: &HashSet<Configuration>, at: usize, tick: u64) -> String {
    let mut before: Vec<&&Operation> = told.iter().filter(|one| one.call < tick).collect();
    before.sort_by_key(|one| one.end);
    let from = before.len().saturating_sub(SHOWN);
    let lines: Vec<String> = before[from..].iter().map(|one| format!("  {one:?}")).collect();
    let states: BTreeSet<&State> = open.iter().map(|one| &one.state).collect();
    format!("nothing explains {:?}\nafter {states:?}\n{}", told[at], lines.join("\n"))
}

#[cfg(test)]
mod tests;
