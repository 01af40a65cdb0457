//! Replication, commits, watches and reads of a leader.

use ratis_proto::common::ReplicationLevel;

use super::*;
use crate::{ProposeError, RequestId, Role};

const ABC: [&str; 3] = ["a", "b", "c"];

/// A leader whose first entry (0) is committed and applied.
fn ready() -> Member {
    let mut a = Member::of(&ABC).lead();
    let first = a.did.clone();
    a.flush();
    a.did = first;
    a.takes("b");
    a.did.clear();
    a.apply();
    assert_eq!(a.core.leadership().role, Role::Leader { ready: true });
    a
}

#[test]
fn the_first_entry_of_a_term_is_the_configuration_and_makes_the_leader_ready() {
    let mut a = Member::of(&ABC).lead();
    let Some(Effect::Append(entries)) =
        a.did.iter().find(|effect| matches!(effect, Effect::Append(_)))
    else {
        panic!("{:?}", a.did)
    };
    assert!(matches!(entries[0].log_entry_body, Some(LogEntryBody::ConfigurationEntry(_))));
    assert_eq!((entries[0].term, entries[0].index), (1, 0));
    let refused = a.core.propose(0, StateMachineLogEntryProto::default());
    assert_eq!(refused, Err(ProposeError::NotReady));
    a.takes("b");
    assert_eq!(a.commit(), None, "the leader's own disk counts, too");
    a.flush();
    assert_eq!(a.commit(), Some(0));
    a.apply();
    assert_eq!(a.core.leadership().role, Role::Leader { ready: true });
}

#[test]
fn proposals_that_come_together_travel_together() {
    let mut a = ready();
    for (request, _) in a.appends_to("c") {
        a.replied("c", &request, AppendResult::Success, Some(0), 1);
    }
    let now = a.now;
    a.act(|core, _| {
        for _ in 0..3 {
            core.propose(now, StateMachineLogEntryProto::default()).unwrap();
        }
    });
    let sent = a.appends_to("b");
    assert_eq!((sent.len(), sent[0].1.clone()), (1, 1..4));
}

#[test]
fn a_fresh_stream_waits_for_its_first_answer_and_then_pipelines() {
    let mut a = Member::of(&ABC).lead();
    let (first, _) = a.appends_to("b").remove(0);
    a.flush();
    a.did.clear();
    a.replied("b", &first, AppendResult::Success, Some(0), 1);
    a.apply();
    for expected in 1..=8 {
        a.propose();
        assert_eq!(a.appends_to("b").len(), 1, "request {expected} goes out");
        assert!(a.appends_to("c").is_empty(), "c has not answered its first one");
    }
    a.propose();
    assert!(a.appends_to("b").is_empty(), "eight are outstanding");
}

#[test]
fn an_entry_of_an_earlier_term_is_committed_only_by_one_of_this_term() {
    let mut a = Member::with_log(&ABC, &[1, 1]).lead();
    a.flush();
    let request = AppendEntriesRequestProto {
        server_request: header("a", (2 << 40) + 1),
        leader_term: 2,
        ..AppendEntriesRequestProto::default()
    };
    a.replied("b", &request, AppendResult::Success, Some(1), 2);
    assert_eq!(a.commit(), None);
    a.replied("b", &request, AppendResult::Success, Some(2), 3);
    assert_eq!(a.commit(), Some(2));
}

#[test]
fn an_answer_to_an_earlier_leadership_does_not_count() {
    let mut a = ready();
    let at = a.propose();
    a.flush();
    let stale = AppendEntriesRequestProto {
        server_request: header("a", (9 << 40) + 1),
        leader_term: 1,
        ..AppendEntriesRequestProto::default()
    };
    a.replied("b", &stale, AppendResult::Success, Some(at.index), at.index + 1);
    assert_eq!(a.commit(), Some(0));
}

#[test]
fn a_follower_cannot_have_more_than_there_is() {
    let mut a = ready();
    let request = AppendEntriesRequestProto {
        server_request: header("a", (1 << 40) + 1),
        leader_term: 1,
        ..AppendEntriesRequestProto::default()
    };
    a.replied("b", &request, AppendResult::Success, Some(u64::MAX - 1), u64::MAX);
    assert_eq!(a.commit(), Some(0));
}

