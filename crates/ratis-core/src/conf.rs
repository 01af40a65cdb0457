//! Who is in the group: the configuration in force and those it may fall back to.

use ratis_proto::common::log_entry_proto::LogEntryBody;
use ratis_proto::common::{LogEntryProto, RaftConfigurationProto, RaftPeerProto};

use crate::types::{PeerId, TermIndex, from_wire};

/// One configuration, stable or joint.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Conf {
    /// Its entry; `None` for the configuration a group is created with.
    pub(crate) at: Option<TermIndex>,
    pub(crate) proto: RaftConfigurationProto,
    /// Voters of the (new) configuration.
    pub(crate) voters: Vec<PeerId>,
    /// Voters of the old configuration while joint.
    pub(crate) old_voters: Vec<PeerId>,
    listeners: Vec<PeerId>,
}

fn ids(peers: &[RaftPeerProto]) -> Vec<PeerId> {
    peers.iter().map(|peer| PeerId::from_wire(&peer.id)).collect()
}

impl Conf {
    pub(crate) fn new(at: Option<TermIndex>, proto: RaftConfigurationProto) -> Self {
        Self {
            at,
            voters: ids(&proto.peers),
            old_voters: ids(&proto.old_peers),
            listeners: ids(&proto.listeners),
            proto,
        }
    }

    /// From an entry, if it is a configuration entry.
    pub(crate) fn from_entry(entry: &LogEntryProto) -> Option<Self> {
        let Some(LogEntryBody::ConfigurationEntry(proto)) = &entry.log_entry_body else {
            return None;
        };
        let at = from_wire(entry.index).map(|index| TermIndex { term: entry.term, index });
        Some(Self::new(at, proto.clone()))
    }

    pub(crate) fn to_entry(&self) -> LogEntryProto {
        LogEntryProto {
            term: self.at.map_or(0, |at| at.term),
            index: crate::types::to_wire(self.at.map(|at| at.index)),
            log_entry_body: Some(LogEntryBody::ConfigurationEntry(self.proto.clone())),
        }
    }

    /// Between two configurations: both majorities are needed.
    pub(crate) fn is_joint(&self) -> bool {
        !self.old_voters.is_empty()
    }

    /// May lead: voters of the new configuration.
    pub(crate) fn is_voter(&self, id: &PeerId) -> bool {
        self.voters.contains(id)
    }

    pub(crate) fn is_listener(&self, id: &PeerId) -> bool {
        self.listeners.contains(id) && !self.voters.contains(id)
    }

    /// Whether the peer plays any part.
    pub(crate) fn is_member(&self, id: &PeerId) -> bool {
        self.voters.contains(id) || self.old_voters.contains(id) || self.listeners.contains(id)
    }

    /// Everyone but `me`, each once, voters first.
    pub(crate) fn others(&self, me: &PeerId) -> Vec<PeerId> {
        let mut others: Vec<PeerId> = Vec::new();
        for id in self.voters.iter().chain(&self.old_voters).chain(&self.listeners) {
            if id != me && !others.contains(id) {
                others.push(id.clone());
            }
        }
        others
    }

    /// Everyone but `me` who votes, old voters included.
    pub(crate) fn other_voters(&self, me: &PeerId) -> Vec<PeerId> {
        let mut others: Vec<PeerId> = Vec::new();
        for id in self.voters.iter().chain(&self.old_voters) {
            if id != me && !others.contains(id) {
                others.push(id.clone());
            }
        }
        others
    }

    /// Whether those for whom `yes` holds are a majority, of both configurations while joint.
    pub(crate) fn has_majority(&self, yes: impl Fn(&PeerId) -> bool) -> bool {
        let majority =
            |voters: &[PeerId]| voters.iter().filter(|id| yes(id)).count() > voters.len() / 2;
        majority(&self.voters) && (!self.is_joint() || majority(&self.old_voters))
    }

    /// Whether without those for whom `no` holds there cannot be a majority any more.
    pub(crate) fn is_refused(&self, no: impl Fn(&PeerId) -> bool) -> bool {
        let refused =
            |voters: &[PeerId]| voters.iter().filter(|id| !no(id)).count() <= voters.len() / 2;
        refused(&self.voters) || (self.is_joint() && refused(&self.old_voters))
    }

