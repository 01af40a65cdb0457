//! Access control entries: `addacl`, `removeacl`, `setacl`, `getacl` of volumes, buckets, keys and
//! prefixes.

use clap::{ArgAction, Args, Subcommand};
use om_proto::ozone_obj::StoreType;
use ozone_client::{Acl, OzoneClient};
use serde_json::Value;

use super::{Session, model};
use crate::address::Kind;
use crate::failure::Failure;

/// `ozone sh prefix`.
#[derive(Args, Debug)]
pub struct PrefixArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: PrefixCommand,
}

/// Verbs of `ozone sh prefix`.
#[derive(Subcommand, Debug)]
pub enum PrefixCommand {
    /// Add access control entries
    Addacl(ModifyAclArgs),
    /// Remove access control entries
    Removeacl(ModifyAclArgs),
    /// Replace all access control entries
    Setacl(ModifyAclArgs),
    /// List access control entries
    Getacl(GetAclArgs),
}

/// Options of the commands that change entries.
#[derive(Args, Debug)]
pub struct ModifyAclArgs {
    /// Address
    #[arg(value_name = "value")]
    address: String,
    /// Entries like user:anna:rw or group:staff:a[DEFAULT], separated by commas; rights are
    /// r(ead) w(rite) c(reate) d(elete) l(ist) a(ll) n(one) x (read ACL) y (write ACL)
    #[arg(
        short = 'a',
        long = "acls",
        alias = "acl",
        value_name = "values",
        required = true,
        value_delimiter = ','
    )]
    acls: Vec<String>,
    #[command(flatten)]
    store: StoreOption,
}

/// Options of `getacl`.
#[derive(Args, Debug)]
pub struct GetAclArgs {
    /// Address
    #[arg(value_name = "value")]
    address: String,
    /// JSON, else one line
    #[arg(
        long, default_value_t = true, default_missing_value = "true", num_args = 0..=1,
        require_equals = true, action = ArgAction::Set
    )]
    json: bool,
    /// One line
    #[arg(long, hide = true, conflicts_with = "json")]
    no_json: bool,
    #[command(flatten)]
    store: StoreOption,
}

/// Options of `getacl` of buckets.
#[derive(Args, Debug)]
pub struct GetBucketAclArgs {
    /// Those of the bucket that a link leads to, instead of those of the link
    #[arg(
        long, default_value_t = false, default_missing_value = "true", num_args = 0..=1,
        require_equals = true, action = ArgAction::Set
    )]
    source: bool,
    #[command(flatten)]
    acl: GetAclArgs,
}

impl From<GetBucketAclArgs> for AclCommand {
    fn from(args: GetBucketAclArgs) -> Self {
        if args.source { Self::GetOfSource(args.acl) } else { Self::Get(args.acl) }
    }
}

/// Which store's object is meant.
#[derive(Args, Debug)]
struct StoreOption {
    /// OZONE or S3
    #[arg(short = 's', long, value_name = "value", default_value = "OZONE", value_parser = store_type)]
    store: StoreType,
}

fn store_type(text: &str) -> Result<StoreType, String> {
    StoreType::from_str_name(text).ok_or_else(|| "expected OZONE or S3".to_owned())
}

/// One of the four commands.
#[derive(Debug)]
pub enum AclCommand {
    /// `addacl`.
    Add(ModifyAclArgs),
    /// `removeacl`.
    Remove(ModifyAclArgs),
    /// `setacl`.
    Set(ModifyAclArgs),
    /// `getacl`.
    Get(GetAclArgs),
    /// `getacl --source`.
    GetOfSource(GetAclArgs),
}

/// Runs `ozone sh prefix …`.
///
/// # Errors
/// What to print, and the exit code.
pub fn run_prefix(session: &Session, command: PrefixCommand) -> Result<(), Failure> {
    let command = match command {
        PrefixCommand::Addacl(args) => AclCommand::Add(args),
        PrefixCommand::Removeacl(args) => AclCommand::Remove(args),
        PrefixCommand::Setacl(args) => AclCommand::Set(args),
        PrefixCommand::Getacl(args) => AclCommand::Get(args),
    };
    run(session, command, Kind::Prefix)
}

/// Runs one command on an object of this kind.
///
/// # Errors
/// What to print, and the exit code.
pub fn run(session: &Session, command: AclCommand, kind: Kind) -> Result<(), Failure> {
    let (text, store, wanted) = match &command {
        AclCommand::Add(args) | AclCommand::Remove(args) | AclCommand::Set(args) => {
            (&args.address, args.store.store, entries(&args.acls)?)
        }
        AclCommand::Get(args) | AclCommand::GetOfSource(args) => {
            (&args.address, args.store.store, Vec::new())
        }
    };
    let address = session.address(text, kind, 0)?;
    let client = session.client(&address)?;
    let mut object = address.acl_object(store, kind == Kind::Prefix);
    session.block_on(async {
        if matches!(command, AclCommand::GetOfSource(_)) {
            object.path = source_of(&client, address.volume, address.bucket).await?;
        }
        match command {
            AclCommand::Add(_) => {
                for acl in wanted {
                    let added = client.add_acl(&object, &acl).await?;
                    let outcome = if added { "added successfully" } else { "already exists" };
                    session.print(&format!("ACL {acl} {outcome}."))?;
                }
                Ok(())
            }
            AclCommand::Remove(_) => {
                for acl in wanted {
                    let removed = client.remove_acl(&object, &acl).await?;
                    let outcome = if removed { "removed successfully" } else { "doesn't exist" };
                    session.print(&format!("ACL {acl} {outcome}."))?;
                }
                Ok(())
            }
            AclCommand::Set(_) => {
                client.set_acls(&object, &wanted).await?;
                session.print("ACLs set successfully.")
            }
            AclCommand::Get(args) | AclCommand::GetOfSource(args) => {
                let acls = client.acls(&object).await?;
                if args.json && !args.no_json {
                    session.print_json(&Value::Array(acls.iter().map(model::acl).collect()))
                } else {
                    let short: Vec<String> = acls.iter().map(Acl::short).collect();
                    session.print(&short.join(","))
                }
            }
        }
    })
}

/// Links may lead to links; a loop of them ends here.
const LINK_HOPS_MAX: usize = 64;

/// The path of the bucket at the end of a chain of links.
async fn source_of(
    client: &OzoneClient,
    mut volume: String,
    mut bucket: String,
) -> Result<String, Failure> {
    for _ in 0..LINK_HOPS_MAX {
        match client.bucket(&volume, &bucket).await?.source {
            Some(source) => (volume, bucket) = source,
            None => return Ok(format!("/{volume}/{bucket}")),
        }
    }
    Err(Failure::new(format!("{volume}/{bucket} is in a loop of links")))
}

fn entries(texts: &[String]) -> Result<Vec<Acl>, Failure> {
    let parse = |text: &String| {
        Acl::parse(text).map_err(|reason| {
            Failure::usage(format!(
                "Invalid value for option '--acls' (<values>): cannot convert '{text}' to OzoneAcl \
                 (java.lang.IllegalArgumentException: {reason})"
            ))
        })
    };
    texts.iter().map(parse).collect()
}
