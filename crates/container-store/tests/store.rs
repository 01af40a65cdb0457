//! The store on temporary directories, over a database in memory that survives "restarts".

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use chunk_checksum::Algorithm;
use container_store::{
    ChunkWrite, Code, CommittedBlock, Container, ContainerStore, DeleteOutcome, NewContainer,
    OpenDatabase, PutBlock, ReplicaState, StorageType, StoreSettings, VolumeSettings,
};
use hdds_proto::datanode::{BlockData, ChunkInfo, DatanodeBlockId, KeyValue};
use hdds_proto::hdds::{ContainerReplicaProto, DeletedBlocksTransaction, container_replica_proto};
use hdds_types::ContainerId;
use ozone_db::{MemoryStore, Store};
use parking_lot::Mutex;

const CONTAINER: ContainerId = ContainerId(513);
const PIPELINE: &str = "11111111-2222-3333-4444-555555555555";

struct Node {
    dir: tempfile::TempDir,
    databases: Arc<Mutex<HashMap<PathBuf, Arc<MemoryStore>>>>,
    reports: Arc<Mutex<Vec<ContainerReplicaProto>>>,
}

impl Node {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            databases: Arc::default(),
            reports: Arc::default(),
        }
    }

    fn settings(&self) -> StoreSettings {
        let volume = |name: &str| VolumeSettings {
            root: self.dir.path().join(name),
            storage_type: StorageType::Disk,
            reserved_bytes: None,
        };
        StoreSettings {
            volumes: vec![volume("d1"), volume("d2")],
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

    fn start(&self) -> ContainerStore {
        self.start_with(self.settings())
    }

    fn start_with(&self, settings: StoreSettings) -> ContainerStore {
        let databases = self.databases.clone();
        let open: OpenDatabase = Arc::new(move |path: &Path, _: &[&'static str]| {
            let store = databases.lock().entry(path.to_owned()).or_default().clone();
            Ok(store as Arc<dyn Store>)
        });
        let reports = self.reports.clone();
        let changes = Arc::new(move |replica| reports.lock().push(replica));
        ContainerStore::open(settings, "CID-1", "dn-1", &open, changes).unwrap()
    }

    fn states(&self) -> Vec<container_replica_proto::State> {
        self.reports.lock().iter().map(|report| report.state()).collect()
    }
}

fn chunk(local_id: i64, offset: u64, data: &[u8]) -> ChunkWrite {
    let info = ChunkInfo {
        chunk_name: format!("{local_id}_chunk_1"),
        offset,
        len: data.len() as u64,
        checksum_data: chunk_checksum::compute(Algorithm::Crc32, 1024, data),
        ..ChunkInfo::default()
    };
    ChunkWrite { local_id, info, data: Bytes::copy_from_slice(data) }
}

fn block(local_id: i64, chunks: Vec<ChunkInfo>) -> BlockData {
    let block_id = DatanodeBlockId {
        container_id: CONTAINER.0.cast_signed(),
        local_id,
        ..DatanodeBlockId::default()
    };
    let metadata = vec![KeyValue { key: "TYPE".to_owned(), value: Some("KEY".to_owned()) }];
    BlockData { block_id, metadata, chunks, ..BlockData::default() }
}

fn put(data: BlockData, index: u64) -> PutBlock {
    PutBlock { data, eof: true, index }
}

fn container(store: &ContainerStore) -> Arc<Container> {
    store.reserve(CONTAINER, &NewContainer::open(PIPELINE, 0)).unwrap().0
}

/// Writes and commits a block of one chunk.
fn write_block(store: &ContainerStore, local_id: i64, data: &[u8], index: u64) -> CommittedBlock {
    let container = container(store);
    let write = chunk(local_id, 0, data);
    store.write_chunk(&container, &write).unwrap();
    store.put_block(&container, put(block(local_id, vec![write.info]), index)).unwrap()
}

fn id(local_id: i64, bcsid: u64) -> DatanodeBlockId {
    DatanodeBlockId {
        container_id: CONTAINER.0.cast_signed(),
        local_id,
        block_commit_sequence_id: Some(bcsid),
        replica_index: None,
    }
}

#[test]
fn a_block_is_written_committed_and_read_also_after_a_restart() {
    let node = Node::new();
    let data: Vec<u8> = (0..5000_u32).map(|i| i as u8).collect();
    {
        let store = node.start();
        let committed = write_block(&store, 7, &data, 42);
        assert_eq!(committed.length, 5000);
        assert_eq!(committed.block_id.block_commit_sequence_id, Some(42));
        store.close().unwrap();
    }
    let store = node.start();
    let container = store.get(CONTAINER).unwrap();
    assert_eq!((container.bcsid(), container.blocks(), container.bytes_used()), (42, 1, 5000));
    assert_eq!(container.origin_pipeline(), PIPELINE);
    let found = store.get_block(&container, &id(7, 42)).unwrap();
    assert_eq!(found.size, Some(5000));
    assert_eq!(store.read_chunk(&container, 7, 1000, 24).unwrap(), data[1000..1024]);
    assert!(container.dir().ends_with("containerDir1/513"));
    assert!(container.dir().join("metadata/513.container").is_file());
    assert_eq!(node.states(), [container_replica_proto::State::Open]);
}

#[test]
fn ids_newer_than_the_replica_and_unknown_blocks_have_their_own_codes() {
    let node = Node::new();
    let store = node.start();
    write_block(&store, 7, b"data", 42);
    write_block(&store, 8, b"data", 43);
    let container = container(&store);
    let code = |id| store.get_block(&container, &id).unwrap_err().code;
    assert_eq!(code(id(7, 44)), Code::UnknownBcsid);
    assert_eq!(code(id(7, 43)), Code::BcsidMismatch);
    assert_eq!(code(id(9, 1)), Code::NoSuchBlock);
    assert_eq!(store.require(ContainerId(9)).unwrap_err().code, Code::ContainerNotFound);
    let missing = store.read_chunk(&container, 99, 0, 1).unwrap_err();
    assert_eq!(missing.code, Code::UnableToFindChunk);
    let short = store.read_chunk(&container, 7, 0, 5).unwrap_err();
    assert_eq!(short.code, Code::UnableToFindChunk);
    let oversize = store.read_chunk(&container, 7, 0, (32 << 20) + 1).unwrap_err();
    assert_eq!(oversize.code, Code::UnsupportedRequest);
}

#[test]
fn chunks_follow_each_other_and_may_repeat_but_not_leave_a_gap() {
    let node = Node::new();
    let store = node.start();
    let container = container(&store);
    store.write_chunk(&container, &chunk(1, 0, b"hello")).unwrap();
    store.write_chunk(&container, &chunk(1, 5, b" world")).unwrap();
    store.write_chunk(&container, &chunk(1, 5, b" again, longer")).unwrap();
    let gap = store.write_chunk(&container, &chunk(1, 100, b"x")).unwrap_err();
    assert_eq!(gap.code, Code::ChunkFileInconsistency);
    assert_eq!(store.read_chunk(&container, 1, 0, 19).unwrap(), b"hello again, longer"[..]);
    assert_eq!(container.bytes_used(), 19);

    let mut short = chunk(2, 0, b"hello");
    short.info.len = 6;
    let error = store.write_chunk(&container, &short).unwrap_err();
    assert_eq!(error.code, Code::InvalidWriteSize);
    let mut wrong = chunk(2, 0, b"hello");
    wrong.data = Bytes::from_static(b"hellO");
    let error = store.write_chunk(&container, &wrong).unwrap_err();
    assert_eq!(error.code, Code::ChecksumMismatch);
    store.write_chunk(&container, &chunk(3, 0, b"")).unwrap();
}

#[test]
fn a_repeated_put_changes_nothing_and_a_batch_counts_each_new_block_once() {
    let node = Node::new();
    let store = node.start();
    let container = container(&store);
    let writes: Vec<ChunkWrite> = (1..=3).map(|n| chunk(n, 0, b"12345")).collect();
    for write in &writes {
        store.write_chunk(&container, write).unwrap();
    }
    let mut puts: Vec<_> = writes
        .iter()
        .zip(10_u64..)
        .map(|(w, at)| (container.clone(), put(block(w.local_id, vec![w.info.clone()]), at)))
        .collect();
    let repeat = puts[0].1.clone();
    puts.push((container.clone(), put(puts[2].1.data.clone(), 13)));
    let results = store.put_blocks(puts);
    assert!(results.iter().all(Result::is_ok));
    assert_eq!((container.blocks(), container.bcsid()), (3, 13));
    assert_eq!(container.bytes_used(), 15);

    let again = store.put_block(&container, repeat).unwrap();
    assert_eq!(again.block_id.block_commit_sequence_id, Some(10));
    assert_eq!((container.blocks(), container.bcsid()), (3, 13));
    let blocks = store.list_blocks(&container, None, 10).unwrap();
    let ids: Vec<i64> = blocks.iter().map(|block| block.block_id.local_id).collect();
    assert_eq!(ids, [1, 2, 3]);
    assert_eq!(store.list_blocks(&container, Some(2), 1).unwrap()[0].block_id.local_id, 2);
}

#[test]
fn puts_that_do_not_add_up_are_refused_one_by_one() {
    let node = Node::new();
    let store = node.start();
    let container = container(&store);
    let write = chunk(1, 0, b"12345");
    store.write_chunk(&container, &write).unwrap();
    let mut wrong_size = block(1, vec![write.info.clone()]);
    wrong_size.size = Some(4);
    let mut twice = block(1, vec![write.info.clone()]);
    twice.metadata.push(twice.metadata[0].clone());
    let mut elsewhere = block(1, vec![write.info.clone()]);
    elsewhere.block_id.container_id = 1;
    let no_file = block(2, vec![write.info.clone()]);
    let longer = block(1, vec![write.info.clone(), chunk(1, 5, b"never written").info]);
    let good = block(1, vec![write.info]);
    let puts = [wrong_size, twice, elsewhere, no_file, longer, good];
    let puts = puts.into_iter().zip(1..).map(|(b, at)| (container.clone(), put(b, at))).collect();
    let codes: Vec<_> =
        store.put_blocks(puts).into_iter().map(|result| result.map_err(|e| e.code)).collect();
    assert_eq!(codes[0], Err(Code::MalformedRequest));
    assert_eq!(codes[1], Err(Code::IoException));
    assert_eq!(codes[2], Err(Code::MalformedRequest));
    assert_eq!(codes[3], Err(Code::UnableToFindChunk));
    assert_eq!(codes[4], Err(Code::UnableToFindChunk));
    assert!(codes[5].is_ok());
}

#[test]
fn an_incremental_chunk_list_is_put_together_on_reading() {
    let node = Node::new();
    let store = node.start();
    let container = container(&store);
    let pair = |key: &str| KeyValue { key: key.to_owned(), value: None };
    let mut full = chunk(1, 0, b"full-1");
    full.info.metadata.push(pair("full"));
    let partial = chunk(1, 6, b"tail");
    let longer = chunk(1, 6, b"tail longer");
    for write in [&full, &partial, &longer] {
        store.write_chunk(&container, write).unwrap();
    }
    let put_list = |chunks: Vec<ChunkInfo>, eof, index| {
        let mut data = block(1, chunks);
        data.metadata.push(pair("incremental"));
        store.put_block(&container, PutBlock { data, eof, index })
    };
    put_list(vec![full.info.clone(), partial.info.clone()], false, 1).unwrap();
    assert_eq!(store.get_block(&container, &id(1, 1)).unwrap().size, Some(10));
    put_list(vec![longer.info.clone()], false, 2).unwrap();
    let found = store.get_block(&container, &id(1, 2)).unwrap();
    assert_eq!((found.size, found.chunks.len()), (Some(17), 2));
    let gap = chunk(1, 14, b"far").info;
    assert_eq!(put_list(vec![gap], true, 3).unwrap_err().code, Code::ChunkFileInconsistency);
    put_list(vec![longer.info.clone()], true, 4).unwrap();
    let found = store.get_block(&container, &id(1, 4)).unwrap();
    assert_eq!((found.size, container.blocks()), (Some(17), 1));
}

#[test]
fn closed_containers_take_no_writes_and_keep_their_state_over_a_restart() {
    let node = Node::new();
    {
        let store = node.start();
        write_block(&store, 1, b"data", 5);
        let container = container(&store);
        store.mark_closing(&container).unwrap();
        write_block(&store, 2, b"late", 6);
        store.quasi_close(&container).unwrap();
        store.close_container(&container).unwrap();
        store.close_container(&container).unwrap();
        let refused = store.write_chunk(&container, &chunk(3, 0, b"x")).unwrap_err();
        assert_eq!(refused.code, Code::ClosedContainerIo);
    }
    let store = node.start();
    let container = store.get(CONTAINER).unwrap();
    assert_eq!(container.state(), ReplicaState::Closed);
    store.mark_unhealthy(&container, "test").unwrap();
    let refused = store.write_chunk(&container, &chunk(3, 0, b"x")).unwrap_err();
    assert_eq!(refused.code, Code::ContainerUnhealthy);
    use container_replica_proto::State as S;
    assert_eq!(node.states(), [S::Open, S::Closing, S::QuasiClosed, S::Closed, S::Unhealthy]);
}

#[test]
fn only_closed_empty_containers_are_deleted_unless_forced() {
    let node = Node::new();
    let store = node.start();
    write_block(&store, 1, b"data", 5);
    let container = container(&store);
    let code = |force| store.delete_container(&container, force).map_err(|error| error.code);
    assert_eq!(code(false), Err(Code::DeleteOnOpenContainer));
    store.close_container(&container).unwrap();
    assert_eq!(code(false), Err(Code::DeleteOnNonEmptyContainer));
    assert_eq!(code(true), Ok(()));
    assert!(store.get(CONTAINER).is_none() && !container.dir().exists());
    assert!(store.list_blocks(&container, None, 10).unwrap().is_empty());
    assert_eq!(node.states().last(), Some(&container_replica_proto::State::Deleted));
    // A deleted container is not a missing one.
    assert!(!store.is_missing(CONTAINER));
    assert!(node.start().get(CONTAINER).is_none());
}

#[test]
fn a_container_whose_directory_is_lost_is_missing_and_not_created_again() {
    let node = Node::new();
    let dir = {
        let store = node.start();
        write_block(&store, 1, b"data", 5);
        container(&store).dir().to_owned()
    };
    fs::remove_dir_all(dir).unwrap();
    let store = node.start();
    assert!(store.is_missing(CONTAINER));
    let error = store.reserve(CONTAINER, &NewContainer::open(PIPELINE, 0)).unwrap_err();
    assert_eq!(error.code, Code::ContainerMissing);
}

#[test]
fn torn_leftovers_and_tampered_descriptors_do_not_stop_the_start() {
    let node = Node::new();
    let (one, other) = {
        let store = node.start();
        write_block(&store, 1, b"data", 5);
        let other = store.create(ContainerId(2), &NewContainer::open(PIPELINE, 0)).unwrap();
        let again = store.create(ContainerId(2), &NewContainer::open(PIPELINE, 0)).unwrap_err();
        assert_eq!(again.code, Code::ContainerExists);
        (container(&store).dir().to_owned(), other.dir().to_owned())
    };
    let path = one.join("metadata/513.container");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("OPEN", "CLOSED")).unwrap();
    fs::remove_file(other.join("metadata/2.container")).unwrap();
    let store = node.start();
    assert!(store.get(CONTAINER).is_none() && store.is_missing(CONTAINER));
    assert!(store.get(ContainerId(2)).is_none() && !other.exists());
}

