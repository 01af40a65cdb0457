//! What the audit log says about a container command (`DNAction`, `HddsDispatcher.getAuditParams`).
//!
//! As in Ozone every failure is noted, and of what succeeds only what concerns whole containers: a line
//! for every chunk would be more than the data deserves. Users and addresses are not known here.

use container_store::Code;
use hdds_proto::datanode::{
    BlockData, ContainerCommandRequestProto as Request, ContainerCommandResponseProto as Response,
    DatanodeBlockId, Type,
};
use ozone_daemon::audit::{self, Entry};

/// The line for a command and its answer; `None` where there is to be none.
pub fn entry(request: &Request, response: &Response) -> Option<Entry> {
    let kind = Type::try_from(request.cmd_type).ok();
    let failed = response.result != i32::from(Code::Success);
    if !failed && !kind.is_some_and(is_noted) {
        return None;
    }
    let failure = failed.then(|| {
        let code = Code::try_from(response.result).map_or("UNKNOWN", |code| code.as_str_name());
        format!("{code} {}", response.message.as_deref().unwrap_or_default())
    });
    Some(Entry {
        user: "".into(),
        ip: "null".to_owned(),
        operation: kind.map_or_else(
            || format!("TYPE_{}", request.cmd_type),
            |kind| audit::operation(kind.as_str_name()),
        ),
        parameters: kind.map(|kind| parameters(kind, request)).unwrap_or_default(),
        failure,
    })
}

/// Whether a success is worth a line.
fn is_noted(kind: Type) -> bool {
    matches!(
        kind,
        Type::CloseContainer
            | Type::CreateContainer
            | Type::ListContainer
            | Type::DeleteContainer
            | Type::ReadContainer
            | Type::UpdateContainer
            | Type::DeleteBlock
    )
}

fn parameters(kind: Type, request: &Request) -> String {
    parameters_of(kind, request).unwrap_or_default()
}

fn parameters_of(kind: Type, request: &Request) -> Option<String> {
    let container = request.container_id;
    let with = |id: &DatanodeBlockId| format!("blockData={}", block(id));
    Some(match kind {
        Type::CreateContainer => {
            format!("containerID={container}, containerType=KeyValueContainer")
        }
        Type::ReadContainer | Type::CloseContainer => format!("containerID={container}"),
        Type::UpdateContainer => {
            let force = request.update_container.as_ref()?.force_update.unwrap_or(false);
            format!("containerID={container}, forceUpdate={force}")
        }
        Type::DeleteContainer => {
            let force = request.delete_container.as_ref()?.force_delete.unwrap_or(false);
            format!("containerID={container}, forceDelete={force}")
        }
        Type::PutBlock => format!("blockData={}", data(&request.put_block.as_ref()?.block_data)),
        Type::GetBlock => with(&request.get_block.as_ref()?.block_id),
        Type::ListBlock => {
            let list = request.list_block.as_ref()?;
            let start = list.start_local_id.unwrap_or(0);
            format!("count={}, startLocalID={start}", list.count)
        }
        Type::ReadChunk => {
            let read = request.read_chunk.as_ref()?;
            let chunk = &read.chunk_data;
            format!("{}, offset={}, size={}", with(&read.block_id), chunk.offset, chunk.len)
        }
        Type::WriteChunk => {
            let write = request.write_chunk.as_ref()?;
            let chunk = write.chunk_data.as_ref()?;
            format!("{}, offset={}, size={}", with(&write.block_id), chunk.offset, chunk.len)
        }
        Type::PutSmallFile => {
            let small = request.put_small_file.as_ref()?;
            let (put, chunk) = (data(&small.block.block_data), &small.chunk_info);
            format!("blockData={put}, offset={}, size={}", chunk.offset, chunk.len)
        }
        Type::GetSmallFile => with(&request.get_small_file.as_ref()?.block.block_id),
        Type::GetCommittedBlockLength => {
            with(&request.get_committed_block_length.as_ref()?.block_id)
        }
        Type::FinalizeBlock => with(&request.finalize_block.as_ref()?.block_id),
        _ => return None,
    })
}

fn block(id: &DatanodeBlockId) -> String {
    let replica = id.replica_index.map_or_else(|| "null".to_owned(), |index| index.to_string());
    let bcsid = id.block_commit_sequence_id.unwrap_or(0);
    format!(
        "conID: {} locID: {} bcsId: {bcsid} replicaIndex: {replica}",
        id.container_id, id.local_id
    )
}

fn data(data: &BlockData) -> String {
    format!("[blockId={}, size={}]", block(&data.block_id), data.size.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use container_store::StoreError;
    use hdds_proto::datanode::GetBlockRequestProto;

    use super::*;
    use crate::dispatch::reply;

    fn get_block() -> Request {
        let block_id = DatanodeBlockId {
            container_id: 7,
            local_id: 9,
            block_commit_sequence_id: Some(3),
            replica_index: None,
        };
        Request {
            cmd_type: Type::GetBlock.into(),
            container_id: 7,
            get_block: Some(Box::new(GetBlockRequestProto { block_id })),
            ..Request::default()
        }
    }

    #[test]
    fn failures_are_noted_with_what_they_are_about() {
        let request = get_block();
        let error = StoreError::new(Code::NoSuchBlock, "Unable to find the block.");
        let entry = entry(&request, &reply::refusal(&request, &error)).unwrap();
        assert_eq!(entry.operation, "GET_BLOCK");
        assert_eq!(entry.parameters, "blockData=conID: 7 locID: 9 bcsId: 3 replicaIndex: null");
        assert_eq!(entry.failure.as_deref(), Some("NO_SUCH_BLOCK Unable to find the block."));
    }

    #[test]
    fn of_successes_only_those_of_whole_containers_are_noted() {
        let request = get_block();
        assert!(entry(&request, &reply::success(&request)).is_none());
        let close = Request { cmd_type: Type::CloseContainer.into(), container_id: 7, ..request };
        let entry = entry(&close, &reply::success(&close)).unwrap();
        assert_eq!(
            (&entry.operation[..], &entry.parameters[..]),
            ("CLOSE_CONTAINER", "containerID=7")
        );
        assert_eq!(entry.failure, None);
    }
}
