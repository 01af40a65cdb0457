//! `ozone scm|om|datanode`: prepare a directory, or run one daemon until it is told to stop.

use std::process::ExitCode;

use clap::Args;
use ozone_config::Configuration;
use ozone_daemon::{logging, stop};

use crate::cli::GlobalArgs;

/// How much a daemon logs without `OZONE_LOG`.
const LOG_LEVEL: &str = "info";

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
}

/// Options of `ozone datanode`.
#[derive(Args, Debug)]
pub struct DatanodeArgs {}

/// `ozone scm`.
///
/// # Errors
/// The daemon could not be prepared or started.
pub fn scm(global: &GlobalArgs, args: ScmArgs) -> anyhow::Result<ExitCode> {
    let conf = prepare(global)?;
    if args.init {
        let done = ::scm::init_with(&conf, args.cluster_id.as_deref())?;
        println!(
            "SCM {} of cluster {} in {}",
            done.scm_id,
            done.cluster_id,
            done.directory.display()
        );
        return Ok(ExitCode::SUCCESS);
    }
    serve(async {
        let daemon = ::scm::Scm::start(&conf).await?;
        stop::requested().await?;
        daemon.shutdown().await
    })
}

/// `ozone om`.
///
/// # Errors
/// The daemon could not be prepared or started.
pub fn om(global: &GlobalArgs, args: OmArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not in this build: {global:?} {args:?}")
}

/// `ozone datanode`.
///
/// # Errors
/// The daemon could not be started.
pub fn datanode(global: &GlobalArgs, _: DatanodeArgs) -> anyhow::Result<ExitCode> {
    let conf = prepare(global)?;
    serve(async {
        let daemon = ::datanode::Datanode::start(&conf).await?;
        stop::requested().await?;
        daemon.shutdown().await
    })
}

/// Logs from here on, and says which settings nobody reads.
fn prepare(global: &GlobalArgs) -> anyhow::Result<Configuration> {
    logging::init(LOG_LEVEL);
    let conf = global.configuration()?;
    logging::report_unknown_keys(&conf);
    Ok(conf)
}

/// Runs a daemon from its start to its end.
fn serve(daemon: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(daemon)?;
    Ok(ExitCode::SUCCESS)
}
