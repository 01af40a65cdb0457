//! Entries of SCM's Raft log: calls of Java methods, by name (`SCMRatisRequestProto`).
//!
//! Method names, argument classes and their bytes are those of the genuine handlers, so that a ring
//! can be shared with Java SCMs and a Java log be replayed.

mod codec;
mod display;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use hdds_proto::hdds::{
    ContainerId as ContainerIdProto, ContainerInfoProto, DeletedBlocksTransaction,
    DeletedBlocksTransactionSummary, Pipeline, PipelineId as PipelineIdProto,
};
use hdds_proto::scm_log::{
    Method, MethodArgument, RequestType, ScmRatisRequestProto, ScmRatisResponseProto,
};
use hdds_types::{ContainerEvent, ContainerId, ContainerState, PipelineId, PipelineState};
use prost::Message;
use thiserror::Error;

use crate::convert;
use codec::{Arguments, class};

/// One change of the replicated state.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    /// A new container.
    AddContainer(Box<ContainerInfoProto>),
    /// Forget a container.
    RemoveContainer(ContainerId),
    /// Replace a container's record.
    UpdateContainerInfo(Box<ContainerInfoProto>),
    /// Move a container on in its life.
    UpdateContainerState {
        /// The container.
        id: ContainerId,
        /// What happened.
        event: ContainerEvent,
        /// Highest block commit sequence id known to the leader.
        sequence: i64,
    },
    /// Bring a container back that was being deleted.
    RestoreContainer {
        /// The container.
        id: ContainerId,
        /// CLOSED or QUASI_CLOSED.
        to: ContainerState,
    },
    /// A new pipeline.
    AddPipeline(Box<Pipeline>),
    /// Forget a closed pipeline.
    RemovePipeline(PipelineId),
    /// Move a pipeline on in its life.
    UpdatePipelineState {
        /// The pipeline.
        id: PipelineId,
        /// Its new state.
        state: PipelineState,
    },
    /// Blocks to delete.
    AddTransactions {
        /// One per container.
        transactions: Vec<DeletedBlocksTransaction>,
        /// Totals afterwards.
        summary: Option<DeletedBlocksTransactionSummary>,
    },
    /// Blocks that are deleted.
    RemoveTransactions {
        /// Transaction ids.
        ids: Vec<i64>,
        /// Totals afterwards.
        summary: Option<DeletedBlocksTransactionSummary>,
    },
    /// Takes the ids `expected + 1 ..= last`, if `expected` is still the last one taken.
    AllocateBatch {
        /// `localId`, `containerId`, `delTxnId`, `CertificateId`.
        name: String,
        /// Last id taken before.
        expected: i64,
        /// Last id of the batch.
        last: i64,
    },
    /// Settings of a service.
    SaveConfiguration {
        /// Service.
        service: String,
        /// Its own format.
        value: Bytes,
    },
    /// Removes settings of a service.
    DeleteConfiguration {
        /// Service.
        service: String,
    },
    /// Finalization begins.
    AddFinalizingMark,
    /// Finalization is over.
    RemoveFinalizingMark,
    /// A layout feature is final.
    FinalizeLayoutFeature(i32),
}

/// An entry that is not understood. SCM must stop: going on would make it differ from the others.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum LogError {
    /// Not a message.
    #[error("entry does not decode: {0}")]
    Malformed(String),
    /// A call that this software does not know.
    #[error("unknown call {kind}.{method} with {arguments} arguments; newer software wrote it")]
    Unknown {
        /// Request type.
        kind: i32,
        /// Method.
        method: String,
        /// How many arguments.
        arguments: usize,
    },
    /// An argument is not what the method takes.
    #[error("argument {at} of {method}: {message}")]
    Argument {
        /// Method.
        method: String,
        /// Position, from 0.
        at: usize,
        /// What is wrong.
        message: String,
    },
}

/// What an applied call answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A method without a result.
    Void,
    /// A yes or no.
    Boolean(bool),
}

impl Answer {
    /// The message of the Raft reply.
    pub fn encode(&self) -> Bytes {
        match self {
            Self::Void => Bytes::new(),
            Self::Boolean(value) => ScmRatisResponseProto {
                r#type: Some(class::BOOLEAN.to_owned()),
                value: Some(Bytes::from(value.to_string())),
            }
            .encode_to_vec()
            .into(),
        }
    }

    /// From the message of a Raft reply; anything but a boolean counts as no result.
    pub fn decode(bytes: &[u8]) -> Self {
        match ScmRatisResponseProto::decode(bytes).ok().and_then(|reply| reply.value) {
            Some(value) if value.as_ref() == b"true" => Self::Boolean(true),
            Some(value) if value.as_ref() == b"false" => Self::Boolean(false),
            _ => Self::Void,
        }
    }
}

