//! One node of a run: a core, the engine around it, and a disk.

use std::collections::{BTreeMap, VecDeque};

use ratis_log::files::{Change, LogFiles};
use ratis_proto::common::{LogEntryProto, RequestVoteRequestProto};

use super::disk::{Disk, Entries};
use crate::types::{HardState, TermIndex};
use crate::{Core, Effect, ReplyTo};

/// Who waits for a reply: node, its life, and its vote request.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) node: usize,
    pub(crate) life: u64,
    pub(crate) asked: Option<RequestVoteRequestProto>,
}

/// A change on its way to the disk.
pub(crate) struct Job {
    pub(crate) change: Change,
    /// What is durable afterwards.
    pub(crate) last: Option<TermIndex>,
}

/// What was written, and is told once it is synced.
#[derive(Clone, Copy, Default)]
pub(crate) struct Written {
    pub(crate) last: Option<TermIndex>,
    pub(crate) vote: bool,
    pub(crate) purged: bool,
}

/// The state of a state machine: which call was applied where.
#[derive(Clone, Default)]
pub(crate) struct Machine {
    /// Where it stands on disk.
    pub(crate) snapshot: Option<TermIndex>,
    pub(crate) calls: BTreeMap<u64, u64>,
    /// The latest configuration that was applied.
    pub(crate) conf: LogEntryProto,
}

/// A node. `core` is `None` while it is down.
pub(crate) struct Node {
    pub(crate) core: Option<Core>,
    /// Counts starts: events of earlier lives are void.
    pub(crate) life: u64,
    pub(crate) disk: Disk,
    pub(crate) files: Option<LogFiles>,
    /// Changes that are not written yet.
    pub(crate) jobs: VecDeque<Job>,
    pub(crate) written: Written,
    /// Durable state of the state machine.
    pub(crate) saved: Machine,
    /// Its state now.
    pub(crate) machine: Machine,
    /// The last entry that was reported durable and is still in the log.
    pub(crate) promised: Option<TermIndex>,
    /// The last vote that was reported durable, and one that may be.
    pub(crate) promised_vote: HardState,
    pub(crate) coming_vote: Option<HardState>,
    /// The log as the engine sees it, synced or not.
    pub(crate) log: Entries,
    /// Effects that wait for a vote to be saved.
    pub(crate) waiting: VecDeque<Effect>,
    pub(crate) saving: bool,
    pub(crate) writing: bool,
    pub(crate) commit: Option<u64>,
    pub(crate) applied: Option<u64>,
    pub(crate) applying: bool,
    pub(crate) loaded: BTreeMap<usize, (u64, Vec<LogEntryProto>)>,
    /// The log was cut since its configurations were last looked at.
    pub(crate) truncated: bool,
    /// A leader's snapshot may have told of a configuration that is not in the log yet.
    pub(crate) told: bool,
    pub(crate) callers: BTreeMap<ReplyTo, Caller>,
    pub(crate) next_token: u64,
    /// This node's clock against the others'.
    pub(crate) clock_offset: u64,
    /// Entries proposed here: index to term.
    pub(crate) proposed: BTreeMap<u64, u64>,
    /// Calls of these entries that are not applied yet.
    pub(crate) pending_calls: BTreeMap<u64, u64>,
    /// Reads started here: id to the index that was acknowledged before.
    pub(crate) reads: BTreeMap<u64, Option<u64>>,
    /// The pending tick, so that there is one at a time.
    pub(crate) tick_at: Option<u64>,
    /// The life that began with an empty directory. What was sent to earlier ones never arrives:
    /// their connections are gone, and a member without its memory must not hear of its past.
    pub(crate) wiped_in: u64,
    /// The group was closed here.
    pub(crate) removed: bool,
}

impl Node {
    pub(crate) fn new(disk: Disk, conf: LogEntryProto, clock_offset: u64) -> Self {
        let machine = Machine { conf, ..Machine::default() };
        Self {
            core: None,
            life: 0,
            disk,
            files: None,
            jobs: VecDeque::new(),
            written: Written::default(),
            saved: machine.clone(),
            machine,
            promised: None,
            promised_vote: HardState::default(),
            coming_vote: None,
            log: Entries::default(),
            waiting: VecDeque::new(),
            saving: false,
            writing: false,
            commit: None,
            applied: None,
            applying: false,
            loaded: BTreeMap::new(),
            truncated: false,
            told: false,
            callers: BTreeMap::new(),
            next_token: 0,
            clock_offset,
            proposed: BTreeMap::new(),
            pending_calls: BTreeMap::new(),
            reads: BTreeMap::new(),
            tick_at: None,
            wiped_in: 0,
            removed: false,
        }
    }

    /// Forgets everything that is not on the disk.
    pub(crate) fn lose_memory(&mut self) {
        self.core = None;
        self.life += 1;
        self.log = Entries::default();
        self.waiting.clear();
        self.saving = false;
        self.writing = false;
        self.files = None;
        self.jobs.clear();
        self.written = Written::default();
        self.machine = self.saved.clone();
        self.commit = None;
        self.applied = None;
        self.applying = false;
        self.loaded.clear();
        self.truncated = false;
        self.told = false;
        self.callers.clear();
        self.proposed.clear();
        self.pending_calls.clear();
        self.reads.clear();
        self.tick_at = None;
    }

    pub(crate) fn token(&mut self, caller: Caller) -> ReplyTo {
        self.next_token += 1;
        let to = ReplyTo(self.next_token);
        self.callers.insert(to, caller);
        to
    }
}
