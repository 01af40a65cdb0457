//! The `ozone` command: every daemon, shell and tool.
//!
//! ```text
//!  argv ─► legacy (single-dash spellings) ─► cli (clap tree) ─┬─► sh::…        volumes, buckets, keys
//!                                                             ├─► getconf, version, completion
//!                                                             ├─► daemon::…    scm, om, datanode
//!                                                             └─► local::…     a whole cluster in this process
//! ```
//!
//! Each command returns an [`ExitCode`]; what goes to which stream, and with which code, follows
//! the Java commands (picocli: 2 for a wrong command line, 255 for a failed command).
//! Start reading at [`cli`].

use std::ffi::OsString;
use std::process::ExitCode;

pub mod cli;
pub mod daemon;
pub mod local;

use cli::Command;

/// Runs one command line; the first argument is the name of the program.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match cli::parse(arguments) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let outcome = match cli.command {
        Command::Scm(args) => daemon::scm(&cli.global, args),
        Command::Om(args) => daemon::om(&cli.global, args),
        Command::Datanode(args) => daemon::datanode(&cli.global, args),
        Command::Local(args) => local::run(&cli.global, args),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("{error:#}");
        ExitCode::from(255)
    })
}
