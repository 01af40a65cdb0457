//! Blocks for new keys, allocated ahead so that a create does not wait for SCM.
//!
//! A pool per replication is filled by as many blocks as were taken in the last [`FRESH`]; older ones
//! are dropped, since their pipeline may be gone. A client that had trouble (an exclude list) never
//! gets a pooled block: SCM chooses anew.
//!
//! Among the pipelines at hand a key gets the one with the fewest blocks that were handed out and not
//! committed since. So a pipeline that stands still, because a datanode died or hangs, keeps its share
//! of the clients busy and no more, and this before anybody has noticed; where only such pipelines are
//! at hand, SCM is asked for others ([`LATE`]).

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hdds_client::scm::{ScmBlockClient, ScmError};
use hdds_proto::block::{AllocateBlockResponse, AllocateScmBlockRequestProto};
use hdds_proto::convert;
use hdds_proto::hdds::{BlockId, ExcludeListProto};
use hdds_types::{PipelineId, ReplicationConfig};
use om_core::command::BlocksWanted;
use om_proto::KeyLocation;
use parking_lot::Mutex;

use crate::locations::for_clients;
use crate::outstanding::{Outstanding, Session};

/// How long a pooled block may wait for a key.
const FRESH: Duration = Duration::from_secs(5);
/// Blocks asked of SCM beyond what is needed now, at least.
const AHEAD_MIN: usize = 4;
/// Blocks asked of SCM beyond what is needed now, at most; also the most that a pipeline has waiting.
const AHEAD_MAX: usize = 256;
/// A pipeline with a block that was handed out this long ago, and is not committed, is left alone
/// where SCM has another.
const LATE: Duration = Duration::from_millis(500);
/// When SCM had no other pipeline, it is not asked again for this long.
const NO_OTHER: Duration = Duration::from_secs(1);

/// Hands out blocks.
#[derive(Clone)]
pub struct BlockPool {
    scm: ScmBlockClient,
    owner: Arc<str>,
    block_bytes: u64,
    pools: Arc<Mutex<HashMap<ReplicationConfig, Arc<Pool>>>>,
    outstanding: Arc<Mutex<Outstanding>>,
}

#[derive(Default)]
struct Pool {
    shelf: Mutex<Shelf>,
    /// Held by the one who asks SCM, so that a burst asks once.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Shelf {
    /// By pipeline, oldest first; none is empty.
    blocks: BTreeMap<Option<PipelineId>, VecDeque<(Instant, AllocateBlockResponse)>>,
    taken: VecDeque<(Instant, usize)>,
    no_other_since: Option<Instant>,
}

/// How much a taker wants blocks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Demand {
    /// For the first time.
    New,
    /// Again, after somebody else may have asked SCM.
    Again,
    /// After asking SCM: what is there will do.
    Whatever,
}

impl BlockPool {
    /// A pool over SCM; `owner` (the OM's service id) owns the containers.
    pub fn new(scm: ScmBlockClient, owner: &str, block_bytes: u64) -> Self {
        let (pools, outstanding) = (Arc::default(), Arc::default());
        Self { scm, owner: owner.into(), block_bytes, pools, outstanding }
    }

    /// The blocks that a request of this session wants, ready for `om_core::command::provide`.
    ///
    /// # Errors
    /// SCM refuses or does not answer.
    pub async fn take(
        &self,
        wanted: &BlocksWanted,
        session: Session,
    ) -> Result<Vec<KeyLocation>, ScmError> {
        let blocks = if is_empty(&wanted.exclude) {
            self.take_pooled(wanted.replication, wanted.count, session).await?
        } else {
            self.pool(wanted.replication).drop_excluded(&wanted.exclude);
            let exclude = wanted.exclude.clone();
            let blocks = self.ask(wanted.replication, wanted.count, Some(exclude)).await?;
            let mut outstanding = self.outstanding.lock();
            blocks.iter().for_each(|block| outstanding.handed_out(block, session, Instant::now()));
            blocks
        };
        Ok(blocks.into_iter().filter_map(|block| self.location(block)).collect())
    }

    /// A client commits these blocks: they are written.
    pub fn committed(&self, blocks: &[KeyLocation]) {
        let mut outstanding = self.outstanding.lock();
        let ids = blocks.iter().map(|block| block.block_id.container_block_id.local_id);
        ids.for_each(|id| outstanding.committed(id));
    }

    /// The session has committed its key, or did not get it.
    pub fn ended(&self, session: Session) {
        self.outstanding.lock().ended(session);
    }

