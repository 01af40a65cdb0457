//! Clients that wait until an index is replicated (`WatchRequests`).

use std::collections::{BTreeMap, VecDeque};

use ratis_core::Millis;
use ratis_proto::common::ReplicationLevel;

use crate::retry_cache::Waiter;

/// Watches that may wait in a group; further ones are refused.
const WATCHES_MAX: usize = 65_536;

/// A level's place in the array of queues.
fn slot(level: ReplicationLevel) -> usize {
    level as usize
}

/// Waiting watches by level and index.
#[derive(Default)]
pub(crate) struct Watches {
    levels: [BTreeMap<(u64, u64), Waiter>; 4],
    /// All watches wait equally long, so they expire in the order they came.
    expiry: VecDeque<(Millis, ReplicationLevel, (u64, u64))>,
    count: usize,
    serial: u64,
}

/// All levels.
pub(crate) const LEVELS: [ReplicationLevel; 4] = [
    ReplicationLevel::Majority,
    ReplicationLevel::All,
    ReplicationLevel::MajorityCommitted,
    ReplicationLevel::AllCommitted,
];

/// Levels that ask for every member.
pub(crate) const LEVELS_OF_ALL: [ReplicationLevel; 2] =
    [ReplicationLevel::All, ReplicationLevel::AllCommitted];

impl Watches {
    /// Adds a watch, or hands the waiter back if there are too many.
    pub fn add(
        &mut self,
        index: u64,
        level: ReplicationLevel,
        until: Millis,
        waiter: Waiter,
    ) -> Result<(), Waiter> {
        if self.count >= WATCHES_MAX {
            return Err(waiter);
        }
        self.serial += 1;
        self.count += 1;
        let key = (index, self.serial);
        if let Some(queue) = self.levels.get_mut(slot(level)) {
            queue.insert(key, waiter);
        }
        self.expiry.push_back((until, level, key));
        Ok(())
    }

    /// Nobody waits.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The next watch that is reached when `level` stands at `reached`.
    pub fn pop_reached(&mut self, level: ReplicationLevel, reached: u64) -> Option<(u64, Waiter)> {
        let queue = self.levels.get_mut(slot(level))?;
        let first = queue.first_entry()?;
        let index = first.key().0;
        if index > reached {
            return None;
        }
        self.count -= 1;
        Some((index, first.remove()))
    }

    /// Whether somebody waits for every member.
    pub fn any_for_all(&self) -> bool {
        LEVELS_OF_ALL
            .iter()
            .any(|level| self.levels.get(slot(*level)).is_some_and(|q| !q.is_empty()))
    }

    /// The next watch that has waited too long.
    pub fn pop_expired(&mut self, now: Millis) -> Option<(u64, ReplicationLevel, Waiter)> {
        while let Some((until, level, key)) = self.expiry.front().copied() {
            let waiter = self.levels.get_mut(slot(level)).and_then(|q| {
                if until <= now || !q.contains_key(&key) { Some(q.remove(&key)) } else { None }
            });
            let removed = waiter?;
            self.expiry.pop_front();
            if let Some(waiter) = removed {
                self.count -= 1;
                return Some((key.0, level, waiter));
            }
        }
        None
    }

    /// Everybody who waits.
    pub fn drain(&mut self) -> Vec<Waiter> {
        self.expiry.clear();
        self.count = 0;
        self.levels.iter_mut().flat_map(|queue| std::mem::take(queue).into_values()).collect()
    }

    /// When the next watch expires.
    pub fn deadline(&self) -> Option<Millis> {
        self.expiry.front().map(|(until, ..)| *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    #[test]
    fn watches_are_served_by_index_and_expire_by_time() {
        let mut watches = Watches::default();
        let all = ReplicationLevel::AllCommitted;
        for (index, until) in [(7, 100), (3, 200), (9, 300)] {
            watches.add(index, all, until, oneshot::channel().0).unwrap();
        }
        assert!(watches.pop_reached(ReplicationLevel::Majority, 100).is_none());
        assert!(watches.pop_reached(all, 3).is_some());
        assert!(watches.pop_reached(all, 3).is_none());
        assert_eq!(watches.pop_expired(99).map(|w| w.0), None);
        assert_eq!(watches.pop_expired(250).map(|w| w.0), Some(7));
        assert_eq!(watches.pop_expired(250).map(|w| w.0), None);
        assert_eq!(watches.drain().len(), 1);
        assert!(watches.is_empty());
    }
}
