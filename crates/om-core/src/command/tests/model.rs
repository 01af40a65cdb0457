//! Random requests against the namespace and a model of it that knows neither rows nor tables:
//! every kind of bucket, links, several writers at once, uploads, quotas, batches, services, crashes
//! and restarts between; every listing and account compared after each step.
//!
//! `OM_MODEL_SEED` draws other runs (a failing one prints its seed), `OM_MODEL_STEPS` makes them longer;
//! with `OM_MODEL_SECONDS`, runs of further seeds follow until the time is up.

use std::time::{Duration, Instant};

use super::*;

mod expected;
mod steps;
mod subject;

use expected::{Kind, Model, Upload};
use steps::Writer;
use subject::Subject;

const BLOCK: u64 = 10;
const COPIES: u64 = 3;
const STEPS: u64 = 250;
/// What runs where nobody asks for another: every build sees the same runs.
const SEED: u64 = 20_261_121;
/// All contents are looked at each so many steps; names and accounts at each.
const LOOK_INSIDE_EACH: u64 = 5;

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

struct Run {
    subject: Subject,
    model: Model,
    random: Random,
    writers: Vec<Writer>,
    uploads: Vec<Upload>,
    /// What was done, told when it ends badly.
    trail: Vec<String>,
}

impl Drop for Run {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.trail.join("\n"));
        }
    }
}

impl Run {
    fn new(kind: Kind, seed: u64) -> Self {
        let mut subject = Subject::new(kind == Kind::Paths);
        let layout = match kind {
            Kind::Objects => BucketLayoutProto::ObjectStore,
            Kind::Legacy | Kind::Paths => BucketLayoutProto::Legacy,
            Kind::Tree => BucketLayoutProto::FileSystemOptimized,
        };
        subject.ask(create_volume("vol"));
        subject.ask(create_bucket("vol", "buck", layout));
        for (link, source) in [
            ("link", "buck"),
            ("far", "link"),
            ("nowhere", "gone"),
            ("loop", "pool"),
            ("pool", "loop"),
        ] {
            let mut request = create_bucket("vol", link, layout);
            let info = &mut request.create_bucket_request.as_mut().unwrap().bucket_info;
            (info.source_volume, info.source_bucket) = (Some("vol".into()), Some(source.into()));
            subject.ask(request);
        }
        Self {
            subject,
            model: Model::new(kind),
            random: Random(seed),
            writers: Vec::new(),
            uploads: Vec::new(),
            trail: Vec::new(),
        }
    }

    /// What both sides show is the same.
    fn compare(&mut self) {
        let (subject, model) = (&self.subject, &self.model);
        let via = ["buck", "link", "far"][self.random.below(3) as usize];
        if model.kind == Kind::Tree {
            assert_eq!(subject.level(via, ""), model.children(""));
        } else {
            assert_eq!(subject.keys(), model.files.keys().cloned().collect::<Vec<_>>());
            if model.kind != Kind::Objects {
                assert_eq!(subject.level(via, ""), model.children(""));
            }
        }
        if model.kind != Kind::Objects {
            for folder in &model.listable() {
                assert_eq!(subject.level(via, folder), model.children(folder), "below {folder}");
            }
        }
        let uploads = self.uploads.iter().filter(|upload| !upload.is_gone);
        let mut uploads: Vec<&Upload> = uploads.collect();
        // By their rows, in which the id of the upload follows behind a slash.
        uploads.sort_by_key(|upload| format!("{}/{}", upload.name, upload.id));
        let uploads: Vec<&str> = uploads.iter().map(|upload| upload.name.as_str()).collect();
        assert_eq!(subject.uploads(), uploads, "uploads");
        for name in [via, "buck"] {
            let bucket = subject.bucket_info(name);
            let used = (bucket.used_bytes(), bucket.used_namespace());
            assert_eq!(used, model.used, "used, of {name}");
            let pending = (bucket.snapshot_used_bytes(), bucket.snapshot_used_namespace());
            assert_eq!(pending, model.pending, "pending deletion, of {name}");
        }
    }

