//! The `ozone` command: every daemon, shell and tool.
//!
//! ```text
//!  argv ─► cli (clap tree) ─┬─► sh::…        volumes, buckets, keys
//!                           ├─► s3::…        secrets of S3 users
//!                           ├─► interactive  lines of commands, each run as if it came from argv
//!                           ├─► freon::…     load generators (a crate of its own)
//!                           ├─► fs::…        files and directories
//!                           ├─► admin, repair: what operators need
//!                           ├─► getconf, version, completion
//!                           ├─► daemon::…    scm, om, datanode; daemonlog: their log levels
//!                           └─► local::…     a whole cluster in this process
//! ```
//!
//! What goes to which stream, and with which exit code, follows the Java commands (picocli: 2 for a
//! wrong command line, 255 for a failed command); see [`failure`]. Start reading at [`cli`].

use std::ffi::OsString;
use std::process::ExitCode;

pub mod address;
pub mod admin;
pub mod cli;
pub mod completion;
#[cfg(feature = "daemons")]
pub mod daemon;
pub mod daemonlog;
pub mod failure;
pub mod fs;
pub mod getconf;
pub mod interactive;
pub mod json;
#[cfg(feature = "daemons")]
pub mod local;
pub mod output;
mod progress;
pub mod repair;
pub mod s3;
pub mod sh;
pub mod version;

use cli::{Cli, Command};
use failure::{EXIT_INTERRUPTED, Failure};
use freon::FreonError;
use interactive::Tool;

/// Runs one command line; the first argument is the name of the program.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match cli::parse(arguments) {
        Ok(cli) => execute(cli),
        Err(code) => code,
    }
}

fn execute(cli: Cli) -> ExitCode {
    let global = cli.global;
    match cli.command {
        Command::Sh(args) => match args.command {
            Some(command) => leave(sh::run(&global, command), global.verbose),
            None => interactive::run(&global, Tool::Sh, &args.many.execute),
        },
        Command::S3(args) => match args.command {
            Some(command) => leave(s3::run(&global, &command), global.verbose),
            None => interactive::run(&global, Tool::S3, &args.many.execute),
        },
        Command::Interactive => interactive::run(&global, Tool::All, &[]),
        Command::Freon(args) => load(&global, args),
        Command::Fs(args) => fs::run(&global, args),
        Command::Getconf(args) => leave(getconf::run(&global, &args), global.verbose),
        Command::Admin(args) => leave(admin::run(&global, args.command), global.verbose),
        Command::Repair(args) => leave(repair::run(&global, args.command), global.verbose),
        Command::Version => leave(version::run(), global.verbose),
        Command::Completion(args) => leave(completion::run(&args), global.verbose),
        Command::Daemonlog(args) => leave(daemonlog::run(&args), global.verbose),
        #[cfg(feature = "daemons")]
        Command::Scm(args) => served(daemon::scm(&global, args)),
        #[cfg(feature = "daemons")]
        Command::Om(args) => served(daemon::om(&global, args)),
        #[cfg(feature = "daemons")]
        Command::Datanode(args) => served(daemon::datanode(&global, args)),
        #[cfg(feature = "daemons")]
        Command::Local(args) => served(local::run(&global, args)),
    }
}

fn leave(outcome: Result<(), Failure>, verbose: bool) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(verbose),
    }
}

fn load(global: &cli::GlobalArgs, args: freon::FreonArgs) -> ExitCode {
    let outcome = match global.configuration() {
        Ok(conf) => freon::run(&conf, args),
        Err(error) => Err(error.into()),
    };
    match outcome {
        // As a process that the signal ended.
        Err(FreonError::Interrupted) => ExitCode::from(EXIT_INTERRUPTED),
        other => leave(other.map_err(Failure::from), global.verbose),
    }
}

#[cfg(feature = "daemons")]
fn served(outcome: anyhow::Result<ExitCode>) -> ExitCode {
    outcome.unwrap_or_else(|error| {
        eprintln!("{error:#}");
        ExitCode::from(failure::EXIT_FAILED)
    })
}
