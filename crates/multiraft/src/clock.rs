//! The one clock of all groups.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ratis_core::Millis;
use tokio::sync::Notify;

/// The shortest sleep between two looks at the groups.
const SLEEP_MIN: Duration = Duration::from_millis(5);
/// The longest: what a wish that came between a look and the sleep may have to wait.
const SLEEP_MAX: Duration = Duration::from_millis(100);

/// Milliseconds since the start, and a sleeper that looks at what is due.
pub(crate) struct Clock {
    start: Instant,
    /// When the sleeper wakes.
    wake_at: AtomicU64,
    earlier: Notify,
}

impl Clock {
    pub fn new() -> Self {
        let (wake_at, earlier) = (AtomicU64::new(Millis::MAX), Notify::new());
        Self { start: Instant::now(), wake_at, earlier }
    }

    /// Milliseconds since the start.
    pub fn now(&self) -> Millis {
        self.start.elapsed().as_millis() as Millis
    }

    /// Somebody has something to do at `deadline`.
    pub fn wish(&self, deadline: Millis) {
        if deadline < self.wake_at.load(Ordering::Relaxed) {
            self.earlier.notify_one();
        }
    }

    /// Sleeps until `deadline`, or less if somebody wishes so.
    pub async fn sleep_until(&self, deadline: Millis) {
        let pause = Duration::from_millis(deadline.saturating_sub(self.now()));
        let pause = pause.min(SLEEP_MAX);
        let wake_at = self.now() + pause.as_millis() as Millis;
        self.wake_at.store(wake_at, Ordering::Relaxed);
        tokio::time::sleep(SLEEP_MIN).await;
        tokio::select! {
            () = tokio::time::sleep(pause.saturating_sub(SLEEP_MIN)) => {}
            () = self.earlier.notified() => {}
        }
    }
}
