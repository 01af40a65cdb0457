//! Deleting blocks: SCM's transactions are noted first, carried out later.
//!
//! ```text
//!  deleteBlocks ─► delete_txns row, #delTX, pending counters      (DeleteBlocksCommandHandler)
//!  every minute ─► closed containers, most pending first:         (BlockDeletingService)
//!                  block files, then rows and counters in one batch
//! ```

use std::ops::{Bound, ControlFlow};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hdds_proto::hdds::DeletedBlocksTransaction;
use hdds_types::ContainerId;
use ozone_db::{Batch, Durability, Range};
use prost::Message;

use crate::tables::{self, BLOCK_DATA, DELETE_TXNS, FINALIZE_BLOCKS, LAST_CHUNK_INFO, METADATA};
use crate::{Code, Container, ContainerStore, StoreError, block};

/// Transactions of one container that one round takes on.
const TRANSACTIONS_PER_ROUND_MAX: usize = 1000;

/// What became of a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeleteOutcome {
    /// Noted now, or before.
    Accepted,
    /// The container is not here.
    NoContainer,
}

/// What a round of removals did.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct DeletionRound {
    /// Blocks removed.
    pub blocks: usize,
    /// Bytes given back.
    pub bytes: u64,
}

impl ContainerStore {
    /// Notes a transaction. Repeating the newest one changes nothing; an older one is applied but
    /// does not lower `#delTX`.
    ///
    /// # Errors
    /// The disk's.
    pub fn accept_deletion(
        &self,
        transaction: &DeletedBlocksTransaction,
    ) -> Result<DeleteOutcome, StoreError> {
        let id = ContainerId(transaction.container_id.cast_unsigned());
        let Some(container) = self.get(id) else { return Ok(DeleteOutcome::NoContainer) };
        let counters = &container.counters;
        let _commit = container.volume().commit.lock();
        let newest = counters.delete_transaction.load(Ordering::Acquire);
        let tx = transaction.tx_id;
        let key = tables::number_key(id, tx);
        let database = container.volume().database();
        if tx == newest || database.get(DELETE_TXNS, &key)?.is_some() {
            return Ok(DeleteOutcome::Accepted);
        }
        let blocks = i64::try_from(transaction.local_id.len()).unwrap_or(i64::MAX);
        let bytes = transaction.total_size_per_replica.unwrap_or(0).cast_signed();
        let pending = counters.pending_deletes.load(Ordering::Acquire) + blocks;
        let pending_bytes = counters.pending_delete_bytes.load(Ordering::Acquire) + bytes;
        let mut batch = Batch::default();
        batch.put(DELETE_TXNS, key, transaction.encode_to_vec());
        let mut counter = |name, value| {
            batch.put(METADATA, tables::key(id, name), tables::counter(value));
        };
        counter(tables::DELETE_TRANSACTION, newest.max(tx));
        counter(tables::PENDING_DELETE_COUNT, pending);
        counter(tables::PENDING_DELETE_BYTES, pending_bytes);
        database.write(batch, Durability::Logged)?;
        counters.delete_transaction.fetch_max(tx, Ordering::AcqRel);
        counters.pending_deletes.store(pending, Ordering::Release);
        counters.pending_delete_bytes.store(pending_bytes, Ordering::Release);
        Ok(DeleteOutcome::Accepted)
    }

    /// Removes what was noted, in closed containers that `may_delete` allows, up to the round's
    /// limit. Blocks on the disks; run it on a thread of its own.
    pub fn delete_blocks(&self, may_delete: &dyn Fn(&Container) -> bool) -> DeletionRound {
        let pending = |c: &Container| c.counters.pending_deletes.load(Ordering::Acquire);
        let mut candidates: Vec<Arc<Container>> = self
            .containers()
            .into_iter()
            .filter(|c| c.state().is_closed() && pending(c) > 0 && may_delete(c))
            .collect();
        candidates.sort_by_key(|container| std::cmp::Reverse(pending(container)));
        let mut round = DeletionRound::default();
        for container in candidates {
            let left = self.settings.deletions_per_round_max.saturating_sub(round.blocks);
            if left == 0 {
                break;
            }
            match self.delete_blocks_of(&container, left) {
                Ok(done) => {
                    round.blocks += done.blocks;
                    round.bytes += done.bytes;
                    if done.blocks > 0 {
                        self.changed(&container);
                    }
                }
                Err(error) => {
                    tracing::warn!(container = %container.id(), %error, "blocks not removed");
                }
            }
        }
        round
    }

