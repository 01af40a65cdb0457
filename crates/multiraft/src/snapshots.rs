//! When snapshots are taken, and the ones that run beside `apply`.
//!
//! A state machine that says so (`StateMachine::snapshots_beside_apply`) is asked for a snapshot on a
//! thread of its own while entries go on being applied: nobody who writes waits for its disk. Any
//! other is asked between two batches. At most one snapshot is under way.

use parking_lot::{Condvar, Mutex};
use ratis_core::TermIndex;
use tokio::sync::oneshot;

use crate::state_machine::StateMachineError;

/// What a request for a snapshot is answered with.
pub(crate) type SnapshotResult = Result<Option<TermIndex>, StateMachineError>;

/// Where the answer to a request for a snapshot goes.
pub(crate) type SnapshotWaiter = oneshot::Sender<SnapshotResult>;

/// A request that came while a snapshot was under way: how many entries must lie behind the last one.
pub(crate) type Postponed = (u64, SnapshotWaiter);

/// Snapshots of one group.
pub(crate) struct Snapshots {
    /// Applied entries after which one is taken.
    after: Option<u64>,
    /// They run beside `apply`.
    pub beside: bool,
    state: Mutex<State>,
    ended: Condvar,
}

struct State {
    /// What was applied when the last one began.
    last: Option<TermIndex>,
    running: bool,
    /// None is taken any more.
    closed: bool,
    postponed: Vec<Postponed>,
}

/// What is to be done about a request.
pub(crate) enum Begin {
    /// Take one, then call [`Snapshots::end`].
    Take,
    /// So little was applied since the last one that it will do.
    Known(Option<TermIndex>),
    /// One is under way, and the request was noted; or the group is closed.
    Later,
}

impl Snapshots {
    pub fn new(after: Option<u64>, beside: bool, durable: Option<TermIndex>) -> Self {
        let state = State { last: durable, running: false, closed: false, postponed: Vec::new() };
        Self { after, beside, state: Mutex::new(state), ended: Condvar::new() }
    }

    /// How many entries make one due, if one is due now.
    pub fn due(&self, applied: Option<TermIndex>) -> Option<u64> {
        let after = self.after?;
        let state = self.state.lock();
        (!state.running && state.since(applied) >= after.max(1)).then_some(after)
    }

    /// Begins one if `gap` entries were applied since the last.
    pub fn begin(
        &self,
        applied: Option<TermIndex>,
        gap: u64,
        waiter: &mut Option<SnapshotWaiter>,
    ) -> Begin {
        let mut state = self.state.lock();
        if state.closed {
            // Dropping the waiter tells it.
            *waiter = None;
            return Begin::Later;
        }
        if state.running {
            state.postponed.extend(waiter.take().map(|waiter| (gap, waiter)));
            return Begin::Later;
        }
        if state.since(applied) < gap {
            return Begin::Known(state.last);
        }
        state.running = true;
        Begin::Take
    }

    /// The one under way ended; `applied` is what had been applied when it began. Hands out the requests
    /// that came meanwhile.
    pub fn end(&self, applied: Option<TermIndex>, result: &SnapshotResult) -> Vec<Postponed> {
        let mut state = self.state.lock();
        if result.is_ok() {
            // Counted from the place that was reached, so that a machine which is behind with its flushes
            // is not asked again at once.
            state.last = state.last.max(applied);
        }
        state.running = false;
        self.ended.notify_all();
        std::mem::take(&mut state.postponed)
    }

    /// An installed snapshot put the state there.
    pub fn reset(&self, at: TermIndex) {
        self.state.lock().last = Some(at);
    }

    /// The group is closed.
    pub fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.postponed.clear();
    }

    /// Waits for the one under way. Blocks.
    pub fn await_end(&self) {
        let mut state = self.state.lock();
        while state.running {
            self.ended.wait(&mut state);
        }
    }
}

impl State {
    fn since(&self, applied: Option<TermIndex>) -> u64 {
        let next = |at: Option<TermIndex>| at.map_or(0, |at| at.index + 1);
        next(applied).saturating_sub(next(self.last))
    }
}
