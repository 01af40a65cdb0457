//! The namespace: writes as a leader does them, and pages as it lists them.

use std::sync::Arc;

use divan::Bencher;
use hdds_proto::hdds::{BlockId, ContainerBlockId, ReplicationFactor, ReplicationType};
use om_core::command::{self, Answer, Caller, Groups};
use om_core::{Applied, At, Namespace, Rules, TableCache, tables};
use om_proto::*;
use ozone_db::{Durability, MemoryStore, Store};
use ozone_db_rocks::{RocksSettings, RocksStore};
use prost::Message;

/// Keys of a bucket that is listed.
const KEYS: usize = 20_000;
/// Keys of a page.
const PAGE: i32 = 1000;
/// Rows that wait before they are flushed, outside of what is timed.
const UNFLUSHED_MAX: usize = 10_000;
const USER: &str = "root";

struct OnlyRoot;

impl Groups for OnlyRoot {
    fn primary(&self, user: &str) -> Option<Arc<str>> {
        (user == USER).then(|| USER.into())
    }
}

/// An Ozone Manager without a log.
pub struct Om {
    cache: TableCache,
    rules: Rules,
    index: u64,
    blocks: i64,
}

impl Om {
    fn over(store: Arc<dyn Store>, layout: BucketLayoutProto) -> Self {
        let cache = TableCache::new(store);
        let mut om = Self { cache, rules: Rules::default(), index: 0, blocks: 0 };
        om.write(create_volume());
        om.write(create_bucket(layout));
        om
    }

    /// With an OBJECT_STORE bucket.
    pub fn in_memory() -> Self {
        Self::over(Arc::new(MemoryStore::default()), BucketLayoutProto::ObjectStore)
    }

    fn ns(&self) -> Namespace<'_> {
        Namespace::new(&self.cache, &self.rules)
    }

    fn caller(&self) -> Caller<'static> {
        let unique_id = 1000 + self.index;
        Caller {
            user: USER,
            groups: &OnlyRoot,
            now: 1_700_000_000_000,
            unique_id,
            random: || [7; 32],
        }
    }

    /// Prepare, provide, apply.
    fn write(&mut self, mut request: OmRequest) -> OmResponse {
        request.user_info =
            Some(Box::new(UserInfo { user_name: Some(USER.into()), ..Default::default() }));
        let wanted = command::prepare(&mut request, &self.ns(), &self.caller());
        let wanted = wanted.unwrap_or_else(|failure| panic!("{:?}", failure.into_error()));
        if let Some(wanted) = wanted {
            let blocks = (0..wanted.count).map(|_| self.block()).collect();
            command::provide(&mut request, blocks);
        }
        self.index += 1;
        let at = At { term: 1, index: self.index };
        let (reply, changes) =
            command::apply(Box::new(request), at, self.ns()).expect("the store works");
        assert_eq!(reply.status, i32::from(Status::Ok), "{:?}", reply.message);
        self.cache.apply(Applied { term: 1, index: self.index }, changes);
        *reply
    }

    fn block(&mut self) -> KeyLocation {
        self.blocks += 1;
        KeyLocation {
            block_id: BlockId {
                container_block_id: ContainerBlockId { container_id: 1, local_id: self.blocks },
                block_commit_sequence_id: Some(0),
            },
            offset: 0,
            length: self.rules.block_bytes,
            create_version: None,
            token: None,
            pipeline: Some(Default::default()),
            part_number: Some(0),
        }
    }

    /// Creates and commits a key of one block.
    pub fn put(&mut self, key: &str) {
        let answer = self.write(create_key(key, 10 << 10));
        self.write(commit_key(key, answer));
    }

    fn read(&self, request: &OmRequest) -> Answer {
        command::read(request, &self.ns(), &self.caller()).expect("a query")
    }

    /// The answer to GetKeyInfo.
    pub fn key_info(&self, key: &str) -> OmResponse {
        match self.read(&key_info(key)) {
            Answer::Message { reply, .. } => *reply,
            Answer::Encoded(bytes) => OmResponse::decode(bytes).expect("an answer"),
            Answer::Stored(page) => {
                OmResponse::decode(page.encode(&|_| None).expect("rows")).expect("an answer")
            }
        }
    }

    fn flush(&self) {
        if let Some(flush) = self.cache.begin_flush() {
            self.cache.store().write(flush.batch, Durability::Memory).expect("the store works");
            self.cache.finish_flush();
        }
    }

    fn flush_if_much(&self) {
        if self.cache.backlog().rows > UNFLUSHED_MAX {
            self.flush();
        }
    }
}

fn kind(kind: Type) -> OmRequest {
    OmRequest {
        cmd_type: kind.into(),
        client_id: "bench".into(),
        version: Some(3),
        ..Default::default()
    }
}

fn args(key: &str) -> KeyArgs {
    KeyArgs {
        volume_name: "vol".into(),
        bucket_name: "buck".into(),
        key_name: key.into(),
        r#type: Some(ReplicationType::Ratis.into()),
        factor: Some(ReplicationFactor::Three.into()),
        ..Default::default()
    }
}

