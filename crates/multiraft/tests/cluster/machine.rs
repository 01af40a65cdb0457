//! A state machine that remembers what it applied.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use multiraft::{
    Committed, Context, GroupId, PeerId, StateMachine, StateMachineError, StateMachines, TermIndex,
    Transaction,
};
use parking_lot::{Condvar, Mutex};
use ratis_proto::common::StateMachineLogEntryProto;

/// What a machine has seen.
#[derive(Default)]
pub struct Seen {
    pub applied: Vec<(u64, String)>,
    pub contexts: usize,
    pub bulk: HashMap<u64, Bytes>,
    pub installed: Vec<TermIndex>,
    pub failures: Vec<String>,
    /// Bulk bytes wait at the gate.
    pub gated: bool,
    /// Lets gated bulk writes through.
    pub gate: Arc<tokio::sync::Notify>,
    /// Where snapshots wait for the disk.
    pub disk: Arc<SlowDisk>,
    pub last: Option<TermIndex>,
}

/// A disk that takes as long as a test wishes.
#[derive(Default)]
pub struct SlowDisk {
    held: Mutex<bool>,
    changed: Condvar,
    waiting: AtomicUsize,
}

impl SlowDisk {
    /// Whoever writes from now on waits, or nobody does any more.
    pub fn hold(&self, held: bool) {
        *self.held.lock() = held;
        self.changed.notify_all();
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    fn pass(&self) {
        let mut held = self.held.lock();
        self.waiting.fetch_add(1, Ordering::SeqCst);
        while *held {
            self.changed.wait(&mut held);
        }
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The group whose machine takes snapshots while it applies entries.
pub const BESIDE: GroupId = GroupId::from_u128(0x00be_51de);

pub struct Machine {
    pub seen: Arc<Mutex<Seen>>,
    beside: bool,
    snapshot: PathBuf,
}

fn refusal(message: &str) -> StateMachineError {
    StateMachineError { class: "java.io.IOException".to_owned(), message: message.to_owned() }
}

impl StateMachine for Machine {
    fn durable(&self) -> Option<TermIndex> {
        let text = std::fs::read_to_string(&self.snapshot).ok()?;
        let mut lines = text.lines();
        let (term, index) = lines.next()?.split_once(' ')?;
        let mut seen = self.seen.lock();
        seen.applied = lines
            .filter_map(|l| l.split_once(' '))
            .map(|(i, m)| (i.parse().unwrap(), m.to_owned()))
            .collect();
        let at = TermIndex::new(term.parse().unwrap(), index.parse().unwrap());
        seen.last = Some(at);
        Some(at)
    }

    fn prepare(
        &self,
        message: Bytes,
        _: Option<Context>,
    ) -> Result<Transaction, StateMachineError> {
        if message.starts_with(b"refuse") {
            return Err(refusal("refused before the log"));
        }
        if message.starts_with(b"big") {
            // As a datanode cuts a chunk off its header.
            let log = message.slice(..8);
            return Ok(Transaction { log, bulk: Some(message), context: None });
        }
        let bulk = message.starts_with(b"bulk").then(|| Bytes::from(vec![7; 10_000]));
        Ok(Transaction { log: message, bulk, context: Some(Box::new(1_usize)) })
    }

    fn write_bulk(
        &self,
        at: TermIndex,
        _: &StateMachineLogEntryProto,
        bulk: Bytes,
    ) -> BoxFuture<'static, Result<(), StateMachineError>> {
        let seen = self.seen.clone();
        let gate = bulk.starts_with(b"big-gate").then(|| {
            let mut seen = seen.lock();
            seen.gated = true;
            seen.gate.clone()
        });
        let broken = bulk.starts_with(b"big-broken");
        Box::pin(async move {
            tokio::task::yield_now().await;
            if let Some(gate) = gate {
                gate.notified().await;
            }
            if broken {
                return Err(refusal("the disk is full"));
            }
            seen.lock().bulk.insert(at.index, bulk);
            Ok(())
        })
    }

    fn read_bulk(
        &self,
        at: TermIndex,
        _: &StateMachineLogEntryProto,
    ) -> BoxFuture<'static, Result<Bytes, StateMachineError>> {
        let bulk = self.seen.lock().bulk.get(&at.index).cloned();
        Box::pin(async move { bulk.ok_or_else(|| refusal("no bulk bytes")) })
    }

    fn apply(&self, entries: Vec<Committed>) -> Vec<Result<Bytes, StateMachineError>> {
        let mut seen = self.seen.lock();
        entries
            .into_iter()
            .map(|c| {
                let message = c.entry.log_data.escape_ascii().to_string();
                if message.starts_with("bulk") {
                    assert!(seen.bulk.contains_key(&c.at.index), "applied before it was written");
                }
                assert!(seen.last < Some(c.at), "applied out of order");
                seen.last = Some(c.at);
                seen.contexts += usize::from(c.context.is_some());
                assert!(message != "panic", "as the test wishes");
                if message.starts_with("fail") {
                    return Err(refusal("failed when applied"));
                }
                seen.applied.push((c.at.index, message.clone()));
                Ok(Bytes::from(format!("{message}!")))
            })
            .collect()
    }

    fn failed(&self, reason: &str) {
        self.seen.lock().failures.push(reason.to_owned());
    }

    fn advance(&self, at: TermIndex) {
        self.seen.lock().last = Some(at);
    }

    fn take_snapshot(&self) -> Result<Option<TermIndex>, StateMachineError> {
        let (at, text, disk) = {
            let seen = self.seen.lock();
            let Some(at) = seen.last else { return Ok(None) };
            let mut text = format!("{} {}\n", at.term, at.index);
            for (index, message) in &seen.applied {
                text.push_str(&format!("{index} {message}\n"));
            }
            (at, text, seen.disk.clone())
        };
        disk.pass();
        std::fs::write(&self.snapshot, text).unwrap();
        Ok(Some(at))
    }

    fn snapshots_beside_apply(&self) -> bool {
        self.beside
    }

    fn install_snapshot(
        &self,
        _: PeerId,
        first_available: TermIndex,
    ) -> BoxFuture<'static, Result<TermIndex, StateMachineError>> {
        let mut seen = self.seen.lock();
        // Pretends, as a datanode does.
        let at = TermIndex::new(first_available.term, first_available.index.saturating_sub(1));
        seen.installed.push(at);
        seen.last = Some(at);
        Box::pin(async move { Ok(at) })
    }

    fn query(&self, message: Bytes) -> BoxFuture<'static, Result<Bytes, StateMachineError>> {
        Box::pin(async move { Ok(message) })
    }
}

/// Opens machines and hands out what they have seen.
#[derive(Default)]
pub struct Machines {
    groups: Mutex<HashMap<GroupId, Arc<Mutex<Seen>>>>,
    pub removed: Mutex<Vec<GroupId>>,
}

impl Machines {
    pub fn seen(&self, group: GroupId) -> Arc<Mutex<Seen>> {
        self.groups.lock().get(&group).cloned().unwrap_or_default()
    }
}

impl StateMachines for Machines {
    fn open(
        &self,
        group: GroupId,
        directory: &Path,
    ) -> Result<Arc<dyn StateMachine>, StateMachineError> {
        let seen = Arc::new(Mutex::new(Seen::default()));
        self.groups.lock().insert(group, seen.clone());
        Ok(Arc::new(Machine {
            seen,
            beside: group == BESIDE,
            snapshot: directory.join("snapshot"),
        }))
    }

    fn removed(&self, group: GroupId) {
        self.removed.lock().push(group);
    }
}
