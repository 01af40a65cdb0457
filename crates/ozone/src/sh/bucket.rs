//! `ozone sh bucket …`.

use std::io::{self, Write};

use clap::{Args, Subcommand};
use om_proto::BucketLayoutProto;
use ozone_client::bucket::NewBucket;
use ozone_client::{Bucket, OzoneClient, QUOTA_OLD, QUOTA_RESET};
use serde_json::Value;

use super::acl::{self, AclCommand, GetBucketAclArgs, ModifyAclArgs};
use super::options::{ClearQuotaOptions, ListOptions, QuotaOptions, ReplicationOptions};
use super::{Session, model};
use crate::address::{Address, Kind};
use crate::failure::Failure;

/// Keys deleted with one request.
const DELETE_BATCH_MAX: u32 = 1000;

/// `ozone sh bucket`.
#[derive(Args, Debug)]
pub struct BucketArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: BucketCommand,
}

/// Verbs of `ozone sh bucket`.
#[derive(Subcommand, Debug)]
pub enum BucketCommand {
    /// Describe a bucket
    Info(AddressArg),
    /// List the buckets of a volume
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Make a bucket
    Create(CreateArgs),
    /// Limit a bucket
    Setquota(SetQuotaArgs),
    /// Make a link to another bucket
    Link(LinkArgs),
    /// Delete a bucket
    Delete(DeleteArgs),
    /// Add access control entries
    Addacl(ModifyAclArgs),
    /// Remove access control entries
    Removeacl(ModifyAclArgs),
    /// List access control entries
    Getacl(GetBucketAclArgs),
    /// Replace all access control entries
    Setacl(ModifyAclArgs),
    /// Lift limits of a bucket
    Clrquota(ClearQuotaArgs),
    /// Set the replication of new keys
    SetReplicationConfig(SetReplicationArgs),
    /// Encrypt new keys with this key of the key management server
    #[command(hide = true)]
    SetEncryptionKey(SetEncryptionKeyArgs),
    /// Change a bucket's owner
    Update(UpdateArgs),
}

/// The only parameter of most commands.
#[derive(Args, Debug)]
pub struct AddressArg {
    /// Address, e.g. /vol/bucket or o3://om-service/vol/bucket
    #[arg(value_name = "value")]
    pub address: String,
}

/// Options of `list`.
#[derive(Args, Debug)]
pub struct ListArgs {
    /// Address of the volume, e.g. /vol
    #[arg(value_name = "value")]
    address: String,
    #[command(flatten)]
    list: ListOptions,
    /// Only buckets with a snapshot
    #[arg(long)]
    has_snapshot: bool,
}

/// Options of `create`.
#[derive(Args, Debug)]
pub struct CreateArgs {
    #[command(flatten)]
    at: AddressArg,
    /// Name of the encryption key
    #[arg(short = 'k', long = "bucketkey", value_name = "bekName")]
    encryption_key: Option<String>,
    /// Keys of deleted data are forgotten (data protection law)
    #[arg(short = 'g', long = "enforcegdpr")]
    gdpr: bool,
    /// Owner (default: you)
    #[arg(short, long, value_name = "ownerName")]
    user: Option<String>,
    /// fso (directories), obs (flat names) or legacy
    #[arg(short, long, value_name = "layout")]
    layout: Option<String>,
    #[command(flatten)]
    replication: ReplicationOptions,
    #[command(flatten)]
    quota: QuotaOptions,
}

/// Options of `setquota`.
#[derive(Args, Debug)]
pub struct SetQuotaArgs {
    #[command(flatten)]
    at: AddressArg,
    #[command(flatten)]
    quota: QuotaOptions,
}

/// Parameters of `link`.
#[derive(Args, Debug)]
pub struct LinkArgs {
    /// The bucket to point to
    #[arg(value_name = "source")]
    source: String,
    /// The link to make
    #[arg(value_name = "target")]
    target: String,
}

