//! Append requests, and what a follower says to them.

use super::*;
use crate::types::from_wire;

const ABC: [&str; 3] = ["a", "b", "c"];

fn result(reply: &AppendEntriesReplyProto) -> (AppendResult, u64, Option<u64>) {
    (reply.result(), reply.next_index, from_wire(reply.match_index))
}

#[test]
fn success_is_answered_only_when_the_entries_are_durable() {
    let mut a = Member::of(&ABC);
    assert_eq!(a.append("b", 1, None, vec![entry(1, 0), entry(1, 1)], None), None);
    a.act(|core, now| core.durable(now, TermIndex::new(1, 0)));
    assert_eq!(a.append_reply(), None);
    a.flush();
    let reply = a.append_reply().expect("now it is durable");
    assert_eq!(result(&reply), (AppendResult::Success, 2, Some(1)));
    assert_eq!(reply.server_reply.map(|header| (header.call_id, header.success)), Some((7, true)));
}

#[test]
fn a_heartbeat_is_answered_at_once_with_the_next_index() {
    let mut a = Member::of(&ABC);
    a.append("b", 1, None, vec![entry(1, 0)], None);
    let reply = a.append("b", 1, None, vec![], None).expect("at once");
    assert_eq!(result(&reply), (AppendResult::Success, 1, None));
    assert!(reply.is_hearbeat);
}

#[test]
fn the_commit_index_goes_no_further_than_what_was_compared_and_is_durable() {
    let mut a = Member::of(&ABC);
    a.append("b", 1, None, vec![entry(1, 0), entry(1, 1)], Some(9));
    assert_eq!(a.commit(), None, "not durable");
    a.act(|core, now| core.durable(now, TermIndex::new(1, 0)));
    assert_eq!(a.commit(), Some(0));
    a.flush();
    assert_eq!(a.commit(), Some(1));
    let mut stale = Member::with_log(&ABC, &[1, 1]);
    stale.append("b", 2, None, vec![], Some(1));
    assert_eq!(stale.commit(), None, "a heartbeat without a previous entry proves nothing");
    stale.append("b", 2, Some(TermIndex::new(1, 0)), vec![], Some(1));
    assert_eq!(stale.commit(), Some(0));
}

#[test]
fn a_missing_previous_entry_is_an_inconsistency() {
    let mut a = Member::with_log(&ABC, &[1, 1]);
    let reply = a.append("b", 2, Some(TermIndex::new(1, 7)), vec![entry(2, 8)], None).unwrap();
    assert_eq!(result(&reply), (AppendResult::Inconsistency, 2, None));
    let reply = a.append("b", 2, Some(TermIndex::new(2, 1)), vec![entry(2, 2)], None).unwrap();
    assert_eq!(result(&reply), (AppendResult::Inconsistency, 1, None), "another term there");
}

#[test]
fn entries_that_are_committed_are_not_taken_again() {
    let mut a = Member::with_log(&ABC, &[1, 1, 1]);
    a.append("b", 1, Some(TermIndex::new(1, 1)), vec![], Some(1));
    let reply = a.append("b", 1, None, vec![entry(1, 0)], None).unwrap();
    assert_eq!(result(&reply), (AppendResult::Inconsistency, 2, None));
}

