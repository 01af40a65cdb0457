//! The one clock of all groups.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ratis_core::Millis;
use tokio::sync::Notify;

/// The shortest sleep between two looks at the groups.
const SLEEP_MIN: Duration = Duration::from_millis(5);
/// The longest. Every wake-up of a process at rest costs some 50 µs, so that it is long.
const SLEEP_MAX: Duration = Duration::from_secs(1);
/// While the groups are looked at, every wish is an earlier one.
const LOOKING: Millis = Millis::MAX;

/// Milliseconds since the start, and a sleeper that looks at what is due.
pub(crate) struct Clock {
    start: Instant,
    /// When the sleeper wakes.
    wake_at: AtomicU64,
    earlier: Notify,
}

impl Clock {
    pub fn new() -> Self {
        let (wake_at, earlier) = (AtomicU64::new(LOOKING), Notify::new());
        Self { start: Instant::now(), wake_at, earlier }
    }

    /// Milliseconds since the start.
    pub fn now(&self) -> Millis {
        self.start.elapsed().as_millis() as Millis
    }

    /// Notes in `group` that it has something to do at `deadline`, and wakes the sleeper if that is
    /// earlier than what it knows of.
    pub fn wish(&self, group: &AtomicU64, deadline: Millis) {
        // In one order with the sleeper's: it sees the deadline, or this its `LOOKING`.
        group.store(deadline, Ordering::SeqCst);
        if deadline < self.wake_at.load(Ordering::SeqCst) {
            self.earlier.notify_one();
        }
    }

    /// Wakes the sleeper: there is a new group, whose wish may have come before it could be seen.
    pub fn nudge(&self) {
        self.earlier.notify_one();
    }

    /// The deadlines are looked at from now on; a wish that comes meanwhile cuts the next sleep short.
    pub fn look(&self) {
        self.wake_at.store(LOOKING, Ordering::SeqCst);
    }

    /// Sleeps until `deadline`, or less if somebody wishes so.
    pub async fn sleep_until(&self, deadline: Millis) {
        let now = self.now();
        let pause = Duration::from_millis(deadline.saturating_sub(now)).clamp(SLEEP_MIN, SLEEP_MAX);
        self.wake_at.store(now + pause.as_millis() as Millis, Ordering::SeqCst);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = self.earlier.notified() => tokio::time::sleep(SLEEP_MIN).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAR: Millis = 500;

    /// How long a sleep until [`FAR`] takes, in the time of the runtime.
    async fn slept(clock: &Clock) -> Duration {
        let begin = tokio::time::Instant::now();
        clock.sleep_until(clock.now() + FAR).await;
        begin.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_wish_cuts_the_sleep_short_also_when_it_came_during_the_look() {
        let (clock, group) = (Clock::new(), AtomicU64::new(0));
        clock.look();
        clock.wish(&group, clock.now() + 100);
        assert_eq!(slept(&clock).await, SLEEP_MIN);
        clock.look();
        let whole = slept(&clock).await;
        assert!(whole > SLEEP_MIN, "nobody wished: {whole:?}");
        clock.wish(&group, clock.now() + 10 * FAR);
        assert!(slept(&clock).await > SLEEP_MIN, "a later wish wakes nobody");
    }
}
