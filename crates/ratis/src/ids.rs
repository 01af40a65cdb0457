//! Ids as messages carry them.

use bytes::Bytes;
use ratis_proto::common::{RaftGroupIdProto, RaftRpcReplyProto, RaftRpcRequestProto};
use uuid::Uuid;

/// The group of a request header.
pub fn group_of(header: Option<&RaftRpcRequestProto>) -> Option<Uuid> {
    group_from(header?.raft_group_id.as_ref())
}

/// A group id: 16 bytes.
pub fn group_from(id: Option<&RaftGroupIdProto>) -> Option<Uuid> {
    Uuid::from_slice(&id?.id).ok()
}

/// A group id for a message.
pub fn group_to(group: Uuid) -> RaftGroupIdProto {
    RaftGroupIdProto { id: Bytes::copy_from_slice(group.as_bytes()) }
}

/// The header of a reply. The Java parser builds ids from all of its fields and fails on empty ones.
pub fn reply_header(
    request: &RaftRpcRequestProto,
    replier: &Bytes,
    success: bool,
) -> RaftRpcReplyProto {
    RaftRpcReplyProto {
        requestor_id: request.requestor_id.clone(),
        reply_id: replier.clone(),
        raft_group_id: request.raft_group_id.clone(),
        call_id: request.call_id,
        success,
    }
}

/// A peer id as text.
pub fn peer_text(id: &[u8]) -> String {
    String::from_utf8_lossy(id).into_owned()
}
