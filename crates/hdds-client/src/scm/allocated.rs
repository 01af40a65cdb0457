//! The reply to `AllocateScmBlock`. It names the same few pipelines for hundreds of blocks, and a
//! pipeline is most of a block: each is decoded once.

use bytes::Bytes;
use hdds_proto::block::{AllocateBlockResponse, Status};
use hdds_proto::hdds::{ContainerBlockId, Pipeline};
use prost::Message;

use super::ScmError;
use super::block::{check, missing};

/// `SCMBlockLocationResponse`, as far as it matters here.
#[derive(Clone, PartialEq, prost::Message)]
struct Reply {
    #[prost(string, optional, tag = "4")]
    message: Option<String>,
    #[prost(enumeration = "Status", required, tag = "5")]
    status: i32,
    #[prost(message, optional, tag = "11")]
    allocated: Option<Allocated>,
}

/// `AllocateScmBlockResponseProto`.
#[derive(Clone, PartialEq, prost::Message)]
struct Allocated {
    #[prost(message, repeated, tag = "3")]
    blocks: Vec<Block>,
}

/// `AllocateBlockResponse` with its pipeline as it came.
#[derive(Clone, PartialEq, prost::Message)]
struct Block {
    #[prost(message, optional, tag = "1")]
    id: Option<ContainerBlockId>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    pipeline: Option<Bytes>,
}

/// The blocks of a reply.
///
/// # Errors
/// SCM refused, or the reply is malformed.
pub(super) fn blocks(reply: Bytes) -> Result<Vec<AllocateBlockResponse>, ScmError> {
    let malformed = |error: prost::DecodeError| ScmError::Malformed(error.to_string());
    let reply = Reply::decode(reply).map_err(malformed)?;
    check(reply.status, reply.message.as_deref())?;
    let allocated = reply.allocated.ok_or_else(|| missing("allocateScmBlockResponse"))?;
    let mut known: Vec<(Bytes, Pipeline)> = Vec::new();
    let mut decoded = |encoded: Bytes| match known.iter().find(|(bytes, _)| *bytes == encoded) {
        Some((_, pipeline)) => Ok(pipeline.clone()),
        None => {
            let pipeline = Pipeline::decode(encoded.clone()).map_err(malformed)?;
            known.push((encoded, pipeline.clone()));
            Ok(pipeline)
        }
    };
    let block = |block: Block| {
        let pipeline = block.pipeline.map(&mut decoded).transpose()?;
        Ok(AllocateBlockResponse { container_block_id: block.id, pipeline })
    };
    allocated.blocks.into_iter().map(block).collect()
}

#[cfg(test)]
mod tests {
    use hdds_proto::block::{AllocateScmBlockResponseProto, ScmBlockLocationResponse};

    use super::*;

    fn reply(blocks: Vec<AllocateBlockResponse>) -> ScmBlockLocationResponse {
        ScmBlockLocationResponse {
            status: Status::Ok.into(),
            allocate_scm_block_response: Some(Box::new(AllocateScmBlockResponseProto { blocks })),
            ..Default::default()
        }
    }

    #[test]
    fn blocks_are_those_of_the_whole_message() {
        let block = |local_id, leader: Option<&str>| AllocateBlockResponse {
            container_block_id: Some(ContainerBlockId { container_id: 3, local_id }),
            pipeline: leader
                .map(|leader| Pipeline { leader_id: Some(leader.into()), ..Default::default() }),
        };
        let sent =
            vec![block(1, Some("a")), block(2, Some("b")), block(3, Some("a")), block(4, None)];
        let bytes = Bytes::from(reply(sent.clone()).encode_to_vec());
        assert_eq!(blocks(bytes).unwrap(), sent);
    }

    #[test]
    fn refusals_and_torn_replies_are_errors() {
        let mut refusal = reply(Vec::new());
        refusal.status = Status::SafeModeException.into();
        refusal.message = Some("still".into());
        let error = blocks(refusal.encode_to_vec().into()).unwrap_err();
        assert!(error.is_safe_mode(), "{error}");
        let mut empty = reply(Vec::new());
        empty.allocate_scm_block_response = None;
        assert!(blocks(empty.encode_to_vec().into()).is_err());
        let block =
            AllocateBlockResponse { pipeline: Some(Pipeline::default()), ..Default::default() };
        let whole = Bytes::from(reply(vec![block]).encode_to_vec());
        assert!(blocks(whole.slice(..whole.len() - 1)).is_err());
    }
}
