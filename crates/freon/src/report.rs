//! What a run took, as the Java tool prints it: Dropwizard's console report for a person, one line per
//! timer (that of its SLF4J reporter) otherwise; then the totals. The last lines are ours: operations
//! and bytes per second, and failures by kind.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use crate::meters::TimerReport;

/// Width of a banner (`ConsoleReporter`).
const CONSOLE_CHARS: usize = 80;
const NANOS_PER_MILLI: f64 = 1e6;

/// Everything that is told at the end.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The timers.
    pub timers: Vec<TimerReport>,
    /// The whole run.
    pub elapsed: Duration,
    /// Operations that succeeded.
    pub successes: u64,
    /// Operations that failed.
    pub failures: u64,
    /// Failures by status.
    pub failures_by_kind: BTreeMap<String, u64>,
    /// Operations that were asked for.
    pub tests: u64,
    /// Bytes of content written or read.
    pub bytes: u64,
}

/// A line about the run itself, on stderr.
pub fn log(line: &str) {
    eprintln!("{line}");
}

impl Report {
    /// Prints it on stdout.
    pub fn print(&self, interactive: bool) {
        let now = chrono::Local::now().format("%-m/%-d/%y, %-I:%M:%S %p").to_string();
        // Nobody may be there to read it; there is nothing left to do then.
        let _ = std::io::Write::write_all(
            &mut std::io::stdout().lock(),
            self.text(interactive.then_some(&now)).as_bytes(),
        );
    }

    /// The text; with the time of a console report if a person reads it.
    fn text(&self, console: Option<&str>) -> String {
        let mut text = String::new();
        if let Some(now) = console {
            banner(&mut text, now, '=');
            text.push('\n');
            banner(&mut text, "-- Timers", '-');
            for timer in &self.timers {
                console_timer(&mut text, timer, self.elapsed);
            }
            text.push_str("\n\n");
        } else {
            for timer in &self.timers {
                line_timer(&mut text, timer, self.elapsed);
            }
        }
        self.totals(&mut text);
        text
    }

    fn totals(&self, text: &mut String) {
        let seconds = self.elapsed.as_secs_f64();
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(text, "Total execution time (sec): {}", seconds.round());
        let _ = writeln!(text, "Failures: {}", self.failures);
        let _ = writeln!(text, "Successful executions: {}", self.successes);
        if self.failures > 0 {
            let _ = writeln!(
                text,
                "Expected {} --number-of-tests objects!, successfully executed {}",
                self.tests, self.successes
            );
            for (kind, count) in &self.failures_by_kind {
                let _ = writeln!(text, "Failures of kind {kind}: {count}");
            }
        }
        let seconds = seconds.max(f64::MIN_POSITIVE);
        let _ = write!(text, "Operations per second: {:.1}", self.successes as f64 / seconds);
        if self.bytes > 0 {
            let _ = write!(text, ", bytes per second: {:.0}", self.bytes as f64 / seconds);
        }
        text.push('\n');
    }
}

fn banner(text: &mut String, title: &str, fill: char) {
    let rest = CONSOLE_CHARS.saturating_sub(title.chars().count() + 1);
    let _ = write!(text, "{title} ");
    text.extend(std::iter::repeat_n(fill, rest));
    text.push('\n');
}

fn mean_rate(timer: &TimerReport, elapsed: Duration) -> f64 {
    if timer.count == 0 { 0.0 } else { timer.count as f64 / elapsed.as_secs_f64() }
}

