//! Draws the next request: from what was asked before, and what the genuine server said to it.

use om_proto::{KeyArgs, OmRequest, OmResponse, Status};

use super::memory::Memory;
use super::words::Random;
use crate::requests::{self, *};

/// A request, once the server's own ids are known.
pub type Make = Box<dyn Fn(&Memory) -> OmRequest + Send + Sync>;

/// A request of a run. A run may leave steps out: what they would have given is then unknown to later ones.
pub struct Step {
    pub number: usize,
    pub user: &'static str,
    pub make: Make,
    /// The step that opened the key for which this one asks a block.
    pub of: Option<usize>,
}

/// Where keys are: a volume and a bucket.
pub type Place = (&'static str, &'static str);

/// A key that a step opened.
#[derive(Clone)]
pub struct OpenKey {
    pub step: usize,
    pub place: Place,
    pub key: String,
    pub size: u64,
    /// The upload that it is a part of, and the number of the part.
    pub part: Option<(usize, u32)>,
}

/// An upload that a step began.
#[derive(Clone)]
pub struct Upload {
    pub step: usize,
    pub place: Place,
    pub key: String,
    pub parts: Vec<u32>,
}

/// What becomes known if the request is granted.
pub enum Gives {
    Nothing,
    Open(OpenKey),
    Upload(Upload),
    Part(usize, u32),
    Generation(Place, String),
}

/// How many open keys, uploads and names are remembered.
const REMEMBERED_MAX: usize = 12;
/// Buckets with contents, in the two volumes of every run.
pub const PLACES: [Place; 4] = [("a", "obs"), ("a", "leg"), ("a", "fso"), ("b", "fso")];
/// Doors that lead to one of those, or nowhere.
const DOORS: [Place; 5] =
    [("b", "link"), ("b", "chain"), ("b", "nowhere"), ("b", "loop-a"), ("nosuch", "obs")];

pub struct Draw {
    pub random: Random,
    pub users: &'static [&'static str],
    pub opens: Vec<OpenKey>,
    pub uploads: Vec<Upload>,
    pub generations: Vec<(usize, Place, String)>,
    /// Names that were written to lately.
    names: Vec<(Place, String)>,
    count: usize,
    gives: Gives,
    of: Option<usize>,
    /// What has to come next.
    next: Option<Step>,
}

fn normal(name: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts
}

/// `name` as trees see it.
pub fn normalized(name: &str) -> String {
    normal(name).join("/")
}

/// Whether trees leave `name` as it is.
pub fn is_normal(name: &str) -> bool {
    normalized(name) == name
}

impl Draw {
    pub fn new(seed: u64, users: &'static [&'static str]) -> Self {
        Self {
            random: Random(seed),
            users,
            opens: Vec::new(),
            uploads: Vec::new(),
            generations: Vec::new(),
            names: Vec::new(),
            count: 0,
            gives: Gives::Nothing,
            of: None,
            next: None,
        }
    }

    /// A step that is not drawn.
    pub fn fixed(&mut self, make: Make) -> Step {
        self.count += 1;
        Step { number: self.count, user: "root", make, of: None }
    }

    /// The next step.
    pub fn step(&mut self) -> Step {
        if let Some(step) = self.next.take() {
            return step;
        }
        let user = if self.users.len() > 1 && self.random.one_in(3) {
            self.random.of(self.users)
        } else {
            self.users[0]
        };
        self.numbered(user)
    }

    fn numbered(&mut self, user: &'static str) -> Step {
        self.gives = Gives::Nothing;
        self.of = None;
        // Known before the request is drawn, so that it can say which step gives what.
        self.count += 1;
        let make = self.any();
        Step { number: self.count, user, make, of: self.of }
    }

    fn any(&mut self) -> Make {
        match self.random.below(100) {
            0..=21 => self.open(),
            22..=29 => self.commit(),
            30 => self.allocate(),
            31..=37 => self.delete(),
            38..=40 => self.delete_batch(),
            41..=48 => self.rename(),
            49..=50 => self.rename_batch(),
            51..=56 => self.make_folder(),
            57..=64 => self.look(),
            65..=71 => self.list(),
            72..=75 => self.change(),
            76..=80 => self.acl(),
            81..=90 => self.upload(),
            91..=92 => self.lease(),
            93..=95 => self.bucket(),
            _ => self.volume(),
        }
    }

    /// The number of the step that is being drawn.
    pub fn number(&self) -> usize {
        self.count
    }

    pub fn give(&mut self, gives: Gives) {
        self.gives = gives;
    }

    pub fn asks_block_of(&mut self, step: usize) {
        self.of = Some(step);
    }

    /// What the genuine server said to the last step.
    pub fn learn(&mut self, user: &'static str, answer: &OmResponse) {
        if answer.status() != Status::Ok {
            return;
        }
        match std::mem::replace(&mut self.gives, Gives::Nothing) {
            Gives::Nothing => {}
            Gives::Open(open) => {
                self.wrote(open.place, &open.key);
                keep(&mut self.opens, open);
                // Most writers come to an end at once.
                if self.random.below(4) > 0 {
                    self.count += 1;
                    let make = self.commit_last();
                    self.next = Some(Step { number: self.count, user, make, of: None });
                }
            }
            Gives::Upload(upload) => keep(&mut self.uploads, upload),
            Gives::Part(upload, part) => {
                if let Some(upload) = self.uploads.iter_mut().find(|u| u.step == upload) {
                    upload.parts.retain(|known| *known != part);
                    upload.parts.push(part);
                }
            }
            Gives::Generation(place, name) => {
                keep(&mut self.generations, (self.count, place, name))
            }
        }
    }

    /// Remembers a name that is there, or was.
    pub fn wrote(&mut self, place: Place, name: &str) {
        // Keys without a name are refused here, and lie in a row that no listing shows there.
        if name.trim_matches('/').is_empty() {
            return;
        }
        keep(&mut self.names, (place, name.to_owned()));
    }

    /// Mostly a bucket; else a link or something missing.
    pub fn place(&mut self) -> Place {
        match self.random.below(12) {
            0 => self.random.of(&DOORS),
            1 => self.random.of(&DOORS[..2]),
            _ => self.random.of(&PLACES),
        }
    }

    /// A key that was written, or any other.
    pub fn target(&mut self) -> (Place, String) {
        if !self.names.is_empty() && self.random.below(5) < 3 {
            let (place, name) = self.names[self.random.below(self.names.len())].clone();
            return match self.random.below(8) {
                0 => (place, name.rsplit_once('/').map_or(name.clone(), |(up, _)| up.to_owned())),
                1 => (place, format!("{name}/{}", self.random.of(&["a", "b"]))),
                2 => (self.place(), name),
                _ => (place, name),
            };
        }
        (self.place(), self.random.name())
    }

    /// A name to rename `from` to. Renames in a tree of what stays where it is end the genuine server.
    pub fn other_name(&mut self, place: Place, from: &str) -> String {
        loop {
            let to = if self.random.one_in(3) { self.target().1 } else { self.random.name() };
            let (old, new) = (normal(from), normal(&to));
            let is_flat = matches!(place.1, "obs" | "leg");
            if is_flat || (old != new && !old.starts_with(&new)) {
                return to;
            }
        }
    }
}

