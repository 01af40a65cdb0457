//! The values. Writing is one or two relaxed adds; what is derived is derived by the reader.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Averages and quantiles are those of at least the last so long.
const WINDOW: Duration = Duration::from_secs(30);
/// Durations below this share the first bucket, in nanoseconds, as a power of two (1 µs).
const SHORTEST_POWER: u32 = 10;
/// Durations from here on share the last bucket (68 s).
const LONGEST_POWER: u32 = 36;
/// Buckets per power of two: a quantile is at most an eighth off.
const STEPS: usize = 4;
/// One for what is shorter, one for what is longer.
const BUCKETS: usize = (LONGEST_POWER - SHORTEST_POWER) as usize * STEPS + 2;

/// Only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn inc(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    /// `n` more.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// How many by now.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Up.
    pub fn add(&self, n: i64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// Down.
    pub fn sub(&self, n: i64) {
        self.0.fetch_sub(n, Relaxed);
    }

    /// To this.
    pub fn set(&self, value: i64) {
        self.0.store(value, Relaxed);
    }

    /// To this, if it is more.
    pub fn raise(&self, value: i64) {
        if self.0.load(Relaxed) < value {
            self.0.fetch_max(value, Relaxed);
        }
    }

    /// What it is.
    pub fn get(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

/// How often and how much: durations in nanoseconds, or sizes.
#[derive(Debug, Default)]
pub struct Rate {
    count: AtomicU64,
    sum: AtomicU64,
    window: Mutex<RateWindow>,
}

#[derive(Debug, Default)]
struct RateWindow {
    since: Option<Instant>,
    count: u64,
    sum: u64,
    average: Option<f64>,
}

impl Rate {
    /// One more of this size.
    pub fn record(&self, size: u64) {
        self.count.fetch_add(1, Relaxed);
        self.sum.fetch_add(size, Relaxed);
    }

    /// One more that took so long.
    pub fn took(&self, time: Duration) {
        self.record(nanos(time));
    }

    /// How many by now.
    pub fn count(&self) -> u64 {
        self.count.load(Relaxed)
    }

    /// Of all by now.
    pub fn sum(&self) -> u64 {
        self.sum.load(Relaxed)
    }

    /// Average of the last window in which anything happened, as Hadoop's `MutableStat`.
    pub fn average(&self) -> f64 {
        let (count, sum) = (self.count(), self.sum());
        let mut window = self.window.lock();
        let since = *window.since.get_or_insert_with(Instant::now);
        let fresh = count.saturating_sub(window.count);
        if fresh == 0 {
            return window.average.unwrap_or_default();
        }
        let average = sum.saturating_sub(window.sum) as f64 / fresh as f64;
        if since.elapsed() < WINDOW {
            return average;
        }
        *window = RateWindow { since: Some(Instant::now()), count, sum, average: Some(average) };
        average
    }
}

/// Durations with quantiles.
#[derive(Debug)]
pub struct Timer {
    buckets: Box<[AtomicU64; BUCKETS]>,
    sum: AtomicU64,
    window: Mutex<TimerWindow>,
}

#[derive(Debug, Default)]
struct TimerWindow {
    since: Option<Instant>,
    /// Counts at the beginning of this window and of the one before it.
    begin: Vec<u64>,
    earlier: Vec<u64>,
    sums: [u64; 2],
}

/// What a [`Timer`] saw lately (one to two windows), and how many ever.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Summary {
    /// Ever.
    pub count: u64,
    /// Ever.
    pub sum: Duration,
    /// Lately.
    pub average: Duration,
    /// Lately: the values at 0.5, 0.75, 0.95, 0.98, 0.99, 0.999.
    pub quantiles: [Duration; 6],
}

impl Summary {
    /// Which quantiles there are, as the genuine servers tell (Dropwizard's).
    pub const QUANTILES: [f64; 6] = [0.5, 0.75, 0.95, 0.98, 0.99, 0.999];
}

impl Default for Timer {
    fn default() -> Self {
        Self {
            buckets: Box::new([const { AtomicU64::new(0) }; BUCKETS]),
            sum: AtomicU64::new(0),
            window: Mutex::default(),
        }
    }
}

impl Timer {
    /// One more that took so long.
    pub fn took(&self, time: Duration) {
        let nanos = nanos(time);
        if let Some(bucket) = self.buckets.get(bucket_of(nanos)) {
            bucket.fetch_add(1, Relaxed);
        }
        self.sum.fetch_add(nanos, Relaxed);
    }

    /// What it saw.
    pub fn summary(&self) -> Summary {
        let sum = self.sum.load(Relaxed);
        let counts: Vec<u64> = self.buckets.iter().map(|bucket| bucket.load(Relaxed)).collect();
        let mut window = self.window.lock();
        if window.since.is_none_or(|since| since.elapsed() >= WINDOW) {
            // The first window begins at zero.
            let first = window.since.is_none();
            window.since = Some(Instant::now());
            if !first {
                window.earlier = std::mem::replace(&mut window.begin, counts.clone());
                window.sums = [window.sums[1], sum];
            }
        }
        let before = |i: usize| window.earlier.get(i).copied().unwrap_or(0);
        let lately: Vec<u64> =
            counts.iter().enumerate().map(|(i, count)| count.saturating_sub(before(i))).collect();
        let number: u64 = lately.iter().sum();
        let lately_sum = sum.saturating_sub(window.sums[0]);
        Summary {
            count: counts.iter().sum(),
            sum: Duration::from_nanos(sum),
            average: Duration::from_nanos(lately_sum.checked_div(number).unwrap_or(0)),
            quantiles: Summary::QUANTILES.map(|q| quantile(&lately, number, q)),
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Logarithmic with [`STEPS`] linear steps per power of two.
fn bucket_of(nanos: u64) -> usize {
    let power = nanos.max(1).ilog2();
    if power < SHORTEST_POWER {
        return 0;
    }
    if power >= LONGEST_POWER {
        return BUCKETS - 1;
    }
    let step = (nanos >> (power - STEPS.ilog2())) as usize & (STEPS - 1);
    1 + (power - SHORTEST_POWER) as usize * STEPS + step
}

/// The middle of a bucket.
fn middle_of(bucket: usize) -> Duration {
    let Some(above) = bucket.checked_sub(1) else {
        return Duration::from_nanos((1 << SHORTEST_POWER) / 2);
    };
    let (power, step) = (above / STEPS, above % STEPS);
    let base = 1_u64 << (SHORTEST_POWER as usize + power);
    let width = base / STEPS as u64;
    Duration::from_nanos(base + width * step as u64 + width / 2)
}

fn quantile(counts: &[u64], number: u64, q: f64) -> Duration {
    if number == 0 {
        return Duration::ZERO;
    }
    let rank = ((number as f64 * q).ceil() as u64).clamp(1, number);
    let mut seen = 0;
    for (bucket, count) in counts.iter().enumerate() {
        seen += count;
        if seen >= rank {
            return middle_of(bucket);
        }
    }
    Duration::ZERO
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_an_eighth_off_at_most() {
        for micros in [2_u64, 3, 10, 99, 1_000, 12_345, 1_000_000, 60_000_000] {
            let timer = Timer::default();
            let time = Duration::from_micros(micros);
            for _ in 0..10 {
                timer.took(time);
            }
            let summary = timer.summary();
            for found in summary.quantiles {
                let off = found.as_secs_f64() / time.as_secs_f64() - 1.0;
                assert!(off.abs() <= 0.125, "{micros} µs became {found:?}");
            }
            assert_eq!((summary.count, summary.average), (10, time));
        }
    }

    #[test]
    fn what_is_too_short_or_too_long_still_counts() {
        let timer = Timer::default();
        timer.took(Duration::ZERO);
        timer.took(Duration::from_secs(100_000));
        timer.took(Duration::MAX);
        assert_eq!(timer.summary().count, 3);
    }

    #[test]
    fn quantiles_tell_the_slow_few_from_the_many() {
        let timer = Timer::default();
        for _ in 0..990 {
            timer.took(Duration::from_millis(1));
        }
        for _ in 0..10 {
            timer.took(Duration::from_millis(500));
        }
        let [half, .., q99, q999] = timer.summary().quantiles;
        assert!(half < Duration::from_millis(2) && q99 < Duration::from_millis(2));
        assert!(q999 > Duration::from_millis(400));
    }

    #[test]
    fn a_rate_counts_and_averages() {
        let rate = Rate::default();
        assert_eq!(rate.average(), 0.0);
        rate.record(10);
        rate.record(20);
        assert_eq!((rate.count(), rate.sum(), rate.average()), (2, 30, 15.0));
    }

    #[test]
    fn every_bucket_holds_its_own_middle() {
        for bucket in 0..BUCKETS {
            assert_eq!(bucket_of(nanos(middle_of(bucket))), bucket, "bucket {bucket}");
        }
    }
}
