//! The services as clients see them: ours, and streams shaped as Java shapes them.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use multiraft::RaftSettings;
use ratis::Channels;
use ratis::client::{ClientError, ClientSettings, RaftClient};
use ratis_proto::common::raft_client_reply_proto::ExceptionDetails;
use ratis_proto::common::raft_client_request_proto::Type;
use ratis_proto::common::{
    ClientMessageEntryProto, RaftClientReplyProto, RaftClientRequestProto, RaftGroupIdProto,
    RaftPeerProto, RaftRpcRequestProto, ReplicationLevel, SlidingWindowEntry,
    WatchRequestTypeProto, WriteRequestTypeProto,
};
use ratis_proto::grpc::admin_protocol_service_client::AdminProtocolServiceClient;
use ratis_proto::grpc::raft_client_protocol_service_client::RaftClientProtocolServiceClient;
use tokio_stream::StreamExt;
use uuid::Uuid;

use crate::node::{Node, until};

const GROUP: Uuid = Uuid::from_u128(5);

async fn ring(root: &Path, names: &[&str]) -> (Vec<Node>, Vec<RaftPeerProto>) {
    let tune = |s: &mut RaftSettings| {
        s.client_address = Some("127.0.0.1:0".parse().unwrap());
        s.admin_address = Some("127.0.0.1:0".parse().unwrap());
    };
    let mut nodes = Vec::new();
    for name in names {
        nodes.push(Node::start(name, root, tune).await);
    }
    let peers: Vec<_> = nodes
        .iter()
        .map(|n| {
            let (server, client, admin) = n.raft.addresses();
            assert!(server != client && client != admin);
            RaftPeerProto {
                client_address: client.to_string(),
                admin_address: admin.to_string(),
                ..n.peer(0)
            }
        })
        .collect();
    for node in &nodes {
        node.raft.add_group(GROUP, peers.clone()).await.unwrap();
    }
    until("somebody leads", || nodes.iter().any(|n| n.leads(GROUP))).await;
    (nodes, peers)
}

fn java_request(call: u64, seq: Option<(u64, bool)>, kind: Type) -> RaftClientRequestProto {
    let is_write = matches!(kind, Type::Write(_));
    RaftClientRequestProto {
        rpc_request: Some(RaftRpcRequestProto {
            requestor_id: Bytes::from_static(&[5; 16]),
            reply_id: Bytes::from_static(b"one"),
            raft_group_id: Some(RaftGroupIdProto { id: Bytes::copy_from_slice(GROUP.as_bytes()) }),
            call_id: call,
            to_leader: true,
            sliding_window_entry: seq
                .map(|(seq_num, is_first)| SlidingWindowEntry { seq_num, is_first }),
            ..Default::default()
        }),
        message: is_write
            .then(|| ClientMessageEntryProto { content: Bytes::from(format!("call {call}")) }),
        r#type: Some(kind),
    }
}

fn write(call: u64, seq: u64) -> RaftClientRequestProto {
    java_request(call, Some((seq, false)), Type::Write(WriteRequestTypeProto::default()))
}

fn dummy(call: u64, seq: u64) -> RaftClientRequestProto {
    java_request(call, Some((seq, true)), Type::Watch(WatchRequestTypeProto::default()))
}

