//! `OzoneManagerProtocol`: one method, every request.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use hadoop_rpc::server::{CallContext, Placement, Protocol, RpcError};
use hadoop_rpc::trace;
use hdds_client::scm::ScmError;
use om_core::command::{self, Answer, Unlocated};
use om_core::{Namespace, OmError};
use om_proto::{
    FinalizeUpgradeProgressResponse, GetQuotaRepairStatusResponse, OmRequest, OmResponse, SafeMode,
    SetSafeModeResponse, Status, Type,
};
use prost::Message;

use crate::ids::random_bytes;
use crate::server::Service;
use crate::submit::encode;
use crate::{audit, locations, metrics, updates};

/// Name of the protocol in RPC headers.
pub const PROTOCOL: &str = "org.apache.hadoop.ozone.om.protocol.OzoneManagerProtocol";

/// Serves clients.
pub struct OzoneManagerProtocol(pub Arc<Service>);

#[async_trait]
impl Protocol for OzoneManagerProtocol {
    fn methods(&self) -> &'static [&'static str] {
        &["submitRequest"]
    }

    fn placement(&self, _method: &str, request: &Bytes) -> Placement {
        if takes_long(request) { Placement::Task } else { Placement::Connection }
    }

    async fn call(
        &self,
        context: CallContext,
        _method: &str,
        request: Bytes,
    ) -> Result<Bytes, RpcError> {
        let mut request = parse(request)?;
        if let Some(message) = command::volume::malformed(&request) {
            return Err(RpcError::new("java.lang.IllegalStateException", message));
        }
        if request.cmd_type == i32::from(Type::CheckVolumeAccess) {
            let message = "This operation is not supported.";
            return Err(RpcError::new("java.lang.UnsupportedOperationException", message));
        }
        if let Some(message) = command::acl::malformed(&mut request) {
            return Err(RpcError::new("java.lang.IllegalArgumentException", message));
        }
        if let Some(message) = updates::malformed(&request) {
            return Err(RpcError::new("java.lang.IllegalArgumentException", message));
        }
        let kind = request.cmd_type;
        let call = self.0.metrics.calls.begin(kind);
        let carried = context.trace_of(request.trace_id.as_deref());
        let audited = self.0.audit.as_ref().map(|log| (log, audit::begin(&context, &request)));
        let answer = trace::traced(carried.as_deref(), operation(kind), async {
            let answer = if command::is_read(&request) {
                self.0.read(&context, &request).await
            } else {
                // Boxed: reads, which nearly never wait, do not pay for its size.
                Box::pin(self.0.write(&context, request)).await
            };
            tracing::debug!(
                op = operation(kind),
                user = &*context.user,
                client = %context.remote,
                call = context.call_id,
                answered = answer.is_ok(),
                "request"
            );
            answer
        })
        .await;
        if answer.as_ref().map_or(true, |reply| metrics::is_refusal(reply)) {
            call.fail();
        }
        if let Some((log, entry)) = audited {
            log.note(audit::end(entry, &answer));
        }
        answer
    }
}

/// The name of a type of request.
fn operation(kind: i32) -> &'static str {
    Type::try_from(kind).map_or("unknown", |kind| kind.as_str_name())
}

/// Pages of listings and what looks up many rows while it is prepared hold up the other calls of a
/// connection. `cmdType` is the first field of every request that clients write.
fn takes_long(request: &[u8]) -> bool {
    let Some((8, mut rest)) = request.split_first() else { return false };
    let kind = prost::encoding::decode_varint(&mut rest).ok().and_then(|n| i32::try_from(n).ok());
    matches!(
        kind.and_then(|kind| Type::try_from(kind).ok()),
        Some(
            Type::ListKeys
                | Type::ListKeysLight
                | Type::ListStatus
                | Type::ListStatusLight
                | Type::ListBuckets
                | Type::ListVolume
                | Type::ListMultipartUploads
                | Type::ListOpenFiles
                | Type::DeleteBucket
                | Type::DeleteKeys
                | Type::RenameKeys
        )
    )
}

