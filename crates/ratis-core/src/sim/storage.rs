//! What an engine does with its log: changes are queued, written in rounds, synced, reported; after a
//! crash the real recovery says what is left.

use ratis_log::LogSettings;
use ratis_log::Metadata;
use ratis_log::files::{Change, Frames, LogFiles};
use ratis_proto::common::LogEntryProto;

use super::node::{Job, Written};
use super::world::{Event, World, trace};
use crate::bugs::Bug;
use crate::types::{HardState, TermIndex};
use crate::{PeerId, Recovered};

/// Operations of a disk that a change takes, about.
const FUSE_MAX: u64 = 14;

impl World {
    // ---- what the core asks -------------------------------------------------------------------

    pub(crate) fn append(
        &mut self,
        node: usize,
        entries: Vec<LogEntryProto>,
    ) -> Result<(), String> {
        let frames = Frames::encode(&entries, 0);
        let last = entries.last().map(|entry| TermIndex::new(entry.term, entry.index));
        for entry in entries {
            let it = &self.nodes[node];
            if entry.index != it.log.next() {
                return Err(format!("n{node} appends {} at {}", entry.index, it.log.next()));
            }
            let before = entry.index.checked_sub(1).map_or(Some(0), |before| {
                let snapshot = it.saved.snapshot.filter(|at| at.index == before);
                it.log.get(before).map(|entry| entry.term).or(snapshot.map(|at| at.term))
            });
            self.checks.written(node, before, &entry)?;
            self.nodes[node].log.append(entry);
        }
        self.enqueue(node, Change::Append(frames), last);
        Ok(())
    }

    pub(crate) fn truncate(&mut self, node: usize, from: u64) -> Result<(), String> {
        let it = &mut self.nodes[node];
        if it.applied >= Some(from) {
            return Err(format!("n{node} truncates {from}, which is applied"));
        }
        it.log.truncate(from);
        if it.promised.is_some_and(|at| at.index >= from) {
            it.promised = from
                .checked_sub(1)
                .and_then(|index| Some(TermIndex::new(it.log.get(index)?.term, index)));
        }
        self.enqueue(node, Change::Truncate(from), None);
        Ok(())
    }

    pub(crate) fn reset_log(&mut self, node: usize, at: TermIndex) {
        let it = &mut self.nodes[node];
        it.log.reset(at);
        it.promised = None;
        self.enqueue(node, Change::Reset(at.index + 1), None);
    }

    pub(crate) fn save_vote(&mut self, node: usize, vote: HardState) {
        let it = &mut self.nodes[node];
        it.saving = true;
        it.coming_vote = Some(vote.clone());
        let metadata = Metadata {
            term: vote.term,
            voted_for: vote.voted_for.map(|id| id.to_string()),
            initializing: vote.initializing,
        };
        self.enqueue(node, Change::Metadata(metadata), None);
    }

    pub(crate) fn enqueue(&mut self, node: usize, change: Change, last: Option<TermIndex>) {
        self.nodes[node].jobs.push_back(Job { change, last });
        self.start_round(node);
    }

    // ---- rounds -------------------------------------------------------------------------------

    fn start_round(&mut self, node: usize) {
        let it = &mut self.nodes[node];
        if it.writing || it.jobs.is_empty() {
            return;
        }
        it.writing = true;
        let life = it.life;
        let delay = self.rng.range(0, self.plan.sync_max / 2);
        self.at(delay, Event::Write { node, life });
    }

    /// Some of what is queued is written.
    pub(crate) fn write_round(&mut self, node: usize) -> Result<(), String> {
        let jobs = self.rng.range(1, self.nodes[node].jobs.len().max(1) as u64);
        for _ in 0..jobs {
            let it = &mut self.nodes[node];
            let (Some(files), Some(job)) = (&mut it.files, it.jobs.pop_front()) else { break };
            it.written.vote |= matches!(job.change, Change::Metadata(_));
            it.written.purged |= matches!(job.change, Change::Purge(_));
            it.written.last = job.last.or(it.written.last);
            if let Err(error) = files.change(job.change) {
                return self.disk_failed(node, &error.to_string());
            }
        }
        let life = self.nodes[node].life;
        let delay = self.rng.range(0, self.plan.sync_max);
        self.at(delay, Event::Synced { node, life });
        Ok(())
    }

