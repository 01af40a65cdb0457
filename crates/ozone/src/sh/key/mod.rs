//! `ozone sh key …`.

mod list;
mod transfer;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use om_proto::BucketLayoutProto;
use ozone_client::key::Combine;
use ozone_client::{Bucket, OzoneClient};
use serde_json::json;

use super::acl::{self, AclCommand, GetAclArgs, ModifyAclArgs};
use super::options::{ListOptions, MandatoryReplicationOptions, ReplicationOptions};
use super::{Session, bucket, model};
use crate::address::{Address, Kind};
use crate::failure::Failure;

/// `ozone sh key`.
#[derive(Args, Debug)]
pub struct KeyArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: KeyCommand,
}

/// Verbs of `ozone sh key`.
#[derive(Subcommand, Debug)]
pub enum KeyCommand {
    /// Describe a key
    Info(AddressArg),
    /// List keys of a bucket, of all buckets of a volume, or of a snapshot
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Store a file as a key
    Put(PutArgs),
    /// Fetch a key into a file
    Get(GetArgs),
    /// Print a key's data
    Cat(AddressArg),
    /// Copy a key within its bucket
    Cp(CopyArgs),
    /// Rename a key within its bucket
    Rename(RenameArgs),
    /// Store a key's data anew with another replication
    Rewrite(RewriteArgs),
    /// Delete a key
    Delete(AddressArg),
    /// Add access control entries
    Addacl(ModifyAclArgs),
    /// Remove access control entries
    Removeacl(ModifyAclArgs),
    /// Replace all access control entries
    Setacl(ModifyAclArgs),
    /// List access control entries
    Getacl(GetAclArgs),
    /// Checksum of a key's data
    Checksum(ChecksumArgs),
}

/// The only parameter of many commands.
#[derive(Args, Debug)]
pub struct AddressArg {
    /// Address, e.g. /vol/bucket/key or o3://om-service/vol/bucket/key
    #[arg(value_name = "value")]
    pub address: String,
}

/// Options of `list`.
#[derive(Args, Debug)]
pub struct ListArgs {
    /// Address of a bucket, volume or snapshot
    #[arg(value_name = "value")]
    address: String,
    #[command(flatten)]
    list: ListOptions,
}

/// Options of `put`.
#[derive(Args, Debug)]
pub struct PutArgs {
    #[command(flatten)]
    at: AddressArg,
    /// File to store
    #[arg(value_name = "fileName")]
    file: PathBuf,
    #[command(flatten)]
    replication: ReplicationOptions,
    /// Accepted for compatibility; data always streams
    #[arg(long, hide = true)]
    stream: bool,
    /// Replace the key only if it is of this generation
    #[arg(
        long = "expectedGeneration",
        value_name = "expectedGeneration",
        allow_negative_numbers = true
    )]
    expected_generation: Option<i64>,
}

/// Options of `get`.
#[derive(Args, Debug)]
pub struct GetArgs {
    #[command(flatten)]
    at: AddressArg,
    /// File to write, or a directory
    #[arg(value_name = "fileName")]
    file: PathBuf,
    /// Overwrite the file
    #[arg(short, long)]
    force: bool,
}

/// Parameters of `rename`.
#[derive(Args, Debug)]
pub struct RenameArgs {
    /// Address of the bucket
    #[arg(value_name = "value")]
    address: String,
    /// The key
    #[arg(value_name = "fromKey")]
    from: String,
    /// Its new name
    #[arg(value_name = "toKey")]
    to: String,
}

/// Parameters of `cp`.
#[derive(Args, Debug)]
pub struct CopyArgs {
    #[command(flatten)]
    keys: RenameArgs,
    #[command(flatten)]
    replication: ReplicationOptions,
}

/// Options of `rewrite`.
#[derive(Args, Debug)]
pub struct RewriteArgs {
    #[command(flatten)]
    at: AddressArg,
    #[command(flatten)]
    replication: MandatoryReplicationOptions,
}

/// Options of `checksum`.
#[derive(Args, Debug)]
pub struct ChecksumArgs {
    #[command(flatten)]
    at: AddressArg,
    /// COMPOSITE_CRC or MD5MD5CRC
    #[arg(short = 'c', long, value_name = "mode", default_value = "COMPOSITE_CRC")]
    combine_mode: String,
}

/// Runs one command.
///
/// # Errors
/// What to print, and the exit code.
pub fn run(session: &Session, command: KeyCommand) -> Result<(), Failure> {
    use KeyCommand as C;
    match command {
        C::Info(args) => info(session, &args),
        C::List(args) => list::run(session, &args),
        C::Put(args) => transfer::put(session, args),
        C::Get(args) => transfer::get(session, &args),
        C::Cat(args) => transfer::cat(session, &args),
        C::Cp(args) => transfer::copy(session, &args),
        C::Rename(args) => rename(session, &args),
        C::Rewrite(args) => transfer::rewrite(session, args),
        C::Delete(args) => delete(session, &args),
        C::Checksum(args) => checksum(session, &args),
        C::Addacl(args) => acl::run(session, AclCommand::Add(args), Kind::Key),
        C::Removeacl(args) => acl::run(session, AclCommand::Remove(args), Kind::Key),
        C::Setacl(args) => acl::run(session, AclCommand::Set(args), Kind::Key),
        C::Getacl(args) => acl::run(session, AclCommand::Get(args), Kind::Key),
    }
}

