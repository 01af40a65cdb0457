//! What happened: counts, latencies, errors by kind, the longest time without an acknowledged write.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ozone_client::ClientError;
use parking_lot::Mutex;
use serde_json::{Value, json};

/// What a client does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Op {
    /// A new key.
    Put,
    /// A key in place of another.
    Overwrite,
    /// A delete.
    Delete,
    /// A rename.
    Rename,
    /// A read, with its bytes judged.
    Read,
    /// A listing, judged too.
    List,
}

impl Op {
    /// Changes the namespace.
    pub fn is_write(self) -> bool {
        !matches!(self, Self::Read | Self::List)
    }

    /// Name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Overwrite => "overwrite",
            Self::Delete => "delete",
            Self::Rename => "rename",
            Self::Read => "read",
            Self::List => "list",
        }
    }
}

#[derive(Default)]
struct OpStats {
    millis: Vec<u32>,
    failed: u64,
}

struct ErrorStats {
    count: u64,
    example: String,
    at: f64,
}

struct Inner {
    ops: BTreeMap<Op, OpStats>,
    errors: BTreeMap<String, ErrorStats>,
    written_bytes: u64,
    read_bytes: u64,
    last_write: Instant,
    longest_stall: Duration,
    longest_stall_at: f64,
}

/// Shared by all tasks.
pub struct Stats {
    began: Instant,
    inner: Mutex<Inner>,
}

impl Default for Stats {
    fn default() -> Self {
        let began = Instant::now();
        let inner = Inner {
            ops: BTreeMap::new(),
            errors: BTreeMap::new(),
            written_bytes: 0,
            read_bytes: 0,
            last_write: began,
            longest_stall: Duration::ZERO,
            longest_stall_at: 0.0,
        };
        Self { began, inner: Mutex::new(inner) }
    }
}

impl Stats {
    /// Seconds since the start.
    pub fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// An operation was acknowledged.
    pub fn done(&self, op: Op, began: Instant, bytes: u64) {
        let now = Instant::now();
        let seconds = self.seconds();
        let mut inner = self.inner.lock();
        let millis = u32::try_from((now - began).as_millis()).unwrap_or(u32::MAX);
        inner.ops.entry(op).or_default().millis.push(millis);
        if op.is_write() {
            inner.written_bytes += bytes;
            let stall = now - inner.last_write;
            if stall > inner.longest_stall {
                inner.longest_stall = stall;
                inner.longest_stall_at = seconds - stall.as_secs_f64();
            }
            inner.last_write = now;
        } else {
            inner.read_bytes += bytes;
        }
    }

    /// An operation failed.
    pub fn failed(&self, op: Op, kind: &str, example: String) {
        let at = self.seconds();
        let mut inner = self.inner.lock();
        inner.ops.entry(op).or_default().failed += 1;
        let key = format!("{}: {kind}", op.name());
        let error = inner.errors.entry(key).or_insert(ErrorStats { count: 0, example, at });
        error.count += 1;
    }

    /// A short state of affairs.
    pub fn status(&self) -> Value {
        let inner = self.inner.lock();
        let acknowledged = |write: bool| -> usize {
            let ops = inner.ops.iter().filter(|(op, _)| op.is_write() == write);
            ops.map(|(_, stats)| stats.millis.len()).sum()
        };
        let failed: u64 = inner.ops.values().map(|stats| stats.failed).sum();
        json!({
            "seconds": round(self.seconds()),
            "writes": acknowledged(true),
            "reads": acknowledged(false),
            "failed": failed,
            "stall": round(inner.last_write.elapsed().as_secs_f64()),
        })
    }

    /// Everything.
    pub fn report(&self) -> Value {
        let mut inner = self.inner.lock();
        let mut ops = serde_json::Map::new();
        for (op, stats) in &mut inner.ops {
            stats.millis.sort_unstable();
            let at = |part: f64| {
                let last = stats.millis.len().saturating_sub(1) as f64;
                stats.millis.get((last * part) as usize).copied().unwrap_or_default()
            };
            let row = json!({
                "acknowledged": stats.millis.len(), "failed": stats.failed,
                "p50_ms": at(0.5), "p99_ms": at(0.99), "max_ms": at(1.0),
            });
            ops.insert(op.name().to_owned(), row);
        }
        let errors: Vec<Value> = inner
            .errors
            .iter()
            .map(|(kind, e)| json!({"kind": kind, "count": e.count, "first_at": round(e.at), "example": e.example}))
            .collect();
        json!({
            "ops": ops,
            "errors": errors,
            "written_bytes": inner.written_bytes,
            "read_bytes": inner.read_bytes,
            "longest_stall": round(inner.longest_stall.as_secs_f64()),
            "longest_stall_at": round(inner.longest_stall_at),
        })
    }
}

/// Seconds with two digits.
pub fn round(seconds: f64) -> f64 {
    (seconds * 100.0).round() / 100.0
}

/// What errors of one cause have in common: the text without the names and numbers in it.
pub fn kind(error: &ClientError) -> String {
    if let Some(status) = error.status() {
        return status.as_str_name().to_owned();
    }
    let text = error.to_string();
    let words = text
        .split_whitespace()
        .map(|word| if word.chars().any(|c| c.is_ascii_digit()) { "#" } else { word });
    let mut short = words.collect::<Vec<_>>().join(" ");
    let end = short.char_indices().nth(KIND_CHARS_MAX).map_or(short.len(), |(at, _)| at);
    short.truncate(end);
    short
}

/// Length of an error's kind in reports.
const KIND_CHARS_MAX: usize = 110;