/// Java refuses a message without its required fields, and an enum number that it does not know.
fn parse(bytes: Bytes) -> Result<Box<OmRequest>, RpcError> {
    let malformed = |message: String| {
        RpcError::new("com.google.protobuf.InvalidProtocolBufferException", message)
    };
    let request = OmRequest::decode(bytes).map_err(|error| malformed(error.to_string()))?;
    let mut missing = Vec::new();
    if Type::try_from(request.cmd_type).is_err() {
        missing.push("cmdType");
    }
    if request.client_id.is_empty() {
        missing.push("clientId");
    }
    if missing.is_empty() {
        return Ok(Box::new(request));
    }
    Err(malformed(format!("Message missing required fields: {}", missing.join(", "))))
}

impl Service {
    async fn read(
        self: &Arc<Self>,
        context: &CallContext,
        request: &OmRequest,
    ) -> Result<Bytes, RpcError> {
        if request.cmd_type == i32::from(Type::PrepareStatus) {
            // Answered by any node, whatever its role.
            let mut reply = command::reply_to(request);
            reply.prepare_status_response = Some(Box::new(self.upgrade.prepared.status()));
            return Ok(encode(&reply));
        }
        self.check_leader()?;
        // What may wait for something is boxed: the others do not pay for its size.
        if ADMINISTRATION.contains(&request.cmd_type()) {
            let reply = Box::pin(self.administrate(context, request)).await;
            return Ok(encode(&reply));
        }
        let answer = {
            let caller = self.caller(&context.user);
            let namespace = Namespace::new(&self.cache, &self.settings.rules);
            command::read(request, &namespace, &caller)
        };
        match answer {
            None => Ok(self.service_list(request)),
            Some(Answer::Encoded(bytes)) => Ok(bytes),
            Some(Answer::Message { reply, locate: false }) => Ok(encode(&reply)),
            Some(Answer::Message { mut reply, locate: true }) => {
                let refresh = wants_refresh(request);
                if refresh || !self.locations.fill_known(command::keys_in(&mut reply)) {
                    let keys = command::keys_in(&mut reply);
                    if let Err(error) = Box::pin(self.locations.fill(keys, refresh)).await {
                        reply = unlocated(request, &error);
                    }
                }
                if wants_nearest_first(request) {
                    let keys = command::keys_in(&mut reply);
                    locations::nearest_first(keys, &context.remote_ip, random_bytes());
                }
                Ok(encode(&reply))
            }
            Some(Answer::Stored(rows)) => match self.locations.encoded_known(rows.containers()) {
                Some(known) => encode_stored(&*rows, &known, context, request),
                None => Box::pin(self.locate_stored(context, request, rows)).await,
            },
        }
    }

    /// Asks SCM where the blocks of rows are.
    async fn locate_stored(
        &self,
        context: &CallContext,
        request: &OmRequest,
        rows: Box<dyn Unlocated>,
    ) -> Result<Bytes, RpcError> {
        match self.locations.encoded(rows.containers()).await {
            Ok(known) => encode_stored(&*rows, &known, context, request),
            Err(error) => Ok(encode(&unlocated(request, &error))),
        }
    }
}

/// Rows with the pipelines of their blocks.
fn encode_stored(
    rows: &dyn Unlocated,
    known: &HashMap<i64, Bytes>,
    context: &CallContext,
    request: &OmRequest,
) -> Result<Bytes, RpcError> {
    let nearest_first = wants_nearest_first(request);
    rows.encode(&|container| {
        let pipeline = known.get(&container)?.clone();
        if !nearest_first {
            return Some(pipeline);
        }
        let client = &context.remote_ip;
        Some(locations::encoded_nearest_first(pipeline, client, random_bytes()))
    })
    .map_err(|error| RpcError::io(format!("a stored row: {error}")))
}

/// What concerns the server and not the namespace.
const ADMINISTRATION: [Type; 5] = [
    Type::SetSafeMode,
    Type::GetQuotaRepairStatus,
    Type::StartQuotaRepair,
    Type::FinalizeUpgradeProgress,
    Type::DbUpdates,
];

