//! A group of three members.

use std::path::Path;
use std::time::Duration;

use multiraft::{RaftError, RaftSettings, Reply};
use ratis_proto::common::{RaftPeerProto, ReplicationLevel};
use uuid::Uuid;

use crate::node::{Node, until};

const GROUP: Uuid = Uuid::from_u128(3);
const NAMES: [&str; 3] = ["a", "b", "c"];

struct Ring {
    nodes: Vec<Node>,
    calls: u64,
}

impl Ring {
    async fn start(root: &Path, tune: fn(&mut RaftSettings)) -> Self {
        let mut nodes = Vec::new();
        for name in NAMES {
            nodes.push(Node::start(name, root, tune).await);
        }
        let ring = Self { nodes, calls: 0 };
        let peers = ring.peers();
        for node in &ring.nodes {
            node.raft.add_group(GROUP, peers.clone()).await.unwrap();
        }
        ring
    }

    fn peers(&self) -> Vec<RaftPeerProto> {
        self.nodes.iter().map(|n| n.peer(0)).collect()
    }

    /// The ready leader's place in the list.
    async fn leader(&self) -> usize {
        let leader = || self.nodes.iter().position(|n| n.leads(GROUP));
        until("somebody leads", || leader().is_some()).await;
        leader().unwrap()
    }

    /// Writes through whoever leads; a repetition keeps its call.
    async fn write(&mut self, message: &str) -> Reply {
        self.calls += 1;
        let call = self.calls;
        for _ in 0..1_000 {
            let at = self.leader().await;
            match self.nodes[at].write(GROUP, call, message).await {
                Ok(reply) => return reply,
                Err(
                    RaftError::NotLeader { .. }
                    | RaftError::LeaderNotReady(_)
                    | RaftError::AlreadyClosed(_)
                    | RaftError::GroupMismatch(_),
                ) => tokio::time::sleep(Duration::from_millis(10)).await,
                Err(error) => panic!("{error}"),
            }
        }
        panic!("no leader took the write");
    }

    async fn agree(&self, expected: &[String]) {
        for node in &self.nodes {
            until(&format!("{} has applied everything", node.name), || {
                node.applied(GROUP) == expected
            })
            .await;
        }
    }

    async fn stop(self) {
        for node in self.nodes {
            node.raft.shutdown().await;
        }
    }
}