    fn delete_blocks_of(
        &self,
        container: &Container,
        blocks_max: usize,
    ) -> Result<DeletionRound, StoreError> {
        let mut round = DeletionRound::default();
        for transaction in self.pending_transactions(container)? {
            // A transaction is one step; at least one goes ahead however large it is.
            if round.blocks > 0 && round.blocks + transaction.local_id.len() > blocks_max {
                break;
            }
            let done = self.carry_out(container, &transaction)?;
            round.blocks += done.blocks;
            round.bytes += done.bytes;
        }
        Ok(round)
    }

    fn pending_transactions(
        &self,
        container: &Container,
    ) -> Result<Vec<DeletedBlocksTransaction>, StoreError> {
        let id = container.id();
        let mut transactions = Vec::new();
        let mut failed = None;
        let (from, to) = (tables::prefix(id), tables::prefix_end(id));
        let range = Range { from: Bound::Included(&from), to: Bound::Excluded(&to) };
        container.volume().database().visit(DELETE_TXNS, range, &mut |_, value| {
            match DeletedBlocksTransaction::decode(value) {
                Ok(transaction) => transactions.push(transaction),
                Err(error) => failed = Some(error),
            }
            if failed.is_some() || transactions.len() == TRANSACTIONS_PER_ROUND_MAX {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        match failed {
            None => Ok(transactions),
            Some(error) => Err(StoreError::new(
                Code::ContainerMetadataError,
                format!("a row of delete_txns of container {id}: {error}"),
            )),
        }
    }

    /// Files first: a crash in between leaves rows without files, which the repetition removes.
    fn carry_out(
        &self,
        container: &Container,
        transaction: &DeletedBlocksTransaction,
    ) -> Result<DeletionRound, StoreError> {
        let id = container.id();
        let volume = container.volume();
        let mut batch = Batch::default();
        let (mut removed, mut bytes) = (0_i64, 0_u64);
        for local_id in &transaction.local_id {
            let path = container.block_path(*local_id);
            volume.open_blocks.close(id, *local_id);
            match std::fs::remove_file(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(StoreError::io(
                        format!("cannot remove {}", path.display()),
                        &error,
                    ));
                }
            }
            if let Some(block) = self.stored_block(container, *local_id)? {
                removed += 1;
                bytes += block::sum(&block.chunks).max(0).cast_unsigned();
            }
            let key = tables::number_key(id, *local_id);
            for table in [BLOCK_DATA, LAST_CHUNK_INFO, FINALIZE_BLOCKS] {
                batch.delete(table, key.clone());
            }
        }
        batch.delete(DELETE_TXNS, tables::number_key(id, transaction.tx_id));
        let _commit = volume.commit.lock();
        self.settle_deletion(container, transaction, batch, removed, bytes)?;
        Ok(DeletionRound { blocks: transaction.local_id.len(), bytes })
    }

    fn settle_deletion(
        &self,
        container: &Container,
        transaction: &DeletedBlocksTransaction,
        mut batch: Batch,
        removed: i64,
        bytes: u64,
    ) -> Result<(), StoreError> {
        let counters = &container.counters;
        let listed = i64::try_from(transaction.local_id.len()).unwrap_or(i64::MAX);
        let listed_bytes = transaction.total_size_per_replica.unwrap_or(0).cast_signed();
        let blocks = (container.blocks() - removed).max(0);
        let pending = (counters.pending_deletes.load(Ordering::Acquire) - listed).max(0);
        let pending_bytes =
            (counters.pending_delete_bytes.load(Ordering::Acquire) - listed_bytes).max(0);
        let used = container.bytes_used().saturating_sub(bytes);
        let mut counter = |name, value| {
            batch.put(METADATA, tables::key(container.id(), name), tables::counter(value));
        };
        counter(tables::BLOCK_COUNT, blocks);
        counter(tables::BYTES_USED, used.cast_signed());
        counter(tables::PENDING_DELETE_COUNT, pending);
        counter(tables::PENDING_DELETE_BYTES, pending_bytes);
        container.volume().database().write(batch, Durability::Logged)?;
        counters.blocks.store(blocks, Ordering::Release);
        counters.pending_deletes.store(pending, Ordering::Release);
        counters.pending_delete_bytes.store(pending_bytes, Ordering::Release);
        container.add_bytes(-bytes.cast_signed());
        Ok(())
    }
}
