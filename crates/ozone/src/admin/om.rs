//! `ozone admin om`: before and after a change of version, and who does what now (`OMAdmin`).

use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use hdds_client::addresses;
use ozone_client::admin::{OmRole, UpgradeFinalizationStatus};
use ozone_client::{OmAddress, OzoneClient};
use ozone_config::Configuration;
use serde_json::json;
use uuid::Uuid;

use super::open_files::{self, OpenFilesArgs};
use super::{Service, ServiceOrHost};
use crate::failure::Failure;
use crate::sh::Session;

/// Between two looks at a finalization (`UpgradeMonitor`).
const FINALIZATION_LOOK: Duration = Duration::from_millis(500);

/// `ozone admin om`.
#[derive(Args, Debug)]
pub struct OmAdminArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: OmAdminCommand,
}

/// Verbs of `ozone admin om`.
#[derive(Subcommand, Debug)]
pub enum OmAdminCommand {
    /// Prepare for a change of version: write everything out, and take no more writes
    Prepare(PrepareArgs),
    /// Take writes again after prepare
    #[command(name = "cancelprepare")]
    CancelPrepare(Service),
    /// End an upgrade: new features on, no way back to the version before
    #[command(name = "finalizeupgrade")]
    FinalizeUpgrade(FinalizeArgs),
    /// Whether an upgrade waits to be finalized
    #[command(name = "finalizationstatus")]
    FinalizationStatus(ServiceOrHost),
    /// The members of the ring, and who leads
    #[command(visible_alias = "getserviceroles")]
    Roles(RolesArgs),
    /// Files that are being written
    #[command(name = "list-open-files", visible_aliases = ["list-open-keys", "lof", "lok"])]
    ListOpenFiles(OpenFilesArgs),
}

/// Options of `prepare`; times in seconds.
#[derive(Args, Debug)]
pub struct PrepareArgs {
    #[command(flatten)]
    service: Service,
    /// How long the Ozone Manager may take to write everything out
    #[arg(long = "transaction-apply-wait-timeout", default_value_t = 120, hide = true)]
    apply_wait: u64,
    /// How often it looks whether that is done
    #[arg(long = "transaction-apply-check-interval", default_value_t = 5, hide = true)]
    apply_check: u64,
    /// Between two looks at all Ozone Managers
    #[arg(long = "prepare-check-interval", default_value_t = 10, hide = true)]
    check: u64,
    /// How long all of them may take
    #[arg(long = "prepare-timeout", default_value_t = 300, hide = true)]
    timeout: u64,
}

/// Options of `finalizeupgrade`.
#[derive(Args, Debug)]
pub struct FinalizeArgs {
    #[command(flatten)]
    om: ServiceOrHost,
    /// Follow a finalization that another client began
    #[arg(long)]
    takeover: bool,
}

/// Options of `roles`.
#[derive(Args, Debug)]
pub struct RolesArgs {
    #[command(flatten)]
    service: Service,
    /// As JSON
    #[arg(long)]
    json: bool,
    /// As a table
    #[arg(long, conflicts_with = "json")]
    table: bool,
}

/// Runs `ozone admin om …`.
///
/// # Errors
/// What to print, and the exit code.
pub fn run(session: &Session, command: OmAdminCommand) -> Result<(), Failure> {
    match command {
        OmAdminCommand::Prepare(args) => prepare(session, &args),
        OmAdminCommand::CancelPrepare(service) => {
            let client = session.client_of(&service.address(session)?)?;
            session.block_on(async { Ok(client.cancel_prepare().await?) })?;
            session.print("Cancel prepare succeeded, cluster can now accept write requests.")
        }
        OmAdminCommand::FinalizeUpgrade(args) => {
            let client = session.client_of(&args.om.address(session)?)?;
            session.block_on(finalize(session, &client, args.takeover))
        }
        OmAdminCommand::FinalizationStatus(om) => {
            let client = session.client_of(&om.address(session)?)?;
            let look = async { Ok(client.finalization(&upgrade_client(), false, true).await?) };
            session.print(session.block_on(look)?.status().as_str_name())
        }
        OmAdminCommand::Roles(args) => {
            let client = session.client_of(&args.service.address(session)?)?;
            let roles = session.block_on(async { Ok(client.om_roles().await?) })?;
            show_roles(session, &roles, &args)
        }
        OmAdminCommand::ListOpenFiles(args) => open_files::run(session, &args),
    }
}

/// One Ozone Manager, asked for itself.
struct Member {
    host: String,
    client: OzoneClient,
    is_prepared: bool,
}

fn members(session: &Session, args: &PrepareArgs) -> Result<Vec<Member>, Failure> {
    let failed = |error: addresses::AddressError| Failure::new(error.to_string());
    let only = addresses::om_services(&session.conf).map_err(failed)?.into_iter().next();
    let service = args.service.id.clone().or(only);
    // One that is down is told at once; there is a next look.
    let mut conf: Configuration = session.conf.clone();
    conf.set("ozone.client.failover.max.attempts", "1");
    let nodes = addresses::om_nodes(&conf, service.as_deref()).map_err(failed)?;
    nodes
        .into_iter()
        .map(|node| {
            let address = OmAddress::Named(node.rpc.host.clone(), Some(node.rpc.port));
            let client = OzoneClient::new(&conf, &address)?;
            Ok(Member { host: node.rpc.host, client, is_prepared: false })
        })
        .collect()
}

