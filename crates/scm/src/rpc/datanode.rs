//! Port 9861: datanodes introduce themselves and report (`StorageContainerDatanodeProtocol`).

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hadoop_rpc::server::{CallContext, Placement, Protocol, RpcError};
use hdds_proto::hdds::{
    ContainerReportsProto, KeyValue, ScmDatanodeRequest, ScmDatanodeResponse,
    ScmHeartbeatRequestProto, ScmHeartbeatResponseProto, ScmRegisterRequestProto,
    ScmRegisteredResponseProto, ScmVersionResponseProto, Status, Type,
};
use hdds_types::DatanodeId;
use prost::Message;
use scm_core::container::named_containers;
use scm_core::convert;

use super::{Service, decode, need, refused};

/// Version of the answer to GetVersion.
const SOFTWARE_VERSION: u32 = 1;
/// A datanode that waits for its first pipeline is answered at the latest after this; well below the
/// 5 s that datanodes wait for an answer.
const FIRST_PIPELINE_WAIT: Duration = Duration::from_secs(1);

/// Reports beyond this size are worked off in a task of their own.
const LONG_REPORT_BYTES: usize = 64 << 10;
/// Replicas of a full report taken in under one lock, so that allocations get their turn in between.
const REPLICAS_PER_STEP: usize = 1_000;

/// Serves datanodes.
pub struct DatanodeProtocol(pub Service);

#[async_trait]
impl Protocol for DatanodeProtocol {
    fn methods(&self) -> &'static [&'static str] {
        &["submitRequest"]
    }

    fn placement(&self, _method: &str, request: &Bytes) -> Placement {
        if request.len() > LONG_REPORT_BYTES { Placement::Task } else { Placement::Connection }
    }

    async fn call(
        &self,
        context: CallContext,
        _method: &str,
        request: Bytes,
    ) -> Result<Bytes, RpcError> {
        let request: ScmDatanodeRequest = decode(request)?;
        let _call = self.0.calls.datanode.begin(request.cmd_type);
        let mut response = ScmDatanodeResponse {
            cmd_type: request.cmd_type,
            trace_id: request.trace_id,
            success: Some(true),
            status: Status::Ok.into(),
            ..ScmDatanodeResponse::default()
        };
        match Type::try_from(request.cmd_type) {
            Ok(Type::GetVersion) => {
                response.get_version_response = Some(Box::new(self.version()));
            }
            Ok(Type::Register) => {
                let register = need(request.register_request)?;
                let peer = context.remote.ip().to_canonical().to_string();
                response.register_response = Some(Box::new(self.register(&register, &peer)?));
            }
            Ok(Type::SendHeartbeat) => {
                let heartbeat = need(request.send_heartbeat_request)?;
                response.send_heartbeat_response = Some(Box::new(self.heartbeat(heartbeat).await?));
            }
            Err(_) => {
                let text = format!("unknown command type {}", request.cmd_type);
                return Err(refused(text));
            }
        }
        Ok(response.encode_to_vec().into())
    }
}

impl DatanodeProtocol {
    fn version(&self) -> ScmVersionResponseProto {
        let identity = self.0.shared.read(|core| core.identity.clone());
        let pair = |key: &str, value: String| KeyValue { key: key.to_owned(), value: Some(value) };
        ScmVersionResponseProto {
            software_version: SOFTWARE_VERSION,
            keys: vec![pair("scmUuid", identity.scm_id), pair("clusterID", identity.cluster_id)],
        }
    }

    fn register(
        &self,
        request: &ScmRegisterRequestProto,
        peer: &str,
    ) -> Result<ScmRegisteredResponseProto, RpcError> {
        let registration = self.0.shared.with(|core, now| core.register(request, Some(peer), now));
        let registration = registration.ok_or_else(no_datanode)?;
        if registration.refused.is_none()
            && let Some(id) =
                convert::datanode_id(&request.extended_datanode_details.datanode_details)
        {
            self.take_full_report(id, &request.container_report);
        }
        match registration.refused {
            Some(reason) => {
                tracing::warn!(datanode = %registration.response.datanode_uuid, reason, "registration refused")
            }
            None => {
                tracing::info!(datanode = %registration.response.datanode_uuid, address = peer, "datanode registered")
            }
        }
        Ok(registration.response)
    }

    async fn heartbeat(
        &self,
        request: ScmHeartbeatRequestProto,
    ) -> Result<ScmHeartbeatResponseProto, RpcError> {
        let id = convert::datanode_id(&request.datanode_details).ok_or_else(no_datanode)?;
        if let Some(report) = &request.container_report {
            self.take_full_report(id, report);
        }
        self.0.shared.with(|core, now| core.heartbeat(&request, now));
        drop(request);
        self.wait_for_first_pipeline(id).await;
        let answer = self.0.shared.with(|core, _| core.take_commands(id));
        Ok(ScmHeartbeatResponseProto {
            datanode_uuid: id.to_string(),
            commands: answer.commands,
            term: answer.term,
        })
    }

    fn take_full_report(&self, id: DatanodeId, report: &ContainerReportsProto) {
        let named = named_containers(report);
        self.0.shared.with(|core, _| core.drop_unnamed_replicas(id, &named));
        for step in report.reports.chunks(REPLICAS_PER_STEP) {
            self.0.shared.with(|core, now| core.take_replicas(id, step, now));
        }
    }

    /// A new cluster is ready sooner when the first answer already brings the pipelines that are made
    /// once enough datanodes are there.
    async fn wait_for_first_pipeline(&self, id: DatanodeId) {
        let mut changes = self.0.shared.changes();
        let wait = async {
            while self.0.shared.read(|core| core.awaits_first_pipeline(id)) {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        // Out of time is as good an end as any: the next heartbeat brings the commands.
        let _ = tokio::time::timeout(FIRST_PIPELINE_WAIT, wait).await;
    }
}

fn no_datanode() -> RpcError {
    refused("the request names no datanode")
}
