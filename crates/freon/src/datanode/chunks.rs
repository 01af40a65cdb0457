//! `dcg` and `dcv`: write chunks of made-up blocks through a pipeline, and read them back
//! (`DatanodeChunkGenerator`, `DatanodeChunkValidator`).

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use chunk_checksum::Algorithm;
use clap::Args;
use hdds_client::command::BlockCommands;
use hdds_client::ring::Ring;
use hdds_client::scm::ScmClient;
use hdds_client::{Datanodes, Node, Pipeline, WatchLevel};
use hdds_proto::datanode::read_chunk_response_proto::ResponseData;
use hdds_proto::datanode::{ChecksumData, ChecksumType, ChunkInfo, ReadChunkResponseProto};

use crate::content::Content;
use crate::engine::{self, Load, Plan, Step};
use crate::options::BaseOptions;
use crate::{Context, FreonError, report};

/// Blocks that the chunks are spread over.
const BLOCKS: u64 = 20;
/// Bytes per checksum that a reader asks for; it computes its own.
const READ_BYTES_PER_CHECKSUM: u32 = 4;

/// Options of `dcg`.
#[derive(Args, Debug)]
pub struct DcgArgs {
    #[command(flatten)]
    base: BaseOptions,
    /// Wait until every replica has the chunk
    #[arg(short = 'a', long = "async")]
    watch: bool,
    /// Bytes of a chunk
    #[arg(short = 's', long, value_name = "chunkSize", default_value_t = 1024)]
    size: u32,
    /// Pipelines, separated by commas (default: the first of three nodes)
    #[arg(short = 'l', long, value_name = "pipelineIds", default_value = "")]
    #[arg(hide_default_value = true)]
    pipeline: String,
    /// Hosts of datanodes, separated by commas: use all their pipelines
    #[arg(short = 'd', long, value_name = "datanodes", default_value = "")]
    #[arg(hide_default_value = true)]
    datanodes: String,
}

/// Options of `dcv`.
#[derive(Args, Debug)]
pub struct DcvArgs {
    #[command(flatten)]
    base: BaseOptions,
    /// Pipeline (default: the first of three nodes)
    #[arg(short = 'l', long, value_name = "pipelineId", default_value = "")]
    #[arg(hide_default_value = true)]
    pipeline: String,
    /// Bytes of a chunk
    #[arg(short = 's', long, value_name = "chunkSize", default_value_t = 1024)]
    size: u32,
}

/// The chunk with this number: which block, and where in it.
struct Place<'a> {
    plan: &'a Plan,
    size: u32,
}

impl Place<'_> {
    fn commands(&self, pipeline: &Pipeline, counter: u64) -> BlockCommands {
        super::commands(pipeline, counter % BLOCKS, 0)
    }

    fn chunk(&self, counter: u64, checksum_data: ChecksumData) -> ChunkInfo {
        ChunkInfo {
            chunk_name: format!("{}_testdata_chunk_{counter}", self.plan.prefix),
            offset: counter / BLOCKS * u64::from(self.size),
            len: self.size.into(),
            metadata: Vec::new(),
            checksum_data,
            stripe_checksum: None,
        }
    }
}

struct Dcg {
    plan: Plan,
    lines: Vec<(Pipeline, Arc<dyn Ring>)>,
    data: Bytes,
    checksum: ChecksumData,
    watch: bool,
}

/// Runs `dcg`.
///
/// # Errors
/// See [`engine::run`].
pub fn generate(context: &Context<'_>, args: DcgArgs) -> Result<(), FreonError> {
    let plan = args.base.plan()?;
    engine::block_on(async {
        let datanodes = super::datanodes(context)?;
        let chosen = choose(&super::scm(context)?, &args).await?;
        let lines = chosen.into_iter().map(|pipeline| {
            let ring = datanodes.ring(&pipeline);
            (pipeline, ring)
        });
        let size = args.size as usize;
        let data = Content::new(args.size.into(), size, size).piece(0, size).unwrap_or_default();
        let load = Dcg {
            plan: plan.clone(),
            lines: lines.collect(),
            checksum: chunk_checksum::compute(Algorithm::Crc32, args.size.max(1), &data),
            data,
            watch: args.watch,
        };
        engine::run(context, plan, load).await
    })
}

