//! What was acknowledged, and therefore what may be seen.
//!
//! Each name has a timeline of states. An operation appends the state it wants before it is sent; its acknowledgement settles it.
//! A reader may see the state that was settled when it began, or any later one. A name whose last operation ended without a clear
//! answer is *open*: that operation may still take effect at any time, so that the name is judged but not changed any more.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::content::Content;

/// What a name may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// There is no such key.
    Absent,
    /// A key of this content.
    Holds(Content),
    /// A write that was refused before its commit: nobody may ever see it.
    Void,
}

#[derive(Debug, Default)]
struct Entry {
    timeline: Vec<State>,
    /// Index of the last acknowledged state.
    settled: usize,
    open: bool,
    /// The other name of an open rename.
    twin: Option<String>,
}

/// A place in a name's timeline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mark(usize);

/// All names of a bucket.
#[derive(Debug, Default)]
pub struct Oracle {
    names: Mutex<HashMap<String, Entry>>,
    /// The same names, as they came.
    order: Mutex<Vec<String>>,
}

impl Oracle {
    /// An operation that wants this state is about to be sent.
    pub fn begin(&self, name: &str, state: State) -> Mark {
        let mut names = self.names.lock();
        let entry = names.entry(name.to_owned()).or_default();
        if entry.timeline.is_empty() {
            entry.timeline.push(State::Absent);
            self.order.lock().push(name.to_owned());
        }
        entry.timeline.push(state);
        Mark(entry.timeline.len() - 1)
    }

    /// The operation was acknowledged.
    pub fn settle(&self, name: &str, mark: Mark) {
        self.change(name, |entry| {
            entry.settled = mark.0;
            entry.open = false;
        });
    }

    /// The operation failed and cannot take effect any more.
    pub fn refuse(&self, name: &str, mark: Mark) {
        self.change(name, |entry| entry.timeline[mark.0] = State::Void);
    }

    /// Nobody knows whether the operation takes effect.
    pub fn leave_open(&self, name: &str, twin: Option<&str>) {
        self.change(name, |entry| {
            entry.open = true;
            entry.twin = twin.map(str::to_owned);
        });
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.names.lock().get_mut(name) {
            change(entry);
        }
    }

    /// Where a read of this name begins.
    pub fn now(&self, name: &str) -> Mark {
        Mark(self.names.lock().get(name).map_or(0, |entry| entry.settled))
    }

    /// What a read that began at `mark` and has ended now may have seen.
    pub fn allowed(&self, name: &str, mark: Mark) -> Vec<State> {
        let names = self.names.lock();
        let Some(entry) = names.get(name) else { return vec![State::Absent] };
        let mut allowed: Vec<State> = Vec::new();
        for state in &entry.timeline[mark.0..] {
            if *state != State::Void && !allowed.contains(state) {
                allowed.push(*state);
            }
        }
        allowed
    }

    /// The acknowledged state of a name that is not open.
    pub fn settled(&self, name: &str) -> Option<State> {
        let names = self.names.lock();
        names.get(name).filter(|entry| !entry.open).map(|entry| entry.timeline[entry.settled])
    }

    /// Some name, chosen by a number.
    pub fn pick(&self, number: usize) -> Option<String> {
        let order = self.order.lock();
        (!order.is_empty()).then(|| order[number % order.len()].clone())
    }

    /// Every name with the name it forms an open rename with.
    pub fn all(&self) -> Vec<(String, Option<String>)> {
        let names = self.names.lock();
        let mut all: Vec<_> =
            names.iter().map(|(name, entry)| (name.clone(), entry.twin.clone())).collect();
        all.sort();
        all
    }

    /// Names whose last operation ended without a clear answer.
    pub fn open_count(&self) -> usize {
        self.names.lock().values().filter(|entry| entry.open).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: State = State::Holds(Content { id: 1, length: 10 });
    const B: State = State::Holds(Content { id: 2, length: 10 });

    #[test]
    fn a_reader_may_see_what_was_settled_when_it_began_and_whatever_came_after() {
        let oracle = Oracle::default();
        assert_eq!(oracle.allowed("k", oracle.now("k")), [State::Absent]);
        let mark = oracle.begin("k", A);
        assert_eq!(oracle.allowed("k", oracle.now("k")), [State::Absent, A]);
        oracle.settle("k", mark);
        let before = oracle.now("k");
        assert_eq!(oracle.allowed("k", before), [A]);
        let mark = oracle.begin("k", B);
        oracle.settle("k", mark);
        assert_eq!(oracle.allowed("k", before), [A, B]);
        assert_eq!(oracle.allowed("k", oracle.now("k")), [B]);
    }

    #[test]
    fn a_refused_write_may_never_be_seen_and_an_open_one_always() {
        let oracle = Oracle::default();
        let mark = oracle.begin("k", A);
        oracle.settle("k", mark);
        let mark = oracle.begin("k", B);
        oracle.refuse("k", mark);
        assert_eq!(oracle.allowed("k", oracle.now("k")), [A]);
        oracle.begin("k", State::Absent);
        oracle.leave_open("k", None);
        assert_eq!(oracle.allowed("k", oracle.now("k")), [A, State::Absent]);
        assert_eq!(oracle.settled("k"), None);
    }
}
