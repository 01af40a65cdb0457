//! Reading one block from whichever replica answers.
//!
//! ```text
//!  open: GetBlock ─► list of chunks          next: ReadChunk, ReadChunk, … (several ahead)
//!                                                  └─► checksums verified ─► the range asked for
//! ```
//! A failure of any kind goes on with the next replica, from the chunk that failed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use hdds_proto::datanode::read_chunk_response_proto::ResponseData;
use hdds_proto::datanode::{BlockData, ChunkInfo, ContainerCommandResponseProto};
use tokio::task::JoinHandle;

use super::{BlockLocation, Node};
use crate::datanode::command::BlockCommands;
use crate::{BlockError, Datanodes};

/// Reads a range of one block, in order.
pub struct BlockReader {
    source: Arc<Source>,
    chunks: Vec<ChunkInfo>,
    /// Next chunk to ask for.
    next: usize,
    /// First byte that is wanted, and the one after the last.
    from: u64,
    until: u64,
    ahead: VecDeque<Ahead>,
}

/// A chunk that is being read by a task of its own, so that receiving and verifying several go on
/// while the first is used. Dropping it ends the task.
struct Ahead(JoinHandle<Result<Bytes, BlockError>>);

impl Drop for Ahead {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The block, and the replicas to read it from.
struct Source {
    datanodes: Datanodes,
    location: BlockLocation,
    nodes: Vec<Node>,
    /// Index into `nodes` of the replica that answered last.
    preferred: AtomicUsize,
}

impl BlockReader {
    /// Asks a replica for the block's chunks, to read `length` bytes from `offset`.
    ///
    /// # Errors
    /// No replica answers.
    pub async fn open(
        datanodes: &Datanodes,
        location: &BlockLocation,
        offset: u64,
        length: u64,
    ) -> Result<Self, BlockError> {
        let source = Arc::new(Source::new(datanodes, location)?);
        let block = source.block_data().await?;
        let until = offset.saturating_add(length);
        let mut chunks = block.chunks;
        chunks.retain(|chunk| chunk.offset < until && chunk.offset + chunk.len > offset);
        Ok(Self { source, chunks, next: 0, from: offset, until, ahead: VecDeque::new() })
    }

    /// The next piece of the range; `None` at its end.
    ///
    /// # Errors
    /// No replica has the next chunk unharmed.
    pub async fn next(&mut self) -> Result<Option<Bytes>, BlockError> {
        let limit = self.source.datanodes.settings().read_ahead_chunks.max(1);
        while self.ahead.len() < limit {
            let Some(chunk) = self.chunks.get(self.next) else { break };
            let from = self.from.max(chunk.offset);
            let until = self.until.min(chunk.offset + chunk.len);
            let source = Arc::clone(&self.source);
            let chunk = chunk.clone();
            let task = tokio::spawn(async move { source.read(&chunk, from, until).await });
            self.ahead.push_back(Ahead(task));
            self.next += 1;
        }
        let Some(mut first) = self.ahead.pop_front() else { return Ok(None) };
        match (&mut first.0).await {
            Ok(piece) => piece.map(Some),
            Err(error) => Err(BlockError::Unreachable {
                node: "this process".to_owned(),
                message: format!("a read ended early: {error}"),
            }),
        }
    }
}

/// The chunks of a block, from any replica.
///
/// # Errors
/// No replica answers.
pub async fn block_chunks(
    datanodes: &Datanodes,
    location: &BlockLocation,
) -> Result<Vec<ChunkInfo>, BlockError> {
    Ok(Source::new(datanodes, location)?.block_data().await?.chunks)
}

impl Source {
    fn new(datanodes: &Datanodes, location: &BlockLocation) -> Result<Self, BlockError> {
        let wrong = |message| BlockError::Location { block: location.block, message };
        let pipeline = location.pipeline.as_ref().ok_or_else(|| wrong("no pipeline"))?;
        let nodes: Vec<Node> = pipeline.read_order().into_iter().cloned().collect();
        if nodes.is_empty() {
            return Err(wrong("no replica is known"));
        }
        if pipeline.kind == hdds_proto::hdds::ReplicationType::Ec {
            return Err(wrong("erasure coded keys cannot be read yet"));
        }
        Ok(Self {
            datanodes: datanodes.clone(),
            location: location.clone(),
            nodes,
            preferred: AtomicUsize::new(0),
        })
    }

    fn commands(&self) -> BlockCommands {
        BlockCommands {
            block: self.location.block,
            replica_index: 0,
            node: self.nodes.first().map(|node| node.uuid.clone()).unwrap_or_default(),
            token: self.location.token.clone(),
        }
    }

    /// The replicas to try, the one that answered last first.
    fn tries(&self) -> Tries<'_> {
        Tries { source: self, first: self.preferred.load(Ordering::Relaxed), step: 0, last: None }
    }

    async fn block_data(&self) -> Result<BlockData, BlockError> {
        let mut tries = self.tries();
        while let Some((index, node)) = tries.next() {
            match self.block_data_from(node).await {
                Ok(block) => {
                    self.preferred.store(index, Ordering::Relaxed);
                    return Ok(block);
                }
                Err(error) => tries.failed(error)?,
            }
        }
        Err(tries.exhausted())
    }

    async fn block_data_from(&self, node: &Node) -> Result<BlockData, BlockError> {
        let answer = self.datanodes.send(node, self.commands().get_block()).await?;
        let malformed =
            |message: String| BlockError::Malformed { node: self.datanodes.address(node), message };
        let block = answer
            .get_block
            .map(|found| found.block_data)
            .ok_or_else(|| malformed("GetBlock was answered without a block".to_owned()))?;
        check_chunks(&block.chunks).map_err(malformed)?;
        Ok(block)
    }