fn keep<T>(list: &mut Vec<T>, entry: T) {
    if list.len() == REMEMBERED_MAX {
        list.remove(0);
    }
    list.push(entry);
}

/// A key with the script's name of its volume; [`Memory::real`] puts in that of the run.
pub fn args(place: Place, key: &str) -> KeyArgs {
    At(place.0, place.1).args(key)
}

/// A request about one key.
pub fn about(args: KeyArgs, make: fn(KeyArgs) -> OmRequest) -> Make {
    Box::new(move |memory| make(memory.real(&args)))
}

/// The requests that every run begins with; links lead to different buckets.
pub fn begin(draw: &mut Draw, strict: bool) -> Vec<Step> {
    use om_proto::BucketLayoutProto::{FileSystemOptimized, Legacy, ObjectStore};
    let target = draw.random.of(&PLACES);
    let mut makes: Vec<Make> = Vec::new();
    for name in ["a", "b"] {
        let owner = if strict { "alice" } else { "root" };
        makes.push(Box::new(move |memory| {
            let info = requests::volume(&memory.volume(name));
            create_volume(om_proto::VolumeInfo { owner_name: owner.into(), ..info })
        }));
    }
    for ((volume, bucket), layout) in
        PLACES.into_iter().zip([ObjectStore, Legacy, FileSystemOptimized, FileSystemOptimized])
    {
        makes.push(Box::new(move |memory| {
            let volume = memory.volume(volume);
            create_bucket(requests::bucket(At(&volume, bucket), Some(layout)))
        }));
    }
    for (name, to) in [
        ("link", target),
        ("chain", ("b", "link")),
        ("nowhere", ("b", "gone")),
        ("loop-a", ("b", "loop-b")),
        ("loop-b", ("b", "loop-a")),
    ] {
        makes.push(Box::new(move |memory| {
            let (volume, to_volume) = (memory.volume("b"), memory.volume(to.0));
            create_bucket(link(At(&volume, name), At(&to_volume, to.1)))
        }));
    }
    if strict {
        makes.extend(begin_rights());
    }
    makes.into_iter().map(|make| draw.fixed(make)).collect()
}

/// Bob may do all in some buckets and look into others.
fn begin_rights() -> Vec<Make> {
    use om_proto::ozone_obj::ObjectType::{Bucket, Volume};
    let mut makes: Vec<Make> = Vec::new();
    for name in ["a", "b"] {
        makes.push(Box::new(move |memory| {
            add_acl(object(Volume, &format!("/{}", memory.volume(name))), "u:bob:09")
        }));
    }
    for (place, rights) in PLACES.into_iter().zip(["80", "0b", "80", "09"]) {
        makes.push(Box::new(move |memory| {
            let path = format!("/{}/{}", memory.volume(place.0), place.1);
            add_acl(object(Bucket, &path), &format!("u:bob:{rights}"))
        }));
    }
    makes
}