async fn choose(scm: &ScmClient, args: &DcgArgs) -> Result<Vec<Pipeline>, FreonError> {
    let all = super::pipelines(scm).await?;
    if args.pipeline.is_empty() && args.datanodes.is_empty() {
        let first = all.into_iter().find(|(wire, _)| super::is_three(wire));
        return Ok(vec![first.ok_or_else(super::no_pipeline)?.1]);
    }
    let ids: BTreeSet<&str> = args.pipeline.split(',').collect();
    let hosts: BTreeSet<&str> = args.datanodes.split(',').collect();
    let chosen: Vec<Pipeline> = all
        .into_iter()
        .map(|(_, pipeline)| pipeline)
        .filter(|pipeline| {
            ids.contains(pipeline.id.to_string().as_str())
                || pipeline.nodes.iter().any(|node| hosts.contains(node.host.as_str()))
        })
        .collect();
    if chosen.is_empty() {
        let text = "Couldn't find the any/the selected pipeline";
        return Err(FreonError::Usage(text.to_owned()));
    }
    for pipeline in &chosen {
        report::log(&format!("Writing to pipeline: PipelineID={}", pipeline.id));
    }
    Ok(chosen)
}

impl Load for Dcg {
    fn timers(&self) -> Vec<&'static str> {
        vec!["chunk-write"]
    }

    async fn step(&self, step: Step<'_>) -> Result<(), FreonError> {
        let (pipeline, ring) = &self.lines[step.counter as usize % self.lines.len()];
        // The length is that of --size, a u32.
        let place = Place { plan: &self.plan, size: self.data.len() as u32 };
        let chunk = place.chunk(step.counter, self.checksum.clone());
        let command = place.commands(pipeline, step.counter).write_chunk(chunk, None);
        let write = async {
            let index = super::replicate(ring, &command, &self.data).await?;
            if self.watch {
                ring.watch(index, WatchLevel::All).await?;
            }
            Ok::<_, FreonError>(())
        };
        step.time(0, write).await?;
        step.add_bytes(self.data.len() as u64);
        Ok(())
    }
}

struct Dcv {
    plan: Plan,
    datanodes: Datanodes,
    pipeline: Pipeline,
    node: Node,
    size: u32,
    /// The first chunk's.
    reference: Option<ChecksumData>,
}

/// Runs `dcv`.
///
/// # Errors
/// See [`engine::run`].
pub fn validate(context: &Context<'_>, args: DcvArgs) -> Result<(), FreonError> {
    let plan = args.base.plan()?;
    engine::block_on(async {
        let pipeline = super::pipeline(&super::scm(context)?, &args.pipeline).await?;
        let node = pipeline.read_order().first().map(|node| (*node).clone());
        let mut load = Dcv {
            plan: plan.clone(),
            datanodes: super::datanodes(context)?,
            node: node.ok_or_else(super::no_pipeline)?,
            pipeline,
            size: args.size,
            reference: None,
        };
        load.reference = Some(load.read(0).await?);
        engine::run(context, plan, load).await
    })
}

impl Dcv {
    /// The checksum of the chunk with this number.
    async fn read(&self, counter: u64) -> Result<ChecksumData, FreonError> {
        let place = Place { plan: &self.plan, size: self.size };
        let wanted = ChecksumData {
            r#type: ChecksumType::Crc32.into(),
            bytes_per_checksum: READ_BYTES_PER_CHECKSUM,
            checksums: Vec::new(),
        };
        let chunk = place.chunk(counter, wanted);
        let command = place.commands(&self.pipeline, counter).read_chunk(chunk);
        let answer = self.datanodes.send(&self.node, command).await?.read_chunk;
        let data = data(*answer.unwrap_or_default());
        Ok(chunk_checksum::compute(Algorithm::Crc32, self.size.max(1), &data))
    }
}

fn data(answer: ReadChunkResponseProto) -> Bytes {
    match answer.response_data {
        Some(ResponseData::Data(data)) => data,
        Some(ResponseData::DataBuffers(list)) => match &list.buffers[..] {
            [one] => one.clone(),
            many => Bytes::from(many.concat()),
        },
        None => Bytes::new(),
    }
}

impl Load for Dcv {
    fn timers(&self) -> Vec<&'static str> {
        vec!["chunk-validate"]
    }

    async fn step(&self, step: Step<'_>) -> Result<(), FreonError> {
        let found = step.time(0, self.read(step.counter)).await?;
        step.add_bytes(self.size.into());
        if Some(&found) == self.reference.as_ref() {
            return Ok(());
        }
        Err(FreonError::Wrong(format!(
            "Reference (=first) message checksum doesn't match with checksum of chunk {}_testdata_chunk_{}",
            self.plan.prefix, step.counter
        )))
    }
}