fn prepare(session: &Session, args: &PrepareArgs) -> Result<(), Failure> {
    let client = session.client_of(&args.service.address(session)?)?;
    let mut members = members(session, args)?;
    session.block_on(async {
        let index = client.prepare(args.apply_wait, args.apply_check).await?;
        session.print(&format!(
            "Ozone Manager Prepare Request successfully returned with Transaction Id : [{index}].\n\n\
             Checking individual OM instances for prepare request completion..."
        ))?;
        let end = Instant::now() + Duration::from_secs(args.timeout);
        while Instant::now() < end {
            for member in members.iter_mut().filter(|member| !member.is_prepared) {
                look_at(session, member, index).await?;
            }
            if members.iter().all(|member| member.is_prepared) {
                break;
            }
            session.print(&format!("Waiting for {} seconds before retrying...", args.check))?;
            tokio::time::sleep(Duration::from_secs(args.check)).await;
        }
        Ok(())
    })?;
    conclude(session, &members)
}

async fn look_at(session: &Session, member: &mut Member, index: u64) -> Result<(), Failure> {
    let host = &member.host;
    match member.client.preparation(index).await {
        Ok(found) => {
            member.is_prepared = found.is_complete();
            session.print(&format!(
                "OM : [{host}], Prepare Status : [{}], Current Transaction Id : [{}]",
                found.status, found.index
            ))
        }
        Err(error) => session.print(&format!(
            "Exception while checking preparation completeness for [{host}], Error : [{error}]"
        )),
    }
}

fn conclude(session: &Session, members: &[Member]) -> Result<(), Failure> {
    let missing: Vec<&str> =
        members.iter().filter(|m| !m.is_prepared).map(|m| m.host.as_str()).collect();
    if members.len() - missing.len() < members.len().div_ceil(2) {
        let message = "OM Preparation failed since a majority OMs are not prepared yet.";
        return Err(Failure::new(message));
    }
    session.print("\nOM Preparation successful! ")?;
    if missing.is_empty() {
        session.print("All OMs are prepared")?;
    } else {
        let missing = missing.concat();
        session.print(&format!(
            "A majority of OMs are prepared. OMs that are not prepared : {missing}"
        ))?;
    }
    session.print(
        "No new write requests will be allowed until preparation is cancelled or \
         upgrade/downgrade is done.",
    )
}

fn upgrade_client() -> String {
    format!("Upgrade-Client-{}", Uuid::new_v4())
}

async fn finalize(session: &Session, client: &OzoneClient, takeover: bool) -> Result<(), Failure> {
    let own = upgrade_client();
    match client.finalize_upgrade(&own).await?.status().as_str_name() {
        "ALREADY_FINALIZED" => {
            return session.print("Upgrade has already been finalized.\nExiting...");
        }
        "STARTING_FINALIZATION" => {}
        other => {
            eprintln!("Invalid response from Ozone Manager.");
            eprintln!("Current finalization status is: {other}");
            return Err(Failure::new("Exiting..."));
        }
    }
    loop {
        tokio::time::sleep(FINALIZATION_LOOK).await;
        let progress = client.finalization(&own, takeover, false).await?;
        if told(session, &progress)? {
            break;
        }
    }
    session.print("Finalization of Ozone Manager's metadata upgrade finished.")
}

/// Tells how far it is; true at the end.
fn told(session: &Session, progress: &UpgradeFinalizationStatus) -> Result<bool, Failure> {
    let status = progress.status().as_str_name();
    if status == "ALREADY_FINALIZED" {
        session.print("Finalization already finished.\nExiting...")?;
        return Ok(true);
    }
    let is_done = status == "FINALIZATION_DONE";
    if is_done || status == "FINALIZATION_IN_PROGRESS" {
        for message in &progress.messages {
            session.print(message)?;
        }
    }
    if is_done {
        session.print("Exiting...")?;
    }
    Ok(is_done)
}

fn show_roles(session: &Session, roles: &[OmRole], args: &RolesArgs) -> Result<(), Failure> {
    if args.json {
        let rows = roles.iter().map(|member| {
            json!({ member.node.as_str(): { "serverRole": member.role, "hostname": member.host } })
        });
        return session.print_json(&rows.collect());
    }
    if args.table {
        let rows = roles.iter().map(|m| [m.host.clone(), m.node.clone(), m.role.clone()]);
        return session.print(&table("Ozone Manager Roles", rows.collect()));
    }
    for OmRole { node, role, host } in roles {
        session.print(&format!("{node} : {role} ({host})"))?;
    }
    Ok(())
}

/// A titled table with a frame, as `FormattingCLIUtils` draws it.
fn table(title: &str, mut rows: Vec<[String; 3]>) -> String {
    rows.insert(0, ["Host Name", "Node ID", "Role"].map(str::to_owned));
    let longest = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: [usize; 3] = std::array::from_fn(|column| longest(column).unwrap_or(0) + 2);
    let whole = widths.iter().sum::<usize>() + widths.len() - 1;
    let rule: String = widths.iter().map(|width| format!("+{}", "-".repeat(*width))).collect();
    let title: String = title.chars().take(whole - 2).collect();
    let mut text = format!("+{}+\n|{title:^whole$}|\n{rule}+\n", "-".repeat(whole));
    for (number, row) in rows.iter().enumerate() {
        for (cell, width) in row.iter().zip(widths) {
            text.push_str(&format!("|{cell:^width$}"));
        }
        text.push_str("|\n");
        if number == 0 || number + 1 == rows.len() {
            text.push_str(&format!("{rule}+\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_framed_and_its_cells_stand_in_the_middle() {
        let row = ["host.example", "om1", "LEADER"].map(str::to_owned);
        let expected = "\
+---------------------------------+
|       Ozone Manager Roles       |
+--------------+---------+--------+
|  Host Name   | Node ID |  Role  |
+--------------+---------+--------+
| host.example |   om1   | LEADER |
+--------------+---------+--------+
";
        assert_eq!(table("Ozone Manager Roles", vec![row]), expected);
    }
}
