//! Random requests to two running servers: the same answers, and the same things to see afterwards.
//!
//! ```text
//!  draw ─► Step ─► to the genuine server ─┐                       each few steps: look at all of it
//!    ▲             to ours ───────────────┴─► compare, masked ─► different? explained? else shorten and print
//!    └──────────── was it granted? ◄──────┘
//! ```
//! A step names what a server gave out (client ids, blocks, uploads, generations) by the number of the step that
//! got it, so that a run can be repeated without some of its steps.

mod draw;
mod keys;
mod look;
mod looks;
mod memory;
mod spaces;
mod uploads;
mod words;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use om_proto::{OmRequest, OmResponse};

use crate::Set;
use crate::asker::Asker;
use crate::transcript::text_of;
use draw::{Draw, PLACES, Step};
use memory::Memory;

/// How often a failing run is repeated with fewer steps.
const TRIES_MAX: usize = 60;
/// Lines of an answer that are printed.
const LINES_MAX: usize = 60;
/// Everything is looked at after so many steps.
const LOOK_EACH: usize = 10;

/// What is asked how often.
pub struct Settings {
    /// `OM_RANDOM_SEED`: the first run's.
    pub seed: u64,
    /// `OM_RANDOM_STEPS` of one run.
    pub steps: usize,
    /// `OM_RANDOM_SECONDS`: runs of further seeds follow until the time is up.
    pub budget: Duration,
}

impl Settings {
    pub fn read() -> Self {
        let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
        Self {
            seed: number("OM_RANDOM_SEED").unwrap_or(20_261_121),
            steps: usize::try_from(number("OM_RANDOM_STEPS").unwrap_or(200)).unwrap_or(usize::MAX),
            budget: Duration::from_secs(number("OM_RANDOM_SECONDS").unwrap_or(0)),
        }
    }
}

/// Two answers that differ.
struct Difference {
    /// The same for runs that show the same mistake.
    signature: String,
    request: String,
    genuine: String,
    ours: String,
    /// The request may have changed what later ones see.
    writes: bool,
}

impl Difference {
    /// What was written before is what differs.
    fn seen_later(self) -> Self {
        Self { signature: format!("look {}", self.signature), writes: true, ..self }
    }
}

/// What came of one request.
struct Outcome {
    answers: [OmResponse; 2],
    /// Without a reason.
    difference: Option<Difference>,
    /// One server did what the other refused, for a reason: they are not the same any more.
    parted: bool,
}

/// Both servers' sides of one run.
struct Pair<'a> {
    askers: &'a mut [Asker; 2],
    memories: [Memory; 2],
    counts: &'a mut Counts,
}

/// What was compared so far.
#[derive(Default)]
struct Counts {
    steps: usize,
    looks: usize,
    equal: usize,
    explained: BTreeMap<String, usize>,
    /// How often each difference was met.
    found: BTreeMap<String, usize>,
    /// Runs that ended early, because an explained difference leaves both servers with different contents.
    parted: usize,
    worlds: usize,
}

/// The request of a step, on one line.
fn line_of(request: &OmRequest, memory: &Memory) -> String {
    let text = crate::transcript::plain(&format!("{request:#?}"));
    let text: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| {
            ![
                "OmRequest",
                "client_id: *",
                "client_id: \"client-test\"",
                "trace_id: \"\"",
                "version: 3",
            ]
            .contains(line)
        })
        .collect();
    memory.without_world(&text.join(" | "))
}

/// Whether the client does not want to know where the blocks are.
fn is_head(request: &OmRequest) -> bool {
    let args = [
        request.lookup_key_request.as_ref().map(|body| &body.key_args),
        request.get_key_info_request.as_ref().map(|body| &body.key_args),
        request.get_file_status_request.as_ref().map(|body| &body.key_args),
        request.lookup_file_request.as_ref().map(|body| &body.key_args),
    ];
    args.into_iter().flatten().any(|args| args.head_op())
}

/// The field in which two answers differ first.
fn first_field([genuine, ours]: &[String; 2]) -> String {
    let longer = [genuine.lines().count(), ours.lines().count()];
    let pairs = genuine.lines().zip(ours.lines());
    let (line, _) = pairs.into_iter().find(|(a, b)| a != b).unwrap_or(("length", ""));
    let more = match longer[0].cmp(&longer[1]) {
        std::cmp::Ordering::Less => "+",
        std::cmp::Ordering::Equal => "",
        std::cmp::Ordering::Greater => "-",
    };
    format!("{}{more}", line.trim().split(':').next().unwrap_or_default())
}