    /// The bytes `from..until` (offsets in the block) of a chunk that covers them.
    async fn read(&self, chunk: &ChunkInfo, from: u64, until: u64) -> Result<Bytes, BlockError> {
        let part = Part::of(chunk, from, until);
        let mut tries = self.tries();
        while let Some((index, node)) = tries.next() {
            match self.part_from(node, &part).await {
                Ok(data) => {
                    self.preferred.store(index, Ordering::Relaxed);
                    let begin = (from - part.info.offset) as usize;
                    return Ok(cut(data, begin, (until - from) as usize));
                }
                Err(error) => tries.failed(error)?,
            }
        }
        Err(tries.exhausted())
    }

    async fn part_from(&self, node: &Node, part: &Part) -> Result<Vec<Bytes>, BlockError> {
        let request = self.commands().read_chunk(part.info.clone());
        let answer = self.datanodes.send(node, request).await?;
        let data = data_of(answer).ok_or_else(|| BlockError::Malformed {
            node: self.datanodes.address(node),
            message: "ReadChunk was answered without data".to_owned(),
        })?;
        self.check(node, part, &data)?;
        Ok(data)
    }

    fn check(&self, node: &Node, part: &Part, data: &[Bytes]) -> Result<(), BlockError> {
        let found: u64 = data.iter().map(|buffer| buffer.len() as u64).sum();
        if found != part.info.len {
            let message = format!("{} bytes were asked for, {found} came", part.info.len);
            return Err(BlockError::Malformed { node: self.datanodes.address(node), message });
        }
        if !self.datanodes.settings().verify_checksum {
            return Ok(());
        }
        let sums = &part.info.checksum_data;
        chunk_checksum::verify_buffers(sums, part.first_piece, data).map_err(|source| {
            BlockError::Corrupt {
                node: self.datanodes.address(node),
                block: self.location.block,
                source,
            }
        })
    }
}

/// Goes through the replicas of one block, once.
struct Tries<'a> {
    source: &'a Source,
    first: usize,
    step: usize,
    last: Option<BlockError>,
}

impl<'a> Tries<'a> {
    fn next(&mut self) -> Option<(usize, &'a Node)> {
        let count = self.source.nodes.len();
        if self.step == count {
            return None;
        }
        let index = (self.first + self.step) % count;
        self.step += 1;
        self.source.nodes.get(index).map(|node| (index, node))
    }

    /// Remembers a failure; a refused token ends the search, since it would be refused everywhere.
    fn failed(&mut self, error: BlockError) -> Result<(), BlockError> {
        if error.is_token_refused() {
            return Err(error);
        }
        tracing::debug!(block = %self.source.location.block, %error, "trying the next replica");
        self.last = Some(error);
        Ok(())
    }

    fn exhausted(self) -> BlockError {
        let block = self.source.location.block;
        match self.last {
            Some(last) => BlockError::NoReplica { block, last: Box::new(last) },
            None => BlockError::Location { block, message: "no replica is known" },
        }
    }
}

/// A part of a chunk, widened to whole checksum pieces.
struct Part {
    info: ChunkInfo,
    first_piece: usize,
}

impl Part {
    fn of(chunk: &ChunkInfo, from: u64, until: u64) -> Self {
        let piece = u64::from(chunk.checksum_data.bytes_per_checksum);
        let (begin, end) = (from - chunk.offset, until - chunk.offset);
        let (begin, end, first_piece) = if chunk.checksum_data.checksums.is_empty() || piece == 0 {
            (begin, end, 0)
        } else {
            let begin_piece = begin / piece;
            (begin_piece * piece, (end.div_ceil(piece) * piece).min(chunk.len), begin_piece)
        };
        let info = ChunkInfo { offset: chunk.offset + begin, len: end - begin, ..chunk.clone() };
        Self { info, first_piece: first_piece as usize }
    }
}

/// Refuses a list of chunks with holes or overflowing offsets.
fn check_chunks(chunks: &[ChunkInfo]) -> Result<(), String> {
    let mut at = chunks.first().map_or(0, |chunk| chunk.offset);
    for chunk in chunks {
        if chunk.offset != at || chunk.len > crate::settings::CHUNK_BYTES_MAX {
            return Err(format!("chunk {} does not follow the one before it", chunk.chunk_name));
        }
        at = chunk.offset.checked_add(chunk.len).ok_or("a chunk ends nowhere")?;
    }
    Ok(())
}

fn data_of(answer: ContainerCommandResponseProto) -> Option<Vec<Bytes>> {
    match answer.read_chunk?.response_data? {
        ResponseData::Data(data) => Some(vec![data]),
        ResponseData::DataBuffers(list) => Some(list.buffers),
    }
}

/// `length` bytes from `begin` of the concatenation; without copying when they lie in one buffer.
fn cut(buffers: Vec<Bytes>, begin: usize, length: usize) -> Bytes {
    if let [single] = &buffers[..] {
        return single.slice(begin..begin + length);
    }
    let mut whole = BytesMut::with_capacity(length);
    let (mut skip, mut left) = (begin, length);
    for buffer in buffers {
        let here = buffer.len().saturating_sub(skip).min(left);
        if here > 0 {
            whole.extend_from_slice(&buffer[skip..skip + here]);
        }
        skip = skip.saturating_sub(buffer.len());
        left -= here;
    }
    whole.freeze()
}
