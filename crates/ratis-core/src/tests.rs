//! Rules of one member, one sentence each.

mod elections;
mod following;
mod leading;
mod members;

use bytes::Bytes;
use ratis_proto::common::append_entries_reply_proto::AppendResult;
use ratis_proto::common::log_entry_proto::LogEntryBody;
use ratis_proto::common::{
    AppendEntriesReplyProto, AppendEntriesRequestProto, LogEntryProto, RaftConfigurationProto,
    RaftPeerProto, RaftRpcReplyProto, RaftRpcRequestProto, RequestVoteReplyProto,
    RequestVoteRequestProto, StateMachineLogEntryProto, TermIndexProto,
};

use crate::types::{HardState, last_to_wire, to_wire};
use crate::{Core, Effect, Message, PeerId, Recovered, Reply, ReplyTo, Settings, TermIndex};

/// A member under test: "a" of a group, with the time and what it did last.
struct Member {
    core: Core,
    now: u64,
    did: Vec<Effect>,
}

fn peers(names: &[&str]) -> Vec<RaftPeerProto> {
    names.iter().map(|name| peer(name, 0)).collect()
}

fn peer(name: &str, priority: u32) -> RaftPeerProto {
    RaftPeerProto {
        id: Bytes::copy_from_slice(name.as_bytes()),
        priority,
        ..RaftPeerProto::default()
    }
}

fn conf_entry(at: Option<TermIndex>, peers: Vec<RaftPeerProto>) -> LogEntryProto {
    LogEntryProto {
        term: at.map_or(0, |at| at.term),
        index: to_wire(at.map(|at| at.index)),
        log_entry_body: Some(LogEntryBody::ConfigurationEntry(RaftConfigurationProto {
            peers,
            ..RaftConfigurationProto::default()
        })),
    }
}

fn entry(term: u64, index: u64) -> LogEntryProto {
    LogEntryProto {
        term,
        index,
        log_entry_body: Some(LogEntryBody::StateMachineLogEntry(StateMachineLogEntryProto {
            call_id: index,
            ..StateMachineLogEntryProto::default()
        })),
    }
}

fn header(from: &str, call_id: u64) -> Option<RaftRpcRequestProto> {
    Some(RaftRpcRequestProto {
        requestor_id: PeerId::from(from).to_wire(),
        call_id,
        ..RaftRpcRequestProto::default()
    })
}

impl Member {
    fn of(names: &[&str]) -> Self {
        Self::with(peers(names), Recovered::default())
    }

    fn with(peers: Vec<RaftPeerProto>, recovered: Recovered) -> Self {
        let settings = Settings {
            election_timeout_min: 100,
            election_timeout_max: 200,
            first_election_delay: None,
            request_timeout: 1_000,
            slowness_timeout: 3_000,
            step_down_wait: 500,
            ..Settings::new(PeerId::from("a"), Bytes::from_static(b"group"), 1)
        };
        let configuration = conf_entry(None, peers);
        let core = Core::new(settings, Recovered { configuration, ..recovered }, 0);
        Self { core, now: 0, did: Vec::new() }.settle()
    }

    /// A log of entries of these terms, from 0, all durable.
    fn with_log(names: &[&str], terms: &[u64]) -> Self {
        let hard_state =
            HardState { term: terms.iter().copied().max().unwrap_or(0), ..HardState::default() };
        let terms = terms.iter().map(|term| (*term, 1)).collect();
        Self::with(peers(names), Recovered { hard_state, terms, ..Recovered::default() })
    }

    fn settle(mut self) -> Self {
        self.did = self.core.take_effects();
        self
    }

    fn act(&mut self, input: impl FnOnce(&mut Core, u64)) -> &[Effect] {
        input(&mut self.core, self.now);
        self.did = self.core.take_effects();
        &self.did
    }

    fn wait(&mut self, millis: u64) -> &[Effect] {
        self.now += millis;
        self.act(|core, now| core.tick(now))
    }

    /// Everything written so far is on the disk.
    fn flush(&mut self) -> &[Effect] {
        let last = self.core.status().last;
        self.act(|core, now| {
            if let Some(last) = last {
                core.durable(now, last);
            }
        })
    }

    fn apply(&mut self) -> &[Effect] {
        let commit = self.core.status().commit;
        self.act(|core, now| {
            if let Some(commit) = commit {
                core.applied(now, commit);
            }
        })
    }

    fn asked(
        &mut self,
        from: &str,
        term: u64,
        pre_vote: bool,
        last: Option<TermIndex>,
    ) -> RequestVoteReplyProto {
        let request = RequestVoteRequestProto {
            server_request: header(from, 0),
            candidate_term: term,
            candidate_last_entry: last.map(Into::into),
            pre_vote,
        };
        self.act(|core, now| core.vote_request(now, ReplyTo(1), request));
        self.did
            .iter()
            .find_map(|effect| match effect {
                Effect::Reply(_, Reply::Vote(reply)) => Some(reply.clone()),
                _ => None,
            })
            .expect("a vote request is answered at once")
    }

