//! The engine behind the gRPC services.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{self, BoxFuture};
use ratis::Exception;
use ratis::ids;
use ratis::server::admin_service::AdminReply;
use ratis::server::peer_service::PeerReply;
use ratis::server::{AdminHandler, Answer, ClientHandler, PeerHandler, Submitted};
use ratis_core::PeerId;
use ratis_proto::common::{
    AppendEntriesReplyProto, AppendEntriesRequestProto, GroupInfoReplyProto,
    InstallSnapshotReplyProto, InstallSnapshotRequestProto, RaftClientRequestProto,
    RaftGroupMemberIdProto, RaftPeerProto, RaftRpcRequestProto, ReadIndexReplyProto,
    ReadIndexRequestProto, RequestVoteReplyProto, RequestVoteRequestProto,
    SetConfigurationRequestProto, StartLeaderElectionReplyProto, StartLeaderElectionRequestProto,
    raft_client_request_proto, set_configuration_request_proto::Mode,
};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::engine::Engine;
use crate::error::RaftError;
use crate::group::{Event, Group, PeerRequest, Sink};
use crate::types::{ClientRequest, GroupId, Reply};

/// A transfer of leadership without a time of its own may take this long, in milliseconds.
const TRANSFER_TIMEOUT_MS: u64 = 60_000;

/// An error as a Ratis server tells it.
fn to_exception(server: &Bytes, call: u64, error: RaftError) -> Exception {
    let message = error.to_string();
    match error {
        RaftError::NotLeader { leader, peers, .. } => Exception::NotLeader { leader, peers },
        RaftError::LeaderNotReady(group) => Exception::LeaderNotReady {
            server: RaftGroupMemberIdProto {
                peer_id: server.clone(),
                group_id: Some(ids::group_to(group)),
            },
        },
        RaftError::SteppingDown(_) => Exception::SteppingDown(message),
        RaftError::StateMachine(error) => error.into(),
        RaftError::NotReplicated { index, level, commits } => {
            Exception::NotReplicated { call, level, index, commits }
        }
        RaftError::GroupMismatch(_) => Exception::GroupMismatch(message),
        RaftError::AlreadyExists(_) => Exception::AlreadyExists(message),
        RaftError::AlreadyClosed(_) => Exception::AlreadyClosed(message),
        RaftError::ResourceUnavailable(_) => Exception::ResourceUnavailable(message),
        RaftError::Log { .. } => Exception::io(message),
    }
}

/// What another server said.
pub(crate) fn from_exception(group: GroupId, exception: Exception) -> RaftError {
    match exception {
        Exception::AlreadyExists(_) => RaftError::AlreadyExists(group),
        Exception::GroupMismatch(_) => RaftError::GroupMismatch(group),
        other => RaftError::Log { group, message: other.to_string() },
    }
}

fn answer(reply: Reply) -> Answer {
    Answer { index: reply.index, message: Some(reply.message), commits: reply.commits }
}

impl Engine {
    fn group_of(&self, header: Option<&RaftRpcRequestProto>) -> Result<Arc<Group>, Exception> {
        let Some(id) = ids::group_of(header) else {
            return Err(Exception::illegal_argument("the request names no group"));
        };
        self.group(id).map_err(|e| to_exception(&self.server(), 0, e))
    }

    fn server(&self) -> Bytes {
        self.settings.id.to_wire()
    }

    /// Queues a peer's request at once.
    fn peer_request<T: Send + 'static>(
        &self,
        header: Option<&RaftRpcRequestProto>,
        request: impl FnOnce(Sink<T>) -> PeerRequest,
    ) -> PeerReply<T> {
        let group = match self.group_of(header) {
            Ok(group) => group,
            Err(exception) => return future::ready(Err(exception)).boxed(),
        };
        let (sink, reply) = oneshot::channel();
        group.send(Event::Request(Box::new(request(sink))));
        async move {
            reply.await.unwrap_or_else(|_| {
                let message = format!("group {} is closed or being closed", group.id);
                Err(Exception::ServerNotReady(message))
            })
        }
        .boxed()
    }

    fn admin<T: Send + 'static>(&self, group: Uuid, work: impl AsyncAdmin<T>) -> AdminReply<T> {
        let server = self.server();
        let group = self.group(group);
        async move {
            let done = match group {
                Ok(group) => work.run(group).await,
                Err(error) => Err(error),
            };
            done.map_err(|e| to_exception(&server, 0, e))
        }
        .boxed()
    }
}

