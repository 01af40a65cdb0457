//! The audit log of SCM: one line for each call of OM, clients and admins (`SCMAction`).
//!
//! A wrapper around a protocol, so that calls cost nothing where no audit log is wanted.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use hadoop_rpc::server::{CallContext, Placement, Protocol, RpcError};
use hdds_proto::{block, container};
use ozone_daemon::audit::{self, AuditLog, Entry};
use prost::Message;

/// Keys of one deletion that its line names.
const KEYS_SHOWN_MAX: usize = 10;

/// What a request asks for: the operation, and its parameters.
type Described = (String, String);

/// A protocol whose calls are noted.
pub struct Audited<P> {
    inner: P,
    log: Arc<AuditLog>,
    describe: fn(&Bytes) -> Described,
    refusal: fn(&Bytes) -> Option<String>,
}

/// The protocol of port 9863, noted where there is a log.
pub fn of_blocks(inner: impl Protocol, log: Option<&Arc<AuditLog>>) -> Arc<dyn Protocol> {
    wrap(inner, log, describe_block, refusal_of_block)
}

/// The protocol of port 9860, noted where there is a log.
pub fn of_locations(inner: impl Protocol, log: Option<&Arc<AuditLog>>) -> Arc<dyn Protocol> {
    wrap(inner, log, describe_location, |_| None)
}

fn wrap(
    inner: impl Protocol,
    log: Option<&Arc<AuditLog>>,
    describe: fn(&Bytes) -> Described,
    refusal: fn(&Bytes) -> Option<String>,
) -> Arc<dyn Protocol> {
    match log {
        Some(log) => Arc::new(Audited { inner, log: Arc::clone(log), describe, refusal }),
        None => Arc::new(inner),
    }
}

#[async_trait]
impl<P: Protocol> Protocol for Audited<P> {
    fn version(&self) -> u64 {
        self.inner.version()
    }

    fn methods(&self) -> &'static [&'static str] {
        self.inner.methods()
    }

    fn placement(&self, method: &str, request: &Bytes) -> Placement {
        self.inner.placement(method, request)
    }

    async fn call(
        &self,
        context: CallContext,
        method: &str,
        request: Bytes,
    ) -> Result<Bytes, RpcError> {
        let (operation, parameters) = (self.describe)(&request);
        let mut entry = Entry {
            user: context.user.clone(),
            ip: context.remote.ip().to_canonical().to_string(),
            operation,
            parameters,
            failure: None,
        };
        let answer = self.inner.call(context, method, request).await;
        entry.failure = match &answer {
            Ok(reply) => (self.refusal)(reply),
            Err(error) => Some(error.to_string()),
        };
        self.log.note(entry);
        answer
    }
}

