//! One client: a request after the other on a few names that everybody uses.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use om_proto::{
    BucketLayoutProto, CommitKeyRequest, CreateKeyRequest, DeleteKeyArgs, DeleteKeyRequest,
    DeleteKeysRequest, GetFileStatusRequest, GetKeyInfoRequest, KeyArgs, KeyInfo, ListKeysRequest,
    ListStatusRequest, LookupKeyRequest, OmRequest, OmResponse, RenameKeyRequest, Status, Type,
};
use ozone_client::{ClientError, OzoneClient};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::watch;

use super::history::{Clock, History, NEVER, Operation};
use super::state::{Action, Name, Value};

/// The volume of every run.
pub const VOLUME: &str = "linear";
/// Names of a group.
const NAMES: Name = 5;
/// Rows of a listing: more than a group has.
const ROWS: i32 = 100;

/// A few names that are judged together.
pub struct Group {
    /// Their bucket.
    pub bucket: &'static str,
    /// Its layout.
    pub layout: BucketLayoutProto,
    /// What their names begin with; a folder where there are folders.
    pub folder: String,
    /// What was done to them.
    pub history: History,
}

/// What all clients share.
pub struct World {
    /// All groups.
    pub groups: Vec<Group>,
    /// Orders calls and ends.
    pub clock: Clock,
    /// How many times the Ozone Manager came back; a client whose request broke waits for the next.
    pub epoch: watch::Receiver<u64>,
    /// Clients should end.
    pub stopping: AtomicBool,
    /// Answers that no order could explain.
    pub oddities: Mutex<Vec<String>>,
    values: AtomicU64,
}

impl World {
    /// `count` groups in each bucket.
    pub fn new(count: usize, epoch: watch::Receiver<u64>) -> Self {
        let buckets = [
            ("objects", BucketLayoutProto::ObjectStore),
            ("files", BucketLayoutProto::FileSystemOptimized),
        ];
        let groups = buckets.into_iter().flat_map(|(bucket, layout)| {
            (0..count).map(move |n| Group {
                bucket,
                layout,
                folder: format!("g{n}"),
                history: History::default(),
            })
        });
        Self {
            groups: groups.collect(),
            clock: Clock::default(),
            epoch,
            stopping: AtomicBool::new(false),
            oddities: Mutex::default(),
            values: AtomicU64::new(1),
        }
    }
}

/// Why a request has no answer.
enum Trouble {
    /// The connection broke, or the Ozone Manager could not answer.
    Lost,
    /// An answer that should not be.
    Odd(String),
}

impl From<ClientError> for Trouble {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Om(error) if error.status != Status::InternalError => {
                Self::Odd(error.to_string())
            }
            _ => Self::Lost,
        }
    }
}

/// Asks until the world stops.
pub async fn client(world: Arc<World>, om: OzoneClient, number: u32, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed.wrapping_mul(1000).wrapping_add(number.into()));
    let mut epoch = world.epoch.clone();
    while !world.stopping.load(Ordering::Relaxed) {
        let known = *epoch.borrow_and_update();
        let group = &world.groups[random.random_range(0..world.groups.len())];
        let mut action = draw(&world, &mut random);
        let call = world.clock.tick();
        let (outcome, took_effect) = ask(&om, group, &mut action, &mut random).await;
        let mut operation =
            Operation { client: number, action, call, end: NEVER, is_certain: true };
        let is_lost = match outcome {
            Ok(()) => {
                operation.end = world.clock.tick();
                false
            }
            Err(Trouble::Lost) => {
                operation.is_certain = false;
                true
            }
            Err(Trouble::Odd(what)) => {
                let text = format!("{:?} of {}/{}: {what}", operation, group.bucket, group.folder);
                world.oddities.lock().push(text);
                continue;
            }
        };
        if took_effect {
            group.history.record(operation);
        }
        if is_lost && *epoch.borrow() == known && epoch.changed().await.is_err() {
            return;
        }
    }
}

fn draw(world: &World, random: &mut StdRng) -> Action {
    let value = || world.values.fetch_add(1, Ordering::Relaxed);
    let one = random.random_range(0..NAMES);
    let two = (one + random.random_range(1..NAMES)) % NAMES;
    match random.random_range(0..20) {
        0..=3 => Action::Put(one, value()),
        4..=5 => Action::PutNew(one, value(), None),
        6..=7 => Action::Delete(one, None),
        8 => Action::DeleteMany(vec![one, two], None),
        9..=12 => Action::Rename(one, two, None),
        13..=16 => Action::Read(one, None),
        _ => Action::List(Vec::new()),
    }
}

