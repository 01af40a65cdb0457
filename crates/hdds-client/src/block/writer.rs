//! Writing one block through a pipeline's Raft group.
//!
//! ```text
//!  data ─► chunk (checksums) ─► WriteChunk ──┐                    ┌─► acknowledged: forgotten
//!                     every 16 MB: PutBlock ─┴─► ring, in order ──┴─► failed: given back
//!                     at the end:  PutBlock(eof), watch
//! ```
//! Invariants
//! * Answers are taken in the order of the requests, so a PutBlock counts only when every WriteChunk
//!   before it succeeded.
//! * What is written but not acknowledged stays in memory, at most
//!   [`BlockSettings::unacknowledged_bytes_max`](crate::BlockSettings).
//! * After an error nothing more is sent; [`BlockWriter::abandon`] returns what is to be sent to
//!   another block.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use hdds_proto::datanode::{
    ChunkInfo, ContainerCommandResponseProto, GetCommittedBlockLengthResponseProto,
    PutBlockRequestProto, Result as Code, Type,
};
use hdds_types::BlockId;
use prost::Message;

use super::{BlockLocation, Exclude, Pipeline};
use crate::datanode::command::{BlockCommands, ratis_message};
use crate::ring::{Ring, RingError, RingReply};
use crate::{BlockError, BlockSettings, Datanodes, WatchLevel};

/// `DatanodeVersion.COMBINED_PUTBLOCK_WRITECHUNK_RPC`.
const VERSION_PIGGYBACK: i32 = 2;

/// Writes one block.
pub struct BlockWriter {
    commands: BlockCommands,
    pipeline: Arc<Pipeline>,
    ring: Arc<dyn Ring>,
    settings: BlockSettings,
    capacity: u64,
    chunks: Vec<ChunkInfo>,
    length: u64,
    /// Length that the last PutBlock sent covers.
    flushed: u64,
    /// Length that is acknowledged.
    acknowledged: u64,
    bcsid: u64,
    /// Chunks that are not acknowledged.
    kept: VecDeque<Bytes>,
    in_flight: VecDeque<InFlight>,
    last_reply: Option<RingReply>,
    failed: Vec<String>,
    error: Option<BlockError>,
}

struct InFlight {
    answer: BoxFuture<'static, Result<RingReply, RingError>>,
    kind: Type,
    /// Length of the block that this request commits.
    commits: Option<u64>,
}

/// A block that is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The block with its BCSID.
    pub block: BlockId,
    /// Bytes.
    pub length: u64,
    /// UUIDs of members that did not get it in time.
    pub failed_nodes: Vec<String>,
}

impl BlockWriter {
    /// A writer of the block at `location`, whose length is the capacity.
    ///
    /// # Errors
    /// The location names no pipeline.
    pub fn new(datanodes: &Datanodes, location: &BlockLocation) -> Result<Self, BlockError> {
        let wrong = |message| BlockError::Location { block: location.block, message };
        let pipeline = location.pipeline.clone().ok_or_else(|| wrong("no pipeline"))?;
        let first = pipeline.nodes.first().ok_or_else(|| wrong("a pipeline without members"))?;
        if pipeline.kind != hdds_proto::hdds::ReplicationType::Ratis {
            return Err(wrong("only RATIS pipelines can be written to"));
        }
        Ok(Self {
            commands: BlockCommands {
                block: location.block,
                replica_index: 0,
                node: first.uuid.clone(),
                token: location.token.clone(),
            },
            ring: datanodes.ring(&pipeline),
            settings: datanodes.settings().clone(),
            capacity: location.length,
            pipeline,
            chunks: Vec::new(),
            length: 0,
            flushed: 0,
            acknowledged: 0,
            bcsid: 0,
            kept: VecDeque::new(),
            in_flight: VecDeque::new(),
            last_reply: None,
            failed: Vec::new(),
            error: None,
        })
    }

    /// Bytes that still fit.
    pub fn remaining(&self) -> u64 {
        self.capacity.saturating_sub(self.length)
    }

