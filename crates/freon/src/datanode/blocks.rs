//! `dbp`: commits blocks with chunks that do not exist (`DatanodeBlockPutter`).

use std::sync::Arc;

use bytes::Bytes;
use chunk_checksum::Algorithm;
use clap::Args;
use hdds_client::Pipeline;
use hdds_client::ring::Ring;
use hdds_proto::datanode::{ChecksumData, ChunkInfo};

use crate::content::Content;
use crate::engine::{self, Load, Plan, Step};
use crate::options::BaseOptions;
use crate::{Context, FreonError};

/// Bytes per checksum of the made-up chunks.
const BYTES_PER_CHECKSUM: u32 = 1 << 20;

/// Options of `dbp`.
#[derive(Args, Debug)]
pub struct DbpArgs {
    #[command(flatten)]
    base: BaseOptions,
    /// Chunks of a block
    #[arg(short = 'c', long, value_name = "chunksPerBlock", default_value_t = 4)]
    chunks_per_block: u64,
    /// Bytes that a chunk is said to have
    #[arg(short = 's', long, value_name = "chunkSize", default_value_t = 1024)]
    size: u64,
    /// Pipeline (default: the first of three nodes)
    #[arg(short = 'l', long, value_name = "pipelineId", default_value = "")]
    #[arg(hide_default_value = true)]
    pipeline: String,
}

struct Dbp {
    plan: Plan,
    ring: Arc<dyn Ring>,
    pipeline: Pipeline,
    chunk_bytes: u64,
    chunks: u64,
    checksum: ChecksumData,
}

/// Runs `dbp`.
///
/// # Errors
/// See [`engine::run`].
pub fn run(context: &Context<'_>, args: DbpArgs) -> Result<(), FreonError> {
    let plan = args.base.plan()?;
    engine::block_on(async {
        let pipeline = super::pipeline(&super::scm(context)?, &args.pipeline).await?;
        let longest = usize::try_from(args.size).unwrap_or(usize::MAX);
        let data = Content::new(args.size, longest, longest).piece(0, longest).unwrap_or_default();
        let load = Dbp {
            plan: plan.clone(),
            ring: super::datanodes(context)?.ring(&pipeline),
            pipeline,
            chunk_bytes: args.size,
            chunks: args.chunks_per_block,
            checksum: chunk_checksum::compute(Algorithm::Crc32, BYTES_PER_CHECKSUM, &data),
        };
        engine::run(context, plan, load).await
    })
}

impl Load for Dbp {
    fn timers(&self) -> Vec<&'static str> {
        vec!["put-block"]
    }

    async fn step(&self, step: Step<'_>) -> Result<(), FreonError> {
        let chunks = (0..self.chunks).map(|number| ChunkInfo {
            chunk_name: format!("{}_chunk_{}", self.plan.prefix, step.counter),
            offset: number * self.chunk_bytes,
            len: self.chunk_bytes,
            metadata: Vec::new(),
            checksum_data: self.checksum.clone(),
            stripe_checksum: None,
        });
        let commands = super::commands(&self.pipeline, step.counter, step.counter);
        let command = commands.put_block(chunks.collect(), false);
        step.time(0, super::replicate(&self.ring, &command, &Bytes::new())).await.map(drop)
    }
}
