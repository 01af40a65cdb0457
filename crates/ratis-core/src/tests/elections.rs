//! Who votes for whom, and who wins.

use super::*;
use crate::Role;

const ABC: [&str; 3] = ["a", "b", "c"];

#[test]
fn a_lone_member_leads_at_once() {
    let mut a = Member::of(&["a"]);
    assert_eq!(a.core.deadline(), 0);
    a.wait(0);
    assert_eq!(a.core.leadership().role, Role::Leader { ready: false });
    let saved = HardState { term: 1, voted_for: Some(PeerId::from("a")), initializing: false };
    let at_vote = a.did.iter().position(|effect| *effect == Effect::SaveVote(saved.clone()));
    let at_entry = a.did.iter().position(|effect| matches!(effect, Effect::Append(_)));
    assert!(at_vote.is_some() && at_vote < at_entry, "{:?}", a.did);
}

#[test]
fn a_silent_leader_is_missed_after_the_election_timeout() {
    let mut a = Member::of(&ABC);
    assert!(a.wait(99).is_empty());
    assert!((100..=200).contains(&a.core.deadline()));
    a.wait(101);
    assert_eq!(a.core.leadership().role, Role::Candidate);
    assert_eq!(a.asks().len(), 2);
}

#[test]
fn a_pre_vote_changes_nothing_and_asks_at_the_current_term() {
    let mut a = Member::with_log(&ABC, &[3]);
    a.wait(200);
    assert!(!a.did.iter().any(|effect| matches!(effect, Effect::SaveVote(_))));
    for (_, request) in a.asks() {
        assert!(request.pre_vote);
        assert_eq!(request.candidate_term, 3);
        assert_eq!(request.candidate_last_entry, Some(TermIndexProto { term: 3, index: 0 }));
    }
}

#[test]
fn an_empty_log_is_not_named_in_a_vote_request_and_is_0_minus_1_in_a_reply() {
    let mut a = Member::of(&ABC);
    a.wait(200);
    assert!(a.asks().iter().all(|(_, request)| request.candidate_last_entry.is_none()));
    let reply = Member::of(&ABC).asked("b", 1, false, None);
    assert_eq!(reply.last_entry, Some(TermIndexProto { term: 0, index: u64::MAX }));
}

#[test]
fn after_the_pre_vote_the_term_rises_and_the_vote_is_saved_before_anybody_is_asked() {
    let mut a = Member::of(&ABC);
    a.wait(200);
    a.answer_votes(|name| (name == "b").then(granted));
    let save =
        a.did.iter().position(|effect| matches!(effect, Effect::SaveVote(vote) if vote.term == 1));
    let ask = a.did.iter().position(|effect| matches!(effect, Effect::Send(..)));
    assert!(save.is_some() && save < ask, "{:?}", a.did);
    assert!(a.asks().iter().all(|(_, request)| !request.pre_vote && request.candidate_term == 1));
}

#[test]
fn a_late_pre_vote_does_not_count_in_the_election() {
    let mut a = Member::of(&["a", "b", "c", "d", "e"]);
    a.wait(200);
    let asked = a.asks();
    a.answer_votes(|name| ["b", "c"].contains(&name).then(granted));
    for (to, request) in &asked {
        a.act(|core, now| core.vote_reply(now, to, request, &granted()));
    }
    assert_eq!(a.core.leadership().role, Role::Candidate);
}

#[test]
fn a_reply_of_a_higher_term_ends_the_campaign() {
    let mut a = Member::of(&ABC);
    a.wait(200);
    a.answer_votes(|name| (name == "b").then(|| refused(9)));
    let leadership = a.core.leadership();
    assert_eq!((leadership.term, leadership.role), (9, Role::Follower));
}

