//! `ockrw`: writes, reads and lists keys of a range (`OzoneClientKeyReadWriteListOps`).

use std::sync::atomic::{AtomicU64, Ordering};

use clap::Args;
use md5::{Digest, Md5};
use ozone_client::key::NewKey;
use ozone_client::{Bucket, ClientError, OzoneClient};

use crate::content::Content;
use crate::engine::{self, Load, Plan, Step};
use crate::options::{BaseOptions, BucketOptions, ServiceOptions};
use crate::{Context, FreonError, target};

/// Characters of a digest that make a name.
const DIGEST_CHARS: usize = 7;

/// Options of `ockrw`.
#[derive(Args, Debug)]
pub struct OckrwArgs {
    #[command(flatten)]
    base: BaseOptions,
    /// Volume, made if missing
    #[arg(short = 'v', long, value_name = "volumeName", default_value = "ockrwvolume")]
    volume: String,
    /// Bucket, made if missing
    #[arg(short = 'b', long, value_name = "bucketName", default_value = "ockrwbucket")]
    bucket: String,
    /// Read no data
    #[arg(short = 'm', long)]
    read_metadata_only: bool,
    /// First number of the range
    #[arg(short = 's', long, value_name = "startIndex", default_value_t = 0)]
    start_index: u64,
    /// How many numbers the range has
    #[arg(short = 'r', long, value_name = "range", default_value_t = 1)]
    range: u64,
    /// Bytes of a key, and to read of one
    #[arg(long, value_name = "objectSizeInBytes", default_value_t = 1)]
    size: u64,
    /// Names are numbers, not their digests
    #[arg(long)]
    contiguous: bool,
    /// One number after the other, not at random
    #[arg(long)]
    linear: bool,
    /// Percentage of reads
    #[arg(long, value_name = "percentageRead", default_value_t = 0)]
    percentage_read: u32,
    /// Percentage of listings
    #[arg(long, value_name = "percentageList", default_value_t = 0)]
    percentage_list: u32,
    /// Keys of a listing at most
    #[arg(long, value_name = "maxListResult", default_value_t = 1000)]
    max_list_result: u32,
    #[command(flatten)]
    service: ServiceOptions,
}

struct Ockrw {
    clients: Vec<OzoneClient>,
    bucket: Bucket,
    plan: Plan,
    content: Content,
    next: AtomicU64,
    args: OckrwArgs,
}

/// Runs `ockrw`.
///
/// # Errors
/// See [`engine::run`].
pub fn run(context: &Context<'_>, args: OckrwArgs) -> Result<(), FreonError> {
    let plan = args.base.plan_without_prefix()?;
    if args.range == 0 {
        return Err(FreonError::Usage("--range must be a positive integer".to_owned()));
    }
    engine::block_on(async {
        let clients = target::clients(context, &args.service, plan.threads)?;
        let place = BucketOptions { volume: args.volume.clone(), bucket: args.bucket.clone() };
        target::ensure_bucket(context, &clients[0], &place).await?;
        let bucket = clients[0].bucket(&args.volume, &args.bucket).await?;
        let chunk_bytes = clients[0].settings().blocks.chunk_bytes;
        let content = Content::new(args.size, chunk_bytes.min(1 << 20), chunk_bytes);
        let next = AtomicU64::new(0);
        let load = Ockrw { clients, bucket, plan: plan.clone(), content, next, args };
        engine::run(context, plan, load).await
    })
}

impl Load for Ockrw {
    fn timers(&self) -> Vec<&'static str> {
        vec!["key-read-write-list"]
    }

    async fn step(&self, step: Step<'_>) -> Result<(), FreonError> {
        let client = &self.clients[step.counter as usize % self.clients.len()];
        let key = self.name();
        let dice = rand::random_range(1..=100);
        let reads = self.args.percentage_read;
        if dice <= reads {
            step.time(0, self.read(client, &key, &step)).await
        } else if dice <= reads + self.args.percentage_list {
            let count = self.args.max_list_result;
            let list = client.list_keys(&self.bucket, &self.plan.prefix, None, count);
            step.time(0, list).await.map(drop)
        } else {
            step.time(0, self.write(client, &key, &step)).await
        }
    }
}

impl Ockrw {
    fn name(&self) -> String {
        let offset = if self.args.linear {
            self.next.fetch_add(1, Ordering::Relaxed) % self.args.range
        } else {
            rand::random_range(0..self.args.range)
        };
        let number = self.args.start_index.saturating_add(offset);
        if self.args.contiguous {
            return self.plan.key(number);
        }
        let digest = hex::encode(Md5::digest(number.to_string()));
        format!("{}/{}", self.plan.prefix, &digest[..DIGEST_CHARS])
    }

    async fn read(
        &self,
        client: &OzoneClient,
        key: &str,
        step: &Step<'_>,
    ) -> Result<(), ClientError> {
        let key = client.key(&self.bucket.volume, &self.bucket.name, key, false).await?;
        if self.args.read_metadata_only {
            return Ok(());
        }
        let mut reader = client.read(key, 0, self.args.size).await?;
        while let Some(piece) = reader.next().await? {
            step.add_bytes(piece.len() as u64);
        }
        Ok(())
    }

    async fn write(
        &self,
        client: &OzoneClient,
        key: &str,
        step: &Step<'_>,
    ) -> Result<(), ClientError> {
        let new = NewKey { size: self.content.size(), ..NewKey::default() };
        let mut writer =
            client.create_key(&self.bucket.volume, &self.bucket.name, key, new).await?;
        super::write(&mut writer, &self.content, client.settings().blocks.chunk_bytes).await?;
        writer.close().await?;
        step.add_bytes(self.content.size());
        Ok(())
    }
}
