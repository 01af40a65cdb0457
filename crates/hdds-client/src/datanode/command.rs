//! The commands of the datanode protocol, built.

use bytes::{BufMut, Bytes, BytesMut};
use hadoop_rpc::trace;
use hdds_proto::datanode::{
    BlockData, ChunkInfo, ContainerCommandRequestProto, DatanodeBlockId, GetBlockRequestProto,
    KeyValue, PutBlockRequestProto, ReadChunkRequestProto, ReadChunkVersion, Type,
    WriteChunkRequestProto,
};
use hdds_types::BlockId;
use prost::Message;

/// `ClientVersion` that every command names.
const CLIENT_VERSION: u32 = 3;

/// What all commands about one block share.
#[derive(Clone, Debug)]
pub struct BlockCommands {
    /// The block.
    pub block: BlockId,
    /// EC: place in the stripe, from 1; 0 for full copies.
    pub replica_index: i32,
    /// UUID of the first member of the pipeline, or of the node for EC.
    pub node: String,
    /// Encoded block token.
    pub token: Option<String>,
}

impl BlockCommands {
    fn envelope(&self, kind: Type) -> ContainerCommandRequestProto {
        ContainerCommandRequestProto {
            cmd_type: kind.into(),
            trace_id: Some(trace::current()),
            container_id: self.block.container.0.cast_signed(),
            datanode_uuid: self.node.clone(),
            encoded_token: self.token.clone(),
            version: Some(CLIENT_VERSION),
            ..Default::default()
        }
    }

    /// The block on the wire.
    pub fn wire_id(&self) -> DatanodeBlockId {
        DatanodeBlockId {
            container_id: self.block.container.0.cast_signed(),
            local_id: self.block.local.0.cast_signed(),
            block_commit_sequence_id: Some(self.block.bcsid),
            replica_index: (self.replica_index > 0).then_some(self.replica_index),
        }
    }

    /// GetBlock: the chunks of the block.
    pub fn get_block(&self) -> ContainerCommandRequestProto {
        ContainerCommandRequestProto {
            get_block: Some(Box::new(GetBlockRequestProto { block_id: self.wire_id() })),
            ..self.envelope(Type::GetBlock)
        }
    }

    /// ReadChunk of the part that `chunk` describes.
    pub fn read_chunk(&self, chunk: ChunkInfo) -> ContainerCommandRequestProto {
        ContainerCommandRequestProto {
            read_chunk: Some(Box::new(ReadChunkRequestProto {
                block_id: self.wire_id(),
                chunk_data: chunk,
                read_chunk_version: Some(ReadChunkVersion::V1.into()),
            })),
            ..self.envelope(Type::ReadChunk)
        }
    }

    /// The list of chunks, with what Ozone writes beside it.
    pub fn block_data(&self, chunks: Vec<ChunkInfo>) -> BlockData {
        let kind = KeyValue { key: "TYPE".to_owned(), value: Some("KEY".to_owned()) };
        BlockData {
            block_id: self.wire_id(),
            flags: None,
            metadata: vec![kind],
            chunks,
            size: None,
        }
    }

    /// PutBlock: commits the list of chunks; `eof` after the last.
    pub fn put_block(&self, chunks: Vec<ChunkInfo>, eof: bool) -> ContainerCommandRequestProto {
        ContainerCommandRequestProto {
            put_block: Some(Box::new(PutBlockRequestProto {
                block_data: self.block_data(chunks),
                eof: Some(eof),
            })),
            ..self.envelope(Type::PutBlock)
        }
    }

    /// WriteChunk without its data, which travels behind it ([`ratis_message`]); with a list of
    /// chunks it commits the block as well.
    pub fn write_chunk(
        &self,
        chunk: ChunkInfo,
        commit: Option<PutBlockRequestProto>,
    ) -> ContainerCommandRequestProto {
        ContainerCommandRequestProto {
            write_chunk: Some(Box::new(WriteChunkRequestProto {
                block_id: self.wire_id(),
                chunk_data: Some(chunk),
                data: None,
                block: commit,
            })),
            ..self.envelope(Type::WriteChunk)
        }
    }
}

/// A command as the message of a Raft request: length of the header, header, bulk data
/// (`ContainerCommandRequestMessage`).
pub fn ratis_message(header: &ContainerCommandRequestProto, data: &[u8]) -> Bytes {
    let header_bytes = header.encoded_len();
    let mut message = BytesMut::with_capacity(4 + header_bytes + data.len());
    // A header is a few kilobytes; with its chunk list bounded by the block it fits 32 bits.
    message.put_u32(u32::try_from(header_bytes).unwrap_or(u32::MAX));
    header.encode_raw(&mut message);
    message.extend_from_slice(data);
    message.freeze()
}
