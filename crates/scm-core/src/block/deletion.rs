//! Blocks that are taken back (`DeletedBlockLogImpl`, `SCMBlockDeletingService`).
//!
//! A transaction names blocks of one container. Its datanodes are told, and when every one that holds
//! a copy has confirmed, the transaction is forgotten.

use std::collections::BTreeMap;

use hdds_proto::hdds::command_status::Status as CommandState;
use hdds_proto::hdds::scm_command_proto::Type;
use hdds_proto::hdds::{
    CommandStatusReportsProto, DeleteBlocksCommandProto, DeletedBlocksTransaction,
    DeletedBlocksTransactionSummary,
};
use hdds_types::{ContainerId, ContainerState, DatanodeId};
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use crate::ledger::{Container, DeletedBlocks, sequence};
use crate::node::{Command, Node};
use crate::{Call, Core, Millis};

/// deleteBlocks commands that may wait at SCM for one datanode.
const COMMANDS_WAITING_MAX: usize = 2;
/// Transactions looked at in one round; the next goes on from there.
const TRANSACTIONS_PER_ROUND_MAX: usize = 100_000;

/// A block of a key that was deleted, with its sizes where the OM knows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeletedKeyBlock {
    /// Container.
    pub container: ContainerId,
    /// Local id.
    pub local: i64,
    /// Bytes, bytes over all copies, bytes per copy.
    pub sizes: Option<(u64, u64, u64)>,
}

/// What this leader knows of deletions under way.
#[derive(Default)]
pub struct Deletion {
    /// Datanodes that confirmed, by transaction.
    acknowledged: FxHashMap<i64, SmallVec<[DatanodeId; 3]>>,
    /// When a transaction went to a datanode.
    sent: FxHashMap<(i64, DatanodeId), Millis>,
    /// Transactions confirmed by all, on their way out.
    finished: FxHashSet<i64>,
    /// Last transaction that was looked at.
    cursor: i64,
    /// Totals once everything proposed is applied; `None` until the first proposal of this leader.
    totals: Option<DeletedBlocksTransactionSummary>,
}

impl Deletion {
    pub(crate) fn forget_node(&mut self, node: DatanodeId) {
        self.sent.retain(|(_, sent_to), _| *sent_to != node);
    }

    pub(crate) fn forget(&mut self, ids: &[i64]) {
        let gone: FxHashSet<i64> = ids.iter().copied().collect();
        for id in &gone {
            self.acknowledged.remove(id);
            self.finished.remove(id);
        }
        self.sent.retain(|(id, _), _| !gone.contains(id));
    }

    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }
}

impl Core {
    /// Groups blocks into one transaction per container. `None` when ids must come first: try again
    /// when the state has changed. The call is to be replicated by the caller, who answers then.
    pub fn plan_deletion(&mut self, blocks: &[DeletedKeyBlock]) -> Option<Call> {
        let mut by_container: BTreeMap<ContainerId, DeletedBlocksTransaction> = BTreeMap::new();
        for block in blocks {
            let transaction = by_container.entry(block.container).or_default();
            transaction.local_id.push(block.local);
            if let Some((size, replicated, per_replica)) = block.sizes {
                let add = |total: &mut Option<u64>, part: u64| {
                    *total = Some(total.unwrap_or(0).saturating_add(part));
                };
                add(&mut transaction.total_block_size, size);
                add(&mut transaction.total_block_replicated_size, replicated);
                add(&mut transaction.total_size_per_replica, per_replica);
            }
        }
        let totals = self.deletion_totals();
        let mut ids = Vec::with_capacity(by_container.len());
        for _ in 0..by_container.len() {
            match self.next_id(sequence::DELETED_TRANSACTION_ID) {
                Some(id) => ids.push(id),
                None => {
                    // Ids must not be lost while waiting for more.
                    for id in ids {
                        self.ids.add(sequence::DELETED_TRANSACTION_ID, id..=id);
                    }
                    return None;
                }
            }
        }
        let transactions: Vec<_> = by_container
            .into_iter()
            .zip(ids)
            .map(|((container, mut transaction), id)| {
                transaction.tx_id = id;
                transaction.container_id = container.0.cast_signed();
                #[allow(deprecated, reason = "Java still writes it")]
                {
                    transaction.count = Some(0);
                }
                transaction
            })
            .collect();
        let summary = *self.deletion.totals.insert(DeletedBlocks::with(&totals, &transactions));
        Some(Call::AddTransactions { transactions, summary: Some(summary) })
    }

