//! The block table: PutBlock, GetBlock, ListBlock.
//!
//! ```text
//!  puts of many containers ─► per disk, under its commit lock: rows of all puts in one batch
//!                             ─► one database write ─► counters in memory follow
//! ```
//! A put with an index not above its container's BCSID is a replay and writes nothing. The write is
//! logged but not synced: what a crash of the machine loses, the Raft log repeats.

use std::ops::{Bound, ControlFlow};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hdds_proto::datanode::{BlockData, ChunkInfo, DatanodeBlockId};
use hdds_types::ContainerId;
use ozone_db::{Batch, Durability, Range};
use prost::Message;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::tables::{self, BLOCK_DATA, FINALIZE_BLOCKS, LAST_CHUNK_INFO, METADATA};
use crate::{Code, Container, ContainerStore, StoreError, Volume};

/// Blocks in one answer at most (`OZONE_SCM_CONTAINER_LIST_MAX_COUNT` times ten).
const LIST_BLOCKS_MAX: usize = 10_000;
/// Metadata key: the chunk list is only what is new.
const INCREMENTAL: &str = "incremental";
/// Chunk metadata key: this chunk is full and will not be written again.
const FULL_CHUNK: &str = "full";

/// A block to be committed.
#[derive(Clone, Debug)]
pub struct PutBlock {
    /// Chunk list and metadata.
    pub data: BlockData,
    /// Nothing more will be written to the block.
    pub eof: bool,
    /// Raft index of the entry, which becomes the BCSID; 0 outside Raft.
    pub index: u64,
}

/// What a PutBlock answers.
#[derive(Clone, PartialEq, Debug)]
pub struct CommittedBlock {
    /// With the BCSID.
    pub block_id: DatanodeBlockId,
    /// Bytes in all its chunks.
    pub length: i64,
}

/// One disk's batch in the making.
struct PutBatch<'a> {
    store: &'a ContainerStore,
    volume: &'a Volume,
    batch: Batch,
    /// Blocks that are new in this batch.
    fresh: FxHashSet<(ContainerId, i64)>,
    effects: FxHashMap<ContainerId, Effect>,
}

/// What a batch changes in a container's counters.
struct Effect {
    container: Arc<Container>,
    bcsid: u64,
    new_blocks: i64,
}

