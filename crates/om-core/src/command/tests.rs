//! Requests against a store in memory.

mod acls;
mod buckets;
mod costs;
mod encryption;
mod files;
mod golden;
mod keys;
mod model;
mod multipart;
mod rights;
mod server;
mod stored;
mod trash;
mod volumes;

use std::sync::Arc;

use hdds_proto::hdds::{BlockId, ContainerBlockId, ReplicationFactor, ReplicationType};
use om_proto::*;
use ozone_db::{Durability, MemoryStore};
use prost::Message;

use super::*;
use crate::cache::Applied;
use crate::tables::Table;
use crate::{Rules, TableCache};

/// An OM without a log: every request is applied at the next index.
struct Om {
    cache: TableCache,
    rules: Rules,
    index: u64,
    now: u64,
    blocks: i64,
}

const USER: &str = "root";

/// A host that knows one user.
struct OnlyRoot;

impl Groups for OnlyRoot {
    fn primary(&self, user: &str) -> Option<Arc<str>> {
        (user == USER).then(|| USER.into())
    }
}

impl Om {
    fn new() -> Self {
        let cache = TableCache::new(Arc::new(MemoryStore::default()));
        Self { cache, rules: Rules::default(), index: 0, now: 1000, blocks: 0 }
    }

    /// With volume `vol` and bucket `buck` of this layout.
    fn with_bucket(layout: BucketLayoutProto) -> Self {
        let mut om = Self::new();
        om.ok(create_volume("vol"));
        om.ok(create_bucket("vol", "buck", layout));
        om
    }

    fn ns(&self) -> Namespace<'_> {
        Namespace::new(&self.cache, &self.rules)
    }

    fn caller(&self) -> Caller<'static> {
        let unique_id = 77_000 + self.index;
        Caller { user: USER, groups: &OnlyRoot, now: self.now, unique_id, random: || [7; 32] }
    }

    /// Prepare and apply, as a leader does; refusals of either become the reply.
    fn write(&mut self, request: OmRequest) -> OmResponse {
        let caller = self.caller();
        self.write_as(&caller, request)
    }

    fn write_as(&mut self, caller: &Caller<'_>, mut request: OmRequest) -> OmResponse {
        request.user_info =
            Some(Box::new(UserInfo { user_name: Some(caller.user.into()), ..Default::default() }));
        let mut reply = reply_to(&request);
        let wanted = match prepare(&mut request, &self.ns(), caller) {
            Ok(wanted) => wanted,
            Err(failure) => {
                refuse(&mut reply, failure.into_error());
                return *reply;
            }
        };
        if self.rules.key_provider {
            self.provide_keys(&mut request);
        }
        if let Some(wanted) = wanted {
            let blocks = (0..wanted.count).map(|_| self.block()).collect();
            provide(&mut request, blocks);
        }
        self.index += 1;
        let at = At { term: 1, index: self.index };
        let (reply, changes) = apply(Box::new(request), at, self.ns()).unwrap();
        self.cache.apply(Applied { term: 1, index: self.index }, changes);
        *reply
    }

    fn ok(&mut self, request: OmRequest) -> OmResponse {
        let reply = self.write(request);
        assert_eq!(reply.status, i32::from(Status::Ok), "{:?}", reply.message);
        assert_eq!(reply.success, Some(true));
        reply
    }

    fn refused(&mut self, request: OmRequest) -> (Status, String) {
        let reply = self.write(request);
        assert_eq!(reply.success, Some(false));
        (reply.status(), reply.message.unwrap_or_default())
    }

    fn read(&self, request: OmRequest) -> OmResponse {
        self.read_as(&self.caller(), request)
    }

    fn read_as(&self, caller: &Caller<'_>, request: OmRequest) -> OmResponse {
        match super::read(&request, &self.ns(), caller).unwrap() {
            Answer::Message { reply, .. } => *reply,
            Answer::Encoded(bytes) => OmResponse::decode(bytes).unwrap(),
            Answer::Stored(page) => OmResponse::decode(page.encode(&|_| None).unwrap()).unwrap(),
        }
    }

    fn block(&mut self) -> KeyLocation {
        self.blocks += 1;
        block(1, self.blocks, self.rules.block_bytes)
    }

    fn row<V: Message + Default>(&self, table: &Table<V>, key: &str) -> Option<V> {
        self.ns().get(table, key.as_bytes()).unwrap()
    }

    fn rows<V>(&self, table: &Table<V>) -> Vec<String> {
        let mut keys = Vec::new();
        self.ns()
            .scan_prefix(table.slot, b"/", None, &mut |key, _| {
                keys.push(String::from_utf8(key.to_vec()).unwrap());
                std::ops::ControlFlow::Continue(())
            })
            .unwrap();
        keys
    }

    fn flush(&self) {
        if let Some(flush) = self.cache.begin_flush() {
            self.cache.store().write(flush.batch, Durability::Memory).unwrap();
            self.cache.finish_flush();
        }
    }

    fn bucket(&self) -> BucketInfo {
        self.row(&tables::BUCKET, "/vol/buck").unwrap()
    }

    /// Creates and commits a key of `size` bytes in one block, or none if empty.
    fn put(&mut self, key: &str, size: u64) -> KeyInfo {
        let open = self.ok(create_key(key, size)).create_key_response.unwrap();
        self.ok(commit_key(key, &open, size));
        self.info(key).get_key_info_response.unwrap().key_info.unwrap()
    }

    fn info(&self, key: &str) -> OmResponse {
        self.read(OmRequest {
            get_key_info_request: Some(Box::new(GetKeyInfoRequest {
                key_args: args(key),
                ..Default::default()
            })),
            ..kind(Type::GetKeyInfo)
        })
    }

    fn list(&self, start: &str, prefix: &str, count: i32) -> (Vec<String>, bool) {
        let request = |kind_of| OmRequest {
            list_keys_request: Some(Box::new(ListKeysRequest {
                volume_name: "vol".into(),
                bucket_name: "buck".into(),
                start_key: Some(start.into()),
                prefix: Some(prefix.into()),
                count: Some(count),
            })),
            ..kind(kind_of)
        };
        let light = *self.read(request(Type::ListKeysLight)).list_keys_light_response.unwrap();
        let full = *self.read(request(Type::ListKeys)).list_keys_response.unwrap();
        let names: Vec<String> = full.key_info.into_iter().map(|key| key.key_name).collect();
        let light_names: Vec<String> =
            light.basic_key_info.into_iter().filter_map(|key| key.key_name).collect();
        assert_eq!(names, light_names);
        assert_eq!(full.is_truncated, light.is_truncated);
        (names, full.is_truncated.unwrap())
    }
}