#[test]
fn an_inconsistency_goes_back_to_where_the_follower_wants_it() {
    let mut a = Member::with_log(&ABC, &[1, 1, 1, 1]).lead();
    let (request, entries) = a.appends_to("b").remove(0);
    assert_eq!(entries, 4..5);
    a.replied("b", &request, AppendResult::Inconsistency, None, 2);
    assert!(
        a.did.iter().any(|effect| matches!(effect, Effect::Load { first: 2, .. })),
        "entries from before the start are read back: {:?}",
        a.did
    );
    let ticket = a
        .did
        .iter()
        .find_map(|effect| match effect {
            Effect::Load { ticket, .. } => Some(*ticket),
            _ => None,
        })
        .unwrap();
    a.act(|core, now| {
        assert!(!core.loaded(now, &PeerId::from("b"), ticket + 1, 2), "a stale load")
    });
    a.act(|core, now| assert!(core.loaded(now, &PeerId::from("b"), ticket, 2)));
    let (request, entries) = a.appends_to("b").remove(0);
    assert_eq!((entries, request.previous_log), (2..4, Some(TermIndexProto { term: 1, index: 1 })));
}

#[test]
fn a_broken_stream_sends_again_what_was_not_confirmed_after_the_back_off() {
    let mut a = ready();
    a.propose();
    a.propose();
    let now = a.now;
    a.act(|core, _| core.stream_failed(now, &PeerId::from("b"), None, now + 10));
    assert!(a.appends_to("b").is_empty());
    a.wait(10);
    assert_eq!(a.appends_to("b").remove(0).1, 1..3);
}

#[test]
fn a_request_without_an_answer_resets_the_stream() {
    let mut a = ready();
    a.propose();
    for _ in 0..12 {
        // c keeps the leadership alive; b says nothing.
        let beat = AppendEntriesRequestProto {
            server_request: header("a", (1 << 40) + 1),
            leader_term: 1,
            ..AppendEntriesRequestProto::default()
        };
        a.wait(90);
        let reset = a.did.contains(&Effect::ResetStream(PeerId::from("b")));
        if reset {
            return;
        }
        a.replied("c", &beat, AppendResult::Success, None, 1);
        if a.did.contains(&Effect::ResetStream(PeerId::from("b"))) {
            return;
        }
    }
    panic!("no reset within the request timeout");
}

#[test]
fn a_commit_is_told_at_once_to_a_follower_that_has_nothing_else_to_hear() {
    let mut a = ready();
    a.propose();
    let sent = a.did.clone();
    a.flush();
    a.did = sent;
    let (request, _) = a.appends_to("b").remove(0);
    a.replied("b", &request, AppendResult::Success, Some(1), 2);
    assert_eq!(a.commit(), Some(1));
    let (notice, entries) = a.appends_to("b").remove(0);
    assert!(entries.is_empty());
    assert_eq!(
        (notice.leader_commit, notice.previous_log),
        (1, Some(TermIndexProto { term: 1, index: 1 }))
    );
}

#[test]
fn silent_followers_get_a_heartbeat_after_half_the_election_timeout() {
    let mut a = ready();
    for (request, _) in a.appends_to("b") {
        a.replied("b", &request, AppendResult::Success, None, 1);
    }
    a.wait(49);
    assert!(a.appends_to("b").is_empty(), "{:?}", a.did);
    a.wait(1);
    assert_eq!(a.appends_to("b").len(), 1);
}

#[test]
fn watch_levels_follow_matches_and_commits() {
    let mut a = ready();
    assert_eq!(a.core.level(ReplicationLevel::Majority), Some(0));
    assert_eq!(a.core.level(ReplicationLevel::All), None, "c has nothing yet");
    assert_eq!(a.core.level(ReplicationLevel::MajorityCommitted), None);
    let request = AppendEntriesRequestProto {
        server_request: header("a", (1 << 40) + 1),
        leader_term: 1,
        ..AppendEntriesRequestProto::default()
    };
    a.replied("c", &request, AppendResult::Success, Some(0), 1);
    assert_eq!(a.core.level(ReplicationLevel::All), Some(0));
    for name in ["b", "c"] {
        let reply = AppendEntriesReplyProto {
            server_reply: Some(RaftRpcReplyProto {
                call_id: (1 << 40) + 1,
                success: true,
                ..RaftRpcReplyProto::default()
            }),
            follower_commit: 0,
            match_index: 0,
            ..AppendEntriesReplyProto::default()
        };
        a.act(|core, now| core.append_reply(now, &PeerId::from(name), &reply));
        assert!(a.did.contains(&Effect::Progress));
    }
    assert_eq!(a.core.level(ReplicationLevel::AllCommitted), Some(0));
    assert_eq!(a.core.commit_infos().len(), 3);
}

