//! Where the containers of a key's blocks are, remembered (`ScmClient.containerLocationCache`).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdds_client::scm::{ScmClient, ScmError};
use hdds_proto::hdds::{ContainerWithPipeline, Pipeline};
use hdds_types::ContainerId;
use om_proto::{KeyInfo, KeyLocation};
use parking_lot::Mutex;
use prost::Message;

/// Ports of a datanode that clients need (`DatanodeDetails.IO_PORTS`).
const CLIENT_PORTS: [&str; 3] = ["RATIS", "STANDALONE", "RATIS_DATASTREAM"];

/// How long a read waits for containers that an SCM in safe mode cannot place yet.
const SAFE_MODE_WAIT: Duration = Duration::from_secs(20);
/// How often it asks meanwhile.
const SAFE_MODE_POLL: Duration = Duration::from_millis(250);

/// Containers, and when SCM said where they are.
type Remembered = HashMap<i64, (Instant, Arc<Known>)>;

/// Container to pipeline.
pub struct Locations {
    scm: ScmClient,
    entries_max: usize,
    ttl: Duration,
    known: Mutex<Remembered>,
}

/// Where a container is, in both forms.
struct Known {
    pipeline: Pipeline,
    encoded: Bytes,
}

impl Locations {
    /// Remembers up to `entries_max` containers for `ttl`.
    pub fn new(scm: ScmClient, entries_max: usize, ttl: Duration) -> Self {
        Self { scm, entries_max, ttl, known: Mutex::default() }
    }

    /// Fills in the pipelines of all blocks if every one is remembered; else says that [`Self::fill`]
    /// must ask.
    pub fn fill_known(&self, keys: Vec<&mut KeyInfo>) -> bool {
        let now = Instant::now();
        let known = self.known.lock();
        blocks_of(keys).all(|block| {
            let found = self.fresh(&known, container_of(block), now);
            found.is_some_and(|known| {
                block.pipeline = Some(known.pipeline.clone());
                true
            })
        })
    }

    /// Fills in the pipelines of all blocks. `refresh` asks SCM even for what is known. An SCM that has
    /// just started learns from the datanodes where its containers are: a read waits for that.
    ///
    /// # Errors
    /// SCM does not answer, or does not know a container.
    pub async fn fill(&self, keys: Vec<&mut KeyInfo>, refresh: bool) -> Result<(), ScmError> {
        self.fill_blocks(blocks_of(keys).collect(), refresh).await
    }

    /// [`Self::fill`] for some blocks.
    ///
    /// # Errors
    /// As there.
    pub async fn fill_blocks(
        &self,
        mut blocks: Vec<&mut KeyLocation>,
        refresh: bool,
    ) -> Result<(), ScmError> {
        let containers: BTreeSet<i64> = blocks.iter().map(|block| container_of(block)).collect();
        let found = self.find(containers, refresh).await?;
        for block in &mut blocks {
            if let Some(pipeline) = found.get(&container_of(block)) {
                block.pipeline = Some(pipeline.pipeline.clone());
            }
        }
        Ok(())
    }

    /// The encoded pipelines of containers, if all are remembered.
    pub fn encoded_known(&self, containers: &BTreeSet<i64>) -> Option<HashMap<i64, Bytes>> {
        if containers.is_empty() {
            return Some(HashMap::new());
        }
        let now = Instant::now();
        let known = self.known.lock();
        let pipeline = |container: &i64| {
            self.fresh(&known, *container, now).map(|known| (*container, known.encoded.clone()))
        };
        containers.iter().map(pipeline).collect()
    }

    /// The encoded pipelines of containers.
    ///
    /// # Errors
    /// As of [`Self::fill`].
    pub async fn encoded(
        &self,
        containers: &BTreeSet<i64>,
    ) -> Result<HashMap<i64, Bytes>, ScmError> {
        if containers.is_empty() {
            return Ok(HashMap::new());
        }
        let found = self.find(containers.clone(), false).await?;
        Ok(found.into_iter().map(|(container, known)| (container, known.encoded.clone())).collect())
    }

