//! What must hold after every event.

use std::collections::BTreeMap;

use prost::Message as _;
use ratis_proto::common::LogEntryProto;

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

    /// State machine safety: everybody applies the same at the same index.
    pub(crate) fn applies(&mut self, node: usize, entry: &LogEntryProto) -> Result<(), String> {
        let new = (entry.term, fingerprint(entry));
        match self.applied.insert(entry.index, new) {
            Some(old) if old != new => Err(format!(
                "state machine safety: {node} applies term {} at {}, somebody applied term {}",
                entry.term, entry.index, old.0
            )),
            _ => Ok(()),
        }
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
