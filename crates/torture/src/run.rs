//! One run: the client, the names, the verdicts.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use om_proto::{BucketLayoutProto, Status};
use ozone_client::bucket::NewBucket;
use ozone_client::volume::NewVolume;
use ozone_client::{ClientError, OmAddress, OzoneClient};
use ozone_config::Configuration;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::content::Content;
use crate::oracle::Oracle;
use crate::stats::{Stats, round};

/// What is asked of a run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Decides names, contents and the order of operations.
    pub seed: u64,
    /// Tasks that write; each has names of its own.
    pub writers: u32,
    /// Tasks that read what the writers wrote.
    pub readers: u32,
    /// Mean wait of a task between two operations.
    pub think: Duration,
    /// An operation that takes longer is given up.
    pub operation_limit: Duration,
    /// After the faults everything has to work within this time.
    pub recovery_limit: Duration,
    /// Keys that a writer keeps alive, about.
    pub live_keys: usize,
    /// Largest key in bytes.
    pub key_bytes_max: u64,
    /// Where evidence of violations goes.
    pub evidence: PathBuf,
}

/// A bucket and what is known of its keys.
pub struct Space {
    /// Its name.
    pub bucket: &'static str,
    /// What was acknowledged.
    pub oracle: Oracle,
    layout: BucketLayoutProto,
}

/// One run.
pub struct Run {
    /// What is asked.
    pub options: Options,
    /// Clients with connections of their own; a task takes one by its number.
    pub clients: Vec<OzoneClient>,
    /// The buckets, one per layout.
    pub spaces: Vec<Space>,
    /// What happened.
    pub stats: Stats,
    contents: AtomicU64,
    stopping: AtomicBool,
    violations: Mutex<Vec<Value>>,
}

/// The volume of every run.
pub const VOLUME: &str = "torture";
/// Clients with connections of their own.
const CLIENTS: usize = 3;
/// Directories of a writer.
pub const DIRECTORIES: u32 = 3;

impl Run {
    /// Connects to the configured cluster.
    ///
    /// # Errors
    /// The configuration does not name one.
    pub fn new(options: Options, conf: &Configuration) -> anyhow::Result<Self> {
        let clients = (0..CLIENTS)
            .map(|_| OzoneClient::new(conf, &OmAddress::Configured))
            .collect::<Result<_, _>>()?;
        let space = |bucket, layout| Space { bucket, layout, oracle: Oracle::default() };
        std::fs::create_dir_all(&options.evidence).context("the directory for evidence")?;
        Ok(Self {
            contents: AtomicU64::new(1),
            stopping: AtomicBool::new(false),
            violations: Mutex::default(),
            stats: Stats::default(),
            spaces: vec![
                space("objects", BucketLayoutProto::ObjectStore),
                space("files", BucketLayoutProto::FileSystemOptimized),
            ],
            clients,
            options,
        })
    }

    /// Makes volume, buckets and directories.
    ///
    /// # Errors
    /// They cannot be made.
    pub async fn prepare(&self) -> anyhow::Result<()> {
        let client = &self.clients[0];
        exists(
            client.create_volume(VOLUME, NewVolume::default()).await,
            Status::VolumeAlreadyExists,
        )?;
        for space in &self.spaces {
            let new = NewBucket { layout: Some(space.layout), ..NewBucket::default() };
            let made = client.create_bucket(VOLUME, space.bucket, new).await;
            exists(made, Status::BucketAlreadyExists)?;
            for writer in 0..self.options.writers {
                for directory in 0..DIRECTORIES {
                    let path = directory_of(writer, directory);
                    client
                        .create_directory(VOLUME, space.bucket, path.trim_end_matches('/'))
                        .await?;
                }
            }
        }
        Ok(())
    }

    /// A client for the task of this number.
    pub fn client(&self, task: u32) -> &OzoneClient {
        &self.clients[task as usize % self.clients.len()]
    }

    /// A content that no other write has.
    pub fn new_content(&self, length: u64) -> Content {
        let number = self.contents.fetch_add(1, Ordering::Relaxed);
        Content { id: self.options.seed.wrapping_mul(0x0001_0000_0000_0001) ^ number, length }
    }

    /// Ends the tasks after what they are doing.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether tasks should end.
    pub fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Writes a violation down at once, with what was read.
    pub fn violation(&self, space: &Space, name: &str, what: &str, detail: String, read: &[Bytes]) {
        let mut violations = self.violations.lock();
        let number = violations.len();
        let row = json!({
            "violation": what, "bucket": space.bucket, "key": name, "detail": detail, "number": number,
            "seconds": round(self.stats.seconds()),
        });
        println!("{row}");
        if !read.is_empty() {
            let path = self.options.evidence.join(format!("violation-{number}.bin"));
            let all: Vec<u8> = read.iter().flatten().copied().collect();
            if let Err(error) = std::fs::write(&path, all) {
                eprintln!("{}: {error}", path.display());
            }
        }
        violations.push(row);
    }

    /// All of them.
    pub fn violations(&self) -> Vec<Value> {
        self.violations.lock().clone()
    }
}

/// Where a writer's names begin.
pub fn prefix_of(writer: u32) -> String {
    format!("w{writer}/")
}

/// A directory of a writer, with its slash.
pub fn directory_of(writer: u32, directory: u32) -> String {
    format!("w{writer}/d{directory}/")
}

fn exists(made: Result<(), ClientError>, status: Status) -> Result<(), ClientError> {
    match made {
        Err(error) if error.status() == Some(status) => Ok(()),
        other => other,
    }
}
