//! Port 9863: blocks for OM (`ScmBlockLocationProtocol`).

use async_trait::async_trait;
use bytes::Bytes;
use hadoop_rpc::server::{CallContext, Protocol, RpcError};
use hadoop_rpc::trace;
use hdds_proto::block::delete_scm_block_result::Result as DeleteResult;
use hdds_proto::block::{
    AllocateBlockResponse, AllocateScmBlockRequestProto, AllocateScmBlockResponseProto,
    DeleteKeyBlocksResultProto, DeleteScmBlockResult, DeleteScmKeyBlocksRequestProto,
    DeleteScmKeyBlocksResponseProto, GetClusterTreeResponseProto, KeyBlocks,
    ScmBlockLocationRequest, ScmBlockLocationResponse, SortDatanodesResponseProto, Status, Type,
};
use hdds_proto::hdds::{ContainerBlockId, GetScmInfoResponseProto};
use hdds_types::ContainerId;
use prost::Message;
use scm_core::block::{Allocation, BlockRequest, DeletedKeyBlock};
use scm_core::{ScmError, convert};
use tokio::time::{Instant, timeout_at};

use super::{Service, class, decode, need, refused};

/// Blocks in one request; OM asks for a few.
const BLOCKS_PER_REQUEST_MAX: u32 = 10_000;

/// Serves OM.
pub struct BlockProtocol(pub Service);

/// How a request fails: at RPC level, or inside the envelope.
enum Failure {
    Rpc(RpcError),
    Scm(ScmError),
}

impl From<RpcError> for Failure {
    fn from(error: RpcError) -> Self {
        Self::Rpc(error)
    }
}

impl From<ScmError> for Failure {
    fn from(error: ScmError) -> Self {
        Self::Scm(error)
    }
}

#[async_trait]
impl Protocol for BlockProtocol {
    fn methods(&self) -> &'static [&'static str] {
        &["send"]
    }

    async fn call(
        &self,
        context: CallContext,
        _method: &str,
        request: Bytes,
    ) -> Result<Bytes, RpcError> {
        let request: ScmBlockLocationRequest = decode(request)?;
        let call = self.0.calls.block.begin(request.cmd_type);
        self.0.require_leader().inspect_err(|_| call.fail())?;
        let mut response = ScmBlockLocationResponse {
            cmd_type: request.cmd_type,
            trace_id: request.trace_id.clone(),
            success: Some(true),
            status: Status::Ok.into(),
            ..ScmBlockLocationResponse::default()
        };
        let carried = context.trace_of(request.trace_id.as_deref());
        let served = self.serve(request, &mut response);
        match trace::traced(carried.as_deref(), "ScmBlockLocation", served).await {
            Ok(()) => {}
            Err(Failure::Rpc(error)) => return Err(error),
            Err(Failure::Scm(error)) => {
                call.fail();
                response.success = Some(false);
                response.status = error.code.into();
                response.message = Some(error.message);
            }
        }
        Ok(response.encode_to_vec().into())
    }
}

impl BlockProtocol {
    async fn serve(
        &self,
        request: ScmBlockLocationRequest,
        response: &mut ScmBlockLocationResponse,
    ) -> Result<(), Failure> {
        match Type::try_from(request.cmd_type) {
            Ok(Type::AllocateScmBlock) => {
                let blocks = self.allocate(need(request.allocate_scm_block_request)?).await?;
                self.0.calls.blocks_allocated.add(blocks.blocks.len() as u64);
                response.allocate_scm_block_response = Some(Box::new(blocks));
            }
            Ok(Type::DeleteScmKeyBlocks) => {
                let results = self.delete(need(request.delete_scm_key_blocks_request)?).await?;
                response.delete_scm_key_blocks_response = Some(Box::new(results));
            }
            Ok(Type::GetScmInfo) => {
                let identity = self.0.shared.read(|core| core.identity.clone());
                response.get_scm_info_response = Some(Box::new(GetScmInfoResponseProto {
                    cluster_id: identity.cluster_id,
                    scm_id: identity.scm_id,
                    peer_roles: Vec::new(),
                }));
            }
            Ok(Type::SortDatanodes) => {
                let sort = need(request.sort_datanodes_request)?;
                let node = self
                    .0
                    .shared
                    .with(|core, _| core.sort_datanodes(&sort.client, &sort.node_network_name));
                response.sort_datanodes_response =
                    Some(Box::new(SortDatanodesResponseProto { node }));
            }
            Ok(Type::GetClusterTree) => {
                let cluster_tree = self.0.shared.read(scm_core::Core::cluster_tree);
                response.get_cluster_tree_response =
                    Some(Box::new(GetClusterTreeResponseProto { cluster_tree }));
            }
            Ok(Type::AddScm) => {
                let text = "this SCM runs alone; further SCMs cannot join it yet";
                return Err(ScmError::new(Status::UnsupportedOperation, text).into());
            }
            Err(_) => {
                let text = format!("unknown command type {}", request.cmd_type);
                return Err(refused(text).into());
            }
        }
        Ok(())
    }