fn create_volume() -> OmRequest {
    let volume_info = VolumeInfo {
        admin_name: USER.into(),
        owner_name: USER.into(),
        volume: "vol".into(),
        quota_in_bytes: Some(u64::MAX),
        quota_in_namespace: Some(-1),
        ..Default::default()
    };
    let create = CreateVolumeRequest { volume_info };
    OmRequest { create_volume_request: Some(Box::new(create)), ..kind(Type::CreateVolume) }
}

fn create_bucket(layout: BucketLayoutProto) -> OmRequest {
    let bucket_info = BucketInfo {
        volume_name: "vol".into(),
        bucket_name: "buck".into(),
        storage_type: 1,
        quota_in_bytes: Some(-1),
        quota_in_namespace: Some(-1),
        bucket_layout: Some(layout.into()),
        owner: Some(USER.into()),
        ..Default::default()
    };
    let create = CreateBucketRequest { bucket_info };
    OmRequest { create_bucket_request: Some(Box::new(create)), ..kind(Type::CreateBucket) }
}

/// A CreateKey request.
pub fn create_key(key: &str, size: u64) -> OmRequest {
    let create = CreateKeyRequest {
        key_args: KeyArgs { data_size: Some(size), ..args(key) },
        client_id: None,
    };
    OmRequest { create_key_request: Some(Box::new(create)), ..kind(Type::CreateKey) }
}

fn commit_key(key: &str, answer: OmResponse) -> OmRequest {
    let open = answer.create_key_response.expect("the open key");
    let client_id = open.id();
    let versions = open.key_info.expect("its blocks").key_location_list;
    let blocks = versions.into_iter().next_back().expect("a version").key_locations;
    let size = 10 << 10;
    let blocks = blocks.into_iter().map(|block| KeyLocation { length: size, ..block });
    let key_args = KeyArgs { data_size: Some(size), key_locations: blocks.collect(), ..args(key) };
    let commit = CommitKeyRequest { key_args, client_id, hsync: None, recovery: None };
    OmRequest { commit_key_request: Some(Box::new(commit)), ..kind(Type::CommitKey) }
}

fn key_info(key: &str) -> OmRequest {
    let get = GetKeyInfoRequest { key_args: args(key), ..Default::default() };
    OmRequest { get_key_info_request: Some(Box::new(get)), ..kind(Type::GetKeyInfo) }
}

/// CreateKey, from prepare to the changed cache.
#[divan::bench]
fn create_key_applied(bencher: Bencher<'_, '_>) {
    let mut om = Om::in_memory();
    let mut number = 0;
    bencher
        .with_inputs(|| {
            number += 1;
            create_key(&format!("key-{number:09}"), 10 << 10)
        })
        .bench_local_values(|request| {
            om.flush_if_much();
            om.write(request)
        });
}

/// CreateKey and CommitKey of a key in a directory of an FSO bucket.
#[divan::bench]
fn file_created_and_committed(bencher: Bencher<'_, '_>) {
    let store = Arc::new(MemoryStore::default());
    let mut om = Om::over(store, BucketLayoutProto::FileSystemOptimized);
    let mut number = 0;
    bencher
        .with_inputs(|| {
            number += 1;
            format!("directory/below/file-{number:09}")
        })
        .bench_local_values(|key| {
            om.flush_if_much();
            om.put(&key);
        });
}

/// GetKeyInfo of a flushed key, over RocksDB.
#[divan::bench]
fn key_info_read(bencher: Bencher<'_, '_>) {
    let listed = Listed::new();
    let request = key_info("key-000010000");
    bencher.bench_local(|| listed.om.read(&request));
}

/// A page of 1000 keys of a bucket of 20,000, over RocksDB.
#[divan::bench(args = ["LIST_KEYS", "LIST_KEYS_LIGHT"])]
fn page_of_1000(bencher: Bencher<'_, '_>, name: &str) {
    let listed = Listed::new();
    let list = ListKeysRequest {
        volume_name: "vol".into(),
        bucket_name: "buck".into(),
        start_key: Some("key-000010000".into()),
        prefix: Some(String::new()),
        count: Some(PAGE),
    };
    let kind_of = if name == "LIST_KEYS" { Type::ListKeys } else { Type::ListKeysLight };
    let request = OmRequest { list_keys_request: Some(Box::new(list)), ..kind(kind_of) };
    bencher.bench_local(|| match listed.om.read(&request) {
        Answer::Encoded(bytes) => bytes.len(),
        Answer::Stored(page) => page.encode(&|_| None).expect("rows").len(),
        Answer::Message { reply, .. } => reply.encoded_len(),
    });
}

/// A bucket of flushed keys.
struct Listed {
    om: Om,
    _directory: tempfile::TempDir,
}

impl Listed {
    fn new() -> Self {
        let directory = crate::directory();
        let settings = RocksSettings::default();
        let store = RocksStore::open(&directory.path().join("om.db"), &tables::ALL, &settings)
            .expect("a new database");
        let mut om = Om::over(Arc::new(store), BucketLayoutProto::ObjectStore);
        for number in 0..KEYS {
            om.put(&format!("key-{number:09}"));
        }
        om.flush();
        Self { om, _directory: directory }
    }
}
