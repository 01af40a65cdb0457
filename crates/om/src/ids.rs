//! Ids that the leader hands out.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Unguessable bytes, for ids and secrets.
pub fn random_bytes() -> [u8; 32] {
    let mut bytes = [0; 32];
    let halves = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4()];
    for (to, from) in bytes.chunks_exact_mut(16).zip(halves) {
        to.copy_from_slice(from.as_bytes());
    }
    bytes
}

/// Ids that grow: milliseconds in the upper 48 bits, a counter in the lower 16 (`UniqueId`). A clock
/// that goes back does not make an id appear twice.
#[derive(Default)]
pub struct UniqueIds(AtomicU64);

impl UniqueIds {
    /// The next id.
    pub fn next(&self) -> u64 {
        let fresh = now_ms() << 16;
        let step = |last: u64| Some(fresh.max(last + 1));
        let last = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step);
        let last = last.unwrap_or_else(|unchanged| unchanged);
        fresh.max(last + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_grow_and_are_never_given_twice() {
        let ids = UniqueIds::default();
        let drawn: Vec<u64> = (0..100_000).map(|_| ids.next()).collect();
        assert!(drawn.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(drawn[0] >> 16 >= 1_700_000_000_000);
    }
}
