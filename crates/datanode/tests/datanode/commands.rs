//! Every command over the direct way, and every refusal.

use container_store::{Code, ReplicaState};
use hdds_proto::datanode::read_chunk_response_proto::ResponseData;
use hdds_proto::datanode::{
    CloseContainerRequestProto, ContainerCommandRequestProto as Request,
    ContainerCommandResponseProto as Response, DeleteContainerRequestProto, EchoRequestProto,
    FinalizeBlockRequestProto, GetBlockRequestProto, GetSmallFileRequestProto,
    ListBlockRequestProto, ReadContainerRequestProto, Type, UpdateContainerRequestProto,
};
use hdds_types::ContainerId;

use crate::support::*;

fn create() -> Request {
    let mut request = request(Type::CreateContainer);
    request.create_container = Some(Box::default());
    request
}

fn close() -> Request {
    let mut request = request(Type::CloseContainer);
    request.close_container = Some(Box::new(CloseContainerRequestProto {}));
    request
}

fn list(count: u32) -> Request {
    let mut request = request(Type::ListBlock);
    request.list_block = Some(Box::new(ListBlockRequestProto { start_local_id: None, count }));
    request
}

fn finalize(local_id: i64) -> Request {
    let mut request = request(Type::FinalizeBlock);
    let block_id = block_id(local_id, 0);
    request.finalize_block = Some(Box::new(FinalizeBlockRequestProto { block_id }));
    request
}

fn delete(force: bool) -> Request {
    let mut request = request(Type::DeleteContainer);
    request.delete_container =
        Some(Box::new(DeleteContainerRequestProto { force_delete: Some(force) }));
    request
}

fn ok(response: &Response) {
    assert_eq!(response.result(), Code::Success, "{:?}", response.message);
    assert_eq!(response.trace_id.as_deref(), Some("trace"));
}

#[tokio::test]
async fn a_block_goes_in_and_comes_out_by_every_command() {
    let disks = Disks::new();
    let dn = disks.start();
    ok(&dn.serve(create()).await);
    ok(&dn.serve(write_chunk(1, 0, b"hello ")).await);
    let mut second = write_chunk(1, 6, b"world");
    let chunks = vec![chunk(1, 0, b"hello "), chunk(1, 6, b"world")];
    second.write_chunk.as_mut().unwrap().block = Some(put(1, chunks.clone()));
    let response = dn.serve(second).await;
    ok(&response);
    let committed = response.write_chunk.unwrap().committed_block_length.unwrap();
    assert_eq!((committed.block_id.local_id, committed.block_length), (1, 11));

    let response = dn.serve(get_block(1, 0)).await;
    let block = response.get_block.unwrap().block_data;
    assert_eq!((block.size, block.chunks.len()), (Some(11), 2));
    let response = dn.serve(committed_length(1)).await;
    assert_eq!(response.get_committed_block_length.unwrap().block_length, 11);
    let response = dn.serve(list(10)).await;
    assert_eq!(response.list_block.unwrap().block_data.len(), 1);

    let response = dn.serve(read_chunk(1, chunks[1].clone(), None)).await;
    let data = response.read_chunk.unwrap().response_data;
    assert_eq!(data, Some(ResponseData::Data("world".into())));
    let response = dn.serve(read_chunk(1, chunks[0].clone(), Some(1))).await;
    let Some(ResponseData::DataBuffers(data)) = response.read_chunk.unwrap().response_data else {
        panic!("version 1 is answered with buffers");
    };
    assert_eq!(data.buffers.concat(), b"hello ");

    let mut container = request(Type::ReadContainer);
    container.read_container = Some(Box::new(ReadContainerRequestProto {}));
    let data = dn.serve(container).await.read_container.unwrap().container_data.unwrap();
    assert_eq!((data.bytes_used, data.block_count, data.size), (Some(11), Some(1), Some(1 << 20)));
}