impl Call {
    /// The log entry.
    pub fn encode(&self) -> Bytes {
        let (kind, args) = self.parts();
        let request = ScmRatisRequestProto {
            r#type: Some(kind.into()),
            method: Some(Method { name: Some(self.name().to_owned()), args }),
        };
        request.encode_to_vec().into()
    }

    /// The Java method, for logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::AddContainer(_) => "addContainer",
            Self::RemoveContainer(_) => "removeContainer",
            Self::UpdateContainerInfo(_) => "updateContainerInfo",
            Self::UpdateContainerState { .. } => "updateContainerStateWithSequenceId",
            Self::RestoreContainer { .. } => "transitionDeletingOrDeletedToTargetState",
            Self::AddPipeline(_) => "addPipeline",
            Self::RemovePipeline(_) => "removePipeline",
            Self::UpdatePipelineState { .. } => "updatePipelineState",
            Self::AddTransactions { .. } => "addTransactionsToDB",
            Self::RemoveTransactions { .. } => "removeTransactionsFromDB",
            Self::AllocateBatch { .. } => "allocateBatch",
            Self::SaveConfiguration { .. } => "saveConfiguration",
            Self::DeleteConfiguration { .. } => "deleteConfiguration",
            Self::AddFinalizingMark => "addFinalizingMark",
            Self::RemoveFinalizingMark => "removeFinalizingMark",
            Self::FinalizeLayoutFeature(_) => "finalizeLayoutFeature",
        }
    }

    fn parts(&self) -> (RequestType, Vec<MethodArgument>) {
        use RequestType as R;
        match self {
            Self::AddContainer(info) => {
                (R::Container, vec![codec::message(class::CONTAINER_INFO, &**info)])
            }
            Self::RemoveContainer(id) => (R::Container, vec![container_argument(*id)]),
            Self::UpdateContainerInfo(info) => {
                let info = codec::message(class::CONTAINER_INFO, &**info);
                (R::Container, vec![info])
            }
            Self::UpdateContainerState { id, event, sequence } => {
                let event = convert::container_event_proto(*event);
                let args = vec![
                    container_argument(*id),
                    codec::enumeration(class::LIFE_CYCLE_EVENT, event.into()),
                    codec::long(*sequence),
                ];
                (R::Container, args)
            }
            Self::RestoreContainer { id, to } => {
                let state = convert::container_state_proto(*to);
                let state = codec::enumeration(class::LIFE_CYCLE_STATE, state.into());
                let args = vec![container_argument(*id), state];
                (R::Container, args)
            }
            Self::AddPipeline(pipeline) => {
                (R::Pipeline, vec![codec::message(class::PIPELINE, &**pipeline)])
            }
            Self::RemovePipeline(id) => (R::Pipeline, vec![pipeline_argument(*id)]),
            Self::UpdatePipelineState { id, state } => {
                let state = convert::pipeline_state_proto(*state);
                let state = codec::enumeration(class::PIPELINE_STATE, state.into());
                (R::Pipeline, vec![pipeline_argument(*id), state])
            }
            Self::AddTransactions { transactions, summary } => {
                let mut args = vec![codec::messages(class::TRANSACTION, transactions)];
                args.extend(summary.as_ref().map(|s| codec::message(class::SUMMARY, s)));
                (R::Block, args)
            }
            Self::RemoveTransactions { ids, summary } => {
                let mut args = vec![codec::longs(ids)];
                args.extend(summary.as_ref().map(|s| codec::message(class::SUMMARY, s)));
                (R::Block, args)
            }
            Self::AllocateBatch { name, expected, last } => {
                let args = vec![codec::string(name), codec::long(*expected), codec::long(*last)];
                (R::SequenceId, args)
            }
            Self::SaveConfiguration { service, value } => {
                let args = vec![codec::string(service), codec::byte_string(value)];
                (R::StatefulServiceConfig, args)
            }
            Self::DeleteConfiguration { service } => {
                (R::StatefulServiceConfig, vec![codec::string(service)])
            }
            Self::AddFinalizingMark => (R::Finalize, Vec::new()),
            Self::RemoveFinalizingMark => (R::Finalize, Vec::new()),
            Self::FinalizeLayoutFeature(version) => (R::Finalize, vec![codec::integer(*version)]),
        }
    }

    /// From a log entry.
    ///
    /// # Errors
    /// [`LogError`]; the entry cannot be applied.
    pub fn decode(bytes: &[u8]) -> Result<Self, LogError> {
        let request =
            ScmRatisRequestProto::decode(bytes).map_err(|e| LogError::Malformed(e.to_string()))?;
        let kind = request.r#type.unwrap_or_default();
        let method = request.method.unwrap_or_default();
        let name = method.name.unwrap_or_default();
        let args = Arguments { method: &name, args: &method.args };
        let count = method.args.len();
        let kind_known = RequestType::try_from(kind).unwrap_or(RequestType::Unspecified);
        let call = match kind_known {
            RequestType::Container => container_call(&name, &args)?,
            RequestType::Pipeline => pipeline_call(&name, &args)?,
            RequestType::Block => block_call(&name, &args)?,
            RequestType::SequenceId if (name.as_str(), count) == ("allocateBatch", 3) => {
                let (expected, last) = (args.long(1)?, args.long(2)?);
                Some(Self::AllocateBatch { name: args.string(0)?, expected, last })
            }
            RequestType::StatefulServiceConfig => match (name.as_str(), count) {
                ("saveConfiguration", 2) => {
                    let (service, value) = (args.string(0)?, args.bytes(1)?);
                    Some(Self::SaveConfiguration { service, value })
                }
                ("deleteConfiguration", 1) => {
                    Some(Self::DeleteConfiguration { service: args.string(0)? })
                }
                _ => None,
            },
            RequestType::Finalize => match (name.as_str(), count) {
                ("addFinalizingMark", 0) => Some(Self::AddFinalizingMark),
                ("removeFinalizingMark", 0) => Some(Self::RemoveFinalizingMark),
                ("finalizeLayoutFeature", 1) => Some(Self::FinalizeLayoutFeature(args.integer(0)?)),
                _ => None,
            },
            _ => None,
        };
        call.ok_or(LogError::Unknown { kind, method: name.clone(), arguments: count })
    }
}

