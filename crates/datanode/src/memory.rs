//! Memory that large chunks passed through goes back to the system once they are gone.
//!
//! The allocator keeps what is freed, in as many places as there were threads: after a burst of large
//! chunks a datanode would hold hundreds of megabytes for nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How often the size of the process is looked at.
pub const INTERVAL: Duration = Duration::from_secs(10);
/// Growth since the last time below which nothing is done, in bytes.
const GROWTH_BYTES_MIN: u64 = 32 << 20;

/// What the process held after the last time.
#[derive(Default)]
pub struct Resident {
    after: AtomicU64,
}

impl Resident {
    /// Returns free memory to the system if the process has grown.
    pub fn give_back(&self) {
        let Some(now) = resident_bytes() else { return };
        if now < self.after.load(Ordering::Relaxed).saturating_add(GROWTH_BYTES_MIN) {
            return;
        }
        trim();
        let after = resident_bytes().unwrap_or(now);
        self.after.store(after, Ordering::Relaxed);
        tracing::debug!(before = now, after, "free memory given back");
    }
}

/// From `/proc`; `None` where there is none.
fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    // SAFETY: asks for a constant of the system.
    let page_bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    Some(pages * u64::try_from(page_bytes).ok()?)
}

#[cfg(target_env = "gnu")]
fn trim() {
    // SAFETY: may be called at any time from any thread.
    unsafe { libc::malloc_trim(0) };
}

#[cfg(not(target_env = "gnu"))]
fn trim() {}

#[cfg(all(test, target_env = "gnu"))]
mod tests {
    use super::*;

    #[test]
    fn what_was_freed_leaves_the_process() {
        let resident = Resident::default();
        resident.give_back();
        // Pieces below the allocator's limit for mapping each by itself, one of them kept at the end.
        let mut pieces: Vec<Vec<u8>> = (0..2_000).map(|_| vec![1; 100 << 10]).collect();
        let last = pieces.pop();
        drop(pieces);
        resident.give_back();
        let after = resident.after.load(Ordering::Relaxed);
        assert!(after < 150 << 20, "{after}");
        drop(last);
    }
}
