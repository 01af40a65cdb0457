//! What can go wrong between a client and datanodes.

use chunk_checksum::ChecksumError;
use hdds_proto::datanode::Result as Code;
use hdds_types::{BlockId, ContainerId};
use thiserror::Error;

/// A failure of reading or writing a block.
#[derive(Clone, Debug, Error)]
pub enum BlockError {
    /// No connection, or no answer in time: try another node.
    #[error("datanode {node}: {message}")]
    Unreachable {
        /// Address of the datanode.
        node: String,
        /// What happened.
        message: String,
    },
    /// The datanode refused the command.
    #[error("datanode {node}: {}: {message}", code.as_str_name())]
    Refused {
        /// Address of the datanode, or the pipeline for a write.
        node: String,
        /// The result code.
        code: Code,
        /// Its message.
        message: String,
    },
    /// The datanode's answer contradicts the request or itself.
    #[error("datanode {node}: {message}")]
    Malformed {
        /// Address of the datanode.
        node: String,
        /// What is wrong.
        message: String,
    },
    /// Data that its checksums do not match: try another node, and tell an administrator.
    #[error("datanode {node}, block {block}: {source}")]
    Corrupt {
        /// Address of the datanode.
        node: String,
        /// The block.
        block: BlockId,
        /// The mismatch.
        source: ChecksumError,
    },
    /// Every replica failed; the last failure is told.
    #[error("no replica of block {block} could be read; the last: {last}")]
    NoReplica {
        /// The block.
        block: BlockId,
        /// The last failure.
        last: Box<BlockError>,
    },
    /// The container takes no more data: ask for a block elsewhere.
    #[error("container {container} takes no more data: {message}")]
    ContainerClosed {
        /// The container.
        container: ContainerId,
        /// What the pipeline said.
        message: String,
    },
    /// The pipeline does not work any more: ask for a block on another.
    #[error("pipeline {pipeline}: {message}")]
    Pipeline {
        /// The pipeline.
        pipeline: String,
        /// What happened.
        message: String,
    },
    /// A block location that cannot be used.
    #[error("block {block}: {message}")]
    Location {
        /// The block.
        block: BlockId,
        /// What is missing.
        message: &'static str,
    },
}

impl BlockError {
    /// Whether a new block token, and nothing else, would help.
    pub fn is_token_refused(&self) -> bool {
        match self {
            Self::Refused { code, .. } => *code == Code::BlockTokenVerificationFailed,
            Self::NoReplica { last, .. } => last.is_token_refused(),
            _ => false,
        }
    }
}
