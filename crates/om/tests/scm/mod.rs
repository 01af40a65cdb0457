//! A stand-in for SCM: hands out blocks, knows every container, remembers what was deleted.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use hadoop_rpc::server::{CallContext, Protocol, RpcError, RpcServer, ServerSettings};
use hdds_proto::block::{
    AllocateBlockResponse, AllocateScmBlockResponseProto, DeleteKeyBlocksResultProto,
    DeleteScmKeyBlocksResponseProto, ScmBlockLocationRequest, ScmBlockLocationResponse,
};
use hdds_proto::container::{
    GetExistContainerWithPipelinesInBatchResponseProto, InSafeModeResponseProto,
    ScmContainerLocationRequest, ScmContainerLocationResponse, scm_container_location_response,
};
use hdds_proto::hdds::{
    BlockId, ContainerBlockId, ContainerInfoProto, ContainerWithPipeline, GetScmInfoResponseProto,
    Pipeline,
};
use hdds_proto::{block, convert};
use hdds_types::PipelineId;
use parking_lot::Mutex;
use prost::Message;
use uuid::Uuid;

#[derive(Default)]
struct State {
    next_block: AtomicI64,
    safe_mode: AtomicBool,
    /// Set while the next question for containers is answered as in a safe mode that ends right after.
    leaving_safe_mode: AtomicBool,
    deleted: Mutex<Vec<BlockId>>,
}

/// A running stand-in.
pub struct FakeScm {
    state: Arc<State>,
    block: RpcServer,
    container: RpcServer,
}

impl FakeScm {
    pub async fn start() -> Self {
        let state = Arc::new(State::default());
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let block: Arc<dyn Protocol> = Arc::new(Blocks(state.clone()));
        let container: Arc<dyn Protocol> = Arc::new(Containers(state.clone()));
        let settings = ServerSettings::default;
        Self {
            state,
            block: RpcServer::start(
                any,
                settings(),
                vec![(hdds_client::scm::block::PROTOCOL, block)],
            )
            .await
            .unwrap(),
            container: RpcServer::start(
                any,
                settings(),
                vec![(hdds_client::scm::location::PROTOCOL, container)],
            )
            .await
            .unwrap(),
        }
    }

    pub fn block_address(&self) -> SocketAddr {
        self.block.address()
    }

    pub fn client_address(&self) -> SocketAddr {
        self.container.address()
    }

    pub fn deleted_blocks(&self) -> Vec<BlockId> {
        self.state.deleted.lock().clone()
    }

    /// The next question for containers is answered before the datanodes have reported them, and the
    /// safe mode is over when the OM asks for that.
    pub fn leave_safe_mode_at_the_next_question(&self) {
        self.state.leaving_safe_mode.store(true, Ordering::SeqCst);
    }

    pub fn set_safe_mode(&self, on: bool) {
        self.state.safe_mode.store(on, Ordering::SeqCst);
    }
}

fn pipeline() -> Pipeline {
    Pipeline {
        id: convert::pipeline_id_proto(PipelineId(Uuid::from_u128(7))),
        ..Default::default()
    }
}

struct Blocks(Arc<State>);

#[async_trait]
impl Protocol for Blocks {
    fn methods(&self) -> &'static [&'static str] {
        &["send"]
    }

    async fn call(&self, _: CallContext, _: &str, request: Bytes) -> Result<Bytes, RpcError> {
        let request = ScmBlockLocationRequest::decode(request).unwrap();
        let mut reply = ScmBlockLocationResponse {
            cmd_type: request.cmd_type,
            status: block::Status::Ok.into(),
            success: Some(true),
            ..Default::default()
        };
        if let Some(allocate) = request.allocate_scm_block_request {
            if self.0.safe_mode.load(Ordering::SeqCst) {
                reply.status = block::Status::SafeModeException.into();
                reply.success = Some(false);
                reply.message = Some("SafeModePrecheck failed for allocateBlock".into());
            } else {
                let blocks = (0..allocate.num_blocks).map(|_| AllocateBlockResponse {
                    container_block_id: Some(ContainerBlockId {
                        container_id: 1,
                        local_id: 1 + self.0.next_block.fetch_add(1, Ordering::SeqCst),
                    }),
                    pipeline: Some(pipeline()),
                });
                let response = AllocateScmBlockResponseProto { blocks: blocks.collect() };
                reply.allocate_scm_block_response = Some(Box::new(response));
            }
        }
        if let Some(delete) = request.delete_scm_key_blocks_request {
            let mut results = Vec::new();
            for key in delete.key_blocks {
                self.0.deleted.lock().extend(key.blocks);
                results
                    .push(DeleteKeyBlocksResultProto { object_key: key.key, ..Default::default() });
            }
            let response = DeleteScmKeyBlocksResponseProto { results };
            reply.delete_scm_key_blocks_response = Some(Box::new(response));
        }
        if request.get_scm_info_request.is_some() {
            reply.get_scm_info_response = Some(Box::new(GetScmInfoResponseProto {
                cluster_id: "CID-test".into(),
                scm_id: "scm-test".into(),
                ..Default::default()
            }));
        }
        Ok(reply.encode_to_vec().into())
    }
}

struct Containers(Arc<State>);

#[async_trait]
impl Protocol for Containers {
    fn methods(&self) -> &'static [&'static str] {
        &["submitRequest"]
    }

    async fn call(&self, _: CallContext, _: &str, request: Bytes) -> Result<Bytes, RpcError> {
        let request = ScmContainerLocationRequest::decode(request).unwrap();
        let mut reply = ScmContainerLocationResponse {
            cmd_type: request.cmd_type,
            status: scm_container_location_response::Status::Ok.into(),
            ..Default::default()
        };
        if request.in_safe_mode_request.is_some() {
            let response = InSafeModeResponseProto { in_safe_mode: false };
            reply.in_safe_mode_response = Some(Box::new(response));
        }
        if let Some(batch) = request.get_exist_container_with_pipelines_in_batch_request {
            let reported = !self.0.leaving_safe_mode.swap(false, Ordering::SeqCst);
            let ids = batch.container_i_ds.iter().filter(|_| reported);
            let found = ids.map(|id| ContainerWithPipeline {
                container_info: ContainerInfoProto { container_id: *id, ..Default::default() },
                pipeline: pipeline(),
            });
            let response = GetExistContainerWithPipelinesInBatchResponseProto {
                container_with_pipelines: found.collect(),
            };
            reply.get_exist_container_with_pipelines_in_batch_response = Some(Box::new(response));
        }
        Ok(reply.encode_to_vec().into())
    }
}
