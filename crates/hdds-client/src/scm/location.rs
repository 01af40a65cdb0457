//! `StorageContainerLocationProtocol`, port 9860: containers, pipelines, nodes, safe mode.

use bytes::Bytes;
use hadoop_rpc::trace;
use hdds_proto::container::*;
use hdds_proto::convert::{pipeline_id_proto, uuid_proto};
use hdds_proto::hdds::{
    ContainerInfoProto, ContainerWithPipeline, EcReplicationConfig, GetScmInfoRequestProto,
    GetScmInfoResponseProto, LifeCycleState, Node, NodeOperationalState, NodeState, Pipeline,
    QueryScope, ReplicationFactor, ReplicationType, ScmContainerReplicaProto,
};
use hdds_types::{ContainerId, DatanodeId, PipelineId};
use ozone_config::Configuration;
use prost::Message;

use super::channel::Channel;
use super::{CLIENT_VERSION, ScmClientSettings, ScmError};
use crate::addresses::{self, AddressError, HostPort, ScmPort};

/// Name of the protocol in RPC headers.
pub const PROTOCOL: &str = "org.apache.hadoop.hdds.scm.protocol.StorageContainerLocationProtocol";
/// Its only method.
pub const METHOD: &str = "submitRequest";

/// Which containers to list.
#[derive(Clone, Debug, Default)]
pub struct ContainerFilter {
    /// Only those in this state.
    pub state: Option<LifeCycleState>,
    /// Only those with this type.
    pub replication_type: Option<ReplicationType>,
    /// Only those with this factor.
    pub factor: Option<ReplicationFactor>,
    /// Only those with this erasure coding.
    pub ec: Option<EcReplicationConfig>,
    /// Only those that are (not) suppressed from reports.
    pub suppressed: Option<bool>,
}

/// Asks the leading SCM. Clones share connections.
#[derive(Clone)]
pub struct ScmClient {
    channel: Channel,
}

