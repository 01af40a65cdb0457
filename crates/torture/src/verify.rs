//! What has to hold when the faults are over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdds_client::{BlockLocation, BlockReader};
use ozone_client::OzoneClient;
use ozone_client::key::NewKey;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::oracle::State;
use crate::read::{Seen, judge, read};
use crate::run::{Run, Space, VOLUME};
use crate::stats::round;

/// Tasks that verify.
const VERIFIERS: usize = 4;
/// Wait before an operation that failed is tried again.
const RETRY_WAIT: Duration = Duration::from_millis(500);
/// Violations after which verifying waits for nothing more.
const HOPELESS_AFTER: usize = 10;
/// Old keys that a probe reads.
const PROBE_KEYS: usize = 12;
/// Time of one attempt of a probe.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(20);

impl Run {
    /// Waits until a new key can be written and read and a sample of the old ones read. Seconds that it took.
    ///
    /// # Errors
    /// What still fails after the limit.
    pub async fn probe(&self, number: u64) -> Result<f64, String> {
        let began = Instant::now();
        let client = self.client(0);
        let mut random = SmallRng::seed_from_u64(self.options.seed ^ number);
        let mut last = String::new();
        let mut attempts = 0;
        let space = &self.spaces[random.random_range(0..self.spaces.len())];
        let mut wanted: Vec<String> = {
            let all = space.oracle.all();
            all.choose_multiple(&mut random, PROBE_KEYS).map(|(name, _)| name.clone()).collect()
        };
        let mut written = false;
        while began.elapsed() < self.options.recovery_limit {
            attempts += 1;
            if !written {
                let name = format!("probe/{number:04}-{attempts:03}");
                match timeout(ATTEMPT_LIMIT, self.write_probe(client, space, &name)).await {
                    Ok(Ok(())) => written = true,
                    Ok(Err(error)) => last = format!("writing {name}: {error}"),
                    Err(_) => last = format!("writing {name}: took longer than {ATTEMPT_LIMIT:?}"),
                }
            }
            let mut left = Vec::new();
            for name in std::mem::take(&mut wanted) {
                if let Ok(Some(_)) =
                    timeout(ATTEMPT_LIMIT, self.read_and_judge(client, space, &name)).await
                {
                    continue;
                }
                last = format!("reading {name}");
                left.push(name);
            }
            wanted = left;
            if written && wanted.is_empty() {
                return Ok(round(began.elapsed().as_secs_f64()));
            }
            sleep(RETRY_WAIT).await;
        }
        Err(last)
    }

    async fn write_probe(
        &self,
        client: &OzoneClient,
        space: &Space,
        name: &str,
    ) -> Result<(), String> {
        let content = self.new_content(5000);
        let mark = space.oracle.begin(name, State::Holds(content));
        space.oracle.leave_open(name, None);
        let new = NewKey { size: content.length, ..NewKey::default() };
        let written = async {
            let mut key = client.create_key(VOLUME, space.bucket, name, new).await?;
            for piece in content.pieces() {
                key.write(piece).await?;
            }
            key.close().await
        };
        written.await.map_err(|error: ozone_client::ClientError| error.to_string())?;
        space.oracle.settle(name, mark);
        self.read_and_judge(client, space, name)
            .await
            .map(drop)
            .ok_or_else(|| "cannot be read back".to_owned())
    }

