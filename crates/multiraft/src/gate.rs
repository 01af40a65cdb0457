//! Lets writes of several clients gather, so that they share a sync, an apply and a packet.
//!
//! A group whose loop has a thread of its own syncs at most once per [`RaftSettings::gather_max`]
//! while several clients write: one that comes within that time of the last sync waits for company.
//! It waits no longer than until as many are there as lately came together, for then all clients
//! are likely to be waiting. A client that writes alone never waits.
//!
//! [`RaftSettings::gather_max`]: crate::RaftSettings::gather_max

use std::sync::OnceLock;
use std::sync::atomic::{AtomicIsize, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// Nobody is to be woken.
const CLOSED: isize = isize::MAX;

/// What the writers of a group see: how many wait, and whom to wake.
pub(crate) struct Gate {
    /// May be below zero for a moment: writes are counted after they are sent.
    waiting: AtomicIsize,
    wanted: AtomicIsize,
    thread: OnceLock<Thread>,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            waiting: AtomicIsize::new(0),
            wanted: AtomicIsize::new(CLOSED),
            thread: OnceLock::new(),
        }
    }
}

impl Gate {
    /// A write is in the mailbox.
    pub fn arrived(&self) {
        let waiting = self.waiting.fetch_add(1, Ordering::SeqCst) + 1;
        if waiting >= self.wanted.load(Ordering::SeqCst)
            && self.wanted.swap(CLOSED, Ordering::SeqCst) != CLOSED
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    /// A write was taken out of the mailbox.
    pub fn taken(&self) {
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }

    /// Blocks this thread until so many writes wait, or until then.
    fn wait(&self, wanted: usize, until: Instant) {
        let wanted = isize::try_from(wanted).unwrap_or(CLOSED);
        self.thread.get_or_init(std::thread::current);
        self.wanted.store(wanted, Ordering::SeqCst);
        while self.waiting.load(Ordering::SeqCst) < wanted {
            let Some(left) = until.checked_duration_since(Instant::now()) else { break };
            std::thread::park_timeout(left);
        }
        self.wanted.store(CLOSED, Ordering::SeqCst);
    }
}

/// What the loop knows of the writes that came together.
pub(crate) struct Gathering {
    gather_max: Duration,
    last: Option<Instant>,
    /// Writes per batch lately, in eighths.
    usual: usize,
    /// Largest batch lately, in eighths.
    largest: usize,
}

/// Weight of what was before: seven of eight parts.
const SHARE: usize = 8;
/// From so many writes per batch on (in eighths), several clients are at work.
const COMPANY_MIN: usize = 11;

impl Gathering {
    pub fn new(gather_max: Duration) -> Self {
        Self { gather_max, last: None, usual: SHARE, largest: SHARE }
    }

    /// Waits for company if that is likely to come.
    pub fn wait(&self, gate: &Gate) {
        let Some(last) = self.last else { return };
        let until = last + self.gather_max;
        if self.usual >= COMPANY_MIN && until > Instant::now() {
            gate.wait(self.largest.div_ceil(SHARE), until);
        }
    }

    /// So many writes go to the log now.
    pub fn begin(&mut self, writes: usize) {
        self.last = Some(Instant::now());
        let eighths = writes.saturating_mul(SHARE);
        self.usual = (self.usual * (SHARE - 1) + eighths) / SHARE;
        self.largest = eighths.max(self.largest * (SHARE - 1) / SHARE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_alone_never_waits_and_several_do() {
        let mut gathering = Gathering::new(Duration::from_secs(3600));
        for _ in 0..100 {
            gathering.begin(1);
            assert!(gathering.usual < COMPANY_MIN);
        }
        gathering.wait(&Gate::default()); // returns at once, or the test hangs
        for _ in 0..10 {
            gathering.begin(3);
        }
        assert!(gathering.usual >= COMPANY_MIN);
        assert_eq!(gathering.largest.div_ceil(SHARE), 3);
        for _ in 0..100 {
            gathering.begin(1);
        }
        assert!(gathering.usual < COMPANY_MIN);
    }

    #[test]
    fn the_wait_ends_when_the_company_is_complete() {
        let mut gathering = Gathering::new(Duration::from_secs(3600));
        (0..20).for_each(|_| gathering.begin(3));
        let gate = Gate::default();
        std::thread::scope(|scope| {
            scope.spawn(|| (0..3).for_each(|_| gate.arrived()));
            gathering.wait(&gate); // or the test hangs
        });
        assert_eq!(gate.waiting.load(Ordering::SeqCst), 3);
    }
}