/// Options of `delete`.
#[derive(Args, Debug)]
pub struct DeleteArgs {
    #[command(flatten)]
    at: AddressArg,
    /// Delete its keys first
    #[arg(short = 'r')]
    recursive: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

/// Options of `clrquota`.
#[derive(Args, Debug)]
pub struct ClearQuotaArgs {
    #[command(flatten)]
    at: AddressArg,
    #[command(flatten)]
    clear: ClearQuotaOptions,
}

/// Options of `set-replication-config`.
#[derive(Args, Debug)]
pub struct SetReplicationArgs {
    #[command(flatten)]
    at: AddressArg,
    #[command(flatten)]
    replication: ReplicationOptions,
}

/// Options of `set-encryption-key`, which Java hides too: it is for buckets that lost their key.
#[derive(Args, Debug)]
pub struct SetEncryptionKeyArgs {
    #[command(flatten)]
    at: AddressArg,
    /// Name of the encryption key
    #[arg(short, long, value_name = "bekName")]
    key: Option<String>,
}

/// Options of `update`.
#[derive(Args, Debug)]
pub struct UpdateArgs {
    #[command(flatten)]
    at: AddressArg,
    /// New owner
    #[arg(short, long, value_name = "ownerName")]
    user: Option<String>,
}

/// Runs one command.
///
/// # Errors
/// What to print, and the exit code.
pub fn run(session: &Session, command: BucketCommand) -> Result<(), Failure> {
    use BucketCommand as C;
    match command {
        C::Info(args) => info(session, &args),
        C::List(args) => list(session, &args),
        C::Create(args) => create(session, args),
        C::Setquota(args) => set_quota(session, &args),
        C::Link(args) => link(session, &args),
        C::Delete(args) => delete(session, &args),
        C::Clrquota(args) => clear_quota(session, &args),
        C::SetReplicationConfig(args) => set_replication(session, &args),
        C::SetEncryptionKey(args) => set_encryption_key(session, &args),
        C::Update(args) => update(session, &args),
        C::Addacl(args) => acl::run(session, AclCommand::Add(args), Kind::Bucket),
        C::Removeacl(args) => acl::run(session, AclCommand::Remove(args), Kind::Bucket),
        C::Setacl(args) => acl::run(session, AclCommand::Set(args), Kind::Bucket),
        C::Getacl(args) => acl::run(session, args.into(), Kind::Bucket),
    }
}

fn open(session: &Session, at: &AddressArg) -> Result<(OzoneClient, Address), Failure> {
    let address = session.address(&at.address, Kind::Bucket, 0)?;
    Ok((session.client(&address)?, address))
}

/// The bucket of an address; asks for its volume first, so that a missing one is told as such.
pub(super) async fn find(client: &OzoneClient, address: &Address) -> Result<Bucket, Failure> {
    client.volume(&address.volume).await?;
    Ok(client.bucket(&address.volume, &address.bucket).await?)
}

fn info(session: &Session, args: &AddressArg) -> Result<(), Failure> {
    let (client, address) = open(session, args)?;
    session.block_on(async {
        let bucket = find(&client, &address).await?;
        session.print_json(&model::bucket(&bucket, &client))
    })
}

fn list(session: &Session, args: &ListArgs) -> Result<(), Failure> {
    let address = session.address(&args.address, Kind::Volume, 0)?;
    let client = session.client(&address)?;
    let volume = &address.volume;
    session.block_on(async {
        client.volume(volume).await?;
        let limit = args.list.limit()?;
        let page_max = client.settings().list_page;
        let mut found: Vec<Bucket> = Vec::new();
        loop {
            let start =
                found.last().map(|last| last.name.clone()).or_else(|| args.list.start.clone());
            let prefix = args.list.prefix.as_deref();
            let page = client
                .list_buckets(volume, prefix, start.as_deref(), page_max, args.has_snapshot)
                .await?;
            let ended = page.len() < page_max as usize;
            found.extend(page);
            if ended || found.len() >= limit {
                break;
            }
        }
        found.truncate(limit);
        let json: Vec<Value> = found.iter().map(|b| model::bucket(b, &client)).collect();
        session.print_json(&Value::Array(json))?;
        if session.verbose {
            eprint!("Found : {} buckets for volume : {volume} ", found.len());
        }
        Ok(())
    })
}

fn layout(text: &str) -> Result<BucketLayoutProto, Failure> {
    match text {
        "fso" => Ok(BucketLayoutProto::FileSystemOptimized),
        "obs" => Ok(BucketLayoutProto::ObjectStore),
        _ => BucketLayoutProto::from_str_name(&text.to_uppercase()).ok_or_else(|| {
            Failure::usage(format!(
                "Invalid value for option '--layout': cannot convert '{text}' to BucketLayout \
                 (java.lang.IllegalArgumentException: Unknown bucket layout: {text})"
            ))
        }),
    }
}

fn create(session: &Session, args: CreateArgs) -> Result<(), Failure> {
    // What is wrong with the command line itself comes first.
    args.replication.check()?;
    let layout = args.layout.as_deref().map(layout).transpose()?;
    let (client, address) = open(session, &args.at)?;
    let mut new = NewBucket { layout, owner: args.user, ..Default::default() };
    if args.gdpr {
        new.metadata.insert("gdprEnabled".to_owned(), "true".to_owned());
    }
    if let Some(key) = args.encryption_key {
        if key.is_empty() {
            return Err(Failure::new(
                "Bucket encryption key name must be specified to enable bucket encryption!",
            ));
        }
        if session.verbose {
            session.print(&format!("Bucket Encryption enabled with Key Name: {key}"))?;
        }
        new.encryption_key = Some(key);
    }
    new.replication = args.replication.given(session)?;
    new.quota_in_bytes = args.quota.bytes()?.unwrap_or(QUOTA_RESET);
    new.quota_in_namespace = args.quota.items()?.unwrap_or(QUOTA_RESET);
    session.block_on(make(session, &client, &address, new))
}

async fn make(
    session: &Session,
    client: &OzoneClient,
    address: &Address,
    new: NewBucket,
) -> Result<(), Failure> {
    client.volume(&address.volume).await?;
    client.create_bucket(&address.volume, &address.bucket, new).await?;
    if session.verbose {
        let bucket = client.bucket(&address.volume, &address.bucket).await?;
        session.print_json(&model::full_bucket(&bucket, client))?;
    }
    Ok(())
}

fn link(session: &Session, args: &LinkArgs) -> Result<(), Failure> {
    let source = session.address(&args.source, Kind::Bucket, 0)?;
    let target = session.address(&args.target, Kind::Bucket, 1)?;
    let client = session.client(&source)?;
    let new = NewBucket { source: Some((source.volume, source.bucket)), ..Default::default() };
    session.block_on(make(session, &client, &target, new))
}

fn set_quota(session: &Session, args: &SetQuotaArgs) -> Result<(), Failure> {
    let (client, address) = open(session, &args.at)?;
    session.block_on(async {
        let bucket = find(&client, &address).await?;
        let (bytes, items) = (args.quota.bytes()?, args.quota.items()?);
        if bytes.is_none() && items.is_none() {
            return Err(Failure::new("At least one of the quota set flag is required."));
        }
        if bucket.quota_in_namespace == QUOTA_OLD || bucket.used_bytes == QUOTA_OLD {
            session.print(&format!(
                "Bucket {} is created before version 1.1.0, usedBytes or usedNamespace may be \
                 inaccurate and it is not recommended to enable quota.",
                bucket.name
            ))?;
        }
        let bytes = bytes.unwrap_or(bucket.quota_in_bytes);
        let items = items.unwrap_or(bucket.quota_in_namespace);
        Ok(client.set_bucket_quota(&address.volume, &address.bucket, bytes, items).await?)
    })
}

fn clear_quota(session: &Session, args: &ClearQuotaArgs) -> Result<(), Failure> {
    let (client, address) = open(session, &args.at)?;
    session.block_on(async {
        let bucket = find(&client, &address).await?;
        let (space, items) = (args.clear.space_quota, args.clear.namespace_quota);
        if !space && !items {
            return Err(Failure::new("At least one of the quota clear flag is required."));
        }
        let bytes = if space { QUOTA_RESET } else { bucket.quota_in_bytes };
        let items = if items { QUOTA_RESET } else { bucket.quota_in_namespace };
        Ok(client.set_bucket_quota(&address.volume, &address.bucket, bytes, items).await?)
    })
}

fn set_replication(session: &Session, args: &SetReplicationArgs) -> Result<(), Failure> {
    args.replication.check()?;
    let (client, address) = open(session, &args.at)?;
    let replication = args
        .replication
        .given(session)?
        .ok_or_else(|| Failure::new("Replication type and config must be specified."))?;
    session.block_on(async {
        find(&client, &address).await?;
        let (volume, bucket) = (&address.volume, &address.bucket);
        Ok(client.set_bucket_replication(volume, bucket, replication).await?)
    })
}

fn set_encryption_key(session: &Session, args: &SetEncryptionKeyArgs) -> Result<(), Failure> {
    let (client, address) = open(session, &args.at)?;
    session.block_on(async {
        find(&client, &address).await?;
        let (volume, bucket) = (&address.volume, &address.bucket);
        Ok(client.set_bucket_encryption_key(volume, bucket, args.key.clone()).await?)
    })
}

fn update(session: &Session, args: &UpdateArgs) -> Result<(), Failure> {
    let (client, address) = open(session, &args.at)?;
    session.block_on(async {
        find(&client, &address).await?;
        if let Some(owner) = args.user.as_deref().filter(|owner| !owner.is_empty()) {
            client.set_bucket_owner(&address.volume, &address.bucket, owner).await?;
        }
        let bucket = client.bucket(&address.volume, &address.bucket).await?;
        session.print_json(&model::full_bucket(&bucket, &client))
    })
}

fn delete(session: &Session, args: &DeleteArgs) -> Result<(), Failure> {
    let (client, address) = open(session, &args.at)?;
    let name = &address.bucket;
    if args.recursive && !args.yes {
        let question = "This command will delete bucket recursively.\nThere is no recovery option \
                        after using this command, and deleted keys won't move to trash.\nEnter \
                        'yes' to proceed': ";
        if !confirmed(question)? {
            return session.print("Operation cancelled.");
        }
    }
    session.block_on(async {
        client.volume(&address.volume).await?;
        if !args.recursive {
            client.delete_bucket(&address.volume, name).await?;
            return session.print(&format!("Bucket {name} is deleted"));
        }
        let bucket = client.bucket(&address.volume, name).await?;
        match empty_and_delete(&client, &bucket).await {
            Ok(()) => session.print(&format!("Bucket {name} is deleted")),
            // As ever, this failure is only told.
            Err(error) => session.print(&format!("Could not delete bucket {error}.")),
        }
    })
}

/// Asks on stdout, reads the answer from stdin.
pub(super) fn confirmed(question: &str) -> Result<bool, Failure> {
    let mut out = io::stdout().lock();
    out.write_all(question.as_bytes())?;
    out.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(answer.trim().eq_ignore_ascii_case("yes"))
}

/// Deletes every bucket of a volume with all that is in them.
pub(super) async fn delete_all(client: &OzoneClient, volume: &str) -> Result<(), Failure> {
    loop {
        let page = client.list_buckets(volume, None, None, client.settings().list_page, false);
        let page = page.await?;
        if page.is_empty() {
            return Ok(());
        }
        for bucket in page {
            empty_and_delete(client, &bucket).await?;
        }
    }
}

async fn empty_and_delete(client: &OzoneClient, bucket: &Bucket) -> Result<(), Failure> {
    if !bucket.is_link() {
        if bucket.layout == BucketLayoutProto::FileSystemOptimized {
            empty_tree(client, bucket).await?;
        } else {
            empty_flat(client, bucket).await?;
        }
    }
    Ok(client.delete_bucket(&bucket.volume, &bucket.name).await?)
}

async fn empty_flat(client: &OzoneClient, bucket: &Bucket) -> Result<(), Failure> {
    let mut start: Option<String> = None;
    loop {
        let (page, more) = client.list_keys(bucket, "", start.as_deref(), DELETE_BATCH_MAX).await?;
        let names: Vec<String> = page.into_iter().map(|key| key.name).collect();
        start = names.last().cloned();
        if !names.is_empty() {
            client.delete_keys(&bucket.volume, &bucket.name, names).await?;
        }
        if !more {
            return Ok(());
        }
    }
}

/// Deletes what lies at the root, directories with all below them.
async fn empty_tree(client: &OzoneClient, bucket: &Bucket) -> Result<(), Failure> {
    for child in client.list_directory(bucket, "").await? {
        client.delete_key(&bucket.volume, &bucket.name, &child.name, !child.is_file).await?;
    }
    Ok(())
}