impl Group {
    fn key(&self, name: Name) -> String {
        format!("{}/{}", self.folder, char::from(b'a' + name))
    }

    fn args(&self, name: Name) -> KeyArgs {
        KeyArgs {
            volume_name: VOLUME.to_owned(),
            bucket_name: self.bucket.to_owned(),
            key_name: self.key(name),
            ..KeyArgs::default()
        }
    }

    /// Number and content of a listed key.
    fn entry(&self, key: KeyInfo) -> Option<(Name, Value)> {
        let name = key.key_name.strip_prefix(&self.folder)?.strip_prefix('/')?.bytes().next()?;
        Some((name.checked_sub(b'a')?, key.data_size))
    }
}

fn kind(kind: Type) -> OmRequest {
    OmRequest { cmd_type: kind.into(), ..OmRequest::default() }
}

/// Asks, and fills the answer in. Also, whether the request may have taken effect: a write that was only opened has not.
async fn ask(
    om: &OzoneClient,
    group: &Group,
    action: &mut Action,
    random: &mut StdRng,
) -> (Result<(), Trouble>, bool) {
    match action {
        Action::Put(name, value) => put(om, group, *name, *value, None, &mut None).await,
        Action::PutNew(name, value, done) => put(om, group, *name, *value, Some(0), done).await,
        Action::Delete(name, done) => {
            let key_args = group.args(*name);
            let body = Some(Box::new(DeleteKeyRequest { key_args }));
            let request = OmRequest { delete_key_request: body, ..kind(Type::DeleteKey) };
            (yes_or_no(om, request, &[Status::KeyNotFound], done).await, true)
        }
        Action::Rename(from, to, done) => {
            let (key_args, to_key_name) = (group.args(*from), group.key(*to));
            let body = Some(Box::new(RenameKeyRequest { key_args, to_key_name }));
            let request = OmRequest { rename_key_request: body, ..kind(Type::RenameKey) };
            let no = [Status::KeyNotFound, Status::KeyAlreadyExists];
            (yes_or_no(om, request, &no, done).await, true)
        }
        Action::DeleteMany(names, missing) => (delete_many(om, group, names, missing).await, true),
        Action::Read(name, value) => (read(om, group, *name, value, random).await, true),
        Action::List(all) => (list(om, group, all).await, true),
    }
}

async fn yes_or_no(
    om: &OzoneClient,
    request: OmRequest,
    no: &[Status],
    done: &mut Option<bool>,
) -> Result<(), Trouble> {
    *done = match om.om().submit(request).await {
        Ok(_) => Some(true),
        Err(error) if error.status().is_some_and(|status| no.contains(&status)) => Some(false),
        Err(error) => return Err(error.into()),
    };
    Ok(())
}

async fn put(
    om: &OzoneClient,
    group: &Group,
    name: Name,
    value: Value,
    expected: Option<u64>,
    done: &mut Option<bool>,
) -> (Result<(), Trouble>, bool) {
    let key_args =
        KeyArgs { data_size: Some(0), expected_data_generation: expected, ..group.args(name) };
    let body = Some(Box::new(CreateKeyRequest { key_args, client_id: None }));
    let create = OmRequest { create_key_request: body, ..kind(Type::CreateKey) };
    let open = match om.om().submit(create).await {
        Ok(reply) => reply.create_key_response.and_then(|open| open.id).unwrap_or(0),
        Err(error) if error.status() == Some(Status::KeyAlreadyExists) && expected.is_some() => {
            *done = Some(false);
            return (Ok(()), true);
        }
        // Nothing is visible before the commit.
        Err(error) => return (Err(error.into()), false),
    };
    let key_args = KeyArgs { data_size: Some(value), ..group.args(name) };
    let commit = CommitKeyRequest { key_args, client_id: open, hsync: None, recovery: None };
    let request = OmRequest { commit_key_request: Some(Box::new(commit)), ..kind(Type::CommitKey) };
    let no: &[Status] = if expected.is_some() { &[Status::AtomicWriteConflict] } else { &[] };
    (yes_or_no(om, request, no, done).await, true)
}

