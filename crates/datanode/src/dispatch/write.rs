//! Commands that change a container. The caller has checked space and existence.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use container_store::{
    ChunkWrite, Code, CommittedBlock, Container, ContainerStore, PutBlock, StoreError,
};
use hdds_proto::datanode::{
    CloseContainerResponseProto, ContainerCommandRequestProto as Request,
    CreateContainerResponseProto, DeleteContainerResponseProto, FinalizeBlockResponseProto,
    KeyValue, PutBlockRequestProto, PutBlockResponseProto, PutSmallFileResponseProto, Type,
    UpdateContainerResponseProto, WriteChunkRequestProto, WriteChunkResponseProto,
};

use super::read;
use super::reply::{self, Handled};
use super::{need, unsupported};

/// Where a command comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A client on port 9859: writing and committing happen together.
    Direct,
    /// Applied from a Raft log at this index: bulk bytes were written when the entry was appended.
    Applied(u64),
}

impl Origin {
    /// What becomes the BCSID; 0 outside Raft.
    pub fn index(self) -> u64 {
        match self {
            Self::Direct => 0,
            Self::Applied(index) => index,
        }
    }
}

/// Runs a write on the thread of the caller.
pub fn run(
    store: &ContainerStore,
    container: &Arc<Container>,
    kind: Type,
    request: &Request,
    origin: Origin,
) -> Handled {
    let mut response = reply::success(request);
    match kind {
        Type::CreateContainer => {
            store.ensure_on_disk(container)?;
            response.create_container = Some(Box::new(CreateContainerResponseProto {}));
        }
        Type::WriteChunk => {
            let write = need(&request.write_chunk, "WriteChunk")?;
            let committed = write_chunk(store, container, write, origin)?;
            response.write_chunk = Some(Box::new(wrote(committed)));
        }
        Type::PutBlock => {
            let put = to_put(need(&request.put_block, "PutBlock")?.clone(), origin, true);
            response.put_block = Some(Box::new(put_block(store.put_block(container, put)?)));
        }
        Type::PutSmallFile => {
            let committed = put_small_file(store, container, request, origin)?;
            let committed_block_length = reply::committed(committed);
            response.put_small_file =
                Some(Box::new(PutSmallFileResponseProto { committed_block_length }));
        }
        Type::UpdateContainer => {
            let update = need(&request.update_container, "UpdateContainer")?;
            let metadata = pairs(&update.metadata);
            store.update_metadata(container, metadata, update.force_update.unwrap_or(false))?;
            response.update_container = Some(Box::new(UpdateContainerResponseProto {}));
        }
        Type::DeleteContainer => {
            let delete = need(&request.delete_container, "DeleteContainer")?;
            store.delete_container(container, delete.force_delete.unwrap_or(false))?;
            response.delete_container = Some(Box::new(DeleteContainerResponseProto {}));
        }
        Type::CloseContainer => {
            need(&request.close_container, "CloseContainer")?;
            store.mark_closing(container)?;
            store.close_container(container)?;
            response.close_container = Some(Box::new(CloseContainerResponseProto::default()));
        }
        Type::FinalizeBlock => {
            let id = need(&request.finalize_block, "FinalizeBlock")?.block_id;
            let block_data = store.finalize_block(container, &id)?;
            response.finalize_block = Some(Box::new(FinalizeBlockResponseProto { block_data }));
        }
        Type::Echo => response.echo = Some(Box::new(read::echo(request)?)),
        other => return Err(unsupported(other)),
    }
    Ok(response)
}

/// Bytes into the block file, and the PutBlock that may travel with them.
fn write_chunk(
    store: &ContainerStore,
    container: &Arc<Container>,
    write: &WriteChunkRequestProto,
    origin: Origin,
) -> Result<Option<CommittedBlock>, StoreError> {
    container.check_writable()?;
    if origin == Origin::Direct {
        let data = write.data.clone().unwrap_or_default();
        store.write_chunk(container, &to_chunk(write, data)?)?;
    }
    match &write.block {
        None => Ok(None),
        Some(put) => store.put_block(container, to_put(put.clone(), origin, false)).map(Some),
    }
}

fn put_small_file(
    store: &ContainerStore,
    container: &Arc<Container>,
    request: &Request,
    origin: Origin,
) -> Result<CommittedBlock, StoreError> {
    let small = need(&request.put_small_file, "PutSmallFile")?;
    container.check_writable()?;
    let mut put = to_put(small.block.clone(), origin, true);
    let write = ChunkWrite {
        local_id: put.data.block_id.local_id,
        info: small.chunk_info.clone(),
        data: small.data.clone(),
    };
    // A replay must not touch the file: the block may have gone on since.
    if put.index == 0 || put.index > container.bcsid() {
        store.write_chunk(container, &write)?;
    }
    put.data.chunks = vec![small.chunk_info.clone()];
    put.data.size = None;
    store.put_block(container, put)
}

/// The chunk of a WriteChunk.
pub fn to_chunk(write: &WriteChunkRequestProto, data: Bytes) -> Result<ChunkWrite, StoreError> {
    let info = write
        .chunk_data
        .clone()
        .ok_or_else(|| StoreError::malformed("Malformed WriteChunk request. No chunkData."))?;
    Ok(ChunkWrite { local_id: write.block_id.local_id, info, data })
}

/// A PutBlock; `eof` where the message does not say.
pub fn to_put(put: PutBlockRequestProto, origin: Origin, eof: bool) -> PutBlock {
    PutBlock { data: put.block_data, eof: put.eof.unwrap_or(eof), index: origin.index() }
}

/// Payload of a PutBlock's reply.
pub fn put_block(block: CommittedBlock) -> PutBlockResponseProto {
    PutBlockResponseProto { committed_block_length: reply::committed(block) }
}

/// Payload of a WriteChunk's reply.
pub fn wrote(block: Option<CommittedBlock>) -> WriteChunkResponseProto {
    WriteChunkResponseProto { committed_block_length: block.map(reply::committed) }
}

/// Key-value pairs as a map; later ones win.
pub fn pairs(list: &[KeyValue]) -> BTreeMap<String, String> {
    list.iter().map(|pair| (pair.key.clone(), pair.value.clone().unwrap_or_default())).collect()
}

/// Results of a write after which the container is still sound
/// (`HddsDispatcher.canIgnoreException`).
pub fn leaves_container_sound(code: Code) -> bool {
    matches!(
        code,
        Code::Success
            | Code::ContainerUnhealthy
            | Code::ClosedContainerIo
            | Code::DeleteOnOpenContainer
            | Code::DeleteOnNonEmptyContainer
            | Code::UnsupportedRequest
            | Code::MalformedRequest
            | Code::ContainerMissing
            | Code::ContainerAlreadyExists
            | Code::ContainerExists
            | Code::BlockAlreadyFinalized
            | Code::InvalidContainerState
    )
}