    fn deletion_totals(&self) -> DeletedBlocksTransactionSummary {
        self.deletion.totals.unwrap_or(*self.ledger.deleted.summary())
    }

    /// One round: sends what datanodes can take, forgets what needs no deletion any more.
    pub fn delete_blocks(&mut self, now: Millis) {
        let waiting = self.safe_mode.waits_after_exit(now, self.rules.wait_after_safe_mode_ms);
        if self.leader_term.is_none()
            || waiting
            || self.deletion.acknowledged.len() >= self.rules.deletion_acks_max
        {
            return;
        }
        let nodes: FxHashMap<DatanodeId, usize> = self.deleting_nodes();
        let per_node = self.blocks_per_node(nodes.len());
        let mut budget = self.rules.deletion_blocks_max;
        let mut plan: FxHashMap<DatanodeId, (usize, Vec<DeletedBlocksTransaction>)> =
            nodes.keys().map(|id| (*id, (0, Vec::new()))).collect();
        let mut needless = Vec::new();
        let (mut seen, mut last) = (0, 0);
        let cursor = std::mem::take(&mut self.deletion.cursor);
        for transaction in self.ledger.deleted.after(cursor).take(TRANSACTIONS_PER_ROUND_MAX) {
            if budget == 0 {
                break;
            }
            (seen, last) = (seen + 1, transaction.tx_id);
            if self.deletion.finished.contains(&transaction.tx_id) {
                continue;
            }
            let id = ContainerId(transaction.container_id.max(0).cast_unsigned());
            let container = self.ledger.container(id);
            let Some(container) = container.filter(|c| c.state != ContainerState::Deleted) else {
                needless.push(transaction.tx_id);
                continue;
            };
            let Some(targets) = self.deletion_targets(container, &plan) else { continue };
            for target in targets {
                let Some((blocks, list)) = plan.get_mut(&target) else { continue };
                if !needs_sending(&self.deletion, transaction.tx_id, target, now, &self.rules)
                    || *blocks >= per_node
                {
                    continue;
                }
                *blocks += transaction.local_id.len();
                budget = budget.saturating_sub(transaction.local_id.len());
                list.push(transaction.clone());
            }
        }
        // Cut short: the next round goes on here; else it begins anew.
        let cut_short = budget == 0 || seen == TRANSACTIONS_PER_ROUND_MAX;
        self.deletion.cursor = if cut_short { last } else { 0 };
        for (node, (_, transactions)) in plan {
            self.send_deletions(node, transactions, now);
        }
        self.finish_transactions(needless);
    }

    /// Datanodes that may get deletions, with what waits for them already.
    fn deleting_nodes(&self) -> FxHashMap<DatanodeId, usize> {
        let free = |node: &&Node| {
            node.is_usable()
                && node.queue.total(Type::DeleteBlocksCommand) < self.rules.deletion_queue_max
                && node.queue.waiting(Type::DeleteBlocksCommand) < COMMANDS_WAITING_MAX
        };
        self.nodes.iter().filter(free).map(|node| (node.id, 0)).collect()
    }

    fn blocks_per_node(&self, nodes: usize) -> usize {
        let groups = nodes / self.rules.deletion_spread.max(1);
        if groups > 1 {
            self.rules.deletion_blocks_max / groups
        } else {
            self.rules.deletion_blocks_max
        }
    }

