//! Port 9860: containers and pipelines for OM, clients and admins
//! (`StorageContainerLocationProtocol`).

use async_trait::async_trait;
use bytes::Bytes;
use hadoop_rpc::server::{CallContext, Placement, Protocol, RpcError};
use hadoop_rpc::trace;
use hdds_proto::container::scm_close_container_response_proto::Status as CloseStatus;
use hdds_proto::container::scm_container_location_response::Status;
use hdds_proto::container::*;
use hdds_proto::hdds::{ContainerInfoProto, ContainerWithPipeline, PipelineId as PipelineIdProto};
use hdds_types::{ContainerId, ContainerState, PipelineId};
use prost::Message;
use scm_core::{Call, Core, Millis, convert};

use super::{Service, class, decode, need, refused, scm_error, view};

/// Containers or ids in one answer; callers page on.
const LIST_MAX: usize = 100_000;

/// Serves OM, clients and admins.
pub struct LocationProtocol(pub Service);

/// Commands that any SCM answers.
const WITHOUT_LEADER: [Type; 5] = [
    Type::StartReplicationManager,
    Type::StopReplicationManager,
    Type::ForceExitSafeMode,
    Type::InSafeMode,
    Type::GetSafeModeRuleStatuses,
];

#[async_trait]
impl Protocol for LocationProtocol {
    fn methods(&self) -> &'static [&'static str] {
        &["submitRequest"]
    }

    fn placement(&self, _method: &str, request: &Bytes) -> Placement {
        // The command type comes first: field 1, a small number.
        let lists = [Type::ListContainer, Type::ListContainerIDs, Type::ListPipelines];
        let long = lists.iter().any(|kind| request.starts_with(&[0x08, *kind as u8]));
        if long { Placement::Task } else { Placement::Connection }
    }

    async fn call(
        &self,
        context: CallContext,
        _method: &str,
        request: Bytes,
    ) -> Result<Bytes, RpcError> {
        let request: ScmContainerLocationRequest = decode(request)?;
        let kind = Type::try_from(request.cmd_type).map_err(|_| {
            let text = format!("unknown command type {}", request.cmd_type);
            refused(text)
        })?;
        let _call = self.0.calls.location.begin(request.cmd_type);
        if !WITHOUT_LEADER.contains(&kind) {
            self.0.require_leader()?;
        }
        let mut response = ScmContainerLocationResponse {
            cmd_type: request.cmd_type,
            trace_id: request.trace_id.clone(),
            success: Some(true),
            status: Status::Ok.into(),
            ..ScmContainerLocationResponse::default()
        };
        let carried = context.trace_of(request.trace_id.as_deref());
        let served = self.serve(kind, request, &mut response);
        trace::traced(carried.as_deref(), kind.as_str_name(), served).await?;
        Ok(response.encode_to_vec().into())
    }
}

