//! Prefixes without rows, found before apply asks.
//!
//! Rows that were removed leave marks in the database until it is compacted, and a scan that finds
//! nothing goes over all of them: after the deletion of a million keys that takes a good part of a
//! second. So the leader looks while it prepares a request, on a thread that nobody waits for, and
//! apply need not look again unless a row was put there meanwhile.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

/// Prefixes remembered at most, of requests that are under way; the oldest go first.
const PREFIXES_MAX: usize = 64;
/// Rows put after which a prefix that nobody asked for is forgotten: each of them is compared with it.
const PUTS_MAX: u32 = 10_000;

/// What is known of one prefix of a table.
struct Watched {
    slot: usize,
    prefix: Box<[u8]>,
    /// The scan has ended and found nothing.
    vacant: bool,
    number: u64,
    /// Rows that were put elsewhere since.
    puts: u32,
}

#[derive(Default)]
struct State {
    watched: VecDeque<Watched>,
    next_number: u64,
}

/// See the [module](self).
#[derive(Default)]
pub(crate) struct Vacancies {
    state: Mutex<State>,
    /// Length of the list: most of the time nobody has to look.
    count: AtomicUsize,
}

/// A scan that is under way.
pub(crate) struct Look(u64);

impl Vacancies {
    /// To be called before the scan begins.
    pub(crate) fn begin(&self, slot: usize, prefix: &[u8]) -> Look {
        let mut state = self.state.lock();
        let number = state.next_number;
        state.next_number += 1;
        if state.watched.len() >= PREFIXES_MAX {
            state.watched.pop_front();
        }
        state.watched.push_back(Watched {
            slot,
            prefix: prefix.into(),
            vacant: false,
            number,
            puts: 0,
        });
        self.count.store(state.watched.len(), Ordering::SeqCst);
        Look(number)
    }

    /// The scan has ended. Nothing is remembered if a row came meanwhile.
    pub(crate) fn end(&self, look: &Look, vacant: bool) {
        let mut state = self.state.lock();
        let Some(at) = state.watched.iter().position(|watched| watched.number == look.0) else {
            return;
        };
        if vacant {
            state.watched[at].vacant = true;
        } else {
            state.watched.remove(at);
            self.count.store(state.watched.len(), Ordering::SeqCst);
        }
    }

    /// A row was put; to be called once readers see it.
    pub(crate) fn put(&self, slot: usize, key: &[u8]) {
        if self.count.load(Ordering::SeqCst) == 0 {
            return;
        }
        let mut state = self.state.lock();
        state.watched.retain_mut(|watched| {
            watched.puts += 1;
            let elsewhere = watched.slot != slot || !key.starts_with(&watched.prefix);
            elsewhere && watched.puts < PUTS_MAX
        });
        self.count.store(state.watched.len(), Ordering::SeqCst);
    }

    /// Whether no row begins so, as far as known. Answers once: whoever looked asks once.
    pub(crate) fn take(&self, slot: usize, prefix: &[u8]) -> bool {
        if self.count.load(Ordering::SeqCst) == 0 {
            return false;
        }
        let mut state = self.state.lock();
        let found = state.watched.iter().position(|watched| {
            watched.vacant && watched.slot == slot && *prefix == *watched.prefix
        });
        if let Some(at) = found {
            state.watched.remove(at);
            self.count.store(state.watched.len(), Ordering::SeqCst);
        }
        found.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(vacancies: &Vacancies, prefix: &[u8]) {
        let look = vacancies.begin(1, prefix);
        vacancies.end(&look, true);
    }

    #[test]
    fn a_row_put_during_or_after_the_look_ends_the_vacancy_of_its_prefix_alone() {
        let vacancies = Vacancies::default();
        assert!(!vacancies.take(1, b"/a/"));
        let looks = [b"/a/", b"/b/", b"/c/"].map(|prefix| vacancies.begin(1, prefix));
        assert!(!vacancies.take(1, b"/a/"), "the scan has not ended");
        vacancies.put(1, b"/b/key");
        vacancies.put(2, b"/a/key");
        looks.iter().for_each(|look| vacancies.end(look, true));
        vacancies.put(1, b"/c/key");
        assert!(!vacancies.take(2, b"/a/"));
        let known = [b"/a/", b"/b/", b"/c/"].map(|prefix| vacancies.take(1, prefix));
        assert_eq!(known, [true, false, false]);
        assert!(!vacancies.take(1, b"/a/"), "it answers once");
        let look = vacancies.begin(1, b"/c/");
        vacancies.end(&look, false);
        assert!(!vacancies.take(1, b"/c/"));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_forgotten_after_a_while() {
        let vacancies = Vacancies::default();
        for n in 0..10 * PREFIXES_MAX {
            look(&vacancies, format!("/{n}/").as_bytes());
        }
        assert_eq!(vacancies.count.load(Ordering::SeqCst), PREFIXES_MAX);
        assert!(!vacancies.take(1, b"/0/") && vacancies.take(1, b"/639/"));
        for _ in 0..PUTS_MAX {
            vacancies.put(1, b"/elsewhere");
        }
        assert_eq!(vacancies.count.load(Ordering::SeqCst), 0);
    }
}
