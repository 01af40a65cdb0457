//! What the engine decides once per group.

use bytes::Bytes;

use crate::types::{Millis, PeerId};

/// Settings of one member of one group. Times in milliseconds.
#[derive(Clone, Debug)]
pub struct Settings {
    /// This node.
    pub id: PeerId,
    /// The group's 16 bytes, for message headers.
    pub group: Bytes,
    /// Seed of the election jitter: different on every node and start.
    pub seed: u64,
    /// Shortest election timeout. Heartbeats go out at half of it.
    pub election_timeout_min: Millis,
    /// Longest election timeout.
    pub election_timeout_max: Millis,
    /// An append request without a reply for this long has failed: its streams are reset.
    pub request_timeout: Millis,
    /// A follower (or, on a follower, the leader) silent for this long is reported as slow.
    pub slowness_timeout: Millis,
    /// After losing touch with the majority a leader does not campaign for this long.
    pub step_down_wait: Millis,
    /// Append requests in flight to one follower.
    pub append_outstanding_max: usize,
    /// Entries in one append request.
    pub append_entries_max: usize,
    /// Bytes of entries in one append request; a larger entry travels alone.
    pub append_bytes_max: usize,
    /// A new peer votes once it is at most this many entries behind.
    pub staging_gap_max: u64,
    /// Ask around before raising the term.
    pub pre_vote: bool,
}

impl Settings {
    /// The defaults of Ozone's datanodes.
    pub fn new(id: PeerId, group: Bytes, seed: u64) -> Self {
        Self {
            id,
            group,
            seed,
            election_timeout_min: 5_000,
            election_timeout_max: 5_200,
            request_timeout: 60_000,
            slowness_timeout: 300_000,
            step_down_wait: 10_000,
            append_outstanding_max: 8,
            append_entries_max: 1_024,
            append_bytes_max: 32 << 20,
            staging_gap_max: 1_000,
            pre_vote: true,
        }
    }

    /// A heartbeat is due when nothing was sent for this long.
    pub(crate) fn heartbeat_interval(&self) -> Millis {
        (self.election_timeout_min / 4).max(1)
    }
}
