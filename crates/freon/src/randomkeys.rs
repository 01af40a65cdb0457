//! `randomkeys`: volumes, buckets and keys with random names, and their validation
//! (`RandomKeyGenerator`).
//!
//! ```text
//!  n workers: all volumes ─► all buckets ─► all keys ─(names of keys)─► m validators
//!                                                          afterwards: clean up, if asked for
//! ```

use std::fmt::Write;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use hdds_types::ReplicationConfig;
use hdrhistogram::Histogram;
use om_proto::BucketLayoutProto;
use ozone_client::bucket::NewBucket;
use ozone_client::key::NewKey;
use ozone_client::volume::NewVolume;
use ozone_client::{ClientError, OzoneClient};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::content::Content;
use crate::engine;
use crate::options::{ReplicationOptions, ServiceOptions, size};
use crate::{Context, FreonError, key, report, target};

/// Digits at the end of a random name.
const NAME_DIGITS: u32 = 5;
/// Keys that wait to be validated; writers wait when there are more.
const VALIDATION_QUEUE_MAX: usize = 10_000;
/// Keys that one request deletes.
const DELETE_BATCH: u32 = 1000;
/// How often progress is told.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// Options of `randomkeys`.
#[derive(Args, Clone, Debug)]
pub struct RandomKeysArgs {
    /// Operations in flight
    #[arg(long, alias = "numOfThreads", value_name = "numOfThreads", default_value_t = 10)]
    num_of_threads: u32,
    /// Volumes
    #[arg(long, alias = "numOfVolumes", value_name = "numOfVolumes", default_value_t = 10)]
    num_of_volumes: u32,
    /// Buckets of each volume
    #[arg(long, alias = "numOfBuckets", value_name = "numOfBuckets", default_value_t = 1000)]
    num_of_buckets: u32,
    /// Keys of each bucket
    #[arg(long, alias = "numOfKeys", value_name = "numOfKeys", default_value_t = 500_000)]
    num_of_keys: u32,
    /// Bytes of a key
    #[arg(long, alias = "keySize", value_name = "keySize", default_value = "10KB")]
    #[arg(value_parser = size)]
    key_size: u64,
    /// Read every key back and compare it
    #[arg(long, alias = "validateWrites")]
    validate_writes: bool,
    /// Readers that validate
    #[arg(long, alias = "numOfValidateThreads", value_name = "numOfValidateThreads")]
    #[arg(default_value_t = 1)]
    num_of_validate_threads: u32,
    /// Bytes after which the content repeats
    #[arg(long, alias = "bufferSize", value_name = "bufferSize", default_value_t = 4096)]
    buffer_size: usize,
    /// Directory for a report in JSON
    #[arg(long, value_name = "jsonDir")]
    json: Option<PathBuf>,
    #[command(flatten)]
    replication: ReplicationOptions,
    #[command(flatten)]
    service: ServiceOptions,
    /// Delete everything afterwards
    #[arg(long)]
    clean_objects: bool,
    /// Layout of the buckets: FILE_SYSTEM_OPTIMIZED, OBJECT_STORE or LEGACY
    #[arg(long, value_name = "bucketLayout")]
    bucket_layout: Option<String>,
}

/// What is timed, in the order of the JSON report.
const OPERATIONS: [&str; 4] = ["VolumeCreate", "BucketCreate", "KeyCreate", "KeyWrite"];
const VOLUME: usize = 0;
const BUCKET: usize = 1;
const KEY_CREATE: usize = 2;
const KEY_WRITE: usize = 3;

/// One kind of operation: how often, and how long.
struct Timer {
    nanos: AtomicU64,
    histogram: Mutex<Histogram<u64>>,
}

impl Timer {
    fn new() -> Self {
        let histogram = Histogram::new(3).expect("three digits are valid");
        Self { nanos: AtomicU64::new(0), histogram: Mutex::new(histogram) }
    }

    fn add(&self, begin: Instant) {
        let nanos = u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
        // It grows as needed; only a full memory could refuse.
        let _ = self.histogram.lock().record(nanos.max(1));
    }
}

/// What all workers share.
struct Run {
    args: RandomKeysArgs,
    client: OzoneClient,
    content: Content,
    chunk_bytes: usize,
    replication: Option<ReplicationConfig>,
    layout: Option<BucketLayoutProto>,
    volumes: Vec<String>,
    /// Volume and bucket.
    buckets: Vec<(String, String)>,
    timers: [Timer; 4],
    counts: [AtomicU64; 3],
    bytes: AtomicU64,
    validated: AtomicU64,
    valid: AtomicU64,
    failed: AtomicBool,
    failure: Mutex<Option<FreonError>>,
    begin: Instant,
    began_at: chrono::DateTime<chrono::Local>,
}

