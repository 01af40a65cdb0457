//! Opening a group: log, state machine, core and loop find each other.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ratis_core::{Core, HardState, Millis, PeerId, Settings, TermIndex};
use ratis_log::{Disk, LogSettings};
use ratis_proto::common::{
    LogEntryProto, RaftConfigurationProto, RaftPeerProto, RaftPeerRole,
    log_entry_proto::LogEntryBody,
};
use tokio::sync::mpsc;

use crate::actor::{Actor, DiskReports};
use crate::apply::Applier;
use crate::engine::Engine;
use crate::error::RaftError;
use crate::group::{Bounds, Group};
use crate::links::Links;
use crate::retry_cache::RetryCache;
use crate::snapshots::Snapshots;
use crate::types::GroupId;

/// A vote that is not answered within this share of the election timeout is lost.
const VOTE_TIMEOUT_MIN: Duration = Duration::from_millis(200);

fn millis(duration: Duration) -> Millis {
    duration.as_millis() as Millis
}

/// Opens a group; `peers` are its first members if it is new. Blocks while the log is read.
pub(crate) fn open(
    engine: &Arc<Engine>,
    id: GroupId,
    disk: &Disk,
    peers: &[RaftPeerProto],
) -> Result<Actor, RaftError> {
    let settings = engine.settings.clone();
    let log_error = |message: String| RaftError::Log { group: id, message };
    let (mailbox, events) = mpsc::unbounded_channel();
    let log_settings = LogSettings {
        segment_bytes_max: settings.segment_bytes_max,
        preallocated_bytes: settings.segment_preallocated_bytes,
    };
    let members = (!peers.is_empty()).then(|| first_configuration(peers));
    let reports = Arc::new(DiskReports(mailbox.clone()));
    let (mut log, found) = disk
        .open_group(id, log_settings, reports, members.as_ref())
        .map_err(|e| log_error(e.to_string()))?;
    let machine = match engine.machines.open(id, log.state_machine_directory()) {
        Ok(machine) => machine,
        Err(error) => {
            log.close();
            return Err(error.into());
        }
    };
    let durable = machine.durable();

    let mut terms = found.terms.clone();
    let (mut first, mut next) = (found.first, found.next);
    let wanted = durable.map_or(0, |d| d.index + 1);
    if wanted > next {
        // A snapshot was installed, and the log did not get to know.
        log.reset(wanted);
        terms.clear();
        (first, next) = (wanted, wanted);
    } else if wanted < first {
        log.close();
        let message = format!(
            "the state machine stands at {durable:?}, but the log starts at {first}; install a \
             snapshot, or remove the group here and add it again"
        );
        return Err(log_error(message));
    }
    let last = terms.last().and_then(|(_, term)| Some(TermIndex::new(*term, next.checked_sub(1)?)));
    let configuration =
        found.stored_configuration.clone().unwrap_or_else(|| first_configuration(peers));
    let recovered = ratis_core::Recovered {
        hard_state: HardState {
            term: found.metadata.term,
            voted_for: found.metadata.voted_for.as_deref().map(PeerId::from),
            initializing: found.metadata.initializing,
        },
        configuration,
        configurations: found.configurations,
        snapshot: durable,
        log_start: first,
        terms: runs(&terms, next),
        commit: found.noted_commit,
    };
    let core = Core::new(core_settings(&settings, id), recovered, engine.clock.now());

    let directory = log.directory().to_owned();
    let mut retry = RetryCache::new(settings.retry_cache_bytes_max, settings.retry_cache_expiry);
    retry.restore(machine.known_replies(), std::time::Instant::now());
    let bounds = Bounds {
        pending_requests_max: settings.pending_requests_max,
        pending_bytes_max: settings.pending_bytes_max,
    };
    let group = Arc::new(Group::new(id, machine, directory, retry, mailbox, bounds));
    if let Some(durable) = durable {
        group.show_applied(durable.index);
    }
    let beside = group.machine.snapshots_beside_apply();
    let snapshots = Snapshots::new(settings.snapshot_after_entries, beside, durable);
    let applier = Arc::new(Applier::new(
        Arc::downgrade(&group),
        log.reader().clone(),
        snapshots,
        durable,
        settings.own_thread,
    ));
    let vote_timeout = settings.election_timeout_min.max(VOTE_TIMEOUT_MIN);
    let links = Links::new(group.clone(), engine.channels.clone(), vote_timeout);
    let clock = engine.clock.clone();
    Ok(Actor::new(group, settings, core, log, applier, links, events, clock, durable, last))
}

/// `(term, entries)` from `(first index, term)`.
fn runs(terms: &[(u64, u64)], next: u64) -> Vec<(u64, u64)> {
    let ends = terms.iter().skip(1).map(|(first, _)| *first).chain([next]);
    terms.iter().zip(ends).map(|((first, term), end)| (*term, end.saturating_sub(*first))).collect()
}

/// A configuration with the peers that a new group was created with; it never was in a log.
fn first_configuration(peers: &[RaftPeerProto]) -> LogEntryProto {
    let is_listener =
        |p: &&RaftPeerProto| p.startup_role() == RaftPeerRole::Listener && p.startup_role.is_some();
    // Java always writes the role of a peer.
    let with_role = |p: &RaftPeerProto| {
        let startup_role = p.startup_role.or(Some(RaftPeerRole::Follower.into()));
        RaftPeerProto { startup_role, ..p.clone() }
    };
    let configuration = RaftConfigurationProto {
        peers: peers.iter().filter(|p| !is_listener(p)).map(with_role).collect(),
        listeners: peers.iter().filter(is_listener).map(with_role).collect(),
        ..Default::default()
    };
    LogEntryProto {
        term: 0,
        index: u64::MAX,
        log_entry_body: Some(LogEntryBody::ConfigurationEntry(configuration)),
    }
}

fn core_settings(settings: &crate::RaftSettings, id: GroupId) -> Settings {
    let group = Bytes::copy_from_slice(id.as_bytes());
    Settings {
        election_timeout_min: millis(settings.election_timeout_min),
        election_timeout_max: millis(settings.election_timeout_max),
        request_timeout: millis(settings.request_timeout),
        slowness_timeout: millis(settings.slowness_timeout),
        append_outstanding_max: settings.append_outstanding_max,
        append_entries_max: settings.append_entries_max,
        append_bytes_max: settings.append_bytes_max,
        ..Settings::new(settings.id.clone(), group, rand::random())
    }
}
