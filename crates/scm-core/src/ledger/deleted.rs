//! Blocks that datanodes must delete.

use std::collections::BTreeMap;

use hdds_proto::hdds::{DeletedBlocksTransaction, DeletedBlocksTransactionSummary};

/// Transactions by id, and their totals.
#[derive(Default)]
pub struct DeletedBlocks {
    pub(super) transactions: BTreeMap<i64, DeletedBlocksTransaction>,
    pub(super) summary: DeletedBlocksTransactionSummary,
}

impl DeletedBlocks {
    /// A transaction.
    pub fn get(&self, id: i64) -> Option<&DeletedBlocksTransaction> {
        self.transactions.get(&id)
    }

    /// Transactions after `id`, in order.
    pub fn after(&self, id: i64) -> impl Iterator<Item = &DeletedBlocksTransaction> {
        use std::ops::Bound::{Excluded, Unbounded};
        self.transactions.range((Excluded(id), Unbounded)).map(|(_, transaction)| transaction)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.transactions.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.transactions.is_empty()
    }

    /// Totals over all transactions.
    pub fn summary(&self) -> &DeletedBlocksTransactionSummary {
        &self.summary
    }

    /// Totals once these are added.
    pub fn with<'a>(
        totals: &DeletedBlocksTransactionSummary,
        added: impl IntoIterator<Item = &'a DeletedBlocksTransaction>,
    ) -> DeletedBlocksTransactionSummary {
        changed(totals, added, u64::saturating_add)
    }

    /// Totals once these are removed.
    pub fn without<'a>(
        totals: &DeletedBlocksTransactionSummary,
        removed: impl IntoIterator<Item = &'a DeletedBlocksTransaction>,
    ) -> DeletedBlocksTransactionSummary {
        changed(totals, removed, u64::saturating_sub)
    }
}

/// Only transactions that carry sizes count.
fn changed<'a>(
    totals: &DeletedBlocksTransactionSummary,
    transactions: impl IntoIterator<Item = &'a DeletedBlocksTransaction>,
    step: fn(u64, u64) -> u64,
) -> DeletedBlocksTransactionSummary {
    let mut summary = *totals;
    let change = |total: &mut Option<u64>, part: u64| *total = Some(step(total.unwrap_or(0), part));
    for transaction in transactions {
        let Some(size) = transaction.total_block_size else { continue };
        change(&mut summary.total_transaction_count, 1);
        change(&mut summary.total_block_count, transaction.local_id.len() as u64);
        change(&mut summary.total_block_size, size);
        let replicated = transaction.total_block_replicated_size.unwrap_or(0);
        change(&mut summary.total_block_replicated_size, replicated);
    }
    summary
}