/// One method per command: fills its field of the envelope and takes its field of the answer.
macro_rules! commands {
    ($( $(#[$doc:meta])* $name:ident($kind:ident, $field:ident: $request:ty) -> $answer:ident: $response:ty; )*) => {
        impl ScmClient {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// See [`ScmError`].
                pub async fn $name(&self, request: $request) -> Result<$response, ScmError> {
                    let mut message = envelope(Type::$kind);
                    message.$field = Some(Box::new(request));
                    let answer = self.send(&message).await?.$answer;
                    Ok(*answer.ok_or_else(|| missing(stringify!($answer)))?)
                }
            )*
        }
    };
}

commands! {
    /// Tools only: a new container.
    allocate_container_raw(AllocateContainer, container_request: ContainerRequestProto)
        -> container_response: ContainerResponseProto;
    /// Creates a pipeline.
    allocate_pipeline(AllocatePipeline, pipeline_request: PipelineRequestProto)
        -> pipeline_response: PipelineResponseProto;
    /// Takes datanodes out of service.
    decommission_nodes(DecommissionNodes, decommission_nodes_request: DecommissionNodesRequestProto)
        -> decommission_nodes_response: DecommissionNodesResponseProto;
    /// Takes datanodes back into service.
    recommission_nodes(RecommissionNodes, recommission_nodes_request: RecommissionNodesRequestProto)
        -> recommission_nodes_response: RecommissionNodesResponseProto;
    /// Puts datanodes into maintenance.
    start_maintenance_nodes(StartMaintenanceNodes, start_maintenance_nodes_request: StartMaintenanceNodesRequestProto)
        -> start_maintenance_nodes_response: StartMaintenanceNodesResponseProto;
    /// Space per datanode.
    datanode_usage(DatanodeUsageInfo, datanode_usage_info_request: DatanodeUsageInfoRequestProto)
        -> datanode_usage_info_response: DatanodeUsageInfoResponseProto;
    /// Finalizes an upgrade.
    finalize_upgrade(FinalizeScmUpgrade, finalize_scm_upgrade_request: FinalizeScmUpgradeRequestProto)
        -> finalize_scm_upgrade_response: FinalizeScmUpgradeResponseProto;
    /// How far finalization is.
    finalization_progress(QueryUpgradeFinalizationProgress, query_upgrade_finalization_progress_request: QueryUpgradeFinalizationProgressRequestProto)
        -> query_upgrade_finalization_progress_response: QueryUpgradeFinalizationProgressResponseProto;
    /// What waits to be deleted.
    deleted_blocks_summary(GetDeletedBlocksTransactionSummary, get_deleted_blocks_txn_summary_request: GetDeletedBlocksTxnSummaryRequestProto)
        -> get_deleted_blocks_txn_summary_response: GetDeletedBlocksTxnSummaryResponseProto;
    /// The last replication report.
    replication_report(GetReplicationManagerReport, replication_manager_report_request: ReplicationManagerReportRequestProto)
        -> get_replication_manager_report_response: ReplicationManagerReportResponseProto;
    /// Hides containers from reports, or shows them again.
    suppress_containers(SuppressContainer, suppress_container_request: SuppressContainerRequestProto)
        -> suppress_container_response: SuppressContainerResponseProto;
    /// A token for operations on a container.
    container_token(GetContainerToken, container_token_request: GetContainerTokenRequestProto)
        -> container_token_response: GetContainerTokenResponseProto;
}

impl ScmClient {
    /// A client of these SCMs that acts as `user`.
    pub fn new(nodes: Vec<HostPort>, settings: ScmClientSettings, user: &str) -> Self {
        Self { channel: Channel::new(PROTOCOL, METHOD, nodes, settings, user) }
    }

    /// A client of the SCMs that the configuration names.
    ///
    /// # Errors
    /// Addresses are missing or a value is not understood.
    pub fn from_conf(conf: &Configuration, user: &str) -> Result<Self, AddressError> {
        let nodes = addresses::scm_nodes(conf)?;
        let nodes: Result<_, _> = nodes.iter().map(|node| node.require(ScmPort::Client)).collect();
        Ok(Self::new(nodes?, ScmClientSettings::read(conf)?, user))
    }

    /// Cluster id, SCM id and roles of all SCMs (`host:port:ROLE:id:ip`).
    ///
    /// # Errors
    /// See [`ScmError`].
    pub async fn get_scm_info(&self) -> Result<GetScmInfoResponseProto, ScmError> {
        let mut message = envelope(Type::GetScmInfo);
        message.get_scm_info_request = Some(Box::new(GetScmInfoRequestProto::default()));
        let answer = self.send(&message).await?.get_scm_info_response;
        Ok(*answer.ok_or_else(|| missing("getScmInfoResponse"))?)
    }

    /// A container.
    ///
    /// # Errors
    /// See [`ScmError`].
    pub async fn get_container(&self, id: ContainerId) -> Result<ContainerInfoProto, ScmError> {
        let mut message = envelope(Type::GetContainer);
        let request = GetContainerRequestProto { container_id: signed(id), trace_id: None };
        message.get_container_request = Some(Box::new(request));
        let answer = self.send(&message).await?.get_container_response;
        Ok(answer.ok_or_else(|| missing("getContainerResponse"))?.container_info)
    }

    /// A container and where to read it: its pipeline while open, else one made up of its replicas.
    ///
    /// # Errors
    /// See [`ScmError`].
    pub async fn get_container_with_pipeline(
        &self,
        id: ContainerId,
    ) -> Result<ContainerWithPipeline, ScmError> {
        let mut message = envelope(Type::GetContainerWithPipeline);
        let request =
            GetContainerWithPipelineRequestProto { container_id: signed(id), trace_id: None };
        message.get_container_with_pipeline_request = Some(Box::new(request));
        let answer = self.send(&message).await?.get_container_with_pipeline_response;
        Ok(answer
            .ok_or_else(|| missing("getContainerWithPipelineResponse"))?
            .container_with_pipeline)
    }

    /// [`Self::get_container_with_pipeline`] for many; fails if any does not exist.
    ///
    /// # Errors
    /// See [`ScmError`].
    pub async fn get_container_with_pipeline_batch(
        &self,
        ids: impl IntoIterator<Item = ContainerId>,
    ) -> Result<Vec<ContainerWithPipeline>, ScmError> {
        let mut message = envelope(Type::GetContainerWithPipelineBatch);
        message.get_container_with_pipeline_batch_request =
            Some(Box::new(GetContainerWithPipelineBatchRequestProto {
                container_i_ds: ids.into_iter().map(signed).collect(),
                trace_id: None,
            }));
        let answer = self.send(&message).await?.get_container_with_pipeline_batch_response;
        Ok(answer
            .ok_or_else(|| missing("getContainerWithPipelineBatchResponse"))?
            .container_with_pipelines)
    }

    /// [`Self::get_container_with_pipeline`] for those that exist.
    ///
    /// # Errors
    /// See [`ScmError`].
    pub async fn get_existing_containers_with_pipeline(
        &self,
        ids: impl IntoIterator<Item = ContainerId>,
    ) -> Result<Vec<ContainerWithPipeline>, ScmError> {
        let mut message = envelope(Type::GetExistContainerWithPipelinesInBatch);
        message.get_exist_container_with_pipelines_in_batch_request =
            Some(Box::new(GetExistContainerWithPipelinesInBatchRequestProto {
                container_i_ds: ids.into_iter().map(signed).collect(),
                trace_id: None,
            }));
        let answer =
            self.send(&message).await?.get_exist_container_with_pipelines_in_batch_response;
        Ok(answer
            .ok_or_else(|| missing("getExistContainerWithPipelinesInBatchResponse"))?
            .container_with_pipelines)
    }

    /// Replicas of a container, as SCM knows them.
    ///
    /// # Errors
    /// See [`ScmError`].
    pub async fn get_container_replicas(
        &self,
        id: ContainerId,
    ) -> Result<Vec<ScmContainerReplicaProto>, ScmError> {
        let mut message = envelope(Type::GetContainerReplicas);
        let request = GetContainerReplicasRequestProto { container_id: signed(id), trace_id: None };
        message.get_container_replicas_request = Some(Box::new(request));
        let answer = self.send(&message).await?.get_container_replicas_response;
        Ok(answer.ok_or_else(|| missing("getContainerReplicasResponse"))?.container_replica)
    }

    /// Up to `count` containers from id `start` on, in id order, and how many there are in all.
    ///
    /// # Errors
    /// See [`ScmError`].
    pub async fn list_containers(
        &self,
        start: ContainerId,
        count: u32,
        filter: &ContainerFilter,
    ) -> Result<(Vec<ContainerInfoProto>, Option<u64>), ScmError> {
        let mut message = envelope(Type::ListContainer);
        message.scm_list_container_request = Some(Box::new(ScmListContainerRequestProto {
            count,
            start_container_id: Some(start.0),
            trace_id: None,
            state: filter.state.map(Into::into),
            factor: filter.factor.map(Into::into),
            r#type: filter.replication_type.map(Into::into),
            ec_replication_config: filter.ec.clone(),
            suppressed: filter.suppressed,
        }));
        let answer = self.send(&message).await?.scm_list_container_response;
        let answer = answer.ok_or_else(|| missing("scmListContainerResponse"))?;
        let total = answer.container_count.and_then(|count| u64::try_from(count).ok());
        Ok((answer.containers, total))
    }

    /// Containers, all or in a state.
    ///
    /// # Errors
    /// See [`ScmError`].
    pub async fn container_count(&self, state: Option<LifeCycleState>) -> Result<u64, ScmError> {
        let mut message = envelope(Type::GetContainerCount);
        message.get_container_count_request =
            Some(Box::new(GetContainerCountRequestProto { state: state.map(Into::into) }));
        let answer = self.send(&message).await?.get_container_count_response;
        let count = answer.ok_or_else(|| missing("getContainerCountResponse"))?.container_count;
        u64::try_from(count).map_err(|_| missing("containerCount"))
    }

    /// Closes a container; one that is closing or closed already is fine.
    ///
    /// # Errors
    /// See [`ScmError`].
    pub async fn close_container(
        &self,
        id: ContainerId,
    ) -> Result<scm_close_container_response_proto::Status, ScmError> {
        use scm_close_container_response_proto::Status;
        let mut message = envelope(Type::CloseContainer);
        let request = ScmCloseContainerRequestProto { container_id: signed(id), trace_id: None };
        message.scm_close_container_request = Some(Box::new(request));
        let answer = self.send(&message).await?.scm_close_container_response;
        let status = answer.ok_or_else(|| missing("scmCloseContainerResponse"))?.status;
        Ok(status.and_then(|status| Status::try_from(status).ok()).unwrap_or(Status::Ok))
    }

    /// Deletes an empty container.
    ///
    /// # Errors
    /// See [`ScmError`].
    pub async fn delete_container(&self, id: ContainerId) -> Result<(), ScmError> {
        let mut message = envelope(Type::DeleteContainer);
        let request = ScmDeleteContainerRequestProto { container_id: signed(id), trace_id: None };
        message.scm_delete_container_request = Some(Box::new(request));
        self.send(&message).await.map(drop)
    }

    /// Datanodes, all or with this health and operational state.
    ///
    /// # Errors
    /// See [`ScmError`].
    pub async fn query_nodes(
        &self,
        health: Option<NodeState>,
        operational: Option<NodeOperationalState>,
    ) -> Result<Vec<Node>, ScmError> {
        let mut message = envelope(Type::QueryNode);
        message.node_query_request = Some(Box::new(NodeQueryRequestProto {
            state: health.map(Into::into),
            scope: QueryScope::Cluster.into(),
            pool_name: Some(String::new()),
            trace_id: None,
            op_state: operational.map(Into::into),
        }));
        let answer = self.send(&message).await?.node_query_response;
        Ok(answer.ok_or_else(|| missing("nodeQueryResponse"))?.datanodes)
    }

    /// One datanode, if SCM knows it.
    ///
    /// # Errors
    /// See [`ScmError`].
    pub async fn query_node(&self, id: DatanodeId) -> Result<Option<Node>, ScmError> {
        let mut message = envelope(Type::SingleNodeQuery);
        message.single_node_query_request =
            Some(Box::new(SingleNodeQueryRequestProto { uuid: uuid_proto(id.0) }));
        let answer = self.send(&message).await?.single_node_query_response;
        Ok(answer.ok_or_else(|| missing("singleNodeQueryResponse"))?.datanode)
    }

    /// All pipelines.
    ///
    /// # Errors
    /// See [`ScmError`].
    pub async fn list_pipelines(&self) -> Result<Vec<Pipeline>, ScmError> {
        let mut message = envelope(Type::ListPipelines);
        message.list_pipeline_request = Some(Box::new(ListPipelineRequestProto { trace_id: None }));
        let answer = self.send(&message).await?.list_pipeline_response;
        Ok(answer.ok_or_else(|| missing("listPipelineResponse"))?.pipelines)
    }

    /// A pipeline.
    ///
    /// # Errors
    /// See [`ScmError`].
    pub async fn get_pipeline(&self, id: PipelineId) -> Result<Pipeline, ScmError> {
        let mut message = envelope(Type::GetPipeline);
        let request =
            GetPipelineRequestProto { pipeline_id: pipeline_id_proto(id), trace_id: None };
        message.get_pipeline_request = Some(Box::new(request));
        let answer = self.send(&message).await?.get_pipeline_response;
        Ok(answer.ok_or_else(|| missing("getPipelineResponse"))?.pipeline)
    }

    /// Closes a pipeline and with it its containers.
    ///
    /// # Errors
    /// See [`ScmError`].
    pub async fn close_pipeline(&self, id: PipelineId) -> Result<(), ScmError> {
        let mut message = envelope(Type::ClosePipeline);
        let request =
            ClosePipelineRequestProto { pipeline_id: pipeline_id_proto(id), trace_id: None };
        message.close_pipeline_request = Some(Box::new(request));
        self.send(&message).await.map(drop)
    }

    /// Whether SCM is in safe mode. Any SCM answers.
    ///
    /// # Errors
    /// See [`ScmError`].
    pub async fn in_safe_mode(&self) -> Result<bool, ScmError> {
        let mut message = envelope(Type::InSafeMode);
        message.in_safe_mode_request = Some(Box::new(InSafeModeRequestProto { trace_id: None }));
        let answer = self.send(&message).await?.in_safe_mode_response;
        Ok(answer.ok_or_else(|| missing("inSafeModeResponse"))?.in_safe_mode)
    }

    /// The rules that keep SCM in safe mode. Any SCM answers.
    ///
    /// # Errors
    /// See [`ScmError`].
    pub async fn safe_mode_rules(&self) -> Result<Vec<SafeModeRuleStatusProto>, ScmError> {
        let mut message = envelope(Type::GetSafeModeRuleStatuses);
        message.get_safe_mode_rule_statuses_request =
            Some(Box::new(GetSafeModeRuleStatusesRequestProto {}));
        let answer = self.send(&message).await?.get_safe_mode_rule_statuses_response;
        Ok(answer
            .ok_or_else(|| missing("getSafeModeRuleStatusesResponse"))?
            .safe_mode_rule_statuses_proto)
    }

    /// Leaves safe mode now; says whether SCM did.
    ///
    /// # Errors
    /// See [`ScmError`].
    pub async fn force_exit_safe_mode(&self) -> Result<bool, ScmError> {
        let mut message = envelope(Type::ForceExitSafeMode);
        message.force_exit_safe_mode_request =
            Some(Box::new(ForceExitSafeModeRequestProto { trace_id: None }));
        let answer = self.send(&message).await?.force_exit_safe_mode_response;
        Ok(answer.ok_or_else(|| missing("forceExitSafeModeResponse"))?.exited_safe_mode)
    }

    /// Sends a whole envelope.
    ///
    /// # Errors
    /// See [`ScmError`].
    pub async fn send(
        &self,
        request: &ScmContainerLocationRequest,
    ) -> Result<ScmContainerLocationResponse, ScmError> {
        use scm_container_location_response::Status;
        let bytes = self.channel.call(Bytes::from(request.encode_to_vec())).await?;
        let response = ScmContainerLocationResponse::decode(bytes)
            .map_err(|error| ScmError::Malformed(error.to_string()))?;
        if response.status != i32::from(Status::Ok) {
            let name = Status::try_from(response.status).map_or("UNKNOWN", |s| s.as_str_name());
            let message = response.message.unwrap_or_default();
            return Err(ScmError::Remote {
                class: "java.io.IOException".to_owned(),
                message: format!("{name}: {message}"),
            });
        }
        Ok(response)
    }
}

fn envelope(kind: Type) -> ScmContainerLocationRequest {
    ScmContainerLocationRequest {
        cmd_type: kind.into(),
        trace_id: Some(trace::current()).filter(|id| !id.is_empty()),
        version: Some(CLIENT_VERSION),
        ..Default::default()
    }
}

/// The id as the wire has it.
fn signed(id: ContainerId) -> i64 {
    id.0.cast_signed()
}

fn missing(field: &str) -> ScmError {
    ScmError::Malformed(format!("{field} is missing"))
}
