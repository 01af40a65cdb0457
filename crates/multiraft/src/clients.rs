//! What clients of a group wait for: writes, watches, reads, changes.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use ratis_core::{Millis, ProposeError, RequestId};
use ratis_proto::common::{ReplicationLevel, StateMachineEntryProto, StateMachineLogEntryProto};

use crate::actor::Actor;
use crate::error::RaftError;
use crate::group::{ChangeWaiter, Event, PendingWrite, Proposal};
use crate::retry_cache::Waiter;
use crate::state_machine::StateMachineError;
use crate::types::Reply;
use crate::watches::{LEVELS, LEVELS_OF_ALL};

impl Actor {
    pub fn propose(&mut self, now: Millis, proposal: Proposal) {
        let Proposal { key, log, bulk, context, permit } = proposal;
        let state_machine_entry = bulk.map(|data| StateMachineEntryProto {
            state_machine_data: data,
            log_entry_proto_serialized_size: 0,
        });
        let entry = StateMachineLogEntryProto {
            log_data: log,
            state_machine_entry,
            client_id: Bytes::copy_from_slice(&key.client.to_be_bytes()),
            call_id: key.call,
            ..Default::default()
        };
        match self.core.propose(now, entry) {
            Ok(at) => self.writes.push_back(PendingWrite { at, key, context, permit }),
            Err(refusal) => {
                let error = self.refusal(&refusal);
                self.group.abort(key, &error);
            }
        }
    }

    pub fn refusal(&self, refusal: &ProposeError) -> RaftError {
        let id = self.group.id;
        match refusal {
            ProposeError::NotLeader => self.group.not_leader(),
            ProposeError::NotReady => RaftError::LeaderNotReady(id),
            ProposeError::SteppingDown => RaftError::SteppingDown(id),
            ProposeError::Busy | ProposeError::Invalid(_) => {
                RaftError::StateMachine(StateMachineError {
                    class: "java.lang.IllegalArgumentException".to_owned(),
                    message: refusal.to_string(),
                })
            }
        }
    }

    pub fn change(
        &mut self,
        id: RequestId,
        result: Result<(), ProposeError>,
        waiter: ChangeWaiter,
    ) {
        match result {
            Ok(()) => {
                self.changes.insert(id, waiter);
            }
            Err(refusal) => {
                // Whoever asked may have gone.
                let _ = waiter.send(Err(self.refusal(&refusal)));
            }
        }
    }

    pub fn watch(&mut self, now: Millis, index: u64, level: ReplicationLevel, waiter: Waiter) {
        let answer = match self.core.level(level) {
            Some(reached) if reached >= index => Ok(self.watch_reply(reached)),
            // The dummy watch that opens a Java client's stream asks for 0, even of an empty log.
            None if index == 0 && self.group.check_leader().is_ok() => Ok(self.watch_reply(0)),
            _ if self.group.check_leader().is_err() => Err(self.group.not_leader()),
            _ => {
                let until = now + self.settings.watch_timeout.as_millis() as Millis;
                match self.watches.add(index, level, until, waiter) {
                    Ok(()) => self.serve_hopeless_watches(),
                    Err(waiter) => {
                        let _ = waiter.send(Err(RaftError::ResourceUnavailable(self.group.id)));
                    }
                }
                return;
            }
        };
        // A client that has gone will ask again.
        let _ = waiter.send(answer);
    }

    pub fn watch_reply(&self, index: u64) -> Reply {
        let commits = Arc::new(self.core.commit_infos());
        Reply { index, message: Bytes::new(), commits }
    }

    /// Matched or committed indices moved.
    pub fn serve_watches(&mut self) {
        if self.watches.is_empty() {
            return;
        }
        for level in LEVELS {
            let Some(reached) = self.core.level(level) else { continue };
            while let Some((_, waiter)) = self.watches.pop_reached(level, reached) {
                let _ = waiter.send(Ok(self.watch_reply(reached)));
            }
        }
        self.serve_hopeless_watches();
    }

