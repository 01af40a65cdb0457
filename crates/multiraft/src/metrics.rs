//! What the engine tells, under Ratis' names: one set per group, one per disk of the log.

use ozone_metrics::{Records, Timer};
use ratis_core::Role;

use crate::engine::MultiRaft;
use crate::types::GroupInfo;

/// What a group counts.
#[derive(Debug, Default)]
pub(crate) struct GroupMetrics {
    /// From the request to the end of the reply.
    pub writes: Timer,
    /// A batch in the state machine.
    pub apply: Timer,
}

/// `group-` and the last part of the id, as Ratis shortens it.
fn short(info: &GroupInfo) -> String {
    let id = info.leadership.group.to_string().to_uppercase();
    format!("group-{}", id.rsplit('-').next().unwrap_or_default())
}

impl MultiRaft {
    /// Groups and disks, at one look.
    pub fn collect(&self, records: &mut Records) {
        let instance = self.id().to_string();
        for disk in self.disks() {
            let path = disk.path().display().to_string();
            let bean = format!("ratis:name=ratis.log_worker.{instance}.disk,path={path}");
            let mut worker = records.plain("ratis_log_worker", bean);
            worker.tag("instance", &instance).tag("disk", &path);
            disk.collect(&mut worker);
        }
        for id in self.groups() {
            let (Some(info), Ok(group)) = (self.info(id), self.group(id)) else { continue };
            let name = short(&info);
            let (requests, bytes) = group.pending();
            let bean = |of: &str| format!("ratis:name=ratis.{of}.{instance}@{name}");

            let mut server = records.plain("ratis_server", bean("server"));
            server.tag("instance", &instance).tag("group", &name);
            server.gauge("numPendingRequestInQueue", requests);
            server.gauge("numPendingRequestMegaByteSize", bytes as f64 / f64::from(1 << 20));
            server.gauge("retryCacheEntryCount", group.retry.lock().len());
            server.gauge("term", info.leadership.term);
            server.gauge("commitIndex", info.commit.map_or(-1.0, |index| index as f64));
            server.gauge("isLeader", matches!(info.leadership.role, Role::Leader { .. }));
            server.summary("clientWriteRequest", &group.metrics.writes);
            followers(&info, &mut server);

            let mut machine = records.plain("ratis_state_machine", bean("state_machine"));
            machine.tag("instance", &instance).tag("group", &name);
            machine.gauge("appliedIndex", info.applied.map_or(-1.0, |index| index as f64));
            machine.summary("applyTransaction", &group.metrics.apply);

            let mut election = records.plain("ratis_leader_election", bean("leader_election"));
            election.tag("instance", &instance).tag("group", &name);
            // Every election begins a term.
            election.gauge("electionCount", info.leadership.term);

            let bean = format!("Ratis:service=RaftServer,group={name},id={instance}");
            let mut bean = records.plain("ratis_group", bean);
            bean.tag("instance", &instance).tag("group", &name);
            let role = match info.leadership.role {
                Role::Leader { .. } => "LEADER",
                Role::Candidate => "CANDIDATE",
                Role::Follower => "FOLLOWER",
                Role::Listener => "LISTENER",
            };
            let leader = info.leadership.leader.as_ref().map(ToString::to_string);
            bean.tag("role", role).tag("leader", leader.unwrap_or_default());
            bean.gauge("peers", info.peers.len());
        }
    }
}

/// Commit index of each peer, and how far it is behind this one.
fn followers(info: &GroupInfo, server: &mut ozone_metrics::Record<'_>) {
    for commit in &info.commits {
        let Some(peer) = &commit.server else { continue };
        let id = String::from_utf8_lossy(&peer.id).into_owned();
        // -1 on the wire: nothing is known.
        let index = if commit.commit_index == u64::MAX { -1.0 } else { commit.commit_index as f64 };
        let label = ("follower", id.as_str());
        server.labelled("peerCommitIndex", ozone_metrics::Kind::Gauge, label, index);
        if let Some(own) = info.commit {
            let lag = (own as f64 - index).max(0.0);
            server.labelled("followerLag", ozone_metrics::Kind::Gauge, label, lag);
        }
    }
}
