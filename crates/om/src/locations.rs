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

/// Container to pipeline.
pub struct Locations {
    scm: ScmClient,
    entries_max: usize,
    ttl: Duration,
    known: Mutex<HashMap<i64, (Instant, Arc<Known>)>>,
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

    /// Fills in the pipelines of all blocks. `refresh` asks SCM even for what is known. An SCM that has
    /// just started learns from the datanodes where its containers are: a read waits for that.
    ///
    /// # Errors
    /// SCM does not answer, or does not know a container.
    pub async fn fill(&self, keys: Vec<&mut KeyInfo>, refresh: bool) -> Result<(), ScmError> {
        let blocks: Vec<&mut KeyLocation> = keys
            .into_iter()
            .flat_map(|key| key.key_location_list.iter_mut())
            .flat_map(|list| list.key_locations.iter_mut())
            .collect();
        self.fill_blocks(blocks, refresh).await
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
                match known.get(&container) {
                    Some((since, pipeline)) if !refresh && now - *since < self.ttl => {
                        found.insert(container, pipeline.clone());
                    }
                    _ => missing.push(ContainerId(container.cast_unsigned())),
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
        loop {
            let ids = wanted.iter().copied();
            let answers = self.scm.get_existing_containers_with_pipeline(ids).await?;
            let unplaced = wanted.iter().find(|id| !answers.iter().any(|a| is_placed(a, **id)));
            let Some(unplaced) = unplaced else { return Ok(answers) };
            if Instant::now() > deadline || !self.scm.in_safe_mode().await? {
                let is_known = answers.iter().any(|answer| is_of(answer, *unplaced));
                return if is_known { Ok(answers) } else { Err(not_found(*unplaced)) };
            }
            tokio::time::sleep(SAFE_MODE_POLL).await;
        }
    }
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

/// Leaves out the ports that only daemons use among themselves.
pub fn for_clients(pipeline: &mut Pipeline) {
    for node in &mut pipeline.members {
        node.ports.retain(|port| CLIENT_PORTS.contains(&port.name.as_str()));
    }
}

fn container_of(block: &KeyLocation) -> i64 {
    block.block_id.container_block_id.container_id
}