#[test]
fn a_full_disk_refuses_new_containers_and_a_read_only_directory_refuses_files() {
    let node = Node::new();
    let mut settings = node.settings();
    settings.min_free_bytes = u64::MAX;
    let store = node.start_with(settings);
    let error = store.reserve(CONTAINER, &NewContainer::open(PIPELINE, 0)).unwrap_err();
    assert_eq!(error.code, Code::DiskOutOfSpace);
    assert!(store.volumes()[0].usage().unwrap().is_full());
    drop(store);

    let store = node.start();
    // A file where the container directories belong, as a disk that refuses would look.
    for volume in store.volumes() {
        fs::remove_dir_all(volume.current_dir()).unwrap();
        fs::write(volume.current_dir(), "").unwrap();
    }
    let container = container(&store);
    let error = store.write_chunk(&container, &chunk(1, 0, b"x")).unwrap_err();
    assert_eq!(error.code, Code::ContainerFilesCreateError);
    assert!(store.get(CONTAINER).is_none(), "the reservation is taken back");
}

#[test]
fn a_disk_that_fails_two_checks_is_given_up_with_its_containers() {
    let node = Node::new();
    let store = node.start();
    write_block(&store, 1, b"data", 5);
    let volume = container(&store).volume().clone();
    assert!(!store.check_volumes());
    fs::remove_dir_all(volume.root()).unwrap();
    assert!(!store.check_volumes());
    assert!(store.check_volumes());
    assert!(volume.is_failed() && store.get(CONTAINER).is_none() && store.is_missing(CONTAINER));
    assert_eq!(node.states().last(), Some(&container_replica_proto::State::Deleted));
    let failed: Vec<bool> = store.storage_reports().iter().map(|report| report.failed()).collect();
    assert_eq!(failed.iter().filter(|failed| **failed).count(), 1);
}

