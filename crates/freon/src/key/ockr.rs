//! `ockr`: deletes the keys that `ockg` wrote (`OzoneClientKeyRemover`).

use clap::Args;
use ozone_client::OzoneClient;

use crate::engine::{self, Load, Plan, Step};
use crate::options::{BaseOptions, BucketOptions, ServiceOptions};
use crate::{Context, FreonError, target};

/// Options of `ockr`.
#[derive(Args, Debug)]
pub struct OckrArgs {
    #[command(flatten)]
    base: BaseOptions,
    #[command(flatten)]
    bucket: BucketOptions,
    #[command(flatten)]
    service: ServiceOptions,
}

struct Ockr {
    client: OzoneClient,
    plan: Plan,
    target: BucketOptions,
}

/// Runs `ockr`.
///
/// # Errors
/// See [`engine::run`].
pub fn run(context: &Context<'_>, args: OckrArgs) -> Result<(), FreonError> {
    let plan = args.base.plan()?;
    engine::block_on(async {
        let client = target::client(context, &args.service)?;
        client.bucket(&args.bucket.volume, &args.bucket.bucket).await?;
        let load = Ockr { client, plan: plan.clone(), target: args.bucket };
        engine::run(context, plan, load).await
    })
}

impl Load for Ockr {
    fn timers(&self) -> Vec<&'static str> {
        vec!["remove"]
    }

    async fn step(&self, step: Step<'_>) -> Result<(), FreonError> {
        let key = self.plan.key(step.counter);
        let (volume, bucket) = (&self.target.volume, &self.target.bucket);
        step.time(0, self.client.delete_key(volume, bucket, &key, false)).await
    }
}
