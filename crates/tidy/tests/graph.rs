//! The graph of crates is the one that `ARCHITECTURE.md` draws. A new edge is a change of
//! architecture: it needs a line there and one here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// What each crate may use of our own crates.
const ALLOWED: &[(&str, &[&str])] = &[
    ("proto-build", &[]),
    ("tidy", &[]),
    ("benches", &[]),
    ("torture", &["ozone-client", "hdds-client", "om-proto", "ozone-config"]),
    // frame
    ("ozone-config", &[]),
    ("ozone-daemon", &["ozone-config", "ozone-metrics"]),
    ("ozone-metrics", &[]),
    ("ozone-http", &["ozone-config", "ozone-daemon", "ozone-metrics"]),
    ("chunk-checksum", &["hdds-proto"]),
    ("bulk-buffers", &[]),
    // engines
    ("ozone-db", &[]),
    ("ozone-db-rocks", &["ozone-db"]),
    ("hadoop-kms", &["ozone-config"]),
    ("hadoop-rpc", &["proto-build", "ozone-config", "ozone-metrics"]),
    ("ratis-proto", &["proto-build"]),
    ("ratis-core", &["ratis-proto"]),
    ("ratis-log", &["ratis-proto", "ozone-metrics"]),
    ("ratis", &["ratis-proto", "bulk-buffers"]),
    ("multiraft", &["ratis-proto", "ratis-core", "ratis-log", "ratis", "ozone-metrics"]),
    // block layer
    ("hdds-types", &[]),
    ("hdds-proto", &["hdds-types", "proto-build"]),
    ("scm-core", &["hdds-proto", "hdds-types", "ozone-db"]),
    (
        "scm",
        &[
            "scm-core",
            "hdds-proto",
            "hdds-types",
            "hdds-client",
            "hadoop-rpc",
            "multiraft",
            "ratis-proto",
            "ozone-db",
            "ozone-db-rocks",
            "ozone-config",
            "ozone-daemon",
            "ozone-http",
            "ozone-metrics",
        ],
    ),
    (
        "hdds-client",
        &[
            "hdds-proto",
            "hdds-types",
            "hadoop-rpc",
            "ratis",
            "ratis-proto",
            "chunk-checksum",
            "ozone-config",
        ],
    ),
    (
        "container-store",
        &[
            "bulk-buffers",
            "hdds-proto",
            "hdds-types",
            "chunk-checksum",
            "ozone-config",
            "ozone-daemon",
            "ozone-metrics",
            "ozone-db",
            "ozone-db-rocks",
        ],
    ),
    (
        "datanode",
        &[
            "container-store",
            "hdds-client",
            "hdds-proto",
            "hdds-types",
            "chunk-checksum",
            "hadoop-rpc",
            "multiraft",
            "ozone-db",
            "ozone-db-rocks",
            "ratis",
            "ratis-proto",
            "ozone-config",
            "ozone-daemon",
            "ozone-http",
            "ozone-metrics",
        ],
    ),
    // namespace
    ("om-proto", &["hdds-proto", "proto-build"]),
    ("om-core", &["om-proto", "hdds-proto", "hdds-types", "ozone-db"]),
    (
        "om",
        &[
            "om-core",
            "om-proto",
            "hdds-client",
            "hdds-proto",
            "hdds-types",
            "hadoop-kms",
            "hadoop-rpc",
            "multiraft",
            "ratis-proto",
            "ozone-db",
            "ozone-db-rocks",
            "ozone-config",
            "ozone-daemon",
            "ozone-http",
            "ozone-metrics",
        ],
    ),
    (
        "ozone-client",
        &[
            "om-proto",
            "hdds-client",
            "hdds-proto",
            "hdds-types",
            "hadoop-kms",
            "hadoop-rpc",
            "chunk-checksum",
            "ozone-config",
        ],
    ),
    (
        "freon",
        &[
            "ozone-client",
            "om-proto",
            "hdds-client",
            "hdds-proto",
            "hdds-types",
            "chunk-checksum",
            "ozone-config",
        ],
    ),
    // build and test only
    (
        "fuzz-targets",
        &[
            "hadoop-rpc",
            "hdds-proto",
            "hdds-types",
            "om-core",
            "om-proto",
            "scm-core",
            "container-store",
            "datanode",
            "ratis-core",
            "ratis-log",
            "ratis-proto",
            "ozone-db",
            "ozone-config",
            "ozone-daemon",
        ],
    ),
    // binary
    (
        "ozone",
        &[
            "freon",
            "om",
            "scm",
            "datanode",
            "ozone-client",
            "hdds-client",
            "om-proto",
            "hdds-proto",
            "hdds-types",
            "chunk-checksum",
            "ozone-config",
            "ozone-daemon",
        ],
    ),
];

/// Crates without clocks, sockets, files or threads, and what they must therefore not reach.
const PURE: &[&str] = &["hdds-types", "ratis-core", "scm-core", "om-core"];
const IMPURE: &[&str] = &["tokio", "rust-rocksdb", "ozone-daemon", "rand", "chrono"];

/// The crates of this workspace with what they name in their manifests.
fn metadata() -> Value {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml");
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--manifest-path"])
        .arg(manifest)
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo prints JSON")
}

fn dependencies_of_ours(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let members: BTreeSet<&str> = metadata["workspace_members"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .filter(|package| members.contains(package["id"].as_str().unwrap()))
        .map(|package| {
            let dependencies = package["dependencies"].as_array().unwrap();
            let names = dependencies
                .iter()
                .filter(|dependency| dependency["kind"] != "dev")
                .map(|dependency| dependency["name"].as_str().unwrap().to_owned());
            (package["name"].as_str().unwrap().to_owned(), names.collect())
        })
        .collect()
}

#[test]
fn crates_depend_only_on_what_the_architecture_allows() {
    let ours = dependencies_of_ours(&metadata());
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    let mut wrong = Vec::new();
    for (name, dependencies) in &ours {
        let Some(allowed) = allowed.get(name.as_str()) else {
            wrong.push(format!("{name} is not in the list"));
            continue;
        };
        for dependency in dependencies.iter().filter(|d| ours.contains_key(*d)) {
            if !allowed.contains(&dependency.as_str()) {
                wrong.push(format!("{name} must not use {dependency}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn pure_crates_use_no_clock_no_socket_and_no_database() {
    let ours = dependencies_of_ours(&metadata());
    for pure in PURE {
        for impure in IMPURE {
            assert!(!ours[*pure].contains(*impure), "{pure} uses {impure}");
        }
    }
}