    /// Holders of copies; `None` when the container is open, short of copies, or a holder cannot take
    /// deletions now.
    fn deletion_targets(
        &self,
        container: &Container,
        plan: &FxHashMap<DatanodeId, (usize, Vec<DeletedBlocksTransaction>)>,
    ) -> Option<SmallVec<[DatanodeId; 3]>> {
        let closed = container.state != ContainerState::Open;
        if !closed || container.replicas.len() < container.replication.required_nodes() {
            return None;
        }
        let holders = container.replicas.iter().map(|replica| self.nodes.id(replica.node));
        let holders: SmallVec<[DatanodeId; 3]> = holders.collect::<Option<_>>()?;
        holders.iter().all(|holder| plan.contains_key(holder)).then_some(holders)
    }

    fn send_deletions(
        &mut self,
        node: DatanodeId,
        transactions: Vec<DeletedBlocksTransaction>,
        now: Millis,
    ) {
        if transactions.is_empty() {
            return;
        }
        let ids: Vec<i64> = transactions.iter().map(|t| t.tx_id).collect();
        let command =
            DeleteBlocksCommandProto { deleted_blocks_transactions: transactions, cmd_id: 0 };
        if self.send(node, Command::DeleteBlocks(Box::new(command))) {
            for id in ids {
                self.deletion.sent.insert((id, node), now);
            }
        }
    }

    /// What became of commands: only deletions are answered this way.
    pub(crate) fn take_command_status(
        &mut self,
        node: DatanodeId,
        report: &CommandStatusReportsProto,
        _now: Millis,
    ) {
        let mut done = Vec::new();
        for status in &report.cmd_status {
            if status.r#type != i32::from(Type::DeleteBlocksCommand)
                || status.status == i32::from(CommandState::Pending)
            {
                continue;
            }
            let Some(ack) = &status.block_deletion_ack else { continue };
            for result in &ack.results {
                self.deletion.sent.remove(&(result.tx_id, node));
                if result.success && self.acknowledge(result.tx_id, node) {
                    done.push(result.tx_id);
                }
            }
        }
        self.finish_transactions(done);
    }

    /// Notes a confirmation; true when it was the last one missing.
    fn acknowledge(&mut self, id: i64, node: DatanodeId) -> bool {
        let Some(transaction) = self.ledger.deleted.get(id) else { return false };
        let container = ContainerId(transaction.container_id.max(0).cast_unsigned());
        let acknowledged = self.deletion.acknowledged.entry(id).or_default();
        if !acknowledged.contains(&node) {
            acknowledged.push(node);
        }
        let Some(container) = self.ledger.container(container) else { return true };
        container.replicas.len().min(acknowledged.len()) >= container.replication.required_nodes()
            && container.replicas.iter().all(|replica| {
                self.nodes.id(replica.node).is_some_and(|id| acknowledged.contains(&id))
            })
    }

    fn finish_transactions(&mut self, ids: Vec<i64>) {
        let ids: Vec<i64> =
            ids.into_iter().filter(|id| self.deletion.finished.insert(*id)).collect();
        if ids.is_empty() || self.leader_term.is_none() {
            return;
        }
        let gone = ids.iter().filter_map(|id| self.ledger.deleted.get(*id));
        let summary = DeletedBlocks::without(&self.deletion_totals(), gone);
        self.deletion.totals = Some(summary);
        self.propose(Call::RemoveTransactions { ids, summary: Some(summary) });
    }
}

/// Not confirmed, and not under way for less than the timeout.
fn needs_sending(
    deletion: &Deletion,
    id: i64,
    node: DatanodeId,
    now: Millis,
    rules: &crate::Rules,
) -> bool {
    let acknowledged = deletion.acknowledged.get(&id).is_some_and(|nodes| nodes.contains(&node));
    let under_way = deletion
        .sent
        .get(&(id, node))
        .is_some_and(|sent| now.saturating_sub(*sent) < rules.deletion_timeout_ms);
    !acknowledged && !under_way
}