    /// Reads and judges every name; each must be readable within the limit. Keys and absent names that were judged.
    pub async fn verify(self: &Arc<Self>) -> Value {
        let began = Instant::now();
        let mut holding = 0;
        let mut absent = 0;
        for at in 0..self.spaces.len() {
            let names = Arc::new(self.spaces[at].oracle.all());
            let next = Arc::new(AtomicUsize::new(0));
            let mut tasks = Vec::new();
            for task in 0..VERIFIERS {
                let (run, names, next) = (self.clone(), names.clone(), next.clone());
                tasks.push(tokio::spawn(async move {
                    let mut seen = BTreeMap::new();
                    while let Some((name, _)) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let state = run.verify_name(task as u32, &run.spaces[at], name).await;
                        seen.insert(name.clone(), state);
                    }
                    seen
                }));
            }
            let mut seen = BTreeMap::new();
            for task in tasks {
                seen.extend(task.await.unwrap_or_default());
            }
            holding += seen.values().filter(|state| matches!(state, State::Holds(_))).count();
            absent += seen.values().filter(|state| **state == State::Absent).count();
            self.judge_renames(at, &names, &seen);
            let space = &self.spaces[at];
            let listing = Instant::now();
            while let Err(error) = self.list_and_judge(self.client(0), space, "").await {
                if listing.elapsed() > self.options.recovery_limit {
                    self.violation(space, "", "listing fails", error.to_string(), &[]);
                    break;
                }
                sleep(RETRY_WAIT).await;
            }
        }
        let open: usize = self.spaces.iter().map(|space| space.oracle.open_count()).sum();
        json!({
            "keys_verified": holding, "absent_verified": absent, "unclear_operations": open,
            "verify_seconds": round(began.elapsed().as_secs_f64()),
        })
    }

    /// Each name has its own time, since there are many on a slow machine; after some that cannot be
    /// read, the rest is tried once.
    async fn verify_name(&self, task: u32, space: &Space, name: &str) -> State {
        let began = Instant::now();
        loop {
            if let Some(state) = self.read_and_judge(self.client(task), space, name).await {
                return state;
            }
            let hopeless = self.violations().len() >= HOPELESS_AFTER;
            if hopeless || began.elapsed() > self.options.recovery_limit {
                let last = read(self.client(task), space, name, ATTEMPT_LIMIT).await;
                let detail = match last {
                    Ok(_) => return State::Void,
                    Err(error) => format!("{error:?}"),
                };
                self.violation(space, name, "key cannot be read", detail, &[]);
                return State::Void;
            }
            sleep(RETRY_WAIT).await;
        }
    }

    /// A rename without a clear answer has happened, or it has not.
    fn judge_renames(
        &self,
        at: usize,
        names: &[(String, Option<String>)],
        seen: &BTreeMap<String, State>,
    ) {
        for (from, to) in names {
            let Some(to) = to else { continue };
            let holds = |name| matches!(seen.get(name), Some(State::Holds(_)));
            if holds(from) == holds(to) {
                let detail = format!("{:?}, and {to}: {:?}", seen.get(from), seen.get(to));
                self.violation(&self.spaces[at], from, "half a rename", detail, &[]);
            }
        }
    }

    /// Reads every key from each of its datanodes alone. A replica that is not there is counted; one with wrong bytes is a
    /// violation.
    pub async fn verify_replicas(&self) -> Value {
        let (mut good, mut failed) = (0_u64, BTreeMap::<String, (u64, String)>::new());
        for space in &self.spaces {
            for (name, _) in space.oracle.all() {
                let Some(state @ State::Holds(_)) = space.oracle.settled(&name) else { continue };
                let client = self.client(0);
                let Ok(key) = client.key(VOLUME, space.bucket, &name, true).await else { continue };
                let most = key
                    .locations
                    .iter()
                    .filter_map(|at| at.pipeline.as_ref())
                    .map(|p| p.nodes.len());
                for node in 0..most.max().unwrap_or(0) {
                    match read_from(client, &key.locations, node).await {
                        Ok(pieces) => match judge(&Seen::Bytes(pieces.clone()), &[state]) {
                            Ok(_) => good += 1,
                            Err((_, detail)) => {
                                self.violation(space, &name, "wrong replica", detail, &pieces);
                            }
                        },
                        Err(error) => {
                            let kind: String =
                                error.chars().filter(|c| !c.is_ascii_digit()).take(90).collect();
                            failed.entry(kind).or_insert((0, format!("{name}: {error}"))).0 += 1;
                        }
                    }
                }
            }
        }
        let failed: Vec<Value> = failed
            .into_iter()
            .map(|(kind, (count, example))| json!({"kind": kind, "count": count, "example": example}))
            .collect();
        json!({"replicas_verified": good, "replicas_failed": failed})
    }
}

/// Reads every key of a bucket from each of its datanodes alone and compares what they give.
///
/// # Errors
/// The bucket cannot be listed.
pub async fn compare_replicas(
    client: &OzoneClient,
    volume: &str,
    bucket: &str,
) -> Result<Value, ozone_client::ClientError> {
    let found = client.bucket(volume, bucket).await?;
    let (mut keys, mut replicas) = (0_u64, 0_u64);
    let (mut failed, mut differing) = (Vec::new(), Vec::new());
    let mut start: Option<String> = None;
    loop {
        let (page, more) = client.list_keys(&found, "", start.as_deref(), 1000).await?;
        start = page.last().map(|key| key.name.clone());
        for name in page.into_iter().filter(|key| key.is_file).map(|key| key.name) {
            keys += 1;
            let key = client.key(volume, bucket, &name, true).await?;
            let nodes = key.locations.iter().filter_map(|at| at.pipeline.as_ref());
            let mut first: Option<Vec<u8>> = None;
            for node in 0..nodes.map(|pipeline| pipeline.nodes.len()).max().unwrap_or(0) {
                match read_from(client, &key.locations, node).await {
                    Ok(pieces)
                        if *first.get_or_insert_with(|| pieces.concat()) == pieces.concat() =>
                    {
                        replicas += 1;
                    }
                    Ok(_) => differing.push(name.clone()),
                    Err(error) => failed.push(format!("{name}: {error}")),
                }
            }
        }
        if !more {
            return Ok(
                json!({"keys": keys, "replicas": replicas, "failed": failed, "differing": differing}),
            );
        }
    }
}

async fn read_from(
    client: &OzoneClient,
    locations: &[BlockLocation],
    node: usize,
) -> Result<Vec<Bytes>, String> {
    let mut pieces = Vec::new();
    for location in locations {
        let mut location = location.clone();
        let Some(pipeline) = &location.pipeline else { return Err("no pipeline".to_owned()) };
        let mut pipeline = (**pipeline).clone();
        let chosen = pipeline.nodes.get(node).cloned().ok_or("fewer replicas than others")?;
        let host = chosen.host.clone();
        pipeline.nodes = vec![chosen];
        pipeline.order = Vec::new();
        location.pipeline = Some(Arc::new(pipeline));
        let told = |error: hdds_client::BlockError| format!("{host}: {error}");
        let (offset, length) = (location.offset, location.length);
        let mut reader =
            BlockReader::open(client.datanodes(), &location, offset, length).await.map_err(told)?;
        while let Some(piece) = reader.next().await.map_err(told)? {
            pieces.push(piece);
        }
    }
    Ok(pieces)
}