fn shortened(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().take(LINES_MAX).collect();
    if text.lines().count() > LINES_MAX {
        lines.push(" ...");
    }
    lines.join("\n")
}

impl Pair<'_> {
    /// Asks both; what differs without a reason comes back.
    async fn ask(&mut self, user: &str, requests: [OmRequest; 2]) -> Outcome {
        let [genuine, ours] = &mut *self.askers;
        let (genuine, ours) =
            tokio::join!(genuine.ask(user, &requests[0]), ours.ask(user, &requests[1]));
        for (whose, answer) in [("genuine", &genuine), ("our", &ours)] {
            if let Err(hadoop_rpc::client::CallError::Connection { message, .. }) = answer {
                println!("{}", line_of(&requests[0], &self.memories[0]));
                panic!("the {whose} server is gone: {message}");
            }
        }
        let text = [
            self.memories[0]
                .without_world(&text_of(genuine.as_ref().map(look::settled).map_err(Clone::clone))),
            self.memories[1]
                .without_world(&text_of(ours.as_ref().map(look::settled).map_err(Clone::clone))),
        ];
        let text =
            if is_head(&requests[0]) { text.map(|text| look::unlocated(&text)) } else { text };
        let command = requests[0].cmd_type();
        let done = |answer: &Result<OmResponse, _>| answer.as_ref().is_ok_and(|a| a.success());
        let mut parted = false;
        let difference = if text[0] == text[1] {
            self.counts.equal += 1;
            None
        } else if let Some(reason) = look::reason(command.as_str_name(), &text) {
            *self.counts.explained.entry(reason).or_default() += 1;
            parted = !look::is_read(command) && done(&genuine) != done(&ours);
            None
        } else {
            let status = |answer: &Result<OmResponse, _>| match answer {
                Ok(answer) => format!("{:?}", answer.status()),
                Err(_) => "exception".to_owned(),
            };
            Some(Difference {
                signature: format!(
                    "{command:?} {} {} {}",
                    status(&genuine),
                    status(&ours),
                    first_field(&text)
                ),
                request: format!("{user}: {}", line_of(&requests[0], &self.memories[0])),
                genuine: text[0].clone(),
                ours: text[1].clone(),
                writes: !look::is_read(command),
            })
        };
        let answers = [genuine.unwrap_or_default(), ours.unwrap_or_default()];
        Outcome { answers, difference, parted }
    }

    async fn step(&mut self, step: &Step) -> Outcome {
        self.counts.steps += 1;
        let requests = [(step.make)(&self.memories[0]), (step.make)(&self.memories[1])];
        let outcome = self.ask(step.user, requests).await;
        for (memory, answer) in self.memories.iter_mut().zip(&outcome.answers) {
            memory.learn(step.number, step.of, answer);
        }
        outcome
    }

    /// Looks at all there is.
    async fn look(&mut self) -> Option<Difference> {
        self.counts.looks += 1;
        let [genuine, ours] =
            [look::requests(&self.memories[0]), look::requests(&self.memories[1])];
        for requests in genuine.into_iter().zip(ours) {
            let difference = self.ask("root", requests.into()).await.difference;
            if difference.is_some() {
                return difference.map(Difference::seen_later);
            }
        }
        for place in PLACES.into_iter().filter(|(_, bucket)| *bucket == "fso") {
            let mut folders = vec![String::new()];
            while let Some(folder) = folders.pop() {
                let requests = [0, 1].map(|side| look::level(place, &folder, &self.memories[side]));
                let outcome = self.ask("root", requests).await;
                if outcome.difference.is_some() {
                    return outcome.difference.map(Difference::seen_later);
                }
                folders.extend(look::folders(&outcome.answers[0]));
            }
        }
        None
    }
}

/// Servers that are asked run after run.
struct Campaign {
    askers: [Asker; 2],
    counts: Counts,
    users: &'static [&'static str],
    strict: bool,
    /// Names of this campaign's volumes begin with it.
    name: String,
}