fn call_of(reply: &RaftClientReplyProto) -> u64 {
    reply.rpc_reply.as_ref().unwrap().call_id
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordered_stream_as_java_sends_it_is_answered_in_order() {
    let root = tempfile::tempdir().unwrap();
    let (nodes, peers) = ring(root.path(), &["one"]).await;
    until("it leads", || nodes[0].leads(GROUP)).await;
    let address = format!("http://{}", peers[0].client_address);
    let mut client = RaftClientProtocolServiceClient::connect(address).await.unwrap();
    // Out of order arrival: 4 before 3, and everything before the first.
    let requests = [write(4, 4), write(3, 3), dummy(1, 1), write(2, 2), write(5, 5)];
    let replies = client.ordered(tokio_stream::iter(requests)).await.unwrap().into_inner();
    let replies: Vec<_> = replies.map(Result::unwrap).collect().await;
    assert_eq!(replies.iter().map(call_of).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert!(replies[0].message.as_ref().is_none_or(|m| m.content.is_empty()));
    for reply in &replies {
        let header = reply.rpc_reply.as_ref().unwrap();
        assert!(header.success);
        assert_eq!((&header.reply_id[..], &header.requestor_id[..]), (&b"one"[..], &[5; 16][..]));
        assert_eq!(reply.commit_infos.len(), 1);
        assert!(reply.commit_infos[0].commit_index >= reply.log_index);
    }
    assert_eq!(replies[4].message.as_ref().unwrap().content, "call 5!");
    assert_eq!(nodes[0].applied(GROUP), ["call 2", "call 3", "call 4", "call 5"]);

    // A new stream after a reconnection: the numbers go on, the repeated call is not applied again.
    let mut first = write(5, 5);
    first.rpc_request.as_mut().unwrap().sliding_window_entry.as_mut().unwrap().is_first = true;
    let requests = tokio_stream::iter([first, write(6, 6)]);
    let replies = client.ordered(requests).await.unwrap().into_inner();
    let replies: Vec<_> = replies.map(Result::unwrap).collect().await;
    assert_eq!(replies.iter().map(call_of).collect::<Vec<_>>(), [5, 6]);
    assert_eq!(nodes[0].applied(GROUP).len(), 5);

    let watch = WatchRequestTypeProto {
        index: replies[1].log_index,
        replication: ReplicationLevel::AllCommitted.into(),
    };
    let requests = tokio_stream::iter([java_request(7, None, Type::Watch(watch))]);
    let mut replies = client.unordered(requests).await.unwrap().into_inner();
    let reply = replies.next().await.unwrap().unwrap();
    assert!(reply.rpc_reply.unwrap().success && reply.log_index >= watch.index);
    nodes[0].raft.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_travel_as_java_expects_them() {
    let root = tempfile::tempdir().unwrap();
    let (nodes, peers) = ring(root.path(), &["one"]).await;
    until("it leads", || nodes[0].leads(GROUP)).await;
    let address = format!("http://{}", peers[0].client_address);
    let mut client = RaftClientProtocolServiceClient::connect(address).await.unwrap();
    let mut refused = write(2, 2);
    refused.message = Some(ClientMessageEntryProto { content: Bytes::from_static(b"refuse") });
    let requests = tokio_stream::iter([dummy(1, 1), refused]);
    let replies = client.ordered(requests).await.unwrap().into_inner();
    let replies: Vec<_> = replies.map(Result::unwrap).collect().await;
    assert!(!replies[1].rpc_reply.as_ref().unwrap().success);
    match &replies[1].exception_details {
        Some(ExceptionDetails::StateMachineException(e)) => {
            assert_eq!(e.exception_class_name, "java.io.IOException");
            assert!(e.stacktrace.starts_with(&[0xac, 0xed, 0, 5]));
        }
        other => panic!("{other:?}"),
    }
    // An unknown group ends the stream with a gRPC error that names the class.
    let mut lost = dummy(3, 1);
    lost.rpc_request.as_mut().unwrap().raft_group_id.as_mut().unwrap().id =
        Bytes::copy_from_slice(Uuid::from_u128(99).as_bytes());
    let mut replies = client.ordered(tokio_stream::iter([lost])).await.unwrap().into_inner();
    let status = replies.next().await.unwrap().unwrap_err();
    assert_eq!(status.code(), tonic::Code::Internal);
    assert_eq!(
        status.metadata().get("exception-type").unwrap(),
        "org.apache.ratis.protocol.exceptions.GroupMismatchException"
    );
    assert_eq!(status.metadata().get("call-id").unwrap(), "3");
    nodes[0].raft.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_service_lists_and_describes_groups() {
    let root = tempfile::tempdir().unwrap();
    let (nodes, peers) = ring(root.path(), &["one"]).await;
    until("it leads", || nodes[0].leads(GROUP)).await;
    let address = format!("http://{}", peers[0].admin_address);
    let mut admin = AdminProtocolServiceClient::connect(address).await.unwrap();
    let header = dummy(1, 1).rpc_request;
    let list = ratis_proto::common::GroupListRequestProto { rpc_request: header.clone() };
    let list = admin.group_list(list).await.unwrap().into_inner();
    assert_eq!(list.group_id[0].id, GROUP.as_bytes()[..]);
    let info = ratis_proto::common::GroupInfoRequestProto { rpc_request: header, group_id: None };
    let info = admin.group_info(info).await.unwrap().into_inner();
    assert_eq!(info.group.unwrap().peers.len(), 1);
    assert_eq!(info.role.unwrap().role(), ratis_proto::common::RaftPeerRole::Leader);
    assert!(info.log_info.unwrap().committed.is_some());
    nodes[0].raft.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_client_gives_up_when_every_member_is_dead() {
    let root = tempfile::tempdir().unwrap();
    let (nodes, peers) = ring(root.path(), &["one"]).await;
    let settings = ClientSettings {
        unreachable_timeout: Duration::from_millis(300),
        ..ClientSettings::default()
    };
    let client = RaftClient::new(GROUP, peers, None, Channels::default(), settings);
    client.write(Bytes::from_static(b"first")).await.unwrap();
    nodes[0].raft.shutdown().await;
    let dead = client.write(Bytes::from_static(b"second")).await;
    assert!(matches!(dead, Err(ClientError::TimedOut { .. })), "{dead:?}");
}

fn client(peers: &[RaftPeerProto], leader: Option<&str>) -> RaftClient {
    let settings =
        ClientSettings { write_deadline: Duration::from_secs(30), ..ClientSettings::default() };
    RaftClient::new(GROUP, peers.to_vec(), leader, Channels::default(), settings)
}

#[tokio::test(flavor = "multi_thread")]
async fn our_client_finds_the_leader_and_keeps_the_order_of_its_writes() {
    let root = tempfile::tempdir().unwrap();
    let (nodes, peers) = ring(root.path(), &["a", "b", "c"]).await;
    let leader = nodes.iter().position(|n| n.leads(GROUP)).unwrap();
    let wrong = (leader + 1) % 3;
    let client = client(&peers, Some(&nodes[wrong].name));
    let expected: Vec<_> = (0..200).map(|i| format!("w{i}")).collect();
    let writes: Vec<_> = expected.iter().map(|m| client.write(Bytes::from(m.clone()))).collect();
    let mut last = 0;
    for (write, message) in writes.into_iter().zip(&expected) {
        let reply = write.await.unwrap();
        assert_eq!(reply.message, format!("{message}!"));
        last = reply.log_index;
    }
    assert_eq!(nodes[leader].applied(GROUP), expected);
    assert_eq!(client.leader().as_deref(), Some(nodes[leader].name.as_str()));
    let reply = client.watch(last, ReplicationLevel::AllCommitted).await.unwrap();
    assert!(reply.log_index >= last && reply.commits.iter().all(|c| c.commit_index >= last));
    assert_eq!(client.commits().len(), 3);
    assert_eq!(client.read(Bytes::from_static(b"q")).await.unwrap().message, "q");
    let refused = client.write(Bytes::from_static(b"refuse")).await;
    assert!(matches!(refused, Err(ClientError::StateMachine { .. })), "{refused:?}");
    client.write(Bytes::from_static(b"more")).await.unwrap();
    for node in nodes {
        node.raft.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn our_client_survives_the_death_of_the_leader() {
    let root = tempfile::tempdir().unwrap();
    let (nodes, peers) = ring(root.path(), &["a", "b", "c"]).await;
    let leader = nodes.iter().position(|n| n.leads(GROUP)).unwrap();
    let client = client(&peers, None);
    client.write(Bytes::from_static(b"first")).await.unwrap();
    let expected: Vec<_> = (0..300).map(|i| format!("w{i}")).collect();
    let writes: Vec<_> = expected.iter().map(|m| client.write(Bytes::from(m.clone()))).collect();
    nodes[leader].raft.shutdown().await;
    for (write, message) in writes.into_iter().zip(&expected) {
        assert_eq!(write.await.unwrap().message, format!("{message}!"));
    }
    let survivor = nodes.iter().position(|n| n.leads(GROUP)).unwrap();
    assert_eq!(nodes[survivor].applied(GROUP)[1..], expected);
    for node in nodes {
        node.raft.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn our_client_fails_at_once_when_the_group_is_gone() {
    let root = tempfile::tempdir().unwrap();
    let (nodes, peers) = ring(root.path(), &["one"]).await;
    let client = client(&peers, None);
    client.write(Bytes::from_static(b"first")).await.unwrap();
    nodes[0].raft.remove_group(GROUP).await.unwrap();
    let gone = client.write(Bytes::from_static(b"second")).await;
    assert!(matches!(gone, Err(ClientError::GroupMismatch(_))), "{gone:?}");
    nodes[0].raft.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_chunks_reach_every_member_through_our_client() {
    const CHUNK_BYTES: usize = 8 << 20;
    let root = tempfile::tempdir().unwrap();
    let (nodes, peers) = ring(root.path(), &["a", "b", "c"]).await;
    let client = client(&peers, None);
    let chunk = |i: usize| {
        let mut chunk = format!("big{i:05}").into_bytes();
        chunk.resize(CHUNK_BYTES, b'x');
        Bytes::from(chunk)
    };
    let writes: Vec<_> = (0..10).map(|i| client.write(chunk(i))).collect();
    for write in writes {
        write.await.unwrap();
    }
    let expected: Vec<_> = (0..10).map(|i| format!("big{i:05}")).collect();
    for node in &nodes {
        until("all chunks are there", || node.applied(GROUP) == expected).await;
        let seen = node.machines.seen(GROUP);
        for (at, bulk) in &seen.lock().bulk {
            assert_eq!(bulk.len(), CHUNK_BYTES, "entry {at}");
        }
    }
    for node in nodes {
        node.raft.shutdown().await;
    }
}

/// Bytes a second through our client into a ring of three; run it optimised, with `--ignored`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn measure_large_chunks() {
    const CHUNK_BYTES: usize = 4 << 20;
    const CHUNKS: usize = 96;
    let root = tempfile::tempdir_in("/var/tmp").unwrap();
    let (nodes, peers) = ring(root.path(), &["a", "b", "c"]).await;
    let client = client(&peers, None);
    let mut chunk = b"big00000".to_vec();
    chunk.resize(CHUNK_BYTES, b'x');
    let chunk = Bytes::from(chunk);
    client.write(chunk.clone()).await.unwrap();
    let start = std::time::Instant::now();
    let mut flying = std::collections::VecDeque::new();
    for _ in 0..CHUNKS {
        flying.push_back(client.write(chunk.clone()));
        if flying.len() >= 8 {
            flying.pop_front().unwrap().await.unwrap();
        }
    }
    for write in flying {
        write.await.unwrap();
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{:.0} MB/s", (CHUNKS * CHUNK_BYTES) as f64 / 1e6 / seconds);
    for node in nodes {
        node.raft.shutdown().await;
    }
}

/// Small writes a second into a ring of three.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn measure_small_writes_to_three() {
    const WRITERS: u64 = 256;
    const WRITES: u64 = 200;
    let root = tempfile::tempdir_in("/var/tmp").unwrap();
    let (nodes, _) = ring(root.path(), &["a", "b", "c"]).await;
    let leader = nodes.iter().position(|n| n.leads(GROUP)).unwrap();
    let start = std::time::Instant::now();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let raft = nodes[leader].raft.clone();
            tokio::spawn(async move {
                for write in 0..WRITES {
                    let request = crate::node::request(writer * WRITES + write, &"x".repeat(200));
                    raft.write(GROUP, request).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{:.0} writes/s", (WRITERS * WRITES) as f64 / seconds);
    for node in nodes {
        node.raft.shutdown().await;
    }
}
