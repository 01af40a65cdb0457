//! Which SCM gives the orders: the one with the highest term heard of (`StateContext`).

use parking_lot::Mutex;

/// The highest term heard of.
#[derive(Default)]
pub struct Leadership {
    term: Mutex<Option<i64>>,
}

impl Leadership {
    /// A term was heard, in a command or a heartbeat's reply.
    pub fn heard(&self, term: Option<i64>) {
        let mut known = self.term.lock();
        if term > *known {
            *known = term;
        }
    }

    /// Whether an order of this term counts: not one of an earlier leader. SCMs without a ring send
    /// no term.
    pub fn counts(&self, term: Option<i64>) -> bool {
        self.heard(term);
        term.is_none() || term == *self.term.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_of_an_earlier_leader_do_not_count() {
        let leadership = Leadership::default();
        assert!(leadership.counts(Some(2)));
        assert!(leadership.counts(Some(3)));
        assert!(!leadership.counts(Some(2)));
        leadership.heard(Some(7));
        assert!(!leadership.counts(Some(3)));
        assert!(leadership.counts(None));
    }
}