    /// Bytes written, acknowledged or not.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Writes one chunk, waiting only while too much is unacknowledged. `last` says that the block
    /// ends here, which saves a round where the chunk may carry the PutBlock.
    ///
    /// # Errors
    /// The block failed; see [`Self::abandon`]. The chunk is among what it gives back.
    pub async fn write(&mut self, data: Bytes, last: bool) -> Result<(), BlockError> {
        self.kept.push_back(data.clone());
        self.make_room(data.len() as u64).await?;
        let info = self.describe(&data);
        self.length += data.len() as u64;
        self.chunks.push(info.clone());
        let piggyback = last && self.can_piggyback();
        let commit = piggyback.then(|| PutBlockRequestProto {
            block_data: self.commands.block_data(self.chunks.clone()),
            eof: Some(true),
        });
        let header = self.commands.write_chunk(info, commit);
        self.queue(ratis_message(&header, &data), Type::WriteChunk, piggyback);
        if !piggyback && self.length - self.flushed >= self.settings.flush_bytes {
            self.put_block(false);
        }
        Ok(())
    }

    /// Commits what is written, waits for all answers and for the replicas.
    ///
    /// # Errors
    /// The block failed; see [`Self::abandon`].
    pub async fn finish(&mut self) -> Result<Written, BlockError> {
        self.check()?;
        // As in Ozone, the last PutBlock carries eof even if nothing follows the one before it.
        if self.flushed < self.length || self.in_flight.is_empty() && self.bcsid == 0 {
            self.put_block(true);
        }
        while self.take_answer().await? {}
        self.watch().await?;
        Ok(self.written())
    }

    /// Gives up: what is acknowledged (if anything), and the chunks that are not.
    pub fn abandon(self) -> (Option<Written>, Vec<Bytes>) {
        let written = (self.acknowledged > 0)
            .then(|| Written { length: self.acknowledged, ..self.written() });
        (written, self.kept.into())
    }

    /// What new blocks should avoid after `error`.
    pub fn exclusion(&self, error: &BlockError) -> Exclude {
        match error {
            BlockError::ContainerClosed { container, .. } => Exclude::Container(*container),
            _ => Exclude::Pipeline(self.pipeline.id),
        }
    }

    /// The pipeline written to.
    pub fn pipeline(&self) -> &Arc<Pipeline> {
        &self.pipeline
    }

    fn written(&self) -> Written {
        Written {
            block: BlockId { bcsid: self.bcsid, ..self.commands.block },
            length: self.length,
            failed_nodes: self.failed.clone(),
        }
    }

    fn can_piggyback(&self) -> bool {
        self.settings.piggyback
            && self.pipeline.nodes.iter().all(|node| node.version >= VERSION_PIGGYBACK)
    }

    fn describe(&self, data: &Bytes) -> ChunkInfo {
        let number = self.chunks.len() + 1;
        ChunkInfo {
            chunk_name: format!("{}_chunk_{number}", self.commands.block.local),
            offset: self.length,
            len: data.len() as u64,
            metadata: Vec::new(),
            checksum_data: chunk_checksum::compute(
                self.settings.checksum,
                self.settings.bytes_per_checksum,
                data,
            ),
            stripe_checksum: None,
        }
    }

    fn put_block(&mut self, eof: bool) {
        let header = self.commands.put_block(self.chunks.clone(), eof);
        self.queue(ratis_message(&header, &[]), Type::PutBlock, true);
    }

    fn queue(&mut self, message: Bytes, kind: Type, commits: bool) {
        let answer = self.ring.write(message);
        if commits {
            self.flushed = self.length;
        }
        self.in_flight.push_back(InFlight {
            answer,
            kind,
            commits: commits.then_some(self.length),
        });
    }

