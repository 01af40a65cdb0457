//! A datanode's store, and checksums.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use chunk_checksum::Algorithm;
use container_store::{
    ChunkWrite, Container, ContainerStore, NewContainer, OpenDatabase, PutBlock, StorageType,
    StoreSettings, VolumeSettings,
};
use divan::Bencher;
use divan::counter::BytesCount;
use hdds_proto::datanode::{BlockData, ChunkInfo, DatanodeBlockId};
use hdds_types::ContainerId;
use ozone_db::Store;
use ozone_db_rocks::{RocksSettings, RocksStore};

const CONTAINER: ContainerId = ContainerId(1);
/// `ozone.client.bytes.per.checksum`.
const BYTES_PER_CHECKSUM: u32 = 16 << 10;
const SMALL: usize = 10 << 10;
const CHUNK: usize = 4 << 20;
/// Chunks of 4 MB of a block.
const CHUNKS_PER_BLOCK: i64 = 16;

struct Node {
    store: ContainerStore,
    container: Arc<Container>,
    _directory: tempfile::TempDir,
}

impl Node {
    fn new(sync_chunks: bool) -> Self {
        let directory = crate::directory();
        let volume = VolumeSettings {
            root: directory.path().join("hdds"),
            storage_type: StorageType::Disk,
            reserved_bytes: None,
        };
        let settings = StoreSettings {
            volumes: vec![volume],
            metadata: directory.path().join("meta"),
            container_bytes_max: 5 << 30,
            sync_chunks,
            direct_bytes_min: 512 << 10,
            verify_on_write: false,
            verify_descriptors: true,
            reserved_fraction: 0.0001,
            min_free_bytes: 0,
            min_free_fraction: 0.0,
            min_free_hard_fraction: 0.0,
            write_threads_per_volume: 2,
            read_threads_per_volume: 2,
            deletions_per_round_max: 100,
        };
        let open: OpenDatabase = Arc::new(|path: &Path, tables: &[&'static str]| {
            let store = RocksStore::open(path, tables, &RocksSettings::default())?;
            Ok(Arc::new(store) as Arc<dyn Store>)
        });
        let store = ContainerStore::open(settings, "CID-1", "dn-1", &open, Arc::new(|_| {}))
            .expect("an empty directory");
        let new = NewContainer::open("11111111-2222-3333-4444-555555555555", 0);
        let container = store.reserve(CONTAINER, &new).expect("there is room").0;
        Self { store, container, _directory: directory }
    }

    fn write(&self, write: &ChunkWrite) {
        self.store.write_chunk(&self.container, write).expect("the disk works");
    }
}

fn chunk(local_id: i64, offset: u64, data: &Bytes) -> ChunkWrite {
    let info = ChunkInfo {
        chunk_name: format!("{local_id}_chunk_1"),
        offset,
        len: data.len() as u64,
        checksum_data: chunk_checksum::compute(Algorithm::Crc32, BYTES_PER_CHECKSUM, data),
        ..ChunkInfo::default()
    };
    ChunkWrite { local_id, info, data: data.clone() }
}

fn put(local_id: i64, chunks: Vec<ChunkInfo>, index: u64) -> PutBlock {
    let block_id = DatanodeBlockId {
        container_id: CONTAINER.0.cast_signed(),
        local_id,
        ..DatanodeBlockId::default()
    };
    PutBlock { data: BlockData { block_id, chunks, ..BlockData::default() }, eof: true, index }
}

/// A small block: file made, written, committed. What a 10 KB key costs each datanode.
#[divan::bench(args = [false, true], max_time = 2)]
fn block_of_10_kb(bencher: Bencher<'_, '_>, sync: bool) {
    let node = Node::new(sync);
    let data = Bytes::from(vec![5; SMALL]);
    let mut local_id = 0;
    bencher.counter(BytesCount::new(SMALL)).bench_local(|| {
        local_id += 1;
        let write = chunk(local_id, 0, &data);
        node.write(&write);
        let put = put(local_id, vec![write.info], local_id.cast_unsigned());
        node.store.put_block(&node.container, put).expect("the database works")
    });
}

/// A chunk of 4 MB behind the one before.
#[divan::bench(args = [false, true], sample_count = 40)]
fn chunk_of_4_mb(bencher: Bencher<'_, '_>, sync: bool) {
    let node = Node::new(sync);
    let data = Bytes::from(vec![5; CHUNK]);
    let mut number = 0;
    bencher.counter(BytesCount::new(CHUNK)).bench_local(|| {
        let offset = (number % CHUNKS_PER_BLOCK).cast_unsigned() * CHUNK as u64;
        node.write(&chunk(number / CHUNKS_PER_BLOCK, offset, &data));
        number += 1;
    });
}

/// A chunk of 4 MB out of the page cache.
#[divan::bench]
fn chunk_of_4_mb_read(bencher: Bencher<'_, '_>) {
    let node = Node::new(false);
    node.write(&chunk(1, 0, &Bytes::from(vec![5; CHUNK])));
    bencher
        .counter(BytesCount::new(CHUNK))
        .bench_local(|| node.store.read_chunk(&node.container, 1, 0, CHUNK as u64));
}

/// Checksums of 4 MB in pieces of 16 KB.
#[divan::bench(args = [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Sha256])]
fn checksum_of_4_mb(bencher: Bencher<'_, '_>, algorithm: Algorithm) {
    let data = vec![5; CHUNK];
    bencher
        .counter(BytesCount::new(CHUNK))
        .bench(|| chunk_checksum::compute(algorithm, BYTES_PER_CHECKSUM, &data));
}
