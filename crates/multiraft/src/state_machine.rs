//! What a Raft group is replicated for: the contract between the engine and its users.

use std::any::Any;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use ratis_proto::common::StateMachineLogEntryProto;
use thiserror::Error;

use crate::{GroupId, Leadership, PeerId, TermIndex};

/// Something the leader has at hand when it proposes an entry and wants back when it applies it, so
/// that it need not parse its own entry again. Followers, replay and resent entries have none.
pub type Context = Box<dyn Any + Send>;

/// What a client's message becomes in the log.
pub struct Transaction {
    /// Goes into the log and to every peer.
    pub log: Bytes,
    /// Bulk bytes: sent to every peer with the entry, kept out of the log, handed to
    /// [`StateMachine::write_bulk`] everywhere.
    pub bulk: Option<Bytes>,
    /// For [`Committed::context`] of this entry on this node.
    pub context: Option<Context>,
}

/// A refusal by the state machine. Travels to Ratis clients as `StateMachineException`.
#[derive(Clone, Debug, Error)]
#[error("{message}")]
pub struct StateMachineError {
    /// Java class of the cause; a class with a constructor of one string, e.g.
    /// `org.apache.hadoop.hdds.scm.container.common.helpers.ContainerNotOpenException`.
    pub class: String,
    /// What went wrong and what to do.
    pub message: String,
}

/// A committed entry that carries a transaction.
pub struct Committed {
    /// Its place in the log.
    pub at: TermIndex,
    /// The log data, client id and call id as written.
    pub entry: StateMachineLogEntryProto,
    /// What [`StateMachine::prepare`] attached; only on the leader that proposed it.
    pub context: Option<Context>,
}

/// The reply to a request that was applied before this process began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownReply {
    /// The client that asked.
    pub client: [u8; 16],
    /// Its call.
    pub call: u64,
    /// The entry's place in the log.
    pub index: u64,
    /// What the client was, or should have been, told.
    pub message: Bytes,
}

/// The replicated state. All calls for one group come from that group's threads; `apply` and
/// `advance` never overlap, nor does `take_snapshot` unless [`StateMachine::snapshots_beside_apply`]
/// allows it.
pub trait StateMachine: Send + Sync + 'static {
    /// The last entry whose effect is durable here: a restart replays what follows it. `None` when
    /// nothing is.
    fn durable(&self) -> Option<TermIndex>;

    /// Replies to entries up to [`Self::durable`], oldest first, which no replay will bring back. A
    /// repeated request among them is answered, not carried out again. Asked once, when the group is
    /// opened.
    fn known_replies(&self) -> Vec<KnownReply> {
        Vec::new()
    }

    /// On the leader, before an entry exists: checks `message` and turns it into log data and bulk
    /// bytes. Must be quick and must not block. `context` is what the submitter attached.
    ///
    /// # Errors
    /// Refuses the request; nothing is logged.
    fn prepare(
        &self,
        message: Bytes,
        context: Option<Context>,
    ) -> Result<Transaction, StateMachineError> {
        Ok(Transaction { log: message, bulk: None, context })
    }

    /// On every peer, when an entry with bulk bytes is appended: starts writing them. The entry
    /// goes to the log when the returned future is done, and counts as appended once that is synced. Calls come in
    /// log order; the work happens elsewhere (disk threads), the future only reports. An error stops
    /// the group on this node; what every member refuses alike must succeed here and fail in `apply`.
    fn write_bulk(
        &self,
        at: TermIndex,
        entry: &StateMachineLogEntryProto,
        bulk: Bytes,
    ) -> BoxFuture<'static, Result<(), StateMachineError>> {
        let _ = (at, entry, bulk);
        Box::pin(std::future::ready(Ok(())))
    }

    /// Reads bulk bytes back, to send an old entry to a slow follower.
    fn read_bulk(
        &self,
        at: TermIndex,
        entry: &StateMachineLogEntryProto,
    ) -> BoxFuture<'static, Result<Bytes, StateMachineError>> {
        let _ = entry;
        Box::pin(std::future::ready(Err(StateMachineError {
            class: "java.io.IOException".to_owned(),
            message: format!("entry {at} has no bulk bytes"),
        })))
    }

    /// Answers a read request of a Ratis client, on the leader. Reads of Ozone do not come this way
    /// (they go to the datanode's own port), those of a few tools do.
    ///
    /// # Errors
    /// Reaches the client as `StateMachineException`.
    fn query(&self, message: Bytes) -> BoxFuture<'static, Result<Bytes, StateMachineError>> {
        let _ = message;
        Box::pin(std::future::ready(Err(StateMachineError {
            class: "java.lang.UnsupportedOperationException".to_owned(),
            message: "this group answers no reads".to_owned(),
        })))
    }

    /// Entries from `index` on were replaced by those of another leader.
    fn truncate(&self, index: u64) {
        let _ = index;
    }

    /// Applies committed entries, in order, on the group's apply thread. Returns one reply per entry:
    /// the message for the client, or an error that reaches the client as `StateMachineException`.
    fn apply(&self, entries: Vec<Committed>) -> Vec<Result<Bytes, StateMachineError>>;

    /// A committed entry without a transaction (configuration, metadata) was passed.
    fn advance(&self, at: TermIndex) {
        let _ = at;
    }

    /// Makes everything applied so far durable and says up to where; the log before it may then be
    /// purged. Called by entry count, before a stop, and on request. Blocks on the disk.
    ///
    /// # Errors
    /// The log is kept.
    fn take_snapshot(&self) -> Result<Option<TermIndex>, StateMachineError>;

    /// Whether [`Self::take_snapshot`] may run while entries are applied, so that nobody who writes
    /// waits for it. Otherwise entries wait until it has ended.
    fn snapshots_beside_apply(&self) -> bool {
        false
    }

    /// This follower is so far behind that the leader purged what it needs: fetch the leader's state
    /// (notification mode of `installSnapshot`). The result is where the installed state stands.
    fn install_snapshot(
        &self,
        leader: PeerId,
        first_available: TermIndex,
    ) -> BoxFuture<'static, Result<TermIndex, StateMachineError>> {
        Box::pin(std::future::ready(Err(StateMachineError {
            class: "java.lang.UnsupportedOperationException".to_owned(),
            message: format!("cannot install a snapshot at {first_available} from {leader}"),
        })))
    }

    /// Role, term or leader changed.
    fn leadership_changed(&self, leadership: &Leadership) {
        let _ = leadership;
    }

    /// The group has stopped on this node: its disk failed, [`Self::write_bulk`] failed, or this
    /// machine panicked. The other members go on without it.
    fn failed(&self, reason: &str) {
        let _ = reason;
    }

    /// A peer has not answered for the slowness timeout; `None` means there is no leader for as long.
    fn peer_is_slow(&self, peer: Option<&PeerId>) {
        let _ = peer;
    }
}

/// Opens state machines: groups also come into being by a peer's admin call or at start-up.
pub trait StateMachines: Send + Sync + 'static {
    /// The state machine of `group`; `directory` is the group's `sm` folder, for its snapshots.
    ///
    /// # Errors
    /// The group is not started.
    fn open(
        &self,
        group: GroupId,
        directory: &Path,
    ) -> Result<Arc<dyn StateMachine>, StateMachineError>;

    /// The group is running: it was created, or found at the start.
    fn added(&self, group: GroupId) {
        let _ = group;
    }

    /// The group was removed: its open work must be wound up.
    fn removed(&self, group: GroupId) {
        let _ = group;
    }
}