fn open(session: &Session, at: &AddressArg) -> Result<(OzoneClient, Address), Failure> {
    let address = session.address(&at.address, Kind::Key, 0)?;
    Ok((session.client(&address)?, address))
}

fn info(session: &Session, args: &AddressArg) -> Result<(), Failure> {
    let (client, address) = open(session, args)?;
    session.block_on(async {
        bucket::find(&client, &address).await?;
        let key = client.key(&address.volume, &address.bucket, &address.key, false).await?;
        session.print_json(&model::key(&key))
    })
}

fn rename(session: &Session, args: &RenameArgs) -> Result<(), Failure> {
    let address = session.address(&args.address, Kind::Bucket, 0)?;
    let client = session.client(&address)?;
    session.block_on(async {
        bucket::find(&client, &address).await?;
        client.rename_key(&address.volume, &address.bucket, &args.from, &args.to).await?;
        if session.verbose {
            session.print(&format!("Renamed Key : {} to {}", args.from, args.to))?;
        }
        Ok(())
    })
}

fn checksum(session: &Session, args: &ChecksumArgs) -> Result<(), Failure> {
    let combine = Combine::from_name(&args.combine_mode).ok_or_else(|| {
        Failure::usage(format!(
            "Invalid value for option '--combine-mode': expected one of [MD5MD5CRC, COMPOSITE_CRC] \
             (case-sensitive) but was '{}'",
            args.combine_mode
        ))
    })?;
    let (client, address) = open(session, &args.at)?;
    session.block_on(async {
        bucket::find(&client, &address).await?;
        let (size, checksum) =
            client.key_checksum(&address.volume, &address.bucket, &address.key, combine).await?;
        let hex: String = checksum.buffer().iter().map(|byte| format!("{byte:02X}")).collect();
        session.print_json(&json!({
            "volumeName": address.volume,
            "bucketName": address.bucket,
            "name": address.key,
            "dataSize": size,
            "algorithm": checksum.algorithm,
            "checksum": hex,
        }))
    })
}

fn delete(session: &Session, args: &AddressArg) -> Result<(), Failure> {
    let (client, address) = open(session, args)?;
    session.block_on(async {
        let bucket = bucket::find(&client, &address).await?;
        let key = address.key.as_str();
        if key == ".snapshot" || key.starts_with(".snapshot/") {
            return session.print(
                "Operation not permitted: Cannot delete key under path reserved for snapshot: \
                 .snapshot/ ",
            );
        }
        if bucket.layout == BucketLayoutProto::FileSystemOptimized && trash_is_on(session)? {
            return to_trash(session, &client, &bucket, key).await;
        }
        Ok(client.delete_key(&bucket.volume, &bucket.name, key, false).await?)
    })
}

/// `ozone.fs.trash.interval`, else `fs.trash.interval`, above zero.
fn trash_is_on(session: &Session) -> Result<bool, Failure> {
    let conf = &session.conf;
    let minutes = match conf.get("ozone.fs.trash.interval")? {
        Some(_) => conf.float("ozone.fs.trash.interval", 0.0)?,
        None => conf.float("fs.trash.interval", 0.0)?,
    };
    Ok(minutes > 0.0)
}

/// Moves a file or an empty directory into the user's trash.
async fn to_trash(
    session: &Session,
    client: &OzoneClient,
    bucket: &Bucket,
    key: &str,
) -> Result<(), Failure> {
    if key.contains(".Trash") {
        return session.print("Use fs command to delete key from Trash ");
    }
    let (volume, name) = (&bucket.volume, &bucket.name);
    let key = key.strip_suffix('/').unwrap_or(key);
    if client.key(volume, name, key, false).await.is_err() {
        return session.print(&format!("Key not found {key} "));
    }
    let is_directory = client.is_directory(volume, name, key).await?;
    if is_directory && !client.list_directory(bucket, key).await?.is_empty() {
        return session.print("Directory is not empty ");
    }
    let current = format!("/.Trash/{}/Current", client.user());
    let mut target = format!("{current}/{key}");
    if client.key(volume, name, &target, false).await.is_ok() {
        if client.is_directory(volume, name, &target).await? {
            return Ok(client.delete_key(volume, name, key, false).await?);
        }
        target.push_str(&chrono::Utc::now().timestamp_millis().to_string());
    }
    let parent = key.rsplit_once('/').map_or(current.clone(), |(up, _)| format!("{current}/{up}"));
    client.create_directory(volume, name, &parent).await?;
    client.rename_key(volume, name, key, &target).await?;
    session.print(&format!("Key moved inside Trash: {target} "))
}
