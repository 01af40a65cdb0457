//! What a user of the engine decides.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ratis_core::PeerId;

/// Settings of the engine, filled from the `*.ratis.*` keys of its user.
#[derive(Clone, Debug)]
pub struct RaftSettings {
    /// This node.
    pub id: PeerId,
    /// Where server, client and admin services listen (`port 0` picks one). Client and admin share
    /// the server's listener when `None`.
    pub server_address: SocketAddr,
    /// Client service.
    pub client_address: Option<SocketAddr>,
    /// Admin service.
    pub admin_address: Option<SocketAddr>,
    /// Log directories; new groups go to the one with the fewest. Each has one writer thread.
    pub storage: Vec<PathBuf>,
    /// Shortest election timeout.
    pub election_timeout_min: Duration,
    /// Longest election timeout.
    pub election_timeout_max: Duration,
    /// A request to a peer without an answer for this long has failed.
    pub request_timeout: Duration,
    /// A `watch` is answered with NotReplicated after this.
    pub watch_timeout: Duration,
    /// A member that was asked something and has been silent for this long is not waited for by a
    /// `watch` for all members: it is answered with NotReplicated as soon as the others have the
    /// entry. `None` lets it wait for [`Self::watch_timeout`].
    pub watch_silence_timeout: Option<Duration>,
    /// How long a reply is kept for a client's retry.
    pub retry_cache_expiry: Duration,
    /// A peer silent for this long is reported as slow.
    pub slowness_timeout: Duration,
    /// Size at which a log segment is closed, in bytes.
    pub segment_bytes_max: u64,
    /// A segment is filled with zeros this far ahead of use, in bytes.
    pub segment_preallocated_bytes: u64,
    /// Bytes of entries in one append request.
    pub append_bytes_max: usize,
    /// Entries in one append request.
    pub append_entries_max: usize,
    /// Recent entries (with their bulk bytes) kept in memory per group, in bytes.
    pub cache_bytes_max: usize,
    /// Replies kept for retries per group, in bytes.
    pub retry_cache_bytes_max: usize,
    /// Append requests in flight to one peer.
    pub append_outstanding_max: usize,
    /// Pending client writes per group, in requests.
    pub pending_requests_max: usize,
    /// Pending client writes per group, in bytes.
    pub pending_bytes_max: usize,
    /// Applied entries after which a snapshot is taken; `None` takes none by count.
    pub snapshot_after_entries: Option<u64>,
    /// Entries that must lie before the snapshot before the log is purged; `None` never purges.
    pub purge_gap: Option<u64>,
    /// Purge up to the snapshot even if a peer still needs the entries (`raft.server.log.purge.upto.snapshot.index`);
    /// it then installs a snapshot. `false` keeps what a peer has not committed.
    pub purge_up_to_snapshot: bool,
    /// Largest gRPC message, in bytes.
    pub message_bytes_max: usize,
    /// Each group's loop has a thread of its own, and writes the log and applies on it: the fewest
    /// changes of thread per write, right for a process with one group. Otherwise the loops are tasks,
    /// each disk has a writer thread, and state machines apply on the blocking pool.
    pub own_thread: bool,
    /// With [`Self::own_thread`]: how long writes may wait for others to share their sync, while
    /// several clients write. Zero never waits.
    pub gather_max: Duration,
    /// Delete (else rename away) a group's directory when it is removed.
    pub delete_removed_groups: bool,
}

impl RaftSettings {
    /// What Ozone sets for datanodes, on ports that the system picks.
    pub fn new(id: PeerId, storage: Vec<PathBuf>) -> Self {
        Self {
            id,
            server_address: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            client_address: None,
            admin_address: None,
            storage,
            election_timeout_min: Duration::from_secs(5),
            election_timeout_max: Duration::from_millis(5_200),
            request_timeout: Duration::from_secs(60),
            watch_timeout: Duration::from_secs(30),
            watch_silence_timeout: Some(Duration::from_secs(1)),
            retry_cache_expiry: Duration::from_secs(600),
            slowness_timeout: Duration::from_secs(300),
            segment_bytes_max: 64 << 20,
            segment_preallocated_bytes: 4 << 20,
            append_bytes_max: 32 << 20,
            append_entries_max: 1_024,
            cache_bytes_max: 64 << 20,
            retry_cache_bytes_max: 64 << 20,
            append_outstanding_max: 8,
            pending_requests_max: 4_096,
            pending_bytes_max: 1 << 30,
            snapshot_after_entries: Some(100_000),
            purge_gap: Some(1_000_000),
            purge_up_to_snapshot: false,
            message_bytes_max: 33 << 20,
            own_thread: false,
            gather_max: Duration::ZERO,
            delete_removed_groups: true,
        }
    }
}