    /// Where a container is, unless that was learnt too long ago.
    fn fresh<'a>(
        &self,
        known: &'a Remembered,
        container: i64,
        now: Instant,
    ) -> Option<&'a Arc<Known>> {
        let (since, found) = known.get(&container)?;
        (now - *since < self.ttl).then_some(found)
    }

    async fn find(
        &self,
        containers: BTreeSet<i64>,
        refresh: bool,
    ) -> Result<HashMap<i64, Arc<Known>>, ScmError> {
        let now = Instant::now();
        let mut found = HashMap::with_capacity(containers.len());
        let mut missing = Vec::new();
        {
            let known = self.known.lock();
            for container in containers {
                match self.fresh(&known, container, now).filter(|_| !refresh) {
                    Some(pipeline) => {
                        found.insert(container, pipeline.clone());
                    }
                    None => missing.push(ContainerId(container.cast_unsigned())),
                }
            }
        }
        if missing.is_empty() {
            return Ok(found);
        }
        let answers = self.ask(missing).await?;
        let mut known = self.known.lock();
        if known.len() + answers.len() > self.entries_max {
            // Rare: what is still used comes back with one call.
            known.clear();
        }
        for answer in answers {
            let container = answer.container_info.container_id;
            let mut pipeline = answer.pipeline;
            for_clients(&mut pipeline);
            let encoded = Bytes::from(pipeline.encode_to_vec());
            let pipeline = Arc::new(Known { pipeline, encoded });
            known.insert(container, (now, pipeline.clone()));
            found.insert(container, pipeline);
        }
        Ok(found)
    }

    async fn ask(&self, wanted: Vec<ContainerId>) -> Result<Vec<ContainerWithPipeline>, ScmError> {
        let deadline = Instant::now() + SAFE_MODE_WAIT;
        // Only what SCM says after its safe mode is its last word: an answer from before leaves out
        // containers that the datanodes had not reported yet.
        let mut is_last_word = false;
        loop {
            let ids = wanted.iter().copied();
            let answers = self.scm.get_existing_containers_with_pipeline(ids).await?;
            let unplaced = wanted.iter().find(|id| !answers.iter().any(|a| is_placed(a, **id)));
            let Some(unplaced) = unplaced else { return Ok(answers) };
            if is_last_word || Instant::now() > deadline {
                let is_known = answers.iter().any(|answer| is_of(answer, *unplaced));
                return if is_known { Ok(answers) } else { Err(not_found(*unplaced)) };
            }
            if self.scm.in_safe_mode().await? {
                tokio::time::sleep(SAFE_MODE_POLL).await;
            } else {
                is_last_word = true;
            }
        }
    }
}

fn blocks_of(keys: Vec<&mut KeyInfo>) -> impl Iterator<Item = &mut KeyLocation> {
    keys.into_iter()
        .flat_map(|key| key.key_location_list.iter_mut())
        .flat_map(|list| list.key_locations.iter_mut())
}

fn is_of(answer: &ContainerWithPipeline, container: ContainerId) -> bool {
    answer.container_info.container_id.cast_unsigned() == container.0
}

fn is_placed(answer: &ContainerWithPipeline, container: ContainerId) -> bool {
    is_of(answer, container) && !answer.pipeline.members.is_empty()
}

fn not_found(container: ContainerId) -> ScmError {
    ScmError::Refused {
        status: hdds_proto::block::Status::ContainerNotFound,
        message: format!("Container with id #{container} not found."),
    }
}

/// Distance to a member of another rack, of the same rack, and of the same host (`NetworkTopologyImpl`).
const DISTANCES: [u8; 3] = [4, 2, 0];
/// Where hosts are that nobody placed.
const DEFAULT_RACK: &str = "/default-rack";