impl LocationProtocol {
    async fn serve(
        &self,
        kind: Type,
        request: ScmContainerLocationRequest,
        response: &mut ScmContainerLocationResponse,
    ) -> Result<(), RpcError> {
        match kind {
            Type::GetContainer => {
                let id = container_id(need(request.get_container_request)?.container_id);
                let container_info = self.0.shared.read(|core| container_info(core, id))?;
                response.get_container_response =
                    Some(Box::new(GetContainerResponseProto { container_info }));
            }
            Type::GetContainerWithPipeline => {
                let part = need(request.get_container_with_pipeline_request)?;
                let found = self.with_pipeline(part.container_id)?;
                response.get_container_with_pipeline_response =
                    Some(Box::new(GetContainerWithPipelineResponseProto {
                        container_with_pipeline: found,
                    }));
            }
            Type::GetContainerWithPipelineBatch => {
                let part = need(request.get_container_with_pipeline_batch_request)?;
                let found: Result<_, _> =
                    part.container_i_ds.iter().map(|id| self.with_pipeline(*id)).collect();
                response.get_container_with_pipeline_batch_response =
                    Some(Box::new(GetContainerWithPipelineBatchResponseProto {
                        container_with_pipelines: found?,
                    }));
            }
            Type::GetExistContainerWithPipelinesInBatch => {
                let part = need(request.get_exist_container_with_pipelines_in_batch_request)?;
                let found =
                    part.container_i_ds.iter().filter_map(|id| self.with_pipeline(*id).ok());
                response.get_exist_container_with_pipelines_in_batch_response =
                    Some(Box::new(GetExistContainerWithPipelinesInBatchResponseProto {
                        container_with_pipelines: found.collect(),
                    }));
            }
            Type::ListContainer
            | Type::ListContainerIDs
            | Type::GetContainerCount
            | Type::GetContainerReplicas => self.serve_lists(kind, request, response)?,
            Type::AllocateContainer => {
                let part = need(request.container_request)?;
                response.container_response = Some(Box::new(self.allocate_container(part).await?));
            }
            Type::CloseContainer => {
                let id = container_id(need(request.scm_close_container_request)?.container_id);
                let status = self.close_container(id)?;
                response.scm_close_container_response =
                    Some(Box::new(ScmCloseContainerResponseProto { status: Some(status.into()) }));
            }
            Type::DeleteContainer => {
                let id = container_id(need(request.scm_delete_container_request)?.container_id);
                self.0.submit(Call::RemoveContainer(id)).await?;
                response.scm_delete_container_response =
                    Some(Box::new(ScmDeleteContainerResponseProto {}));
            }
            Type::ListPipelines
            | Type::GetPipeline
            | Type::AllocatePipeline
            | Type::ActivatePipeline
            | Type::DeactivatePipeline
            | Type::ClosePipeline => self.serve_pipeline(kind, request, response).await?,
            _ => self.serve_admin(kind, request, response)?,
        }
        Ok(())
    }

    fn serve_lists(
        &self,
        kind: Type,
        request: ScmContainerLocationRequest,
        response: &mut ScmContainerLocationResponse,
    ) -> Result<(), RpcError> {
        match kind {
            Type::ListContainer => {
                let part = need(request.scm_list_container_request)?;
                response.scm_list_container_response = Some(Box::new(self.list(&part)));
            }
            Type::ListContainerIDs => {
                let part = need(request.scm_list_container_i_ds_request)?;
                response.scm_list_container_i_ds_response = Some(Box::new(self.list_ids(&part)));
            }
            Type::GetContainerCount => {
                let part = need(request.get_container_count_request)?;
                let count = self.0.shared.read(|core| count(core, part.state));
                response.get_container_count_response =
                    Some(Box::new(GetContainerCountResponseProto { container_count: count }));
            }
            _ => {
                let id = container_id(need(request.get_container_replicas_request)?.container_id);
                let replicas = self.0.shared.read(|core| view::replicas(core, id));
                response.get_container_replicas_response =
                    Some(Box::new(GetContainerReplicasResponseProto {
                        container_replica: replicas.ok_or_else(|| no_container(id))?,
                    }));
            }
        }
        Ok(())
    }

