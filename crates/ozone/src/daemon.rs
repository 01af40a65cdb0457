//! `ozone scm|om|datanode`: prepare a directory, or run one daemon until it is told to stop.

use std::process::ExitCode;

use clap::Args;

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
}

/// Options of `ozone datanode`.
#[derive(Args, Debug)]
pub struct DatanodeArgs {}

/// `ozone scm`.
///
/// # Errors
/// The daemon could not be prepared or started.
pub fn scm(global: &GlobalArgs, args: ScmArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not in this build: {global:?} {args:?}")
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
pub fn datanode(global: &GlobalArgs, args: DatanodeArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not in this build: {global:?} {args:?}")
}
