//! The state machine of SCM's Raft group (`SCMStateMachine`, `SCMHADBTransactionBuffer`).
//!
//! Applied calls are in the ledger at once. Their rows wait in one batch, which goes to the tables
//! together with the log index it reaches: by count, by time, and at a stop. Until then the Raft log
//! is what a restart replays.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use multiraft::{Committed, GroupId, StateMachine, StateMachineError, StateMachines, TermIndex};
use ozone_db::{Batch, DbError, Durability, Store};
use parking_lot::Mutex;
use scm_core::{Call, tables};
use tokio::sync::watch;

use crate::shared::Shared;

/// Applies calls and owns the tables.
pub struct Machine {
    shared: Arc<Shared>,
    store: Arc<dyn Store>,
    pending: Mutex<Pending>,
    /// Held while a batch is written, so that batches go in order.
    writing: Mutex<()>,
    group: GroupId,
    failure: watch::Sender<Option<String>>,
}

#[derive(Default)]
struct Pending {
    batch: Batch,
    /// Where the ledger stands.
    applied: Option<TermIndex>,
    /// Where the tables stand.
    durable: Option<TermIndex>,
    /// An entry that cannot be understood was met: nothing may become durable after it.
    broken: Option<String>,
}

impl Machine {
    /// Over tables that `shared`'s ledger was loaded from.
    ///
    /// # Errors
    /// The tables cannot be read.
    pub fn open(
        shared: Arc<Shared>,
        store: Arc<dyn Store>,
        group: GroupId,
    ) -> Result<Self, DbError> {
        let durable = tables::transaction_info(&*store)?;
        let durable = durable.map(|(term, index)| TermIndex { term, index });
        let pending = Pending { applied: durable, durable, ..Pending::default() };
        let (pending, writing) = (Mutex::new(pending), Mutex::new(()));
        let failure = watch::Sender::new(None);
        Ok(Self { shared, store, pending, writing, group, failure })
    }

    /// The tables.
    pub fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    /// Holds the reason once this SCM cannot go on.
    pub fn failure(&self) -> watch::Receiver<Option<String>> {
        self.failure.subscribe()
    }

    /// Applies one encoded call.
    fn apply_one(&self, at: TermIndex, entry: &[u8]) -> Result<Bytes, StateMachineError> {
        let call = Call::decode(entry).map_err(|error| {
            let text = format!("log entry {at}: {error}");
            tracing::error!(%at, %error, "cannot apply a log entry; this SCM must be upgraded");
            self.pending.lock().broken.get_or_insert(text.clone());
            self.failure.send_replace(Some(text.clone()));
            failure("java.lang.IllegalArgumentException", text)
        })?;
        let answer = self.shared.apply(|core, now| {
            let mut pending = self.pending.lock();
            if let Some(text) = &pending.broken {
                return Err(failure("java.lang.IllegalStateException", text.clone()));
            }
            pending.applied = Some(at);
            core.ledger.apply(&call, now, &mut pending.batch).map_err(|refusal| {
                tracing::info!(%at, %refusal, "call refused");
                failure(refusal.class, refusal.message)
            })
        })?;
        Ok(answer.encode())
    }

    /// Writes what has been applied to the tables.
    ///
    /// # Errors
    /// The tables cannot be written; the rows are kept for the next try.
    pub fn flush(&self) -> Result<Option<TermIndex>, StateMachineError> {
        let _writing = self.writing.lock();
        let (mut batch, applied) = {
            let mut pending = self.pending.lock();
            if let Some(text) = &pending.broken {
                return Err(failure("java.lang.IllegalStateException", text.clone()));
            }
            if pending.applied == pending.durable {
                return Ok(pending.durable);
            }
            (std::mem::take(&mut pending.batch), pending.applied)
        };
        let Some(at) = applied else { return Ok(None) };
        let rows = batch.clone();
        tables::put_transaction_info(&mut batch, at.term, at.index);
        let written = self.store.write(batch, Durability::Synced);
        let mut pending = self.pending.lock();
        match written {
            Ok(()) => {
                pending.durable = Some(at);
                Ok(Some(at))
            }
            Err(error) => {
                let mut rows = rows;
                rows.append(std::mem::take(&mut pending.batch));
                pending.batch = rows;
                Err(failure("java.io.IOException", error.to_string()))
            }
        }
    }
}

impl StateMachine for Machine {
    fn durable(&self) -> Option<TermIndex> {
        self.pending.lock().durable
    }

    fn apply(&self, entries: Vec<Committed>) -> Vec<Result<Bytes, StateMachineError>> {
        entries
            .into_iter()
            .map(|committed| self.apply_one(committed.at, &committed.entry.log_data))
            .collect()
    }

    fn advance(&self, at: TermIndex) {
        self.pending.lock().applied = Some(at);
    }

    fn failed(&self, reason: &str) {
        tracing::error!(reason, "the Raft log of this SCM cannot go on");
        self.failure.send_replace(Some(reason.to_owned()));
    }

    fn take_snapshot(&self) -> Result<Option<TermIndex>, StateMachineError> {
        self.flush()
    }
}

fn failure(class: &str, message: String) -> StateMachineError {
    StateMachineError { class: class.to_owned(), message }
}

/// The one group of an SCM.
pub struct Machines(pub Arc<Machine>);

impl StateMachines for Machines {
    fn open(
        &self,
        group: GroupId,
        _directory: &Path,
    ) -> Result<Arc<dyn StateMachine>, StateMachineError> {
        if group == self.0.group {
            let machine: Arc<dyn StateMachine> = self.0.clone();
            return Ok(machine);
        }
        Err(failure(
            "java.lang.IllegalArgumentException",
            format!("group {group} is not that of this SCM's cluster, {}", self.0.group),
        ))
    }
}
