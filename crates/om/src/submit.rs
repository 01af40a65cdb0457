//! Writes: prepared on the leader, through the log, answered when applied.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Instant;

use bytes::Bytes;
use hadoop_rpc::name_uuid_of_client;
use hadoop_rpc::server::{CallContext, RpcError};
use multiraft::{ClientRequest, RaftError, Role};
use om_core::command::{self, Caller};
use om_core::{Namespace, OmError};
use om_proto::{LayoutVersion, OmRequest, OmResponse, Status, Type, UserInfo};
use prost::Message;

use crate::server::Service;

/// Layout that the leader works with; every replica dispatches by it.
const LAYOUT_VERSION: u64 = crate::init::LAYOUT_VERSION as u64;
const NOT_LEADER: &str = "org.apache.hadoop.ozone.om.exceptions.OMNotLeaderException";
const NOT_READY: &str = "org.apache.hadoop.ozone.om.exceptions.OMLeaderNotReadyException";

impl Service {
    /// Only the ready leader serves clients (`OzoneManagerRatisServer.checkLeaderStatus`).
    pub(crate) fn check_leader(&self) -> Result<(), RpcError> {
        let (role, leader) = {
            let leadership = self.leadership.borrow();
            (leadership.role, leadership.leader.clone())
        };
        let node = &self.settings.node;
        match role {
            Role::Leader { ready: true } => Ok(()),
            Role::Leader { ready: false } => Err(RpcError::new(
                NOT_READY,
                format!("{node} is Leader but not ready to process request yet."),
            )),
            _ => Err(match leader {
                Some(leader) => {
                    let address = self.address_of(&leader);
                    not_leader(node, Some(&format!("OM:{leader}[{address}]")))
                }
                None => not_leader(node, None),
            }),
        }
    }

    /// A client's write.
    ///
    /// # Errors
    /// Not the ready leader; everything else is in the reply.
    pub(crate) async fn write(
        &self,
        context: &CallContext,
        mut request: Box<OmRequest>,
    ) -> Result<Bytes, RpcError> {
        self.check_leader()?;
        request.user_info = Some(Box::new(UserInfo {
            user_name: Some(context.user.to_string()),
            remote_address: Some(context.remote_ip.to_string()),
            host_name: Some(context.remote_ip.to_string()),
        }));
        let client = name_uuid_of_client(context.client_id);
        let call = u64::from(context.call_id.cast_unsigned());
        // A repetition must not be prepared again: what it asks for may be done already.
        if context.retry_count > 0
            && let Some(Ok(reply)) = self.raft.repeated(self.group, client, call).await
        {
            return Ok(reply.message);
        }
        let begun = Instant::now();
        let prepared = self.prepare(&context.user, &mut request).await;
        let proposed = Instant::now();
        self.metrics.prepare.took(proposed - begun);
        if let Err(refusal) = prepared {
            let mut reply = command::reply_to(&request);
            command::refuse(&mut reply, refusal);
            return Ok(encode(&reply));
        }
        let is_recovery = request.cmd_type == i32::from(Type::RecoverLease);
        let opening = session_that_opens(&request);
        let reply = self.propose(client, call, request).await;
        if let Some(session) = opening
            && reply.as_ref().is_ok_and(is_refusal)
        {
            self.blocks.ended(session);
        }
        self.metrics.submit.took(proposed.elapsed());
        match reply {
            Ok(reply) if is_recovery => Ok(self.with_pipelines(reply).await),
            reply => reply,
        }
    }

    /// Where the last blocks of a file under recovery are; a client without that cannot go on, but may
    /// ask again.
    async fn with_pipelines(&self, bytes: Bytes) -> Bytes {
        let Ok(mut reply) = OmResponse::decode(bytes.clone()) else { return bytes };
        let blocks = command::blocks_under_recovery(&mut reply);
        if blocks.is_empty() {
            return bytes;
        }
        match self.locations.fill_blocks(blocks, true).await {
            Ok(()) => encode(&reply),
            Err(error) => {
                let error = OmError::new(Status::ScmGetPipelineException, error.to_string());
                reply.recover_lease_response = None;
                command::refuse(&mut reply, error);
                encode(&reply)
            }
        }
    }

    /// A write of the OM itself.
    ///
    /// # Errors
    /// Not the ready leader; a refusal is in the reply.
    pub(crate) async fn write_own(&self, mut request: OmRequest) -> Result<OmResponse, RpcError> {
        self.check_leader()?;
        request.client_id.clone_from(&self.own_client_name);
        request.layout_version = Some(Box::new(LayoutVersion { version: LAYOUT_VERSION }));
        let call = self.own_calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let bytes = self.propose(self.own_client, call, Box::new(request)).await?;
        OmResponse::decode(bytes).map_err(|error| {
            RpcError::new("java.io.IOException", format!("own reply does not decode: {error}"))
        })
    }

