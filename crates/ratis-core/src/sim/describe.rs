//! Lines of the trace.

use prost::Message as _;

use super::net::Request;
use crate::{Effect, Message, Reply};

/// What a node does.
pub(crate) fn effect(effect: &Effect) -> String {
    match effect {
        Effect::Append(entries) => {
            let list: Vec<_> = entries
                .iter()
                .map(|entry| format!("{}@{}({}B)", entry.index, entry.term, entry.encoded_len()))
                .collect();
            format!("Append {}", list.join(" "))
        }
        Effect::Send(to, Message::Append { request, entries }) => format!(
            "Send {to} append {entries:?} term {} previous {:?} commit {:?} call {:?}",
            request.leader_term,
            request.previous_log,
            request.leader_commit as i64,
            request.server_request.as_ref().map(|header| header.call_id & 0xff_ffff)
        ),
        Effect::Send(to, Message::Vote(request)) => format!(
            "Send {to} vote term {} pre {} last {:?}",
            request.candidate_term, request.pre_vote, request.candidate_last_entry
        ),
        Effect::Reply(_, Reply::Append(reply)) => format!(
            "Reply append {:?} next {} match {} commit {} term {}",
            reply.result(),
            reply.next_index,
            reply.match_index as i64,
            reply.follower_commit as i64,
            reply.term
        ),
        other => format!("{other:?}"),
    }
}

/// What reaches a node.
pub(crate) fn request(request: &Request) -> String {
    match request {
        Request::Vote(request) => {
            format!("vote term {} pre {}", request.candidate_term, request.pre_vote)
        }
        Request::Append(request) => format!(
            "append term {} previous {:?} entries {:?} commit {}",
            request.leader_term,
            request.previous_log,
            request.entries.iter().map(|entry| (entry.index, entry.term)).collect::<Vec<_>>(),
            request.leader_commit as i64,
        ),
        Request::Snapshot(_) => "snapshot".to_owned(),
        Request::StartElection(_) => "start election".to_owned(),
        Request::ReadIndex(_) => "read index".to_owned(),
    }
}