#[test]
fn noted_deletions_are_carried_out_once_the_container_is_closed() {
    let node = Node::new();
    let store = node.start();
    for (local_id, index) in [(1, 5), (2, 6), (3, 7)] {
        write_block(&store, local_id, b"12345", index);
    }
    let container = container(&store);
    let transaction = DeletedBlocksTransaction {
        tx_id: 9,
        container_id: CONTAINER.0.cast_signed(),
        local_id: vec![1, 3, 99],
        total_size_per_replica: Some(10),
        ..DeletedBlocksTransaction::default()
    };
    assert_eq!(store.accept_deletion(&transaction), Ok(DeleteOutcome::Accepted));
    assert_eq!(store.accept_deletion(&transaction), Ok(DeleteOutcome::Accepted));
    let elsewhere = DeletedBlocksTransaction { container_id: 1, ..transaction };
    assert_eq!(store.accept_deletion(&elsewhere), Ok(DeleteOutcome::NoContainer));

    assert_eq!(store.delete_blocks(&|_| true).blocks, 0, "the container is open");
    store.close_container(&container).unwrap();
    assert_eq!(store.delete_blocks(&|_| false).blocks, 0, "the pipeline is not done");
    let round = store.delete_blocks(&|_| true);
    assert_eq!((round.blocks, round.bytes), (3, 10));
    assert_eq!((container.blocks(), container.bytes_used()), (1, 5));
    assert!(!container.block_path(1).exists() && container.block_path(2).exists());
    assert_eq!(store.delete_blocks(&|_| true).blocks, 0);

    let store = node.start();
    let container = store.get(CONTAINER).unwrap();
    assert_eq!((container.blocks(), container.bytes_used()), (1, 5));
}

