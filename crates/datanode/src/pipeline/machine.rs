//! One pipeline's state machine.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bytes::Bytes;
use container_store::{Code, CommittedBlock, Container, PutBlock, ReplicaState, StoreError};
use futures_util::future::{BoxFuture, FutureExt, ready};
use hadoop_rpc::trace;
use hdds_proto::datanode::{
    Container2BcsidMapProto, ContainerCommandRequestProto as Request,
    ContainerCommandResponseProto as Response, Type,
};
use hdds_proto::hdds::close_pipeline_info::Reason;
use hdds_types::PipelineId;
use multiraft::{
    Committed, Context, GroupId, Leadership, PeerId, StateMachine, StateMachineError, TermIndex,
    Transaction,
};
use parking_lot::Mutex;
use prost::Message;
use ratis_proto::common::StateMachineLogEntryProto;

use super::{io, message, not_open, refused, snapshot};
use crate::dispatch::write::{self, Origin};
use crate::dispatch::{self, Dispatcher, reply};
use crate::heartbeat::Outbox;

/// The containers of a pipeline, as Raft sees them.
pub struct ContainerStateMachine {
    group: GroupId,
    directory: PathBuf,
    dispatcher: Arc<Dispatcher>,
    outbox: Arc<Outbox>,
    durable: Mutex<Option<TermIndex>>,
    applied: Mutex<Option<TermIndex>>,
    sound: AtomicBool,
}

/// Replies of a batch: those that wait for the database write know where they belong.
struct Replies {
    done: Vec<Option<Result<Bytes, StateMachineError>>>,
    puts: Vec<Waiting>,
}

/// A PutBlock, alone or inside a WriteChunk, that the next database write commits.
struct Waiting {
    at: usize,
    kind: Type,
    request: Box<Request>,
    container: Arc<Container>,
    put: PutBlock,
}

/// How an entry is applied.
enum Step {
    /// With the other puts of its batch.
    Put(Type, Arc<Container>, PutBlock),
    /// A chunk that is on disk already.
    Written,
    /// By itself, after the puts before it.
    Alone,
}

impl ContainerStateMachine {
    /// `durable`: where the newest snapshot stands.
    pub fn new(
        group: GroupId,
        directory: PathBuf,
        durable: Option<TermIndex>,
        dispatcher: Arc<Dispatcher>,
        outbox: Arc<Outbox>,
    ) -> Self {
        Self {
            group,
            directory,
            dispatcher,
            outbox,
            durable: Mutex::new(durable),
            applied: Mutex::new(durable),
            sound: AtomicBool::new(true),
        }
    }

    /// On the leader: would this command be refused when it is applied?
    fn check(&self, kind: Type, request: &Request, bulk: &Bytes) -> Result<(), StateMachineError> {
        if kind == Type::WriteChunk && bulk.is_empty() {
            return Err(io("a WriteChunk carries no data"));
        }
        let id = dispatch::container_id(request).map_err(|error| refused(&error))?;
        let store = &self.dispatcher.store;
        let Some(container) = store.get(id) else {
            return self.dispatcher.admit(kind, request).map(drop).map_err(|error| refused(&error));
        };
        let state = container.state();
        let open = matches!(state, ReplicaState::Open | ReplicaState::Recovering);
        if !open && !matches!(kind, Type::CreateContainer | Type::CloseContainer) {
            return Err(not_open(format!("Container {id} in {state} state")));
        }
        let local_id = match kind {
            Type::WriteChunk => request.write_chunk.as_ref().map(|write| write.block_id.local_id),
            Type::PutBlock => {
                request.put_block.as_ref().map(|put| put.block_data.block_id.local_id)
            }
            _ => None,
        };
        if let Some(local_id) = local_id {
            store.check_not_finalized(&container, local_id).map_err(|error| refused(&error))?;
            self.dispatcher.admit(kind, request).map_err(|error| refused(&error))?;
        }
        Ok(())
    }

    /// The command of an entry: from the leader's own memory where it has it.
    fn request(&self, entry: Bytes, context: Option<Context>) -> Result<Box<Request>, StoreError> {
        if let Some(Ok(request)) = context.map(|context| context.downcast::<Request>()) {
            return Ok(request);
        }
        Request::decode(entry).map(Box::new).map_err(|error| {
            StoreError::new(Code::ProtocDecodingError, format!("log entry: {error}"))
        })
    }