#[test]
fn conflicting_entries_are_replaced_and_known_ones_passed_over() {
    let mut a = Member::with_log(&ABC, &[1, 1, 1]);
    a.append("b", 2, Some(TermIndex::new(1, 0)), vec![entry(1, 1), entry(2, 2)], None);
    let written: Vec<_> = a
        .did
        .iter()
        .filter_map(|effect| match effect {
            Effect::Truncate(from) => Some(format!("truncate {from}")),
            Effect::Append(entries) => {
                Some(format!("append {:?}", entries.iter().map(|it| it.index).collect::<Vec<_>>()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(written, ["truncate 2", "append [2]"]);
    assert_eq!(a.core.status().durable, Some(1));
}

#[test]
fn a_durability_report_for_a_replaced_entry_is_not_believed() {
    let mut a = Member::of(&ABC);
    a.append("b", 1, None, vec![entry(1, 0), entry(1, 1)], None);
    a.append("c", 2, None, vec![entry(2, 0)], None);
    a.act(|core, now| core.durable(now, TermIndex::new(1, 0)));
    assert_eq!(a.core.status().durable, None);
    a.act(|core, now| core.durable(now, TermIndex::new(2, 0)));
    assert_eq!(a.core.status().durable, Some(0));
}

#[test]
fn replies_to_replaced_entries_say_that_the_leader_is_none() {
    let mut a = Member::of(&ABC);
    assert_eq!(a.append("b", 1, None, vec![entry(1, 0)], None), None);
    let reply = a.append("c", 2, None, vec![entry(2, 0)], None).expect("the old one is released");
    assert_eq!((reply.result(), reply.term), (AppendResult::NotLeader, 2));
}

#[test]
fn an_old_leader_and_a_second_one_of_the_term_are_refused() {
    let mut a = Member::with_log(&ABC, &[3]);
    let reply = a.append("b", 2, None, vec![], None).unwrap();
    assert_eq!((reply.result(), reply.term), (AppendResult::NotLeader, 3));
    a.append("b", 3, None, vec![], None);
    assert_eq!(a.append("c", 3, None, vec![], None).unwrap().result(), AppendResult::NotLeader);
}

#[test]
fn a_new_term_is_saved_before_the_answer() {
    let mut a = Member::of(&ABC);
    a.append("b", 4, None, vec![], None);
    let save =
        a.did.iter().position(|effect| matches!(effect, Effect::SaveVote(vote) if vote.term == 4));
    let reply = a.did.iter().position(|effect| matches!(effect, Effect::Reply(..)));
    assert!(save.is_some() && save < reply, "{:?}", a.did);
}

#[test]
fn nonsense_from_a_peer_is_refused_without_harm() {
    let mut a = Member::with_log(&ABC, &[1]);
    let gap = vec![entry(1, 1), entry(1, 3)];
    let reply = a.append("b", 1, Some(TermIndex::new(1, 0)), gap, Some(u64::MAX - 1)).unwrap();
    assert_eq!(reply.result(), AppendResult::Inconsistency);
    let later_term = vec![entry(9, 1)];
    let reply = a.append("b", 1, Some(TermIndex::new(1, 0)), later_term, None).unwrap();
    assert_eq!(reply.result(), AppendResult::Inconsistency);
    let far = vec![entry(1, u64::MAX)];
    let reply = a.append("b", 1, Some(TermIndex::new(1, u64::MAX - 1)), far, None).unwrap();
    assert_eq!(reply.result(), AppendResult::Inconsistency);
    a.act(|core, now| core.append_request(now, ReplyTo(9), AppendEntriesRequestProto::default()));
    assert!(a.did.is_empty(), "no header, no answer");
}

#[test]
fn a_leader_that_purged_sends_us_for_its_state_and_hears_how_it_went() {
    use ratis_proto::common::install_snapshot_request_proto::{
        InstallSnapshotRequestBody, NotificationProto,
    };
    use ratis_proto::common::{InstallSnapshotRequestProto, InstallSnapshotResult};
    let mut a = Member::with_log(&ABC, &[1]);
    let ask = |a: &mut Member, first: u64| {
        let request = InstallSnapshotRequestProto {
            server_request: header("b", 1),
            leader_term: 2,
            install_snapshot_request_body: Some(InstallSnapshotRequestBody::Notification(
                NotificationProto {
                    first_available_term_index: Some(TermIndexProto { term: 2, index: first }),
                },
            )),
            ..InstallSnapshotRequestProto::default()
        };
        a.act(|core, now| core.snapshot_request(now, ReplyTo(4), request));
        a.did
            .iter()
            .find_map(|effect| match effect {
                Effect::Reply(_, Reply::Snapshot(reply)) => Some(reply.result()),
                _ => None,
            })
            .unwrap()
    };
    assert_eq!(ask(&mut a, 10), InstallSnapshotResult::InProgress);
    assert!(a.did.iter().any(|effect| matches!(effect, Effect::InstallSnapshot { .. })));
    let reply = a.append("b", 2, Some(TermIndex::new(1, 0)), vec![entry(2, 1)], None).unwrap();
    assert_eq!(result(&reply), (AppendResult::Inconsistency, 1, None), "not meanwhile");
    a.act(|core, now| core.snapshot_installed(now, Some(TermIndex::new(2, 12))));
    assert!(a.did.contains(&Effect::ResetLog(TermIndex::new(2, 12))));
    assert_eq!(ask(&mut a, 10), InstallSnapshotResult::SnapshotInstalled);
    assert_eq!(ask(&mut a, 10), InstallSnapshotResult::AlreadyInstalled);
    assert_eq!(a.append("b", 2, Some(TermIndex::new(2, 12)), vec![entry(2, 13)], None), None);
    a.flush();
    assert_eq!(result(&a.append_reply().unwrap()), (AppendResult::Success, 14, Some(13)));
}

#[test]
fn a_state_beyond_the_log_drops_the_log_at_start() {
    let recovered = Recovered {
        snapshot: Some(TermIndex::new(2, 9)),
        terms: vec![(1, 3)],
        ..Recovered::default()
    };
    let a = Member::with(peers(&ABC), recovered);
    assert_eq!(a.did, [Effect::ResetLog(TermIndex::new(2, 9))]);
    assert_eq!((a.commit(), a.core.status().last), (Some(9), Some(TermIndex::new(2, 9))));
}