#[test]
fn a_read_waits_for_a_majority_that_answers_after_it_came() {
    let mut a = ready();
    a.wait(50);
    let (early, _) = a.appends_to("b").remove(0);
    a.act(|core, now| core.read(now, RequestId(5)));
    assert!(a.appends_to("b").is_empty(), "one heartbeat at a time");
    a.replied("b", &early, AppendResult::Success, None, 1);
    assert!(!a.did.contains(&Effect::Read(RequestId(5), Some(0))), "that was sent before");
    let (later, _) = a.appends_to("b").remove(0);
    a.replied("b", &later, AppendResult::Success, None, 1);
    assert!(a.did.contains(&Effect::Read(RequestId(5), Some(0))), "{:?}", a.did);
}

#[test]
fn a_follower_that_needs_purged_entries_is_told_to_fetch_the_state() {
    let recovered = Recovered {
        hard_state: HardState { term: 1, ..HardState::default() },
        snapshot: Some(TermIndex::new(1, 9)),
        log_start: 10,
        terms: vec![(1, 2)],
        ..Recovered::default()
    };
    let mut a = Member::with(peers(&ABC), recovered).lead();
    let (request, _) = a.appends_to("b").remove(0);
    a.replied("b", &request, AppendResult::Inconsistency, None, 3);
    assert!(
        a.did.iter().any(|effect| matches!(effect, Effect::Send(_, Message::Snapshot(_)))),
        "{:?}",
        a.did
    );
}

#[test]
fn a_silent_follower_is_reported_once() {
    let mut a = ready();
    let beat = AppendEntriesRequestProto {
        server_request: header("a", (1 << 40) + 1),
        leader_term: 1,
        ..AppendEntriesRequestProto::default()
    };
    let mut reports = 0;
    for _ in 0..60 {
        a.wait(100);
        reports +=
            a.did.iter().filter(|effect| **effect == Effect::Slow(Some(PeerId::from("b")))).count();
        a.replied("c", &beat, AppendResult::Success, None, 1);
    }
    assert_eq!(reports, 1);
}

#[test]
fn a_follower_of_a_higher_term_ends_the_leadership() {
    let mut a = ready();
    let reply = AppendEntriesReplyProto {
        server_reply: Some(RaftRpcReplyProto {
            call_id: (1 << 40) + 1,
            ..RaftRpcReplyProto::default()
        }),
        term: 6,
        result: AppendResult::NotLeader.into(),
        ..AppendEntriesReplyProto::default()
    };
    a.act(|core, now| core.append_reply(now, &PeerId::from("b"), &reply));
    assert_eq!((a.core.leadership().term, a.core.leadership().role), (6, Role::Follower));
}

#[test]
fn who_waits_for_everybody_learns_how_far_those_got_who_answer() {
    let mut a = ready();
    let index = a.propose().index;
    a.flush();
    let without_silent = |a: &Member, level| a.core.level_without_silent(level, a.now, 40);
    assert_eq!(without_silent(&a, ReplicationLevel::AllCommitted), None, "not silent for long");
    a.wait(40);
    let says = |a: &mut Member, matched: Option<u64>, commit| {
        let reply = AppendEntriesReplyProto {
            server_reply: Some(RaftRpcReplyProto {
                call_id: (1 << 40) + 99,
                success: true,
                ..RaftRpcReplyProto::default()
            }),
            term: 1,
            result: AppendResult::Success.into(),
            follower_commit: to_wire(commit),
            match_index: to_wire(matched),
            is_hearbeat: matched.is_none(),
            ..AppendEntriesReplyProto::default()
        };
        a.act(|core, now| core.append_reply(now, &PeerId::from("b"), &reply));
    };
    says(&mut a, Some(index), Some(0));
    assert_eq!(a.commit(), Some(index));
    assert_eq!(a.core.level(ReplicationLevel::AllCommitted), None, "c never said anything");
    assert_eq!(without_silent(&a, ReplicationLevel::AllCommitted), Some(0), "b is not there yet");
    says(&mut a, None, Some(index));
    assert_eq!(without_silent(&a, ReplicationLevel::AllCommitted), Some(index));
    assert_eq!(without_silent(&a, ReplicationLevel::All), Some(index));
    assert_eq!(without_silent(&a, ReplicationLevel::Majority), None);
}
