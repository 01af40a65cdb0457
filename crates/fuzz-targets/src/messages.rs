//! Messages of all services: what is decoded and encoded again decodes to the same.

use std::fmt::Debug;

use bytes::Bytes;
use hdds_proto::datanode::{ContainerCommandRequestProto, ContainerCommandResponseProto};
use prost::Message;
use ratis_proto::common as ratis;

/// The first byte chooses the message.
pub fn messages(mut data: &[u8]) {
    let which = crate::byte(&mut data);
    match which {
        0 => same::<om_proto::OmRequest>(data),
        1 => same::<om_proto::OmResponse>(data),
        2 => same::<ContainerCommandRequestProto>(data),
        3 => same::<ContainerCommandResponseProto>(data),
        4 => same::<ratis::RaftClientRequestProto>(data),
        5 => same::<ratis::RaftClientReplyProto>(data),
        6 => same::<ratis::AppendEntriesRequestProto>(data),
        7 => same::<ratis::AppendEntriesReplyProto>(data),
        8 => same::<ratis::RequestVoteRequestProto>(data),
        9 => same::<ratis::InstallSnapshotRequestProto>(data),
        10 => same::<ratis::GroupManagementRequestProto>(data),
        11 => scm_log_entry(data),
        _ => bulk_message(data),
    }
}

fn same<M: Message + Default + PartialEq + Debug>(data: &[u8]) {
    if let Ok(message) = M::decode(data) {
        let bytes = message.encode_to_vec();
        assert_eq!(bytes.len(), message.encoded_len());
        assert_eq!(M::decode(bytes.as_slice()).as_ref(), Ok(&message));
    }
}

/// An entry of SCM's Raft log.
fn scm_log_entry(data: &[u8]) {
    if let Ok(call) = scm_core::Call::decode(data) {
        let again = scm_core::Call::decode(&call.encode());
        assert_eq!(again.ok().as_ref(), Some(&call));
    }
    let _ = scm_core::log::Answer::decode(data);
}

/// A container command with bulk bytes behind it, as the Raft client sends it.
fn bulk_message(data: &[u8]) {
    use datanode::pipeline::message::{decode, encode};
    if let Ok((header, bulk)) = decode(Bytes::copy_from_slice(data)) {
        let again = decode(encode(&header, &bulk));
        assert_eq!(again.ok(), Some((header, bulk)));
    }
}
