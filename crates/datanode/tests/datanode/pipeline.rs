//! A pipeline's state machine without Raft: what it logs, and that applying twice is applying once.

use std::sync::Arc;

use bytes::Bytes;
use container_store::{Code, ReplicaState};
use datanode::dispatch::Dispatcher;
use datanode::pipeline::{Pipelines, message};
use hdds_proto::datanode::{
    CloseContainerRequestProto, ContainerCommandRequestProto as Request,
    ContainerCommandResponseProto as Response, Type,
};
use hdds_types::ContainerId;
use multiraft::{Committed, StateMachine, StateMachines, TermIndex, Transaction};
use prost::Message;
use ratis_proto::common::StateMachineLogEntryProto;
use uuid::Uuid;

use crate::support::*;

const GROUP: Uuid = Uuid::from_u128(0x1234);

fn open(disks: &Disks, dn: &Arc<Dispatcher>) -> Arc<dyn StateMachine> {
    let pipelines = Pipelines::new(dn.clone(), disks.outbox.clone());
    pipelines.open(GROUP, &disks.path().join("sm")).unwrap()
}

fn close() -> Request {
    let mut request = request(Type::CloseContainer);
    request.close_container = Some(Box::new(CloseContainerRequestProto {}));
    request
}

/// As a client sends it: bulk apart.
fn to_message(mut request: Request) -> Bytes {
    let mut bulk = Bytes::new();
    if let Some(write) = &mut request.write_chunk {
        bulk = write.data.take().unwrap_or_default();
    }
    if let Some(small) = &mut request.put_small_file {
        bulk = std::mem::take(&mut small.data);
    }
    message::encode(&request, &bulk)
}

fn at(index: u64) -> TermIndex {
    TermIndex { term: 1, index }
}

fn entry(log: &Bytes) -> StateMachineLogEntryProto {
    StateMachineLogEntryProto { log_data: log.clone(), ..Default::default() }
}

/// Proposes, appends and applies; keeps the log.
async fn run(machine: &Arc<dyn StateMachine>, log: &mut Vec<Bytes>, request: Request) -> Response {
    let Transaction { log: data, bulk, context } =
        machine.prepare(to_message(request), None).unwrap();
    let index = log.len() as u64;
    let entry = entry(&data);
    if let Some(bulk) = bulk {
        machine.write_bulk(at(index), &entry, bulk).await.unwrap();
    }
    log.push(data);
    let committed = Committed { at: at(index), entry, context };
    let reply = machine.apply(vec![committed]).remove(0).unwrap();
    Response::decode(reply).unwrap()
}

fn replay(machine: &Arc<dyn StateMachine>, log: &[Bytes]) -> Vec<Code> {
    let first = machine.durable().map_or(0, |at| at.index + 1);
    let entries = log.iter().zip(0..).skip(first as usize);
    let entries = entries
        .map(|(data, index)| Committed { at: at(index), entry: entry(data), context: None })
        .collect();
    let decode = |reply: Result<Bytes, _>| Response::decode(reply.unwrap()).unwrap().result();
    machine.apply(entries).into_iter().map(decode).collect()
}

#[tokio::test]
async fn log_entries_have_no_bulk_and_no_token_but_their_pipeline() {
    let disks = Disks::new();
    let dn = disks.start();
    let machine = open(&disks, &dn);
    let mut write = write_chunk(1, 0, b"hello");
    write.encoded_token = Some("secret".to_owned());
    let made = machine.prepare(to_message(write), None).unwrap();
    assert_eq!(made.bulk.as_deref(), Some(&b"hello"[..]));
    let logged = Request::decode(made.log).unwrap();
    assert_eq!(logged.encoded_token, None);
    assert_eq!(logged.pipeline_id, Some(GROUP.to_string()));
    assert_eq!(logged.write_chunk.unwrap().data, None);

    let small = machine.prepare(to_message(put_small_file(2, b"small")), None).unwrap();
    assert_eq!(small.bulk, None);
    let logged = Request::decode(small.log).unwrap();
    assert_eq!(logged.put_small_file.unwrap().data, b"small"[..]);

    let empty = machine.prepare(to_message(write_chunk(1, 0, b"")), None);
    assert!(empty.is_err(), "a chunk without bytes");
    assert!(machine.prepare(Bytes::from_static(b"\0\0"), None).is_err());
}