    /// Tries, waits for what is missing, tries again: usually the first try succeeds.
    async fn allocate(
        &self,
        request: AllocateScmBlockRequestProto,
    ) -> Result<AllocateScmBlockResponseProto, Failure> {
        let request = block_request(request)?;
        let deadline = Instant::now() + self.0.pipeline_wait;
        let mut changes = self.0.shared.changes();
        let mut blocks = Vec::with_capacity(request.count);
        loop {
            let outcome =
                self.0.shared.with(|core, now| core.allocate_blocks(&request, &mut blocks, now));
            match outcome {
                Allocation::Done => break,
                Allocation::Refused(error) => return Err(error.into()),
                Allocation::Wait(missing) => {
                    if timeout_at(deadline, changes.changed()).await.is_err() {
                        return Err(request.timed_out(&missing).into());
                    }
                }
            }
        }
        let blocks = blocks.into_iter().map(|block| AllocateBlockResponse {
            container_block_id: Some(ContainerBlockId {
                container_id: block.container.0.cast_signed(),
                local_id: block.local,
            }),
            pipeline: Some(block.pipeline),
        });
        Ok(AllocateScmBlockResponseProto { blocks: blocks.collect() })
    }

    /// All blocks of the request become transactions in one call: together or not at all.
    async fn delete(
        &self,
        request: DeleteScmKeyBlocksRequestProto,
    ) -> Result<DeleteScmKeyBlocksResponseProto, Failure> {
        let refused = self.0.shared.read(|core| core.safe_mode.is_active());
        if refused {
            return Ok(results(request, DeleteResult::SafeMode));
        }
        let blocks: Vec<DeletedKeyBlock> =
            request.key_blocks.iter().flat_map(deleted_blocks).collect();
        if blocks.is_empty() {
            return Ok(results(request, DeleteResult::Success));
        }
        let deadline = Instant::now() + self.0.pipeline_wait;
        let mut changes = self.0.shared.changes();
        let call = loop {
            if let Some(call) = self.0.shared.with(|core, _| core.plan_deletion(&blocks)) {
                break call;
            }
            if timeout_at(deadline, changes.changed()).await.is_err() {
                let text = "ids for deletions could not be fetched in time";
                return Err(ScmError::new(Status::IoException, text).into());
            }
        };
        let result = match self.0.submit(call).await {
            Ok(_) => DeleteResult::Success,
            Err(error) if error.class == class::NOT_LEADER => return Err(error.into()),
            Err(_) => DeleteResult::UnknownFailure,
        };
        Ok(results(request, result))
    }
}

fn block_request(request: AllocateScmBlockRequestProto) -> Result<BlockRequest, Failure> {
    let replication = convert::replication(
        request.r#type,
        request.factor,
        request.ec_replication_config.as_ref(),
    );
    let Some(replication) = replication else {
        let text = "unknown replication; use RATIS with factor ONE or THREE";
        return Err(refused(text).into());
    };
    if request.num_blocks > BLOCKS_PER_REQUEST_MAX {
        let text = format!("{} blocks; at most {BLOCKS_PER_REQUEST_MAX}", request.num_blocks);
        return Err(ScmError::new(Status::FailedToAllocateEnoughBlocks, text).into());
    }
    let excluded = request.exclude_list.unwrap_or_default();
    Ok(BlockRequest {
        size: request.size,
        count: request.num_blocks as usize,
        replication,
        owner: request.owner,
        excluded_nodes: excluded.datanodes.iter().filter_map(|id| id.parse().ok()).collect(),
        excluded_containers: excluded.container_ids,
        excluded_pipelines: excluded.pipeline_ids.iter().filter_map(convert::pipeline_id).collect(),
        client: request.client,
    })
}

fn deleted_blocks(key: &KeyBlocks) -> impl Iterator<Item = DeletedKeyBlock> {
    key.blocks.iter().enumerate().map(|(at, block)| {
        let size = key.size.get(at).copied();
        let replicated = key.replicated_size.get(at).copied();
        let sizes = size.zip(replicated).map(|(size, replicated)| {
            (size, replicated, key.size_per_replica.get(at).copied().unwrap_or(size))
        });
        DeletedKeyBlock {
            container: ContainerId(block.container_block_id.container_id.max(0).cast_unsigned()),
            local: block.container_block_id.local_id,
            sizes,
        }
    })
}

fn results(
    request: DeleteScmKeyBlocksRequestProto,
    result: DeleteResult,
) -> DeleteScmKeyBlocksResponseProto {
    let results = request.key_blocks.into_iter().map(|key| DeleteKeyBlocksResultProto {
        object_key: key.key,
        block_results: key
            .blocks
            .into_iter()
            .map(|block_id| DeleteScmBlockResult { result: result.into(), block_id })
            .collect(),
    });
    DeleteScmKeyBlocksResponseProto { results: results.collect() }
}
