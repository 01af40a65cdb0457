//! Exceptions of Ratis and how they travel: inside a reply, or as a gRPC error with the class in the
//! trailer `exception-type`.

use bytes::Bytes;
use ratis_proto::common::raft_client_reply_proto::ExceptionDetails;
use ratis_proto::common::{
    AlreadyClosedExceptionProto, CommitInfoProto, LeaderNotReadyExceptionProto,
    NotLeaderExceptionProto, NotReplicatedExceptionProto, RaftClientReplyProto,
    RaftGroupMemberIdProto, RaftPeerProto, ReplicationLevel, StateMachineExceptionProto,
    ThrowableProto,
};
use thiserror::Error;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

/// `new StackTraceElement[0]`, serialized by Java. Empty bytes instead make the Java client fail
/// with an EOFException that hides the real error.
const NO_STACK_TRACE: &[u8] = b"\xac\xed\x00\x05ur\x00\x1e[Ljava.lang.StackTraceElement;\
\x02F*<<\xfd\"9\x02\x00\x00xp\x00\x00\x00\x00";

/// Trailer with the Java class of a gRPC error.
const EXCEPTION_TYPE: &str = "exception-type";
/// Trailer with the call that failed.
const CALL_ID: &str = "call-id";

/// Package of the classes.
const PACKAGE: &str = "org.apache.ratis.protocol.exceptions.";

/// What a Ratis server answers instead of a result.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum Exception {
    /// Go to the leader.
    #[error("not the leader; {}", leader.as_ref().map_or("no leader is known", |l| l.address.as_str()))]
    NotLeader {
        /// Who leads, if known.
        leader: Option<Box<RaftPeerProto>>,
        /// Everyone in the configuration.
        peers: Vec<RaftPeerProto>,
    },
    /// Leader, but not ready to serve yet.
    #[error("the leader is not ready yet")]
    LeaderNotReady {
        /// Which member.
        server: RaftGroupMemberIdProto,
    },
    /// Leadership is being handed over.
    #[error("{0}")]
    SteppingDown(String),
    /// The hand-over of leadership failed.
    #[error("{0}")]
    TransferLeadership(String),
    /// The read failed.
    #[error("{0}")]
    Read(String),
    /// The leader's commit index could not be learnt.
    #[error("{0}")]
    ReadIndex(String),
    /// The state machine refused.
    #[error("{class}: {message}")]
    StateMachine {
        /// Java class of the cause.
        class: String,
        /// Why.
        message: String,
    },
    /// A watch timed out.
    #[error("index {index} did not reach {level:?} in time")]
    NotReplicated {
        /// The request.
        call: u64,
        /// The level asked.
        level: ReplicationLevel,
        /// The index asked.
        index: u64,
        /// How far everyone got.
        commits: Vec<CommitInfoProto>,
    },
    /// The server or group is going away.
    #[error("{0}")]
    AlreadyClosed(String),
    /// The group is not here.
    #[error("{0}")]
    GroupMismatch(String),
    /// The group is here already.
    #[error("{0}")]
    AlreadyExists(String),
    /// The group is being opened.
    #[error("{0}")]
    ServerNotReady(String),
    /// Too much is pending.
    #[error("{0}")]
    ResourceUnavailable(String),
    /// Anything else.
    #[error("{class}: {message}")]
    Other {
        /// Java class.
        class: String,
        /// What went wrong.
        message: String,
    },
}

impl Exception {
    /// The Java class.
    pub fn class(&self) -> String {
        let name = match self {
            Self::NotLeader { .. } => "NotLeaderException",
            Self::LeaderNotReady { .. } => "LeaderNotReadyException",
            Self::SteppingDown(_) => "LeaderSteppingDownException",
            Self::TransferLeadership(_) => "TransferLeadershipException",
            Self::Read(_) => "ReadException",
            Self::ReadIndex(_) => "ReadIndexException",
            Self::StateMachine { .. } => "StateMachineException",
            Self::NotReplicated { .. } => "NotReplicatedException",
            Self::AlreadyClosed(_) => "AlreadyClosedException",
            Self::GroupMismatch(_) => "GroupMismatchException",
            Self::AlreadyExists(_) => "AlreadyExistsException",
            Self::ServerNotReady(_) => "ServerNotReadyException",
            Self::ResourceUnavailable(_) => "ResourceUnavailableException",
            Self::Other { class, .. } => return class.clone(),
        };
        format!("{PACKAGE}{name}")
    }

