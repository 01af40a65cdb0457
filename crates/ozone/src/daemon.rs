//! `ozone scm|om|datanode`: prepare a directory, or run one daemon until it is told to stop.

use std::future::Future;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use datanode::Datanode;
use om::Om;
use ozone_config::Configuration;
use ozone_daemon::{logging, stop};
use scm::Scm;

use crate::cli::GlobalArgs;

/// Options of `ozone scm`.
#[derive(Args, Debug)]
pub struct ScmArgs {
    /// Prepare the metadata directory of a new cluster, then leave
    #[arg(long)]
    pub init: bool,
    /// Cluster id to use with --init (default: a new one)
    #[arg(long, visible_alias = "clusterid", requires = "init", value_name = "ID")]
    pub cluster_id: Option<String>,
}

/// Options of `ozone om`.
#[derive(Args, Debug)]
pub struct OmArgs {
    /// Ask SCM for the cluster and prepare the metadata directory, then leave
    #[arg(long)]
    pub init: bool,
    /// Start, and serve writes again after `ozone admin om prepare`
    #[arg(long, visible_alias = "downgrade", conflicts_with = "init")]
    pub upgrade: bool,
}

/// Options of `ozone datanode`.
#[derive(Args, Debug)]
pub struct DatanodeArgs {}

/// `ozone scm`.
///
/// # Errors
/// The daemon could not be prepared or started.
pub fn scm(global: &GlobalArgs, args: ScmArgs) -> anyhow::Result<ExitCode> {
    run(global, async |conf| {
        if args.init {
            let initialized = scm::init_with(&conf, args.cluster_id.as_deref())?;
            tracing::info!(?initialized, "SCM is initialized");
            return Ok(());
        }
        let scm = Scm::start(&conf).await.context("starting SCM")?;
        tracing::info!(address = %scm.rpc_address(), http = ?scm.http_address(), "SCM is running");
        tokio::select! {
            stop = stop::requested() => stop?,
            reason = scm.failed() => anyhow::bail!("SCM cannot go on: {reason}"),
        }
        scm.shutdown().await
    })
}

/// `ozone om`.
///
/// # Errors
/// The daemon could not be prepared or started.
pub fn om(global: &GlobalArgs, args: OmArgs) -> anyhow::Result<ExitCode> {
    run(global, async |conf| {
        if args.init {
            let initialized = om::init(&conf).await?;
            tracing::info!(?initialized, "Ozone Manager is initialized");
            return Ok(());
        }
        if args.upgrade {
            om::cancel_prepare(&conf)?;
        }
        let om = Om::start(&conf).await.context("starting the Ozone Manager")?;
        tracing::info!(
            address = %om.rpc_address(),
            http = ?om.http_address(),
            "Ozone Manager is running"
        );
        stop::requested().await?;
        om.shutdown().await
    })
}

/// `ozone datanode`.
///
/// # Errors
/// The daemon could not be started.
pub fn datanode(global: &GlobalArgs, DatanodeArgs {}: DatanodeArgs) -> anyhow::Result<ExitCode> {
    run(global, async |conf| {
        let datanode = Datanode::start(&conf).await.context("starting the datanode")?;
        tracing::info!(
            address = %datanode.rpc_address(),
            http = ?datanode.http_address(),
            "datanode is running"
        );
        stop::requested().await?;
        datanode.shutdown().await
    })
}

/// Logging, configuration and a runtime around one daemon.
fn run<F>(global: &GlobalArgs, daemon: impl FnOnce(Configuration) -> F) -> anyhow::Result<ExitCode>
where
    F: Future<Output = anyhow::Result<()>>,
{
    global.begin_log("info");
    let conf = global.configuration()?;
    logging::report_unknown_keys(&conf);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(daemon(conf))?;
    Ok(ExitCode::SUCCESS)
}