#[tokio::test]
async fn a_small_file_is_one_command_each_way() {
    let disks = Disks::new();
    let dn = disks.start();
    let response = dn.serve(put_small_file(5, b"small")).await;
    ok(&response);
    assert_eq!(response.put_small_file.unwrap().committed_block_length.block_length, 5);
    let mut get = request(Type::GetSmallFile);
    get.get_small_file = Some(Box::new(GetSmallFileRequestProto {
        block: GetBlockRequestProto { block_id: block_id(5, 0) },
        read_chunk_version: None,
    }));
    let data = dn.serve(get).await.get_small_file.unwrap().data;
    assert_eq!(data.response_data, Some(ResponseData::Data("small".into())));
    assert_eq!(data.chunk_data.len, 5);
}

#[tokio::test]
async fn a_failed_read_makes_the_datanode_look_and_only_damage_makes_a_container_unhealthy() {
    for damage in [false, true] {
        let disks = Disks::new();
        let dn = disks.start();
        ok(&dn.serve(write_chunk(1, 0, b"hello")).await);
        ok(&dn.serve(put_block(1, vec![chunk(1, 0, b"hello")])).await);
        ok(&dn.serve(close()).await);
        let container = dn.store.get(ContainerId(CONTAINER.cast_unsigned())).unwrap();
        assert_eq!(container.state(), ReplicaState::Closed);
        if damage {
            std::fs::write(container.block_path(1), b"hel").unwrap();
        }
        // What never was, or what is not there any more.
        let asked = if damage { chunk(1, 0, b"hello") } else { chunk(1, 5, b"more") };
        let response = dn.serve(read_chunk(1, asked, None)).await;
        assert_eq!(response.result(), Code::UnableToFindChunk);
        let after = if damage { ReplicaState::Unhealthy } else { ReplicaState::Closed };
        assert_eq!(container.state(), after);
    }
}

#[tokio::test]
async fn refusals_carry_the_genuine_codes() {
    let disks = Disks::new();
    let dn = disks.start();
    let code = async |request: Request| dn.serve(request).await.result();
    // Nothing is here yet.
    assert_eq!(code(get_block(1, 0)).await, Code::ContainerNotFound);
    assert_eq!(code(close()).await, Code::ContainerNotFound);
    assert_eq!(code(request(Type::WriteChunk)).await, Code::MalformedRequest);
    ok(&dn.serve(create()).await);
    assert_eq!(code(create()).await, Code::ContainerExists);
    for kind in [Type::GetBlock, Type::PutBlock, Type::ReadChunk, Type::CloseContainer] {
        assert_eq!(code(request(kind)).await, Code::MalformedRequest, "{kind:?}");
    }
    for kind in [Type::ListContainer, Type::ListChunk, Type::CompactChunk] {
        assert_eq!(code(request(kind)).await, Code::UnsupportedRequest, "{kind:?}");
    }
    assert_eq!(code(request(Type::DeleteBlock)).await, Code::ContainerInternalError);
    let unknown = Request { cmd_type: 99, ..request(Type::Echo) };
    assert_eq!(code(unknown).await, Code::UnsupportedRequest);
    assert_eq!(code(list(0)).await, Code::IoException);
    assert_eq!(code(get_block(1, 0)).await, Code::NoSuchBlock);
    assert_eq!(code(get_block(1, 5)).await, Code::UnknownBcsid);
    assert_eq!(code(read_chunk(1, chunk(1, 0, b"x"), None)).await, Code::UnableToFindChunk);
    let mut ahead = read_chunk(1, chunk(1, 0, b"x"), None);
    ahead.read_chunk.as_mut().unwrap().block_id = block_id(1, 7);
    assert_eq!(code(ahead).await, Code::UnknownBcsid);
    let huge = chunk_checksum::DEFAULT_BYTES_PER_CHECKSUM;
    let mut oversize = chunk(1, 0, b"x");
    oversize.len = (32 << 20) + u64::from(huge);
    assert_eq!(code(read_chunk(1, oversize, None)).await, Code::UnsupportedRequest);
    assert_eq!(code(delete(false)).await, Code::DeleteOnOpenContainer);
}

