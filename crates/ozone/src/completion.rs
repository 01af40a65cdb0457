//! `ozone completion SHELL`: a script that completes commands and options.

use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::failure::Failure;
use crate::output;

/// `ozone completion`.
#[derive(Args, Debug)]
pub struct CompletionArgs {
    /// The shell; e.g. `source <(ozone completion bash)`
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Target,
}

/// Shells with completion.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Target {
    /// bash
    Bash,
    /// zsh
    Zsh,
    /// fish
    Fish,
}

/// Prints the script.
///
/// # Errors
/// Nobody reads it.
pub fn run(args: &CompletionArgs) -> Result<(), Failure> {
    let shell = match args.shell {
        Target::Bash => Shell::Bash,
        Target::Zsh => Shell::Zsh,
        Target::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "ozone", &mut script);
    output::line(String::from_utf8_lossy(&script).trim_end())
}
