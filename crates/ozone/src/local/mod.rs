//! `ozone local run`: SCM, OM and datanodes in this process, on loopback.
//!
//! ```text
//!  RunArgs ─► plan (directories, ports kept over restarts) ─► site (one configuration per daemon,
//!             conf/ozone-site.xml for clients) ─► cluster (init where needed, start, wait, stop)
//! ```
//! The daemons are those of `ozone scm|om|datanode`: real RPC, real Raft, real disks.

pub mod cluster;
mod plan;
mod site;
mod trial;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use ozone_config::ConfigError;
use ozone_daemon::stop;

use crate::cli::GlobalArgs;
use crate::local::cluster::LocalCluster;

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

/// What happens to a data directory that exists or does not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum Format {
    /// Create a cluster where there is none
    #[default]
    IfNeeded,
    /// Delete what is there and create a new cluster
    Always,
    /// Only start a cluster that exists
    Never,
}

/// Options of `ozone local run`.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// Where the cluster lives [default: ~/.ozone/local]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Whether to create a cluster
    #[arg(long, value_enum, default_value_t, num_args = 0..=1, default_missing_value = "always")]
    pub format: Format,
    /// Number of datanodes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=50))]
    pub datanodes: u16,
    /// Address that all daemons listen on and advertise
    #[arg(long, default_value = "127.0.0.1")]
    pub host: String,
    /// Client port of SCM (0: any free port)
    #[arg(long, default_value_t = 9860)]
    pub scm_port: u16,
    /// Port of the Ozone Manager (0: any free port)
    #[arg(long, default_value_t = 9862)]
    pub om_port: u16,
    /// Delete the data directory on the way out
    #[arg(long)]
    pub ephemeral: bool,
    /// How long to wait until the cluster is ready, in seconds
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    pub startup_timeout: u64,
    /// Store an object as soon as the cluster is ready, and read it back
    #[arg(long = "try")]
    pub trial: bool,
}

/// `ozone local …`.
///
/// # Errors
/// The cluster could not be started.
pub fn run(global: &GlobalArgs, args: LocalArgs) -> anyhow::Result<ExitCode> {
    let LocalCommand::Run(args) = args.command;
    global.begin_log("warn");
    let started = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let ephemeral = args.ephemeral;
        let timeout = Duration::from_secs(args.startup_timeout);
        let cluster = LocalCluster::start(&args, &overrides(&global.set)?).await?;
        tokio::select! {
            ready = cluster.ready(timeout) => ready?,
            _ = stop::requested() => {
                cluster.shutdown().await?;
                return Ok(ExitCode::from(130));
            }
        }
        announce(&cluster, started.elapsed());
        if args.trial {
            trial::store_and_read(&cluster).await?;
        }
        let failure = tokio::select! {
            stop = stop::requested() => stop.map(|()| None)?,
            reason = cluster.failed() => Some(reason),
        };
        let directory = cluster.directory().to_owned();
        cluster.shutdown().await?;
        if let Some(reason) = failure {
            anyhow::bail!("{reason} (the data stays in {})", directory.display());
        }
        if ephemeral {
            std::fs::remove_dir_all(&directory)
                .with_context(|| format!("cannot delete {}", directory.display()))?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// `-D key=value`, taken apart.
fn overrides(set: &[String]) -> Result<Vec<(String, String)>, ConfigError> {
    set.iter()
        .map(|text| {
            let (key, value) =
                text.split_once('=').ok_or_else(|| ConfigError::Override(text.clone()))?;
            Ok((key.to_owned(), value.to_owned()))
        })
        .collect()
}

/// Says where everything is and what to try.
fn announce(cluster: &LocalCluster, took: Duration) {
    let conf = cluster.directory().join("conf");
    let conf = conf.display();
    println!(
        "Ozone is running from {} (ready after {:.1} s)",
        cluster.directory().display(),
        took.as_secs_f64()
    );
    let url = |address: Option<SocketAddr>| {
        address.map_or_else(String::new, |address| format!("  http://{address}/"))
    };
    let (om, scm, datanodes) = cluster.http_addresses();
    println!("  Ozone Manager  {}{}", cluster.om_address(), url(om));
    println!("  SCM            {}{}", cluster.scm_address(), url(scm));
    let urls: String = datanodes.into_iter().map(|address| url(Some(address))).collect();
    println!("  datanodes      {}{urls}", cluster.datanodes());
    println!("  configuration  {conf}/ozone-site.xml");
    println!("Store and read an object from another terminal:");
    println!("  export OZONE_CONF_DIR={conf}");
    println!("  ozone sh volume create /vol && ozone sh bucket create /vol/bucket");
    println!(
        "  ozone sh key put /vol/bucket/hello README.md && ozone sh key cat /vol/bucket/hello"
    );
    println!("Press Ctrl-C to stop.");
}