use crate::tables;

fn kind(kind: Type) -> OmRequest {
    OmRequest {
        cmd_type: kind.into(),
        client_id: "test".into(),
        version: Some(3),
        ..Default::default()
    }
}

fn block(container: i64, local: i64, length: u64) -> KeyLocation {
    KeyLocation {
        block_id: BlockId {
            container_block_id: ContainerBlockId { container_id: container, local_id: local },
            block_commit_sequence_id: Some(0),
        },
        offset: 0,
        length,
        create_version: None,
        token: None,
        pipeline: Some(Default::default()),
        part_number: Some(0),
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

fn create_volume(name: &str) -> OmRequest {
    OmRequest {
        create_volume_request: Some(Box::new(CreateVolumeRequest {
            volume_info: VolumeInfo {
                admin_name: USER.into(),
                owner_name: USER.into(),
                volume: name.into(),
                quota_in_bytes: Some(u64::MAX),
                quota_in_namespace: Some(-1),
                ..Default::default()
            },
        })),
        ..kind(Type::CreateVolume)
    }
}

fn create_bucket(volume: &str, name: &str, layout: BucketLayoutProto) -> OmRequest {
    OmRequest {
        create_bucket_request: Some(Box::new(CreateBucketRequest {
            bucket_info: BucketInfo {
                volume_name: volume.into(),
                bucket_name: name.into(),
                storage_type: 1,
                quota_in_bytes: Some(-1),
                quota_in_namespace: Some(-1),
                bucket_layout: Some(layout.into()),
                owner: Some(USER.into()),
                ..Default::default()
            },
        })),
        ..kind(Type::CreateBucket)
    }
}

fn create_key(key: &str, size: u64) -> OmRequest {
    let key_args = KeyArgs { data_size: Some(size), ..args(key) };
    OmRequest {
        create_key_request: Some(Box::new(CreateKeyRequest { key_args, client_id: None })),
        ..kind(Type::CreateKey)
    }
}

fn commit_key(key: &str, open: &CreateKeyResponse, size: u64) -> OmRequest {
    let blocks = open.key_info.as_ref().unwrap().key_location_list.last().unwrap();
    let blocks =
        blocks.key_locations.iter().map(|block| KeyLocation { length: size, ..block.clone() });
    commit(key, open.id(), size, blocks.collect())
}

fn commit(key: &str, client_id: u64, size: u64, key_locations: Vec<KeyLocation>) -> OmRequest {
    let key_args = KeyArgs { data_size: Some(size), key_locations, ..args(key) };
    OmRequest {
        commit_key_request: Some(Box::new(CommitKeyRequest {
            key_args,
            client_id,
            hsync: None,
            recovery: None,
        })),
        ..kind(Type::CommitKey)
    }
}

fn delete_key(key: &str, recursive: bool) -> OmRequest {
    let key_args = KeyArgs { recursive: Some(recursive), ..args(key) };
    OmRequest {
        delete_key_request: Some(Box::new(DeleteKeyRequest { key_args })),
        ..kind(Type::DeleteKey)
    }
}

fn rename_key(from: &str, to: &str) -> OmRequest {
    OmRequest {
        rename_key_request: Some(Box::new(RenameKeyRequest {
            key_args: args(from),
            to_key_name: to.into(),
        })),
        ..kind(Type::RenameKey)
    }
}