    async fn serve_pipeline(
        &self,
        kind: Type,
        request: ScmContainerLocationRequest,
        response: &mut ScmContainerLocationResponse,
    ) -> Result<(), RpcError> {
        match kind {
            Type::ListPipelines => {
                let all = |core: &Core| {
                    core.ledger.pipelines().map(|pipeline| core.pipeline_view(pipeline)).collect()
                };
                let pipelines = self.0.shared.read(all);
                response.list_pipeline_response =
                    Some(Box::new(ListPipelineResponseProto { pipelines }));
            }
            Type::GetPipeline => {
                let id = pipeline_id(&need(request.get_pipeline_request)?.pipeline_id)?;
                let pipeline = self.0.shared.read(|core| {
                    core.ledger.pipeline(id).map(|pipeline| core.pipeline_view(pipeline))
                });
                response.get_pipeline_response = Some(Box::new(GetPipelineResponseProto {
                    pipeline: pipeline.ok_or_else(|| no_pipeline(id))?,
                }));
            }
            Type::AllocatePipeline => {
                let part = need(request.pipeline_request)?;
                response.pipeline_response = Some(Box::new(self.allocate_pipeline(part).await?));
            }
            Type::ActivatePipeline => {
                let id = pipeline_id(&need(request.activate_pipeline_request)?.pipeline_id)?;
                self.change_pipeline(id, |core, _| core.set_pipeline_dormant(id, false))?;
                response.activate_pipeline_response =
                    Some(Box::new(ActivatePipelineResponseProto {}));
            }
            Type::DeactivatePipeline => {
                let id = pipeline_id(&need(request.deactivate_pipeline_request)?.pipeline_id)?;
                self.change_pipeline(id, |core, _| core.set_pipeline_dormant(id, true))?;
                response.deactivate_pipeline_response =
                    Some(Box::new(DeactivatePipelineResponseProto {}));
            }
            _ => {
                let id = pipeline_id(&need(request.close_pipeline_request)?.pipeline_id)?;
                self.change_pipeline(id, |core, now| core.close_pipeline(id, now))?;
                response.close_pipeline_response = Some(Box::new(ClosePipelineResponseProto {}));
            }
        }
        Ok(())
    }

    fn change_pipeline(
        &self,
        id: PipelineId,
        change: impl FnOnce(&mut Core, Millis) -> bool,
    ) -> Result<(), RpcError> {
        if self.0.shared.with(change) { Ok(()) } else { Err(no_pipeline(id)) }
    }

    /// A container and where to read or write it.
    fn with_pipeline(&self, id: i64) -> Result<ContainerWithPipeline, RpcError> {
        let id = container_id(id);
        self.0.shared.with(|core, now| {
            let container = core.ledger.container(id).ok_or_else(|| no_container(id))?.clone();
            let open = container.state == ContainerState::Open;
            if open
                && core.safe_mode.is_active()
                && container.replicas.len() < container.replication.required_nodes()
            {
                let text = format!(
                    "Open container {id} doesn't have enough replicas to service this operation \
                     in Safe mode."
                );
                return Err(refused(text));
            }
            let writable = container.pipeline.filter(|_| open);
            let pipeline = match writable.and_then(|id| core.ledger.pipeline(id)) {
                Some(pipeline) => core.pipeline_view(pipeline),
                None => core.read_pipeline(&container, now),
            };
            Ok(ContainerWithPipeline { container_info: container.to_proto(), pipeline })
        })
    }

    fn list(&self, filter: &ScmListContainerRequestProto) -> ScmListContainerResponseProto {
        let limit = (filter.count as usize).min(LIST_MAX);
        let start = ContainerId(filter.start_container_id.unwrap_or(0));
        self.0.shared.read(|core| {
            let (mut containers, mut total) = (Vec::new(), 0);
            for container in core.ledger.containers_from(start) {
                if view::matches(container, filter) {
                    total += 1;
                    if containers.len() < limit {
                        containers.push(container.to_proto());
                    }
                }
            }
            ScmListContainerResponseProto { containers, container_count: Some(total) }
        })
    }

    fn list_ids(
        &self,
        filter: &ScmListContainerIDsRequestProto,
    ) -> ScmListContainerIDsResponseProto {
        let limit = (filter.count as usize).min(LIST_MAX);
        let start = ContainerId(filter.start_container_id.as_ref().map_or(0, |id| id.id));
        let state = filter.state.and_then(convert::container_state);
        let ids = self.0.shared.read(|core| {
            core.ledger
                .containers_from(start)
                .filter(|container| state.is_none_or(|state| container.state == state))
                .take(limit)
                .map(|container| hdds_proto::hdds::ContainerId { id: container.id.0 })
                .collect()
        });
        ScmListContainerIDsResponseProto { container_i_ds: ids }
    }