fn describe_block(request: &Bytes) -> Described {
    let Ok(request) = block::ScmBlockLocationRequest::decode(request.clone()) else {
        return ("MALFORMED".to_owned(), String::new());
    };
    let kind = block::Type::try_from(request.cmd_type).map_or("unknown", |kind| kind.as_str_name());
    let parameters = if let Some(body) = &request.allocate_scm_block_request {
        let client = body.client.as_deref().unwrap_or_default();
        let replication = match (&body.ec_replication_config, body.factor) {
            (Some(_), _) => "EC".to_owned(),
            (None, factor) => format!("{:?}/{}", body.r#type(), factor.unwrap_or_default()),
        };
        let (size, count, owner) = (body.size, body.num_blocks, &body.owner);
        format!(
            "size={size}, num={count}, replication={replication}, owner={owner}, client={client}"
        )
    } else if let Some(body) = &request.delete_scm_key_blocks_request {
        let shown: Vec<&str> =
            body.key_blocks.iter().take(KEYS_SHOWN_MAX).map(|key| key.key.as_str()).collect();
        let more = if body.key_blocks.len() > shown.len() { ", ..." } else { "" };
        format!("keys={}, KeyBlockToDelete=[{}{more}]", body.key_blocks.len(), shown.join(", "))
    } else {
        String::new()
    };
    (action(kind), parameters)
}

fn refusal_of_block(reply: &Bytes) -> Option<String> {
    let reply = block::ScmBlockLocationResponse::decode(reply.clone()).ok()?;
    let message = reply.message.as_deref().unwrap_or_default();
    let refused = reply.success == Some(false);
    refused.then(|| format!("{} {message}", reply.status().as_str_name()))
}

fn describe_location(request: &Bytes) -> Described {
    let Ok(request) = container::ScmContainerLocationRequest::decode(request.clone()) else {
        return ("MALFORMED".to_owned(), String::new());
    };
    let kind =
        container::Type::try_from(request.cmd_type).map_or("unknown", |kind| kind.as_str_name());
    let containers = [
        request.get_container_request.as_ref().map(|body| body.container_id),
        request.get_container_with_pipeline_request.as_ref().map(|body| body.container_id),
        request.get_container_replicas_request.as_ref().map(|body| body.container_id),
        request.scm_close_container_request.as_ref().map(|body| body.container_id),
        request.scm_delete_container_request.as_ref().map(|body| body.container_id),
    ];
    let container = containers.into_iter().flatten().next();
    (action(kind), container.map_or_else(String::new, |id| format!("containerID={id}")))
}

/// Operations that `SCMAction` calls otherwise than their request.
const ACTIONS: [(&str, &str); 8] = [
    ("AllocateScmBlock", "ALLOCATE_BLOCK"),
    ("DeleteScmKeyBlocks", "DELETE_KEY_BLOCK"),
    ("SortDatanodes", "SORT_DATANODE"),
    ("AllocatePipeline", "CREATE_PIPELINE"),
    ("ListPipelines", "LIST_PIPELINE"),
    ("DatanodeUsageInfo", "GET_DATANODE_USAGE_INFO"),
    ("ListContainerIDs", "LIST_CONTAINER_IDS"),
    ("GetDeletedBlocksTransactionSummary", "GET_DELETED_BLOCK_SUMMARY"),
];

/// `CloseContainer` → `CLOSE_CONTAINER`, with the exceptions above.
fn action(kind: &str) -> String {
    if let Some((_, action)) = ACTIONS.iter().find(|(other, _)| *other == kind) {
        return (*action).to_owned();
    }
    audit::operation(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_told_in_the_words_of_the_genuine_log() {
        let close = container::ScmContainerLocationRequest {
            cmd_type: container::Type::CloseContainer.into(),
            scm_close_container_request: Some(Box::new(container::ScmCloseContainerRequestProto {
                container_id: 7,
                ..Default::default()
            })),
            ..Default::default()
        };
        let told = describe_location(&close.encode_to_vec().into());
        assert_eq!(told, ("CLOSE_CONTAINER".to_owned(), "containerID=7".to_owned()));
        let allocate = block::ScmBlockLocationRequest {
            cmd_type: block::Type::AllocateScmBlock.into(),
            allocate_scm_block_request: Some(Box::new(block::AllocateScmBlockRequestProto {
                size: 5,
                num_blocks: 2,
                owner: "om".into(),
                ..Default::default()
            })),
            ..Default::default()
        };
        let (operation, parameters) = describe_block(&allocate.encode_to_vec().into());
        assert_eq!(operation, "ALLOCATE_BLOCK");
        assert!(parameters.starts_with("size=5, num=2, replication="), "{parameters}");
        assert_eq!(action("ListContainerIDs"), "LIST_CONTAINER_IDS");
        assert_eq!(describe_block(&Bytes::from_static(&[0xff])).0, "MALFORMED");
    }

    #[test]
    fn a_refusal_inside_the_envelope_is_a_failure() {
        let reply = |success| {
            let reply = block::ScmBlockLocationResponse {
                success: Some(success),
                message: Some("safe mode".into()),
                ..Default::default()
            };
            refusal_of_block(&reply.encode_to_vec().into())
        };
        assert_eq!(reply(true), None);
        assert!(reply(false).unwrap().ends_with(" safe mode"));
    }
}
