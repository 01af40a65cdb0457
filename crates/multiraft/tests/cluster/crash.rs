//! A process that is killed loses nothing that it acknowledged.

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use uuid::Uuid;

use crate::node::Node;

const GROUP: Uuid = Uuid::from_u128(77);
const DIRECTORY: &str = "MULTIRAFT_CRASH_DIRECTORY";
const FIRST: &str = "MULTIRAFT_CRASH_FIRST";
const ROUNDS: u64 = 4;
/// Acknowledged writes after which a round ends with a kill.
const ACKNOWLEDGED: usize = 200;
/// Calls of a round.
const CALLS: u64 = 1_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_being_killed() {
    let root = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::write_until_killed", "--ignored", "--nocapture"])
            .env(DIRECTORY, root.path())
            .env(FIRST, (round * CALLS).to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut count = 0;
        for line in lines.map_while(Result::ok) {
            let Some((_, call)) = line.split_once("acknowledged ") else { continue };
            acknowledged.push(call.to_owned());
            count += 1;
            if count == ACKNOWLEDGED {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(count >= ACKNOWLEDGED, "round {round} ended early, after {count}");
    }
    let node = Node::start("one", root.path(), |_| {}).await;
    node.lead(GROUP).await;
    node.raft.read_barrier(GROUP).await.unwrap();
    let applied = node.applied(GROUP);
    let distinct: HashSet<_> = applied.iter().cloned().collect();
    assert_eq!(distinct.len(), applied.len(), "something was applied twice");
    for call in &acknowledged {
        assert!(distinct.contains(call), "{call} is lost");
    }
    node.raft.shutdown().await;
}

/// The process that is killed. Run by the test above only.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs in a child process"]
async fn write_until_killed() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let first: u64 = std::env::var(FIRST).unwrap().parse().unwrap();
    let node = Node::start("one", Path::new(&directory), |s| s.segment_bytes_max = 8_000).await;
    // It exists from the second round on.
    let _ = node.raft.add_group(GROUP, vec![node.peer(0)]).await;
    node.lead(GROUP).await;
    let writers = (0..8_u64).map(|writer| {
        let raft = node.raft.clone();
        tokio::spawn(async move {
            for call in (first + writer..).step_by(8) {
                let request = crate::node::request(call, &call.to_string());
                raft.write(GROUP, request).await.unwrap();
                println!("acknowledged {call}");
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
}