/// Work on a group that ends with an answer.
trait AsyncAdmin<T>: Send + 'static {
    fn run(self, group: Arc<Group>) -> BoxFuture<'static, Result<T, RaftError>>;
}

impl<T, F> AsyncAdmin<T> for F
where
    F: FnOnce(Arc<Group>) -> BoxFuture<'static, Result<T, RaftError>> + Send + 'static,
{
    fn run(self, group: Arc<Group>) -> BoxFuture<'static, Result<T, RaftError>> {
        self(group)
    }
}

impl ClientHandler for Engine {
    fn server_id(&self) -> Bytes {
        self.server()
    }

    fn submit(&self, request: RaftClientRequestProto) -> Result<Submitted, Exception> {
        use raft_client_request_proto::Type;
        let header = request.rpc_request.unwrap_or_default();
        let group = self.group_of(Some(&header))?;
        let server = self.server();
        let call = header.call_id;
        let message = request.message.map(|m| m.content).unwrap_or_default();
        let client = <[u8; 16]>::try_from(header.requestor_id.as_ref())
            .map_err(|_| Exception::illegal_argument("a client id has 16 bytes"))?;
        if !header.replied_call_ids.is_empty() {
            group.retry.lock().forget(u128::from_be_bytes(client), &header.replied_call_ids);
        }
        match request.r#type {
            Some(Type::Write(_)) => {
                // Queued here, not in the future: the stream's order is the log's order.
                let reply = group
                    .write(ClientRequest { client, call, message, context: None })
                    .map_err(|e| to_exception(&server, call, e))?;
                Ok(async move {
                    let reply = reply.await.unwrap_or(Err(RaftError::AlreadyClosed(group.id)));
                    reply.map(answer).map_err(|e| to_exception(&server, call, e))
                }
                .boxed())
            }
            Some(Type::Watch(watch)) => {
                let level = watch.replication();
                let (waiter, reply) = oneshot::channel();
                group.send(Event::Watch(watch.index, level, waiter));
                Ok(async move {
                    let reply = reply.await.unwrap_or(Err(RaftError::AlreadyClosed(group.id)));
                    reply
                        .map(|r| Answer { index: r.index, message: None, commits: r.commits })
                        .map_err(|e| to_exception(&server, call, e))
                }
                .boxed())
            }
            Some(Type::Read(_) | Type::StaleRead(_)) => {
                group.check_leader().map_err(|e| to_exception(&server, call, e))?;
                Ok(async move {
                    let message = group.machine.query(message).await.map_err(Exception::from)?;
                    Ok(Answer { index: 0, message: Some(message), commits: group.commits() })
                }
                .boxed())
            }
            _ => Err(Exception::Other {
                class: "java.lang.UnsupportedOperationException".to_owned(),
                message: "this server takes writes, reads and watches".to_owned(),
            }),
        }
    }
}

impl PeerHandler for Engine {
    fn vote(&self, request: RequestVoteRequestProto) -> PeerReply<RequestVoteReplyProto> {
        let header = request.server_request.clone();
        self.peer_request(header.as_ref(), |sink| PeerRequest::Vote(request, sink))
    }

    fn append(&self, request: AppendEntriesRequestProto) -> PeerReply<AppendEntriesReplyProto> {
        let header = request.server_request.clone();
        self.peer_request(header.as_ref(), |sink| PeerRequest::Append(request, sink))
    }

    fn append_stream_ended(&self, group: Uuid, peer: &Bytes) {
        if let Ok(group) = self.group(group) {
            group.send(Event::LeaderStreamEnded(PeerId::from_wire(peer)));
        }
    }

    fn snapshot(
        &self,
        request: InstallSnapshotRequestProto,
    ) -> PeerReply<InstallSnapshotReplyProto> {
        let header = request.server_request.clone();
        self.peer_request(header.as_ref(), |sink| PeerRequest::Snapshot(request, sink))
    }

    fn start_election(
        &self,
        request: StartLeaderElectionRequestProto,
    ) -> PeerReply<StartLeaderElectionReplyProto> {
        let header = request.server_request.clone();
        self.peer_request(header.as_ref(), |sink| PeerRequest::StartElection(request, sink))
    }

    fn read_index(&self, request: ReadIndexRequestProto) -> PeerReply<ReadIndexReplyProto> {
        let header = request.server_request.clone();
        self.peer_request(header.as_ref(), |sink| PeerRequest::ReadIndex(request, sink))
    }
}

