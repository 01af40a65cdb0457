//! `ozone sh volume …`.

use clap::{Args, Subcommand};
use ozone_client::volume::{NewVolume, VolumeScope};
use ozone_client::{OzoneClient, QUOTA_OLD, QUOTA_RESET, Volume};
use serde_json::Value;

use super::acl::{self, AclCommand, GetAclArgs, ModifyAclArgs};
use super::options::{ClearQuotaOptions, ListOptions, QuotaOptions};
use super::{Session, bucket, model};
use crate::address::Kind;
use crate::failure::Failure;

/// `ozone sh volume`.
#[derive(Args, Debug)]
pub struct VolumeArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: VolumeCommand,
}

/// Verbs of `ozone sh volume`.
#[derive(Subcommand, Debug)]
pub enum VolumeCommand {
    /// Describe a volume
    Info(AddressArg),
    /// List volumes
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Make a volume
    Create(CreateArgs),
    /// Change a volume's owner
    Update(UpdateArgs),
    /// Delete a volume
    Delete(DeleteArgs),
    /// Add access control entries
    Addacl(ModifyAclArgs),
    /// Remove access control entries
    Removeacl(ModifyAclArgs),
    /// Replace all access control entries
    Setacl(ModifyAclArgs),
    /// List access control entries
    Getacl(GetAclArgs),
    /// Limit a volume
    Setquota(SetQuotaArgs),
    /// Lift limits of a volume
    Clrquota(ClearQuotaArgs),
}

/// The only parameter of most commands.
#[derive(Args, Debug)]
pub struct AddressArg {
    /// Address, e.g. /vol or o3://om-service/vol
    #[arg(value_name = "value")]
    pub address: String,
}

/// Options of `list`.
#[derive(Args, Debug)]
pub struct ListArgs {
    /// Address of the cluster, e.g. o3://om-service/
    #[arg(value_name = "uri", default_value = "/")]
    address: String,
    #[command(flatten)]
    list: ListOptions,
    /// Volumes of this user; without meaning beside --all
    #[arg(short, long, value_name = "userName")]
    user: Option<String>,
}

/// Options of `create`.
#[derive(Args, Debug)]
pub struct CreateArgs {
    #[command(flatten)]
    at: AddressArg,
    /// Owner (default: you)
    #[arg(short, long, value_name = "ownerName")]
    user: Option<String>,
    #[command(flatten)]
    quota: QuotaOptions,
}

/// Options of `update`.
#[derive(Args, Debug)]
pub struct UpdateArgs {
    #[command(flatten)]
    at: AddressArg,
    /// New owner
    #[arg(long, value_name = "ownerName")]
    user: Option<String>,
}