/// A key to be validated.
struct Written {
    bucket: usize,
    key: String,
}

/// Runs `randomkeys`.
///
/// # Errors
/// Something failed, or Ctrl-C; the statistics are printed then too.
pub fn run(context: &Context<'_>, args: RandomKeysArgs) -> Result<(), FreonError> {
    let layout = match args.bucket_layout.as_deref() {
        Some(name) => Some(layout(name)?),
        None => target::bucket_layout(context.conf)?,
    };
    let replication = args.replication.given_or_configured(context.conf)?;
    announce(&args);
    engine::block_on(async {
        let client = target::client(context, &args.service)?;
        let chunk_bytes = client.settings().blocks.chunk_bytes;
        let run = Arc::new(
            Run {
                content: Content::new(args.key_size, args.buffer_size, chunk_bytes),
                client,
                chunk_bytes,
                replication,
                layout,
                volumes: (0..args.num_of_volumes).map(|v| random_name("vol", v.into())).collect(),
                buckets: Vec::new(),
                timers: std::array::from_fn(|_| Timer::new()),
                counts: std::array::from_fn(|_| AtomicU64::new(0)),
                bytes: AtomicU64::new(0),
                validated: AtomicU64::new(0),
                valid: AtomicU64::new(0),
                failed: AtomicBool::new(false),
                failure: Mutex::new(None),
                begin: Instant::now(),
                began_at: chrono::Local::now(),
                args,
            }
            .with_buckets(),
        );
        let interrupted = tokio::select! {
            () = run.everything() => false,
            _ = tokio::signal::ctrl_c() => true,
        };
        run.print()?;
        if interrupted {
            return Err(FreonError::Interrupted);
        }
        let failure = run.failure.lock().take();
        failure.map_or(Ok(()), Err)
    })
}

fn layout(name: &str) -> Result<BucketLayoutProto, FreonError> {
    BucketLayoutProto::from_str_name(name).ok_or_else(|| {
        FreonError::Usage(format!(
            "Invalid value for option '--bucket-layout': expected one of [FILE_SYSTEM_OPTIMIZED, \
             OBJECT_STORE, LEGACY] (case-sensitive) but was '{name}'"
        ))
    })
}

fn announce(args: &RandomKeysArgs) {
    report::log(&format!("Number of Threads: {}", args.num_of_threads));
    report::log(&format!("Number of Volumes: {}.", args.num_of_volumes));
    report::log(&format!("Number of Buckets per Volume: {}.", args.num_of_buckets));
    report::log(&format!("Number of Keys per Bucket: {}.", args.num_of_keys));
    report::log(&format!("Key size: {} bytes", args.key_size));
    report::log(&format!("Buffer size: {} bytes", args.buffer_size));
    report::log(&format!("validateWrites : {}", args.validate_writes));
    report::log(&format!("Number of Validate Threads: {}", args.num_of_validate_threads));
    report::log(&format!("cleanObjects : {}", args.clean_objects));
}

/// `vol-3-09174`.
fn random_name(kind: &str, number: u64) -> String {
    let random = rand::random_range(0..10_u32.pow(NAME_DIGITS));
    format!("{kind}-{number}-{random:0width$}", width = NAME_DIGITS as usize)
}

impl Run {
    /// Buckets are numbered through all volumes, volume by volume in turn.
    fn with_buckets(mut self) -> Self {
        let volumes = u64::from(self.args.num_of_volumes);
        let total = volumes * u64::from(self.args.num_of_buckets);
        self.buckets = (0..total)
            .map(|number| {
                // Below the number of volumes, a u32.
                let volume = self.volumes[(number % volumes) as usize].clone();
                (volume, random_name("bucket", number / volumes))
            })
            .collect();
        self
    }

    fn total_keys(&self) -> u64 {
        self.buckets.len() as u64 * u64::from(self.args.num_of_keys)
    }

    fn fail(&self, what: &str, error: FreonError) {
        self.failed.store(true, Ordering::Relaxed);
        let mut failure = self.failure.lock();
        if failure.is_none() {
            eprintln!("{what}: {error}");
            *failure = Some(error);
        }
    }