    /// An `IOException`.
    pub fn io(message: impl Into<String>) -> Self {
        Self::Other { class: "java.io.IOException".to_owned(), message: message.into() }
    }

    /// A request that makes no sense.
    pub fn illegal_argument(message: impl Into<String>) -> Self {
        let class = "java.lang.IllegalArgumentException".to_owned();
        Self::Other { class, message: message.into() }
    }

    /// Puts the exception into an unsuccessful reply.
    ///
    /// # Errors
    /// The exception travels as a gRPC error.
    pub fn into_reply(self, reply: &mut RaftClientReplyProto) -> Result<(), Status> {
        let class = self.class();
        let throwable = |message: String| ThrowableProto {
            class_name: class.clone(),
            error_message: message,
            ..Default::default()
        };
        reply.exception_details = Some(match self {
            Self::NotLeader { leader, peers } => {
                ExceptionDetails::NotLeaderException(NotLeaderExceptionProto {
                    suggested_leader: leader.map(|l| *l),
                    peers_in_conf: peers,
                })
            }
            Self::LeaderNotReady { server } => {
                ExceptionDetails::LeaderNotReadyException(LeaderNotReadyExceptionProto {
                    server_id: Some(server),
                })
            }
            Self::SteppingDown(m) => ExceptionDetails::LeaderSteppingDownException(throwable(m)),
            Self::TransferLeadership(m) => {
                ExceptionDetails::TransferLeadershipException(throwable(m))
            }
            Self::Read(m) => ExceptionDetails::ReadException(throwable(m)),
            Self::ReadIndex(m) => ExceptionDetails::ReadIndexException(throwable(m)),
            Self::StateMachine { class, message } => {
                ExceptionDetails::StateMachineException(StateMachineExceptionProto {
                    exception_class_name: class,
                    error_msg: message,
                    stacktrace: Bytes::from_static(NO_STACK_TRACE),
                })
            }
            Self::NotReplicated { call, level, index, commits } => {
                reply.commit_infos = commits;
                ExceptionDetails::NotReplicatedException(NotReplicatedExceptionProto {
                    call_id: call,
                    replication: level.into(),
                    log_index: index,
                })
            }
            Self::AlreadyClosed(message) => {
                ExceptionDetails::AlreadyClosedException(AlreadyClosedExceptionProto {
                    exception_class_name: class,
                    error_msg: message,
                    stacktrace: Bytes::from_static(NO_STACK_TRACE),
                })
            }
            other => {
                let call = reply.rpc_reply.as_ref().map(|header| header.call_id);
                return Err(other.to_status(call));
            }
        });
        Ok(())
    }

    /// As a gRPC error (`GrpcUtil.wrapException`).
    pub fn to_status(&self, call: Option<u64>) -> Status {
        let mut status = Status::internal(self.to_string());
        let trailers = status.metadata_mut();
        if let Ok(class) = MetadataValue::try_from(self.class()) {
            trailers.insert(EXCEPTION_TYPE, class);
        }
        if let Some(call) = call {
            trailers.insert(CALL_ID, MetadataValue::from(call));
        }
        status
    }