impl ContainerStore {
    /// Commits blocks, as few database writes as there are disks. Returns one result per put, in
    /// order.
    pub fn put_blocks(
        &self,
        puts: Vec<(Arc<Container>, PutBlock)>,
    ) -> Vec<Result<CommittedBlock, StoreError>> {
        let mut results: Vec<Option<Result<CommittedBlock, StoreError>>> = Vec::new();
        results.resize_with(puts.len(), || None);
        let mut by_volume: Vec<(Arc<Volume>, Vec<(usize, Arc<Container>, PutBlock)>)> = Vec::new();
        for (at, (container, put)) in puts.into_iter().enumerate() {
            let volume = container.volume().clone();
            match by_volume.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &volume)) {
                Some((_, puts)) => puts.push((at, container, put)),
                None => by_volume.push((volume, vec![(at, container, put)])),
            }
        }
        for (volume, puts) in by_volume {
            for (at, result) in self.put_on_volume(&volume, puts) {
                if let Some(slot) = results.get_mut(at) {
                    *slot = Some(result);
                }
            }
        }
        let lost = || StoreError::new(Code::ContainerInternalError, "a PutBlock got no result");
        results.into_iter().map(|result| result.unwrap_or_else(|| Err(lost()))).collect()
    }

    fn put_on_volume(
        &self,
        volume: &Volume,
        puts: Vec<(usize, Arc<Container>, PutBlock)>,
    ) -> Vec<(usize, Result<CommittedBlock, StoreError>)> {
        let _commit = volume.commit.lock();
        let mut results = Vec::with_capacity(puts.len());
        let mut batch = PutBatch::new(self, volume);
        let mut batch_begins = 0;
        for (at, container, put) in puts {
            if is_incremental(&put.data) {
                // Reads what earlier puts of this batch may have written.
                commit(&mut batch, &mut results, batch_begins);
                batch_begins = results.len();
            }
            results.push((at, batch.add(&container, put)));
        }
        commit(&mut batch, &mut results, batch_begins);
        results
    }

    /// Commits one block.
    ///
    /// # Errors
    /// See [`Self::put_blocks`].
    pub fn put_block(
        &self,
        container: &Arc<Container>,
        put: PutBlock,
    ) -> Result<CommittedBlock, StoreError> {
        let lost = || StoreError::new(Code::ContainerInternalError, "a PutBlock got no result");
        self.put_blocks(vec![(container.clone(), put)]).pop().unwrap_or_else(|| Err(lost()))
    }

    /// A committed block, checked against the id that is asked for.
    ///
    /// # Errors
    /// `UNKNOWN_BCSID` when the container is not as far as the id; `BCSID_MISMATCH` when the block
    /// is not; `NO_SUCH_BLOCK`; `CONTAINER_NOT_FOUND` for another replica index.
    pub fn get_block(
        &self,
        container: &Container,
        id: &DatanodeBlockId,
    ) -> Result<BlockData, StoreError> {
        container.check_replica_index(id.replica_index)?;
        let asked = id.block_commit_sequence_id.unwrap_or(0);
        let known = container.bcsid();
        if known < asked {
            return Err(StoreError::new(
                Code::UnknownBcsid,
                format!(
                    "Unable to find the block with bcsID {asked}. Container {} bcsId is {known}.",
                    container.id()
                ),
            ));
        }
        let block = self.stored_block(container, id.local_id)?.ok_or_else(|| {
            StoreError::new(
                Code::NoSuchBlock,
                format!(
                    "Unable to find the block. conID: {} locID: {}",
                    container.id(),
                    id.local_id
                ),
            )
        })?;
        let stored = block.block_id.block_commit_sequence_id.unwrap_or(0);
        if stored < asked {
            return Err(StoreError::new(
                Code::BcsidMismatch,
                format!(
                    "bcsId {stored} mismatches with existing block Id {asked} for block conID: {} \
                     locID: {}.",
                    container.id(),
                    id.local_id
                ),
            ));
        }
        Ok(block)
    }

    /// The row of a block with its partial last chunk, if any.
    pub(crate) fn stored_block(
        &self,
        container: &Container,
        local_id: i64,
    ) -> Result<Option<BlockData>, StoreError> {
        let key = tables::number_key(container.id(), local_id);
        let volume = container.volume();
        match row(volume, BLOCK_DATA, &key)? {
            Some(block) => with_last_chunk(volume, &key, block).map(Some),
            None => Ok(None),
        }
    }

    /// Blocks in key order from `start` on.
    ///
    /// # Errors
    /// A row does not decode; the disk's.
    pub fn list_blocks(
        &self,
        container: &Container,
        start: Option<i64>,
        count: usize,
    ) -> Result<Vec<BlockData>, StoreError> {
        let id = container.id();
        let from = match start {
            Some(start) => tables::number_key(id, start).to_vec(),
            None => tables::prefix(id).to_vec(),
        };
        let limit = count.min(LIST_BLOCKS_MAX);
        let mut rows = Vec::new();
        let to = tables::prefix_end(id);
        let range = Range { from: Bound::Included(&from), to: Bound::Excluded(&to) };
        container.volume().database().visit(BLOCK_DATA, range, &mut |key, value| {
            if rows.len() == limit {
                return ControlFlow::Break(());
            }
            if tables::number_of(key).is_some() {
                rows.push((key.to_vec(), decode(BLOCK_DATA, value)));
            }
            ControlFlow::Continue(())
        })?;
        rows.into_iter()
            .map(|(key, block)| with_last_chunk(container.volume(), &key, block?))
            .collect()
    }

    /// No further writes to a block (`FinalizeBlock`).
    ///
    /// # Errors
    /// `NO_SUCH_BLOCK`; the disk's.
    pub fn finalize_block(
        &self,
        container: &Container,
        id: &DatanodeBlockId,
    ) -> Result<BlockData, StoreError> {
        let block = self.get_block(container, id)?;
        let mut batch = Batch::default();
        let key = tables::number_key(container.id(), id.local_id);
        batch.put(FINALIZE_BLOCKS, key, tables::counter(id.local_id));
        container.volume().database().write(batch, Durability::Logged)?;
        container.finalized.write().insert(id.local_id);
        container.volume().open_blocks.close(container.id(), id.local_id);
        Ok(block)
    }

    /// Refuses writes to a finalized block.
    ///
    /// # Errors
    /// `BLOCK_ALREADY_FINALIZED`.
    pub fn check_not_finalized(
        &self,
        container: &Container,
        local_id: i64,
    ) -> Result<(), StoreError> {
        if !container.finalized.read().contains(&local_id) {
            return Ok(());
        }
        Err(StoreError::new(
            Code::BlockAlreadyFinalized,
            format!("Block already finalized: conID: {} locID: {local_id}", container.id()),
        ))
    }
}

