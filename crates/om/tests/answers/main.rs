//! The same questions to a genuine Ozone Manager and to ours, compared field by field.
//!
//! `golden/om/answers/<set>.txt` holds the genuine answers, with ids and times masked; the test asks
//! an Ozone Manager of ours in this process. What differs on purpose is in `golden/om/answers/explained.tsv`.
//! `record` asks any running server instead and writes its answers down, see `golden/README.md`.

#![allow(clippy::large_futures, reason = "a script of questions is one long future, run once")]

mod keys;
mod requests;
mod rights;
#[path = "../scm/mod.rs"]
#[expect(dead_code, reason = "other tests look at what it was told")]
mod scm;
mod server;
mod spaces;
mod transcript;

use std::collections::BTreeMap;
use std::path::PathBuf;

use om::Om;
use om_proto::BucketLayoutProto::{FileSystemOptimized, Legacy, ObjectStore};
use ozone_config::Configuration;

use requests::{create_volume, volume};
use scm::FakeScm;
use transcript::{Transcript, parse};

/// A server set up in one way, and what it is asked.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Set {
    /// Default settings.
    Plain,
    /// ACLs enforced, hsync, and LEGACY with folders.
    Strict,
}

impl Set {
    /// Settings beyond the common ones.
    fn settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Plain => &[],
            Self::Strict => &[
                ("ozone.acl.enabled", "true"),
                ("ozone.test.authorization.enabled", "true"),
                (
                    "ozone.acl.authorizer.class",
                    "org.apache.hadoop.ozone.security.acl.OzoneNativeAuthorizer",
                ),
                ("ozone.administrators", "root"),
                ("ozone.fs.hsync.enabled", "true"),
                ("ozone.hbase.enhancements.allowed", "true"),
                ("ozone.om.enable.filesystem.paths", "true"),
            ],
        }
    }

    async fn ask(self, t: &mut Transcript) {
        match self {
            Self::Plain => {
                spaces::volumes(t).await;
                spaces::buckets(t).await;
                t.area("keys");
                for (name, layout) in
                    [("vobs", ObjectStore), ("vlegacy", Legacy), ("vfso", FileSystemOptimized)]
                {
                    t.must(name, create_volume(volume(name))).await;
                    keys::all(t, name, layout).await;
                }
                rights::edits(t).await;
                server::all(t).await;
                t.area("old clients");
                t.must("volume", create_volume(volume("vold"))).await;
                server::old_clients(t, "vold").await;
            }
            Self::Strict => {
                t.area("keys");
                t.must("volume", create_volume(volume("vlegacy"))).await;
                keys::all(t, "vlegacy", Legacy).await;
                rights::enforced(t).await;
                t.area("leases");
                for (name, layout) in [("hobs", ObjectStore), ("hfso", FileSystemOptimized)] {
                    t.must(name, create_volume(volume(name))).await;
                    server::leases(t, name, layout).await;
                }
            }
        }
    }

    fn golden(self) -> PathBuf {
        let name = format!("{self:?}.txt").to_lowercase();
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../golden/om/answers").join(name)
    }
}

async fn ours(set: Set) -> String {
    let directory = tempfile::tempdir().unwrap();
    let scm = FakeScm::start().await;
    let mut conf = Configuration::default();
    conf.set("ozone.metadata.dirs", directory.path().display().to_string());
    conf.set("ozone.om.address", "127.0.0.1:0");
    conf.set("ozone.om.ratis.port", "0");
    conf.set("ozone.om.http-address", "127.0.0.1:0");
    conf.set("ozone.scm.names", "127.0.0.1");
    conf.set("ozone.scm.block.client.address", scm.block_address().to_string());
    conf.set("ozone.scm.client.address", scm.client_address().to_string());
    for (key, value) in COMMON.iter().chain(set.settings()) {
        conf.set(*key, *value);
    }
    om::init(&conf).await.unwrap();
    let om = Om::start(&conf).await.unwrap();
    let mut transcript = Transcript::new(om.rpc_address());
    set.ask(&mut transcript).await;
    om.shutdown().await.unwrap();
    transcript.text()
}

/// Settings of every recording: nothing is cleaned up while questions are asked.
const COMMON: [(&str, &str); 3] = [
    ("ozone.server.default.replication", "ONE"),
    ("ozone.block.deleting.service.interval", "1h"),
    ("ozone.directory.deleting.service.interval", "1h"),
];

/// Reasons by set and name of the question; a name that ends in `*` stands for all that begin so.
fn explained() -> Vec<(String, String, String)> {
    let path = Set::Plain.golden().with_file_name("explained.tsv");
    std::fs::read_to_string(path)
        .unwrap()
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .filter_map(|line| {
            let mut parts = line.splitn(3, '\t').map(str::to_owned);
            Some((parts.next()?, parts.next()?, parts.next()?))
        })
        .collect()
}

fn compare(set: Set, genuine: &str, ours: &str) -> Vec<String> {
    let genuine: BTreeMap<String, String> = parse(genuine).into_iter().collect();
    let reasons = explained();
    let (mut equal, mut known, mut differences) = (0, 0, Vec::new());
    for (name, answer) in parse(ours) {
        let Some(expected) = genuine.get(&name) else {
            differences.push(format!("{set:?} {name}: the genuine answer was not recorded"));
            continue;
        };
        if *expected == answer {
            equal += 1;
            continue;
        }
        let is_explained = reasons.iter().any(|(of, pattern, _)| {
            *of == format!("{set:?}").to_lowercase()
                && pattern
                    .strip_suffix('*')
                    .map_or(*pattern == name, |front| name.starts_with(front))
        });
        if is_explained {
            known += 1;
        } else {
            differences
                .push(format!("== {set:?} {name}\n--- genuine\n{expected}--- ours\n{answer}"));
        }
    }
    println!(
        "{set:?}: {equal} equal answers, {known} explained differences, {} others",
        differences.len()
    );
    differences
}

async fn check(set: Set) {
    let golden = set.golden();
    let genuine = std::fs::read_to_string(&golden).unwrap();
    let differences = compare(set, &genuine, &ours(set).await);
    for difference in &differences {
        println!("{difference}");
    }
    assert!(differences.is_empty(), "{} answers differ", differences.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_those_of_a_genuine_server() {
    check(Set::Plain).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_with_rights_leases_and_folders_are_those_of_a_genuine_server() {
    check(Set::Strict).await;
}

/// `OM_ANSWERS_SET=plain|strict OM_ANSWERS_ADDRESS=HOST:PORT OM_ANSWERS_TO=FILE`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "asks a running server"]
async fn record() {
    let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("set {name}"));
    let set = if variable("OM_ANSWERS_SET") == "strict" { Set::Strict } else { Set::Plain };
    let address = variable("OM_ANSWERS_ADDRESS").parse().expect("an address");
    let mut transcript = Transcript::new(address);
    set.ask(&mut transcript).await;
    std::fs::write(variable("OM_ANSWERS_TO"), transcript.text()).unwrap();
}