#[tokio::test]
async fn applying_the_log_again_changes_nothing() {
    let disks = Disks::new();
    let mut log = Vec::new();
    {
        let dn = disks.start();
        let machine = open(&disks, &dn);
        for local_id in 1..=3 {
            run(&machine, &mut log, write_chunk(local_id, 0, b"12345")).await;
            let chunks = vec![chunk(local_id, 0, b"12345")];
            let response = run(&machine, &mut log, put_block(local_id, chunks)).await;
            let committed = response.put_block.unwrap().committed_block_length;
            let index = log.len() as u64 - 1;
            assert_eq!(committed.block_id.block_commit_sequence_id, Some(index));
        }
        run(&machine, &mut log, put_small_file(4, b"small")).await;
        assert_eq!(machine.take_snapshot().unwrap(), Some(at(6)));
        let mut write = write_chunk(5, 0, b"with put");
        write.write_chunk.as_mut().unwrap().block = Some(put(5, vec![chunk(5, 0, b"with put")]));
        run(&machine, &mut log, write).await;
    }
    let check = |dn: &Dispatcher| {
        let container = dn.store.get(ContainerId(CONTAINER as u64)).unwrap();
        assert_eq!((container.blocks(), container.bcsid()), (5, 7));
        assert_eq!(container.bytes_used(), 28);
        assert_eq!(container.state(), ReplicaState::Open);
    };
    let dn = disks.start();
    check(&dn);
    let machine = open(&disks, &dn);
    assert_eq!(machine.durable(), Some(at(6)));
    assert_eq!(replay(&machine, &log), [Code::Success]);
    check(&dn);
    // Even from the very beginning.
    std::fs::remove_dir_all(disks.path().join("sm")).unwrap();
    let machine = open(&disks, &dn);
    assert_eq!(machine.durable(), None);
    assert!(replay(&machine, &log).iter().all(|code| *code == Code::Success));
    check(&dn);
    let pipeline_actions = disks.mail().pipeline_actions;
    assert!(pipeline_actions.is_empty(), "{pipeline_actions:?}");
}

#[tokio::test]
async fn writes_to_a_closing_container_are_refused_before_the_log_and_answered_after_it() {
    let disks = Disks::new();
    let dn = disks.start();
    let machine = open(&disks, &dn);
    let mut log = Vec::new();
    run(&machine, &mut log, write_chunk(1, 0, b"12345")).await;
    let late = machine.prepare(to_message(put_block(1, vec![chunk(1, 0, b"12345")])), None);
    let late = late.unwrap();
    run(&machine, &mut log, close()).await;
    let refused = machine.prepare(to_message(write_chunk(2, 0, b"x")), None).err().unwrap();
    assert!(refused.class.ends_with("ContainerNotOpenException"), "{}", refused.class);
    // It was in the log already when the container closed: an answer, not a failure.
    let entry = entry(&late.log);
    let committed = Committed { at: at(9), entry, context: None };
    let reply = machine.apply(vec![committed]).remove(0).unwrap();
    assert_eq!(Response::decode(reply).unwrap().result(), Code::ClosedContainerIo);
    assert!(disks.mail().pipeline_actions.is_empty());
}

#[tokio::test]
async fn an_entry_that_cannot_be_applied_puts_the_pipeline_in_doubt() {
    let disks = Disks::new();
    let dn = disks.start();
    let machine = open(&disks, &dn);
    let mut log = Vec::new();
    run(&machine, &mut log, write_chunk(1, 0, b"12345")).await;
    // A block whose file was never written here.
    let put = machine.prepare(to_message(put_block(2, vec![chunk(2, 0, b"12345")])), None);
    let committed = Committed { at: at(1), entry: entry(&put.unwrap().log), context: None };
    assert!(machine.apply(vec![committed]).remove(0).is_err());
    assert!(machine.take_snapshot().is_err());
    let container = dn.store.get(ContainerId(CONTAINER as u64)).unwrap();
    assert_eq!(container.state(), ReplicaState::Unhealthy);
    let mail = disks.mail();
    assert_eq!((mail.pipeline_actions.len(), mail.container_actions.len()), (1, 1));
}

#[tokio::test]
async fn bulk_is_read_back_for_a_slow_follower() {
    let disks = Disks::new();
    let dn = disks.start();
    let machine = open(&disks, &dn);
    let mut log = Vec::new();
    run(&machine, &mut log, write_chunk(1, 0, b"hello")).await;
    run(&machine, &mut log, write_chunk(1, 5, b"world")).await;
    let bulk = machine.read_bulk(at(1), &entry(&log[1])).await.unwrap();
    assert_eq!(bulk, b"world"[..]);
    let read = to_message(get_block(1, 0));
    let reply = Response::decode(machine.query(read).await.unwrap()).unwrap();
    assert_eq!(reply.result(), Code::NoSuchBlock);
}

#[tokio::test]
async fn damaged_bulk_is_not_passed_on_to_a_slow_follower() {
    let disks = Disks::new();
    let dn = disks.start();
    let machine = open(&disks, &dn);
    let mut log = Vec::new();
    run(&machine, &mut log, write_chunk(1, 0, b"hello")).await;
    let container = dn.store.get(ContainerId(CONTAINER as u64)).unwrap();
    std::fs::write(container.dir().join("chunks/1.block"), b"hellp").unwrap();
    let error = machine.read_bulk(at(0), &entry(&log[0])).await.unwrap_err();
    assert!(error.message.contains("checksum"), "{}", error.message);
    assert_eq!(container.state(), ReplicaState::Unhealthy);
    let mail = disks.mail();
    assert_eq!((mail.pipeline_actions.len(), mail.container_actions.len()), (1, 1));
}
