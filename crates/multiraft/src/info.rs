//! A group described for `ratis-shell` and `ozone admin`.

use ratis_core::{Role, TermIndex};
use ratis_proto::common::role_info_proto::PeerInfo;
use ratis_proto::common::{
    CandidateInfoProto, FollowerInfoProto, GroupInfoReplyProto, LeaderInfoProto, LogInfoProto,
    RaftGroupProto, RaftPeerProto, RaftPeerRole, RoleInfoProto, ServerRpcProto, TermIndexProto,
};

use crate::actor::Actor;

/// The reply to `groupInfo`, without its header.
pub(crate) fn describe(actor: &Actor) -> GroupInfoReplyProto {
    let core = &actor.core;
    let status = core.status();
    let configuration = core.configuration().clone();
    let peer = |id: &ratis_core::PeerId| {
        let mut all = configuration.peers.iter().chain(&configuration.listeners);
        all.find(|p| *p.id == *id.0.as_bytes())
            .cloned()
            .unwrap_or_else(|| RaftPeerProto { id: id.to_wire(), ..Default::default() })
    };
    let place = |index: Option<u64>| {
        let index = index?;
        core.term_at(index).map(|term| TermIndexProto::from(TermIndex::new(term, index)))
    };
    let (role, peer_info) = match status.leadership.role {
        Role::Leader { .. } => {
            let follower_info = core
                .follower_silence(actor.now())
                .into_iter()
                .map(|(id, silence)| ServerRpcProto {
                    id: Some(peer(&id)),
                    last_rpc_elapsed_time_ms: silence,
                })
                .collect();
            let info = LeaderInfoProto { follower_info, term: status.leadership.term };
            (RaftPeerRole::Leader, PeerInfo::LeaderInfo(info))
        }
        Role::Candidate => {
            (RaftPeerRole::Candidate, PeerInfo::CandidateInfo(CandidateInfoProto::default()))
        }
        role => {
            let leader_info = status
                .leadership
                .leader
                .as_ref()
                .map(|id| ServerRpcProto { id: Some(peer(id)), last_rpc_elapsed_time_ms: 0 });
            let info = FollowerInfoProto { leader_info, outstanding_op: 0 };
            let role = if role == Role::Listener {
                RaftPeerRole::Listener
            } else {
                RaftPeerRole::Follower
            };
            (role, PeerInfo::FollowerInfo(info))
        }
    };
    GroupInfoReplyProto {
        rpc_reply: None,
        group: Some(RaftGroupProto {
            group_id: Some(ratis::ids::group_to(actor.group.id)),
            peers: configuration.peers.clone(),
        }),
        role: Some(RoleInfoProto {
            self_: Some(peer(&actor.settings.id)),
            role: role.into(),
            role_elapsed_time_ms: 0,
            peer_info: Some(peer_info),
        }),
        is_raft_storage_healthy: true,
        commit_infos: core.commit_infos(),
        log_info: Some(LogInfoProto {
            last_snapshot: None,
            applied: place(status.applied),
            committed: place(status.commit),
            last_entry: status.last.map(Into::into),
        }),
        conf: Some(configuration),
    }
}
