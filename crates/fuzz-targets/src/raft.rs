//! Raft: peers' messages into a member, files into its log.

use bytes::Bytes;
use prost::Message as _;
use ratis_core::{
    Core, Effect, Message, PeerId, Recovered, ReplyTo, RequestId, Settings, TermIndex,
};
use ratis_log::LogSettings;
use ratis_log::files::{Change, Frames, LogFiles};
use ratis_proto::common::log_entry_proto::LogEntryBody;
use ratis_proto::common::{
    AppendEntriesReplyProto, AppendEntriesRequestProto, InstallSnapshotReplyProto,
    InstallSnapshotRequestProto, LogEntryProto, RaftConfigurationProto, RaftPeerProto,
    RaftRpcReplyProto, ReadIndexReplyProto, ReadIndexRequestProto, RequestVoteReplyProto,
    RequestVoteRequestProto, StartLeaderElectionReplyProto, StartLeaderElectionRequestProto,
    StateMachineLogEntryProto,
};

use crate::memory::Memory;
use crate::{byte, piece};

/// Inputs of one run.
const INPUTS_MAX: usize = 64;

fn peer(name: &str) -> RaftPeerProto {
    RaftPeerProto { id: Bytes::copy_from_slice(name.as_bytes()), ..RaftPeerProto::default() }
}

fn member() -> Core {
    let conf = RaftConfigurationProto {
        peers: ["a", "b", "c"].map(peer).to_vec(),
        ..RaftConfigurationProto::default()
    };
    let recovered = Recovered {
        configuration: LogEntryProto {
            term: 0,
            index: u64::MAX,
            log_entry_body: Some(LogEntryBody::ConfigurationEntry(conf)),
        },
        ..Recovered::default()
    };
    let settings = Settings::new(PeerId::from("a"), Bytes::from_static(b"0123456789abcdef"), 7);
    Core::new(settings, recovered, 0)
}

/// What an engine checks of a member.
#[derive(Default)]
struct Watch {
    commit: Option<u64>,
    next: u64,
    term: u64,
    vote: Option<RequestVoteRequestProto>,
}

impl Watch {
    /// Carries effects out; the disk is quick.
    fn perform(&mut self, core: &mut Core) {
        for _ in 0..INPUTS_MAX {
            let effects = core.take_effects();
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                self.perform_one(core, effect);
            }
        }
    }

    fn perform_one(&mut self, core: &mut Core, effect: Effect) {
        match effect {
            Effect::SaveVote(hard) => {
                assert!(hard.term >= self.term, "the term goes back");
                self.term = hard.term;
            }
            Effect::Truncate(from) => {
                assert!(self.commit.is_none_or(|commit| commit < from), "commits are truncated");
                self.next = self.next.min(from);
            }
            Effect::Append(entries) => {
                for entry in &entries {
                    assert_eq!(entry.index, self.next, "entries leave a gap");
                    self.next += 1;
                }
                if let Some(last) = entries.last() {
                    core.durable(0, TermIndex::new(last.term, last.index));
                }
            }
            Effect::ResetLog(at) => self.next = at.index + 1,
            Effect::Commit(index) => {
                assert!(self.commit.is_none_or(|commit| commit < index), "the commit goes back");
                assert!(index < self.next, "what is not there is committed");
                self.commit = Some(index);
                core.applied(0, index);
            }
            Effect::Send(_, Message::Vote(request)) => self.vote = Some(request),
            Effect::Load { peer, ticket, .. } => {
                let _ = core.loaded(0, &peer, ticket, 1);
            }
            _ => {}
        }
    }
}

/// The data are inputs of one member: a byte that says which, then a message with its length. Whatever
/// comes, terms and commits only grow and the log has no gap.
pub fn core_inputs(mut data: &[u8]) {
    let mut core = member();
    let mut watch = Watch::default();
    let mut now = 0;
    if byte(&mut data) & 1 == 1 {
        lead(&mut core, &mut watch, &mut now);
    }
    for token in 0..INPUTS_MAX as u64 {
        if data.is_empty() {
            break;
        }
        let kind = byte(&mut data);
        let from = PeerId::from(if kind & 0x80 == 0 { "b" } else { "c" });
        input(&mut core, &mut watch, kind & 0x7f, &from, ReplyTo(token), &mut now, &mut data);
        watch.perform(&mut core);
        assert!(core.deadline() >= 1);
    }
}

