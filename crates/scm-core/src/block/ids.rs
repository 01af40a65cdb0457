//! Ids, taken from the log in batches and handed out from memory (`SequenceIdGenerator`).

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::ops::RangeInclusive;

use crate::{Call, Core};

/// Batches of ids that this leader owns. A new leader starts with none.
#[derive(Default)]
pub struct IdStock {
    batches: BTreeMap<String, VecDeque<RangeInclusive<i64>>>,
}

impl IdStock {
    fn take(&mut self, name: &str) -> Option<i64> {
        let batches = self.batches.get_mut(name)?;
        loop {
            let id = batches.front_mut()?.next();
            if id.is_some() {
                return id;
            }
            batches.pop_front();
        }
    }

    fn left(&self, name: &str) -> i64 {
        let batches = self.batches.get(name).into_iter().flatten();
        batches.filter(|batch| !batch.is_empty()).map(|b| b.end() - b.start() + 1).sum()
    }

    pub(crate) fn add(&mut self, name: &str, ids: RangeInclusive<i64>) {
        if let Some(batches) = self.batches.get_mut(name) {
            batches.push_back(ids);
        } else {
            self.batches.insert(name.to_owned(), VecDeque::from([ids]));
        }
    }

    pub(crate) fn clear(&mut self) {
        self.batches.clear();
    }
}

impl Core {
    /// The next id of a sequence; `None` until a batch has come. The next batch is ordered when a
    /// quarter is left, so that nobody waits for the log while ids are used steadily.
    pub fn next_id(&mut self, name: &str) -> Option<i64> {
        let id = self.ids.take(name);
        if self.ids.left(name) < self.rules.id_batch / 4 {
            let expected = self.ledger.last_id(name);
            if let Some(last) = expected.checked_add(self.rules.id_batch) {
                self.propose(Call::AllocateBatch { name: name.to_owned(), expected, last });
            }
        }
        id
    }
}
