//! Puts the requests of an ordered stream in the order of their sequence numbers
//! (`SlidingWindow.Server`).

use std::collections::BTreeMap;

/// Requests that may wait for one that is missing.
const WAITING_MAX: usize = 4_096;

/// The server's side of a sliding window.
#[derive(Debug)]
pub(crate) struct SlidingWindow<T> {
    /// The next to be processed; `None` until the first request came.
    next: Option<u64>,
    waiting: BTreeMap<u64, T>,
}

impl<T> Default for SlidingWindow<T> {
    fn default() -> Self {
        Self { next: None, waiting: BTreeMap::new() }
    }
}

/// A request that cannot be placed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WindowFull;

impl<T> SlidingWindow<T> {
    /// Takes a request and returns those that are now in order.
    pub fn receive(&mut self, seq: u64, is_first: bool, request: T) -> Result<Vec<T>, WindowFull> {
        if is_first || (self.next.is_none() && seq == 0) {
            // The first of a stream; or the client starts anew on it after a change of leader.
            self.next = Some(seq);
            self.waiting = self.waiting.split_off(&seq);
        }
        if self.next.is_some_and(|next| seq < next) {
            // A repetition of what is being processed; its reply is on the way.
            return Ok(Vec::new());
        }
        if self.waiting.len() >= WAITING_MAX {
            return Err(WindowFull);
        }
        self.waiting.entry(seq).or_insert(request);
        let mut ready = Vec::new();
        while let Some(next) = self.next
            && let Some(request) = self.waiting.remove(&next)
        {
            ready.push(request);
            self.next = Some(next + 1);
        }
        Ok(ready)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_leave_in_order_however_they_arrive() {
        let mut window = SlidingWindow::default();
        assert_eq!(window.receive(3, false, 'c'), Ok(vec![]));
        assert_eq!(window.receive(2, false, 'b'), Ok(vec![]));
        assert_eq!(window.receive(1, true, 'a'), Ok(vec!['a', 'b', 'c']));
        assert_eq!(window.receive(5, false, 'e'), Ok(vec![]));
        assert_eq!(window.receive(4, false, 'd'), Ok(vec!['d', 'e']));
    }

    #[test]
    fn a_repetition_is_dropped_and_a_new_first_starts_anew() {
        let mut window = SlidingWindow::default();
        assert_eq!(window.receive(7, true, 1), Ok(vec![1]));
        assert_eq!(window.receive(7, false, 1), Ok(vec![]));
        assert_eq!(window.receive(9, false, 3), Ok(vec![]));
        assert_eq!(window.receive(9, false, 4), Ok(vec![]));
        assert_eq!(window.receive(8, false, 2), Ok(vec![2, 3]));
        assert_eq!(window.receive(7, true, 1), Ok(vec![1]));
        assert_eq!(window.receive(8, false, 2), Ok(vec![2]));
    }
}