#[tokio::test]
async fn closed_containers_and_finalized_blocks_refuse_writes() {
    let disks = Disks::new();
    let dn = disks.start();
    ok(&dn.serve(put_small_file(1, b"one")).await);
    ok(&dn.serve(finalize(1)).await);
    let again = dn.serve(put_block(1, vec![chunk(1, 0, b"one")])).await;
    assert_eq!(again.result(), Code::BlockAlreadyFinalized);
    ok(&dn.serve(close()).await);
    ok(&dn.serve(close()).await);
    assert_eq!(dn.serve(write_chunk(2, 0, b"x")).await.result(), Code::ClosedContainerIo);
    assert_eq!(dn.serve(put_small_file(2, b"x")).await.result(), Code::ClosedContainerIo);
    let mut update = request(Type::UpdateContainer);
    update.update_container = Some(Box::new(UpdateContainerRequestProto::default()));
    assert_eq!(dn.serve(update).await.result(), Code::UnsupportedRequest);
    assert_eq!(dn.serve(delete(false)).await.result(), Code::DeleteOnNonEmptyContainer);
    // None of that spoils the replica.
    let container = dn.store.get(ContainerId(CONTAINER as u64)).unwrap();
    assert_eq!(container.state(), ReplicaState::Closed);
    ok(&dn.serve(delete(true)).await);
    assert_eq!(dn.serve(get_block(1, 0)).await.result(), Code::ContainerNotFound);
}

#[tokio::test]
async fn a_failed_write_leaves_the_container_unhealthy_and_asks_for_its_close() {
    let disks = Disks::new();
    let dn = disks.start();
    ok(&dn.serve(create()).await);
    assert_eq!(dn.serve(write_chunk(1, 10, b"gap")).await.result(), Code::ChunkFileInconsistency);
    let container = dn.store.get(ContainerId(CONTAINER as u64)).unwrap();
    assert_eq!(container.state(), ReplicaState::Unhealthy);
    assert_eq!(dn.serve(write_chunk(1, 0, b"x")).await.result(), Code::ContainerUnhealthy);
    assert_eq!(disks.mail().container_actions.len(), 1);
}

#[tokio::test]
async fn nearly_full_containers_are_brought_to_scms_notice_once() {
    let disks = Disks::new();
    let dn = disks.start();
    let big = vec![7; 950 << 10];
    ok(&dn.serve(write_chunk(1, 0, &big)).await);
    assert!(disks.mail().container_actions.is_empty());
    ok(&dn.serve(write_chunk(2, 0, b"x")).await);
    ok(&dn.serve(write_chunk(3, 0, b"x")).await);
    let actions = disks.mail().container_actions;
    assert_eq!(actions.len(), 1);
    assert_eq!(actions[0].container_id, CONTAINER);
}

#[tokio::test]
async fn full_disks_and_lost_containers_refuse_writes_with_their_codes() {
    let disks = Disks::new();
    {
        let dn = disks.start();
        ok(&dn.serve(put_small_file(1, b"one")).await);
    }
    let mut full = disks.settings();
    full.min_free_bytes = u64::MAX;
    let dn = disks.start_with(full);
    assert_eq!(dn.serve(write_chunk(2, 0, b"x")).await.result(), Code::DiskOutOfSpace);
    ok(&dn.serve(get_block(1, 0)).await);
    let container = dn.store.get(ContainerId(CONTAINER as u64)).unwrap();
    std::fs::remove_dir_all(container.dir()).unwrap();
    drop((dn, container));
    let dn = disks.start();
    assert_eq!(dn.serve(write_chunk(2, 0, b"x")).await.result(), Code::ContainerMissing);
    assert_eq!(dn.serve(create()).await.result(), Code::ContainerMissing);
    assert_eq!(dn.serve(get_block(1, 0)).await.result(), Code::ContainerNotFound);
}

#[tokio::test]
async fn an_echo_is_as_long_as_it_was_asked_to_be() {
    let disks = Disks::new();
    let dn = disks.start();
    ok(&dn.serve(create()).await);
    let mut echo = request(Type::Echo);
    echo.echo = Some(Box::new(EchoRequestProto {
        payload: None,
        payload_size_resp: Some(1000),
        sleep_time_ms: None,
        read_only: Some(true),
    }));
    let payload = dn.serve(echo.clone()).await.echo.unwrap().payload.unwrap();
    assert_eq!(payload.len(), 1000);
    echo.echo.as_mut().unwrap().payload_size_resp = Some(i32::MAX);
    assert_eq!(dn.serve(echo).await.result(), Code::UnsupportedRequest);
}
