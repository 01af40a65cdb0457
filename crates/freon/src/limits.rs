//! `limits`: what the machine can do at best, to be read beside a load: disk, loopback, checksums.
//! Not one of the Java tool's.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chunk_checksum::Algorithm;
use clap::Args;
use hdrhistogram::Histogram;

use crate::FreonError;

/// Bytes of one write of the sequential probe, like a chunk.
const PIECE_BYTES: usize = 4 << 20;
/// Bytes of an append that is synced by itself, like a batch of log entries.
const APPEND_BYTES: usize = 4096;
/// Bytes per checksum, `ozone.client.bytes.per.checksum`.
const BYTES_PER_CHECKSUM: u32 = 16 << 10;

/// Options of `limits`.
#[derive(Args, Debug)]
pub struct LimitsArgs {
    /// Directory on the disk to be measured; one file is made and removed there
    #[arg(long, value_name = "DIR", default_value = ".")]
    directory: PathBuf,
    /// Seconds for each probe
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    seconds: f64,
}

/// Runs `limits`.
///
/// # Errors
/// The directory cannot be written to.
pub fn run(args: &LimitsArgs) -> Result<(), FreonError> {
    let time = Duration::try_from_secs_f64(args.seconds)
        .map_err(|_| FreonError::Usage("--seconds must be a positive number".to_owned()))?;
    let file = args.directory.join(format!(".freon-limits-{}", std::process::id()));
    let outcome = disk(&file, time);
    // It may not have been made.
    let _ = fs::remove_file(&file);
    outcome?;
    print("loopback copy", loopback(time)?, "bytes/s");
    for algorithm in [Algorithm::Crc32, Algorithm::Crc32c] {
        print(&format!("{algorithm} of 16 KB pieces"), checksum(algorithm, time), "bytes/s");
    }
    Ok(())
}

fn print(name: &str, value: f64, unit: &str) {
    println!("{name}: {value:.0} {unit}");
}

fn rate(done: u64, begin: Instant) -> f64 {
    done as f64 / begin.elapsed().as_secs_f64()
}

fn disk(path: &Path, time: Duration) -> Result<(), FreonError> {
    print("sequential write, synced at the end", sequential(path, time)?, "bytes/s");
    let (appends, times) = appends(path, time)?;
    print("append of 4 KB with a sync", appends, "/s");
    for percent in [50.0, 99.0] {
        let micros = times.value_at_percentile(percent) as f64 / 1e3;
        print(&format!("append of 4 KB with a sync, p{percent:.0}"), micros, "us");
    }
    Ok(())
}

/// Bytes per second of large writes, with one sync after the last.
fn sequential(path: &Path, time: Duration) -> Result<f64, FreonError> {
    let piece = vec![5; PIECE_BYTES];
    let mut file = File::create(path)?;
    let begin = Instant::now();
    let mut written = 0;
    while begin.elapsed() < time {
        file.write_all(&piece)?;
        written += piece.len() as u64;
        // Otherwise the page cache takes for the whole time what the disk is given at the end.
        if written % (PIECE_BYTES as u64 * 16) == 0 {
            file.sync_data()?;
        }
    }
    file.sync_data()?;
    Ok(rate(written, begin))
}

/// Appends per second that are each synced, and how long they took in nanoseconds.
fn appends(path: &Path, time: Duration) -> Result<(f64, Histogram<u64>), FreonError> {
    let piece = [5; APPEND_BYTES];
    let mut file = OpenOptions::new().write(true).truncate(true).open(path)?;
    let mut times = Histogram::new(3).expect("three digits are valid");
    let begin = Instant::now();
    while begin.elapsed() < time {
        let one = Instant::now();
        file.write_all(&piece)?;
        file.sync_data()?;
        let nanos = u64::try_from(one.elapsed().as_nanos()).unwrap_or(u64::MAX);
        // It grows as needed; only a full memory could refuse.
        let _ = times.record(nanos);
    }
    Ok((rate(times.len(), begin), times))
}

/// Bytes per second through one TCP connection of this machine with itself.
fn loopback(time: Duration) -> Result<f64, FreonError> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut sender = TcpStream::connect(listener.local_addr()?)?;
    let (mut receiver, _) = listener.accept()?;
    let reader = std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 20];
        let mut received = 0;
        while let Ok(count) = receiver.read(&mut buffer) {
            if count == 0 {
                break;
            }
            received += count as u64;
        }
        received
    });
    let piece = vec![5; 1 << 20];
    let begin = Instant::now();
    while begin.elapsed() < time {
        sender.write_all(&piece)?;
    }
    drop(sender);
    // It cannot panic.
    let received = reader.join().unwrap_or_default();
    Ok(rate(received, begin))
}

/// Bytes per second of one core.
fn checksum(algorithm: Algorithm, time: Duration) -> f64 {
    let data = vec![5; PIECE_BYTES];
    let begin = Instant::now();
    let mut done = 0;
    while begin.elapsed() < time {
        let sums =
            chunk_checksum::compute(algorithm, BYTES_PER_CHECKSUM, std::hint::black_box(&data));
        std::hint::black_box(sums);
        done += data.len() as u64;
    }
    rate(done, begin)
}