    async fn take_pooled(
        &self,
        replication: ReplicationConfig,
        count: usize,
        session: Session,
    ) -> Result<Vec<AllocateBlockResponse>, ScmError> {
        let pool = self.pool(replication);
        let take = |count, demand| {
            let mut outstanding = self.outstanding.lock();
            pool.take(count, demand, session, &mut outstanding, Instant::now())
        };
        let (mut blocks, mut running_low) = take(count, Demand::New);
        if blocks.len() < count {
            let _asking = pool.asking.lock().await;
            let (more, _) = take(count - blocks.len(), Demand::Again);
            blocks.extend(more);
            if blocks.len() < count {
                self.fetch(replication, count - blocks.len() + pool.ahead(), &pool).await?;
                let (more, _) = take(count - blocks.len(), Demand::Whatever);
                blocks.extend(more);
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
            // The next create asks itself and reports what is wrong.
            if let Err(error) = this.fetch(replication, pool.ahead(), &pool).await {
                tracing::debug!(%error, %replication, "no blocks ahead");
            }
        });
    }

    /// Puts more on the shelf: of pipelines that are not late, if SCM has any.
    async fn fetch(
        &self,
        replication: ReplicationConfig,
        count: usize,
        pool: &Pool,
    ) -> Result<(), ScmError> {
        let now = Instant::now();
        let late = self.outstanding.lock().late(now, LATE);
        if !late.is_empty() && pool.may_have_other(now) {
            let exclude = ExcludeListProto {
                pipeline_ids: late.iter().copied().map(convert::pipeline_id_proto).collect(),
                ..ExcludeListProto::default()
            };
            match self.ask(replication, count, Some(exclude)).await {
                Ok(blocks) if !blocks.is_empty() => {
                    // SCM gives an excluded pipeline rather than none.
                    let is_other = |block| pipeline_of(block).is_none_or(|id| !late.contains(&id));
                    if !blocks.iter().any(is_other) {
                        pool.shelf.lock().no_other_since = Some(now);
                    }
                    pool.add(blocks, Instant::now());
                    return Ok(());
                }
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, %replication, "no other pipeline"),
            }
            pool.shelf.lock().no_other_since = Some(now);
        }
        let blocks = self.ask(replication, count, None).await?;
        pool.add(blocks, Instant::now());
        Ok(())
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
    /// Up to `count` fresh blocks, and whether more should be fetched in the background. Fewer, although
    /// there are some, when all at hand are of late pipelines and SCM may have another.
    fn take(
        &self,
        count: usize,
        demand: Demand,
        session: Session,
        outstanding: &mut Outstanding,
        now: Instant,
    ) -> (Vec<AllocateBlockResponse>, bool) {
        outstanding.expire(now);
        let mut shelf = self.shelf.lock();
        shelf.drop_stale(now);
        if demand == Demand::New {
            shelf.taken.push_back((now, count));
        }
        let may_have_other = shelf.may_have_other(now);
        let mut blocks = Vec::with_capacity(count);
        while blocks.len() < count {
            let burden = |pipeline: Option<PipelineId>| {
                (outstanding.is_late(pipeline, now, LATE), outstanding.load(pipeline))
            };
            let best = shelf.blocks.keys().map(|p| (burden(*p), *p)).min();
            let Some(((is_late, _), best)) = best else { break };
            if is_late && may_have_other && demand != Demand::Whatever {
                break;
            }
            let Some((_, block)) = shelf.pop(best) else { break };
            outstanding.handed_out(&block, session, now);
            blocks.push(block);
        }
        drop(shelf);
        let ahead = self.ahead();
        let shelf = self.shelf.lock();
        let pipelines = shelf.blocks.len().max(1);
        let low = shelf.blocks.values().any(|queue| queue.len() < ahead / 2 / pipelines);
        (blocks, low || shelf.blocks.is_empty())
    }

    fn add(&self, blocks: Vec<AllocateBlockResponse>, now: Instant) {
        let mut shelf = self.shelf.lock();
        for block in blocks {
            let queue = shelf.blocks.entry(pipeline_of(&block)).or_default();
            if queue.len() < AHEAD_MAX {
                queue.push_back((now, block));
            }
        }
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

    fn may_have_other(&self, now: Instant) -> bool {
        self.shelf.lock().may_have_other(now)
    }

    fn drop_excluded(&self, exclude: &ExcludeListProto) {
        let mut shelf = self.shelf.lock();
        for queue in shelf.blocks.values_mut() {
            queue.retain(|(_, block)| !is_excluded(block, exclude));
        }
        shelf.blocks.retain(|_, queue| !queue.is_empty());
    }
}

impl Shelf {
    fn drop_stale(&mut self, now: Instant) {
        for queue in self.blocks.values_mut() {
            while queue.front().is_some_and(|(since, _)| now - *since > FRESH) {
                queue.pop_front();
            }
        }
        self.blocks.retain(|_, queue| !queue.is_empty());
    }