    /// Names, ids, time, data keys, blocks.
    pub(crate) async fn prepare(&self, user: &str, request: &mut OmRequest) -> Result<(), OmError> {
        request.layout_version = Some(Box::new(LayoutVersion { version: LAYOUT_VERSION }));
        let wanted = {
            let caller = self.caller(user);
            let namespace = Namespace::new(&self.cache, &self.settings.rules);
            command::prepare(request, &namespace, &caller)
                .map_err(om_core::error::Failure::into_error)?
        };
        self.upgrade.prepared.check(kind_of(request))?;
        self.provide_keys(request).await?;
        if let Some(commit) = &request.commit_key_request {
            self.blocks.committed(&commit.key_args.key_locations);
        }
        if let Some(session) = session_that_ends(request) {
            self.blocks.ended(session);
        }
        if let Some(wanted) = wanted {
            let session = session_that_writes(request).unwrap_or(0);
            let blocks = self.blocks.take(&wanted, session).await.map_err(|error| {
                if error.is_safe_mode() {
                    OmError::new(Status::ScmInSafeMode, error.to_string())
                } else {
                    OmError::new(Status::InternalError, error.to_string())
                }
            })?;
            command::provide(request, blocks);
        }
        Ok(())
    }

    async fn propose(
        &self,
        client: [u8; 16],
        call: u64,
        request: Box<OmRequest>,
    ) -> Result<Bytes, RpcError> {
        let message = Bytes::from(request.encode_to_vec());
        let kind = kind_of(&request);
        let context: multiraft::Context = request;
        let request = ClientRequest { client, call, message, context: Some(context) };
        let mut write = pin!(self.raft.write(self.group, request));
        // The first poll gives the write its place in the log.
        let first = poll_fn(|task| {
            Poll::Ready(self.upgrade.prepared.pass(kind, || write.as_mut().poll(task)))
        });
        let outcome = match first.await {
            Ok(Poll::Ready(outcome)) => outcome,
            Ok(Poll::Pending) => write.await,
            Err(refusal) => return Ok(refused(kind, refusal)),
        };
        if kind == Type::Prepare && outcome.is_err() {
            self.upgrade.prepared.reopen();
        }
        match outcome {
            Ok(reply) => Ok(reply.message),
            Err(RaftError::StateMachine(error)) => {
                Ok(refused(kind, OmError::new(Status::InternalError, error.message)))
            }
            Err(error) => Err(self.rpc_error(&error)),
        }
    }

    /// The exception that a client of the OM understands (`createOmResponseImpl`).
    fn rpc_error(&self, error: &RaftError) -> RpcError {
        let node = &self.settings.node;
        match error {
            RaftError::NotLeader { leader, .. } => {
                let suggested = leader.as_ref().map(|leader| {
                    let id = String::from_utf8_lossy(&leader.id);
                    format!("OM:{id}[{}]", leader.address)
                });
                not_leader(node, suggested.as_deref())
            }
            RaftError::LeaderNotReady(_) => RpcError::new(NOT_READY, error.to_string()),
            RaftError::SteppingDown(_) | RaftError::AlreadyClosed(_) => {
                RpcError::new(NOT_LEADER, error.to_string())
            }
            _ => RpcError::new("java.io.IOException", error.to_string()),
        }
    }

    pub(crate) fn caller<'a>(&'a self, user: &'a str) -> Caller<'a> {
        Caller {
            user,
            groups: &self.groups,
            now: crate::ids::now_ms(),
            unique_id: self.ids.next(),
            random: crate::ids::random_bytes,
        }
    }
}

/// The answer to a write that did not enter the log.
fn refused(kind: Type, error: OmError) -> Bytes {
    let mut reply = OmResponse { cmd_type: kind.into(), ..OmResponse::default() };
    command::refuse(&mut reply, error);
    encode(&reply)
}

/// What a request asks for; of one that is not known, nothing.
fn kind_of(request: &OmRequest) -> Type {
    Type::try_from(request.cmd_type).unwrap_or(Type::UnknownCommand)
}

/// The session of a new key.
fn session_that_opens(request: &OmRequest) -> Option<u64> {
    let key = request.create_key_request.as_ref().and_then(|create| create.client_id);
    key.or_else(|| request.create_file_request.as_ref().and_then(|create| create.client_id))
}

/// The session that gets blocks.
fn session_that_writes(request: &OmRequest) -> Option<u64> {
    let more = request.allocate_block_request.as_ref().map(|allocate| allocate.client_id);
    more.or_else(|| session_that_opens(request))
}

/// The session that writes nothing more after this request.
fn session_that_ends(request: &OmRequest) -> Option<u64> {
    let key = request.commit_key_request.as_ref().filter(|commit| !commit.hsync());
    let part = request.commit_multi_part_upload_request.as_ref();
    key.map(|commit| commit.client_id).or_else(|| part.map(|commit| commit.client_id))
}

/// The one field of a reply that says whether it is a refusal.
#[derive(Clone, PartialEq, Message)]
struct Verdict {
    #[prost(bool, optional, tag = "3")]
    success: Option<bool>,
}

fn is_refusal(reply: &Bytes) -> bool {
    Verdict::decode(reply.as_ref()).is_ok_and(|verdict| verdict.success == Some(false))
}

fn not_leader(node: &str, suggested: Option<&str>) -> RpcError {
    let message = match suggested {
        Some(leader) => {
            format!("OM:{node} is not the leader. Suggested leader is {leader}.")
        }
        None => format!("OM:{node} is not the leader. Could not determine the leader node."),
    };
    RpcError::new(NOT_LEADER, message)
}

pub(crate) fn encode(reply: &OmResponse) -> Bytes {
    Bytes::from(reply.encode_to_vec())
}
