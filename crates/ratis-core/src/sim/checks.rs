//! What must hold after every event.

use std::collections::BTreeMap;

use prost::Message as _;
use ratis_proto::common::LogEntryProto;
use ratis_proto::common::log_entry_proto::LogEntryBody;

use super::disk::Entries;
use crate::types::TermIndex;

/// An entry's content, short.
fn fingerprint(entry: &LogEntryProto) -> u64 {
    entry.encode_to_vec().iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    })
}

/// Everything that was ever seen, to hold new things against.
#[derive(Default)]
pub(crate) struct Checks {
    leaders: BTreeMap<u64, usize>,
    /// (index, term) to (content, term of the entry before).
    written: BTreeMap<(u64, u64), (u64, Option<u64>)>,
    /// What was applied at each index, by whomever first.
    pub(crate) applied: BTreeMap<u64, (u64, u64)>,
    /// Where each call was applied.
    calls: BTreeMap<u64, u64>,
    /// Calls that were acknowledged, and where.
    pub(crate) acknowledged_calls: BTreeMap<u64, u64>,
    /// The highest index that a client was told.
    pub(crate) acknowledged: Option<u64>,
}

impl Checks {
    /// Election safety: one leader per term. Returns whether it is a new one.
    pub(crate) fn leads(&mut self, node: usize, term: u64) -> Result<bool, String> {
        match self.leaders.insert(term, node) {
            Some(other) if other != node => {
                Err(format!("election safety: {other} and {node} both lead term {term}"))
            }
            other => Ok(other.is_none()),
        }
    }

    /// Leader completeness: a new leader has everything that was ever committed.
    pub(crate) fn is_complete(
        &self,
        node: usize,
        log: &Entries,
        snapshot: Option<TermIndex>,
    ) -> Result<(), String> {
        for (index, (term, content)) in &self.applied {
            let has = match log.get(*index) {
                Some(entry) => entry.term == *term && fingerprint(entry) == *content,
                None => *index < log.start || snapshot.is_some_and(|at| *index <= at.index),
            };
            if !has {
                return Err(format!(
                    "leader completeness: {node} leads without committed {index} of term {term}"
                ));
            }
        }
        Ok(())
    }

    /// Log matching: the same index and term mean the same entry and the same entries before it.
    pub(crate) fn written(
        &mut self,
        node: usize,
        before: Option<u64>,
        entry: &LogEntryProto,
    ) -> Result<(), String> {
        let key = (entry.index, entry.term);
        let new = (fingerprint(entry), before);
        match self.written.get(&key) {
            Some((content, _)) if *content != new.0 => {
                Err(format!("log matching: {node} writes another entry at {key:?}"))
            }
            Some((_, Some(term))) if before.is_some_and(|before| before != *term) => {
                Err(format!("log matching: {node} has another entry before {key:?}"))
            }
            Some((_, Some(_))) => Ok(()),
            _ => {
                self.written.insert(key, new);
                Ok(())
            }
        }
    }

    /// What a disk gives back is what was written.
    pub(crate) fn recovers(
        &self,
        node: usize,
        log: &Entries,
        promised: Option<TermIndex>,
    ) -> Result<(), String> {
        for entry in &log.list {
            let known = self.written.get(&(entry.index, entry.term));
            if known.is_none_or(|(content, _)| *content != fingerprint(entry)) {
                return Err(format!(
                    "durability: the log of {node} has an entry at {} of term {} that nobody wrote",
                    entry.index, entry.term
                ));
            }
        }
        let Some(at) = promised else { return Ok(()) };
        let kept = at.index < log.start || log.get(at.index).is_some_and(|it| it.term == at.term);
        if kept {
            return Ok(());
        }
        Err(format!(
            "durability: {node} starts with {}..{} and without {at}, which was durable",
            log.start,
            log.next()
        ))
    }

    /// Exactly once: a call has one place.
    fn applies_call(&mut self, entry: &LogEntryProto) -> Result<(), String> {
        let Some(LogEntryBody::StateMachineLogEntry(body)) = &entry.log_entry_body else {
            return Ok(());
        };
        match self.calls.insert(body.call_id, entry.index) {
            Some(before) if before != entry.index => Err(format!(
                "exactly once: call {} is applied at {before} and at {}",
                body.call_id, entry.index
            )),
            _ => Ok(()),
        }
    }

    /// State machine safety: everybody applies the same at the same index.
    pub(crate) fn applies(&mut self, node: usize, entry: &LogEntryProto) -> Result<(), String> {
        let new = (entry.term, fingerprint(entry));
        match self.applied.insert(entry.index, new) {
            Some(old) if old != new => Err(format!(
                "state machine safety: {node} applies term {} at {}, somebody applied term {}",
                entry.term, entry.index, old.0
            )),
            _ => self.applies_call(entry),
        }
    }

    /// A client has its answer.
    pub(crate) fn acknowledges(&mut self, call: u64, index: u64) {
        self.acknowledged_calls.insert(call, index);
        self.acknowledged = self.acknowledged.max(Some(index));
    }

    /// Linearizable reads: a read sees everything that was acknowledged before it began.
    pub(crate) fn reads(&self, floor: Option<u64>, index: u64) -> Result<(), String> {
        if floor > Some(index) {
            return Err(format!(
                "linearizable reads: read at {index} misses acknowledged {floor:?}"
            ));
        }
        Ok(())
    }
}