    fn look_inside(&self) {
        let plan = crate::command::server::quota_repair::plan(&self.subject.om.ns(), &[]).unwrap();
        assert_eq!(plan.bucket_count, [], "the accounts need repair");
        let is_marker = |name: &str| self.model.kind == Kind::Paths && name.ends_with('/');
        for (name, size) in self.model.files.iter().filter(|(name, _)| !is_marker(name)) {
            let info = self.subject.om.info(name).get_key_info_response;
            let info = info.unwrap_or_else(|| panic!("{name} is lost")).key_info.unwrap();
            let blocks: u64 = crate::key::blocks(&info).map(|block| block.length).sum();
            assert_eq!((info.data_size, blocks), (*size, *size), "size of {name}");
            assert_eq!(info.bucket_name, "buck");
        }
    }

    /// Everything is deleted and cleaned up: no row and no account may stay.
    fn empty(&mut self) {
        self.model.quota = (None, None);
        loop {
            let names: Vec<String> = match self.model.kind {
                Kind::Tree => self.model.children(""),
                _ => self.model.files.keys().cloned().collect(),
            };
            let Some(name) = names.first() else { break };
            let name = match self.model.kind {
                Kind::Paths => name.trim_end_matches('/'),
                Kind::Objects | Kind::Legacy | Kind::Tree => name,
            };
            let done = self.subject.ask(delete_key(name, true)).status() == Status::Ok;
            assert!(done && self.model.delete(name, true), "delete {name}");
        }
        self.subject.expire_open_keys();
        self.expire_uploads();
        self.subject.take_apart();
        self.subject.purge();
        self.subject.restart();
        let om = &self.subject.om;
        assert!(om.rows(&tables::KEY).is_empty(), "keys stay");
        assert!(om.rows(&tables::FILE).is_empty(), "files stay");
        assert!(om.rows(&tables::DIRECTORY).is_empty(), "folders stay");
        assert!(om.rows(&tables::OPEN_KEY).is_empty(), "open keys stay");
        assert!(om.rows(&tables::OPEN_FILE).is_empty(), "open files stay");
        assert!(om.rows(&tables::MULTIPART_INFO).is_empty(), "uploads stay");
        assert!(om.rows(&tables::DELETED).is_empty(), "deleted keys stay");
        assert!(om.rows(&tables::DELETED_DIRECTORY).is_empty(), "deleted folders stay");
        let bucket = om.bucket();
        let accounts = [
            bucket.used_bytes(),
            bucket.used_namespace(),
            bucket.snapshot_used_bytes(),
            bucket.snapshot_used_namespace(),
        ];
        assert_eq!(accounts, [0; 4], "accounts of an empty bucket");
    }
}

fn run(kind: Kind, seed: u64, steps: u64) {
    let mut run = Run::new(kind, seed);
    for step in 0..steps {
        run.trail.push(format!("{kind:?}, seed {seed}, step {step} begins"));
        let did = run.step();
        run.trail.pop();
        run.trail.push(format!("{kind:?}, seed {seed}, step {step}: {did}"));
        run.compare();
        if step % LOOK_INSIDE_EACH == 0 {
            run.look_inside();
        }
    }
    run.trail.push(format!("{kind:?}, seed {seed}: everything is deleted"));
    run.empty();
}

#[test]
fn the_namespace_is_what_a_simple_model_says_in_every_layout() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let steps = number("OM_MODEL_STEPS").unwrap_or(STEPS);
    let budget = Duration::from_secs(number("OM_MODEL_SECONDS").unwrap_or(0));
    let first = number("OM_MODEL_SEED").unwrap_or(SEED);
    let begin = Instant::now();
    for round in 0.. {
        let seed = first.wrapping_add(round);
        for kind in [Kind::Objects, Kind::Legacy, Kind::Paths, Kind::Tree] {
            run(kind, seed, steps);
        }
        eprintln!("{} runs of {steps} steps in four layouts, seeds from {first}", round + 1);
        if begin.elapsed() >= budget {
            break;
        }
    }
}
