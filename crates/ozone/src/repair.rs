//! `ozone repair`: what mends a cluster. So far the accounts of quotas (`QuotaRepair`).

use clap::{Args, Subcommand};

use crate::admin::ServiceOrHost;
use crate::cli::GlobalArgs;
use crate::failure::Failure;
use crate::sh::Session;

/// `ozone repair`.
#[derive(Args, Debug)]
pub struct RepairArgs {
    /// Of which kind of daemon.
    #[command(subcommand)]
    pub command: RepairCommand,
}

/// Kinds of daemons.
#[derive(Subcommand, Debug)]
pub enum RepairCommand {
    /// Ozone Managers
    Om {
        /// What to mend.
        #[command(subcommand)]
        command: OmRepairCommand,
    },
}

/// What can be mended at an Ozone Manager.
#[derive(Subcommand, Debug)]
pub enum OmRepairCommand {
    /// What buckets and volumes say they use
    Quota {
        /// What to do.
        #[command(subcommand)]
        command: QuotaCommand,
    },
}

/// Verbs of `ozone repair om quota`.
#[derive(Subcommand, Debug)]
pub enum QuotaCommand {
    /// Count anew, in the background
    Start(QuotaArgs),
    /// How the last count went
    Status(ServiceOrHost),
}

/// Options of `ozone repair om quota start`.
#[derive(Args, Debug)]
pub struct QuotaArgs {
    #[command(flatten)]
    om: ServiceOrHost,
    /// Only these: /volume/bucket,/volume/bucket…
    #[arg(long, value_delimiter = ',', value_name = "buckets")]
    buckets: Vec<String>,
    /// Only say what would be done
    #[arg(long = "dry-run")]
    dry_run: bool,
    /// Accepted as by the Java tool; there is nothing to force
    #[arg(long, hide = true)]
    force: bool,
}

/// Runs `ozone repair …`.
///
/// # Errors
/// What to print, and the exit code.
pub fn run(global: &GlobalArgs, command: RepairCommand) -> Result<(), Failure> {
    let session = Session::new(global.configuration()?, global.verbose);
    let RepairCommand::Om { command: OmRepairCommand::Quota { command } } = command;
    match command {
        QuotaCommand::Start(args) => start(&session, &args),
        QuotaCommand::Status(om) => {
            let client = session.client_of(&om.address(&session)?)?;
            let status = session.block_on(async { Ok(client.quota_repair_status().await?) })?;
            session.print(&status)
        }
    }
}

fn start(session: &Session, args: &QuotaArgs) -> Result<(), Failure> {
    let client = session.client_of(&args.om.address(session)?)?;
    let which = match args.buckets.as_slice() {
        [] => "all buckets".to_owned(),
        buckets => format!("buckets {}", buckets.join(",")),
    };
    let dry = if args.dry_run { "[dry run] " } else { "" };
    session.print(&format!("{dry}Triggering quota repair for {which}"))?;
    if args.dry_run {
        return Ok(());
    }
    let status = session.block_on(async {
        client.start_quota_repair(&args.buckets).await?;
        Ok(client.quota_repair_status().await?)
    })?;
    session.print(&status)
}
