//! The same questions to a genuine Ozone Manager and to ours, compared field by field.
//!
//! `golden/om/answers/<set>.txt` holds the genuine answers, with ids and times masked; the test asks
//! an Ozone Manager of ours in this process. What differs on purpose is in `golden/om/answers/explained.tsv`.
//! `side_by_side` asks two running servers instead, see `tests/interop/side-by-side`, which also makes the golden files anew.

#![allow(clippy::large_futures, reason = "a script of questions is one long future, run once")]

mod asker;
mod keys;
mod random;
mod requests;
mod rights;
#[path = "../scm/mod.rs"]
#[expect(dead_code, reason = "other tests look at what it was told")]
mod scm;
mod server;
mod spaces;
mod transcript;
mod upgrade;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

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
    /// Default settings: before and after a change of version.
    Upgrade,
}

impl Set {
    fn named(name: &str) -> Self {
        match name {
            "plain" => Self::Plain,
            "strict" => Self::Strict,
            "upgrade" => Self::Upgrade,
            other => panic!("no set of questions is called {other}"),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Strict => "strict",
            Self::Upgrade => "upgrade",
        }
    }

    /// What it is configured with, see `settings.tsv`; `tests/interop/side-by-side` reads that, too.
    fn settings(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        rows(include_str!("settings.tsv")).filter_map(move |row| {
            let [set, key, value] = row;
            (set == "both" || set == self.name()).then_some((key, value))
        })
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
            Self::Upgrade => upgrade::all(t).await,
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
        let answers = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../golden/om/answers");
        answers.join(format!("{}.txt", self.name()))
    }
}

/// An Ozone Manager of ours in this process, with a stand-in for SCM.
struct Own {
    om: Om,
    _scm: FakeScm,
    _directory: tempfile::TempDir,
}

impl Own {
    async fn start(set: Set) -> Self {
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
        for (key, value) in set.settings() {
            conf.set(key, value);
        }
        om::init(&conf).await.unwrap();
        Self { om: Om::start(&conf).await.unwrap(), _scm: scm, _directory: directory }
    }
}

async fn ours(set: Set) -> String {
    let own = Own::start(set).await;
    let mut transcript = Transcript::new(own.om.rpc_address());
    set.ask(&mut transcript).await;
    own.om.shutdown().await.unwrap();
    transcript.text()
}

/// The rows of a file of three columns, without comments.
fn rows(text: &str) -> impl Iterator<Item = [&str; 3]> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let mut parts = line.splitn(3, '\t');
        Some([parts.next()?, parts.next()?, parts.next()?])
    })
}

/// How two servers answered the same questions.
#[derive(Default)]
struct Comparison {
    equal: usize,
    /// Explained differences: question and reason.
    known: Vec<(String, String)>,
    /// The others, with both answers.
    differences: Vec<String>,
}

impl Comparison {
    /// `explained.tsv` has reasons by set and name of the question.
    fn of(set: Set, genuine: &str, ours: &str) -> Self {
        let genuine: BTreeMap<String, String> = parse(genuine).into_iter().collect();
        let reasons =
            std::fs::read_to_string(set.golden().with_file_name("explained.tsv")).unwrap();
        let mut result = Self::default();
        for (name, answer) in parse(ours) {
            let Some(expected) = genuine.get(&name) else {
                let missing = format!("== {set:?} {name}: a genuine server was not asked that\n");
                result.differences.push(missing);
                continue;
            };
            let reason = rows(&reasons).find(|[of, known, _]| *of == set.name() && *known == name);
            match reason {
                _ if *expected == answer => result.equal += 1,
                Some([_, _, reason]) => result.known.push((name, reason.to_owned())),
                None => result
                    .differences
                    .push(format!("== {set:?} {name}\n--- genuine\n{expected}--- ours\n{answer}")),
            }
        }
        result
    }

    /// Prints all of it.
    ///
    /// # Panics
    /// There are differences that nobody explained.
    fn check(self, set: Set) {
        for difference in &self.differences {
            println!("{difference}");
        }
        println!(
            "{set:?}: {} equal answers, {} explained differences, {} others",
            self.equal,
            self.known.len(),
            self.differences.len()
        );
        assert!(self.differences.is_empty(), "{} answers differ", self.differences.len());
    }

