//! What the kernel knows of this process: memory, CPU, threads, descriptors.

use std::fs;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::record::Records;

/// Reads `/proc/self`; what cannot be read is left out.
#[derive(Debug)]
pub struct Process {
    begun: Instant,
    load: Mutex<(Instant, Duration, f64)>,
}

/// Threads by what they do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ThreadStates {
    /// On a core, or ready for one.
    pub running: usize,
    /// Waiting for something.
    pub sleeping: usize,
    /// Waiting for a disk, mostly.
    pub blocked: usize,
}

/// The load is that of at least so long.
const LOAD_WINDOW: Duration = Duration::from_secs(5);

impl Default for Process {
    fn default() -> Self {
        let now = Instant::now();
        Self { begun: now, load: Mutex::new((now, Duration::ZERO, 0.0)) }
    }
}

impl Process {
    /// Standard `process_*` names, and those of `JvmMetrics` that mean something here: threads by
    /// state, heap (anonymous memory) and CPU load.
    pub fn collect(&self, records: &mut Records) {
        let cpu = cpu_time();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let kib = |key: &str| line(&status, key).map(|kib| kib << 10);
        let mut process = records.plain("process", "ozone:type=Process".to_owned());
        process.gauge("cpu_seconds_total", cpu);
        process.gauge("uptime_seconds", self.begun.elapsed());
        for (name, value) in [
            ("resident_memory_bytes", kib("VmRSS:")),
            ("resident_memory_max_bytes", kib("VmHWM:")),
            ("virtual_memory_bytes", kib("VmSize:")),
            ("threads", line(&status, "Threads:")),
            ("open_fds", open_files()),
            ("max_fds", open_files_max()),
            ("context_switches_voluntary_total", line(&status, "voluntary_ctxt_switches:")),
            ("context_switches_involuntary_total", line(&status, "nonvoluntary_ctxt_switches:")),
        ] {
            if let Some(value) = value {
                process.gauge(name, value);
            }
        }
        let threads = thread_states();
        let mut jvm = records.record("JvmMetrics");
        jvm.context("jvm").gauge("ThreadsRunnable", threads.running);
        jvm.gauge("ThreadsWaiting", threads.sleeping).gauge("ThreadsBlocked", threads.blocked);
        if let Some(anonymous) = kib("RssAnon:") {
            jvm.gauge("MemHeapUsedM", anonymous as f64 / f64::from(1 << 20));
        }
        records.record("JvmMetricsCpu").context("jvm").gauge("JvmLoad", self.load(cpu));
    }

    /// Part of all cores that this process used lately, 0 to 1.
    fn load(&self, cpu: Duration) -> f64 {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let mut last = self.load.lock();
        let (at, used, load) = *last;
        let passed = at.elapsed();
        if passed < LOAD_WINDOW {
            return load;
        }
        let share = cpu.saturating_sub(used).as_secs_f64() / passed.as_secs_f64() / cores as f64;
        *last = (Instant::now(), cpu, share);
        share
    }
}

/// The number behind a key of `/proc/self/status`.
fn line(status: &str, key: &str) -> Option<u64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(key))?;
    rest.split_whitespace().next()?.parse().ok()
}

fn open_files() -> Option<u64> {
    fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as u64)
}

fn open_files_max() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a live struct of the right type.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    (result == 0).then_some(limit.rlim_cur)
}

fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live struct of the right type.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn thread_states() -> ThreadStates {
    let mut states = ThreadStates::default();
    for entry in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // The name, in parentheses, may hold spaces and parentheses.
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        match state {
            Some('R') => states.running += 1,
            Some('D') => states.blocked += 1,
            Some(_) => states.sleeping += 1,
            None => {}
        }
    }
    states
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_threads_and_descriptors() {
        let mut records = Records::new("s", "h");
        Process::default().collect(&mut records);
        let text = crate::text(records);
        for name in ["process_resident_memory_bytes ", "process_open_fds ", "process_threads "] {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap();
            let value: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
            assert!(value >= 1.0, "{line}");
        }
    }
}
