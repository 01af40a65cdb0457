//! Blocks for new keys, allocated ahead so that a create does not wait for SCM.
//!
//! A pool per replication is filled by as many blocks as were taken in the last [`FRESH`]; older ones
//! are dropped, since their pipeline may be gone. A client that had trouble (an exclude list) never
//! gets a pooled block: SCM chooses anew.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hdds_client::scm::{ScmBlockClient, ScmError};
use hdds_proto::block::{AllocateBlockResponse, AllocateScmBlockRequestProto};
use hdds_proto::convert;
use hdds_proto::hdds::{BlockId, ExcludeListProto};
use hdds_types::ReplicationConfig;
use om_core::command::BlocksWanted;
use om_proto::KeyLocation;
use parking_lot::Mutex;

use crate::locations::for_clients;

/// How long a pooled block may wait for a key.
const FRESH: Duration = Duration::from_secs(5);
/// Blocks asked of SCM beyond what is needed now, at least.
const AHEAD_MIN: usize = 4;
/// Blocks asked of SCM beyond what is needed now, at most.
const AHEAD_MAX: usize = 256;

/// Hands out blocks.
#[derive(Clone)]
pub struct BlockPool {
    scm: ScmBlockClient,
    owner: Arc<str>,
    block_bytes: u64,
    pools: Arc<Mutex<HashMap<ReplicationConfig, Arc<Pool>>>>,
}

#[derive(Default)]
struct Pool {
    shelf: Mutex<Shelf>,
    /// Held by the one who asks SCM, so that a burst asks once.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Shelf {
    blocks: VecDeque<(Instant, AllocateBlockResponse)>,
    taken: VecDeque<(Instant, usize)>,
}

impl BlockPool {
    /// A pool over SCM; `owner` (the OM's service id) owns the containers.
    pub fn new(scm: ScmBlockClient, owner: &str, block_bytes: u64) -> Self {
        Self { scm, owner: owner.into(), block_bytes, pools: Arc::default() }
    }

    /// The blocks that a request wants, ready for `om_core::command::provide`.
    ///
    /// # Errors
    /// SCM refuses or does not answer.
    pub async fn take(&self, wanted: &BlocksWanted) -> Result<Vec<KeyLocation>, ScmError> {
        let blocks = if is_empty(&wanted.exclude) {
            self.take_pooled(wanted.replication, wanted.count).await?
        } else {
            self.pool(wanted.replication).drop_excluded(&wanted.exclude);
            self.ask(wanted.replication, wanted.count, Some(wanted.exclude.clone())).await?
        };
        Ok(blocks.into_iter().filter_map(|block| self.location(block)).collect())
    }

    async fn take_pooled(
        &self,
        replication: ReplicationConfig,
        count: usize,
    ) -> Result<Vec<AllocateBlockResponse>, ScmError> {
        let pool = self.pool(replication);
        let (mut blocks, mut running_low) = pool.take(count, true);
        if blocks.len() < count {
            let _asking = pool.asking.lock().await;
            let (more, _) = pool.take(count - blocks.len(), false);
            blocks.extend(more);
            if blocks.len() < count {
                let missing = count - blocks.len();
                let mut fresh = self.ask(replication, missing + pool.ahead(), None).await?;
                let rest = fresh.split_off(missing.min(fresh.len()));
                blocks.extend(fresh);
                pool.add(rest);
            }
            running_low = false;
        }
        if running_low {
            self.refill(replication, pool);
        }
        Ok(blocks)
    }

    /// Asks for more in the background, unless somebody does already.
    fn refill(&self, replication: ReplicationConfig, pool: Arc<Pool>) {
        let this = self.clone();
        tokio::spawn(async move {
            let Ok(_asking) = pool.asking.try_lock() else { return };
            match this.ask(replication, pool.ahead(), None).await {
                Ok(blocks) => pool.add(blocks),
                // The next create asks itself and reports what is wrong.
                Err(error) => tracing::debug!(%error, %replication, "no blocks ahead"),
            }
        });
    }

    async fn ask(
        &self,
        replication: ReplicationConfig,
        count: usize,
        exclude: Option<ExcludeListProto>,
    ) -> Result<Vec<AllocateBlockResponse>, ScmError> {
        let (kind, factor, ec) = convert::replication_proto(replication);
        let request = AllocateScmBlockRequestProto {
            size: self.block_bytes,
            num_blocks: u32::try_from(count).unwrap_or(u32::MAX),
            r#type: kind.into(),
            factor,
            owner: self.owner.to_string(),
            exclude_list: Some(exclude.unwrap_or_default()),
            ec_replication_config: ec,
            client: None,
        };
        let mut blocks = self.scm.allocate_blocks(request).await?;
        for block in &mut blocks {
            if let Some(pipeline) = &mut block.pipeline {
                for_clients(pipeline);
            }
        }
        Ok(blocks)
    }

