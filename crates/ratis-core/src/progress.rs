//! What a leader knows of one follower.

use std::collections::VecDeque;

use crate::types::{Millis, after};

/// An append request with entries that is not answered yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct InFlight {
    pub(crate) call: u64,
    /// First entry.
    pub(crate) first: u64,
    /// One past the last entry.
    pub(crate) end: u64,
    pub(crate) sent_at: Millis,
}

/// The last heartbeat that is not answered yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Heartbeat {
    pub(crate) call: u64,
    /// Index after the previous entry it asked about.
    pub(crate) first: Option<u64>,
    pub(crate) sent_at: Millis,
}

/// One follower, seen from the leader.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Progress {
    /// Sent next.
    pub(crate) next: u64,
    /// Durable there, confirmed in this term.
    pub(crate) matched: Option<u64>,
    /// Committed there, as it says.
    pub(crate) commit: Option<u64>,
    /// The commit index it was last told.
    pub(crate) commit_told: Option<u64>,
    /// Where its snapshot stands, as it says.
    pub(crate) snapshot: Option<u64>,
    /// False while a new peer is brought up.
    pub(crate) caught_up: bool,
    pub(crate) in_flight: VecDeque<InFlight>,
    pub(crate) heartbeat: Option<Heartbeat>,
    /// Entries were taken on the present stream: pipelining is allowed.
    pub(crate) established: bool,
    /// A read of cold entries is under way: its ticket and first entry.
    pub(crate) loading: Option<(u64, u64)>,
    /// A snapshot notification went out at this time.
    pub(crate) notified_at: Option<Millis>,
    pub(crate) last_reply: Millis,
    pub(crate) last_heartbeat: Option<Millis>,
    pub(crate) gossiped_at: Option<Millis>,
    /// Newest call that was sent and newest that was answered by a follower of this leader.
    pub(crate) sent_call: u64,
    pub(crate) acked_call: u64,
    /// Nothing is sent before.
    pub(crate) retry_at: Millis,
    pub(crate) slow_reported: bool,
    /// Something was asked at this time, and nothing was said since.
    pub(crate) silent_since: Option<Millis>,
}

impl Progress {
    pub(crate) fn new(next: u64, caught_up: bool, last_reply: Millis) -> Self {
        Self {
            next,
            matched: None,
            commit: None,
            commit_told: None,
            snapshot: None,
            caught_up,
            in_flight: VecDeque::new(),
            heartbeat: None,
            established: false,
            loading: None,
            notified_at: None,
            last_reply,
            last_heartbeat: None,
            gossiped_at: None,
            sent_call: 0,
            acked_call: 0,
            retry_at: 0,
            slow_reported: false,
            silent_since: None,
        }
    }

    /// Whether another request with entries may go out: one until the first success on a fresh
    /// stream, then as many as allowed.
    pub(crate) fn window_is_open(&self, outstanding_max: usize) -> bool {
        self.in_flight.is_empty() || (self.established && self.in_flight.len() < outstanding_max)
    }

    /// Everything in flight counts as lost: start again at the first entry that is not confirmed.
    pub(crate) fn rewind(&mut self) {
        if let Some(first) = self.in_flight.front() {
            self.next = first.first.max(after(self.matched));
        }
        self.in_flight.clear();
        self.heartbeat = None;
        self.loading = None;
        self.notified_at = None;
        self.established = false;
        // What was told may be lost, too.
        self.commit_told = self.commit;
    }

    /// A request goes out.
    pub(crate) fn asked(&mut self, now: Millis) {
        self.silent_since.get_or_insert(now);
    }

    /// Some answer came; what is still in flight waits from now on.
    pub(crate) fn spoke(&mut self, now: Millis) {
        self.last_reply = now;
        self.slow_reported = false;
        let waits = !self.in_flight.is_empty() || self.heartbeat.is_some();
        self.silent_since = waits.then_some(now);
    }

    /// Whether it was asked something that long ago and has been silent since.
    pub(crate) fn is_silent(&self, now: Millis, patience: Millis) -> bool {
        self.silent_since.is_some_and(|since| now.saturating_sub(since) >= patience)
    }

    /// Takes the request with this call id out, if it is still waited for.
    pub(crate) fn answered(&mut self, call: u64) -> Option<InFlight> {
        let at = self.in_flight.iter().position(|request| request.call == call)?;
        self.in_flight.remove(at)
    }

    /// The follower has everything up to `index`. Returns whether that is news.
    pub(crate) fn confirm(&mut self, index: u64) -> bool {
        while self.in_flight.front().is_some_and(|request| request.end <= index.saturating_add(1)) {
            self.in_flight.pop_front();
        }
        let news = self.matched < Some(index);
        if news {
            self.matched = Some(index);
            self.next = self.next.max(index.saturating_add(1));
        }
        news
    }

    /// Where to go on after an INCONSISTENCY to a request that began at `first`.
    pub(crate) fn next_after_inconsistency(
        &self,
        first: Option<u64>,
        wanted: u64,
        log_start: u64,
        log_next: u64,
    ) -> u64 {
        let mut next = wanted.min(log_next);
        let confirmed = after(self.matched);
        // Not before what it confirmed, unless that is what it just refused: then its log is lost.
        if confirmed > next && first != Some(confirmed) {
            next = confirmed;
        }
        if first == Some(next) && next > log_start {
            next -= 1;
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(progress: &mut Progress, call: u64, first: u64, end: u64) {
        progress.in_flight.push_back(InFlight { call, first, end, sent_at: 0 });
        progress.next = end;
    }

    #[test]
    fn a_fresh_stream_carries_one_request_until_its_first_reply() {
        let mut progress = Progress::new(0, true, 0);
        assert!(progress.window_is_open(8));
        sent(&mut progress, 1, 0, 4);
        assert!(!progress.window_is_open(8));
        progress.established = true;
        assert!(progress.window_is_open(8));
        assert!(!progress.window_is_open(1));
    }

    #[test]
    fn rewinding_starts_at_the_first_unconfirmed_entry() {
        let mut progress = Progress::new(0, true, 0);
        sent(&mut progress, 1, 0, 4);
        sent(&mut progress, 2, 4, 8);
        assert!(progress.confirm(3));
        progress.rewind();
        assert_eq!((progress.next, progress.in_flight.len()), (4, 0));
    }

    #[test]
    fn an_inconsistency_never_asks_for_the_same_entry_again() {
        let mut progress = Progress::new(9, true, 0);
        assert_eq!(progress.next_after_inconsistency(Some(9), 9, 0, 20), 8);
        assert_eq!(progress.next_after_inconsistency(Some(9), 3, 0, 20), 3);
        progress.confirm(5);
        assert_eq!(progress.next_after_inconsistency(Some(9), 3, 0, 20), 6);
        assert_eq!(progress.next_after_inconsistency(Some(6), 3, 0, 20), 3, "its log is lost");
        assert_eq!(progress.next_after_inconsistency(Some(6), 99, 0, 20), 20);
    }
}
