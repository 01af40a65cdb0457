//! Chunks in block files: the hot path of reads and writes.
//!
//! `chunks/<localID>.block` is the chunks of a block one after another: a chunk's offset is its offset
//! in the file. There is no header and no checksum in it; checksums live in the block table.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;
use hdds_proto::datanode::{BlockData, ChunkInfo};
use hdds_types::ContainerId;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use crate::block_file::BlockFile;
use crate::{Code, Container, ContainerStore, StoreError};

/// Largest piece that one call reads or writes (`OZONE_SCM_CHUNK_MAX_SIZE`), in bytes.
pub const CHUNK_BYTES_MAX: u64 = 32 << 20;
/// Block files kept open for writing per disk; the one not used for longest is closed.
const OPEN_BLOCKS_MAX: usize = 256;

/// A chunk to be written.
#[derive(Clone, Debug)]
pub struct ChunkWrite {
    /// The block.
    pub local_id: i64,
    /// Offset, length, checksums.
    pub info: ChunkInfo,
    /// The bytes.
    pub data: Bytes,
}

/// Block files open for writing, by last use.
#[derive(Default)]
pub(crate) struct OpenBlocks {
    files: Mutex<(u64, FxHashMap<(ContainerId, i64), (u64, Arc<BlockFile>)>)>,
}

impl OpenBlocks {
    fn get(&self, container: &Container, local_id: i64) -> io::Result<Arc<BlockFile>> {
        let key = (container.id(), local_id);
        {
            let mut guard = self.files.lock();
            let (clock, files) = &mut *guard;
            *clock += 1;
            if let Some((used, file)) = files.get_mut(&key) {
                *used = *clock;
                return Ok(file.clone());
            }
        }
        let file = Arc::new(BlockFile::open(container.block_path(local_id))?);
        let mut guard = self.files.lock();
        let (clock, files) = &mut *guard;
        if files.len() >= OPEN_BLOCKS_MAX
            && let Some(oldest) =
                files.iter().min_by_key(|(_, (used, _))| *used).map(|(key, _)| *key)
        {
            files.remove(&oldest);
        }
        files.insert(key, (*clock, file.clone()));
        Ok(file)
    }

    /// The open file of a block; with `close` it is let go.
    fn find(&self, container: ContainerId, local_id: i64, close: bool) -> Option<Arc<BlockFile>> {
        let mut files = self.files.lock();
        let key = (container, local_id);
        match close {
            true => files.1.remove(&key).map(|(_, file)| file),
            false => files.1.get(&key).map(|(_, file)| file.clone()),
        }
    }

    /// The block is complete or removed.
    pub(crate) fn close(&self, container: ContainerId, local_id: i64) -> Option<Arc<BlockFile>> {
        self.files.lock().1.remove(&(container, local_id)).map(|(_, file)| file)
    }

    /// The container is closed or removed.
    pub(crate) fn close_all(&self, container: ContainerId) {
        self.files.lock().1.retain(|(id, _), _| *id != container);
    }
}

impl ContainerStore {
    /// Writes a chunk into its block file, creating the container's files if need be. Runs on the
    /// write lane of the block. What it overwrites must be the tail of an earlier attempt; what it
    /// adds must begin at the end of the file.
    ///
    /// # Errors
    /// The container takes no writes; `INVALID_WRITE_SIZE`; `CHUNK_FILE_INCONSISTENCY` when bytes
    /// before it are missing; `CHECKSUM_MISMATCH` if checked; the disk's.
    pub fn write_chunk(&self, container: &Container, write: &ChunkWrite) -> Result<(), StoreError> {
        container.check_writable()?;
        let ChunkWrite { local_id, info, data } = write;
        if info.len == 0 {
            return Ok(());
        }
        if info.len != data.len() as u64 {
            return Err(StoreError::new(
                Code::InvalidWriteSize,
                format!(
                    "data array does not match the length specified. DataLen: {} Byte Array: {}",
                    info.len,
                    data.len()
                ),
            ));
        }
        if self.settings.verify_on_write {
            chunk_checksum::verify(&info.checksum_data, 0, data).map_err(|error| {
                StoreError::new(
                    Code::ChecksumMismatch,
                    format!("chunk {}: {error}", info.chunk_name),
                )
            })?;
        }
        self.ensure_on_disk(container)?;
        let begun = Instant::now();
        let grown = self.put_bytes(container, *local_id, info, data)?;
        let io = &container.volume().io;
        io.writes.took(begun.elapsed());
        io.write_bytes.add(info.len);
        container.add_bytes(i64::try_from(grown).unwrap_or(i64::MAX));
        container.counters.writes.fetch_add(1, Ordering::Relaxed);
        container.counters.write_bytes.fetch_add(info.len, Ordering::Relaxed);
        Ok(())
    }