/// Orders the members of every pipeline from near to far as seen from a client, by `memberOrders`
/// (`KeyManagerImpl.sortDatanodes`); equal distances in an order that `draw` decides. A client is where
/// the member with its address is, else in the default rack.
pub fn nearest_first(keys: Vec<&mut KeyInfo>, client: &str, draw: [u8; 32]) {
    let latest = keys.into_iter().filter_map(|key| key.key_location_list.last_mut());
    for block in latest.flat_map(|list| list.key_locations.iter_mut()) {
        if let Some(pipeline) = &mut block.pipeline {
            order_members(pipeline, client, draw);
        }
    }
}

/// [`nearest_first`] of a pipeline that is encoded already.
pub fn encoded_nearest_first(pipeline: Bytes, client: &str, draw: [u8; 32]) -> Bytes {
    let Ok(mut decoded) = Pipeline::decode(pipeline.clone()) else { return pipeline };
    order_members(&mut decoded, client, draw);
    Bytes::from(decoded.encode_to_vec())
}

fn order_members(pipeline: &mut Pipeline, client: &str, draw: [u8; 32]) {
    let members = &pipeline.members;
    let rack_of = |at: usize| members[at].network_location.as_deref().unwrap_or(DEFAULT_RACK);
    let here = members.iter().position(|member| member.ip_address == client);
    let rack = here.map_or(DEFAULT_RACK, rack_of).to_owned();
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by_key(|&at| {
        let nearness = usize::from(rack_of(at) == rack) + usize::from(here == Some(at));
        (DISTANCES[nearness], draw[at % draw.len()])
    });
    pipeline.member_orders = order.into_iter().filter_map(|at| u32::try_from(at).ok()).collect();
}

/// Leaves out the ports that only daemons use among themselves.
pub fn for_clients(pipeline: &mut Pipeline) {
    for node in &mut pipeline.members {
        node.ports.retain(|port| CLIENT_PORTS.contains(&port.name.as_str()));
    }
}

fn container_of(block: &KeyLocation) -> i64 {
    block.block_id.container_block_id.container_id
}

#[cfg(test)]
mod tests {
    use hdds_proto::hdds::DatanodeDetailsProto;

    use super::*;

    #[test]
    fn members_are_told_from_near_to_far_and_equals_in_a_drawn_order() {
        let member = |ip: &str, rack: &str| DatanodeDetailsProto {
            ip_address: ip.into(),
            network_location: Some(rack.into()),
            ..Default::default()
        };
        let members =
            ["10.0.0.1 /far", "10.0.0.2 /near", "10.0.0.3 /near", "10.0.0.4 /default-rack"];
        let members = members.map(|text| text.split_once(' ').unwrap());
        let order = |client: &str, draw: [u8; 32]| {
            let members = members.iter().map(|(ip, rack)| member(ip, rack)).collect();
            let pipeline = Some(Pipeline { members, ..Default::default() });
            let block = KeyLocation { pipeline, ..Default::default() };
            let list =
                om_proto::KeyLocationList { key_locations: vec![block], ..Default::default() };
            let mut key = KeyInfo { key_location_list: vec![list], ..Default::default() };
            nearest_first(vec![&mut key], client, draw);
            key.key_location_list[0].key_locations[0].pipeline.take().unwrap().member_orders
        };
        let mut reversed = [0; 32];
        reversed[..4].copy_from_slice(&[3, 2, 1, 0]);
        assert_eq!(order("10.0.0.3", [0; 32]), [2, 1, 0, 3]);
        assert_eq!(order("10.0.0.3", reversed), [2, 1, 3, 0]);
        assert_eq!(order("10.0.0.1", reversed), [0, 3, 2, 1]);
        // A stranger is in the default rack.
        assert_eq!(order("10.9.9.9", [0; 32]), [3, 0, 1, 2]);
    }
}