async fn delete_many(
    om: &OzoneClient,
    group: &Group,
    names: &[Name],
    missing: &mut Option<Vec<Name>>,
) -> Result<(), Trouble> {
    let delete_keys = Some(DeleteKeyArgs {
        volume_name: VOLUME.to_owned(),
        bucket_name: group.bucket.to_owned(),
        keys: names.iter().map(|name| group.key(*name)).collect(),
    });
    let body = Some(Box::new(DeleteKeysRequest { delete_keys, ..Default::default() }));
    let request = OmRequest { delete_keys_request: body, ..kind(Type::DeleteKeys) };
    let reply = om.om().exchange(request).await?;
    if !matches!(reply.status(), Status::Ok | Status::PartialDelete) {
        return Err(Trouble::Odd(format!("{:?} {:?}", reply.status(), reply.message)));
    }
    let left = reply.delete_keys_response.and_then(|reply| reply.un_deleted_keys);
    let left = left.unwrap_or_default().keys;
    let is_left = |name: &&Name| left.contains(&group.key(**name));
    *missing = Some(names.iter().filter(is_left).copied().collect());
    Ok(())
}

async fn read(
    om: &OzoneClient,
    group: &Group,
    name: Name,
    value: &mut Option<Value>,
    random: &mut StdRng,
) -> Result<(), Trouble> {
    let key_args = group.args(name);
    let request = match random.random_range(0..3) {
        0 => {
            let body = Some(Box::new(LookupKeyRequest { key_args }));
            OmRequest { lookup_key_request: body, ..kind(Type::LookupKey) }
        }
        1 => {
            let body = Some(Box::new(GetFileStatusRequest { key_args }));
            OmRequest { get_file_status_request: body, ..kind(Type::GetFileStatus) }
        }
        _ => {
            let body = Some(Box::new(GetKeyInfoRequest { key_args, ..Default::default() }));
            OmRequest { get_key_info_request: body, ..kind(Type::GetKeyInfo) }
        }
    };
    *value = match om.om().submit(request).await {
        Ok(reply) => Some(found(reply).ok_or_else(|| Trouble::Odd("no key".to_owned()))?),
        Err(error)
            if matches!(
                error.status(),
                Some(Status::KeyNotFound | Status::FileNotFound | Status::DirectoryNotFound)
            ) =>
        {
            None
        }
        Err(error) => return Err(error.into()),
    };
    Ok(())
}

fn found(reply: OmResponse) -> Option<Value> {
    let key = reply
        .lookup_key_response
        .and_then(|reply| reply.key_info)
        .or_else(|| reply.get_file_status_response.and_then(|reply| reply.status.key_info))
        .or_else(|| reply.get_key_info_response.and_then(|reply| reply.key_info));
    key.map(|key| key.data_size)
}

async fn list(
    om: &OzoneClient,
    group: &Group,
    all: &mut Vec<(Name, Value)>,
) -> Result<(), Trouble> {
    let keys: Vec<KeyInfo> = if group.layout == BucketLayoutProto::ObjectStore {
        let body = ListKeysRequest {
            volume_name: VOLUME.to_owned(),
            bucket_name: group.bucket.to_owned(),
            prefix: Some(format!("{}/", group.folder)),
            start_key: Some(String::new()),
            count: Some(ROWS),
        };
        let request = OmRequest { list_keys_request: Some(Box::new(body)), ..kind(Type::ListKeys) };
        let reply = om.om().submit(request).await?;
        reply.list_keys_response.map(|reply| reply.key_info).unwrap_or_default()
    } else {
        let body = ListStatusRequest {
            key_args: KeyArgs { key_name: group.folder.clone(), ..group.args(0) },
            num_entries: ROWS as u64,
            ..ListStatusRequest::default()
        };
        let request =
            OmRequest { list_status_request: Some(Box::new(body)), ..kind(Type::ListStatus) };
        let statuses = match om.om().submit(request).await {
            Ok(reply) => reply.list_status_response.map(|reply| reply.statuses),
            // The folder comes with its first key.
            Err(error) if error.status() == Some(Status::FileNotFound) => None,
            Err(error) => return Err(error.into()),
        };
        statuses.into_iter().flatten().filter_map(|status| status.key_info).collect()
    };
    *all = keys.into_iter().filter_map(|key| group.entry(key)).collect();
    Ok(())
}
