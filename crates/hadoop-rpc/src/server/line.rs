//! What others may see and order of a connection: idleness, and when to stop.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use std::task::Context;
use std::time::Duration;

use super::{SWEEP_PERIOD, ServerSettings};

/// A word to a connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Order {
    /// Go on.
    Serve = 0,
    /// Read no more, finish what was begun, close.
    Drain = 1,
    /// Close now.
    Kill = 2,
}

/// In the middle of the header or a frame.
pub const UNFINISHED: u8 = 1;
/// Answers wait to be read.
pub const UNSENT: u8 = 2;
/// Calls are in service, or wait for a place.
pub const BUSY: u8 = 4;

/// One connection, seen from outside.
#[derive(Debug, Default)]
pub struct Line {
    waker: AtomicWaker,
    order: AtomicU8,
    state: AtomicU8,
    /// The sweeper's count at the last byte in or out.
    moved: AtomicU32,
    now: Arc<AtomicU32>,
}

impl Line {
    /// Wakes this task when an order comes.
    pub fn register(&self, cx: &Context<'_>) {
        self.waker.register(cx.waker());
    }

    /// What to do.
    pub fn order(&self) -> Order {
        match self.order.load(Relaxed) {
            0 => Order::Serve,
            1 => Order::Drain,
            _ => Order::Kill,
        }
    }

    /// A byte went in or out.
    pub fn moved(&self) {
        self.moved.store(self.now.load(Relaxed), Relaxed);
    }

    /// [`UNFINISHED`], [`UNSENT`], [`BUSY`].
    pub fn set_state(&self, state: u8) {
        self.state.store(state, Relaxed);
    }

    fn give(&self, order: Order) {
        self.order.fetch_max(order as u8, Relaxed);
        self.waker.wake();
    }
}

/// All connections of a server.
#[derive(Default)]
pub struct Lines {
    open: Mutex<HashMap<u64, Arc<Line>>>,
    next: AtomicU64,
    now: Arc<AtomicU32>,
}

impl Lines {
    /// A new connection.
    pub fn open(&self) -> (u64, Arc<Line>) {
        let id = self.next.fetch_add(1, Relaxed);
        let line = Arc::new(Line { now: self.now.clone(), ..Line::default() });
        line.moved();
        self.open.lock().insert(id, line.clone());
        (id, line)
    }

    /// It ended.
    pub fn close(&self, id: u64) {
        self.open.lock().remove(&id);
    }

    /// Open connections.
    pub fn count(&self) -> usize {
        self.open.lock().len()
    }

    /// Orders all of them.
    pub fn order_all(&self, order: Order) {
        for line in self.open.lock().values() {
            line.give(order);
        }
    }

    /// Ends connections that stall, and idle ones while there are many.
    pub fn sweep(&self, settings: &ServerSettings) {
        let now = self.now.fetch_add(1, Relaxed) + 1;
        let open = self.open.lock();
        let many = open.len() > settings.idle_threshold;
        for line in open.values() {
            let idle = now.saturating_sub(line.moved.load(Relaxed));
            let past = |limit: Duration| SWEEP_PERIOD * idle > limit;
            let state = line.state.load(Relaxed);
            let end = if state & UNSENT != 0 {
                past(settings.unread_timeout)
            } else if state & BUSY != 0 {
                false
            } else if state & UNFINISHED != 0 {
                past(settings.stall_timeout)
            } else {
                many && past(settings.idle_timeout)
            };
            if end {
                line.give(Order::Kill);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sweeper_ends_what_stalls_and_idles_only_in_a_crowd() {
        let settings = ServerSettings {
            idle_threshold: 4,
            idle_timeout: Duration::from_secs(20),
            stall_timeout: Duration::from_secs(120),
            unread_timeout: Duration::from_secs(300),
            ..Default::default()
        };
        let lines = Lines::default();
        let open = |state| {
            let (_, line) = lines.open();
            line.set_state(state);
            line
        };
        let [idle, busy, stalled, unread] = [0, BUSY, UNFINISHED, UNSENT | BUSY].map(open);
        let sweep = |count| (0..count).for_each(|_| lines.sweep(&settings));
        let killed = |line: &Line| line.order() == Order::Kill;
        sweep(120);
        assert!(!killed(&idle) && !killed(&stalled));
        sweep(1);
        assert!(!killed(&idle) && killed(&stalled) && !killed(&unread));
        sweep(200);
        assert!(killed(&unread) && !killed(&busy) && !killed(&idle));
        let fifth = open(0);
        sweep(20);
        assert!(killed(&idle) && !killed(&fifth) && !killed(&busy));
        sweep(1);
        assert!(killed(&fifth));
    }
}