    fn close_container(&self, id: ContainerId) -> Result<CloseStatus, RpcError> {
        self.0.shared.with(|core, now| {
            let state = core.ledger.container(id).ok_or_else(|| no_container(id))?.state;
            match state {
                ContainerState::Open => core.close_container(id, now),
                ContainerState::Closing => return Ok(CloseStatus::ContainerAlreadyClosing),
                ContainerState::Closed => return Ok(CloseStatus::ContainerAlreadyClosed),
                other => {
                    let text = format!("Cannot close a {other} container.");
                    return Err(refused(text));
                }
            }
            Ok(CloseStatus::Ok)
        })
    }

    async fn allocate_container(
        &self,
        part: ContainerRequestProto,
    ) -> Result<ContainerResponseProto, RpcError> {
        let replication = convert::replication(
            part.replication_type,
            part.replication_factor,
            part.ec_replication_config.as_ref(),
        );
        let replication = replication.ok_or_else(unknown_replication)?;
        let deadline = tokio::time::Instant::now() + self.0.pipeline_wait;
        let mut changes = self.0.shared.changes();
        let (id, call) = loop {
            let planned =
                self.0.shared.with(|core, now| core.plan_container(replication, &part.owner, now));
            match planned.map_err(scm_error)? {
                Some(planned) => break planned,
                None => {
                    if tokio::time::timeout_at(deadline, changes.changed()).await.is_err() {
                        let text = format!("no {replication} pipeline opened in time");
                        return Err(refused(text));
                    }
                }
            }
        };
        self.0.submit(call).await?;
        Ok(ContainerResponseProto {
            error_code: container_response_proto::Error::Success.into(),
            container_with_pipeline: self.with_pipeline(id.0.cast_signed())?,
            error_message: None,
        })
    }

    async fn allocate_pipeline(
        &self,
        part: PipelineRequestProto,
    ) -> Result<PipelineResponseProto, RpcError> {
        let replication =
            convert::replication(part.replication_type, Some(part.replication_factor), None)
                .ok_or_else(unknown_replication)?;
        let mut changes = self.0.shared.changes();
        let id = self
            .0
            .shared
            .with(|core, now| core.create_pipeline(replication, now))
            .map_err(|error| scm_error((&error).into()))?;
        let deadline = tokio::time::Instant::now() + self.0.pipeline_wait;
        loop {
            let found = self
                .0
                .shared
                .read(|core| core.ledger.pipeline(id).map(|pipeline| core.pipeline_view(pipeline)));
            if let Some(pipeline) = found {
                return Ok(PipelineResponseProto {
                    error_code: pipeline_response_proto::Error::Success.into(),
                    pipeline: Some(pipeline),
                    error_message: None,
                });
            }
            if tokio::time::timeout_at(deadline, changes.changed()).await.is_err() {
                return Err(refused("the pipeline was not agreed on in time"));
            }
        }
    }
}

fn container_info(core: &Core, id: ContainerId) -> Result<ContainerInfoProto, RpcError> {
    core.ledger.container(id).map(|c| c.to_proto()).ok_or_else(|| no_container(id))
}

fn count(core: &Core, state: Option<i32>) -> i64 {
    match state.and_then(convert::container_state) {
        Some(state) => core.ledger.container_count(state).cast_signed(),
        None => core.ledger.containers_total() as i64,
    }
}

fn container_id(id: i64) -> ContainerId {
    ContainerId(id.max(0).cast_unsigned())
}

fn pipeline_id(proto: &PipelineIdProto) -> Result<PipelineId, RpcError> {
    convert::pipeline_id(proto).ok_or_else(|| refused("the pipeline id is no UUID"))
}

fn no_container(id: ContainerId) -> RpcError {
    RpcError::new(class::CONTAINER_NOT_FOUND, format!("Container with id #{id} not found."))
}

fn no_pipeline(id: PipelineId) -> RpcError {
    RpcError::new(class::PIPELINE_NOT_FOUND, format!("PipelineID={id} not found"))
}

fn unknown_replication() -> RpcError {
    refused("unknown replication; use RATIS ONE or THREE")
}
