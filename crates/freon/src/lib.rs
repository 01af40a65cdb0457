//! `ozone freon`: load on a cluster, and what it took.
//!
//! ```text
//!  options (clap) ─► om::…, key::…, datanode::…: a Load (one step = one operation)
//!                         │ step(counter)
//!  engine: n workers ─────┴─► meters (histogram per timer) ─► report: as the Java tool prints it
//! ```
//! * Names, options, defaults, names of keys, timers and the report are those of Ozone's freon, so
//!   that keys made by one can be verified by the other and scripts read either report.
//! * A worker is a task, not a thread: `-t` bounds the operations in flight. Operations share
//!   connections, content is made once and sent without copying.
//! * Ctrl-C ends a run and prints the report of what was done.
//!
//! Start reading at [`engine`], then [`key::ockg`].

pub mod content;
pub mod datanode;
pub mod engine;
mod error;
pub mod key;
pub mod limits;
pub mod meters;
pub mod om;
pub mod options;
mod progress;
pub mod randomkeys;
pub mod report;
mod target;

use std::io::IsTerminal;

use clap::{Args, Subcommand};
use ozone_config::Configuration;

pub use error::FreonError;

/// `ozone freon`.
#[derive(Args, Debug)]
pub struct FreonArgs {
    /// Accepted for compatibility: this program serves no metrics of its own
    #[arg(long)]
    pub server: bool,
    /// What load to make.
    #[command(subcommand)]
    pub command: FreonCommand,
}

/// The generators, by the names of the Java tool.
#[derive(Subcommand, Debug)]
pub enum FreonCommand {
    /// Operations of the Ozone Manager, one kind or a mixture
    #[command(visible_alias = "om-metadata-generator")]
    Ommg(om::ommg::OmmgArgs),
    /// Write keys
    #[command(visible_alias = "ozone-client-key-generator")]
    Ockg(key::ockg::OckgArgs),
    /// Read keys and compare each with the first
    #[command(visible_alias = "ozone-client-key-validator")]
    Ockv(key::ockv::OckvArgs),
    /// Read the same key again and again
    #[command(visible_alias = "ozone-client-one-key-reader")]
    Ocokr(key::ockv::OcokrArgs),
    /// Delete keys
    #[command(visible_alias = "ozone-client-key-remover")]
    Ockr(key::ockr::OckrArgs),
    /// Write, read and list keys of a range
    #[command(visible_alias = "ozone-client-key-read-write-list-ops")]
    Ockrw(key::ockrw::OckrwArgs),
    /// Open and commit keys without data
    #[command(visible_alias = "om-key-generator")]
    Omkg(om::simple::OmkgArgs),
    /// Make buckets
    #[command(visible_alias = "om-bucket-generator")]
    Ombg(om::simple::OmbgArgs),
    /// Delete buckets
    #[command(visible_alias = "om-bucket-remover")]
    Ombr(om::simple::OmbrArgs),
    /// Calls of the Ozone Manager that do nothing, with or without payload
    #[command(visible_alias = "ome")]
    OmEcho(om::echo::OmEchoArgs),
    /// Calls of datanodes that do nothing, with or without payload
    #[command(visible_alias = "dne")]
    DnEcho(datanode::echo::DnEchoArgs),
    /// Write chunks through a pipeline, without keys
    #[command(visible_alias = "datanode-chunk-generator")]
    Dcg(datanode::chunks::DcgArgs),
    /// Read the chunks that dcg wrote, and compare
    #[command(visible_alias = "datanode-chunk-validator")]
    Dcv(datanode::chunks::DcvArgs),
    /// Commit blocks with chunks that do not exist
    #[command(visible_alias = "datanode-block-putter")]
    Dbp(datanode::blocks::DbpArgs),
    /// Make volumes, buckets and keys with random names
    #[command(visible_alias = "rk")]
    Randomkeys(randomkeys::RandomKeysArgs),
    /// What this machine can do at best: disk, loopback, checksums (ours, no load)
    Limits(limits::LimitsArgs),
}

/// What all generators get.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Settings of this call.
    pub conf: &'a Configuration,
    /// A person watches: a bar and the long report, as the Java tool does on a terminal.
    pub interactive: bool,
}

/// Runs one generator.
///
/// # Errors
/// It could not begin, or one of its operations failed; the report is printed then too.
pub fn run(conf: &Configuration, args: FreonArgs) -> Result<(), FreonError> {
    let interactive = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let context = Context { conf, interactive };
    match args.command {
        FreonCommand::Ommg(args) => om::ommg::run(&context, args),
        FreonCommand::Ockg(args) => key::ockg::run(&context, args),
        FreonCommand::Ockv(args) => key::ockv::run(&context, args),
        FreonCommand::Ocokr(args) => key::ockv::run_one(&context, args),
        FreonCommand::Ockr(args) => key::ockr::run(&context, args),
        FreonCommand::Ockrw(args) => key::ockrw::run(&context, args),
        FreonCommand::Omkg(args) => om::simple::omkg(&context, args),
        FreonCommand::Ombg(args) => om::simple::ombg(&context, args),
        FreonCommand::Ombr(args) => om::simple::ombr(&context, args),
        FreonCommand::OmEcho(args) => om::echo::run(&context, args),
        FreonCommand::DnEcho(args) => datanode::echo::run(&context, args),
        FreonCommand::Dcg(args) => datanode::chunks::generate(&context, args),
        FreonCommand::Dcv(args) => datanode::chunks::validate(&context, args),
        FreonCommand::Dbp(args) => datanode::blocks::run(&context, args),
        FreonCommand::Randomkeys(args) => randomkeys::run(&context, args),
        FreonCommand::Limits(args) => limits::run(&args),
    }
}