/// The member is elected and has committed its first entry.
fn lead(core: &mut Core, watch: &mut Watch, now: &mut u64) {
    for _ in 0..4 {
        *now += 10_000;
        core.tick(*now);
        watch.perform(core);
        for _ in 0..2 {
            let Some(request) = watch.vote.take() else { continue };
            let reply = RequestVoteReplyProto {
                server_reply: Some(RaftRpcReplyProto { success: true, ..Default::default() }),
                term: request.candidate_term,
                ..RequestVoteReplyProto::default()
            };
            core.vote_reply(*now, &PeerId::from("b"), &request, &reply);
            watch.perform(core);
        }
    }
}

fn input(
    core: &mut Core,
    watch: &mut Watch,
    kind: u8,
    from: &PeerId,
    to: ReplyTo,
    now: &mut u64,
    data: &mut &[u8],
) {
    macro_rules! decoded {
        ($type:ty) => {
            match <$type>::decode(piece(data)) {
                Ok(message) => message,
                Err(_) => return,
            }
        };
    }
    let now_is = *now;
    match kind {
        0 => core.append_request(now_is, to, decoded!(AppendEntriesRequestProto)),
        1 => core.vote_request(now_is, to, decoded!(RequestVoteRequestProto)),
        2 => core.snapshot_request(now_is, to, decoded!(InstallSnapshotRequestProto)),
        3 => {
            core.start_election_request(now_is, to, &decoded!(StartLeaderElectionRequestProto));
        }
        4 => core.read_index_request(now_is, to, decoded!(ReadIndexRequestProto)),
        5 => core.append_reply(now_is, from, &decoded!(AppendEntriesReplyProto)),
        6 => {
            let reply = decoded!(RequestVoteReplyProto);
            if let Some(request) = watch.vote.clone() {
                core.vote_reply(now_is, from, &request, &reply);
            }
        }
        7 => core.snapshot_reply(now_is, from, &decoded!(InstallSnapshotReplyProto)),
        8 => core.start_election_reply(now_is, from, &decoded!(StartLeaderElectionReplyProto)),
        9 => core.read_index_reply(now_is, from, &decoded!(ReadIndexReplyProto)),
        10 => {
            let entry = decoded!(StateMachineLogEntryProto);
            let _ = core.propose(now_is, entry);
        }
        11 => core.read(now_is, RequestId(to.0)),
        12 => {
            let conf = decoded!(RaftConfigurationProto);
            let _ = core.set_configuration(now_is, RequestId(to.0), conf.peers, conf.listeners);
        }
        13 => {
            let _ = core.transfer(now_is, RequestId(to.0), Some(from.clone()), 1_000);
        }
        14 => core.stream_failed(now_is, from, None, now_is + u64::from(byte(data))),
        _ => {
            *now += u64::from(byte(data)) * 50;
            core.tick(*now);
        }
    }
}

/// The data are `raft-meta`, `raft-meta.conf` and an open segment. A log that opens takes entries,
/// opens again, and then is the same.
pub fn log_files(mut data: &[u8]) {
    let folder = Memory::default();
    let (meta, conf) = (piece(&mut data), piece(&mut data));
    if !meta.is_empty() {
        folder.put("raft-meta", meta);
    }
    if !conf.is_empty() {
        folder.put("raft-meta.conf", conf);
    }
    let first = u64::from(byte(&mut data) & 3);
    folder.put(&format!("log_inprogress_{first}"), data);
    let settings = LogSettings { segment_bytes_max: 1 << 16, preallocated_bytes: 0 };
    let Ok((files, found)) = LogFiles::open(Box::new(folder.clone()), settings) else { return };
    drop(files);
    let before = folder.files();
    let (mut files, again) =
        LogFiles::open(Box::new(folder.clone()), settings).expect("it opened before");
    assert_eq!(folder.files(), before, "opening changes nothing more");
    assert_eq!((&found.terms, found.first, found.next), (&again.terms, again.first, again.next));
    assert_eq!(found.metadata, again.metadata);

    if found.next < u64::MAX / 2 {
        let entry = LogEntryProto { term: 9, index: found.next, log_entry_body: None };
        let frames = Frames::encode(std::slice::from_ref(&entry), found.next);
        files.change(Change::Metadata(again.metadata.clone())).expect("memory takes everything");
        files.change(Change::Append(frames)).expect("memory takes everything");
        let (_, longer) = LogFiles::open(Box::new(folder), settings).expect("it opened before");
        assert_eq!(longer.next, found.next + 1);
        assert_eq!(longer.metadata, again.metadata);
    }
}
