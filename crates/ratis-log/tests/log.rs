//! Logs on real files: appends, restarts, torn tails, damage, truncation, purge.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, unbounded};
use prost::Message;
use ratis_log::format::{self, Frame, MAGIC};
use ratis_log::{Disk, GroupLog, LogError, LogListener, LogSettings, Metadata, Recovered, Ticket};
use ratis_proto::common::{
    LogEntryProto, RaftConfigurationProto, RaftPeerProto, StateMachineEntryProto,
    StateMachineLogEntryProto, log_entry_proto::LogEntryBody,
};
use uuid::Uuid;

const DEADLINE: Duration = Duration::from_secs(20);
const GROUP: Uuid = Uuid::from_u128(7);

/// Passes reports on to the test.
struct Reports(Sender<Result<Ticket, String>>);

impl LogListener for Reports {
    fn durable(&self, ticket: Ticket) {
        let _ = self.0.send(Ok(ticket));
    }

    fn failed(&self, _: Ticket, error: Arc<LogError>) {
        let _ = self.0.send(Err(error.to_string()));
    }
}

struct Opened {
    log: GroupLog,
    found: Recovered,
    reports: Receiver<Result<Ticket, String>>,
}

impl Opened {
    fn wait(&self, ticket: Ticket) -> Result<(), String> {
        while self.reports.recv_timeout(DEADLINE).map_err(|e| e.to_string())?? < ticket {}
        Ok(())
    }

    fn append(&mut self, entries: &[LogEntryProto]) {
        let ticket = self.log.append(entries).unwrap();
        self.wait(ticket).unwrap();
    }

    fn read_all(&self) -> Vec<LogEntryProto> {
        let reader = self.log.reader();
        reader.read(reader.first(), reader.next(), usize::MAX, usize::MAX).unwrap()
    }
}

fn open(disk: &Disk, settings: LogSettings) -> Result<Opened, LogError> {
    let (sender, reports) = unbounded();
    let (log, found) = disk.open_group(GROUP, settings, Arc::new(Reports(sender)), None)?;
    Ok(Opened { log, found, reports })
}

fn small_segments() -> LogSettings {
    LogSettings { segment_bytes_max: 180, preallocated_bytes: 4096 }
}

fn entry(term: u64, index: u64, text: &str) -> LogEntryProto {
    let body = StateMachineLogEntryProto {
        log_data: Bytes::copy_from_slice(text.as_bytes()),
        client_id: Bytes::from_static(&[9; 16]),
        call_id: index,
        ..Default::default()
    };
    LogEntryProto { term, index, log_entry_body: Some(LogEntryBody::StateMachineLogEntry(body)) }
}

fn entries(term: u64, range: std::ops::Range<u64>) -> Vec<LogEntryProto> {
    range.map(|i| entry(term, i, &format!("entry number {i}"))).collect()
}

fn current(folder: &Path) -> PathBuf {
    folder.join(GROUP.to_string()).join("current")
}

fn files(folder: &Path) -> Vec<String> {
    let list = fs::read_dir(current(folder)).unwrap();
    let mut names: Vec<_> = list.map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|n| n.starts_with("log_"));
    names.sort();
    names
}

#[test]
fn what_was_reported_durable_is_read_back_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::open(folder.path()).unwrap();
    let mut opened = open(&disk, LogSettings::default()).unwrap();
    assert!(opened.found.is_new);
    opened.append(&entries(1, 0..3));
    opened.append(&entries(2, 3..6));
    let vote = Metadata { term: 2, voted_for: Some("om1".to_owned()), initializing: false };
    let ticket = opened.log.save_metadata(vote.clone());
    opened.wait(ticket).unwrap();
    opened.log.close();
    disk.shutdown();

    let disk = Disk::open(folder.path()).unwrap();
    assert_eq!(disk.groups().unwrap(), [GROUP]);
    let mut opened = open(&disk, LogSettings::default()).unwrap();
    assert!(!opened.found.is_new);
    assert_eq!(opened.found.metadata, vote);
    assert_eq!(opened.found.terms, [(0, 1), (3, 2)]);
    assert_eq!(opened.found.last(), Some((2, 5)));
    opened.append(&entries(2, 6..8));
    assert_eq!(opened.read_all(), [entries(1, 0..3), entries(2, 3..8)].concat());
}

