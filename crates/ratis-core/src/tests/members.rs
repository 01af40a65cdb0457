//! Changing members and handing leadership over.

use super::*;
use crate::{Outcome, ProposeError, RequestId, Role};

/// A lone leader, ready.
fn lone() -> Member {
    let mut a = Member::of(&["a"]);
    a.wait(0);
    a.flush();
    a.apply();
    assert_eq!(a.core.leadership().role, Role::Leader { ready: true });
    a
}

fn change(a: &mut Member, names: &[&str]) -> Result<(), ProposeError> {
    let mut outcome = Ok(());
    let wanted = peers(names);
    a.act(|core, now| outcome = core.set_configuration(now, RequestId(1), wanted, Vec::new()));
    outcome
}

/// The new peer takes everything until nothing more is sent to it.
fn serve(a: &mut Member, name: &str) {
    for _ in 0..20 {
        let loads: Vec<u64> = a
            .did
            .iter()
            .filter_map(|effect| match effect {
                Effect::Load { ticket, .. } => Some(*ticket),
                _ => None,
            })
            .collect();
        for ticket in loads {
            a.act(|core, now| assert!(core.loaded(now, &PeerId::from(name), ticket, 1)));
        }
        let sent = a.appends_to(name);
        if sent.is_empty() {
            a.flush();
            if a.appends_to(name).is_empty() {
                return;
            }
            continue;
        }
        for (request, entries) in sent {
            let matched = entries.end.checked_sub(1).filter(|_| !entries.is_empty());
            a.replied(name, &request, AppendResult::Success, matched, entries.end);
        }
    }
}

#[test]
fn a_new_peer_is_brought_up_before_it_counts() {
    let mut a = lone();
    change(&mut a, &["a", "b"]).unwrap();
    let (request, _) = a.appends_to("b").remove(0);
    assert!(request.initializing);
    assert!(a.core.configuration().old_peers.is_empty());
    assert_eq!(change(&mut a, &["a", "c"]), Err(ProposeError::Busy));
}

#[test]
fn a_change_passes_through_the_joint_configuration() {
    let mut a = lone();
    change(&mut a, &["a", "b"]).unwrap();
    serve(&mut a, "b");
    a.wait(1);
    serve(&mut a, "b");
    let conf = a.core.configuration();
    assert_eq!((conf.peers.len(), conf.old_peers.len()), (2, 0));
    let status = a.core.status();
    assert_eq!(status.last.map(|last| last.index), Some(2), "first entry, joint, new");
    assert_eq!(status.commit, Some(2));
}

#[test]
fn a_new_peer_that_never_answers_fails_the_change() {
    let mut a = lone();
    change(&mut a, &["a", "b"]).unwrap();
    for _ in 0..7 {
        a.wait(100);
        if a.did.contains(&Effect::Finished(RequestId(1), Outcome::TimedOut)) {
            assert_eq!(a.core.configuration().peers.len(), 1);
            return;
        }
    }
    panic!("no end after three election timeouts");
}

#[test]
fn nobody_and_the_same_peer_twice_are_no_configuration() {
    let mut a = lone();
    assert!(matches!(change(&mut a, &[]), Err(ProposeError::Invalid(_))));
    assert!(matches!(change(&mut a, &["a", "b", "b"]), Err(ProposeError::Invalid(_))));
    change(&mut a, &["a"]).unwrap();
    assert!(a.did.contains(&Effect::Finished(RequestId(1), Outcome::Done)), "no change, done");
}

#[test]
fn a_member_that_is_taken_in_neither_campaigns_nor_votes() {
    let mut b = Member::with(Vec::new(), Recovered::default());
    let request = AppendEntriesRequestProto {
        server_request: header("z", 1),
        leader_term: 3,
        entries: vec![conf_entry(Some(TermIndex::new(3, 0)), peers(&["a", "z"]))],
        leader_commit: to_wire(None),
        initializing: true,
        ..AppendEntriesRequestProto::default()
    };
    b.act(|core, now| core.append_request(now, ReplyTo(1), request));
    assert!(
        b.did.iter().any(|effect| matches!(effect, Effect::SaveVote(vote) if vote.initializing))
    );
    b.flush();
    b.wait(500);
    assert_eq!(b.core.leadership().role, Role::Follower);
    assert!(!b.grants("z", 4, false, Some(TermIndex::new(9, 9))));
    let request = AppendEntriesRequestProto {
        server_request: header("z", 2),
        leader_term: 3,
        leader_commit: to_wire(None),
        ..AppendEntriesRequestProto::default()
    };
    b.act(|core, now| core.append_request(now, ReplyTo(1), request));
    assert!(
        b.did.iter().any(|effect| matches!(effect, Effect::SaveVote(vote) if !vote.initializing))
    );
    b.now += 200;
    assert!(b.grants("z", 4, false, Some(TermIndex::new(9, 9))));
}

