//! `ozone local run`: SCM, OM and datanodes in this process.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::cli::GlobalArgs;

/// `ozone local`.
#[derive(Args, Debug)]
pub struct LocalArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: LocalCommand,
}

/// Commands of `ozone local`.
#[derive(Subcommand, Debug)]
pub enum LocalCommand {
    /// Start a cluster and keep it running until Ctrl-C
    Run(RunArgs),
}

/// Options of `ozone local run`.
#[derive(Args, Debug)]
pub struct RunArgs {}

/// `ozone local …`.
///
/// # Errors
/// The cluster could not be started.
pub fn run(global: &GlobalArgs, args: LocalArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not in this build: {global:?} {args:?}")
}