#[test]
fn segments_are_closed_at_their_size_and_named_as_ratis_names_them() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::open(folder.path()).unwrap();
    let mut opened = open(&disk, small_segments()).unwrap();
    opened.append(&entries(1, 0..12));
    let names = files(folder.path());
    assert_eq!(names, ["log_0-3", "log_4-7", "log_inprogress_8"]);
    assert_eq!(opened.read_all(), entries(1, 0..12));
    let reader = opened.log.reader();
    assert_eq!(reader.read(5, 9, 10, usize::MAX).unwrap(), entries(1, 5..9));
    assert_eq!(reader.read(5, 12, 2, usize::MAX).unwrap(), entries(1, 5..7));
    assert_eq!(reader.read(5, 12, 9, 1).unwrap(), entries(1, 5..6));
    assert!(matches!(reader.read(12, 13, 1, 1), Err(LogError::NotFound { .. })));

    let ticket = opened.log.purge(7);
    opened.wait(ticket).unwrap();
    assert_eq!(files(folder.path()), ["log_inprogress_8"]);
    opened.log.close();
    let opened = open(&disk, small_segments()).unwrap();
    assert_eq!((opened.found.first, opened.found.next), (8, 12));
    assert_eq!(opened.read_all(), entries(1, 8..12));
}

#[test]
fn a_tail_torn_at_any_byte_of_the_last_entry_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::open(folder.path()).unwrap();
    let mut opened = open(&disk, LogSettings::default()).unwrap();
    opened.append(&entries(1, 0..3));
    opened.log.close();
    let path = current(folder.path()).join("log_inprogress_0");
    let whole = fs::read(&path).unwrap();
    let mut last = Vec::new();
    let last_bytes = ratis_log::format::encode(&entry(1, 2, "entry number 2"), &mut last);
    assert!(whole.ends_with(&last));

    for kept in 0..last_bytes {
        let cut = whole.len() - last_bytes + kept;
        for padding in [0, 4096] {
            let mut torn = whole[..cut].to_vec();
            torn.resize(cut + padding, 0);
            fs::write(&path, torn).unwrap();
            let mut opened = open(&disk, LogSettings::default()).unwrap();
            // Zeros that stand for what was cut may complete the entry.
            let whole_again = padding > 0 && last[kept..].iter().all(|b| *b == 0);
            let next = if whole_again { 3 } else { 2 };
            assert_eq!(opened.found.next, next, "kept {kept}, padding {padding}");
            opened.append(&entries(1, next..4));
            assert_eq!(opened.read_all(), entries(1, 0..4));
            opened.log.close();
        }
    }
}

#[test]
fn a_segment_without_its_header_was_never_used() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::open(folder.path()).unwrap();
    open(&disk, LogSettings::default()).unwrap().log.close();
    for (name, content) in [
        ("log_inprogress_0", &b""[..]),
        ("log_inprogress_0", b"RaftL"),
        ("log_inprogress_3", &[0; 64]),
    ] {
        fs::write(current(folder.path()).join(name), content).unwrap();
        let opened = open(&disk, LogSettings::default()).unwrap();
        assert_eq!((opened.found.next, files(folder.path()).len()), (0, 0));
        opened.log.close();
    }
}

#[test]
fn damage_in_the_middle_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::open(folder.path()).unwrap();
    let mut opened = open(&disk, small_segments()).unwrap();
    opened.append(&entries(1, 0..12));
    opened.log.close();
    for name in ["log_0-3", "log_inprogress_8"] {
        let path = current(folder.path()).join(name);
        let whole = fs::read(&path).unwrap();
        for at in 8..whole.len() / 2 {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x40;
            fs::write(&path, &damaged).unwrap();
            let error = open(&disk, small_segments()).err().unwrap();
            assert!(matches!(&error, LogError::Corrupt { path: p, .. } if *p == path), "{error}");
        }
        fs::write(&path, &whole).unwrap();
    }
    // A closed segment that has lost its end is damage as well.
    let path = current(folder.path()).join("log_4-7");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert!(open(&disk, small_segments()).is_err());
    fs::write(&path, &whole).unwrap();
    assert_eq!(open(&disk, small_segments()).unwrap().found.next, 12);
}

