//! A bar on stderr for transfers that a person waits for.

use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Smaller transfers are over before a bar could be read.
const SHOWN_BYTES_MIN: u64 = 8 << 20;
/// How often the bar is drawn, per second.
const DRAWS_PER_SECOND: u8 = 10;
/// The bar moves on its own, so that a stall can be seen.
const TICK: Duration = Duration::from_millis(500);

/// Shows how far a transfer is, if stderr is a terminal and there is much to do.
pub struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    /// A transfer of `bytes`.
    pub fn new(bytes: u64, verb: &'static str) -> Self {
        if bytes < SHOWN_BYTES_MIN || !io::stderr().is_terminal() {
            return Self { bar: None };
        }
        let target = ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND);
        let bar = ProgressBar::with_draw_target(Some(bytes), target).with_message(verb);
        let template = "{msg} [{bar:30}] {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.enable_steady_tick(TICK);
        Self { bar: Some(bar) }
    }

    /// `bytes` more are done.
    pub fn add(&self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(bytes);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