/// Writes the batch; if that fails, so do all puts in it.
fn commit(
    batch: &mut PutBatch<'_>,
    results: &mut [(usize, Result<CommittedBlock, StoreError>)],
    batch_begins: usize,
) {
    let Err(error) = batch.write() else { return };
    for (_, result) in results.iter_mut().skip(batch_begins) {
        if result.is_ok() {
            *result = Err(error.clone());
        }
    }
}

impl<'a> PutBatch<'a> {
    fn new(store: &'a ContainerStore, volume: &'a Volume) -> Self {
        Self {
            store,
            volume,
            batch: Batch::default(),
            fresh: FxHashSet::default(),
            effects: FxHashMap::default(),
        }
    }

    fn add(
        &mut self,
        container: &Arc<Container>,
        put: PutBlock,
    ) -> Result<CommittedBlock, StoreError> {
        container.check_writable()?;
        let PutBlock { mut data, eof, index } = put;
        let local_id = data.block_id.local_id;
        check_block(container, &data)?;
        let length = data.chunks.iter().map(|chunk| chunk.len.cast_signed()).sum::<i64>();
        if data.size.is_some_and(|size| size != length) {
            return Err(StoreError::malformed(format!(
                "Size mismatch: size in BlockData is {}, the chunks add up to {length}",
                data.size.unwrap_or(0)
            )));
        }
        data.size = Some(length);
        if index > 0 {
            data.block_id.block_commit_sequence_id = Some(index);
        }
        let block_id = data.block_id;
        let known = self.effects.get(&container.id()).map_or(container.bcsid(), |e| e.bcsid);
        if index > 0 && index <= known {
            return Ok(CommittedBlock { block_id, length });
        }
        self.store.check_not_finalized(container, local_id)?;
        self.store.ensure_on_disk(container)?;
        if !data.chunks.is_empty() {
            self.store.finish_block(container, &data, eof)?;
        }
        let is_new = self.put_rows(container, &data, eof)?;
        self.count(container, index, is_new);
        Ok(CommittedBlock { block_id, length })
    }

    /// Rows of the block itself; whether it was not there before.
    fn put_rows(
        &mut self,
        container: &Container,
        data: &BlockData,
        eof: bool,
    ) -> Result<bool, StoreError> {
        let local_id = data.block_id.local_id;
        let key = tables::number_key(container.id(), local_id);
        let in_batch = !self.fresh.insert((container.id(), local_id));
        if is_incremental(data) {
            return self.put_incremental(&key, data, eof);
        }
        let is_new = !in_batch && self.volume.database().get(BLOCK_DATA, &key)?.is_none();
        self.batch.put(BLOCK_DATA, key, data.encode_to_vec());
        Ok(is_new)
    }

    /// An incremental chunk list (`DatanodeStoreWithIncrementalChunkList`): full chunks are appended
    /// to the row, the partial one has a table of its own.
    fn put_incremental(
        &mut self,
        key: &bytes::Bytes,
        data: &BlockData,
        eof: bool,
    ) -> Result<bool, StoreError> {
        let stored = row(self.volume, BLOCK_DATA, key)?;
        let is_new = stored.is_none();
        let mut block = stored.unwrap_or_else(|| BlockData { chunks: Vec::new(), ..data.clone() });
        block.block_id = data.block_id;
        let mut chunks = data.chunks.clone();
        let last_is_full = chunks.last().is_none_or(|chunk| has(&chunk.metadata, FULL_CHUNK));
        if eof || last_is_full {
            if chunks.is_empty() {
                let last = row(self.volume, LAST_CHUNK_INFO, key)?;
                chunks.extend(last.into_iter().flat_map(|last| last.chunks));
            }
            self.batch.delete(LAST_CHUNK_INFO, key.clone());
        } else {
            let partial: Vec<ChunkInfo> = chunks.pop().into_iter().collect();
            let mut last = BlockData { chunks: partial, ..data.clone() };
            last.size = Some(sum(&last.chunks));
            self.batch.put(LAST_CHUNK_INFO, key.clone(), last.encode_to_vec());
        }
        append(&mut block.chunks, chunks)?;
        block.size = Some(sum(&block.chunks));
        self.batch.put(BLOCK_DATA, key.clone(), block.encode_to_vec());
        Ok(is_new)
    }

