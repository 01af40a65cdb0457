//! A writer: changes its own names, one operation after another, and tells the oracle what became of each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use ozone_client::key::NewKey;
use ozone_client::{ClientError, OzoneClient};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::time::timeout;

use crate::content::Content;
use crate::oracle::State;
use crate::read::pause;
use crate::run::{DIRECTORIES, Run, Space, VOLUME, directory_of, prefix_of};
use crate::stats::{self, Op};

/// Keys of a listing's page.
const LIST_PAGE: u32 = 1000;

struct Writer {
    run: Arc<Run>,
    number: u32,
    client: OzoneClient,
    random: SmallRng,
    /// Names that hold a key for certain, by bucket.
    live: Vec<Vec<String>>,
    made: u64,
}

/// How far a write came.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing was sent that could make the key visible.
    Writing,
    /// The commit may have been sent.
    Closing,
}

/// Changes names until the run stops.
pub async fn writer(run: Arc<Run>, number: u32) {
    let seed = run.options.seed ^ (0x0037_0000 + u64::from(number));
    let mut writer = Writer {
        client: run.client(number).clone(),
        live: vec![Vec::new(); run.spaces.len()],
        random: SmallRng::seed_from_u64(seed),
        made: 0,
        number,
        run,
    };
    while !writer.run.stopping() {
        writer.step().await;
        let run = writer.run.clone();
        pause(&run, &mut writer.random).await;
    }
}

impl Writer {
    async fn step(&mut self) {
        let run = self.run.clone();
        let at = self.random.random_range(0..run.spaces.len());
        let space = &run.spaces[at];
        let crowded = self.live[at].len() >= run.options.live_keys;
        let dice = self.random.random_range(0..100);
        match dice {
            0..45 if !crowded => {
                let name = self.new_name();
                if self.put(space, &name, Op::Put).await {
                    self.live[at].push(name);
                }
            }
            45..60 => {
                let Some(name) = self.take(at) else { return };
                if self.put(space, &name, Op::Overwrite).await {
                    self.live[at].push(name);
                }
            }
            60..72 => {
                let Some(from) = self.take(at) else { return };
                let to = self.new_name();
                if self.rename(space, &from, &to).await {
                    self.live[at].push(to);
                }
            }
            0..45 | 72..90 => {
                let Some(name) = self.take(at) else { return };
                self.delete(space, &name).await;
            }
            90..97 => {
                let Some(name) = self.take(at) else { return };
                run.read_and_judge(&self.client, space, &name).await;
                self.live[at].push(name);
            }
            _ => self.list(space).await,
        }
    }

    fn new_name(&mut self) -> String {
        self.made += 1;
        let directory = self.random.random_range(0..DIRECTORIES);
        format!("{}k{:06}", directory_of(self.number, directory), self.made)
    }

    fn take(&mut self, at: usize) -> Option<String> {
        let live = &mut self.live[at];
        (!live.is_empty()).then(|| live.swap_remove(self.random.random_range(0..live.len())))
    }

    fn length(&mut self) -> u64 {
        let length = match self.random.random_range(0..100) {
            0..2 => 0,
            2..10 => self.random.random_range(1..100),
            10..60 => self.random.random_range(100..16 << 10),
            60..85 => self.random.random_range(16 << 10..256 << 10),
            85..95 => self.random.random_range(1 << 20..4 << 20),
            95..99 => self.random.random_range(4 << 20..10 << 20),
            _ => self.random.random_range(16 << 20..24 << 20),
        };
        length.min(self.run.options.key_bytes_max)
    }

    /// Whether the name holds the key now.
    async fn put(&mut self, space: &Space, name: &str, op: Op) -> bool {
        let length = self.length();
        let content = self.run.new_content(length);
        let mark = space.oracle.begin(name, State::Holds(content));
        let began = Instant::now();
        let mut stage = Stage::Writing;
        let limit = self.run.options.operation_limit;
        let work = send(&self.client, space, name, content, &mut stage);
        let outcome = timeout(limit, work).await;
        match outcome {
            Ok(Ok(())) => {
                space.oracle.settle(name, mark);
                self.run.stats.done(op, began, content.length);
                return true;
            }
            Ok(Err(error)) => {
                self.failed(op, name, &error);
                // Data that could not be written is not committed.
                if matches!(error, ClientError::Block(_)) {
                    stage = Stage::Writing;
                }
            }
            Err(_) => self.run.stats.failed(op, "took too long", name.to_owned()),
        }
        match stage {
            Stage::Writing => space.oracle.refuse(name, mark),
            Stage::Closing => space.oracle.leave_open(name, None),
        }
        // A refused overwrite leaves the old key.
        op == Op::Overwrite && stage == Stage::Writing
    }

