//! The command line: options for all commands, and the tree of commands.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::daemon::{DatanodeArgs, OmArgs, ScmArgs};
use crate::local::LocalArgs;

/// Apache Ozone, in one program.
#[derive(Parser, Debug)]
#[command(name = "ozone", disable_version_flag = true, infer_subcommands = false)]
pub struct Cli {
    /// Options for all commands.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options for all commands.
#[derive(Args, Clone, Debug, Default)]
pub struct GlobalArgs {
    /// Directory with ozone-site.xml (default: $OZONE_CONF_DIR)
    #[arg(long, global = true, value_name = "DIR")]
    pub config: Option<PathBuf>,
    /// One more file of settings, on top of ozone-site.xml
    #[arg(long, global = true, value_name = "FILE")]
    pub conf: Option<PathBuf>,
    /// Set one configuration key for this call
    #[arg(short = 'D', long = "set", global = true, value_name = "KEY=VALUE", value_parser = key_value)]
    pub set: Vec<(String, String)>,
    /// Show the chain of causes when a command fails
    #[arg(long, global = true)]
    pub verbose: bool,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Storage Container Manager: start it, or prepare its directory with --init
    Scm(ScmArgs),
    /// Ozone Manager: start it, or prepare its directory with --init
    Om(OmArgs),
    /// Datanode: start it
    Datanode(DatanodeArgs),
    /// A whole cluster in this process
    Local(LocalArgs),
}

fn key_value(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .ok_or_else(|| format!("{text:?} is not of the form KEY=VALUE"))
}

/// Understands a command line, or says on stderr what is wrong with it (or prints the help that
/// was asked for) and gives the exit code.
///
/// # Errors
/// The exit code to leave with.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, ExitCode> {
    Cli::try_parse_from(arguments).map_err(|error| {
        let _ = error.print();
        ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
    })
}
