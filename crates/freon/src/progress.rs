//! How far a run is, once per second (`ProgressBar`): a bar for a person, a line for a log.

use std::io::Write;
use std::time::Duration;

use crate::engine::State;
use crate::report;

/// Characters of a full bar.
const BAR_CHARS: usize = 33;

/// Tells how far a run is.
pub(crate) struct Progress {
    interactive: bool,
    tests: u64,
    duration: Option<Duration>,
    before: u64,
    fastest: u64,
}

impl Progress {
    pub(crate) fn new(interactive: bool, tests: u64, duration: Option<Duration>) -> Self {
        Self { interactive, tests, duration, before: 0, fastest: 0 }
    }

    pub(crate) fn tell(&mut self, state: &State) {
        let (value, full) = match self.duration {
            Some(limit) => (state.elapsed().as_secs(), limit.as_secs().max(1)),
            None => (state.done(), self.tests),
        };
        let percent = 100.0 * value as f64 / full as f64;
        if !self.interactive {
            report::log(&format!("Progress: {percent:.2} % ({value} out of {full})"));
            return;
        }
        let done = state.done();
        let rate = done - self.before;
        self.before = done;
        self.fastest = self.fastest.max(rate);
        let filled = ((percent / 100.0 * BAR_CHARS as f64) as usize).min(BAR_CHARS);
        let bar = "█".repeat(filled) + &" ".repeat(BAR_CHARS - filled);
        let seconds = state.elapsed().as_secs();
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        // Nobody may be there to read it; the run goes on.
        let mut out = std::io::stdout().lock();
        let _ = write!(
            out,
            "\r {percent:.2}% |{bar}|  {value}/{full} Time: {hours}:{minutes:02}:{seconds:02}|  \
             rate {rate} max {}  ",
            self.fastest
        );
        let _ = out.flush();
    }

    pub(crate) fn end(&mut self, state: &State) {
        self.tell(state);
        if self.interactive {
            println!();
        }
    }
}