    fn pop(&mut self, pipeline: Option<PipelineId>) -> Option<(Instant, AllocateBlockResponse)> {
        let queue = self.blocks.get_mut(&pipeline)?;
        let block = queue.pop_front();
        if queue.is_empty() {
            self.blocks.remove(&pipeline);
        }
        block
    }

    fn may_have_other(&self, now: Instant) -> bool {
        self.no_other_since.is_none_or(|since| now - since > NO_OTHER)
    }
}

/// The pipeline of a block.
pub(crate) fn pipeline_of(block: &AllocateBlockResponse) -> Option<PipelineId> {
    convert::pipeline_id(&block.pipeline.as_ref()?.id)
}

fn is_excluded(block: &AllocateBlockResponse, exclude: &ExcludeListProto) -> bool {
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
    container.is_some_and(|id| exclude.container_ids.contains(&id))
        || exclude.pipeline_ids.iter().any(|other| convert::pipeline_id(other) == id)
        || of_excluded_node()
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

    fn block_of(pipeline: PipelineId, local_id: i64) -> AllocateBlockResponse {
        let id = convert::pipeline_id_proto(pipeline);
        AllocateBlockResponse {
            container_block_id: Some(ContainerBlockId { container_id: 1, local_id }),
            pipeline: Some(hdds_proto::hdds::Pipeline { id, ..Default::default() }),
        }
    }

    fn take(pool: &Pool, count: usize) -> Vec<AllocateBlockResponse> {
        pool.take(count, Demand::New, 1, &mut Outstanding::default(), Instant::now()).0
    }

    #[test]
    fn a_pipeline_that_stands_still_gets_its_share_and_no_more() {
        let (pool, mut outstanding) = (Pool::default(), Outstanding::default());
        let (stuck, sound) = (PipelineId::random(), PipelineId::random());
        let now = Instant::now();
        let blocks = |pipeline, from| (from..from + 100).map(move |id| block_of(pipeline, id));
        pool.add(blocks(stuck, 0).chain(blocks(sound, 100)).collect(), now);
        // Four writers; those with a block of the sound pipeline finish and come again.
        let mut stuck_writers = 0;
        for _ in 0..50 {
            let (blocks, _) = pool.take(4 - stuck_writers, Demand::New, 1, &mut outstanding, now);
            for block in blocks {
                if pipeline_of(&block) == Some(stuck) {
                    stuck_writers += 1;
                } else {
                    outstanding.committed(block.container_block_id.unwrap().local_id);
                }
            }
        }
        assert_eq!(stuck_writers, 2);
    }

    #[test]
    fn where_only_a_late_pipeline_is_at_hand_scm_is_asked_first() {
        let (pool, mut outstanding) = (Pool::default(), Outstanding::default());
        let (stuck, then) = (PipelineId::random(), Instant::now());
        pool.add((0..9).map(|id| block_of(stuck, id)).collect(), then);
        assert_eq!(pool.take(1, Demand::New, 1, &mut outstanding, then).0.len(), 1);
        let later = then + LATE;
        assert_eq!(outstanding.late(later, LATE), [stuck]);
        assert!(pool.take(1, Demand::New, 1, &mut outstanding, later).0.is_empty());
        pool.shelf.lock().no_other_since = Some(later);
        assert_eq!(
            pool.take(1, Demand::New, 1, &mut outstanding, later).0.len(),
            1,
            "better than nothing"
        );
    }

    #[test]
    fn what_a_client_excludes_leaves_the_pool() {
        let pool = Pool::default();
        pool.add(vec![block(1), block(2), block(1)], Instant::now());
        pool.drop_excluded(&ExcludeListProto {
            container_ids: vec![1],
            ..ExcludeListProto::default()
        });
        assert_eq!(take(&pool, 5), [block(2)]);
    }

    #[test]
    fn the_pool_keeps_as_many_blocks_as_were_taken_lately() {
        let pool = Pool::default();
        assert_eq!(pool.ahead(), AHEAD_MIN);
        for _ in 0..100 {
            take(&pool, 1);
        }
        assert_eq!(pool.ahead(), 100);
        take(&pool, 1_000);
        assert_eq!(pool.ahead(), AHEAD_MAX);
    }
}
