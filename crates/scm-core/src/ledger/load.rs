//! From the tables, at start.

use std::ops::ControlFlow;

use bytes::Bytes;
use hdds_proto::hdds::DeletedBlocksTransactionSummary;
use ozone_db::{Batch, CodecError, DbError, Durability, Range, Store};
use prost::Message;

use super::{Container, Ledger, Pipeline, sequence};
use crate::{Millis, tables};

impl Ledger {
    /// Reads every table.
    ///
    /// # Errors
    /// A row does not decode, or the engine failed.
    pub fn load(store: &dyn Store, now: Millis) -> Result<Self, DbError> {
        let mut ledger = Self::default();
        ledger.load_containers(store)?;
        for (id, wire) in tables::PIPELINES.rows(store, Range::ALL)? {
            let pipeline = Pipeline::from_proto(&wire, now)
                .ok_or_else(|| broken(tables::PIPELINES.name, id, "type, factor or members"))?;
            ledger.insert_pipeline(pipeline);
        }
        ledger.sequences = tables::SEQUENCE_IDS.rows(store, Range::ALL)?.into_iter().collect();
        let deleted = tables::DELETED_BLOCKS.rows(store, Range::ALL)?;
        ledger.deleted.transactions = deleted.into_iter().collect();
        for (service, value) in tables::SERVICE_SETTINGS.rows(store, Range::ALL)? {
            ledger.settings.insert(service, Bytes::from(value));
        }
        if let Some(bytes) = ledger.settings.get(tables::DELETED_BLOCKS_SUMMARY_KEY) {
            ledger.deleted.summary = DeletedBlocksTransactionSummary::decode(bytes.as_ref())
                .map_err(|e| {
                    let key = tables::DELETED_BLOCKS_SUMMARY_KEY;
                    broken(tables::SERVICE_SETTINGS.name, key, &e.to_string())
                })?;
        }
        Ok(ledger)
    }

    fn load_containers(&mut self, store: &dyn Store) -> Result<(), DbError> {
        let mut failed = None;
        tables::CONTAINERS.visit(store, Range::ALL, |id, info| {
            match Container::from_proto(&info, self) {
                Some(container) => self.insert_container(container),
                None => {
                    let what = "id, state or replication";
                    failed = Some(broken(tables::CONTAINERS.name, id, what));
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        })?;
        failed.map_or(Ok(()), Err)
    }

    /// Gives the sequences of a new database their start (`SequenceIdGenerator.upgradeToSequenceId`).
    /// `local_id_start` lies beyond all ids that older software made from the clock, see
    /// [`local_id_start`]. Not replicated: every SCM of a new ring starts alike.
    ///
    /// # Errors
    /// The engine failed.
    pub fn start_sequences(
        &mut self,
        store: &dyn Store,
        local_id_start: i64,
    ) -> Result<(), DbError> {
        let largest = self.containers.last_key_value().map_or(0, |(id, _)| id.0.cast_signed());
        let starts = [
            (sequence::LOCAL_ID, local_id_start),
            (sequence::DELETED_TRANSACTION_ID, 0),
            (sequence::CONTAINER_ID, largest),
            (sequence::CERTIFICATE_ID, 2),
        ];
        let mut batch = Batch::default();
        for (name, start) in starts {
            if !self.sequences.contains_key(name) {
                self.sequences.insert(name.to_owned(), start);
                tables::SEQUENCE_IDS.put(&mut batch, &name.to_owned(), &start);
            }
        }
        if batch.is_empty() { Ok(()) } else { store.write(batch, Durability::Synced) }
    }
}

/// First local id less one of a cluster that is made at `now`: the milliseconds of January 1 of the
/// next year (UTC), shifted as the ids of older software were.
pub fn local_id_start(now: Millis) -> i64 {
    const DAY_MS: u64 = 86_400_000;
    let mut day = 0;
    let mut year = 1970_u64;
    // At most a few hundred steps; no calendar crate for one number a cluster needs once.
    while day * DAY_MS <= now {
        let leap =
            year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        day += if leap { 366 } else { 365 };
        year += 1;
    }
    (day * DAY_MS).cast_signed() << 16
}

fn broken(table: &'static str, key: impl ToString, what: &str) -> DbError {
    let source = CodecError(format!("{what} missing or not understood"));
    DbError::Codec { table, key: key.to_string(), source }
}
