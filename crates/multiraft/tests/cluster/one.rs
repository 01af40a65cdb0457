//! A group of one member.

use std::sync::Arc;
use std::time::Instant;

use multiraft::{MultiRaft, RaftError};
use ratis_proto::common::ReplicationLevel;
use uuid::Uuid;

use crate::node::{Node, request, until};

const GROUP: Uuid = Uuid::from_u128(1);

async fn single(root: &std::path::Path) -> Node {
    let node = Node::start("one", root, |_| {}).await;
    node.raft.add_group(GROUP, vec![node.peer(0)]).await.unwrap();
    node.lead(GROUP).await;
    node
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_is_applied_and_answered() {
    let root = tempfile::tempdir().unwrap();
    let node = single(root.path()).await;
    let reply = node.write(GROUP, 1, "a").await.unwrap();
    assert_eq!(&reply.message[..], b"a!");
    let watched = node.raft.watch(GROUP, reply.index, ReplicationLevel::AllCommitted).await;
    assert!(watched.unwrap().index >= reply.index);
    assert!(node.raft.read_barrier(GROUP).await.unwrap() >= reply.index);
    let seen = node.machines.seen(GROUP);
    assert_eq!(seen.lock().contexts, 1);
    let info = node.raft.info(GROUP).unwrap();
    assert_eq!(info.applied, Some(reply.index));
    assert_eq!(info.peers.len(), 1);
    node.raft.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_is_applied_once() {
    let root = tempfile::tempdir().unwrap();
    let mut node = single(root.path()).await;
    let (first, second) = tokio::join!(node.write(GROUP, 1, "once"), node.write(GROUP, 1, "once"));
    assert_eq!(first.unwrap().index, second.unwrap().index);
    let again = node.write(GROUP, 1, "once").await.unwrap();
    assert_eq!(&again.message[..], b"once!");
    assert_eq!(node.applied(GROUP), ["once"]);
    // Also by a member that only replayed it.
    node.restart().await;
    node.lead(GROUP).await;
    node.write(GROUP, 2, "more").await.unwrap();
    assert_eq!(node.applied(GROUP), ["once", "more"]);
    node.raft.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_reach_the_client_and_leave_no_entry() {
    let root = tempfile::tempdir().unwrap();
    let node = single(root.path()).await;
    let refused = node.write(GROUP, 1, "refuse").await;
    assert!(matches!(refused, Err(RaftError::StateMachine(e)) if e.message.contains("before")));
    let failed = node.write(GROUP, 2, "fail").await;
    assert!(matches!(failed, Err(RaftError::StateMachine(e)) if e.message.contains("applied")));
    assert_eq!(&node.write(GROUP, 1, "now").await.unwrap().message[..], b"now!");
    let nowhere = node.raft.write(Uuid::nil(), request(1, "x")).await;
    assert!(matches!(nowhere, Err(RaftError::GroupMismatch(_))));
    node.raft.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_replays_what_the_state_machine_has_not_made_durable() {
    let root = tempfile::tempdir().unwrap();
    let mut node = single(root.path()).await;
    for call in 0..50 {
        node.write(GROUP, call, &format!("m{call}")).await.unwrap();
    }
    let at = node.raft.snapshot(GROUP).await.unwrap().unwrap();
    for call in 50..100 {
        node.write(GROUP, call, &format!("bulk{call}")).await.unwrap();
    }
    let before = node.applied(GROUP);
    assert_eq!(before.len(), 100);
    // As after a crash: the state machine forgets what came after the snapshot.
    let snapshot = node.raft.info(GROUP).unwrap().directory.join("sm/snapshot");
    let stored = std::fs::read(&snapshot).unwrap();
    node.raft.shutdown().await;
    std::fs::write(&snapshot, stored).unwrap();
    // Replay asks for the bulk bytes, which a datanode has on disk.
    node.start_again().await;
    let seen = node.machines.seen(GROUP);
    seen.lock().bulk.extend((0..300).map(|i| (i, bytes::Bytes::new())));
    until("all is applied again", || node.applied(GROUP) == before).await;
    assert!(seen.lock().last.unwrap().index > at.index);
    node.lead(GROUP).await;
    node.write(GROUP, 1000, "after").await.unwrap();
    node.raft.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_come_and_go_while_others_work() {
    let root = tempfile::tempdir().unwrap();
    let node = single(root.path()).await;
    let exists = node.raft.add_group(GROUP, vec![node.peer(0)]).await;
    assert!(matches!(exists, Err(RaftError::AlreadyExists(_))));
    for number in 10_u64..20 {
        let id = Uuid::from_u128(number.into());
        node.raft.add_group(id, vec![node.peer(0)]).await.unwrap();
        node.lead(id).await;
        let reply = node.write(id, 1, "hello").await.unwrap();
        node.write(GROUP, number, "also here").await.unwrap();
        let directory = node.raft.info(id).unwrap().directory;
        assert_eq!(&reply.message[..], b"hello!");
        node.raft.remove_group(id).await.unwrap();
        assert!(!directory.exists());
        assert!(matches!(node.write(id, 2, "x").await, Err(RaftError::GroupMismatch(_))));
    }
    assert_eq!(node.machines.removed.lock().len(), 10);
    assert_eq!(node.raft.groups(), [GROUP]);
    node.raft.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_purged_behind_snapshots_and_still_opens() {
    let root = tempfile::tempdir().unwrap();
    let mut node = Node::start("one", root.path(), |s| {
        s.segment_bytes_max = 2_000;
        s.snapshot_after_entries = Some(50);
        s.purge_gap = Some(10);
    })
    .await;
    node.raft.add_group(GROUP, vec![node.peer(0)]).await.unwrap();
    node.lead(GROUP).await;
    for call in 0..300 {
        node.write(GROUP, call, &format!("message {call}")).await.unwrap();
    }
    let current = node.raft.info(GROUP).unwrap().directory.join("current");
    let first_gone = current.join("log_0-0");
    until("old segments are gone", || {
        let names = std::fs::read_dir(&current).unwrap();
        let starts_at_0 = |n: &str| n.starts_with("log_0-");
        !names.map(|n| n.unwrap().file_name().into_string().unwrap()).any(|n| starts_at_0(&n))
    })
    .await;
    assert!(!first_gone.exists());
    node.restart().await;
    node.lead(GROUP).await;
    node.write(GROUP, 1000, "after").await.unwrap();
    assert_eq!(node.applied(GROUP).len(), 301);
    node.raft.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_tail_of_the_log_is_cut_and_the_group_goes_on() {
    use std::io::Write;
    let root = tempfile::tempdir().unwrap();
    let mut node = single(root.path()).await;
    node.write(GROUP, 1, "kept").await.unwrap();
    let current = node.raft.info(GROUP).unwrap().directory.join("current");
    node.raft.shutdown().await;
    let segment = current.join("log_inprogress_0");
    let mut file = std::fs::OpenOptions::new().append(true).open(segment).unwrap();
    file.write_all(&[0x50, 0x08, 0x01, 0x10]).unwrap();
    node.start_again().await;
    node.lead(GROUP).await;
    node.write(GROUP, 2, "more").await.unwrap();
    assert_eq!(node.applied(GROUP), ["kept", "more"]);
    node.raft.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_pending_writes_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let node = Node::start("one", root.path(), |s| s.pending_requests_max = 4).await;
    node.raft.add_group(GROUP, vec![node.peer(0)]).await.unwrap();
    node.lead(GROUP).await;
    let seen = node.machines.seen(GROUP);
    // Nothing can be applied while this is held.
    let held = seen.lock();
    let raft: MultiRaft = node.raft.clone();
    let writes: Vec<_> = (0..8)
        .map(|call| {
            let raft = raft.clone();
            tokio::spawn(async move { raft.write(GROUP, request(call, "x")).await })
        })
        .collect();
    let start = Instant::now();
    while writes.iter().filter(|w| w.is_finished()).count() < 4 {
        assert!(start.elapsed().as_secs() < 20);
        std::thread::yield_now();
    }
    drop(held);
    let mut refused = 0;
    for write in writes {
        refused +=
            usize::from(matches!(write.await.unwrap(), Err(RaftError::ResourceUnavailable(_))));
    }
    assert_eq!(refused, 4);
    node.raft.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_cannot_go_on_says_so_and_leaves_the_others_alone() {
    let root = tempfile::tempdir().unwrap();
    let node = Node::start("one", root.path(), |s| s.segment_bytes_max = 300).await;
    node.raft.add_group(GROUP, vec![node.peer(0)]).await.unwrap();
    for (number, kind) in (10..).zip(["disk", "bulk", "panic"]) {
        let id = Uuid::from_u128(number);
        node.raft.add_group(id, vec![node.peer(0)]).await.unwrap();
        node.lead(id).await;
        node.write(id, 1, "fine").await.unwrap();
        let mut directory = None;
        let failed = match kind {
            "disk" => {
                let current = node.raft.info(id).unwrap().directory.join("current");
                std::fs::rename(&current, root.path().join("elsewhere")).unwrap();
                directory = Some(current);
                let mut failed = None;
                for call in 2..10 {
                    failed = node.write(id, call, "long enough to need a new segment").await.err();
                    if failed.is_some() {
                        break;
                    }
                }
                failed
            }
            "bulk" => node.write(id, 2, "big-broken").await.err(),
            _ => node.write(id, 2, "panic").await.err(),
        };
        assert!(matches!(failed, Some(RaftError::Log { .. })), "{kind}: {failed:?}");
        let again = node.write(id, 99, "more").await;
        assert!(again.is_err(), "{kind}");
        let seen = node.machines.seen(id);
        until("the machine knows", || seen.lock().failures.len() == 1).await;
        node.lead(GROUP).await;
        node.write(GROUP, number as u64, "fine").await.unwrap();
        if let Some(current) = directory {
            std::fs::rename(root.path().join("elsewhere"), current).unwrap();
        }
        node.raft.remove_group(id).await.unwrap();
    }
    node.raft.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_a_java_datanode_is_taken_over() {
    let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/ratis");
    for name in ["datanode", "scm"] {
        let golden = golden.join(name);
        let meta = std::fs::read_to_string(golden.join("raft-meta")).unwrap();
        let java = meta.lines().find_map(|l| l.strip_prefix("votedFor=")).unwrap();
        let root = tempfile::tempdir().unwrap();
        let current = root.path().join(java).join(GROUP.to_string()).join("current");
        std::fs::create_dir_all(&current).unwrap();
        for file in std::fs::read_dir(&golden).unwrap().map(Result::unwrap) {
            if file.file_type().unwrap().is_file() {
                std::fs::copy(file.path(), current.join(file.file_name())).unwrap();
            }
        }
        let mut node = Node::start(java, root.path(), |_| {}).await;
        node.lead(GROUP).await;
        let before = node.applied(GROUP).len();
        assert!(before > 0, "{name}: nothing was replayed");
        node.write(GROUP, 1, "ours").await.unwrap();
        node.restart().await;
        node.lead(GROUP).await;
        until("all is there", || node.applied(GROUP).len() == before + 1).await;
        node.raft.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_is_in_the_log_only_with_its_bulk_bytes() {
    let root = tempfile::tempdir().unwrap();
    let node = single(root.path()).await;
    let other = Uuid::from_u128(2);
    node.raft.add_group(other, vec![node.peer(0)]).await.unwrap();
    node.lead(other).await;
    let segment = node.raft.info(GROUP).unwrap().directory.join("current/log_inprogress_0");
    let holds = |text: &[u8]| {
        let bytes = std::fs::read(&segment).unwrap();
        bytes.windows(text.len()).any(|w| w == text)
    };
    let write = |call, message: &'static str| {
        let raft = node.raft.clone();
        tokio::spawn(async move { raft.write(GROUP, request(call, message)).await })
    };
    let gated = write(1, "big-gate");
    until("the bulk bytes wait", || node.machines.seen(GROUP).lock().gated).await;
    let behind = write(2, "behind");
    // The disk works meanwhile, so had the entry been handed over it would be there.
    for call in 0..10 {
        node.write(other, call, "elsewhere").await.unwrap();
    }
    assert!(!holds(b"big-gate") && !gated.is_finished() && !behind.is_finished());
    node.machines.seen(GROUP).lock().gate.notify_one();
    gated.await.unwrap().unwrap();
    behind.await.unwrap().unwrap();
    assert!(holds(b"big-gate") && holds(b"behind"));
    node.raft.shutdown().await;
}

/// How many small writes a second a group of one takes; run it with `--release -- --ignored`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn measure_small_writes() {
    const WRITERS: u64 = 256;
    const WRITES: u64 = 400;
    let root = tempfile::tempdir_in("/var/tmp").unwrap();
    let node = Arc::new(single(root.path()).await);
    let start = Instant::now();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let raft = node.raft.clone();
            tokio::spawn(async move {
                for write in 0..WRITES {
                    let message = "x".repeat(200);
                    raft.write(GROUP, request(writer * WRITES + write, &message)).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{:.0} writes/s", (WRITERS * WRITES) as f64 / seconds);
    node.raft.shutdown().await;
}