    /// Waits until `more` bytes may be written.
    async fn make_room(&mut self, more: u64) -> Result<(), BlockError> {
        self.check()?;
        while self.length + more - self.acknowledged > self.settings.unacknowledged_bytes_max {
            if !self.take_answer().await? {
                break;
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<(), BlockError> {
        self.error.clone().map_or(Ok(()), Err)
    }

    /// Takes the oldest answer; `false` when none is awaited.
    async fn take_answer(&mut self) -> Result<bool, BlockError> {
        let Some(oldest) = self.in_flight.front_mut() else { return Ok(false) };
        let limit = self.settings.stall_timeout;
        let reply = tokio::time::timeout(limit, &mut oldest.answer).await.unwrap_or_else(|_| {
            Err(RingError::Unusable(format!("nothing was acknowledged within {limit:?}")))
        });
        let Some(request) = self.in_flight.pop_front() else { return Ok(false) };
        let outcome = match reply {
            Ok(reply) => self.accept(&request, reply),
            Err(error) => Err(self.ring_failed(&error)),
        };
        if let Err(error) = outcome {
            self.error = Some(error.clone());
            return Err(error);
        }
        Ok(true)
    }

    fn accept(&mut self, request: &InFlight, reply: RingReply) -> Result<(), BlockError> {
        let answer = ContainerCommandResponseProto::decode(reply.message.clone())
            .map_err(|error| self.malformed(format!("an answer cannot be read: {error}")))?;
        let code = Code::try_from(answer.result).unwrap_or(Code::ContainerInternalError);
        if code != Code::Success {
            return Err(self.refused(code, answer.message.unwrap_or_default()));
        }
        if let Some(length) = request.commits {
            let committed = committed(answer, request.kind)
                .ok_or_else(|| self.malformed("a PutBlock was answered without a block".into()))?;
            self.acknowledge(length, &committed)?;
            self.last_reply = Some(reply);
        }
        Ok(())
    }

    fn acknowledge(
        &mut self,
        length: u64,
        committed: &GetCommittedBlockLengthResponseProto,
    ) -> Result<(), BlockError> {
        let (id, own) = (&committed.block_id, self.commands.wire_id());
        if (id.container_id, id.local_id) != (own.container_id, own.local_id) {
            return Err(self.malformed("a PutBlock was answered for another block".into()));
        }
        self.bcsid = id.block_commit_sequence_id.unwrap_or(0);
        while self.acknowledged < length {
            let Some(chunk) = self.kept.pop_front() else { break };
            self.acknowledged += chunk.len() as u64;
        }
        Ok(())
    }

    /// Waits until all replicas have the last PutBlock; a majority must do when one does not come.
    async fn watch(&mut self) -> Result<(), BlockError> {
        let Some(reply) = self.last_reply.take() else { return Ok(()) };
        let index = reply.log_index;
        let level = self.settings.watch;
        if has_all(&reply.commits, self.pipeline.nodes.len(), index) {
            return Ok(());
        }
        let watch = self.ring.watch(index, level);
        let first = match level {
            WatchLevel::All => tokio::time::timeout(self.settings.watch_all_wait, watch).await,
            WatchLevel::Majority => Ok(watch.await),
        };
        let error = match first {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(RingError::NotReplicated { commits })) if level == WatchLevel::All => {
                self.failed = behind(&self.pipeline, &commits, index);
                return Ok(());
            }
            Ok(Err(error)) => error,
            Err(_) => RingError::Unusable("a replica is slow".to_owned()),
        };
        if level == WatchLevel::All {
            tracing::debug!(pipeline = %self.pipeline.id, %error, "watching for a majority instead");
            if let Ok(commits) = self.ring.watch(index, WatchLevel::Majority).await {
                self.failed = behind(&self.pipeline, &commits, index);
                return Ok(());
            }
        }
        let error = self.ring_failed(&error);
        self.error = Some(error.clone());
        Err(error)
    }

    fn ring_failed(&self, error: &RingError) -> BlockError {
        match error {
            RingError::StateMachine { class, message }
                if class.ends_with("ContainerNotOpenException") =>
            {
                BlockError::ContainerClosed {
                    container: self.commands.block.container,
                    message: message.clone(),
                }
            }
            other => BlockError::Pipeline {
                pipeline: self.pipeline.id.to_string(),
                message: other.to_string(),
            },
        }
    }

    fn refused(&self, code: Code, message: String) -> BlockError {
        match code {
            Code::ClosedContainerIo | Code::ContainerNotOpen | Code::ContainerUnhealthy => {
                BlockError::ContainerClosed { container: self.commands.block.container, message }
            }
            _ => BlockError::Refused { node: self.pipeline.id.to_string(), code, message },
        }
    }

    fn malformed(&self, message: String) -> BlockError {
        BlockError::Malformed { node: self.pipeline.id.to_string(), message }
    }
}

/// The block that a request committed, as its answer tells.
fn committed(
    answer: ContainerCommandResponseProto,
    kind: Type,
) -> Option<GetCommittedBlockLengthResponseProto> {
    match kind {
        Type::WriteChunk => answer.write_chunk?.committed_block_length,
        _ => Some(answer.put_block?.committed_block_length),
    }
}

/// Whether the leader already knows that all `count` members have committed `index`.
fn has_all(commits: &[(String, u64)], count: usize, index: u64) -> bool {
    commits.iter().filter(|(_, commit)| *commit >= index).count() >= count
}

/// The members that have not committed `index`.
fn behind(pipeline: &Pipeline, commits: &[(String, u64)], index: u64) -> Vec<String> {
    let has = |uuid: &str| commits.iter().any(|(peer, commit)| peer == uuid && *commit >= index);
    pipeline.nodes.iter().map(|node| node.uuid.clone()).filter(|uuid| !has(uuid)).collect()
}