    /// Puts that share a database write wait; what else touches containers writes them first.
    fn apply_one(&self, at: usize, index: u64, mut request: Box<Request>, replies: &mut Replies) {
        match self.step(index, &mut request) {
            Ok(Step::Put(kind, container, put)) => {
                replies.puts.push(Waiting { at, kind, request, container, put });
            }
            Ok(Step::Written) => {
                let mut response = reply::success(&request);
                response.write_chunk = Some(Box::new(write::wrote(None)));
                replies.set(at, self.judge(&request, response));
            }
            Ok(Step::Alone) => {
                self.commit(replies);
                let response = self.dispatcher.apply(&request, index);
                replies.set(at, self.judge(&request, response));
            }
            Err(error) => {
                let response = reply::refusal(&request, &error);
                replies.set(at, self.judge(&request, response));
            }
        }
    }

    /// Takes the put out of a command; what is left of it is enough for the reply.
    fn step(&self, index: u64, request: &mut Request) -> Result<Step, StoreError> {
        let kind = dispatch::kind(request)?;
        let (put, eof) = match kind {
            Type::PutBlock => (request.put_block.take().map(|put| *put), true),
            Type::WriteChunk => {
                let id = dispatch::container_id(request)?;
                // Its bytes were written when the entry was appended: a container that is not here
                // was removed since, and must not come back.
                self.dispatcher.store.require(id)?.check_writable()?;
                match request.write_chunk.as_mut().map(|chunk| chunk.block.take()) {
                    Some(None) => return Ok(Step::Written),
                    Some(put) => (put, false),
                    None => (None, false),
                }
            }
            _ => return Ok(Step::Alone),
        };
        let put = put.ok_or_else(|| StoreError::malformed("the command has no block"))?;
        let replica_index = put.block_data.block_id.replica_index;
        let container = self.dispatcher.locate_for_block(request, replica_index)?;
        Ok(Step::Put(kind, container, write::to_put(put, Origin::Applied(index), eof)))
    }

    /// Writes the waiting puts as one and answers them.
    fn commit(&self, replies: &mut Replies) {
        let waiting = std::mem::take(&mut replies.puts);
        if waiting.is_empty() {
            return;
        }
        let mut puts = Vec::with_capacity(waiting.len());
        let mut asked = Vec::with_capacity(waiting.len());
        for Waiting { at, kind, request, container, put } in waiting {
            puts.push((container.clone(), put));
            asked.push((at, kind, request, container));
        }
        let begun = Instant::now();
        let results = self.dispatcher.store.put_blocks(puts);
        let took = begun.elapsed();
        for ((at, kind, request, container), result) in asked.into_iter().zip(results) {
            self.dispatcher.metrics.done(Type::PutBlock, took, 0, result.is_err());
            let _traced = trace::enter(request.trace_id.as_deref(), "PutBlock");
            tracing::debug!(container = %container.id(), done = result.is_ok(), "block committed");
            let response = match result {
                Ok(block) => committed(kind, &request, block),
                Err(error) => {
                    self.dispatcher.doubt(&container, &error);
                    reply::refusal(&request, &error)
                }
            };
            replies.set(at, self.judge(&request, response));
        }
    }

    /// A refusal that every replica shares is an answer; any other leaves this replica in doubt.
    fn judge(&self, request: &Request, response: Response) -> Result<Bytes, StateMachineError> {
        let code = response.result();
        if is_shared(code) {
            return Ok(Bytes::from(response.encode_to_vec()));
        }
        let text = response.message.unwrap_or_default();
        self.fail(format!(
            "container {} command {}: {}: {text}",
            request.container_id,
            request.cmd_type,
            code.as_str_name()
        ));
        Err(refused(&StoreError::new(code, text)))
    }

    fn fail(&self, message: String) {
        if self.sound.swap(false, Ordering::AcqRel) {
            tracing::error!(pipeline = %self.group, message, "pipeline in doubt");
            let reason = Reason::StatemachineTransactionFailed;
            self.outbox.close_pipeline(PipelineId(self.group), reason, message);
        }
    }
}

impl Replies {
    fn new(count: usize) -> Self {
        Self { done: (0..count).map(|_| None).collect(), puts: Vec::new() }
    }