#[test]
fn sectors_that_never_reached_the_disk_are_a_torn_tail() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::open(folder.path()).unwrap();
    let mut opened = open(&disk, LogSettings::default()).unwrap();
    opened.append(&entries(1, 0..200));
    opened.log.close();
    let path = current(folder.path()).join("log_inprogress_0");
    let mut bytes = fs::read(&path).unwrap();
    bytes[4096..8192].fill(0);
    fs::write(&path, &bytes).unwrap();
    let opened = open(&disk, LogSettings::default()).unwrap();
    assert!(opened.found.next > 50 && opened.found.next < 100, "{}", opened.found.next);
    assert_eq!(opened.read_all(), entries(1, 0..opened.found.next));
}

#[test]
fn a_sector_that_kept_its_old_half_is_a_torn_tail() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::open(folder.path()).unwrap();
    let mut opened = open(&disk, LogSettings::default()).unwrap();
    opened.append(&entries(1, 0..200));
    opened.log.close();
    let path = current(folder.path()).join("log_inprogress_0");
    let mut bytes = fs::read(&path).unwrap();
    // The entries up to somewhere in the sector were synced. Of what came later, this sector was lost
    // and the next ones were not.
    let ends: Vec<usize> = std::iter::successors(Some(MAGIC.len()), |at| {
        let Frame::Entry { length, .. } = format::decode(&bytes[*at..]) else { return None };
        Some(at + length)
    })
    .collect();
    let kept = ends.iter().position(|end| *end > 1_100).unwrap();
    bytes[ends[kept]..1_536].fill(0);
    fs::write(&path, &bytes).unwrap();
    let opened = open(&disk, LogSettings::default()).unwrap();
    assert_eq!(opened.found.next, kept as u64);
}

#[test]
fn conflicting_entries_are_replaced_also_across_segments() {
    for (from, expected) in [
        (0, vec!["log_inprogress_0"]),
        (2, vec!["log_0-1", "log_inprogress_2"]),
        (4, vec!["log_0-3", "log_inprogress_4"]),
        (9, vec!["log_0-3", "log_4-7", "log_8-8", "log_inprogress_9"]),
        (12, vec!["log_0-3", "log_12-12", "log_4-7", "log_8-11"]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path()).unwrap();
        let mut opened = open(&disk, small_segments()).unwrap();
        opened.append(&entries(1, 0..12));
        opened.log.truncate(from);
        opened.append(&entries(2, from..from + 1));
        if from < 12 {
            assert_eq!(files(folder.path()), expected);
        }
        let whole = [entries(1, 0..from), entries(2, from..from + 1)].concat();
        assert_eq!(opened.read_all(), whole);
        assert_eq!(opened.log.cache().range(0, 100, 100, 1 << 20).unwrap(), whole);
        opened.log.close();
        let opened = open(&disk, small_segments()).unwrap();
        assert_eq!(opened.read_all(), whole);
    }
}

#[test]
fn after_an_installed_snapshot_the_log_starts_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::open(folder.path()).unwrap();
    let mut opened = open(&disk, small_segments()).unwrap();
    opened.append(&entries(1, 0..6));
    opened.log.reset(100);
    opened.append(&entries(3, 100..102));
    assert_eq!(opened.read_all(), entries(3, 100..102));
    opened.log.close();
    let opened = open(&disk, small_segments()).unwrap();
    assert_eq!((opened.found.first, opened.found.last()), (100, Some((3, 101))));
}

#[test]
fn bulk_bytes_stay_out_of_the_log_but_their_size_is_noted() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::open(folder.path()).unwrap();
    let mut opened = open(&disk, LogSettings::default()).unwrap();
    let mut with_bulk = entry(1, 0, "write chunk");
    if let Some(LogEntryBody::StateMachineLogEntry(body)) = &mut with_bulk.log_entry_body {
        body.state_machine_entry = Some(StateMachineEntryProto {
            state_machine_data: Bytes::from(vec![1; 100_000]),
            log_entry_proto_serialized_size: 0,
        });
    }
    let full_bytes = with_bulk.encoded_len();
    opened.append(std::slice::from_ref(&with_bulk));
    assert_eq!(opened.log.cache().get(0), Some((&with_bulk, full_bytes)));
    let read = opened.read_all().remove(0);
    let Some(LogEntryBody::StateMachineLogEntry(body)) = read.log_entry_body else { panic!() };
    let bulk = body.state_machine_entry.unwrap();
    assert_eq!(bulk.log_entry_proto_serialized_size as usize, full_bytes);
    assert!(bulk.state_machine_data.is_empty());
}