fn container_call(name: &str, args: &Arguments<'_>) -> Result<Option<Call>, LogError> {
    Ok(Some(match (name, args.args.len()) {
        ("addContainer", 1) => Call::AddContainer(Box::new(args.message(0)?)),
        ("removeContainer", 1) => Call::RemoveContainer(container(args, 0)?),
        ("updateContainerInfo", 1) => Call::UpdateContainerInfo(Box::new(args.message(0)?)),
        ("updateContainerStateWithSequenceId", 3) => Call::UpdateContainerState {
            id: container(args, 0)?,
            event: convert::container_event(args.integer(1)?)
                .ok_or_else(|| args.wrong(1, "no such event"))?,
            sequence: args.long(2)?,
        },
        ("transitionDeletingOrDeletedToTargetState", 2) => Call::RestoreContainer {
            id: container(args, 0)?,
            to: convert::container_state(args.integer(1)?)
                .ok_or_else(|| args.wrong(1, "no such state"))?,
        },
        _ => return Ok(None),
    }))
}

fn pipeline_call(name: &str, args: &Arguments<'_>) -> Result<Option<Call>, LogError> {
    Ok(Some(match (name, args.args.len()) {
        ("addPipeline", 1) => Call::AddPipeline(Box::new(args.message(0)?)),
        ("removePipeline", 1) => Call::RemovePipeline(pipeline(args, 0)?),
        ("updatePipelineState", 2) => Call::UpdatePipelineState {
            id: pipeline(args, 0)?,
            state: convert::pipeline_state(args.integer(1)?)
                .ok_or_else(|| args.wrong(1, "no such state"))?,
        },
        _ => return Ok(None),
    }))
}

fn block_call(name: &str, args: &Arguments<'_>) -> Result<Option<Call>, LogError> {
    let summary = |args: &Arguments<'_>| match args.args.len() {
        2 => args.message(1).map(Some),
        _ => Ok(None),
    };
    Ok(Some(match (name, args.args.len()) {
        ("addTransactionsToDB", 1 | 2) => {
            Call::AddTransactions { transactions: args.messages(0)?, summary: summary(args)? }
        }
        ("removeTransactionsFromDB", 1 | 2) => {
            Call::RemoveTransactions { ids: args.longs(0)?, summary: summary(args)? }
        }
        _ => return Ok(None),
    }))
}

fn container_argument(id: ContainerId) -> MethodArgument {
    codec::message(class::CONTAINER_ID, &ContainerIdProto { id: id.0 })
}

fn pipeline_argument(id: PipelineId) -> MethodArgument {
    codec::message(class::PIPELINE_ID, &convert::pipeline_id_proto(id))
}

fn container(args: &Arguments<'_>, at: usize) -> Result<ContainerId, LogError> {
    args.message::<ContainerIdProto>(at).map(|id| ContainerId(id.id))
}

fn pipeline(args: &Arguments<'_>, at: usize) -> Result<PipelineId, LogError> {
    let id: PipelineIdProto = args.message(at)?;
    convert::pipeline_id(&id).ok_or_else(|| args.wrong(at, "no pipeline id"))
}
