//! `ozone sh`: volumes, buckets and keys.
//!
//! ```text
//!  arguments (clap) ─► address ─► Session: client, runtime, output ─► one file per command
//! ```
//! Output, order of JSON fields, messages and exit codes are those of the genuine shell, held by the
//! recorded transcripts in `golden/transcripts`.

pub mod acl;
pub mod bucket;
pub mod key;
mod model;
pub mod options;
pub mod volume;

use std::sync::Arc;

use clap::{Args, Subcommand};
use ozone_client::{OmAddress, OzoneClient, trace};
use ozone_config::Configuration;
use serde_json::Value;

use crate::address::{Address, Kind};
use crate::cli::GlobalArgs;
use crate::failure::Failure;
use crate::interactive::ManyArgs;
use crate::{json, output};

/// `ozone sh`.
#[derive(Args, Debug)]
pub struct ShArgs {
    /// How to take commands, if none is here.
    #[command(flatten)]
    pub many: ManyArgs,
    /// What to work on.
    #[command(subcommand)]
    pub command: Option<ShCommand>,
}

/// Nouns of `ozone sh`.
#[derive(Subcommand, Debug)]
pub enum ShCommand {
    /// Volumes: the roots of tenants
    #[command(visible_alias = "vol")]
    Volume(volume::VolumeArgs),
    /// Buckets: containers of keys within a volume
    Bucket(bucket::BucketArgs),
    /// Keys: objects and files within a bucket
    Key(key::KeyArgs),
    /// Prefixes of keys, for access control
    Prefix(acl::PrefixArgs),
}

/// Runs `ozone sh …`.
///
/// # Errors
/// What to print, and the exit code.
pub fn run(global: &GlobalArgs, command: ShCommand) -> Result<(), Failure> {
    let session = Session::new(global.configuration()?, global.verbose);
    match command {
        ShCommand::Volume(args) => volume::run(&session, args.command),
        ShCommand::Bucket(args) => bucket::run(&session, args.command),
        ShCommand::Key(args) => key::run(&session, args.command),
        ShCommand::Prefix(args) => acl::run_prefix(&session, args.command),
    }
}

/// What every command works with.
pub struct Session {
    /// Settings of this call.
    pub conf: Configuration,
    /// `--verbose`.
    pub verbose: bool,
    /// The id that everything caused by this command carries.
    trace: String,
}

/// Environment variable with an id to use instead of a new one.
const TRACE_VARIABLE: &str = "OZONE_TRACE_ID";

impl Session {
    /// A session with a trace id of its own; with `verbose` it is told on stderr.
    pub fn new(conf: Configuration, verbose: bool) -> Self {
        let trace = match std::env::var(TRACE_VARIABLE) {
            Ok(given) if !given.is_empty() => given,
            _ => trace::new(),
        };
        if verbose {
            eprintln!("trace {}", trace::id_of(&trace).unwrap_or_default());
        }
        Self { conf, verbose, trace }
    }

    /// Reads the positional parameter at `index`, an address.
    ///
    /// # Errors
    /// It does not name a `kind`.
    pub fn address(&self, text: &str, kind: Kind, index: usize) -> Result<Address, Failure> {
        Address::parse(text).and_then(|address| address.require(kind)).map_err(|reason| {
            Failure::usage(format!(
                "Invalid value for positional parameter at index {index} (<value>): cannot \
                 convert '{text}' to OzoneAddress \
                 (org.apache.hadoop.ozone.client.OzoneClientException: {reason})"
            ))
        })
    }

    /// A client of the cluster that the address names.
    ///
    /// # Errors
    /// Its scheme is not `o3`, or the configuration does not say where it is.
    pub fn client(&self, address: &Address) -> Result<OzoneClient, Failure> {
        address.require_scheme().map_err(Failure::new)?;
        self.client_of(&address.om)
    }

    /// A client of these Ozone Managers. Says on stderr, once, if it has to wait.
    ///
    /// # Errors
    /// The configuration does not say where they are.
    pub fn client_of(&self, om: &OmAddress) -> Result<OzoneClient, Failure> {
        let client = OzoneClient::new(&self.conf, om)?;
        let told = parking_lot::Mutex::new(String::new());
        client.om().observe(Arc::new(move |reason| {
            let mut told = told.lock();
            if *told != reason {
                eprintln!("{reason}; trying again");
                reason.clone_into(&mut told);
            }
        }));
        Ok(client)
    }

    /// Runs a command that only talks to the Ozone Manager, on this thread.
    ///
    /// # Errors
    /// Those of the command.
    pub fn block_on<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let outcome = runtime.block_on(trace::scope(&self.trace, "sh", work));
        // Name lookups may hang; nobody waits for them.
        runtime.shutdown_background();
        outcome
    }

    /// Runs a command that moves data: the network has threads of its own.
    ///
    /// # Errors
    /// Those of the command.
    pub fn block_on_transfer<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        /// Enough for what one client moves; more would only cost start-up time.
        const TRANSFER_THREADS: usize = 2;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(TRANSFER_THREADS)
            .enable_all()
            .build()?;
        let outcome = runtime.block_on(trace::scope(&self.trace, "sh", work));
        runtime.shutdown_background();
        outcome
    }

    /// Prints one line on stdout.
    ///
    /// # Errors
    /// Nobody reads it.
    pub fn print(&self, line: &str) -> Result<(), Failure> {
        output::line(line)
    }

    /// Prints JSON on stdout.
    ///
    /// # Errors
    /// Nobody reads it.
    pub fn print_json(&self, value: &Value) -> Result<(), Failure> {
        self.print(&json::pretty(value))
    }
}
