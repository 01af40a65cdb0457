//! A dispatcher over temporary directories, and requests as clients make them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use chunk_checksum::Algorithm;
use container_store::{ContainerStore, OpenDatabase, StorageType, StoreSettings, VolumeSettings};
use datanode::dispatch::Dispatcher;
use datanode::heartbeat::{Mail, Outbox};
use hdds_proto::datanode::{
    BlockData, ChunkInfo, ContainerCommandRequestProto as Request, DatanodeBlockId,
    GetBlockRequestProto, GetCommittedBlockLengthRequestProto, KeyValue, PutBlockRequestProto,
    PutSmallFileRequestProto, ReadChunkRequestProto, Type, WriteChunkRequestProto,
};
use ozone_db::{MemoryStore, Store};
use parking_lot::Mutex;

/// The container of all tests.
pub const CONTAINER: i64 = 9;

/// A node's disks, which outlive its dispatcher.
pub struct Disks {
    dir: tempfile::TempDir,
    databases: Arc<Mutex<HashMap<PathBuf, Arc<MemoryStore>>>>,
    /// What the node told SCM.
    pub outbox: Arc<Outbox>,
}

impl Disks {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir, databases: Arc::default(), outbox: Arc::new(Outbox::new(1)) }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn settings(&self) -> StoreSettings {
        StoreSettings {
            volumes: vec![VolumeSettings {
                root: self.dir.path().join("disk"),
                storage_type: StorageType::Disk,
                reserved_bytes: None,
            }],
            metadata: self.dir.path().join("meta"),
            container_bytes_max: 1 << 20,
            sync_chunks: false,
            direct_bytes_min: 512 << 10,
            verify_on_write: true,
            verify_descriptors: true,
            reserved_fraction: 0.0001,
            min_free_bytes: 0,
            min_free_fraction: 0.0,
            min_free_hard_fraction: 0.0,
            write_threads_per_volume: 2,
            read_threads_per_volume: 2,
            deletions_per_round_max: 100,
        }
    }

    pub fn start(&self) -> Arc<Dispatcher> {
        self.start_with(self.settings())
    }

    pub fn start_with(&self, settings: StoreSettings) -> Arc<Dispatcher> {
        let databases = self.databases.clone();
        let open: OpenDatabase = Arc::new(move |path: &Path, _: &[&'static str]| {
            let store = databases.lock().entry(path.to_owned()).or_default().clone();
            Ok(store as Arc<dyn Store>)
        });
        let outbox = self.outbox.clone();
        let changes = Arc::new(move |replica| outbox.container_changed(&replica));
        let store = ContainerStore::open(settings, "CID-1", "dn-1", &open, changes).unwrap();
        Arc::new(Dispatcher::new(Arc::new(store), self.outbox.clone(), 0.9))
    }

    pub fn mail(&self) -> Mail {
        self.outbox.mailboxes()[0].take(1000, 1000)
    }
}

pub fn request(kind: Type) -> Request {
    Request {
        cmd_type: kind.into(),
        trace_id: Some("trace".to_owned()),
        container_id: CONTAINER,
        datanode_uuid: "any".to_owned(),
        ..Request::default()
    }
}

pub fn block_id(local_id: i64, bcsid: u64) -> DatanodeBlockId {
    DatanodeBlockId {
        container_id: CONTAINER,
        local_id,
        block_commit_sequence_id: Some(bcsid),
        replica_index: None,
    }
}

pub fn chunk(local_id: i64, offset: u64, data: &[u8]) -> ChunkInfo {
    ChunkInfo {
        chunk_name: format!("{local_id}_chunk_1"),
        offset,
        len: data.len() as u64,
        checksum_data: chunk_checksum::compute(Algorithm::Crc32, 1024, data),
        ..ChunkInfo::default()
    }
}

pub fn put(local_id: i64, chunks: Vec<ChunkInfo>) -> PutBlockRequestProto {
    let metadata = vec![KeyValue { key: "TYPE".to_owned(), value: Some("KEY".to_owned()) }];
    let block_data =
        BlockData { block_id: block_id(local_id, 0), metadata, chunks, ..BlockData::default() };
    PutBlockRequestProto { block_data, eof: None }
}

pub fn write_chunk(local_id: i64, offset: u64, data: &[u8]) -> Request {
    let mut request = request(Type::WriteChunk);
    request.write_chunk = Some(Box::new(WriteChunkRequestProto {
        block_id: block_id(local_id, 0),
        chunk_data: Some(chunk(local_id, offset, data)),
        data: Some(Bytes::copy_from_slice(data)),
        block: None,
    }));
    request
}

pub fn put_block(local_id: i64, chunks: Vec<ChunkInfo>) -> Request {
    let mut request = request(Type::PutBlock);
    request.put_block = Some(Box::new(put(local_id, chunks)));
    request
}

pub fn put_small_file(local_id: i64, data: &[u8]) -> Request {
    let mut request = request(Type::PutSmallFile);
    request.put_small_file = Some(Box::new(PutSmallFileRequestProto {
        block: put(local_id, Vec::new()),
        chunk_info: chunk(local_id, 0, data),
        data: Bytes::copy_from_slice(data),
    }));
    request
}

pub fn get_block(local_id: i64, bcsid: u64) -> Request {
    let mut request = request(Type::GetBlock);
    let block_id = block_id(local_id, bcsid);
    request.get_block = Some(Box::new(GetBlockRequestProto { block_id }));
    request
}

pub fn committed_length(local_id: i64) -> Request {
    let mut request = request(Type::GetCommittedBlockLength);
    request.get_committed_block_length =
        Some(Box::new(GetCommittedBlockLengthRequestProto { block_id: block_id(local_id, 0) }));
    request
}

pub fn read_chunk(local_id: i64, chunk_data: ChunkInfo, version: Option<i32>) -> Request {
    let mut request = request(Type::ReadChunk);
    request.read_chunk = Some(Box::new(ReadChunkRequestProto {
        block_id: block_id(local_id, 0),
        chunk_data,
        read_chunk_version: version,
    }));
    request
}
