//! Blocks that were handed out to clients and not committed since, by pipeline.
//!
//! A client may end its key without having used a block that was handed out with it, or not get its key
//! at all: all blocks of a session end with it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use hdds_proto::block::AllocateBlockResponse;
use hdds_types::PipelineId;
use smallvec::SmallVec;

use crate::blocks::pipeline_of;

/// A block that is not committed for this long is not counted any more: its writer has gone, or
/// writes slowly.
const PATIENCE: Duration = Duration::from_secs(120);
/// Blocks that are remembered; beyond, the oldest are forgotten.
const BLOCKS_MAX: usize = 65_536;

/// The client id that a key was opened with.
pub(crate) type Session = u64;

/// What is on its way.
#[derive(Default)]
pub(crate) struct Outstanding {
    /// By local id: the pipeline, and who got the block.
    blocks: HashMap<i64, (PipelineId, Session)>,
    /// Local ids of the open blocks.
    sessions: HashMap<Session, SmallVec<[i64; 2]>>,
    /// Oldest first; also those that are committed.
    order: VecDeque<(Instant, i64)>,
    pipelines: HashMap<PipelineId, Load>,
}

#[derive(Default)]
struct Load {
    open: HashSet<i64>,
    /// Oldest first; the first one is open.
    order: VecDeque<(Instant, i64)>,
}

impl Outstanding {
    /// A client gets this block.
    pub fn handed_out(&mut self, block: &AllocateBlockResponse, session: Session, now: Instant) {
        let Some(id) = block.container_block_id.as_ref().map(|id| id.local_id) else { return };
        let Some(pipeline) = pipeline_of(block) else { return };
        if self.order.len() >= BLOCKS_MAX
            && let Some((_, oldest)) = self.order.pop_front()
        {
            self.committed(oldest);
        }
        self.blocks.insert(id, (pipeline, session));
        self.sessions.entry(session).or_default().push(id);
        self.order.push_back((now, id));
        let load = self.pipelines.entry(pipeline).or_default();
        load.open.insert(id);
        load.order.push_back((now, id));
    }

    /// The block with this local id is written, or counts no more.
    pub fn committed(&mut self, id: i64) {
        let Some((pipeline, session)) = self.blocks.remove(&id) else { return };
        if let Some(blocks) = self.sessions.get_mut(&session) {
            blocks.retain(|other| *other != id);
            if blocks.is_empty() {
                self.sessions.remove(&session);
            }
        }
        let Some(load) = self.pipelines.get_mut(&pipeline) else { return };
        load.open.remove(&id);
        while load.order.pop_front_if(|(_, id)| !load.open.contains(id)).is_some() {}
        if load.open.is_empty() {
            self.pipelines.remove(&pipeline);
        }
    }

    /// The session has ended: none of its blocks will be written any more.
    pub fn ended(&mut self, session: Session) {
        for id in self.sessions.remove(&session).unwrap_or_default() {
            self.committed(id);
        }
    }

    /// Forgets what takes too long.
    pub fn expire(&mut self, now: Instant) {
        while let Some((since, id)) = self.order.front().copied()
            && (now - since > PATIENCE || !self.blocks.contains_key(&id))
        {
            self.order.pop_front();
            self.committed(id);
        }
    }

    /// Blocks that are open.
    pub fn load(&self, pipeline: Option<PipelineId>) -> usize {
        pipeline.and_then(|id| self.pipelines.get(&id)).map_or(0, |load| load.open.len())
    }

    /// Whether a block of the pipeline is open for so long.
    pub fn is_late(&self, pipeline: Option<PipelineId>, now: Instant, limit: Duration) -> bool {
        let load = pipeline.and_then(|id| self.pipelines.get(&id));
        load.is_some_and(|load| load.is_late(now, limit))
    }

    /// The pipelines with a block that is open for so long.
    pub fn late(&self, now: Instant, limit: Duration) -> Vec<PipelineId> {
        let late = self.pipelines.iter().filter(|(_, load)| load.is_late(now, limit));
        late.map(|(id, _)| *id).collect()
    }
}

impl Load {
    fn is_late(&self, now: Instant, limit: Duration) -> bool {
        self.order.front().is_some_and(|(since, _)| now - *since >= limit)
    }
}

#[cfg(test)]
mod tests {
    use hdds_proto::convert;
    use hdds_proto::hdds::{ContainerBlockId, Pipeline};

    use super::*;

    #[test]
    fn a_block_counts_until_it_is_committed_or_too_old() {
        let (pipeline, start) = (PipelineId::random(), Instant::now());
        let block = |local_id| AllocateBlockResponse {
            container_block_id: Some(ContainerBlockId { container_id: 1, local_id }),
            pipeline: Some(Pipeline {
                id: convert::pipeline_id_proto(pipeline),
                ..Pipeline::default()
            }),
        };
        let mut outstanding = Outstanding::default();
        outstanding.handed_out(&block(1), 7, start);
        outstanding.handed_out(&block(2), 8, start + Duration::from_secs(1));
        assert_eq!(outstanding.load(Some(pipeline)), 2);
        outstanding.committed(1);
        outstanding.committed(1);
        assert_eq!(outstanding.load(Some(pipeline)), 1);
        let limit = Duration::from_secs(1);
        assert!(!outstanding.is_late(Some(pipeline), start + limit, limit), "the old one is done");
        assert!(outstanding.is_late(Some(pipeline), start + 2 * limit, limit));
        outstanding.expire(start + PATIENCE + 2 * limit);
        assert_eq!(outstanding.load(Some(pipeline)), 0);
        assert!(outstanding.order.is_empty() && outstanding.pipelines.is_empty());
        assert!(outstanding.blocks.is_empty() && outstanding.sessions.is_empty());
    }

    #[test]
    fn blocks_that_a_key_did_not_use_end_with_its_session() {
        let (pipeline, now) = (PipelineId::random(), Instant::now());
        let mut outstanding = Outstanding::default();
        for (local_id, session) in [(1, 7), (2, 7), (3, 8)] {
            let block = AllocateBlockResponse {
                container_block_id: Some(ContainerBlockId { container_id: 1, local_id }),
                pipeline: Some(Pipeline {
                    id: convert::pipeline_id_proto(pipeline),
                    ..Pipeline::default()
                }),
            };
            outstanding.handed_out(&block, session, now);
        }
        outstanding.committed(1);
        outstanding.ended(7);
        outstanding.ended(7);
        assert_eq!(outstanding.load(Some(pipeline)), 1, "the other key goes on");
        outstanding.ended(8);
        assert!(outstanding.late(now + PATIENCE, Duration::ZERO).is_empty());
    }
}