    /// Returns by how much the file grew.
    fn put_bytes(
        &self,
        container: &Container,
        local_id: i64,
        info: &ChunkInfo,
        data: &[u8],
    ) -> Result<u64, StoreError> {
        let fail = |error: io::Error| {
            let path = container.block_path(local_id);
            let failure = StoreError::io(format!("cannot write {}", path.display()), &error);
            if failure.code != Code::DiskOutOfSpace {
                container.volume().check();
            }
            failure
        };
        let file = container.volume().open_blocks.get(container, local_id).map_err(fail)?;
        let before = file.len().map_err(fail)?;
        let end = info.offset.checked_add(info.len).ok_or_else(|| {
            StoreError::new(Code::InvalidWriteSize, format!("chunk {} has no end", info.chunk_name))
        })?;
        if info.offset > before {
            return Err(StoreError::new(
                Code::ChunkFileInconsistency,
                format!(
                    "Chunk file offset {} does not match blockFile length {before}: {}",
                    info.offset,
                    container.block_path(local_id).display()
                ),
            ));
        }
        container.volume().block_io.write(&file, data, info.offset).map_err(fail)?;
        if self.settings.sync_chunks {
            file.sync_data().map_err(fail)?;
        }
        Ok(end.saturating_sub(before))
    }

    /// Reads `len` bytes at `offset` of a block. Runs on a read thread.
    ///
    /// # Errors
    /// `UNABLE_TO_FIND_CHUNK` when the block file is not there or too short; the disk's.
    pub fn read_chunk(
        &self,
        container: &Container,
        local_id: i64,
        offset: u64,
        len: u64,
    ) -> Result<Bytes, StoreError> {
        if len > CHUNK_BYTES_MAX {
            return Err(StoreError::new(
                Code::UnsupportedRequest,
                format!("Oversize read. max: {CHUNK_BYTES_MAX}, actual: {len}"),
            ));
        }
        let begun = Instant::now();
        let path = container.block_path(local_id);
        let read = container.volume().block_io.read(&path, offset, len as usize);
        let data = read.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof => StoreError::new(
                Code::UnableToFindChunk,
                format!("Chunk file cannot be read at {offset}+{len}: {}: {error}", path.display()),
            ),
            _ => {
                container.volume().check();
                StoreError::io(format!("cannot read {}", path.display()), &error)
            }
        })?;
        let io = &container.volume().io;
        io.reads.took(begun.elapsed());
        io.read_bytes.add(len);
        container.counters.reads.fetch_add(1, Ordering::Relaxed);
        container.counters.read_bytes.fetch_add(len, Ordering::Relaxed);
        Ok(data)
    }

    /// Reads a chunk back and holds it against its checksums, so that damage is not passed on.
    ///
    /// # Errors
    /// As [`Self::read_chunk`]; `CHECKSUM_MISMATCH`.
    pub fn read_chunk_verified(
        &self,
        container: &Container,
        chunk: &ChunkWrite,
    ) -> Result<Bytes, StoreError> {
        let info = &chunk.info;
        let data = self.read_chunk(container, chunk.local_id, info.offset, info.len)?;
        chunk_checksum::verify(&info.checksum_data, 0, &data).map_err(|error| {
            let path = container.block_path(chunk.local_id);
            let place = format!("{} at {}+{}", path.display(), info.offset, info.len);
            StoreError::new(Code::ChecksumMismatch, format!("{place}: checksum: {error}"))
        })?;
        Ok(data)
    }

    /// Before a block is committed: its file must hold all its chunks. A crash can leave a Raft entry
    /// on disk whose chunk was not written; committing such a block would hide the loss. A block that
    /// goes on (no `eof`) may have no file yet, as in Ozone. With `eof` the open file is let go (`FilePerBlockStrategy.finishWriteChunks`).
    pub(crate) fn finish_block(
        &self,
        container: &Container,
        block: &BlockData,
        eof: bool,
    ) -> Result<(), StoreError> {
        let local_id = block.block_id.local_id;
        let ends = block.chunks.iter().map(|chunk| chunk.offset.saturating_add(chunk.len));
        let end = ends.max().unwrap_or(0);
        let path = container.block_path(local_id);
        let open = container.volume().open_blocks.find(container.id(), local_id, eof);
        let length = match open {
            Some(file) => file.len(),
            None => std::fs::metadata(&path).map(|metadata| metadata.len()),
        };
        if !eof && length.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::NotFound) {
            return Ok(());
        }
        let length = length.map_err(|error| {
            let message = format!("Chunk file not found: {}: {error}", path.display());
            StoreError::new(Code::UnableToFindChunk, message)
        })?;
        if length < end {
            return Err(StoreError::new(
                Code::UnableToFindChunk,
                format!(
                    "Chunk file {} has {length} bytes but its block has {end}; the replica is \
                     incomplete",
                    path.display()
                ),
            ));
        }
        Ok(())
    }
}