    fn set(&mut self, at: usize, reply: Result<Bytes, StateMachineError>) {
        if let Some(slot) = self.done.get_mut(at) {
            *slot = Some(reply);
        }
    }
}

impl StateMachine for ContainerStateMachine {
    fn durable(&self) -> Option<TermIndex> {
        *self.durable.lock()
    }

    fn prepare(
        &self,
        message: Bytes,
        _: Option<Context>,
    ) -> Result<Transaction, StateMachineError> {
        let (mut request, bulk) = message::decode(message).map_err(io)?;
        message::address(&mut request, self.group).map_err(io)?;
        let kind = dispatch::kind(&request).map_err(|error| refused(&error))?;
        message::restore_bulk(&mut request, bulk.clone());
        self.check(kind, &request, &bulk)?;
        let log = Bytes::from(request.encode_to_vec());
        let bulk = (kind == Type::WriteChunk).then_some(bulk);
        Ok(Transaction { log, bulk, context: Some(Box::new(request)) })
    }

    fn write_bulk(
        &self,
        at: TermIndex,
        entry: &StateMachineLogEntryProto,
        bulk: Bytes,
    ) -> BoxFuture<'static, Result<(), StateMachineError>> {
        let task = || -> Result<_, StoreError> {
            let request = self.request(entry.log_data.clone(), None)?;
            let write = dispatch::need(&request.write_chunk, "WriteChunk")?;
            let chunk = write::to_chunk(write, bulk)?;
            let container = self.dispatcher.admit(Type::WriteChunk, &request)?;
            let dispatcher = self.dispatcher.clone();
            let volume = container.volume().clone();
            Ok(volume.threads.write(chunk.local_id.cast_unsigned(), move || {
                let _traced = trace::enter(request.trace_id.as_deref(), "WriteChunk");
                tracing::debug!(container = %container.id(), bytes = chunk.info.len, "writing chunk");
                let (begun, bytes) = (Instant::now(), chunk.info.len);
                let written = dispatcher.store.write_chunk(&container, &chunk);
                let (took, failed) = (begun.elapsed(), written.is_err());
                dispatcher.metrics.done(Type::WriteChunk, took, bytes, failed);
                written.inspect_err(|error| {
                    if !is_shared(error.code) {
                        dispatcher.doubt(&container, error);
                    }
                })
            }))
        };
        let pending = task();
        let (outbox, group) = (self.outbox.clone(), self.group);
        async move {
            let result = match pending {
                Ok(pending) => pending.wait().await,
                Err(error) => Err(error),
            };
            match result {
                Ok(()) => Ok(()),
                // The entry itself will be refused when it is applied.
                Err(error) if is_shared(error.code) => Ok(()),
                Err(error) => {
                    tracing::error!(pipeline = %group, %at, %error, "chunk not written");
                    let reason = Reason::StatemachineTransactionFailed;
                    outbox.close_pipeline(PipelineId(group), reason, error.message.clone());
                    Err(refused(&error))
                }
            }
        }
        .boxed()
    }

    fn read_bulk(
        &self,
        at: TermIndex,
        entry: &StateMachineLogEntryProto,
    ) -> BoxFuture<'static, Result<Bytes, StateMachineError>> {
        let task = || -> Result<_, StoreError> {
            let request = self.request(entry.log_data.clone(), None)?;
            let write = dispatch::need(&request.write_chunk, "WriteChunk")?;
            let chunk = write::to_chunk(write, Bytes::new())?;
            let container = self.dispatcher.store.require(dispatch::container_id(&request)?)?;
            let (dispatcher, volume) = (self.dispatcher.clone(), container.volume().clone());
            Ok(volume.threads.read(move || {
                dispatcher.store.read_chunk_verified(&container, &chunk).inspect_err(|error| {
                    if !is_shared(error.code) {
                        dispatcher.doubt(&container, error);
                    }
                })
            }))
        };
        let (outbox, group) = (self.outbox.clone(), self.group);
        match task() {
            Ok(pending) => async move {
                pending.wait().await.map_err(|error| {
                    tracing::error!(pipeline = %group, %at, %error, "a slow follower cannot get this chunk from here");
                    // It would wait for ever; what is committed is safe on the others.
                    let reason = Reason::StatemachineTransactionFailed;
                    outbox.close_pipeline(PipelineId(group), reason, error.message.clone());
                    refused(&error)
                })
            }
            .boxed(),
            Err(error) => ready(Err(refused(&error))).boxed(),
        }
    }

    fn apply(&self, entries: Vec<Committed>) -> Vec<Result<Bytes, StateMachineError>> {
        let mut replies = Replies::new(entries.len());
        let mut last = None;
        for (position, Committed { at, entry, context }) in entries.into_iter().enumerate() {
            last = Some(at);
            match self.request(entry.log_data, context) {
                Ok(request) => self.apply_one(position, at.index, request, &mut replies),
                Err(error) => {
                    self.fail(error.message.clone());
                    replies.set(position, Err(refused(&error)));
                }
            }
        }
        self.commit(&mut replies);
        if last.is_some() && self.sound.load(Ordering::Acquire) {
            *self.applied.lock() = last;
        }
        let lost = || Err(io("an entry got no answer"));
        replies.done.into_iter().map(|reply| reply.unwrap_or_else(lost)).collect()
    }

    fn advance(&self, at: TermIndex) {
        if self.sound.load(Ordering::Acquire) {
            *self.applied.lock() = Some(at);
        }
    }

    fn query(&self, message: Bytes) -> BoxFuture<'static, Result<Bytes, StateMachineError>> {
        let dispatcher = self.dispatcher.clone();
        async move {
            let (request, _) = message::decode(message).map_err(io)?;
            let kind = dispatch::kind(&request).map_err(|error| refused(&error))?;
            if !dispatch::is_read(kind, &request) {
                return Err(io(format!("{} is no read", kind.as_str_name())));
            }
            Ok(Bytes::from(dispatcher.serve(request).await.encode_to_vec()))
        }
        .boxed()
    }

    fn take_snapshot(&self) -> Result<Option<TermIndex>, StateMachineError> {
        if !self.sound.load(Ordering::Acquire) {
            return Err(io(format!("pipeline {} is in doubt: no snapshot is taken", self.group)));
        }
        let Some(at) = *self.applied.lock() else { return Ok(None) };
        if *self.durable.lock() == Some(at) {
            return Ok(Some(at));
        }
        let store = &self.dispatcher.store;
        store.flush().map_err(|error| refused(&error))?;
        let map = store.bcsids_of(&self.group.to_string()).into_iter().collect();
        let map = Container2BcsidMapProto { container2_bcsid: map };
        snapshot::write(&self.directory, at, &map).map_err(io)?;
        *self.durable.lock() = Some(at);
        Ok(Some(at))
    }

    fn failed(&self, reason: &str) {
        self.fail(reason.to_owned());
    }

    fn leadership_changed(&self, leadership: &Leadership) {
        tracing::debug!(
            pipeline = %self.group, term = leadership.term, role = ?leadership.role,
            "leadership changed"
        );
        self.outbox.report_pipelines_now();
    }

    fn peer_is_slow(&self, peer: Option<&PeerId>) {
        let message = match peer {
            Some(peer) => format!("follower {peer} has not answered for the slowness timeout"),
            None => "no leader for the slowness timeout".to_owned(),
        };
        self.outbox.close_pipeline(PipelineId(self.group), Reason::PipelineFailed, message);
    }
}

fn committed(kind: Type, request: &Request, block: CommittedBlock) -> Response {
    let mut response = reply::success(request);
    match kind {
        Type::WriteChunk => response.write_chunk = Some(Box::new(write::wrote(Some(block)))),
        _ => response.put_block = Some(Box::new(write::put_block(block))),
    }
    response
}

/// Results that come out the same on every replica, or that the next append repairs
/// (`ContainerStateMachine`: they are answers, not failures).
fn is_shared(code: Code) -> bool {
    matches!(
        code,
        Code::Success
            | Code::ContainerNotOpen
            | Code::ClosedContainerIo
            | Code::ChunkFileInconsistency
            | Code::ContainerNotFound
            | Code::ContainerExists
            | Code::ContainerAlreadyExists
            | Code::MalformedRequest
            | Code::UnsupportedRequest
            | Code::BlockAlreadyFinalized
            | Code::DeleteOnOpenContainer
            | Code::DeleteOnNonEmptyContainer
            | Code::NoSuchBlock
            | Code::InvalidContainerState
    )
}