    /// Does `one` for all numbers below `total`, with as many in flight as asked for.
    async fn each<F>(self: &Arc<Self>, total: u64, what: &str, one: impl Fn(Arc<Self>, u64) -> F)
    where
        F: Future<Output = Result<(), FreonError>> + Send + 'static,
    {
        let mut tasks: JoinSet<Result<(), FreonError>> = JoinSet::new();
        for number in 0..total {
            if self.failed.load(Ordering::Relaxed) {
                break;
            }
            if tasks.len() >= self.args.num_of_threads.max(1) as usize
                && let Some(Ok(Err(error))) = tasks.join_next().await
            {
                self.fail(what, error);
            }
            tasks.spawn(one(Arc::clone(self), number));
        }
        while let Some(done) = tasks.join_next().await {
            if let Ok(Err(error)) = done {
                self.fail(what, error);
            }
        }
    }

    async fn everything(self: &Arc<Self>) {
        let volumes = self.volumes.len() as u64;
        self.each(volumes, "Could not create volume", |run, n| async move {
            run.create_volume(n as usize).await
        })
        .await;
        let buckets = self.buckets.len() as u64;
        self.each(buckets, "Could not create bucket", |run, n| async move {
            run.create_bucket(n as usize).await
        })
        .await;
        let (queue, validators) = self.validators();
        let keys = self.each(self.total_keys(), "Could not add a key", |run, number| {
            let queue = queue.clone();
            async move { run.create_key(number, queue).await }
        });
        tokio::select! {
            () = keys => {}
            () = self.progress() => {}
        }
        drop(queue);
        validators.join_all().await;
        if self.args.clean_objects && !self.failed.load(Ordering::Relaxed) {
            self.clean().await;
        }
    }

    async fn progress(&self) {
        let mut second = tokio::time::interval(PROGRESS_EVERY);
        let total = self.total_keys();
        loop {
            second.tick().await;
            let value = self.counts[KEY_CREATE].load(Ordering::Relaxed);
            let percent = 100.0 * value as f64 / total.max(1) as f64;
            report::log(&format!("Progress: {percent:.2} % ({value} out of {total})"));
        }
    }

