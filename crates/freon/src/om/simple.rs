//! `omkg`, `ombg`, `ombr`: keys without data, buckets made, buckets deleted.

use clap::Args;
use hdds_types::ReplicationConfig;
use ozone_client::OzoneClient;
use ozone_client::bucket::NewBucket;
use ozone_client::key::NewKey;

use crate::engine::{self, Load, Plan, Step};
use crate::options::{BaseOptions, BucketOptions, ReplicationOptions, ServiceOptions};
use crate::{Context, FreonError, report, target};

/// Options of `omkg`.
#[derive(Args, Debug)]
pub struct OmkgArgs {
    #[command(flatten)]
    base: BaseOptions,
    #[command(flatten)]
    bucket: BucketOptions,
    #[command(flatten)]
    service: ServiceOptions,
    #[command(flatten)]
    replication: ReplicationOptions,
}

struct EmptyKeys {
    client: OzoneClient,
    plan: Plan,
    target: BucketOptions,
    replication: Option<ReplicationConfig>,
}

/// Runs `omkg`.
///
/// # Errors
/// See [`engine::run`].
pub fn omkg(context: &Context<'_>, args: OmkgArgs) -> Result<(), FreonError> {
    let plan = args.base.plan()?;
    let replication = args.replication.given(context.conf)?;
    engine::block_on(async {
        let client = target::client(context, &args.service)?;
        target::ensure_bucket(context, &client, &args.bucket).await?;
        let load = EmptyKeys { client, plan: plan.clone(), target: args.bucket, replication };
        engine::run(context, plan, load).await
    })
}

impl Load for EmptyKeys {
    fn timers(&self) -> Vec<&'static str> {
        vec!["key-create"]
    }

    async fn step(&self, step: Step<'_>) -> Result<(), FreonError> {
        let key = self.plan.key(step.counter);
        let new = NewKey { replication: self.replication, ..NewKey::default() };
        let create = async {
            let (volume, bucket) = (&self.target.volume, &self.target.bucket);
            self.client.create_key(volume, bucket, &key, new).await?.close().await
        };
        step.time(0, create).await
    }
}

/// Options of `ombg`.
#[derive(Args, Debug)]
pub struct OmbgArgs {
    #[command(flatten)]
    base: BaseOptions,
    /// Volume, made if missing
    #[arg(short = 'v', long, value_name = "volumeName", default_value = "vol1")]
    volume: String,
    #[command(flatten)]
    service: ServiceOptions,
}

/// Options of `ombr`.
#[derive(Args, Debug)]
pub struct OmbrArgs {
    #[command(flatten)]
    base: BaseOptions,
    /// Volume
    #[arg(short = 'v', long, value_name = "volumeName", default_value = "vol1")]
    volume: String,
    #[command(flatten)]
    service: ServiceOptions,
}

struct Buckets {
    client: OzoneClient,
    plan: Plan,
    volume: String,
    delete: bool,
}

/// Runs `ombg`.
///
/// # Errors
/// See [`engine::run`].
pub fn ombg(context: &Context<'_>, args: OmbgArgs) -> Result<(), FreonError> {
    let mut plan = args.base.plan()?;
    if plan.duration.take().is_some() {
        report::log("--duration is ignored");
    }
    engine::block_on(async {
        let client = target::client(context, &args.service)?;
        target::ensure_volume(&client, &args.volume).await?;
        let load = Buckets { client, plan: plan.clone(), volume: args.volume, delete: false };
        engine::run(context, plan, load).await
    })
}

/// Runs `ombr`.
///
/// # Errors
/// See [`engine::run`].
pub fn ombr(context: &Context<'_>, args: OmbrArgs) -> Result<(), FreonError> {
    let plan = args.base.plan()?;
    engine::block_on(async {
        let client = target::client(context, &args.service)?;
        let load = Buckets { client, plan: plan.clone(), volume: args.volume, delete: true };
        engine::run(context, plan, load).await
    })
}

impl Load for Buckets {
    fn timers(&self) -> Vec<&'static str> {
        vec![if self.delete { "bucket-remove" } else { "bucket-create" }]
    }

    async fn step(&self, step: Step<'_>) -> Result<(), FreonError> {
        let name = self.plan.bucket(step.counter);
        if self.delete {
            return step.time(0, self.client.delete_bucket(&self.volume, &name)).await;
        }
        step.time(0, self.client.create_bucket(&self.volume, &name, NewBucket::default())).await
    }
}
