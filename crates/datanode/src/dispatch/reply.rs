//! Replies of container commands.

use bytes::Bytes;
use container_store::{Code, CommittedBlock, StoreError};
use hdds_proto::datanode::{
    ContainerCommandRequestProto, ContainerCommandResponseProto,
    GetCommittedBlockLengthResponseProto, ReadChunkRequestProto, ReadChunkResponseProto,
    ReadChunkVersion, read_chunk_response_proto::ResponseData,
};

/// What a handler gives.
pub type Handled = Result<ContainerCommandResponseProto, StoreError>;

/// A reply to `request` without a payload: success, its trace id echoed.
pub fn success(request: &ContainerCommandRequestProto) -> ContainerCommandResponseProto {
    ContainerCommandResponseProto {
        cmd_type: request.cmd_type,
        trace_id: Some(request.trace_id.clone().unwrap_or_default()),
        result: Code::Success.into(),
        message: Some(String::new()),
        ..ContainerCommandResponseProto::default()
    }
}

/// A refusal of `request`.
pub fn refusal(
    request: &ContainerCommandRequestProto,
    error: &StoreError,
) -> ContainerCommandResponseProto {
    ContainerCommandResponseProto {
        cmd_type: request.cmd_type,
        trace_id: Some(request.trace_id.clone().unwrap_or_default()),
        result: error.code.into(),
        message: Some(error.message.clone()),
        ..ContainerCommandResponseProto::default()
    }
}

/// How far a block is committed.
pub fn committed(block: CommittedBlock) -> GetCommittedBlockLengthResponseProto {
    GetCommittedBlockLengthResponseProto { block_id: block.block_id, block_length: block.length }
}

/// The answer of a read: the request's chunk echoed, data in the form that its version asks for.
pub fn read_chunk(request: &ReadChunkRequestProto, data: Bytes) -> ReadChunkResponseProto {
    ReadChunkResponseProto {
        block_id: request.block_id,
        chunk_data: request.chunk_data.clone(),
        response_data: Some(payload(request.read_chunk_version, data)),
    }
}

/// One buffer, or a list of one: clients check checksums over the concatenation.
pub fn payload(version: Option<i32>, data: Bytes) -> ResponseData {
    if version == Some(ReadChunkVersion::V1.into()) {
        let buffers = vec![data];
        return ResponseData::DataBuffers(hdds_proto::datanode::DataBuffers { buffers });
    }
    ResponseData::Data(data)
}