/// Options of `delete`.
#[derive(Args, Debug)]
pub struct DeleteArgs {
    #[command(flatten)]
    at: AddressArg,
    /// Delete its buckets and all that is in them first
    #[arg(short = 'r')]
    recursive: bool,
    /// Accepted for compatibility; deletion needs no threads here
    #[arg(short = 't', long = "threads", alias = "thread", value_name = "threadNo", hide = true)]
    threads: Option<i32>,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

/// Options of `setquota`.
#[derive(Args, Debug)]
pub struct SetQuotaArgs {
    #[command(flatten)]
    at: AddressArg,
    #[command(flatten)]
    quota: QuotaOptions,
}

/// Options of `clrquota`.
#[derive(Args, Debug)]
pub struct ClearQuotaArgs {
    #[command(flatten)]
    at: AddressArg,
    #[command(flatten)]
    clear: ClearQuotaOptions,
}

/// Runs one command.
///
/// # Errors
/// What to print, and the exit code.
pub fn run(session: &Session, command: VolumeCommand) -> Result<(), Failure> {
    match command {
        VolumeCommand::Info(args) => info(session, &args),
        VolumeCommand::List(args) => list(session, args),
        VolumeCommand::Create(args) => create(session, args),
        VolumeCommand::Update(args) => update(session, &args),
        VolumeCommand::Delete(args) => delete(session, &args),
        VolumeCommand::Setquota(args) => set_quota(session, &args),
        VolumeCommand::Clrquota(args) => clear_quota(session, &args),
        VolumeCommand::Addacl(args) => acl::run(session, AclCommand::Add(args), Kind::Volume),
        VolumeCommand::Removeacl(args) => acl::run(session, AclCommand::Remove(args), Kind::Volume),
        VolumeCommand::Setacl(args) => acl::run(session, AclCommand::Set(args), Kind::Volume),
        VolumeCommand::Getacl(args) => acl::run(session, AclCommand::Get(args), Kind::Volume),
    }
}

fn open(session: &Session, at: &AddressArg) -> Result<(OzoneClient, String), Failure> {
    let address = session.address(&at.address, Kind::Volume, 0)?;
    Ok((session.client(&address)?, address.volume))
}

fn info(session: &Session, args: &AddressArg) -> Result<(), Failure> {
    let (client, name) = open(session, args)?;
    session.block_on(async {
        let volume = client.volume(&name).await?;
        session.print_json(&model::volume(&volume))
    })
}

fn create(session: &Session, args: CreateArgs) -> Result<(), Failure> {
    let (client, name) = open(session, &args.at)?;
    let new = NewVolume {
        owner: args.user,
        quota_in_bytes: args.quota.bytes()?.unwrap_or(QUOTA_RESET),
        quota_in_namespace: args.quota.items()?.unwrap_or(QUOTA_RESET),
    };
    session.block_on(async {
        client.create_volume(&name, new).await?;
        if session.verbose {
            let volume = client.volume(&name).await?;
            session.print_json(&model::volume(&volume))?;
        }
        Ok(())
    })
}

fn list(session: &Session, args: ListArgs) -> Result<(), Failure> {
    let address = session.address(&args.address, Kind::Root, 0).map_err(|error| match error {
        // The genuine shell reads this parameter itself, so it is no mistake of the command line.
        Failure::Usage { .. } => {
            Failure::new("Invalid URI. Volume/bucket/key elements should not been used")
        }
        other => other,
    })?;
    let client = session.client(&address)?;
    let user = args.user.unwrap_or_else(|| client.user().to_owned());
    let limit = args.list.limit()?;
    let scope =
        if args.list.all { VolumeScope::Cluster } else { VolumeScope::OwnedBy(user.clone()) };
    session.block_on(async {
        let volumes = collect(&client, &scope, &args.list, limit).await?;
        let json: Vec<Value> = volumes.iter().map(model::listed_volume).collect();
        session.print_json(&Value::Array(json))?;
        if session.verbose {
            eprint!("Found : {} volumes for user : {user} ", volumes.len());
        }
        Ok(())
    })
}

async fn collect(
    client: &OzoneClient,
    scope: &VolumeScope,
    list: &ListOptions,
    limit: usize,
) -> Result<Vec<Volume>, Failure> {
    let page_max = client.settings().list_page;
    let mut found: Vec<Volume> = Vec::new();
    loop {
        let start = found.last().map(|last| last.name.clone()).or_else(|| list.start.clone());
        let page =
            client.list_volumes(scope, list.prefix.as_deref(), start.as_deref(), page_max).await?;
        let ended = page.len() < page_max as usize;
        found.extend(page);
        if ended || found.len() >= limit {
            found.truncate(limit);
            return Ok(found);
        }
    }
}

fn update(session: &Session, args: &UpdateArgs) -> Result<(), Failure> {
    let (client, name) = open(session, &args.at)?;
    session.block_on(async {
        client.volume(&name).await?;
        if let Some(owner) = args.user.as_deref().filter(|owner| !owner.is_empty()) {
            client.set_volume_owner(&name, owner).await?;
        }
        let volume = client.volume(&name).await?;
        session.print_json(&model::volume(&volume))
    })
}

fn set_quota(session: &Session, args: &SetQuotaArgs) -> Result<(), Failure> {
    let (client, name) = open(session, &args.at)?;
    session.block_on(async {
        let volume = client.volume(&name).await?;
        let (bytes, items) = (args.quota.bytes()?, args.quota.items()?);
        if bytes.is_none() && items.is_none() {
            return Err(Failure::new("At least one of the quota set flag is required."));
        }
        if volume.quota_in_namespace == QUOTA_OLD {
            session.print(&format!(
                "Volume {name} is created before version 1.1.0, usedNamespace may be inaccurate \
                 and it is not recommended to enable quota."
            ))?;
        }
        let bytes = bytes.unwrap_or(volume.quota_in_bytes);
        let items = items.unwrap_or(volume.quota_in_namespace);
        Ok(client.set_volume_quota(&name, bytes, items).await?)
    })
}

fn clear_quota(session: &Session, args: &ClearQuotaArgs) -> Result<(), Failure> {
    let (client, name) = open(session, &args.at)?;
    session.block_on(async {
        let volume = client.volume(&name).await?;
        let (space, items) = (args.clear.space_quota, args.clear.namespace_quota);
        if !space && !items {
            return Err(Failure::new("At least one of the quota clear flag is required."));
        }
        let bytes = if space { QUOTA_RESET } else { volume.quota_in_bytes };
        let items = if items { QUOTA_RESET } else { volume.quota_in_namespace };
        Ok(client.set_volume_quota(&name, bytes, items).await?)
    })
}

fn delete(session: &Session, args: &DeleteArgs) -> Result<(), Failure> {
    let (client, name) = open(session, &args.at)?;
    if args.recursive && !args.yes {
        let question = "This command will delete volume recursively.\nThere is no recovery option \
                        after using this command, and no trash for FSO buckets.\nDelay is expected \
                        running this command.\nEnter 'yes' to proceed': ";
        if !bucket::confirmed(question)? {
            return session.print("Operation cancelled.");
        }
    }
    if args.recursive && args.threads.is_some_and(|threads| threads < 1) {
        return Err(Failure::new("The number of threads should be positive."));
    }
    session.block_on(async {
        if args.recursive {
            client.volume(&name).await?;
            bucket::delete_all(&client, &name).await?;
        }
        client.delete_volume(&name).await?;
        session.print(&format!("Volume {name} is deleted"))
    })
}