    async fn create_volume(&self, number: usize) -> Result<(), FreonError> {
        let begin = Instant::now();
        self.client.create_volume(&self.volumes[number], NewVolume::default()).await?;
        self.timers[VOLUME].add(begin);
        self.counts[VOLUME].fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn create_bucket(&self, number: usize) -> Result<(), FreonError> {
        let (volume, bucket) = &self.buckets[number];
        let begin = Instant::now();
        let new = NewBucket { layout: self.layout, ..NewBucket::default() };
        self.client.create_bucket(volume, bucket, new).await?;
        self.timers[BUCKET].add(begin);
        self.counts[BUCKET].fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn create_key(
        &self,
        number: u64,
        queue: Option<mpsc::Sender<Written>>,
    ) -> Result<(), FreonError> {
        let buckets = self.buckets.len() as u64;
        let bucket = (number % buckets) as usize;
        let key = random_name("key", number / buckets);
        self.write_key(bucket, &key).await?;
        if let Some(queue) = queue {
            // The receivers outlive the writers.
            let _ = queue.send(Written { bucket, key }).await;
        }
        Ok(())
    }

    async fn write_key(&self, bucket: usize, key: &str) -> Result<(), ClientError> {
        let (volume, bucket) = &self.buckets[bucket];
        let size = self.content.size();
        let new = NewKey { size, replication: self.replication, ..NewKey::default() };
        let begin = Instant::now();
        let mut writer = Box::pin(self.client.create_key(volume, bucket, key, new)).await?;
        self.timers[KEY_CREATE].add(begin);
        let begin = Instant::now();
        Box::pin(key::write(&mut writer, &self.content, self.chunk_bytes)).await?;
        Box::pin(writer.close()).await?;
        self.timers[KEY_WRITE].add(begin);
        self.bytes.fetch_add(size, Ordering::Relaxed);
        self.counts[KEY_CREATE].fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// The queue of keys to validate, if asked for, and who takes from it.
    fn validators(self: &Arc<Self>) -> (Option<mpsc::Sender<Written>>, JoinSet<()>) {
        let mut validators = JoinSet::new();
        if !self.args.validate_writes {
            return (None, validators);
        }
        let (sender, receiver) = mpsc::channel(VALIDATION_QUEUE_MAX);
        let receiver = Arc::new(tokio::sync::Mutex::new(receiver));
        for _ in 0..self.args.num_of_validate_threads.max(1) {
            validators.spawn(Arc::clone(self).validate(Arc::clone(&receiver)));
        }
        (Some(sender), validators)
    }

    async fn validate(self: Arc<Self>, queue: Arc<tokio::sync::Mutex<mpsc::Receiver<Written>>>) {
        loop {
            let Some(written) = queue.lock().await.recv().await else { return };
            let is_valid = match self.is_valid(&written).await {
                Ok(is_valid) => is_valid,
                Err(error) => {
                    eprintln!("Exception while validating write: {error}");
                    continue;
                }
            };
            self.validated.fetch_add(1, Ordering::Relaxed);
            self.valid.fetch_add(is_valid.into(), Ordering::Relaxed);
            if !is_valid {
                let (volume, bucket) = &self.buckets[written.bucket];
                let key = &written.key;
                eprintln!("Data validation error for key {volume}/{bucket}/{key}");
            }
        }
    }

    async fn is_valid(&self, written: &Written) -> Result<bool, ClientError> {
        let (volume, bucket) = &self.buckets[written.bucket];
        let mut reader = self.client.read_key(volume, bucket, &written.key).await?;
        let mut offset = 0;
        while let Some(mut piece) = reader.next().await? {
            while !piece.is_empty() {
                let expected = self.content.piece(offset, piece.len()).unwrap_or_default();
                if expected.is_empty() || piece.split_to(expected.len()) != expected {
                    return Ok(false);
                }
                offset += expected.len() as u64;
            }
        }
        Ok(offset == self.content.size())
    }

    async fn clean(self: &Arc<Self>) {
        let buckets = self.buckets.len() as u64;
        self.each(buckets, "Could not clean bucket", |run, number| async move {
            run.clean_bucket(number as usize).await
        })
        .await;
        let volumes = self.volumes.len() as u64;
        self.each(volumes, "Could not clean volume", |run, number| async move {
            Ok(run.client.delete_volume(&run.volumes[number as usize]).await?)
        })
        .await;
    }

    async fn clean_bucket(&self, number: usize) -> Result<(), FreonError> {
        let (volume, bucket) = &self.buckets[number];
        let found = self.client.bucket(volume, bucket).await?;
        loop {
            let (keys, _) = self.client.list_keys(&found, "", None, DELETE_BATCH).await?;
            if keys.is_empty() {
                return Ok(self.client.delete_bucket(volume, bucket).await?);
            }
            let names = keys.into_iter().map(|key| key.name).collect();
            self.client.delete_keys(volume, bucket, names).await?;
        }
    }
}

/// `HH:mm:ss,SSS`.
fn clock(nanos: u64) -> String {
    let millis = nanos / 1_000_000;
    let (seconds, minutes, hours) = (millis / 1000, millis / 60_000, millis / 3_600_000);
    format!("{hours:02}:{:02}:{:02},{:03}", minutes % 60, seconds % 60, millis % 1000)
}

/// `1.5 GB`.
fn in_units(bytes: f64) -> String {
    let units = [("TB", 40_u32), ("GB", 30), ("MB", 20), ("KB", 10)];
    let unit = units.into_iter().find(|(_, shift)| bytes >= (1_u64 << shift) as f64);
    let (name, shift) = unit.unwrap_or(("B", 0));
    format!("{:?} {name}", bytes / (1_u64 << shift) as f64)
}

impl Run {
    fn count(&self, kind: usize) -> u64 {
        self.counts[kind].load(Ordering::Relaxed)
    }

    /// Time in operations of a kind, per worker.
    fn spent(&self, kind: usize) -> u64 {
        self.timers[kind].nanos.load(Ordering::Relaxed) / u64::from(self.args.num_of_threads.max(1))
    }

    fn status(&self) -> &'static str {
        if self.failed.load(Ordering::Relaxed) { "Failed" } else { "Success" }
    }

    fn statistics(&self) -> String {
        const RULE: &str = "***************************************************";
        let mut text = format!("\n{RULE}\nStatus: {}\n", self.status());
        // Writing to a String cannot fail.
        let mut line = |name: &str, value: String| {
            let _ = writeln!(text, "{name}: {value}");
        };
        line("Git Base Revision", env!("CARGO_PKG_VERSION").to_owned());
        line("Number of Volumes created", self.count(VOLUME).to_string());
        line("Number of Buckets created", self.count(BUCKET).to_string());
        let keys = self.count(KEY_CREATE);
        line("Number of Keys added", keys.to_string());
        if let Some(replication) = self.replication {
            line("Replication", replication.to_string());
        }
        line("Average Time spent in volume creation", clock(self.spent(VOLUME)));
        line("Average Time spent in bucket creation", clock(self.spent(BUCKET)));
        line("Average Time spent in key creation", clock(self.spent(KEY_CREATE)));
        line("Average Time spent in key write", clock(self.spent(KEY_WRITE)));
        line("Total bytes written", self.bytes.load(Ordering::Relaxed).to_string());
        if self.args.validate_writes {
            let validated = self.validated.load(Ordering::Relaxed);
            let valid = self.valid.load(Ordering::Relaxed);
            line("Total number of writes validated", validated.to_string());
            let percent = 100.0 * validated as f64 / keys.max(1) as f64;
            line("Writes validated", format!("{percent:?} %"));
            line("Successful validation", valid.to_string());
            line("Unsuccessful validation", (validated - valid).to_string());
        }
        line("Total Execution time", self.execution_time());
        text + RULE + "\n"
    }

    fn execution_time(&self) -> String {
        clock(u64::try_from(self.begin.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn print(&self) -> Result<(), FreonError> {
        print!("{}", self.statistics());
        let Some(directory) = &self.args.json else { return Ok(()) };
        let name = chrono::Local::now().format("%Y%m%d%H%M%S.json").to_string();
        self.write_json(&directory.join(name))
    }

    fn write_json(&self, path: &Path) -> Result<(), FreonError> {
        let text = serde_json::to_string_pretty(&self.job())
            .map_err(|error| FreonError::Wrong(error.to_string()))?;
        if let Err(error) = std::fs::write(path, text) {
            println!("Json File could not be created for the path: {}", path.display());
            println!("{error}");
        }
        Ok(())
    }

    fn job(&self) -> Value {
        let bytes = self.total_keys() as f64 * self.args.key_size as f64;
        let seconds = self.spent(KEY_WRITE) as f64 / 1e9;
        let replication = self.replication.unwrap_or(ReplicationConfig::DEFAULT).to_string();
        let (kind, factor) = replication.split_once('/').unwrap_or((&replication, ""));
        let mut job = Map::new();
        let mut put = |name: &str, value: Value| job.insert(name.to_owned(), value);
        put("status", self.status().into());
        put("gitBaseRevision", env!("CARGO_PKG_VERSION").into());
        put("jobStartTime", self.began_at.format("%Y-%m-%d %H:%M:%S,%3f").to_string().into());
        put("numOfVolumes", self.args.num_of_volumes.into());
        put("numOfBuckets", self.args.num_of_buckets.into());
        put("numOfKeys", self.args.num_of_keys.into());
        put("numOfThreads", self.args.num_of_threads.into());
        put("dataWritten", in_units(bytes).into());
        put("execTime", self.execution_time().into());
        put("replication", factor.into());
        put("replicationType", kind.into());
        put("keySize", self.args.key_size.into());
        put("bufferSize", self.args.buffer_size.into());
        put("totalThroughputPerSecond", in_units(bytes / seconds.max(1e-9)).into());
        for (name, timer) in OPERATIONS.iter().zip(&self.timers) {
            let histogram = timer.histogram.lock();
            let quantiles: Vec<String> = (0..=10)
                .map(|tenth| clock(histogram.value_at_quantile(f64::from(tenth) / 10.0)))
                .collect();
            put(&format!("mean{name}Time"), clock(histogram.mean() as u64).into());
            put(&format!("deviation{name}Time"), clock(histogram.stdev() as u64).into());
            put(&format!("tenQuantile{name}Time"), json!(quantiles));
        }
        Value::Object(job)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_read_as_the_java_tool_prints_them() {
        assert_eq!(clock(3_723_004_000_000), "01:02:03,004");
        assert_eq!(in_units(1536.0), "1.5 KB");
        assert_eq!(in_units(12.0), "12.0 B");
        assert_eq!(in_units((3_u64 << 40) as f64), "3.0 TB");
    }

    #[test]
    fn random_names_have_five_digits() {
        let name = random_name("vol", 3);
        let digits = name.strip_prefix("vol-3-").unwrap();
        assert!(digits.len() == 5 && digits.bytes().all(|byte| byte.is_ascii_digit()), "{name}");
    }
}
