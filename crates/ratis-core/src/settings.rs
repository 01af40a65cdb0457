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
    /// Before it ever heard of a leader, the peer that is meant to lead (highest priority, among
    /// equals the first by id) campaigns after this long instead, again and again, so that a new or restarted group is ready
    /// soon. Safe because it asks around first (pre-vote); `None` waits like everybody.
    pub first_election_delay: Option<Millis>,
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
            first_election_delay: Some(50),
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

    /// A heartbeat is due when a follower is silent for this long…
    pub(crate) fn heartbeat_after_reply(&self) -> Millis {
        (self.election_timeout_min / 2).max(1)
    }

    /// …and none was sent for this long.
    pub(crate) fn heartbeat_interval(&self) -> Millis {
        (self.election_timeout_min / 4).max(1)
    }

    /// A new peer that is silent for this long fails the change of configuration.
    pub(crate) fn staging_timeout(&self) -> Millis {
        self.election_timeout_max.saturating_mul(3)
    }
}

/// The election jitter: SplitMix64 over the seed.
#[derive(Clone, Debug)]
pub(crate) struct Jitter(pub(crate) u64);

/// Part of the shortest election timeout after which, at the latest, a follower campaigns whose
/// leader is known to be gone; at the earliest after half of that, so that the others know it, too.
const HURRIED_SHARE: Millis = 25;
/// The same in milliseconds, for groups with long timeouts.
const HURRIED_MAX: Millis = 200;

impl Jitter {
    /// A timeout between shortest and longest.
    pub(crate) fn election_timeout(&mut self, settings: &Settings) -> Millis {
        let spread = settings.election_timeout_max.saturating_sub(settings.election_timeout_min);
        settings.election_timeout_min.saturating_add(self.next() % spread.saturating_add(1))
    }

    /// A timeout for when the leader is known to be gone.
    pub(crate) fn hurried(&mut self, settings: &Settings) -> Millis {
        let longest = (settings.election_timeout_min / HURRIED_SHARE).clamp(2, HURRIED_MAX);
        longest / 2 + self.next() % (longest / 2 + 1)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}