#[test]
fn the_first_entry_of_a_ring_of_one_has_the_bytes_that_ratis_writes() {
    let address = |port: u16| format!("127.0.0.1:{port}");
    let peer = RaftPeerProto {
        id: Bytes::from_static(b"5c1c9d35-7fd2-4b1b-a0ba-f0c1d1b6a0a1"),
        address: address(19856),
        priority: 1,
        data_stream_address: address(19858),
        client_address: address(19858),
        admin_address: address(19857),
        startup_role: Some(2),
    };
    let configuration = RaftConfigurationProto { peers: vec![peer], ..Default::default() };
    let entry = LogEntryProto {
        term: 1,
        index: 0,
        log_entry_body: Some(LogEntryBody::ConfigurationEntry(configuration)),
    };
    let mut bytes = Vec::new();
    ratis_log::format::encode(&entry, &mut bytes);
    assert_eq!(hex::encode(&bytes[..11]), "74080122700a6e0a243563");
    assert_eq!(bytes.len(), 1 + 0x74 + 4);
    // The peer's fields behind its id, in the order and with the tags of the genuine log.
    let tail: Vec<u8> = [
        &[0x12, 0x0f][..],
        b"127.0.0.1:19856",
        &[0x18, 1, 0x22, 0x0f],
        b"127.0.0.1:19858",
        &[0x2a, 0x0f],
        b"127.0.0.1:19858",
        &[0x32, 0x0f],
        b"127.0.0.1:19857",
        &[0x38, 2],
    ]
    .concat();
    assert_eq!(bytes[9 + 36..bytes.len() - 4], tail);
    // RFC 3720's check value of CRC32C, big endian behind the entry.
    assert_eq!(ratis_log::format::crc32c(b"123456789"), 0xe306_9283);
    let crc = ratis_log::format::crc32c(&bytes[..bytes.len() - 4]);
    assert!(bytes.ends_with(&crc.to_be_bytes()));

    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::open(folder.path()).unwrap();
    let mut opened = open(&disk, LogSettings::default()).unwrap();
    opened.append(std::slice::from_ref(&entry));
    opened.log.save_configuration(&entry);
    opened.log.close();
    let file = fs::read(current(folder.path()).join("log_inprogress_0")).unwrap();
    assert_eq!(file, [b"RaftLog1", bytes.as_slice()].concat());
    let found = open(&disk, LogSettings::default()).unwrap().found;
    assert_eq!(found.configurations, std::slice::from_ref(&entry));
    assert_eq!(found.stored_configuration, Some(entry));
}

#[test]
fn a_group_is_opened_by_one_user_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::open(folder.path()).unwrap();
    let opened = open(&disk, LogSettings::default()).unwrap();
    assert!(matches!(open(&disk, LogSettings::default()), Err(LogError::InUse { .. })));
    opened.log.close();
    open(&disk, LogSettings::default()).unwrap();
}

#[test]
fn a_disk_error_fails_the_appends_of_its_group_from_then_on() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::open(folder.path()).unwrap();
    let mut opened = open(&disk, small_segments()).unwrap();
    opened.append(&entries(1, 0..1));
    fs::rename(current(folder.path()), folder.path().join("elsewhere")).unwrap();
    let ticket = opened.log.append(&entries(1, 1..12)).unwrap();
    assert!(opened.wait(ticket).unwrap_err().contains("cannot"));
    let ticket = opened.log.append(&entries(1, 12..13)).unwrap();
    assert!(opened.wait(ticket).is_err());
    opened.log.close();
    disk.shutdown();
}

#[test]
fn a_removed_group_leaves_nothing_or_moves_away() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::open(folder.path()).unwrap();
    for target in [None, Some(folder.path().join("removed"))] {
        open(&disk, LogSettings::default()).unwrap().log.close();
        disk.remove_group(GROUP, target.as_deref()).unwrap();
        assert!(disk.groups().unwrap().is_empty());
    }
    assert!(folder.path().join("removed").join(GROUP.to_string()).exists());
}

