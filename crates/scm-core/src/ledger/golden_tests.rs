//! The log and the tables of a genuine SCM: replaying the one gives the other.

use std::collections::BTreeMap;

use bytes::Bytes;
use hdds_proto::hdds::{ContainerInfoProto, Pipeline};
use ozone_db::{Batch, Durability, MemoryStore, Range, Store};
use prost::Message;
use ratis_proto::common::log_entry_proto::LogEntryBody;
use ratis_proto::common::{LogEntryProto, StateMachineLogEntryProto};

use super::load::local_id_start;
use super::{Ledger, sequence};
use crate::test_world::START;
use crate::{Call, tables};

const SEGMENTS: [&[u8]; 2] = [
    include_bytes!("../../../../golden/ratis/scm/log_0-0"),
    include_bytes!("../../../../golden/ratis/scm/log_inprogress_1"),
];
const ROWS: &str = include_str!("../../../../golden/scm/rows.tsv");
const MAGIC_BYTES: usize = 8;
const CHECKSUM_BYTES: usize = 4;

/// Entries of the log with a transaction: term, index, log data.
fn entries() -> Vec<(u64, u64, Bytes)> {
    let mut entries = Vec::new();
    for segment in SEGMENTS {
        let mut rest = &segment[MAGIC_BYTES..];
        while rest.first().is_some_and(|byte| *byte != 0) {
            let length = prost::decode_length_delimiter(&mut rest).unwrap();
            let entry = LogEntryProto::decode(&rest[..length]).unwrap();
            rest = &rest[length + CHECKSUM_BYTES..];
            if let Some(LogEntryBody::StateMachineLogEntry(StateMachineLogEntryProto {
                log_data,
                ..
            })) = entry.log_entry_body
            {
                entries.push((entry.term, entry.index, log_data));
            }
        }
    }
    entries
}

fn genuine_rows(table: &str) -> BTreeMap<Vec<u8>, Vec<u8>> {
    ROWS.lines()
        .filter_map(|line| {
            let mut fields = line.split('\t');
            (fields.next()? == table).then_some(())?;
            let (key, value) = (fields.next()?, fields.next()?);
            Some((hex::decode(key).unwrap(), hex::decode(value).unwrap()))
        })
        .collect()
}

fn our_rows(store: &MemoryStore, table: &'static str) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut rows = BTreeMap::new();
    store
        .visit(table, Range::ALL, &mut |key, value| {
            rows.insert(key.to_vec(), value.to_vec());
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    rows
}

#[test]
fn every_entry_of_a_genuine_log_is_understood_and_written_back_alike() {
    let entries = entries();
    assert_eq!(entries.len(), 30);
    for (_, index, data) in entries {
        let call = Call::decode(&data).unwrap_or_else(|error| panic!("entry {index}: {error}"));
        assert_eq!(hex::encode(call.encode()), hex::encode(&data), "entry {index}: {call:?}");
    }
}

#[test]
fn replaying_a_genuine_log_gives_the_genuine_tables() {
    let store = MemoryStore::default();
    let mut ledger = Ledger::default();
    ledger.start_sequences(&store, local_id_start(START)).unwrap();
    // The log went on after the tables were recorded.
    for (term, index, data) in entries().into_iter().filter(|(_, index, _)| *index <= 60) {
        let call = Call::decode(&data).unwrap();
        let mut batch = Batch::default();
        ledger.apply(&call, START, &mut batch).unwrap();
        tables::put_transaction_info(&mut batch, term, index);
        store.write(batch, Durability::Memory).unwrap();
    }

    for table in ["sequenceId", "deletedBlocks", "statefulServiceConfig"] {
        assert_eq!(our_rows(&store, table), genuine_rows(table), "{table}");
    }
    let ours = our_rows(&store, "containers");
    for (key, row) in genuine_rows("containers") {
        let theirs = ContainerInfoProto::decode(row.as_slice()).unwrap();
        let mut row = ContainerInfoProto::decode(ours[&key].as_slice()).unwrap();
        if theirs.state != i32::from(hdds_proto::hdds::LifeCycleState::Open) {
            // Each SCM stamps this with its own clock.
            row.state_enter_time = theirs.state_enter_time;
        }
        assert_eq!(row, theirs);
        assert_eq!(row.encode_to_vec().len(), theirs.encode_to_vec().len());
    }
    assert_eq!(ours.len(), genuine_rows("containers").len());
    let ours = our_rows(&store, "pipelines");
    for (key, row) in genuine_rows("pipelines") {
        let mut theirs = Pipeline::decode(row.as_slice()).unwrap();
        // Who leads is what that SCM was told by datanodes.
        theirs.leader_id = Some(String::new());
        theirs.leader_datanode_id = None;
        assert_eq!(Pipeline::decode(ours[&key].as_slice()).unwrap(), theirs);
    }
    assert_eq!(ours.len(), genuine_rows("pipelines").len());
}

#[test]
fn genuine_tables_load() {
    let store = MemoryStore::default();
    for table in tables::ALL {
        let mut batch = Batch::default();
        for (key, value) in genuine_rows(table) {
            batch.put(table, key, value);
        }
        store.write(batch, Durability::Memory).unwrap();
    }
    let ledger = Ledger::load(&store, START).unwrap();
    assert_eq!(ledger.containers_total(), 10);
    assert_eq!(ledger.last_id(sequence::CONTAINER_ID), 1000);
    assert_eq!(ledger.deleted.summary().total_transaction_count, Some(18));
    assert_eq!(tables::transaction_info(&store).unwrap(), Some((2, 60)));
}
