//! Carrying out what the Raft core asks for, in order.

use ratis_core::{Effect, Message, PeerId, Reply as PeerReply, ReplyTo, TermIndex};
use ratis_log::Metadata;
use ratis_proto::common::{LogEntryProto, log_entry_proto::LogEntryBody};

use crate::actor::{Actor, Owed};
use crate::apply::Job;
use crate::group::Event;
use crate::types::Leadership;

impl Actor {
    /// Carries out the core's effects, until none are left or one must wait for the disk.
    pub fn carry_out(&mut self) {
        loop {
            self.deferred.extend(self.core.take_effects());
            if self.deferred.is_empty() || self.barrier.is_some() {
                return;
            }
            while self.barrier.is_none()
                && let Some(effect) = self.deferred.pop_front()
            {
                self.effect(effect);
            }
        }
    }

    fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::SaveVote(state) => {
                let voted_for = state.voted_for.map(|peer| peer.0.to_string());
                let metadata =
                    Metadata { term: state.term, voted_for, initializing: state.initializing };
                self.barrier = Some(self.log.save_metadata(metadata));
            }
            Effect::Truncate(index) => self.truncate(index),
            Effect::Append(entries) => self.append(entries),
            Effect::ResetLog(at) => self.reset(at),
            Effect::Send(peer, message) => self.send(&peer, message),
            Effect::Reply(to, reply) => self.reply(to, reply),
            Effect::ResetStream(peer) => self.links.reset(&peer),
            Effect::Load { peer, ticket, first, entries_max } => {
                let bytes_max = self.settings.append_bytes_max;
                let reader = self.log.reader().clone();
                self.links.load(peer, ticket, first, entries_max, bytes_max, reader);
            }
            Effect::Commit(index) => {
                self.commit = Some(index);
                self.changed = true;
                self.hand_to_applier();
                self.serve_watches();
            }
            Effect::Leadership(leadership) => self.leadership(leadership),
            Effect::Progress => {
                self.changed = true;
                self.serve_watches();
            }
            Effect::InstallSnapshot { leader, first_available } => {
                self.install(leader, first_available);
            }
            Effect::Read(id, index) => self.read_at(id, index),
            Effect::Finished(id, outcome) => {
                if let Some(waiter) = self.changes.remove(&id) {
                    // Whoever asked may have gone.
                    let _ = waiter.send(Ok(outcome));
                }
            }
            Effect::Slow(peer) => {
                tracing::warn!(group = %self.group.id, peer = ?peer, "raft peer is silent");
                self.group.machine.peer_is_slow(peer.as_ref());
            }
            Effect::Removed => {
                self.break_down("this node was removed from the group".to_owned());
            }
        }
    }

    fn append(&mut self, entries: Vec<LogEntryProto>) {
        if let Err(error) = self.log.stage(&entries) {
            return self.break_down(error.to_string());
        }
        for entry in &entries {
            let at = TermIndex::new(entry.term, entry.index);
            match &entry.log_entry_body {
                Some(LogEntryBody::StateMachineLogEntry(body)) => {
                    let bulk = body.state_machine_entry.as_ref().map(|e| &e.state_machine_data);
                    if let Some(bulk) = bulk.filter(|b| !b.is_empty()) {
                        let writing = self.group.machine.write_bulk(at, body, bulk.clone());
                        self.bulk_open.insert(at.index, at.term);
                        self.bulk_writes.push(Box::pin(async move { (at, writing.await) }));
                    }
                }
                Some(LogEntryBody::ConfigurationEntry(configuration)) => {
                    let all = [configuration.peers.as_slice(), &configuration.listeners].concat();
                    self.links.keep(&all);
                    self.changed = true;
                }
                _ => {}
            }
        }
        self.held.push_back(entries);
        self.release_held();
        self.evict();
    }

    fn truncate(&mut self, index: u64) {
        tracing::info!(group = %self.group.id, index, "conflicting entries are replaced");
        for held in &mut self.held {
            held.retain(|entry| entry.index < index);
        }
        self.held.retain(|held| !held.is_empty());
        self.log.truncate(index);
        self.bulk_open.split_off(&index);
        let before = index.checked_sub(1);
        let before = before.and_then(|i| self.core.term_at(i).map(|term| TermIndex::new(term, i)));
        let clip = |at: &mut Option<TermIndex>| {
            if at.is_some_and(|at| at.index >= index) {
                *at = before;
            }
        };
        clip(&mut self.synced);
        clip(&mut self.durable);
        for (_, at) in &mut self.appends {
            if at.index >= index {
                match before {
                    Some(before) => *at = before,
                    None => *at = TermIndex::default(),
                }
            }
        }
        if before.is_none() {
            self.appends.clear();
        }
        let error = self.group.not_leader();
        while let Some(write) = self.writes.pop_back_if(|w| w.at.index >= index) {
            self.group.abort(write.key, &error);
        }
        self.group.machine.truncate(index);
    }

    fn reset(&mut self, at: TermIndex) {
        self.log.reset(at.index + 1);
        self.bulk_open.clear();
        self.held.clear();
        self.appends.clear();
        self.synced = Some(at);
        self.durable = Some(at);
        self.commit = self.commit.max(Some(at.index));
        self.apply_next = at.index + 1;
        self.applier.push(Job::Reset(at));
        self.changed = true;
    }

    fn send(&mut self, peer: &PeerId, message: Message) {
        let configuration = self.core.configuration();
        let old = configuration.old_peers.iter().chain(&configuration.old_listeners);
        let now = configuration.peers.iter().chain(&configuration.listeners);
        let mut known = now.chain(old).chain(&self.staged);
        let address = known.find(|p| *p.id == *peer.0.as_bytes()).map(|p| p.address.clone());
        self.links.send(peer, message, &self.log, address);
    }

    fn reply(&mut self, to: ReplyTo, reply: PeerReply) {
        let Some(owed) = self.owed.remove(&to.0) else { return };
        // A peer that has gone will ask again.
        match (owed, reply) {
            (Owed::Vote(sink), PeerReply::Vote(reply)) => drop(sink.send(Ok(reply))),
            (Owed::Append(sink), PeerReply::Append(reply)) => drop(sink.send(Ok(reply))),
            (Owed::Snapshot(sink), PeerReply::Snapshot(reply)) => drop(sink.send(Ok(reply))),
            (Owed::StartElection(sink), PeerReply::StartElection(reply)) => {
                drop(sink.send(Ok(reply)));
            }
            (Owed::ReadIndex(sink), PeerReply::ReadIndex(reply)) => drop(sink.send(Ok(reply))),
            _ => tracing::error!(group = %self.group.id, "a reply does not fit its request"),
        }
    }

    fn leadership(&mut self, new: ratis_core::Leadership) {
        let new =
            Leadership { group: self.group.id, term: new.term, role: new.role, leader: new.leader };
        tracing::info!(
            group = %new.group,
            term = new.term,
            role = ?new.role,
            leader = new.leader.as_ref().map(|l| &*l.0),
            "raft leadership"
        );
        let leads = matches!(new.role, ratis_core::Role::Leader { .. });
        self.group.leadership.send_replace(new.clone());
        self.changed = true;
        if !leads {
            self.fail_clients();
        }
        self.group.machine.leadership_changed(&new);
    }

    fn install(&mut self, leader: PeerId, first_available: TermIndex) {
        tracing::info!(group = %self.group.id, %leader, %first_available, "install a snapshot of the leader");
        let installing = self.group.machine.install_snapshot(leader, first_available);
        let group = self.group.clone();
        tokio::spawn(async move {
            let at = match installing.await {
                Ok(at) => Some(at),
                Err(error) => {
                    tracing::warn!(group = %group.id, %error, "the leader's state was not installed");
                    None
                }
            };
            group.send(Event::Installed(at));
        });
    }
}