    async fn delete(&self, space: &Space, name: &str) {
        let mark = space.oracle.begin(name, State::Absent);
        let began = Instant::now();
        let work = self.client.delete_key(VOLUME, space.bucket, name, false);
        match timeout(self.run.options.operation_limit, work).await {
            Ok(Ok(())) => {
                space.oracle.settle(name, mark);
                self.run.stats.done(Op::Delete, began, 0);
                return;
            }
            Ok(Err(error)) => self.failed(Op::Delete, name, &error),
            Err(_) => self.run.stats.failed(Op::Delete, "took too long", name.to_owned()),
        }
        space.oracle.leave_open(name, None);
    }

    /// Whether the key has the new name now.
    async fn rename(&self, space: &Space, from: &str, to: &str) -> bool {
        let Some(held) = space.oracle.settled(from) else { return false };
        let gone = space.oracle.begin(from, State::Absent);
        let come = space.oracle.begin(to, held);
        let began = Instant::now();
        let work = self.client.rename_key(VOLUME, space.bucket, from, to);
        match timeout(self.run.options.operation_limit, work).await {
            Ok(Ok(())) => {
                space.oracle.settle(from, gone);
                space.oracle.settle(to, come);
                self.run.stats.done(Op::Rename, began, 0);
                return true;
            }
            Ok(Err(error)) => self.failed(Op::Rename, from, &error),
            Err(_) => self.run.stats.failed(Op::Rename, "took too long", from.to_owned()),
        }
        space.oracle.leave_open(from, Some(to));
        space.oracle.leave_open(to, None);
        false
    }

    fn failed(&self, op: Op, name: &str, error: &ClientError) {
        self.run.stats.failed(op, &stats::kind(error), format!("{name}: {error}"));
    }

    /// Lists the writer's names in a bucket while none of them changes.
    async fn list(&self, space: &Space) {
        let prefix = prefix_of(self.number);
        match timeout(
            self.run.options.operation_limit,
            self.run.list_and_judge(&self.client, space, &prefix),
        )
        .await
        {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.failed(Op::List, &prefix, &error),
            Err(_) => self.run.stats.failed(Op::List, "took too long", prefix),
        }
    }
}

async fn send(
    client: &OzoneClient,
    space: &Space,
    name: &str,
    content: Content,
    stage: &mut Stage,
) -> Result<(), ClientError> {
    let new = NewKey { size: content.length, ..NewKey::default() };
    let mut key = client.create_key(VOLUME, space.bucket, name, new).await?;
    for piece in content.pieces() {
        key.write(piece).await?;
    }
    *stage = Stage::Closing;
    key.close().await
}

impl Run {
    /// Lists all keys below `prefix`, none of which changes meanwhile, and judges names and sizes.
    ///
    /// # Errors
    /// The listing failed.
    pub async fn list_and_judge(
        &self,
        client: &OzoneClient,
        space: &Space,
        prefix: &str,
    ) -> Result<(), ClientError> {
        let began = Instant::now();
        let bucket = client.bucket(VOLUME, space.bucket).await?;
        let mut found = BTreeMap::new();
        let mut start: Option<String> = None;
        loop {
            let (page, more) =
                client.list_keys(&bucket, prefix, start.as_deref(), LIST_PAGE).await?;
            start = page.last().map(|key| key.name.clone());
            let files = page.into_iter().filter(|key| key.is_file && !key.name.ends_with('/'));
            found.extend(files.map(|key| (key.name, key.data_size)));
            if !more {
                break;
            }
        }
        let names = space.oracle.all();
        for (name, _) in names.iter().filter(|(name, _)| name.starts_with(prefix)) {
            let allowed = space.oracle.allowed(name, space.oracle.now(name));
            let listed = found.remove(name);
            let fits = allowed.iter().any(|state| match state {
                State::Holds(content) => listed == Some(content.length),
                State::Absent => listed.is_none(),
                State::Void => false,
            });
            if !fits {
                let detail = format!("listed size {listed:?}, allowed is {allowed:?}");
                self.violation(space, name, "wrong listing", detail, &[]);
            }
        }
        for (name, size) in found {
            self.violation(space, &name, "unknown key", format!("{size} bytes are listed"), &[]);
        }
        self.stats.done(Op::List, began, 0);
        Ok(())
    }
}
