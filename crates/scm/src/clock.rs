//! The one clock of this SCM.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use scm_core::Millis;

/// Wall time at start plus time since then: never goes back when the system's clock is set.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started_ms: Millis,
    started: Instant,
}

impl Clock {
    /// Starts now.
    pub fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started_ms: since_epoch.as_millis() as Millis, started: Instant::now() }
    }

    /// Milliseconds since the epoch.
    pub fn now(&self) -> Millis {
        self.started_ms + self.started.elapsed().as_millis() as Millis
    }
}
