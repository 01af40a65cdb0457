//! How long operations took: one histogram per timer, kept in shards so that workers do not wait for
//! each other.

use std::time::Duration;

use hdrhistogram::Histogram;
use parking_lot::Mutex;

/// Shards: more than threads of the runtime would only cost memory.
const SHARDS: usize = 8;
/// Digits that are kept of a duration.
const SIGNIFICANT_DIGITS: u8 = 3;
/// How often the moving averages step (Dropwizard's `EWMA`).
pub const TICK: Duration = Duration::from_secs(5);
/// Minutes that the moving averages look back.
const MINUTES: [f64; 3] = [1.0, 5.0, 15.0];

/// All timers of a run.
pub struct Meters {
    names: Vec<&'static str>,
    shards: Vec<Mutex<Shard>>,
    rates: Mutex<Vec<Rates>>,
}

struct Shard {
    /// One per name; durations in nanoseconds.
    histograms: Vec<Histogram<u64>>,
    bytes: u64,
}

/// Moving averages of one timer, per second.
#[derive(Clone, Debug, Default)]
struct Rates {
    seen: u64,
    averages: Option<[f64; 3]>,
}

impl Rates {
    fn tick(&mut self, count: u64) {
        let now = (count - self.seen) as f64 / TICK.as_secs_f64();
        self.seen = count;
        let Some(averages) = &mut self.averages else {
            self.averages = Some([now; 3]);
            return;
        };
        for (average, minutes) in averages.iter_mut().zip(MINUTES) {
            let weight = 1.0 - (-TICK.as_secs_f64() / 60.0 / minutes).exp();
            *average += weight * (now - *average);
        }
    }
}

/// What one timer saw; durations in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TimerReport {
    /// Its name.
    pub name: String,
    /// Operations.
    pub count: u64,
    /// Shortest.
    pub min: f64,
    /// Longest.
    pub max: f64,
    /// Mean.
    pub mean: f64,
    /// Standard deviation.
    pub deviation: f64,
    /// Percentiles 50, 75, 95, 98, 99 and 99.9.
    pub percentiles: [f64; 6],
    /// Operations per second over the last 1, 5 and 15 minutes, moving averages.
    pub rates: [f64; 3],
}

/// The percentiles that are reported.
pub const PERCENTILES: [f64; 6] = [50.0, 75.0, 95.0, 98.0, 99.0, 99.9];

impl Meters {
    /// Timers of these names.
    pub fn new(names: &[&'static str]) -> Self {
        let shard = || {
            let histograms = names.iter().map(|_| histogram()).collect();
            Mutex::new(Shard { histograms, bytes: 0 })
        };
        Self {
            names: names.to_vec(),
            shards: (0..SHARDS).map(|_| shard()).collect(),
            rates: Mutex::new(vec![Rates::default(); names.len()]),
        }
    }

    /// An operation of `timer` (an index into the names) took this long.
    pub fn record(&self, worker: u32, timer: usize, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(1);
        let mut shard = self.shard(worker).lock();
        if let Some(histogram) = shard.histograms.get_mut(timer) {
            // It grows as needed; only a full memory could refuse.
            let _ = histogram.record(nanos);
        }
    }

    /// Bytes of content went by.
    pub fn add_bytes(&self, worker: u32, bytes: u64) {
        self.shard(worker).lock().bytes += bytes;
    }

    fn shard(&self, worker: u32) -> &Mutex<Shard> {
        &self.shards[worker as usize % SHARDS]
    }

    /// Steps the moving averages; to be called every [`TICK`].
    pub fn tick(&self) {
        let mut rates = self.rates.lock();
        for (timer, rates) in rates.iter_mut().enumerate() {
            rates.tick(self.count(timer));
        }
    }

    fn count(&self, timer: usize) -> u64 {
        self.shards.iter().map(|shard| shard.lock().histograms[timer].len()).sum()
    }

    /// Operations so far, by name.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.names.iter().enumerate().map(|(timer, name)| (*name, self.count(timer)))
    }

    /// Bytes of content so far.
    pub fn bytes(&self) -> u64 {
        self.shards.iter().map(|shard| shard.lock().bytes).sum()
    }

    /// What every timer saw, in the order of the names' letters; of several, only those that were
    /// used.
    pub fn report(&self) -> Vec<TimerReport> {
        let rates = self.rates.lock().clone();
        let mut reports: Vec<TimerReport> = self
            .names
            .iter()
            .enumerate()
            .map(|(timer, name)| {
                let mut all = histogram();
                for shard in &self.shards {
                    // Both resize themselves, so adding cannot fail.
                    let _ = all.add(&shard.lock().histograms[timer]);
                }
                summary(name, &all, rates[timer].averages.unwrap_or_default())
            })
            .filter(|report| self.names.len() == 1 || report.count > 0)
            .collect();
        reports.sort_by(|a, b| a.name.cmp(&b.name));
        reports
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new(SIGNIFICANT_DIGITS).expect("three digits are valid")
}

fn summary(name: &str, all: &Histogram<u64>, rates: [f64; 3]) -> TimerReport {
    if all.is_empty() {
        return TimerReport { name: name.to_owned(), rates, ..TimerReport::default() };
    }
    TimerReport {
        name: name.to_owned(),
        count: all.len(),
        min: all.min() as f64,
        max: all.max() as f64,
        mean: all.mean(),
        deviation: all.stdev(),
        percentiles: PERCENTILES.map(|percent| all.value_at_percentile(percent) as f64),
        rates,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_all_workers_are_in_the_report() {
        let meters = Meters::new(&["b", "a"]);
        for worker in 0..100_u32 {
            meters.record(worker, 0, Duration::from_millis(u64::from(worker) + 1));
            meters.add_bytes(worker, 10);
        }
        let report = meters.report();
        assert_eq!(report.len(), 1, "a was not used");
        let b = &report[0];
        assert_eq!((b.name.as_str(), b.count), ("b", 100));
        let near = |value: f64, millis: f64| (value / 1e6 - millis).abs() < millis / 500.0;
        assert!(near(b.min, 1.0) && near(b.max, 100.0) && near(b.mean, 50.5), "{b:?}");
        assert!(near(b.percentiles[0], 50.0) && near(b.percentiles[4], 99.0), "{b:?}");
        assert_eq!(meters.bytes(), 1000);
    }

    #[test]
    fn a_moving_average_begins_with_the_first_rate_and_follows_later_ones() {
        let mut rates = Rates::default();
        rates.tick(500);
        assert_eq!(rates.averages, Some([100.0; 3]));
        rates.tick(500);
        let [one, five, fifteen] = rates.averages.unwrap();
        assert!(one < five && five < fifteen && fifteen < 100.0 && one > 91.0, "{rates:?}");
    }
}