    /// What an unsuccessful reply says.
    pub fn from_reply(reply: &RaftClientReplyProto) -> Option<Self> {
        let text = |t: &ThrowableProto| t.error_message.clone();
        Some(match reply.exception_details.as_ref()? {
            ExceptionDetails::NotLeaderException(e) => Self::NotLeader {
                leader: e.suggested_leader.clone().map(Box::new),
                peers: e.peers_in_conf.clone(),
            },
            ExceptionDetails::NotReplicatedException(e) => Self::NotReplicated {
                call: e.call_id,
                level: e.replication(),
                index: e.log_index,
                commits: reply.commit_infos.clone(),
            },
            ExceptionDetails::StateMachineException(e) => Self::StateMachine {
                class: e.exception_class_name.clone(),
                message: e.error_msg.clone(),
            },
            ExceptionDetails::LeaderNotReadyException(e) => {
                Self::LeaderNotReady { server: e.server_id.clone().unwrap_or_default() }
            }
            ExceptionDetails::AlreadyClosedException(e) => Self::AlreadyClosed(e.error_msg.clone()),
            ExceptionDetails::LeaderSteppingDownException(t) => Self::SteppingDown(text(t)),
            ExceptionDetails::TransferLeadershipException(t) => Self::TransferLeadership(text(t)),
            ExceptionDetails::ReadException(t) => Self::Read(text(t)),
            ExceptionDetails::ReadIndexException(t) => Self::ReadIndex(text(t)),
            ExceptionDetails::DataStreamException(t) => {
                Self::Other { class: t.class_name.clone(), message: text(t) }
            }
        })
    }

    /// What a gRPC error says; `None` if it comes from the transport, not from a Ratis server.
    pub fn from_status(status: &Status) -> Option<Self> {
        let class = status.metadata().get(EXCEPTION_TYPE)?.to_str().ok()?;
        let message = status.message().to_owned();
        Some(match class.strip_prefix(PACKAGE) {
            Some("GroupMismatchException") => Self::GroupMismatch(message),
            Some("AlreadyExistsException") => Self::AlreadyExists(message),
            Some("ServerNotReadyException") => Self::ServerNotReady(message),
            Some("ResourceUnavailableException") => Self::ResourceUnavailable(message),
            Some("AlreadyClosedException") => Self::AlreadyClosed(message),
            Some("LeaderSteppingDownException") => Self::SteppingDown(message),
            Some("NotLeaderException") => Self::NotLeader { leader: None, peers: Vec::new() },
            _ => Self::Other { class: class.to_owned(), message },
        })
    }
}

/// The call that a gRPC error is about, if it says so.
pub fn call_of(status: &Status) -> Option<u64> {
    status.metadata().get(CALL_ID)?.to_str().ok()?.parse().ok()
}

/// True if nothing listens there or the connection broke: the server itself said nothing.
pub fn is_transport(status: &Status) -> bool {
    status.metadata().get(EXCEPTION_TYPE).is_none()
        && matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_stack_trace_is_the_constant_that_java_reads() {
        assert_eq!(
            hex::encode(NO_STACK_TRACE),
            "aced00057572001e5b4c6a6176612e6c616e672e537461636b5472616365456c656d656e743b\
             02462a3c3cfd2239020000787000000000"
        );
    }

    #[test]
    fn exceptions_survive_the_reply_and_the_trailers() {
        let in_reply = [
            Exception::StateMachine { class: "a.B".into(), message: "no".into() },
            Exception::NotLeader { leader: None, peers: vec![RaftPeerProto::default()] },
            Exception::SteppingDown("soon".into()),
            Exception::AlreadyClosed("bye".into()),
        ];
        for exception in in_reply {
            let mut reply = RaftClientReplyProto::default();
            exception.clone().into_reply(&mut reply).unwrap();
            assert_eq!(Exception::from_reply(&reply), Some(exception));
        }
        let mut reply = RaftClientReplyProto::default();
        let mismatch = Exception::GroupMismatch("group x is not here".into());
        let status = mismatch.clone().into_reply(&mut reply).unwrap_err();
        assert_eq!(status.code(), Code::Internal);
        assert_eq!(
            status.metadata().get("exception-type").unwrap(),
            "org.apache.ratis.protocol.exceptions.GroupMismatchException"
        );
        assert_eq!(Exception::from_status(&status), Some(mismatch));
        assert_eq!(call_of(&Exception::io("x").to_status(Some(7))), Some(7));
    }
}