    /// What was written is synced and reported.
    pub(crate) fn end_round(&mut self, node: usize) -> Result<(), String> {
        let busy = self.rng.chance(300);
        let it = &mut self.nodes[node];
        let Some(files) = &mut it.files else { return Ok(()) };
        let synced = files.sync().and_then(|()| {
            let filled = files.fill_ahead()?;
            if filled && !busy { files.sync() } else { Ok(()) }
        });
        let first = files.first();
        if let Err(error) = synced {
            return self.disk_failed(node, &error.to_string());
        }
        it.writing = false;
        let Written { last, vote, purged } = std::mem::take(&mut it.written);
        if purged && it.log.start < first {
            self.summary.purges += 1;
            it.log.purge(first);
        }
        if let Some(last) = last {
            let current = it.log.get(last.index).is_some_and(|entry| entry.term == last.term);
            if current && it.promised.is_none_or(|at| at.index < last.index) {
                it.promised = Some(last);
            }
        }
        if vote {
            it.saving = false;
            it.waiting.pop_front();
            if let Some(vote) = it.coming_vote.take() {
                it.promised_vote = vote;
            }
        }
        self.start_round(node);
        let start = self.nodes[node].log.start;
        self.with_core(node, |core, now| {
            if purged {
                core.purged(start);
            }
            if let Some(last) = last {
                core.durable(now, last);
            }
        })
    }

    /// The group stops where its disk fails.
    fn disk_failed(&mut self, node: usize, error: &str) -> Result<(), String> {
        if !self.nodes[node].disk.has_failed() {
            return Err(format!("n{node} fails by itself: {error}"));
        }
        trace!(self, "n{node} stops: {error}");
        self.summary.disk_errors += 1;
        // What a failed sync leaves in the cache is worth nothing.
        self.nodes[node].disk.power_cut();
        self.nodes[node].lose_memory();
        Ok(())
    }

    // ---- crash and recovery -------------------------------------------------------------------

    /// The process or the machine ends, perhaps in the middle of a change.
    pub(crate) fn crash(&mut self, node: usize) {
        if self.nodes[node].core.is_none() {
            return;
        }
        self.summary.crashes += 1;
        let power_cut = self.rng.chance(self.plan.power_cuts);
        let fuse = self.rng.chance(500).then(|| self.rng.range(0, FUSE_MAX));
        trace!(self, "n{node} crashes, power cut {power_cut}, fuse {fuse:?}");
        let it = &mut self.nodes[node];
        if let (Some(fuse), Some(files)) = (fuse, &mut it.files) {
            it.disk.light_fuse(fuse);
            let mut going = true;
            for job in it.jobs.drain(..) {
                going = going && files.change(job.change).is_ok();
            }
            let _ = going && files.sync().is_ok();
        }
        if power_cut {
            self.summary.power_cuts += 1;
            it.disk.power_cut();
        } else {
            it.disk.killed();
        }
        it.lose_memory();
    }

    /// What the disk gives back; `None` if it fails while it is read, which leaves the node down.
    pub(crate) fn recover(&mut self, node: usize) -> Result<Option<Recovered>, String> {
        let settings = LogSettings {
            segment_bytes_max: self.plan.segment_bytes,
            preallocated_bytes: self.plan.zeros_bytes,
        };
        let fuse = (!self.healed && self.rng.chance(50)).then(|| self.rng.range(0, 3));
        let it = &mut self.nodes[node];
        if self.bug == Some(Bug::TornTailAccepted) {
            it.disk.accept_torn_tail();
        }
        if let Some(fuse) = fuse {
            it.disk.light_fuse(fuse);
        }
        let (files, found) = match LogFiles::open(Box::new(it.disk.clone()), settings) {
            Ok(opened) => opened,
            Err(error) => {
                let error = format!("the log does not open: {error}");
                return self.disk_failed(node, &error).map(|()| None);
            }
        };
        it.disk.killed();
        let log = it.disk.entries(found.next)?;
        if (log.start, log.next()) != (found.first, found.next) {
            return Err(format!(
                "n{node} finds {}..{}, but its disk holds {}..{}",
                found.first,
                found.next,
                log.start,
                log.next()
            ));
        }
        self.checks.recovers(node, &log, it.promised)?;
        let vote = HardState {
            term: found.metadata.term,
            voted_for: found.metadata.voted_for.as_deref().map(PeerId::from),
            initializing: found.metadata.initializing,
        };
        let coming = it.coming_vote.take();
        if vote != it.promised_vote && Some(&vote) != coming.as_ref() {
            return Err(format!(
                "durability: n{node} starts with {vote:?}, promised was {:?}",
                it.promised_vote
            ));
        }
        it.promised_vote = vote.clone();
        it.promised = found.last().map(|(term, index)| TermIndex::new(term, index));
        it.applied = it.saved.snapshot.map(|at| at.index);
        it.commit = it.applied;
        it.log = log;
        it.files = Some(files);
        let ends = found.terms.iter().skip(1).map(|(first, _)| *first).chain([found.next]);
        let terms = found.terms.iter().zip(ends);
        Ok(Some(Recovered {
            hard_state: vote,
            configuration: found.stored_configuration.unwrap_or_default(),
            terms: terms.map(|((first, term), end)| (*term, end - first)).collect(),
            configurations: found.configurations,
            snapshot: it.saved.snapshot,
            log_start: found.first,
            commit: found.noted_commit,
        }))
    }
}