fn console_timer(text: &mut String, timer: &TimerReport, elapsed: Duration) {
    let _ = writeln!(text, "{}", timer.name);
    let _ = writeln!(text, "{:>18} = {}", "count", timer.count);
    let rates = [mean_rate(timer, elapsed)].into_iter().chain(timer.rates);
    let names = ["mean rate", "1-minute rate", "5-minute rate", "15-minute rate"];
    for (name, rate) in names.into_iter().zip(rates) {
        let _ = writeln!(text, "{name:>18} = {rate:.2} calls/second");
    }
    let mut milliseconds = |name: &str, sign: &str, nanos: f64| {
        let _ = writeln!(text, "{name:>18} {sign} {:.2} milliseconds", nanos / NANOS_PER_MILLI);
    };
    milliseconds("min", "=", timer.min);
    milliseconds("max", "=", timer.max);
    milliseconds("mean", "=", timer.mean);
    milliseconds("stddev", "=", timer.deviation);
    milliseconds("median", "=", timer.percentiles[0]);
    let names = ["75%", "95%", "98%", "99%", "99.9%"];
    for (name, nanos) in names.into_iter().zip(&timer.percentiles[1..]) {
        milliseconds(name, "<=", *nanos);
    }
}

fn line_timer(text: &mut String, timer: &TimerReport, elapsed: Duration) {
    let _ = write!(text, "type=TIMER, name={}, count={}", timer.name, timer.count);
    let [p50, p75, p95, p98, p99, p999] = timer.percentiles;
    let milliseconds = [
        ("min", timer.min),
        ("max", timer.max),
        ("mean", timer.mean),
        ("stddev", timer.deviation),
        ("median", p50),
        ("p75", p75),
        ("p95", p95),
        ("p98", p98),
        ("p99", p99),
        ("p999", p999),
    ];
    for (name, nanos) in milliseconds {
        let _ = write!(text, ", {name}={:?}", nanos / NANOS_PER_MILLI);
    }
    let [m1, m5, m15] = timer.rates;
    let mean = mean_rate(timer, elapsed);
    for (name, rate) in [("mean_rate", mean), ("m1", m1), ("m5", m5), ("m15", m15)] {
        let _ = write!(text, ", {name}={rate:?}");
    }
    text.push_str(", rate_unit=events/second, duration_unit=milliseconds\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report {
            timers: vec![TimerReport {
                name: "key-create".to_owned(),
                count: 4,
                min: 1e6,
                max: 4e6,
                mean: 2.5e6,
                deviation: 5e5,
                percentiles: [2e6, 3e6, 4e6, 4e6, 4e6, 4e6],
                rates: [0.0; 3],
            }],
            elapsed: Duration::from_millis(1600),
            successes: 3,
            failures: 1,
            failures_by_kind: BTreeMap::from([("KEY_NOT_FOUND".to_owned(), 1)]),
            tests: 4,
            bytes: 16,
        }
    }

    #[test]
    fn a_log_gets_one_line_per_timer_and_the_totals() {
        assert_eq!(
            report().text(None),
            "type=TIMER, name=key-create, count=4, min=1.0, max=4.0, mean=2.5, stddev=0.5, \
             median=2.0, p75=3.0, p95=4.0, p98=4.0, p99=4.0, p999=4.0, mean_rate=2.5, m1=0.0, \
             m5=0.0, m15=0.0, rate_unit=events/second, duration_unit=milliseconds\n\
             Total execution time (sec): 2\n\
             Failures: 1\n\
             Successful executions: 3\n\
             Expected 4 --number-of-tests objects!, successfully executed 3\n\
             Failures of kind KEY_NOT_FOUND: 1\n\
             Operations per second: 1.9, bytes per second: 10\n"
        );
    }

    #[test]
    fn a_person_gets_the_console_report() {
        let text = report().text(Some("11/21/26, 10:41:00 AM"));
        assert!(text.starts_with("11/21/26, 10:41:00 AM ====="));
        assert_eq!(text.lines().next().unwrap().len(), CONSOLE_CHARS);
        assert!(
            text.contains("\n             count = 4\n         mean rate = 2.50 calls/second\n")
        );
        assert!(text.contains("\n            median = 2.00 milliseconds\n"));
        assert!(
            text.contains("\n             99.9% <= 4.00 milliseconds\n")
                || text.contains("99.9% <= 4.00")
        );
        assert!(text.contains("\n\n\nTotal execution time (sec): 2\n"));
    }
}