impl Service {
    /// The answer to one of [`ADMINISTRATION`]: safe mode, repair of quotas, an upgrade.
    async fn administrate(
        self: &Arc<Self>,
        context: &CallContext,
        request: &OmRequest,
    ) -> Box<OmResponse> {
        let mut reply = command::reply_to(request);
        let done = match request.cmd_type() {
            Type::SetSafeMode => {
                let body = request.set_safe_mode_request.as_deref();
                let wanted = body.map_or(SafeMode::Enter, |body| body.safe_mode());
                self.safe_mode(wanted).await.map(|response| {
                    let response = Some(response);
                    reply.set_safe_mode_response = Some(Box::new(SetSafeModeResponse { response }));
                })
            }
            Type::GetQuotaRepairStatus => {
                self.check_admin(context, "quota repair status").map(|()| {
                    let status = Some(self.repair.status());
                    let response = GetQuotaRepairStatusResponse { status };
                    reply.get_quota_repair_status_response = Some(Box::new(response));
                })
            }
            Type::StartQuotaRepair => {
                let body = request.start_quota_repair_request.as_deref();
                let buckets = body.map(|body| body.buckets.clone()).unwrap_or_default();
                self.check_admin(context, "start quota repair")
                    .and_then(|()| self.start_quota_repair(buckets))
                    .map(|()| reply.start_quota_repair_response = Some(Box::default()))
            }
            Type::FinalizeUpgradeProgress => {
                let body = request.finalize_upgrade_progress_request.as_deref().cloned();
                let report = self.upgrade.finalization.report(&body.unwrap_or_default());
                report.map(|status| {
                    let response = FinalizeUpgradeProgressResponse { status };
                    reply.finalize_upgrade_progress_response = Some(Box::new(response));
                })
            }
            Type::DbUpdates => {
                let body = request.db_updates_request.as_deref().cloned();
                self.updates(body.unwrap_or_default())
                    .await
                    .map(|updates| reply.db_updates_response = Some(Box::new(updates)))
            }
            other => {
                let message = format!("{} is not about the server", other.as_str_name());
                Err(OmError::new(Status::InvalidRequest, message))
            }
        };
        if let Err(error) = done {
            command::refuse(&mut reply, error);
        }
        reply
    }

    fn check_admin(&self, context: &CallContext, operation: &str) -> Result<(), OmError> {
        let rules = &self.settings.rules;
        if !rules.acls_enforced || rules.is_admin(&self.caller(&context.user)) {
            return Ok(());
        }
        let message = format!("Only Ozone admins are allowed to {operation}");
        Err(OmError::new(Status::PermissionDenied, message))
    }

    async fn safe_mode(&self, wanted: SafeMode) -> Result<bool, OmError> {
        let answer = match wanted {
            SafeMode::Get => self.scm.in_safe_mode().await,
            SafeMode::ForceExit => self.scm.force_exit_safe_mode().await,
            SafeMode::Enter => {
                return Err(OmError::new(Status::InternalError, "Enter safe mode is unsupported"));
            }
            SafeMode::Leave => {
                let message = "Unsupported safe mode action LEAVE";
                return Err(OmError::new(Status::InternalError, message));
            }
        };
        answer.map_err(|error| OmError::new(Status::InternalError, error.to_string()))
    }
}

/// The answer when SCM does not tell where containers are.
fn unlocated(request: &OmRequest, error: &ScmError) -> Box<OmResponse> {
    let mut refusal = command::reply_to(request);
    let error = OmError::new(Status::ScmGetPipelineException, error.to_string());
    command::refuse(&mut refusal, error);
    refusal
}

fn wants_refresh(request: &OmRequest) -> bool {
    let args = request.get_key_info_request.as_ref().map(|body| &body.key_args);
    args.is_some_and(|args| args.force_update_container_cache_from_scm.unwrap_or(false))
}

/// `sortDatanodes`, in the arguments of all reads that tell blocks.
fn wants_nearest_first(request: &OmRequest) -> bool {
    let args = [
        request.get_key_info_request.as_ref().map(|body| &body.key_args),
        request.lookup_key_request.as_ref().map(|body| &body.key_args),
        request.lookup_file_request.as_ref().map(|body| &body.key_args),
        request.get_file_status_request.as_ref().map(|body| &body.key_args),
        request.list_status_request.as_ref().map(|body| &body.key_args),
    ];
    args.into_iter().flatten().any(|args| args.sort_datanodes.unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_is_told_by_its_first_bytes() {
        let of = |kind: Type| {
            takes_long(&OmRequest { cmd_type: kind.into(), ..OmRequest::default() }.encode_to_vec())
        };
        assert!(of(Type::ListStatusLight) && of(Type::ListKeys) && of(Type::DeleteKeys));
        assert!(!of(Type::CreateKey) && !takes_long(&[8]) && !takes_long(&[]));
    }
}
