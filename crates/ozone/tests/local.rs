//! `ozone local run`, the way the README starts it.

#![cfg(feature = "daemons")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// The cluster under test; a test that fails leaves none behind.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_new_cluster_stores_an_object_reads_it_and_ends_without_a_trace_when_asked() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("cluster");
    let child = Command::new(env!("CARGO_BIN_EXE_ozone"))
        .args([
            "local",
            "run",
            "--try",
            "--ephemeral",
            "--scm-port",
            "0",
            "--om-port",
            "0",
            "--data-dir",
        ])
        .arg(&data)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut cluster = Running(child);
    let mut lines = BufReader::new(cluster.0.stdout.take().unwrap()).lines();
    let stored = lines.find(|line| line.as_ref().unwrap().starts_with("Stored "));
    assert!(stored.is_some(), "the cluster ended before it stored an object");
    let asked = Command::new("kill").arg(cluster.0.id().to_string()).status().unwrap();
    assert!(asked.success());
    assert!(cluster.0.wait().unwrap().success());
    assert!(!data.exists(), "an ephemeral cluster leaves its directory behind");
}
