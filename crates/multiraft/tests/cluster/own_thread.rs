//! Groups whose loop has a thread of its own, writes the log and applies on it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use multiraft::RaftSettings;
use uuid::Uuid;

use crate::machine::{BESIDE, SlowDisk};
use crate::node::{Node, until};

const GROUP: Uuid = Uuid::from_u128(7);

fn own_thread(settings: &mut RaftSettings) {
    settings.own_thread = true;
    settings.gather_max = Duration::from_millis(1);
    settings.snapshot_after_entries = Some(20);
}

async fn write_together(node: &Node, calls: std::ops::Range<u64>) {
    write_to(node, GROUP, calls).await;
}

async fn write_to(node: &Node, group: Uuid, calls: std::ops::Range<u64>) {
    let names: Vec<_> = calls.map(|call| (call, format!("m{call}"))).collect();
    let writes = names.iter().map(|(call, name)| node.write(group, *call, name));
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

/// A node with 40 entries in [`BESIDE`], whose snapshot waits for a disk that is held.
async fn with_a_snapshot_that_waits(root: &Path) -> (Node, Arc<SlowDisk>) {
    let node = Node::start("one", root, own_thread).await;
    node.raft.add_group(BESIDE, vec![node.peer(0)]).await.unwrap();
    node.lead(BESIDE).await;
    let disk = node.machines.seen(BESIDE).lock().disk.clone();
    disk.hold(true);
    write_to(&node, BESIDE, 0..40).await;
    until("a snapshot waits for the disk", || disk.waiting() == 1).await;
    (node, disk)
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_are_answered_while_a_snapshot_waits_for_the_disk() {
    let root = tempfile::tempdir().unwrap();
    let (mut node, disk) = with_a_snapshot_that_waits(root.path()).await;
    // Many times what makes a snapshot due; one is under way, and no other begins.
    for round in 1..10 {
        write_to(&node, BESIDE, round * 40..round * 40 + 40).await;
    }
    assert_eq!(disk.waiting(), 1);
    // Who asks for one now gets one of all that was written.
    let raft = node.raft.clone();
    let asked = tokio::spawn(async move { raft.snapshot(BESIDE).await });
    let applied = node.raft.info(BESIDE).unwrap().applied;
    disk.hold(false);
    let taken = asked.await.unwrap().unwrap().unwrap();
    assert!(Some(taken.index) >= applied, "{taken} is behind {applied:?}");
    write_to(&node, BESIDE, 1000..1010).await;
    node.restart().await;
    node.lead(BESIDE).await;
    assert_eq!(node.applied(BESIDE).len(), 410);
    node.raft.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_the_snapshot_under_way() {
    let root = tempfile::tempdir().unwrap();
    let (mut node, disk) = with_a_snapshot_that_waits(root.path()).await;
    let raft = node.raft.clone();
    let stopped = tokio::spawn(async move { raft.shutdown().await });
    tokio::task::yield_now().await;
    assert!(!stopped.is_finished());
    disk.hold(false);
    stopped.await.unwrap();
    assert_eq!(disk.waiting(), 0);
    node.start_again().await;
    node.lead(BESIDE).await;
    assert_eq!(node.applied(BESIDE).len(), 40);
    node.raft.shutdown().await;
}
