//! The Raft log on the disk: one entry and many, each time until it is durable.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use bytes::Bytes;
use divan::Bencher;
use divan::counter::ItemsCount;
use ratis_log::{Disk, GroupLog, LogError, LogListener, LogSettings, Ticket};
use ratis_proto::common::{
    LogEntryProto, StateMachineLogEntryProto, log_entry_proto::LogEntryBody,
};
use uuid::Uuid;

/// Bytes of a request in the log, like those of a CommitKey.
const ENTRY_BYTES: usize = 300;

struct Reports(Sender<Ticket>);

impl LogListener for Reports {
    fn durable(&self, ticket: Ticket) {
        // The bench may be over.
        let _ = self.0.send(ticket);
    }

    fn failed(&self, _: Ticket, error: Arc<LogError>) {
        panic!("{error}");
    }
}

struct Group {
    log: GroupLog,
    reports: Receiver<Ticket>,
    next: u64,
}

impl Group {
    fn open(disk: &Disk, number: u128) -> Self {
        let (sender, reports) = channel();
        let id = Uuid::from_u128(number);
        let (log, _) = disk
            .open_group(id, LogSettings::default(), Arc::new(Reports(sender)), None)
            .expect("a new group");
        Self { log, reports, next: 0 }
    }

    fn append(&mut self, count: u64) -> Ticket {
        let entries: Vec<LogEntryProto> = (self.next..self.next + count).map(entry).collect();
        self.next += count;
        self.log.append(&entries).expect("an open log")
    }

    fn wait(&self, ticket: Ticket) {
        while self.reports.recv().expect("the writer lives") < ticket {}
    }
}

fn entry(index: u64) -> LogEntryProto {
    let body = StateMachineLogEntryProto {
        log_data: Bytes::from(vec![1; ENTRY_BYTES]),
        client_id: Bytes::from_static(&[9; 16]),
        call_id: index,
        ..Default::default()
    };
    LogEntryProto { term: 1, index, log_entry_body: Some(LogEntryBody::StateMachineLogEntry(body)) }
}

/// Entries of one group, appended together: one write, one sync.
#[divan::bench(args = [1, 16, 256], max_time = 2)]
fn appended_and_synced(bencher: Bencher<'_, '_>, count: u64) {
    let directory = crate::directory();
    let disk = Disk::open(directory.path()).expect("an empty directory");
    let mut group = Group::open(&disk, 1);
    bencher.counter(ItemsCount::new(count)).bench_local(|| {
        let ticket = group.append(count);
        group.wait(ticket);
    });
    group.log.close();
    disk.shutdown();
}

/// One entry of each of many groups of a disk: how well their syncs go together.
#[divan::bench(args = [4, 16], max_time = 2)]
fn one_entry_of_each_group(bencher: Bencher<'_, '_>, groups: u128) {
    let directory = crate::directory();
    let disk = Disk::open(directory.path()).expect("an empty directory");
    let mut groups: Vec<Group> = (1..=groups).map(|number| Group::open(&disk, number)).collect();
    bencher.counter(ItemsCount::new(groups.len())).bench_local(|| {
        let tickets: Vec<Ticket> = groups.iter_mut().map(|group| group.append(1)).collect();
        for (group, ticket) in groups.iter().zip(tickets) {
            group.wait(ticket);
        }
    });
    for group in groups {
        group.log.close();
    }
    disk.shutdown();
}
