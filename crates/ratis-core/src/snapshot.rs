//! Telling a follower that it needs the leader's snapshot (`notifyInstallSnapshot`).

use ratis_proto::common::install_snapshot_reply_proto::InstallSnapshotReplyBody;
use ratis_proto::common::install_snapshot_request_proto::{
    InstallSnapshotRequestBody, NotificationProto,
};
use ratis_proto::common::{
    InstallSnapshotReplyProto, InstallSnapshotRequestProto, InstallSnapshotResult,
};

use crate::core::Core;
use crate::effect::{Effect, Message};
use crate::progress::Progress;
use crate::types::{Millis, PeerId, TermIndex, after};

impl Core {
    /// Whether the follower needs entries that are purged here, or cannot be told what stands before
    /// them.
    pub(crate) fn needs_snapshot(&self, peer: &Progress) -> bool {
        if peer.next >= self.log.next() && peer.next > self.log.start() {
            return false;
        }
        if peer.next < self.log.start() {
            return true;
        }
        let knows_previous = peer.next == 0
            || self.log.term_at(peer.next - 1).is_some()
            || self.snapshot.is_some_and(|at| at.index == peer.next - 1)
            || after(peer.snapshot) == peer.next;
        !knows_previous && peer.next < self.log.next()
    }

    /// Sends the notification, again and again while the follower works on it.
    pub(crate) fn notify_snapshot(&mut self, id: &PeerId) {
        let (now, interval) = (self.now, self.settings.heartbeat_interval());
        let start = self.log.start();
        let term = self.log.term_at(start).unwrap_or(self.hard.term);
        let conf = self.conf().to_entry();
        let Some(peer) = self.peer_mut(id) else { return };
        if peer.notified_at.is_some_and(|at| now.saturating_sub(at) < interval) {
            return;
        }
        peer.notified_at = Some(now);
        let Some(leading) = self.leading_mut() else { return };
        let call = leading.next_call();
        let request = InstallSnapshotRequestProto {
            server_request: self.request_header(id, call),
            leader_term: self.hard.term,
            install_snapshot_request_body: Some(InstallSnapshotRequestBody::Notification(
                NotificationProto {
                    first_available_term_index: Some(TermIndex::new(term, start).into()),
                },
            )),
            last_raft_configuration_log_entry_proto: self.conf().at.map(|_| conf),
        };
        self.push(Effect::Send(id.clone(), Message::Snapshot(request)));
    }

    /// A follower answered a notification.
    pub fn snapshot_reply(
        &mut self,
        now: Millis,
        from: &PeerId,
        reply: &InstallSnapshotReplyProto,
    ) {
        self.advance_clock(now);
        let now = self.now;
        let last = self.log.last_index();
        let term = self.hard.term;
        let Some(peer) = self.peer_mut(from) else { return };
        let Ok(result) = InstallSnapshotResult::try_from(reply.result) else { return };
        if result == InstallSnapshotResult::NotLeader {
            let caught_up = peer.caught_up;
            if caught_up && reply.term > term {
                self.become_follower(reply.term, None);
            }
            return;
        }
        peer.last_reply = now;
        peer.slow_reported = false;
        let installed = matches!(
            result,
            InstallSnapshotResult::AlreadyInstalled | InstallSnapshotResult::SnapshotInstalled
        );
        let Some(InstallSnapshotReplyBody::SnapshotIndex(index)) =
            reply.install_snapshot_reply_body
        else {
            return;
        };
        if installed && Some(index) <= last {
            peer.snapshot = peer.snapshot.max(Some(index));
            peer.commit = peer.commit.max(Some(index));
            peer.notified_at = None;
            peer.in_flight.clear();
            peer.loading = None;
            peer.next = after(Some(index)).max(after(peer.matched));
            self.progress_made();
        }
    }
}