#[test]
fn many_groups_share_a_writer() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::open(folder.path()).unwrap();
    let mut logs: Vec<_> = (0..20)
        .map(|g| {
            let (sender, reports) = unbounded();
            let (log, found) = disk
                .open_group(Uuid::from_u128(g), small_segments(), Arc::new(Reports(sender)), None)
                .unwrap();
            Opened { log, found, reports }
        })
        .collect();
    for round in 0..10 {
        let tickets: Vec<_> = logs
            .iter_mut()
            .map(|l| l.log.append(&entries(1, round * 3..round * 3 + 3)).unwrap())
            .collect();
        logs.iter().zip(tickets).for_each(|(l, t)| l.wait(t).unwrap());
    }
    for opened in &logs {
        assert_eq!(opened.read_all(), entries(1, 0..30));
    }
}

#[test]
fn logs_that_java_wrote_are_opened_and_continued() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/ratis");
    for (name, term) in [("scm", 2), ("datanode", 1)] {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(current(folder.path())).unwrap();
        for file in fs::read_dir(golden.join(name)).unwrap() {
            let file = file.unwrap();
            if file.file_type().unwrap().is_file() {
                fs::copy(file.path(), current(folder.path()).join(file.file_name())).unwrap();
            }
        }
        let disk = Disk::open(folder.path()).unwrap();
        let mut opened = open(&disk, LogSettings::default()).unwrap();
        let found = &opened.found;
        assert_eq!(found.metadata.term, term);
        assert_eq!(found.metadata.voted_for.as_deref().map(str::len), Some(36));
        let stored = found.stored_configuration.clone().unwrap();
        assert!(found.configurations.contains(&stored), "{name}");
        assert!(found.noted_commit.is_some());
        let (next, last) = (found.next, found.last().unwrap());
        assert_eq!(last, (term, next - 1));

        // What we would write for these entries is what Java wrote, byte for byte.
        let all = opened.read_all();
        for file in files(folder.path()) {
            let bytes = fs::read(current(folder.path()).join(&file)).unwrap();
            let first: u64 = file
                .trim_start_matches("log_")
                .trim_start_matches("inprogress_")
                .split('-')
                .next()
                .and_then(|n| n.parse().ok())
                .unwrap();
            let mut ours = b"RaftLog1".to_vec();
            for entry in all.iter().skip(first as usize) {
                let mut frame = Vec::new();
                ratis_log::format::encode(entry, &mut frame);
                if !bytes[ours.len()..].starts_with(&frame) {
                    break;
                }
                ours.extend(frame);
            }
            assert!(bytes[ours.len()..].iter().all(|b| *b == 0), "{name} {file}");
        }
        opened.append(&entries(term, next..next + 3));
        assert_eq!(opened.read_all().len() as u64, next + 3);
    }
}

/// A small generator, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

#[test]
fn whatever_happens_to_a_segment_it_gives_a_prefix_or_a_refusal() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::open(folder.path()).unwrap();
    let mut opened = open(&disk, LogSettings::default()).unwrap();
    opened.append(&entries(1, 0..40));
    opened.log.close();
    let path = current(folder.path()).join("log_inprogress_0");
    let whole = fs::read(&path).unwrap();
    let (mut prefixes, mut refusals) = (0, 0);
    for seed in 1..400_u64 {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut damaged = whole.clone();
        match random.below(4) {
            0 => {
                let at = random.below(damaged.len());
                damaged[at] ^= 1 << random.below(8);
            }
            1 => damaged.truncate(random.below(damaged.len())),
            2 => {
                let at = random.below(damaged.len());
                let end = (at + random.below(2_000)).min(damaged.len());
                damaged[at..end].fill(0);
            }
            _ => {
                let at = random.below(damaged.len());
                let noise: Vec<u8> = (0..50).map(|_| random.below(256) as u8).collect();
                damaged.splice(at.., noise);
            }
        }
        fs::write(&path, &damaged).unwrap();
        match open(&disk, LogSettings::default()) {
            Ok(opened) => {
                let next = opened.found.next;
                assert_eq!(opened.read_all(), entries(1, 0..next), "seed {seed}");
                opened.log.close();
                prefixes += 1;
            }
            Err(LogError::Corrupt { .. }) => refusals += 1,
            Err(error) => panic!("seed {seed}: {error}"),
        }
    }
    assert!(prefixes > 50 && refusals > 50, "{prefixes} {refusals}");
}