    fn pool(&self, replication: ReplicationConfig) -> Arc<Pool> {
        self.pools.lock().entry(replication).or_default().clone()
    }

    fn location(&self, block: AllocateBlockResponse) -> Option<KeyLocation> {
        Some(KeyLocation {
            block_id: BlockId {
                container_block_id: block.container_block_id?,
                block_commit_sequence_id: Some(0),
            },
            offset: 0,
            length: self.block_bytes,
            create_version: Some(0),
            token: None,
            pipeline: block.pipeline,
            part_number: Some(0),
        })
    }
}

impl Pool {
    /// Up to `count` fresh blocks, and whether more should be fetched in the background.
    fn take(&self, count: usize, is_new_demand: bool) -> (Vec<AllocateBlockResponse>, bool) {
        let now = Instant::now();
        let mut shelf = self.shelf.lock();
        while shelf.blocks.front().is_some_and(|(since, _)| now - *since > FRESH) {
            shelf.blocks.pop_front();
        }
        if is_new_demand {
            shelf.taken.push_back((now, count));
        }
        let count = count.min(shelf.blocks.len());
        let blocks = shelf.blocks.drain(..count).map(|(_, block)| block).collect();
        drop(shelf);
        let ahead = self.ahead();
        (blocks, self.shelf.lock().blocks.len() < ahead / 2)
    }

    fn add(&self, blocks: Vec<AllocateBlockResponse>) {
        let now = Instant::now();
        self.shelf.lock().blocks.extend(blocks.into_iter().map(|block| (now, block)));
    }

    /// How many blocks to keep: as many as were taken lately.
    fn ahead(&self) -> usize {
        let now = Instant::now();
        let mut shelf = self.shelf.lock();
        while shelf.taken.front().is_some_and(|(since, _)| now - *since > FRESH) {
            shelf.taken.pop_front();
        }
        let taken: usize = shelf.taken.iter().map(|(_, count)| count).sum();
        taken.clamp(AHEAD_MIN, AHEAD_MAX)
    }

    fn drop_excluded(&self, exclude: &ExcludeListProto) {
        self.shelf.lock().blocks.retain(|(_, block)| {
            let container = block.container_block_id.as_ref().map(|id| id.container_id);
            let pipeline = block.pipeline.as_ref();
            let id = pipeline.and_then(|pipeline| convert::pipeline_id(&pipeline.id));
            let of_excluded_node = || {
                pipeline.is_some_and(|pipeline| {
                    pipeline.members.iter().any(|node| {
                        convert::datanode_id(node)
                            .is_some_and(|id| exclude.datanodes.contains(&id.to_string()))
                    })
                })
            };
            let is_excluded = container.is_some_and(|id| exclude.container_ids.contains(&id))
                || exclude.pipeline_ids.iter().any(|other| convert::pipeline_id(other) == id)
                || of_excluded_node();
            !is_excluded
        });
    }
}

fn is_empty(exclude: &ExcludeListProto) -> bool {
    exclude.datanodes.is_empty()
        && exclude.container_ids.is_empty()
        && exclude.pipeline_ids.is_empty()
}

#[cfg(test)]
mod tests {
    use hdds_proto::hdds::ContainerBlockId;

    use super::*;

    fn block(container: i64) -> AllocateBlockResponse {
        AllocateBlockResponse {
            container_block_id: Some(ContainerBlockId { container_id: container, local_id: 1 }),
            pipeline: None,
        }
    }

    #[test]
    fn what_a_client_excludes_leaves_the_pool() {
        let pool = Pool::default();
        pool.add(vec![block(1), block(2), block(1)]);
        pool.drop_excluded(&ExcludeListProto {
            container_ids: vec![1],
            ..ExcludeListProto::default()
        });
        let (blocks, _) = pool.take(5, true);
        assert_eq!(blocks, [block(2)]);
    }

    #[test]
    fn the_pool_keeps_as_many_blocks_as_were_taken_lately() {
        let pool = Pool::default();
        assert_eq!(pool.ahead(), AHEAD_MIN);
        for _ in 0..100 {
            pool.take(1, true);
        }
        assert_eq!(pool.ahead(), 100);
        pool.take(1_000, true);
        assert_eq!(pool.ahead(), AHEAD_MAX);
    }
}