    fn grants(&mut self, from: &str, term: u64, pre_vote: bool, last: Option<TermIndex>) -> bool {
        self.asked(from, term, pre_vote, last).server_reply.is_some_and(|reply| reply.success)
    }

    /// The vote requests among what it did: to whom, and for which term and phase.
    fn asks(&self) -> Vec<(PeerId, RequestVoteRequestProto)> {
        let vote = |effect: &Effect| match effect {
            Effect::Send(to, Message::Vote(request)) => Some((to.clone(), request.clone())),
            _ => None,
        };
        self.did.iter().filter_map(vote).collect()
    }

    /// Answers the vote requests among what it did.
    fn answer_votes(&mut self, answer: impl Fn(&str) -> Option<RequestVoteReplyProto>) {
        let mut did = Vec::new();
        for (to, request) in self.asks() {
            if let Some(reply) = answer(&to.0) {
                self.act(|core, now| core.vote_reply(now, &to, &request, &reply));
                did.append(&mut self.did);
            }
        }
        self.did = did;
    }

    /// Elected by everybody, and its first entry durable.
    fn lead(mut self) -> Self {
        self.wait(200);
        self.answer_votes(|_| Some(granted()));
        self.answer_votes(|_| Some(granted()));
        assert!(matches!(self.core.leadership().role, crate::Role::Leader { .. }));
        self
    }

    fn append(
        &mut self,
        from: &str,
        term: u64,
        previous: Option<TermIndex>,
        entries: Vec<LogEntryProto>,
        commit: Option<u64>,
    ) -> Option<AppendEntriesReplyProto> {
        let request = AppendEntriesRequestProto {
            server_request: header(from, 7),
            leader_term: term,
            previous_log: previous.map(Into::into),
            entries,
            leader_commit: to_wire(commit),
            ..AppendEntriesRequestProto::default()
        };
        self.act(|core, now| core.append_request(now, ReplyTo(2), request));
        self.append_reply()
    }

    fn append_reply(&self) -> Option<AppendEntriesReplyProto> {
        self.did.iter().find_map(|effect| match effect {
            Effect::Reply(_, Reply::Append(reply)) => Some(reply.clone()),
            _ => None,
        })
    }

    /// The append requests among what it did, with the entries they are to carry.
    fn appends_to(&self, to: &str) -> Vec<(AppendEntriesRequestProto, std::ops::Range<u64>)> {
        let append = |effect: &Effect| match effect {
            Effect::Send(peer, Message::Append { request, entries }) if &*peer.0 == to => {
                Some((request.clone(), entries.clone()))
            }
            _ => None,
        };
        self.did.iter().filter_map(append).collect()
    }

    /// A follower answers a request.
    fn replied(
        &mut self,
        from: &str,
        request: &AppendEntriesRequestProto,
        result: AppendResult,
        matched: Option<u64>,
        next: u64,
    ) -> &[Effect] {
        let reply = AppendEntriesReplyProto {
            server_reply: Some(RaftRpcReplyProto {
                call_id: request.server_request.as_ref().map_or(0, |header| header.call_id),
                success: result == AppendResult::Success,
                ..RaftRpcReplyProto::default()
            }),
            term: request.leader_term,
            next_index: next,
            result: result.into(),
            follower_commit: to_wire(None),
            match_index: to_wire(matched),
            is_hearbeat: matched.is_none() && result == AppendResult::Success,
        };
        let from = PeerId::from(from);
        self.act(|core, now| core.append_reply(now, &from, &reply))
    }

    /// The peer takes everything that was sent to it.
    fn takes(&mut self, from: &str) {
        let mut did = Vec::new();
        for (request, entries) in self.appends_to(from) {
            let matched = entries.end.checked_sub(1).filter(|_| !entries.is_empty());
            self.replied(from, &request, AppendResult::Success, matched, entries.end);
            did.append(&mut self.did);
        }
        self.did = did;
    }

    fn commit(&self) -> Option<u64> {
        self.core.status().commit
    }

    fn propose(&mut self) -> TermIndex {
        let mut at = None;
        self.act(|core, now| {
            at = core.propose(now, StateMachineLogEntryProto::default()).ok();
        });
        at.expect("a ready leader takes proposals")
    }
}

fn granted() -> RequestVoteReplyProto {
    RequestVoteReplyProto {
        server_reply: Some(RaftRpcReplyProto { success: true, ..RaftRpcReplyProto::default() }),
        last_entry: Some(TermIndexProto { term: 1, index: 0 }),
        ..RequestVoteReplyProto::default()
    }
}

fn refused(term: u64) -> RequestVoteReplyProto {
    RequestVoteReplyProto {
        server_reply: Some(RaftRpcReplyProto::default()),
        term,
        last_entry: Some(last_to_wire(None)),
        ..RequestVoteReplyProto::default()
    }
}
