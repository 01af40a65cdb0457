//! What was asked and answered, in the order of one clock.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::state::Action;

/// When nothing is known of an end.
pub const NEVER: u64 = u64::MAX;

/// A request between two ticks.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Who asked.
    pub client: u32,
    /// What, and the answer.
    pub action: Action,
    /// Before it was sent.
    pub call: u64,
    /// After it was answered, or after it could not take effect any more.
    pub end: u64,
    /// It was answered: it did take effect.
    pub is_certain: bool,
}

/// Counts up with every look at it: of two events, the one that happened before has the smaller tick.
#[derive(Debug, Default)]
pub struct Clock(AtomicU64);

impl Clock {
    /// The next tick.
    pub fn tick(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

/// The operations on one group of names.
#[derive(Debug, Default)]
pub struct History(Mutex<Vec<Operation>>);

impl History {
    /// Adds an operation that is over, or of which nobody knows.
    pub fn record(&self, operation: Operation) {
        self.0.lock().push(operation);
    }

    /// At `tick` nothing that was asked before is under way any more.
    pub fn settle(&self, tick: u64) {
        for operation in self.0.lock().iter_mut().filter(|operation| operation.end == NEVER) {
            operation.end = tick;
        }
    }

    /// All so far.
    pub fn operations(&self) -> Vec<Operation> {
        self.0.lock().clone()
    }
}