fn messages(prefix: &str, range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|i| format!("{prefix}{i}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_reach_every_member_in_the_same_order() {
    let root = tempfile::tempdir().unwrap();
    let mut ring = Ring::start(root.path(), |_| {}).await;
    let expected = messages("m", 0..100);
    let mut last = 0;
    for message in &expected {
        last = ring.write(message).await.index;
    }
    ring.agree(&expected).await;
    let leader = ring.leader().await;
    for level in [
        ReplicationLevel::Majority,
        ReplicationLevel::All,
        ReplicationLevel::MajorityCommitted,
        ReplicationLevel::AllCommitted,
    ] {
        let reply = ring.nodes[leader].raft.watch(GROUP, last, level).await.unwrap();
        assert!(reply.index >= last, "{level:?}");
        if level == ReplicationLevel::AllCommitted {
            assert_eq!(reply.commits.len(), 3);
            assert!(reply.commits.iter().all(|c| c.commit_index >= last));
            assert_eq!(reply.commits[0].server.as_ref().unwrap().id, ring.nodes[leader].name);
        }
    }
    let follower = (leader + 1) % 3;
    match ring.nodes[follower].write(GROUP, 999, "x").await {
        Err(RaftError::NotLeader { leader: Some(suggested), peers, .. }) => {
            assert_eq!(suggested.id, ring.nodes[leader].name);
            assert_eq!(peers.len(), 3);
        }
        other => panic!("{other:?}"),
    }
    ring.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bulk_bytes_are_written_on_every_member_but_not_into_the_log() {
    let root = tempfile::tempdir().unwrap();
    let mut ring = Ring::start(root.path(), |_| {}).await;
    let expected = messages("bulk", 0..20);
    for message in &expected {
        ring.write(message).await;
    }
    ring.agree(&expected).await;
    for node in &ring.nodes {
        let seen = node.machines.seen(GROUP);
        assert_eq!(seen.lock().bulk.len(), 20);
        assert!(seen.lock().bulk.values().all(|b| b.len() == 10_000));
    }
    let directories: Vec<_> =
        ring.nodes.iter().map(|n| n.raft.info(GROUP).unwrap().directory).collect();
    ring.stop().await;
    for directory in directories {
        let log = std::fs::metadata(directory.join("current/log_inprogress_0")).unwrap();
        assert!(log.len() < 10_000, "{}", log.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_leader_dies_another_takes_over_and_nothing_is_lost_or_doubled() {
    let root = tempfile::tempdir().unwrap();
    let mut ring = Ring::start(root.path(), |_| {}).await;
    let mut expected = Vec::new();
    for round in 0..3 {
        let before = messages(&format!("r{round}-"), 0..20);
        for message in &before {
            ring.write(message).await;
        }
        expected.extend(before);
        let dead = ring.leader().await;
        ring.nodes[dead].raft.shutdown().await;
        // The same request again, at the new leader: answered, not applied again.
        let message = expected.last().unwrap().clone();
        ring.calls -= 1;
        ring.write(&message).await;
        let without = messages(&format!("w{round}-"), 0..20);
        for message in &without {
            ring.write(message).await;
        }
        expected.extend(without);
        ring.nodes[dead].start_again().await;
        ring.agree(&expected).await;
    }
    ring.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_members_restart_and_go_on() {
    let root = tempfile::tempdir().unwrap();
    let mut ring = Ring::start(root.path(), |_| {}).await;
    let mut expected = messages("m", 0..30);
    for message in &expected {
        ring.write(message).await;
    }
    for node in &ring.nodes {
        node.raft.shutdown().await;
    }
    for node in &mut ring.nodes {
        node.start_again().await;
    }
    ring.write("after").await;
    expected.push("after".to_owned());
    ring.agree(&expected).await;
    ring.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_was_away_catches_up_from_the_log_on_disk() {
    let root = tempfile::tempdir().unwrap();
    let tune = |s: &mut RaftSettings| {
        // Nothing old stays in memory, so old entries and their bulk bytes are read back.
        s.cache_bytes_max = 1;
        s.segment_bytes_max = 3_000;
    };
    let mut ring = Ring::start(root.path(), tune).await;
    let leader = ring.leader().await;
    let away = (leader + 1) % 3;
    ring.nodes[away].raft.shutdown().await;
    let mut expected = messages("m", 0..100);
    expected.extend(messages("bulk", 0..30));
    for message in &expected {
        ring.write(message).await;
    }
    ring.nodes[away].start_again().await;
    ring.agree(&expected).await;
    assert_eq!(ring.nodes[away].machines.seen(GROUP).lock().bulk.len(), 30);
    ring.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_entries_never_come_in_larger_messages_than_a_member_takes() {
    let root = tempfile::tempdir().unwrap();
    let tune = |s: &mut RaftSettings| {
        s.cache_bytes_max = 1;
        // Two entries with bulk bytes fit, a third does not.
        s.append_bytes_max = 25_000;
        s.message_bytes_max = 26_000;
    };
    let mut ring = Ring::start(root.path(), tune).await;
    let leader = ring.leader().await;
    let away = (leader + 1) % 3;
    ring.nodes[away].raft.shutdown().await;
    let expected = messages("bulk", 0..20);
    for message in &expected {
        ring.write(message).await;
    }
    ring.nodes[away].start_again().await;
    ring.agree(&expected).await;
    ring.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_behind_the_purged_log_installs_a_snapshot() {
    let root = tempfile::tempdir().unwrap();
    let tune = |s: &mut RaftSettings| {
        s.cache_bytes_max = 1;
        s.segment_bytes_max = 1_000;
        s.purge_gap = Some(1);
        s.purge_up_to_snapshot = true;
    };
    let mut ring = Ring::start(root.path(), tune).await;
    let leader = ring.leader().await;
    let away = (leader + 1) % 3;
    ring.nodes[away].raft.shutdown().await;
    for message in messages("m", 0..100) {
        ring.write(&message).await;
    }
    for node in ring.nodes.iter().enumerate().filter(|(i, _)| *i != away) {
        node.1.raft.snapshot(GROUP).await.unwrap();
    }
    ring.nodes[away].start_again().await;
    ring.write("after").await;
    let seen = ring.nodes[away].machines.seen(GROUP);
    until("the snapshot is installed", || !seen.lock().installed.is_empty()).await;
    until("it follows again", || {
        ring.nodes[away].applied(GROUP).last().is_some_and(|m| m == "after")
    })
    .await;
    ring.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_for_all_times_out_while_a_member_is_away() {
    let root = tempfile::tempdir().unwrap();
    let tune = |s: &mut RaftSettings| {
        s.watch_timeout = Duration::from_millis(300);
        s.watch_silence_timeout = None;
    };
    let mut ring = Ring::start(root.path(), tune).await;
    ring.write("a").await;
    let leader = ring.leader().await;
    ring.nodes[(leader + 1) % 3].raft.shutdown().await;
    let index = ring.write("b").await.index;
    let leader = ring.leader().await;
    let raft = &ring.nodes[leader].raft;
    raft.watch(GROUP, index, ReplicationLevel::MajorityCommitted).await.unwrap();
    match raft.watch(GROUP, index, ReplicationLevel::AllCommitted).await {
        Err(RaftError::NotReplicated { index: asked, commits, .. }) => {
            assert_eq!((asked, commits.len()), (index, 3));
        }
        other => panic!("{other:?}"),
    }
    ring.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_for_all_is_answered_early_once_a_member_is_known_to_be_silent() {
    let root = tempfile::tempdir().unwrap();
    let tune = |s: &mut RaftSettings| {
        s.watch_timeout = Duration::from_secs(3_600);
        s.watch_silence_timeout = Some(Duration::from_millis(50));
    };
    let mut ring = Ring::start(root.path(), tune).await;
    ring.write("a").await;
    let leader = ring.leader().await;
    ring.nodes[(leader + 1) % 3].raft.shutdown().await;
    let index = ring.write("b").await.index;
    let leader = ring.leader().await;
    let raft = &ring.nodes[leader].raft;
    match raft.watch(GROUP, index, ReplicationLevel::AllCommitted).await {
        Err(RaftError::NotReplicated { index: asked, commits, .. }) => {
            let have = commits.iter().filter(|info| info.commit_index >= index).count();
            assert_eq!((asked, have), (index, 2), "the client reads who has it from the reply");
        }
        other => panic!("{other:?}"),
    }
    ring.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_port_refuses_connections_is_replaced_at_once() {
    let root = tempfile::tempdir().unwrap();
    let tune = |s: &mut RaftSettings| {
        s.election_timeout_min = Duration::from_secs(3_600);
        s.election_timeout_max = Duration::from_secs(3_601);
    };
    let mut ring = Ring::start(root.path(), tune).await;
    ring.write("a").await;
    let leader = ring.leader().await;
    ring.nodes[leader].raft.shutdown().await;
    // Nobody waits for an hour.
    ring.write("b").await;
    ring.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_are_told_to_add_and_remove_a_group() {
    let root = tempfile::tempdir().unwrap();
    let ring = Ring::start(root.path(), |_| {}).await;
    let other = Uuid::from_u128(33);
    let peers = ring.peers();
    let first = &ring.nodes[0];
    first.raft.add_group(other, peers.clone()).await.unwrap();
    for peer in &peers[1..] {
        first.raft.tell_peer_to_add(peer, other, &peers).await.unwrap();
        let again = first.raft.tell_peer_to_add(peer, other, &peers).await;
        assert!(matches!(again, Err(RaftError::AlreadyExists(_))));
    }
    until("the new group has a leader", || ring.nodes.iter().any(|n| n.leads(other))).await;
    for peer in &peers[1..] {
        first.raft.tell_peer_to_remove(peer, other).await.unwrap();
        let again = first.raft.tell_peer_to_remove(peer, other).await;
        assert!(matches!(again, Err(RaftError::GroupMismatch(_))));
    }
    assert_eq!(ring.nodes[1].raft.groups(), [GROUP]);
    ring.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leadership_is_handed_to_the_member_of_highest_priority() {
    let root = tempfile::tempdir().unwrap();
    let mut ring = Ring::start(root.path(), |_| {}).await;
    ring.write("a").await;
    let leader = ring.leader().await;
    let next = (leader + 1) % 3;
    // As `ozone admin om transfer` does: raise the priority, then transfer.
    let mut peers = ring.peers();
    peers[next].priority = 1;
    let raft = ring.nodes[leader].raft.clone();
    raft.set_configuration(GROUP, peers, Vec::new()).await.unwrap();
    let to = multiraft::PeerId::from(NAMES[next]);
    // The leader may have yielded to the higher priority by itself.
    let done = raft.transfer_leadership(GROUP, Some(to), Duration::from_secs(10)).await;
    assert!(matches!(done, Ok(()) | Err(RaftError::NotLeader { .. })), "{done:?}");
    ring.nodes[next].lead(GROUP).await;
    ring.write("b").await;
    ring.agree(&["a".to_owned(), "b".to_owned()]).await;
    ring.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fourth_member_joins_and_an_old_one_leaves() {
    let root = tempfile::tempdir().unwrap();
    let mut ring = Ring::start(root.path(), |_| {}).await;
    let mut expected = messages("m", 0..50);
    for message in &expected {
        ring.write(message).await;
    }
    let fourth = Node::start("d", root.path(), |_| {}).await;
    let mut peers = ring.peers();
    peers.push(fourth.peer(0));
    fourth.raft.add_group(GROUP, peers.clone()).await.unwrap();
    let leader = ring.leader().await;
    ring.nodes[leader].raft.set_configuration(GROUP, peers.clone(), Vec::new()).await.unwrap();
    ring.write("four").await;
    expected.push("four".to_owned());
    until("the new member has everything", || fourth.applied(GROUP) == expected).await;
    // The old leader leaves; somebody among the others takes over.
    let leader = ring.leader().await;
    let gone = ring.nodes.remove(leader);
    peers.retain(|p| *p.id != *gone.name.as_bytes());
    gone.raft.set_configuration(GROUP, peers, Vec::new()).await.unwrap();
    gone.raft.shutdown().await;
    ring.nodes.push(fourth);
    ring.write("three").await;
    expected.push("three".to_owned());
    ring.agree(&expected).await;
    let at = ring.leader().await;
    assert_eq!(ring.nodes[at].raft.info(GROUP).unwrap().peers.len(), 3);
    ring.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_groups_share_connections_and_disks() {
    let root = tempfile::tempdir().unwrap();
    let tune = |s: &mut RaftSettings| {
        // As datanodes have it: hundreds of groups cannot beat ten times a second each.
        s.election_timeout_min = Duration::from_secs(5);
        s.election_timeout_max = Duration::from_millis(5_200);
    };
    let ring = Ring::start(root.path(), tune).await;
    let peers = ring.peers();
    let groups: Vec<_> = (1_000..1_205).map(Uuid::from_u128).collect();
    let adding = ring.nodes.iter().map(|node| {
        let (raft, groups, peers) = (node.raft.clone(), groups.clone(), peers.clone());
        tokio::spawn(async move {
            for group in groups {
                raft.add_group(group, peers.clone()).await.unwrap();
            }
        })
    });
    for added in adding.collect::<Vec<_>>() {
        added.await.unwrap();
    }
    let writes: Vec<_> = groups
        .iter()
        .map(|group| {
            let rafts: Vec<_> = ring.nodes.iter().map(|n| n.raft.clone()).collect();
            let group = *group;
            tokio::spawn(async move {
                for attempt in 0..6_000 {
                    let request = crate::node::request(1, "one");
                    let raft = &rafts[attempt % 3];
                    if raft.write(group, request).await.is_ok() {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                panic!("{group} took no write");
            })
        })
        .collect();
    for write in writes {
        write.await.unwrap();
    }
    for node in &ring.nodes {
        until("every group has it everywhere", || {
            groups.iter().all(|g| node.applied(*g) == ["one"])
        })
        .await;
    }
    ring.stop().await;
}