#[test]
fn a_vote_is_given_once_per_term_and_saved_before_the_answer() {
    let mut a = Member::of(&ABC);
    assert!(a.grants("b", 5, false, None));
    assert!(
        matches!(&a.did[..], [.., Effect::SaveVote(vote), Effect::Reply(..)]
        if vote.term == 5 && vote.voted_for == Some(PeerId::from("b"))),
        "{:?}",
        a.did
    );
    assert!(!a.grants("c", 5, false, None));
    assert!(a.grants("b", 5, false, None), "the same candidate may ask again");
    assert!(!a.grants("c", 4, false, None), "an old term");
}

#[test]
fn the_vote_survives_a_restart() {
    let hard_state = HardState { term: 5, voted_for: Some(PeerId::from("b")), initializing: false };
    let mut a = Member::with(peers(&ABC), Recovered { hard_state, ..Recovered::default() });
    assert!(!a.grants("c", 5, false, None));
    assert!(a.grants("b", 5, false, None));
}

#[test]
fn an_older_log_gets_no_vote_but_its_term_counts() {
    let mut a = Member::with_log(&ABC, &[1, 2]);
    assert!(!a.grants("b", 7, false, Some(TermIndex::new(1, 9))));
    assert_eq!(a.core.leadership().term, 7);
    assert!(a.grants("c", 7, false, Some(TermIndex::new(2, 1))));
}

#[test]
fn among_equal_logs_priority_decides() {
    let ranked = vec![peer("a", 1), peer("b", 0), peer("c", 2)];
    let mut a = Member::with(ranked, Recovered::default());
    assert!(!a.grants("b", 1, true, None));
    assert!(a.grants("c", 1, true, None));
}

#[test]
fn who_hears_a_leader_does_not_help_to_overthrow_it() {
    let mut a = Member::of(&ABC);
    a.append("b", 1, None, vec![entry(1, 0)], None);
    a.flush();
    assert!(!a.grants("c", 1, true, Some(TermIndex::new(1, 5))));
    assert!(a.grants("b", 1, true, Some(TermIndex::new(1, 5))), "the leader itself may ask");
    // A leader that started again and keeps asking does not make itself believed in.
    a.now += 99;
    assert!(a.grants("b", 1, true, Some(TermIndex::new(1, 5))));
    a.now += 1;
    assert!(a.grants("c", 1, true, Some(TermIndex::new(1, 5))));
    let mut silent = Member::of(&ABC);
    silent.append("b", 1, None, vec![entry(1, 0)], None);
    silent.flush();
    silent.now += 100;
    assert!(silent.grants("c", 1, true, Some(TermIndex::new(1, 5))));
}

#[test]
fn a_peer_of_higher_priority_is_heard_before_a_majority_decides() {
    let ranked = vec![peer("a", 0), peer("b", 0), peer("c", 5)];
    let mut a = Member::with(ranked.clone(), Recovered::default());
    a.wait(200);
    a.answer_votes(|name| (name == "b").then(granted));
    assert!(a.asks().is_empty(), "c did not say anything yet");
    a.wait(20);
    assert!(a.asks().iter().all(|(_, request)| !request.pre_vote), "c stays silent: go on");

    let mut vetoed = Member::with(ranked, Recovered::default());
    vetoed.wait(200);
    vetoed.answer_votes(|name| (name == "c").then(|| refused(0)));
    assert_eq!(vetoed.core.leadership().role, Role::Follower);
}

#[test]
fn with_commits_the_vote_of_an_empty_log_does_not_count() {
    let mut a = Member::with_log(&ABC, &[1]);
    a.append("b", 1, Some(TermIndex::new(1, 0)), vec![], Some(0));
    assert_eq!(a.commit(), Some(0));
    a.wait(200);
    a.answer_votes(|name| {
        (name == "c")
            .then(|| RequestVoteReplyProto { last_entry: Some(last_to_wire(None)), ..granted() })
    });
    assert!(a.asks().is_empty());
    assert_eq!(a.core.leadership().role, Role::Candidate);
}