    /// The largest value that a majority has reached (of both configurations while joint), and the
    /// smallest and largest of all.
    pub(crate) fn reached(&self, value: impl Fn(&PeerId) -> Option<u64>) -> Reached {
        let of = |voters: &[PeerId]| {
            let mut values: Vec<Option<u64>> = voters.iter().map(&value).collect();
            values.sort_unstable();
            Reached {
                all: values.first().copied().flatten(),
                majority: values.get(values.len().saturating_sub(1) / 2).copied().flatten(),
                any: values.last().copied().flatten(),
            }
        };
        let new = of(&self.voters);
        if !self.is_joint() {
            return new;
        }
        let old = of(&self.old_voters);
        Reached {
            all: new.all.min(old.all),
            majority: new.majority.min(old.majority),
            any: new.any.min(old.any),
        }
    }

    pub(crate) fn peer(&self, id: &PeerId) -> Option<&RaftPeerProto> {
        let RaftConfigurationProto { peers, old_peers, listeners, old_listeners } = &self.proto;
        [peers, listeners, old_peers, old_listeners]
            .into_iter()
            .flatten()
            .find(|peer| peer.id.as_ref() == id.0.as_bytes())
    }

    /// Priority of a voter; voters only.
    pub(crate) fn priority(&self, id: &PeerId) -> Option<u32> {
        self.proto.peers.iter().find(|peer| peer.id.as_ref() == id.0.as_bytes()).map(|p| p.priority)
    }
}

/// How far a group got.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Reached {
    pub(crate) all: Option<u64>,
    pub(crate) majority: Option<u64>,
    pub(crate) any: Option<u64>,
}

/// The configuration in force (the last one appended) and those before it that may come back when
/// entries are truncated. The first one stays: it is committed, or given from outside.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Configurations {
    base: Conf,
    appended: Vec<Conf>,
}

impl Configurations {
    pub(crate) fn new(base: Conf) -> Self {
        Self { base, appended: Vec::new() }
    }

    pub(crate) fn current(&self) -> &Conf {
        self.appended.last().unwrap_or(&self.base)
    }

    /// A configuration entry was appended. One that is older than what is known already is passed over.
    pub(crate) fn append(&mut self, conf: Conf) {
        if conf.at > self.current().at {
            self.appended.push(conf);
        }
    }

    /// A leader told its configuration outside of the log (with a snapshot).
    pub(crate) fn adopt(&mut self, conf: Conf) {
        if conf.at > self.current().at {
            self.base = conf;
            self.appended.clear();
        }
    }

    /// Entries from `from` on are gone.
    pub(crate) fn truncate(&mut self, from: u64) {
        self.appended.retain(|conf| conf.at.is_some_and(|at| at.index < from));
    }

    /// Everything up to `commit` stays for good: earlier configurations are not needed any more.
    pub(crate) fn compact(&mut self, commit: Option<u64>) {
        let settled = self.appended.partition_point(|conf| conf.at.map(|at| at.index) <= commit);
        if let Some(last) = self.appended.drain(..settled).next_back() {
            self.base = last;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn peers(ids: &[&str]) -> Vec<RaftPeerProto> {
        ids.iter()
            .map(|id| RaftPeerProto {
                id: Bytes::copy_from_slice(id.as_bytes()),
                ..RaftPeerProto::default()
            })
            .collect()
    }

    fn conf(index: u64, new: &[&str], old: &[&str]) -> Conf {
        let proto = RaftConfigurationProto {
            peers: peers(new),
            old_peers: peers(old),
            ..RaftConfigurationProto::default()
        };
        Conf::new(Some(TermIndex::new(1, index)), proto)
    }

    #[test]
    fn a_joint_configuration_needs_both_majorities() {
        let conf = conf(0, &["c", "d", "e"], &["a", "b", "c"]);
        assert!(!conf.has_majority(|id| ["c", "d"].contains(&&*id.0)));
        assert!(!conf.has_majority(|id| ["a", "b"].contains(&&*id.0)));
        assert!(conf.has_majority(|id| ["a", "c", "d"].contains(&&*id.0)));
        assert!(conf.is_refused(|id| ["a", "b"].contains(&&*id.0)));
        let reached = conf.reached(|id| match &*id.0 {
            "a" => Some(9),
            "b" => Some(8),
            "c" => Some(7),
            "d" => Some(1),
            _ => None,
        });
        assert_eq!(reached, Reached { all: None, majority: Some(1), any: Some(7) });
    }

    #[test]
    fn truncation_brings_the_configuration_before_back() {
        let mut all = Configurations::new(conf(0, &["a"], &[]));
        all.append(conf(5, &["a", "b"], &["a"]));
        all.append(conf(7, &["a", "b"], &[]));
        all.truncate(7);
        assert!(all.current().is_joint());
        all.compact(Some(6));
        all.truncate(1);
        assert!(all.current().is_joint(), "what is committed stays");
    }

    #[test]
    fn nobody_is_a_majority_of_nobody() {
        assert!(!Conf::default().has_majority(|_| true));
    }
}