    fn count(&mut self, container: &Arc<Container>, index: u64, is_new: bool) {
        let id = container.id();
        let effect = self.effects.entry(id).or_insert_with(|| Effect {
            container: container.clone(),
            bcsid: container.bcsid(),
            new_blocks: 0,
        });
        effect.bcsid = effect.bcsid.max(index);
        effect.new_blocks += i64::from(is_new);
    }

    /// Adds the counters of every touched container and writes all of it.
    fn write(&mut self) -> Result<(), StoreError> {
        let effects = std::mem::take(&mut self.effects);
        self.fresh.clear();
        let mut batch = std::mem::take(&mut self.batch);
        if batch.is_empty() {
            return Ok(());
        }
        for (id, Effect { container, bcsid, new_blocks }) in &effects {
            let mut counter = |name, value| {
                batch.put(METADATA, tables::key(*id, name), tables::counter(value));
            };
            if *bcsid > 0 {
                counter(tables::BCSID, bcsid.cast_signed());
            }
            counter(tables::BYTES_USED, container.bytes_used().cast_signed());
            if *new_blocks > 0 {
                counter(tables::BLOCK_COUNT, container.blocks() + new_blocks);
            }
        }
        self.volume.database().write(batch, Durability::Logged)?;
        for Effect { container, bcsid, new_blocks } in effects.into_values() {
            container.counters.bcsid.fetch_max(bcsid, Ordering::AcqRel);
            container.counters.blocks.fetch_add(new_blocks, Ordering::AcqRel);
        }
        Ok(())
    }
}

fn check_block(container: &Container, data: &BlockData) -> Result<(), StoreError> {
    if data.block_id.container_id.cast_unsigned() != container.id().0 {
        return Err(StoreError::malformed(format!(
            "block {} is not in container {}",
            data.block_id.container_id,
            container.id()
        )));
    }
    let mut keys = FxHashSet::default();
    match data.metadata.iter().find(|pair| !keys.insert(pair.key.as_str())) {
        None => Ok(()),
        Some(pair) => Err(StoreError::new(
            Code::IoException,
            format!("This key already exists. Key {}", pair.key),
        )),
    }
}

/// Chunks must follow each other without a gap; a repeated chunk replaces what it overlaps.
fn append(chunks: &mut Vec<ChunkInfo>, new: Vec<ChunkInfo>) -> Result<(), StoreError> {
    let Some(first) = new.first() else { return Ok(()) };
    chunks.retain(|chunk| chunk.offset < first.offset);
    let end = chunks.last().map_or(0, |chunk| chunk.offset.saturating_add(chunk.len));
    if first.offset != end {
        return Err(StoreError::new(
            Code::ChunkFileInconsistency,
            format!(
                "incremental chunk list begins at {} but the stored list ends at {end}; send the \
                 whole list",
                first.offset
            ),
        ));
    }
    chunks.extend(new);
    Ok(())
}

fn with_last_chunk(
    volume: &Volume,
    key: &[u8],
    mut block: BlockData,
) -> Result<BlockData, StoreError> {
    if is_incremental(&block)
        && let Some(last) = row(volume, LAST_CHUNK_INFO, key)?
    {
        append(&mut block.chunks, last.chunks)?;
        block.block_id = last.block_id;
        block.size = Some(sum(&block.chunks));
    }
    Ok(block)
}

fn row(volume: &Volume, table: &'static str, key: &[u8]) -> Result<Option<BlockData>, StoreError> {
    volume.database().get(table, key)?.map(|value| decode(table, &value)).transpose()
}

pub(crate) fn decode(table: &'static str, value: &[u8]) -> Result<BlockData, StoreError> {
    BlockData::decode(value).map_err(|error| {
        StoreError::new(Code::ContainerMetadataError, format!("a row of {table}: {error}"))
    })
}

fn is_incremental(data: &BlockData) -> bool {
    has(&data.metadata, INCREMENTAL)
}

fn has(metadata: &[hdds_proto::datanode::KeyValue], key: &str) -> bool {
    metadata.iter().any(|pair| pair.key == key)
}

pub(crate) fn sum(chunks: &[ChunkInfo]) -> i64 {
    chunks.iter().map(|chunk| chunk.len.cast_signed()).sum()
}