#[test]
fn a_listener_never_campaigns() {
    let configuration = LogEntryProto {
        index: u64::MAX,
        log_entry_body: Some(LogEntryBody::ConfigurationEntry(RaftConfigurationProto {
            peers: peers(&["b", "c"]),
            listeners: peers(&["a"]),
            ..RaftConfigurationProto::default()
        })),
        ..LogEntryProto::default()
    };
    let settings = Settings::new(PeerId::from("a"), Bytes::from_static(b"group"), 1);
    let mut core = Core::new(settings, Recovered { configuration, ..Recovered::default() }, 0);
    core.tick(1_000_000);
    assert!(!core.take_effects().iter().any(|effect| matches!(effect, Effect::Send(..))));
    assert_eq!(core.leadership().role, Role::Listener);
}

#[test]
fn leadership_goes_to_a_complete_follower_of_higher_priority() {
    let ranked = vec![peer("a", 0), peer("b", 1)];
    let mut a = Member::with(ranked, Recovered::default()).lead();
    let sent = a.did.clone();
    a.flush();
    a.did = sent;
    a.takes("b");
    a.apply();
    a.wait(30);
    assert!(
        a.did.iter().any(|effect| matches!(effect, Effect::Send(_, Message::StartElection(_))))
    );
    let refused = a.core.propose(a.now, StateMachineLogEntryProto::default());
    assert_eq!(refused, Err(ProposeError::SteppingDown));
}

#[test]
fn a_leader_goes_on_when_the_follower_of_higher_priority_refuses() {
    let ranked = vec![peer("a", 0), peer("b", 1)];
    let mut a = Member::with(ranked, Recovered::default()).lead();
    let sent = a.did.clone();
    a.flush();
    a.did = sent;
    a.takes("b");
    a.apply();
    a.wait(30);
    let refusal = ratis_proto::common::StartLeaderElectionReplyProto::default();
    a.act(|core, now| core.start_election_reply(now, &PeerId::from("b"), &refusal));
    a.propose();
    a.wait(30);
    assert_eq!(a.core.check_leader(), Ok(()), "it does not try again at once");
}

#[test]
fn a_transfer_needs_a_voter_of_highest_priority_and_is_done_when_it_leads() {
    let mut a = Member::of(&["a", "b", "c"]).lead();
    let sent = a.did.clone();
    a.flush();
    a.did = sent;
    a.takes("b");
    a.apply();
    let ask = |a: &mut Member, to: &str| {
        let mut outcome = Ok(());
        let to = Some(PeerId::from(to));
        a.act(|core, now| outcome = core.transfer(now, RequestId(7), to, 1_000));
        outcome
    };
    assert!(matches!(ask(&mut a, "x"), Err(ProposeError::Invalid(_))));
    ask(&mut a, "b").unwrap();
    assert!(
        a.did.iter().any(|effect| matches!(effect, Effect::Send(_, Message::StartElection(_))))
    );
    assert!(a.grants("b", 2, false, Some(TermIndex::new(1, 0))));
    a.append("b", 2, Some(TermIndex::new(1, 0)), vec![], None);
    assert!(a.did.contains(&Effect::Finished(RequestId(7), Outcome::Done)), "{:?}", a.did);
}

#[test]
fn what_waits_for_a_leader_ends_with_its_leadership() {
    let mut a = lone();
    change(&mut a, &["a", "b"]).unwrap();
    a.act(|core, now| core.transfer(now, RequestId(2), None, 0).unwrap());
    assert!(a.did.contains(&Effect::Finished(RequestId(1), Outcome::LeadershipLost)));
    assert!(a.did.contains(&Effect::Finished(RequestId(2), Outcome::Done)));
}
