//! Loads on datanodes alone: chunks, blocks, calls that do nothing.

pub mod blocks;
pub mod chunks;
pub mod echo;

use std::sync::Arc;

use bytes::Bytes;
use hdds_client::command::{BlockCommands, ratis_message};
use hdds_client::ring::Ring;
use hdds_client::scm::ScmClient;
use hdds_client::{BlockSettings, Datanodes, Pipeline};
use hdds_proto::datanode::{
    ContainerCommandRequestProto, ContainerCommandResponseProto, Result as Code,
};
use hdds_proto::hdds;
use hdds_types::{BlockId, ContainerId, LocalId};
use prost::Message;

use crate::{Context, FreonError, report};

/// The container that all made-up blocks are in.
const CONTAINER: ContainerId = ContainerId(1);

fn scm(context: &Context<'_>) -> Result<ScmClient, FreonError> {
    Ok(ScmClient::from_conf(context.conf, &ozone_client::user::current())?)
}

fn datanodes(context: &Context<'_>) -> Result<Datanodes, FreonError> {
    Ok(Datanodes::new(BlockSettings::load(context.conf)?))
}

/// All pipelines that have three nodes or more or that are asked for, by SCM.
async fn pipelines(scm: &ScmClient) -> Result<Vec<(hdds::Pipeline, Pipeline)>, FreonError> {
    let all = scm.list_pipelines().await?;
    let known = all.into_iter().filter_map(|wire| {
        let pipeline = Pipeline::from_wire(&wire)?;
        Some((wire, pipeline))
    });
    Ok(known.collect())
}

fn is_three(wire: &hdds::Pipeline) -> bool {
    wire.factor() == hdds::ReplicationFactor::Three
}

/// The pipeline with this id, or the first of three nodes (`findPipelineForTest`).
async fn pipeline(scm: &ScmClient, id: &str) -> Result<Pipeline, FreonError> {
    let all = pipelines(scm).await?;
    if !id.is_empty() {
        let wanted = id.strip_prefix("PipelineID=").unwrap_or(id);
        let found = all.into_iter().find(|(_, pipeline)| pipeline.id.to_string() == wanted);
        return found.map(|(_, pipeline)| pipeline).ok_or_else(|| {
            FreonError::Usage(format!(
                "Pipeline ID is defined, but there is no such pipeline: {id}"
            ))
        });
    }
    let (_, found) = all.into_iter().find(|(wire, _)| is_three(wire)).ok_or_else(no_pipeline)?;
    report::log(&format!("Using pipeline PipelineID={}", found.id));
    Ok(found)
}

fn no_pipeline() -> FreonError {
    let text = "Pipeline ID is NOT defined, and no pipeline has been found with factor=THREE";
    FreonError::Usage(text.to_owned())
}

/// Commands about a made-up block.
fn commands(pipeline: &Pipeline, local: u64, bcsid: u64) -> BlockCommands {
    BlockCommands {
        block: BlockId { container: CONTAINER, local: LocalId(local), bcsid },
        replica_index: 0,
        node: pipeline.nodes.first().map(|node| node.uuid.clone()).unwrap_or_default(),
        token: None,
    }
}

/// Sends a command through a Raft group and wants SUCCESS; gives the index of its log entry.
async fn replicate(
    ring: &Arc<dyn Ring>,
    header: &ContainerCommandRequestProto,
    data: &Bytes,
) -> Result<u64, FreonError> {
    let reply = ring.write(ratis_message(header, data)).await?;
    let answer = ContainerCommandResponseProto::decode(reply.message)
        .map_err(|error| FreonError::Wrong(format!("an answer cannot be read: {error}")))?;
    let code = Code::try_from(answer.result).unwrap_or(Code::ContainerInternalError);
    if code == Code::Success {
        return Ok(reply.log_index);
    }
    let message = answer.message.unwrap_or_default();
    Err(FreonError::Wrong(format!("{}: {message}", code.as_str_name())))
}