impl Campaign {
    fn pair(&mut self) -> Pair<'_> {
        self.counts.worlds += 1;
        let world = format!("{}-{:05}-", self.name, self.counts.worlds);
        let memories = [Memory::new(world.clone()), Memory::new(world)];
        Pair { askers: &mut self.askers, memories, counts: &mut self.counts }
    }

    /// One seed. Prints what differs for the first time.
    async fn run(&mut self, seed: u64, length: usize) {
        let mut draw = Draw::new(seed, self.users);
        let mut steps = draw::begin(&mut draw, self.strict);
        let setup = steps.len();
        let mut pair = self.pair();
        for step in &steps {
            let difference = pair.step(step).await.difference;
            assert!(difference.is_none(), "a run cannot begin: {}", difference.unwrap().request);
        }
        let mut news = Vec::new();
        for number in 1..=length {
            let step = draw.step();
            let Outcome { answers, mut difference, parted } = pair.step(&step).await;
            draw.learn(step.user, &answers[0]);
            steps.push(step);
            if parted {
                pair.counts.parted += 1;
                break;
            }
            if difference.is_none() && (number % LOOK_EACH == 0 || number == length) {
                difference = pair.look().await;
            }
            let Some(difference) = difference else { continue };
            let count = pair.counts.found.entry(difference.signature.clone()).or_default();
            *count += 1;
            let (writes, is_new) = (difference.writes, *count == 1);
            if is_new {
                news.push((difference, steps.len()));
            }
            if writes {
                break;
            }
        }
        for (difference, end) in news {
            println!("== seed {seed}, step {}: {}", end - setup, difference.signature);
            self.shorten(&steps[..end], setup, difference).await;
        }
    }

    /// Repeats a run with fewer and fewer steps, and prints the shortest one that shows the difference.
    async fn shorten(&mut self, steps: &[Step], setup: usize, mut difference: Difference) {
        let mut kept: Vec<&Step> = steps.iter().collect();
        let mut chunk = kept.len().div_ceil(2);
        let mut tries = 0;
        while chunk > 0 && tries < TRIES_MAX {
            let mut end = kept.len() - 1;
            while end > setup && tries < TRIES_MAX {
                let begin = end.saturating_sub(chunk).max(setup);
                let without: Vec<&Step> =
                    kept[..begin].iter().chain(&kept[end..]).copied().collect();
                tries += 1;
                if let Some(again) = self.again(&without, &difference.signature).await {
                    kept = without;
                    difference = again;
                }
                end = begin;
            }
            chunk /= 2;
        }
        let memory = Memory::new(String::new());
        for step in &kept[setup..] {
            println!(
                "   {}: {} {}",
                step.number,
                step.user,
                line_of(&(step.make)(&memory), &memory)
            );
        }
        println!("-- {}", difference.request);
        println!(
            "--- genuine\n{}\n--- ours\n{}",
            shortened(&difference.genuine),
            shortened(&difference.ours)
        );
    }

    /// Whether some steps show a difference, too.
    async fn again(&mut self, steps: &[&Step], signature: &str) -> Option<Difference> {
        let mut pair = self.pair();
        for (index, step) in steps.iter().enumerate() {
            let Outcome { difference, parted, .. } = pair.step(step).await;
            if parted {
                return None;
            }
            if let Some(difference) = difference {
                let is_it = difference.signature == signature && index + 1 == steps.len();
                if is_it {
                    return Some(difference);
                }
                if difference.writes {
                    return None;
                }
            }
        }
        if signature.starts_with("look") {
            pair.look().await.filter(|d| d.signature == signature)
        } else {
            None
        }
    }
}

/// Runs of random requests, one seed after the other.
///
/// # Panics
/// Answers differed, and `explained-random.tsv` has no reason.
pub async fn campaign(set: Set, genuine: SocketAddr, ours: SocketAddr, settings: Settings) {
    let begin = Instant::now();
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let strict = set == Set::Strict;
    let mut campaign = Campaign {
        askers: [Asker::new(genuine), Asker::new(ours)],
        counts: Counts::default(),
        users: if strict {
            &["root", "alice", "bob", "mallory", "auditor"]
        } else {
            &["root", "alice"]
        },
        strict,
        name: format!("r{:x}", clock & 0xfff_ffff),
    };
    for seed in settings.seed.. {
        let ran = campaign.counts.steps;
        campaign.run(seed, settings.steps).await;
        println!("seed {seed}: {} steps with repetitions", campaign.counts.steps - ran);
        if begin.elapsed() >= settings.budget {
            break;
        }
    }
    let Counts { steps, looks, equal, explained, found, parted, worlds } = campaign.counts;
    println!("| {} | answers |\n|---|---|", set.name());
    for (reason, count) in &explained {
        println!("| {reason} | {count} |");
    }
    for (signature, count) in &found {
        println!("{count} unexplained: {signature}");
    }
    println!(
        "{}: {worlds} runs, {steps} steps, {looks} looks at everything: {equal} equal answers, {} explained, {parted} runs \
         ended early by one of those, {} runs with a difference",
        set.name(),
        explained.values().sum::<usize>(),
        found.values().sum::<usize>()
    );
    assert!(found.is_empty(), "answers differ");
}