#[test]
fn finalized_blocks_refuse_puts_also_after_a_restart() {
    let node = Node::new();
    {
        let store = node.start();
        write_block(&store, 1, b"data", 5);
        let found = store.finalize_block(&container(&store), &id(1, 5)).unwrap();
        assert_eq!(found.size, Some(4));
    }
    let store = node.start();
    let container = store.get(CONTAINER).unwrap();
    let data = block(1, vec![chunk(1, 0, b"data").info]);
    let error = store.put_block(&container, put(data, 6)).unwrap_err();
    assert_eq!(error.code, Code::BlockAlreadyFinalized);
}

#[test]
fn open_containers_promise_their_size_until_they_are_filled_or_closed() {
    let node = Node::new();
    let store = node.start();
    write_block(&store, 1, &[7; 1000], 5);
    let container = container(&store);
    let committed = || container.volume().usage().unwrap().committed;
    assert_eq!(committed(), (1 << 20) - 1000);
    assert!(!container.is_filled_to(0.9));
    let mut metadata = BTreeMap::new();
    metadata.insert("k".to_owned(), "v".to_owned());
    store.update_metadata(&container, metadata.clone(), false).unwrap();
    assert_eq!(container.descriptor().metadata, metadata);
    store.close_container(&container).unwrap();
    assert_eq!(committed(), 0);
    let error = store.update_metadata(&container, metadata, false).unwrap_err();
    assert_eq!(error.code, Code::UnsupportedRequest);
}
