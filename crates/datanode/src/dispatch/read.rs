//! Commands that change nothing.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use container_store::{Code, Container, ContainerStore, StoreError};
use hdds_proto::datanode::{
    BlockData, ContainerCommandRequestProto as Request, ContainerDataProto, ContainerType,
    EchoResponseProto, GetBlockResponseProto, GetCommittedBlockLengthResponseProto,
    GetSmallFileResponseProto, KeyValue, ListBlockResponseProto, ReadChunkResponseProto,
    ReadContainerResponseProto, Type, container_data_proto::State,
};

use super::reply::{self, Handled};
use super::{need, unsupported};

/// Largest answer of an echo, in bytes.
const ECHO_BYTES_MAX: usize = 32 << 20;

/// Runs a read on the thread of the caller.
pub fn run(
    store: &ContainerStore,
    container: &Arc<Container>,
    kind: Type,
    request: &Request,
) -> Handled {
    let mut response = reply::success(request);
    match kind {
        Type::ReadContainer => {
            let container_data = Some(describe(container));
            response.read_container = Some(Box::new(ReadContainerResponseProto { container_data }));
        }
        Type::GetBlock => {
            let id = need(&request.get_block, "GetBlock")?.block_id;
            let block_data = store.get_block(container, &id)?;
            response.get_block = Some(Box::new(GetBlockResponseProto { block_data }));
        }
        Type::ListBlock => {
            let list = need(&request.list_block, "ListBlock")?;
            if list.count == 0 {
                return Err(StoreError::new(
                    Code::IoException,
                    "Count must be a positive number when listing blocks.",
                ));
            }
            let block_data =
                store.list_blocks(container, list.start_local_id, list.count as usize)?;
            response.list_block = Some(Box::new(ListBlockResponseProto { block_data }));
        }
        Type::GetCommittedBlockLength => {
            let asked = need(&request.get_committed_block_length, "GetCommittedBlockLength")?;
            let block = store.get_block(container, &asked.block_id)?;
            response.get_committed_block_length =
                Some(Box::new(GetCommittedBlockLengthResponseProto {
                    block_id: block.block_id,
                    block_length: block.size.unwrap_or(0),
                }));
        }
        Type::ReadChunk => {
            let read = need(&request.read_chunk, "ReadChunk")?;
            let id = &read.block_id;
            container.check_replica_index(id.replica_index)?;
            check_bcsid(container, id.block_commit_sequence_id)?;
            let chunk = &read.chunk_data;
            let data = store.read_chunk(container, id.local_id, chunk.offset, chunk.len)?;
            response.read_chunk = Some(Box::new(reply::read_chunk(read, data)));
        }
        Type::GetSmallFile => {
            let small = need(&request.get_small_file, "GetSmallFile")?;
            let block = store.get_block(container, &small.block.block_id)?;
            let data = whole_block(store, container, &block)?;
            let data = ReadChunkResponseProto {
                block_id: block.block_id,
                chunk_data: block.chunks.last().cloned().unwrap_or_default(),
                response_data: Some(reply::payload(small.read_chunk_version, data)),
            };
            response.get_small_file = Some(Box::new(GetSmallFileResponseProto { data }));
        }
        Type::Echo => response.echo = Some(Box::new(echo(request)?)),
        other => return Err(unsupported(other)),
    }
    Ok(response)
}

/// Random bytes of the size that is asked for.
pub fn echo(request: &Request) -> Result<EchoResponseProto, StoreError> {
    let echo = need(&request.echo, "Echo")?;
    let wanted = usize::try_from(echo.payload_size_resp.unwrap_or(0)).unwrap_or(0);
    if wanted > ECHO_BYTES_MAX {
        return Err(StoreError::new(
            Code::UnsupportedRequest,
            format!("an echo of {wanted} bytes is over the limit of {ECHO_BYTES_MAX}"),
        ));
    }
    let mut payload = BytesMut::zeroed(wanted);
    rand::Rng::fill(&mut rand::rng(), &mut payload[..]);
    Ok(EchoResponseProto { payload: Some(payload.freeze()) })
}

/// `BlockUtils.verifyBCSId`.
fn check_bcsid(container: &Container, asked: Option<u64>) -> Result<(), StoreError> {
    let (asked, known) = (asked.unwrap_or(0), container.bcsid());
    if asked <= known {
        return Ok(());
    }
    Err(StoreError::new(
        Code::UnknownBcsid,
        format!(
            "Unable to find the block with bcsID {asked}. Container {} bcsId is {known}.",
            container.id()
        ),
    ))
}

fn whole_block(
    store: &ContainerStore,
    container: &Container,
    block: &BlockData,
) -> Result<Bytes, StoreError> {
    let local_id = block.block_id.local_id;
    if let [chunk] = block.chunks.as_slice() {
        return store.read_chunk(container, local_id, chunk.offset, chunk.len);
    }
    let mut data = BytesMut::new();
    for chunk in &block.chunks {
        if data.len() as u64 + chunk.len > container_store::chunk::CHUNK_BYTES_MAX {
            return Err(StoreError::new(
                Code::UnsupportedRequest,
                "the block is too large for GetSmallFile; read its chunks",
            ));
        }
        data.extend_from_slice(&store.read_chunk(container, local_id, chunk.offset, chunk.len)?);
    }
    Ok(data.freeze())
}

fn describe(container: &Container) -> ContainerDataProto {
    let descriptor = container.descriptor();
    let pair = |(key, value)| KeyValue { key, value: Some(value) };
    ContainerDataProto {
        container_id: container.id().0.cast_signed(),
        metadata: descriptor.metadata.into_iter().map(pair).collect(),
        container_path: Some(container.dir().display().to_string()),
        bytes_used: Some(container.bytes_used().cast_signed()),
        size: Some(container.bytes_max().cast_signed()),
        block_count: Some(container.blocks()),
        state: Some(State::from(container.state()).into()),
        container_type: Some(ContainerType::KeyValueContainer.into()),
    }
}
