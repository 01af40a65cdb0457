//! Groups whose loop has a thread of its own, writes the log and applies on it.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use multiraft::RaftSettings;
use uuid::Uuid;

use crate::node::{Node, until};

const GROUP: Uuid = Uuid::from_u128(7);

fn own_thread(settings: &mut RaftSettings) {
    settings.own_thread = true;
    settings.gather_max = Duration::from_millis(1);
    settings.snapshot_after_entries = Some(20);
}

async fn write_together(node: &Node, calls: std::ops::Range<u64>) {
    let names: Vec<_> = calls.map(|call| (call, format!("m{call}"))).collect();
    let writes = names.iter().map(|(call, name)| node.write(GROUP, *call, name));
    for (reply, (_, name)) in join_all(writes).await.into_iter().zip(&names) {
        assert_eq!(reply.unwrap().message, format!("{name}!"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_that_gather_are_all_answered_and_survive_a_restart() {
    let root = tempfile::tempdir().unwrap();
    let mut node = Node::start("one", root.path(), own_thread).await;
    node.raft.add_group(GROUP, vec![node.peer(0)]).await.unwrap();
    node.lead(GROUP).await;
    for round in 0..20 {
        write_together(&node, round * 16..round * 16 + 16).await;
    }
    node.restart().await;
    node.lead(GROUP).await;
    write_together(&node, 1000..1016).await;
    let applied = node.applied(GROUP);
    assert_eq!(applied.len(), 336);
    assert_eq!(applied.iter().collect::<BTreeSet<_>>().len(), 336);
    node.raft.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ring_of_such_members_replicates_and_survives_its_leader() {
    let root = tempfile::tempdir().unwrap();
    let mut nodes = Vec::new();
    for name in ["a", "b", "c"] {
        nodes.push(Node::start(name, root.path(), own_thread).await);
    }
    let peers: Vec<_> = nodes.iter().map(|node| node.peer(0)).collect();
    for node in &nodes {
        node.raft.add_group(GROUP, peers.clone()).await.unwrap();
    }
    until("somebody leads", || nodes.iter().any(|node| node.leads(GROUP))).await;
    let leader = nodes.iter().position(|node| node.leads(GROUP)).unwrap();
    write_together(&nodes[leader], 0..64).await;
    let first = nodes.remove(leader);
    first.raft.shutdown().await;
    until("another leads", || nodes.iter().any(|node| node.leads(GROUP))).await;
    let leader = nodes.iter().position(|node| node.leads(GROUP)).unwrap();
    write_together(&nodes[leader], 64..128).await;
    let applied = nodes[leader].applied(GROUP);
    assert_eq!(applied.iter().collect::<BTreeSet<_>>().len(), 128);
    until("the follower has it all", || nodes.iter().all(|n| n.applied(GROUP) == applied)).await;
    for node in nodes {
        node.raft.shutdown().await;
    }
}
