//! Replies by (client, call): a repeated request is answered with the first one's reply, also after a
//! change of leader (`RetryCacheImpl`).
//!
//! Every member fills its cache with the entries it applies. On the leader a request is in the cache
//! from the moment it comes in, and whoever waits for its reply waits here.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use tokio::sync::oneshot;

use crate::error::RaftError;
use crate::state_machine::{KnownReply, StateMachineError};
use crate::types::Reply;

/// Bytes counted for a reply besides its message.
const REPLY_OVERHEAD_BYTES: usize = 160;

/// A client's request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Key {
    pub client: u128,
    pub call: u64,
}

/// Waits for a reply.
pub(crate) type Waiter = oneshot::Sender<Result<Reply, RaftError>>;

type Waiters = SmallVec<[Waiter; 1]>;

/// What was applied for a request.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub index: u64,
    pub result: Result<Bytes, StateMachineError>,
}

enum Slot {
    Pending(Waiters),
    Done { outcome: Outcome, generation: u64, bytes: usize },
}

/// What is known of a request that comes in.
pub(crate) enum Known {
    /// Nothing: it is to be proposed. The waiter is in the cache.
    New,
    /// It is being worked on; the waiter gets the same reply.
    Pending,
    /// It was applied. The waiter is handed back.
    Done(Outcome, Waiter),
}

/// See the [module](self).
pub(crate) struct RetryCache {
    slots: FxHashMap<Key, Slot>,
    /// Applied requests, oldest first: key, time, generation.
    order: VecDeque<(Key, Instant, u64)>,
    generation: u64,
    bytes: usize,
    bytes_max: usize,
    expiry: Duration,
}

impl RetryCache {
    pub fn new(bytes_max: usize, expiry: Duration) -> Self {
        Self {
            slots: FxHashMap::default(),
            order: VecDeque::new(),
            generation: 0,
            bytes: 0,
            bytes_max,
            expiry,
        }
    }

    /// Remembers what was answered before this process began.
    pub fn restore(&mut self, replies: Vec<KnownReply>, now: Instant) {
        for KnownReply { client, call, index, message } in replies {
            let key = Key { client: u128::from_be_bytes(client), call };
            self.finish(key, Outcome { index, result: Ok(message) }, now);
        }
    }

    /// Requests that it knows.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// A request came in.
    pub fn begin(&mut self, key: Key, waiter: Waiter) -> Known {
        match self.slots.entry(key) {
            std::collections::hash_map::Entry::Vacant(vacant) => {
                let mut waiters = Waiters::new();
                waiters.push(waiter);
                vacant.insert(Slot::Pending(waiters));
                Known::New
            }
            std::collections::hash_map::Entry::Occupied(mut occupied) => match occupied.get_mut() {
                Slot::Pending(waiters) => {
                    waiters.push(waiter);
                    Known::Pending
                }
                Slot::Done { outcome, .. } => Known::Done(outcome.clone(), waiter),
            },
        }
    }

    /// Waits with a request that is known already; `None` if it is new.
    pub fn join(&mut self, key: Key, waiter: Waiter) -> Option<Known> {
        self.slots.contains_key(&key).then(|| self.begin(key, waiter))
    }

    /// The request got no place in the log, or lost it: a repetition may try again.
    pub fn abort(&mut self, key: Key) -> Waiters {
        match self.slots.remove(&key) {
            Some(Slot::Pending(waiters)) => waiters,
            Some(done) => {
                self.slots.insert(key, done);
                Waiters::new()
            }
            None => Waiters::new(),
        }
    }

    /// Nothing that is pending will be applied here.
    pub fn abort_all(&mut self) -> Vec<Waiter> {
        let mut aborted = Vec::new();
        self.slots.retain(|_, slot| match slot {
            Slot::Pending(waiters) => {
                aborted.extend(waiters.drain(..));
                false
            }
            Slot::Done { .. } => true,
        });
        aborted
    }

    /// The request was applied. Returns who waits for it.
    pub fn finish(&mut self, key: Key, outcome: Outcome, now: Instant) -> Waiters {
        let message_bytes = match &outcome.result {
            Ok(message) => message.len(),
            Err(error) => error.message.len(),
        };
        let bytes = message_bytes + REPLY_OVERHEAD_BYTES;
        self.generation += 1;
        let generation = self.generation;
        self.order.push_back((key, now, generation));
        self.bytes += bytes;
        let waiters = match self.slots.insert(key, Slot::Done { outcome, generation, bytes }) {
            Some(Slot::Pending(waiters)) => waiters,
            Some(Slot::Done { bytes, .. }) => {
                self.bytes -= bytes;
                Waiters::new()
            }
            None => Waiters::new(),
        };
        self.evict(now);
        waiters
    }

    /// The client has these replies.
    pub fn forget(&mut self, client: u128, calls: &[u64]) {
        for call in calls {
            let key = Key { client, call: *call };
            if let Some(Slot::Done { bytes, .. }) = self.slots.get(&key) {
                self.bytes -= bytes;
                self.slots.remove(&key);
            }
        }
    }

    fn evict(&mut self, now: Instant) {
        while let Some((key, at, generation)) = self.order.front() {
            let current = match self.slots.get(key) {
                Some(Slot::Done { generation: current, bytes, .. }) if current == generation => {
                    Some(*bytes)
                }
                _ => None,
            };
            if let Some(bytes) = current {
                if self.bytes <= self.bytes_max && now.duration_since(*at) < self.expiry {
                    break;
                }
                self.bytes -= bytes;
                self.slots.remove(key);
            }
            self.order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(call: u64) -> Key {
        Key { client: 1, call }
    }

    fn outcome(index: u64) -> Outcome {
        Outcome { index, result: Ok(Bytes::from_static(b"reply")) }
    }

    fn is_done(cache: &mut RetryCache, call: u64) -> bool {
        matches!(cache.begin(key(call), oneshot::channel().0), Known::Done(..))
    }

    #[test]
    fn repetitions_of_a_pending_request_share_its_reply() {
        let mut cache = RetryCache::new(1 << 20, Duration::from_secs(60));
        assert!(matches!(cache.begin(key(1), oneshot::channel().0), Known::New));
        assert!(matches!(cache.begin(key(1), oneshot::channel().0), Known::Pending));
        assert_eq!(cache.finish(key(1), outcome(5), Instant::now()).len(), 2);
        assert!(is_done(&mut cache, 1));
        cache.forget(1, &[1]);
        assert!(!is_done(&mut cache, 1));
        assert_eq!(cache.abort(key(1)).len(), 1);
    }

    #[test]
    fn replies_go_by_age_and_by_bytes() {
        let mut cache = RetryCache::new(3 * (REPLY_OVERHEAD_BYTES + 5), Duration::from_secs(60));
        let start = Instant::now();
        for call in 0..4 {
            cache.finish(key(call), outcome(call), start);
        }
        assert!(!is_done(&mut cache, 0) && is_done(&mut cache, 1));
        cache.finish(key(9), outcome(9), start + Duration::from_secs(61));
        assert!(!is_done(&mut cache, 3) && is_done(&mut cache, 9));
    }
}