    /// A Markdown table: reasons, how many answers each explains, and the first of them.
    fn table(&self, set: Set) {
        let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, reason) in &self.known {
            by_reason.entry(reason).or_default().push(name);
        }
        println!("| {} | answers | for example |\n|---|---|---|", set.name());
        for (reason, names) in by_reason {
            println!("| {reason} | {} | {} |", names.len(), names[0].replace('|', "·"));
        }
    }
}

async fn check(set: Set) {
    let genuine = std::fs::read_to_string(set.golden()).unwrap();
    let comparison = Comparison::of(set, &genuine, &ours(set).await);
    let reasons = std::fs::read_to_string(set.golden().with_file_name("explained.tsv")).unwrap();
    let idle: Vec<&str> = rows(&reasons)
        .filter(|[of, name, _]| {
            *of == set.name() && comparison.known.iter().all(|(known, _)| known != name)
        })
        .map(|[_, name, _]| name)
        .collect();
    comparison.check(set);
    assert!(idle.is_empty(), "explained.tsv explains answers that are equal: {idle:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_those_of_a_genuine_server() {
    check(Set::Plain).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_with_rights_leases_and_folders_are_those_of_a_genuine_server() {
    check(Set::Strict).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_around_a_change_of_version_are_those_of_a_genuine_server() {
    check(Set::Upgrade).await;
}

/// Two servers of ours are not told apart, whatever each has flushed by then. Keeps the drawn requests in working order, too.
async fn random_requests_to_ours(set: Set) {
    let (one, other) = (Own::start(set).await, Own::start(set).await);
    let settings = random::Settings::read();
    random::campaign(set, one.om.rpc_address(), other.om.rpc_address(), settings).await;
    one.om.shutdown().await.unwrap();
    other.om.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_requests_have_the_same_answers_from_two_servers_of_ours() {
    random_requests_to_ours(Set::Plain).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_requests_with_rights_have_the_same_answers_from_two_servers_of_ours() {
    random_requests_to_ours(Set::Strict).await;
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("set {name}"))
}

/// `OM_ANSWERS_SET=plain|strict|upgrade OM_ANSWERS_GENUINE=HOST:PORT`, and see [`random::Settings`]. Without
/// `OM_ANSWERS_OURS=HOST:PORT` ours runs in this process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "asks two running servers, see tests/interop/side-by-side"]
async fn side_by_side_at_random() {
    let set = Set::named(&variable("OM_ANSWERS_SET"));
    let genuine = variable("OM_ANSWERS_GENUINE").parse().expect("an address");
    let settings = random::Settings::read();
    match std::env::var("OM_ANSWERS_OURS") {
        Ok(ours) => {
            random::campaign(set, genuine, ours.parse().expect("an address"), settings).await
        }
        Err(_) => {
            let own = Own::start(set).await;
            random::campaign(set, genuine, own.om.rpc_address(), settings).await;
        }
    }
}

/// Asks a server that runs all questions of a set, and writes its answers into a file.
async fn record_at(set: Set, address: &str, file: &Path) -> String {
    let mut transcript = Transcript::new(variable(address).parse().expect("an address"));
    set.ask(&mut transcript).await;
    std::fs::write(file, transcript.text()).unwrap();
    transcript.text()
}

/// `OM_ANSWERS_SET=plain|strict|upgrade OM_ANSWERS_GENUINE=HOST:PORT OM_ANSWERS_OURS=HOST:PORT OM_ANSWERS_TO=DIRECTORY`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "asks two running servers, see tests/interop/side-by-side"]
async fn side_by_side() {
    let set = Set::named(&variable("OM_ANSWERS_SET"));
    let to = PathBuf::from(variable("OM_ANSWERS_TO"));
    let file = |whose: &str| to.join(format!("{}-{whose}.txt", set.name()));
    let genuine = record_at(set, "OM_ANSWERS_GENUINE", &file("genuine")).await;
    let ours = record_at(set, "OM_ANSWERS_OURS", &file("ours")).await;
    let comparison = Comparison::of(set, &genuine, &ours);
    comparison.table(set);
    comparison.check(set);
}