    /// Who waits for every member while one does not answer is told so as soon as all others have the
    /// entry. A genuine server says the same when its watch timeout is over; so long the client stands
    /// still, for every key.
    pub fn serve_hopeless_watches(&mut self) {
        let Some(patience) = self.silence_timeout() else { return };
        if !self.watches.any_for_all() {
            return;
        }
        let now = self.now();
        for level in LEVELS_OF_ALL {
            let reached = self.core.level_without_silent(level, now, patience);
            let Some(reached) = reached else { continue };
            while let Some((index, waiter)) = self.watches.pop_reached(level, reached) {
                let commits = self.core.commit_infos();
                let _ = waiter.send(Err(RaftError::NotReplicated { index, level, commits }));
            }
        }
    }

    fn silence_timeout(&self) -> Option<Millis> {
        self.settings.watch_silence_timeout.map(|timeout| timeout.as_millis() as Millis)
    }

    /// When watches are to be looked at again.
    pub fn watches_deadline(&self) -> Option<Millis> {
        let expiry = self.watches.deadline();
        let silence = self
            .silence_timeout()
            .filter(|_| self.watches.any_for_all())
            .and_then(|patience| self.core.silence_deadline(self.now(), patience));
        [expiry, silence].into_iter().flatten().min()
    }

    pub fn expire_watches(&mut self, now: Millis) {
        while let Some((index, level, waiter)) = self.watches.pop_expired(now) {
            let commits = self.core.commit_infos();
            let _ = waiter.send(Err(RaftError::NotReplicated { index, level, commits }));
        }
    }

    /// A read may be served once this index is applied.
    pub fn read_at(&mut self, id: RequestId, index: Option<u64>) {
        let Some(waiter) = self.reads.remove(&id) else { return };
        match index {
            Some(index) => {
                self.read_waits.insert((index, id.0), waiter);
                self.serve_reads();
            }
            None => {
                let error = match self.group.check_leader() {
                    Err(error) => error,
                    Ok(()) => RaftError::LeaderNotReady(self.group.id),
                };
                let _ = waiter.send(Err(error));
            }
        }
    }

    pub fn serve_reads(&mut self) {
        while let Some(first) = self.read_waits.first_entry()
            && self.applied.is_some_and(|applied| first.key().0 <= applied)
        {
            let ((index, _), waiter) = first.remove_entry();
            // A reader that has gone needs nothing.
            let _ = waiter.send(Ok(index));
        }
    }

    /// Leadership is lost or changed hands: nobody here may promise anything.
    pub fn fail_clients(&mut self) {
        let error = self.group.not_leader();
        for write in std::mem::take(&mut self.writes) {
            self.group.abort(write.key, &error);
        }
        for waiter in self.watches.drain() {
            let _ = waiter.send(Err(error.clone()));
        }
    }

    pub fn gone(&self) -> RaftError {
        match &self.broken {
            Some(message) => RaftError::Log { group: self.group.id, message: message.clone() },
            None => RaftError::AlreadyClosed(self.group.id),
        }
    }

    pub fn fail_everybody(&mut self) {
        let error = self.gone();
        self.writes.clear();
        let pending = self.group.retry.lock().abort_all();
        for waiter in pending.into_iter().chain(self.watches.drain()) {
            let _ = waiter.send(Err(error.clone()));
        }
        let reads = std::mem::take(&mut self.reads).into_values();
        for waiter in reads.chain(std::mem::take(&mut self.read_waits).into_values()) {
            let _ = waiter.send(Err(error.clone()));
        }
        for (_, waiter) in self.changes.drain() {
            let _ = waiter.send(Err(error.clone()));
        }
        // Dropping a sink tells the peer that the stream is of no use.
        self.owed.clear();
        self.deferred.clear();
    }

    /// Answers an event of a group that cannot go on. Sinks that are dropped answer for themselves.
    pub fn refuse(&mut self, event: Event) {
        match event {
            Event::Propose(proposal) => {
                self.group.gate.taken();
                self.group.abort(proposal.key, &self.gone());
            }
            Event::Watch(_, _, waiter) => {
                let _ = waiter.send(Err(self.gone()));
            }
            Event::Read(waiter) => {
                let _ = waiter.send(Err(self.gone()));
            }
            Event::Tick => self.group.ticking.store(false, Ordering::Release),
            _ => {}
        }
    }
}
