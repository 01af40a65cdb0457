//! `ockg`: writes keys (`OzoneClientKeyGenerator`).

use clap::Args;
use hdds_types::ReplicationConfig;
use ozone_client::OzoneClient;
use ozone_client::key::NewKey;

use crate::content::Content;
use crate::engine::{self, Load, Plan, Step};
use crate::options::{BaseOptions, BucketOptions, ReplicationOptions, ServiceOptions, size};
use crate::{Context, FreonError, target};

/// Options of `ockg`.
#[derive(Args, Debug)]
pub struct OckgArgs {
    #[command(flatten)]
    base: BaseOptions,
    #[command(flatten)]
    bucket: BucketOptions,
    /// Bytes of a key, e.g. 10KB
    #[arg(short = 's', long, value_name = "keySize", default_value = "10KB", value_parser = size)]
    size: u64,
    /// Bytes after which the content repeats
    #[arg(long, value_name = "bufferSize", default_value_t = 4096)]
    buffer: usize,
    #[command(flatten)]
    service: ServiceOptions,
    #[command(flatten)]
    replication: ReplicationOptions,
    /// Accepted for compatibility: data goes the usual way
    #[arg(long, alias = "enable-streaming")]
    stream: bool,
}

struct Ockg {
    client: OzoneClient,
    plan: Plan,
    target: BucketOptions,
    content: Content,
    chunk_bytes: usize,
    replication: Option<ReplicationConfig>,
}

/// Runs `ockg`.
///
/// # Errors
/// See [`engine::run`].
pub fn run(context: &Context<'_>, args: OckgArgs) -> Result<(), FreonError> {
    let plan = args.base.plan()?;
    let mut replication = args.replication.given_or_configured(context.conf)?;
    if args.stream {
        // As ever, streaming writes RATIS/THREE whatever was asked for.
        replication = Some(ReplicationConfig::DEFAULT);
    }
    engine::block_on(async {
        let client = target::client(context, &args.service)?;
        target::ensure_bucket(context, &client, &args.bucket).await?;
        let chunk_bytes = client.settings().blocks.chunk_bytes;
        let load = Ockg {
            client,
            plan: plan.clone(),
            target: args.bucket,
            content: Content::new(args.size, args.buffer, chunk_bytes),
            chunk_bytes,
            replication,
        };
        engine::run(context, plan, load).await
    })
}

impl Load for Ockg {
    fn timers(&self) -> Vec<&'static str> {
        vec!["key-create"]
    }

    async fn step(&self, step: Step<'_>) -> Result<(), FreonError> {
        let key = self.plan.key(step.counter);
        let size = self.content.size();
        let create = async {
            let (volume, bucket) = (&self.target.volume, &self.target.bucket);
            let new = NewKey { size, replication: self.replication, ..NewKey::default() };
            let mut writer = self.client.create_key(volume, bucket, &key, new).await?;
            super::write(&mut writer, &self.content, self.chunk_bytes).await?;
            writer.close().await
        };
        step.time(0, create).await?;
        step.add_bytes(size);
        Ok(())
    }
}