#[test]
fn a_chosen_successor_campaigns_without_asking_around() {
    let mut a = Member::of(&ABC);
    a.append("b", 1, None, vec![entry(1, 0)], None);
    a.flush();
    let request = ratis_proto::common::StartLeaderElectionRequestProto {
        server_request: header("b", 0),
        leader_last_entry: Some(TermIndexProto { term: 1, index: 0 }),
    };
    a.act(|core, now| core.start_election_request(now, ReplyTo(3), &request));
    assert!(a.asks().iter().all(|(_, vote)| !vote.pre_vote && vote.candidate_term == 2));
    assert_eq!(a.asks().len(), 2);
}

#[test]
fn a_leader_without_its_majority_steps_down_and_rests() {
    let mut a = Member::of(&ABC).lead();
    a.wait(150);
    assert!(matches!(a.core.leadership().role, Role::Leader { .. }));
    a.wait(100);
    assert_eq!(a.core.leadership().role, Role::Follower);
    a.wait(400);
    assert!(a.asks().is_empty(), "it rests");
    a.wait(100);
    assert!(!a.asks().is_empty());
}

#[test]
fn who_rests_after_stepping_down_does_not_keep_others_from_leading_by_its_priority() {
    let group = vec![peer("a", 1), peer("b", 0), peer("c", 0)];
    let mut member = Member::with(group, Recovered::default()).lead();
    member.flush();
    let last = member.core.status().last;
    member.wait(300);
    assert!(!matches!(member.core.leadership().role, crate::Role::Leader { .. }));
    assert!(member.grants("b", 1, true, last));
    assert!(member.grants("b", 2, false, last));
    // Now it is a follower like others, with its priority.
    assert!(!member.grants("c", 2, true, last));
}

#[test]
fn the_first_election_of_a_new_group_does_not_wait() {
    let settings = Settings {
        first_election_delay: Some(50),
        ..Settings::new(PeerId::from("a"), Bytes::from_static(b"group"), 1)
    };
    let start = |ranked: Vec<RaftPeerProto>| {
        let recovered =
            Recovered { configuration: conf_entry(None, ranked), ..Recovered::default() };
        Core::new(settings.clone(), recovered, 0)
    };
    assert_eq!(start(vec![peer("a", 1), peer("b", 0)]).deadline(), 50);
    assert_eq!(start(vec![peer("a", 0), peer("b", 0)]).deadline(), 50, "the first among equals");
    assert!(start(vec![peer("a", 0), peer("b", 1)]).deadline() >= 5_000);
}

#[test]
fn a_leader_that_is_gone_for_certain_is_replaced_without_waiting_for_the_election_timeout() {
    let mut a = Member::of(&ABC);
    a.append("b", 1, None, vec![entry(1, 0)], None);
    a.flush();
    a.act(|core, now| core.leader_gone(now, &PeerId::from("c")));
    a.wait(10);
    assert!(a.asks().is_empty(), "somebody else is gone");
    a.act(|core, now| core.leader_gone(now, &PeerId::from("b")));
    assert_eq!(a.core.leadership().leader, None);
    assert!(a.grants("c", 1, true, Some(TermIndex::new(1, 0))), "nobody is left to be loyal to");
    a.wait(10);
    let asks = a.asks();
    assert!(!asks.is_empty() && asks.iter().all(|(_, request)| request.pre_vote), "{:?}", a.did);
}

#[test]
fn a_leader_that_was_thought_gone_is_followed_again() {
    let mut a = Member::of(&ABC);
    a.append("b", 1, None, vec![entry(1, 0)], None);
    a.flush();
    a.act(|core, now| core.leader_gone(now, &PeerId::from("b")));
    a.append("b", 1, Some(TermIndex::new(1, 0)), Vec::new(), None);
    assert_eq!(a.core.leadership().leader, Some(PeerId::from("b")));
    a.wait(50);
    assert!(a.asks().is_empty(), "{:?}", a.did);
}