impl AdminHandler for Engine {
    fn server_id(&self) -> Bytes {
        self.server()
    }

    fn add_group(&self, group: Uuid, peers: Vec<RaftPeerProto>) -> AdminReply<()> {
        let (engine, server) = (self.shared(), self.server());
        async move {
            let added = match engine {
                Some(engine) => engine.add_group(group, peers).await,
                None => Err(RaftError::AlreadyClosed(group)),
            };
            added.map_err(|e| to_exception(&server, 0, e))
        }
        .boxed()
    }

    fn remove_group(&self, group: Uuid, delete: bool) -> AdminReply<()> {
        let (engine, server) = (self.shared(), self.server());
        async move {
            let removed = match engine {
                Some(engine) => engine.remove_group(group, delete).await,
                None => Err(RaftError::AlreadyClosed(group)),
            };
            removed.map_err(|e| to_exception(&server, 0, e))
        }
        .boxed()
    }

    fn groups(&self) -> Vec<Uuid> {
        self.group_ids()
    }

    fn group_info(&self, group: Uuid) -> AdminReply<GroupInfoReplyProto> {
        self.admin(group, |group: Arc<Group>| async move { group.ask(Event::Info).await }.boxed())
    }

    fn set_configuration(
        &self,
        group: Uuid,
        request: SetConfigurationRequestProto,
    ) -> AdminReply<Answer> {
        self.admin(group, |group: Arc<Group>| {
            async move {
                group.check_leader()?;
                let (peers, listeners) = match request.mode() {
                    Mode::SetUnconditionally => (request.peers, request.listeners),
                    Mode::Add => add_to(group.ask(Event::Info).await?, request),
                    Mode::CompareAndSet => {
                        let now = group.ask(Event::Info).await?.conf.unwrap_or_default();
                        let same = same_ids(&now.peers, &request.current_peers)
                            && same_ids(&now.listeners, &request.current_listeners);
                        if !same {
                            let message = "the current configuration is another".to_owned();
                            return Err(RaftError::Log { group: group.id, message });
                        }
                        (request.peers, request.listeners)
                    }
                };
                group.set_configuration(peers, listeners).await?;
                Ok(Answer { commits: group.commits(), ..Default::default() })
            }
            .boxed()
        })
    }

    fn transfer_leadership(
        &self,
        group: Uuid,
        to: Option<Bytes>,
        timeout_ms: u64,
    ) -> AdminReply<Answer> {
        let timeout = if timeout_ms == 0 { TRANSFER_TIMEOUT_MS } else { timeout_ms };
        self.admin(group, move |group: Arc<Group>| {
            async move {
                group.transfer(to.map(|id| PeerId::from_wire(&id)), timeout).await?;
                Ok(Answer { commits: group.commits(), ..Default::default() })
            }
            .boxed()
        })
    }

    fn snapshot(&self, group: Uuid, gap: u64) -> AdminReply<Answer> {
        self.admin(group, move |group: Arc<Group>| {
            async move {
                let at = group.ask(|waiter| Event::Snapshot(gap, waiter)).await??;
                let index = at.map_or(0, |at| at.index);
                Ok(Answer { index, message: None, commits: group.commits() })
            }
            .boxed()
        })
    }

    fn pause_elections(&self, group: Uuid, paused: bool) -> AdminReply<Answer> {
        self.admin(group, move |group: Arc<Group>| {
            group.send(Event::PauseElections(paused));
            async move { Ok(Answer { commits: group.commits(), ..Default::default() }) }.boxed()
        })
    }
}

fn same_ids(a: &[RaftPeerProto], b: &[RaftPeerProto]) -> bool {
    a.len() == b.len() && a.iter().all(|p| b.iter().any(|q| q.id == p.id))
}

/// The configuration with more peers; those that are in it already are replaced.
fn add_to(
    info: GroupInfoReplyProto,
    request: SetConfigurationRequestProto,
) -> (Vec<RaftPeerProto>, Vec<RaftPeerProto>) {
    let now = info.conf.unwrap_or_default();
    let merge = |mut old: Vec<RaftPeerProto>, new: Vec<RaftPeerProto>| {
        old.retain(|p| !new.iter().any(|n| n.id == p.id));
        old.extend(new);
        old
    };
    (merge(now.peers, request.peers), merge(now.listeners, request.listeners))
}
