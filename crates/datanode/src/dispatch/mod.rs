//! Container commands: who may run, where, and what a failure means.
//!
//! ```text
//!  9859 ── serve ──► missing? ─► there? (else created) ─► space ─► disk thread ─► read | write
//!  Raft ── apply ──►    the same order, on the group's apply thread ──────────────► write
//! ```
//! The order is that of `HddsDispatcher.dispatchRequest` (dn-client.md §2.2). A write that fails in a
//! way that leaves the replica in doubt marks the container unhealthy and asks SCM to close it; a read that fails makes the
//! datanode look at the block, with the same consequence if it is damaged.

mod audit;
mod examine;
pub mod read;
pub mod reply;
pub mod stream;
pub mod write;

use std::sync::Arc;
use std::time::{Duration, Instant};

use container_store::{Code, Container, ContainerStore, NewContainer, ReplicaState, StoreError};
use hadoop_rpc::trace;
use hdds_proto::datanode::{
    ContainerCommandRequestProto as Request, ContainerCommandResponseProto as Response, Type,
    container_data_proto::State,
};
use hdds_proto::hdds::container_action::Reason;
use hdds_types::ContainerId;
use ozone_daemon::audit::AuditLog;
use parking_lot::Mutex;

use crate::heartbeat::Outbox;
use crate::metrics::{self, CommandMetrics};
use reply::Handled;
use write::{Origin, leaves_container_sound};

/// Longest sleep of an echo.
const ECHO_SLEEP_MAX: Duration = Duration::from_secs(30);

/// Runs container commands.
pub struct Dispatcher {
    /// The containers.
    pub store: Arc<ContainerStore>,
    /// Commands by type.
    pub metrics: CommandMetrics,
    outbox: Arc<Outbox>,
    close_threshold: f64,
    /// Who did what, if wanted.
    audit: Option<Arc<AuditLog>>,
    /// When the last container was examined.
    examined: Mutex<Option<Instant>>,
}

impl Dispatcher {
    /// `close_threshold`: part of its size at which SCM is asked to close a container.
    pub fn new(store: Arc<ContainerStore>, outbox: Arc<Outbox>, close_threshold: f64) -> Self {
        let metrics = CommandMetrics::default();
        let (audit, examined) = (None, Mutex::default());
        Self { store, metrics, outbox, close_threshold, audit, examined }
    }

    /// Notes commands in a log from now on.
    #[must_use]
    pub fn with_audit(mut self, audit: Option<Arc<AuditLog>>) -> Self {
        self.audit = audit;
        self
    }

    fn note(&self, request: &Request, response: &Response) {
        if let Some(log) = &self.audit
            && let Some(entry) = audit::entry(request, response)
        {
            log.note(entry);
        }
    }

    /// Runs a command that came straight from a client. Refusals are replies too.
    pub async fn serve(self: &Arc<Self>, request: Request) -> Response {
        let request = Arc::new(request);
        let handled = self.clone().place(request.clone()).await;
        let response = handled.unwrap_or_else(|error| reply::refusal(&request, &error));
        self.note(&request, &response);
        response
    }

    async fn place(self: Arc<Self>, request: Arc<Request>) -> Handled {
        let kind = kind(&request)?;
        if kind == Type::Echo {
            sleep_as_asked(&request).await;
        }
        let container = self.admit(kind, &request)?;
        let volume = container.volume().clone();
        let task = {
            let (this, request) = (self.clone(), request.clone());
            move || Ok(this.run(kind, &container, &request, Origin::Direct))
        };
        if is_read(kind, &request) {
            volume.threads.read(task).wait().await?
        } else {
            volume.threads.write(lane(kind, &request), task).wait().await?
        }
    }

    /// Applies a command of a Raft log on the thread of the caller. Room was asked for when the entry
    /// was proposed; what is committed is carried out as long as the disk takes it.
    pub fn apply(&self, request: &Request, index: u64) -> Response {
        let handled = kind(request).and_then(|kind| {
            let container = self.locate(kind, request)?;
            self.run(kind, &container, request, Origin::Applied(index))
        });
        let response = handled.unwrap_or_else(|error| reply::refusal(request, &error));
        self.note(request, &response);
        response
    }

    /// Runs an admitted command on the thread of the caller.
    fn run(
        &self,
        kind: Type,
        container: &Arc<Container>,
        request: &Request,
        origin: Origin,
    ) -> Handled {
        let _traced = trace::enter(request.trace_id.as_deref(), kind.as_str_name());
        tracing::debug!(container = %container.id(), ?origin, "container command");
        let begun = Instant::now();
        if is_read(kind, request) {
            let result = read::run(&self.store, container, kind, request);
            self.metrics.done(kind, begun.elapsed(), metrics::bytes_of(request), result.is_err());
            if let Err(error) = &result {
                self.examine(container, request, error);
            }
            return result;
        }
        let result = write::run(&self.store, container, kind, request, origin);
        self.metrics.done(kind, begun.elapsed(), metrics::bytes_of(request), result.is_err());
        if let Err(error) = &result {
            self.doubt(container, error);
        }
        result
    }

    /// [`Self::locate`], and room on its disk for a write.
    ///
    /// # Errors
    /// Those of [`Self::locate`]; `DISK_OUT_OF_SPACE`.
    pub fn admit(&self, kind: Type, request: &Request) -> Result<Arc<Container>, StoreError> {
        let container = self.locate(kind, request)?;
        let adds_bytes = matches!(kind, Type::WriteChunk | Type::PutBlock | Type::PutSmallFile);
        if adds_bytes && container.state() == ReplicaState::Open {
            self.check_space(&container)?;
        }
        Ok(container)
    }

    /// The container a command is for: checks in the order of the genuine dispatcher, and reserves
    /// it where the command creates one. One that is nearly full is brought to SCM's notice.
    ///
    /// # Errors
    /// `CONTAINER_MISSING`, `CONTAINER_NOT_FOUND`, `CONTAINER_EXISTS`, `DISK_OUT_OF_SPACE`.
    pub fn locate(&self, kind: Type, request: &Request) -> Result<Arc<Container>, StoreError> {
        self.find_or_reserve(kind, request, || new_container(kind, request))
    }

    /// As [`Self::locate`], for a PutBlock that was taken out of its command.
    ///
    /// # Errors
    /// Those of [`Self::locate`].
    pub fn locate_for_block(
        &self,
        request: &Request,
        replica_index: Option<i32>,
    ) -> Result<Arc<Container>, StoreError> {
        let pipeline = request.pipeline_id.clone().unwrap_or_default();
        let replica_index = u32::try_from(replica_index.unwrap_or(0)).unwrap_or(0);
        self.find_or_reserve(Type::PutBlock, request, || {
            Ok(Some(NewContainer::open(pipeline, replica_index)))
        })
    }

    fn find_or_reserve(
        &self,
        kind: Type,
        request: &Request,
        new: impl FnOnce() -> Result<Option<NewContainer>, StoreError>,
    ) -> Result<Arc<Container>, StoreError> {
        let id = container_id(request)?;
        let is_write = !is_read(kind, request);
        let found = self.store.get(id);
        if is_write && found.is_none() && self.store.is_missing(id) && !is_recovery(request) {
            return Err(StoreError::new(
                Code::ContainerMissing,
                format!("ContainerID {id} has been lost and cannot be recreated on this DataNode"),
            ));
        }
        let container = match (found, kind) {
            (Some(container), Type::CreateContainer) if container.is_on_disk() => {
                return Err(StoreError::new(
                    Code::ContainerExists,
                    format!("Container already exists with container Id {}", container.id()),
                ));
            }
            (Some(container), _) => container,
            (None, _) => {
                let new = new()?.ok_or_else(|| {
                    StoreError::new(
                        Code::ContainerNotFound,
                        format!("ContainerID {id} does not exist"),
                    )
                })?;
                self.store.reserve(id, &new)?.0
            }
        };
        // Copies of one container are told apart by their node; full replicas are all the same.
        if container.replica_index() > 0 && request.datanode_uuid != self.store.datanode() {
            return Err(StoreError::new(
                Code::InvalidArgument,
                format!(
                    "the request is for datanode {} but this is {}",
                    request.datanode_uuid,
                    self.store.datanode()
                ),
            ));
        }
        if is_write
            && container.state() == ReplicaState::Open
            && container.is_filled_to(self.close_threshold)
        {
            self.ask_for_close(&container, Reason::ContainerFull);
        }
        Ok(container)
    }

    /// Refuses writes to a full disk and asks SCM to close the container.
    fn check_space(&self, container: &Container) -> Result<(), StoreError> {
        let volume = container.volume();
        if volume.usage().is_none_or(|usage| !usage.is_full()) {
            return Ok(());
        }
        self.ask_for_close(container, Reason::ContainerFull);
        Err(StoreError::new(
            Code::DiskOutOfSpace,
            format!(
                "Container write failed: volume {} is out of space for container {}",
                volume.root().display(),
                container.id()
            ),
        ))
    }

    fn ask_for_close(&self, container: &Container, reason: Reason) {
        if container.ask_for_close_once() {
            tracing::info!(container = %container.id(), ?reason, "asking for close");
            self.outbox.close_container(container.id(), reason);
        }
    }

    /// After a failed write: may the replica still be trusted?
    pub fn doubt(&self, container: &Container, error: &StoreError) {
        if leaves_container_sound(error.code) || !container.is_on_disk() {
            return;
        }
        if let Err(error) = self.store.mark_unhealthy(container, &error.message) {
            tracing::warn!(container = %container.id(), %error, "container not marked unhealthy");
        }
        self.ask_for_close(container, Reason::ContainerUnhealthy);
    }
}

/// The type of a command that is served.
///
/// # Errors
/// `UNSUPPORTED_REQUEST`; `CONTAINER_INTERNAL_ERROR` for deletions by clients, which no longer exist.
pub fn kind(request: &Request) -> Result<Type, StoreError> {
    match Type::try_from(request.cmd_type) {
        // Refused before it can touch a container.
        Ok(
            kind @ (Type::ListContainer
            | Type::ListChunk
            | Type::CompactChunk
            | Type::DeleteBlock
            | Type::DeleteChunk
            | Type::StreamInit
            | Type::StreamWrite
            | Type::GetContainerChecksumInfo),
        ) => Err(unsupported(kind)),
        Ok(kind) => Ok(kind),
        Err(_) => Err(StoreError::new(
            Code::UnsupportedRequest,
            format!("Request type {} not supported", request.cmd_type),
        )),
    }
}

/// The container a command names.
///
/// # Errors
/// `MALFORMED_REQUEST` for a negative id.
pub fn container_id(request: &Request) -> Result<ContainerId, StoreError> {
    u64::try_from(request.container_id)
        .map(ContainerId)
        .map_err(|_| StoreError::malformed("Container ID is negative"))
}

/// Whether a command changes nothing (`HddsUtils.isReadOnly`).
pub fn is_read(kind: Type, request: &Request) -> bool {
    match kind {
        Type::ReadContainer
        | Type::ReadChunk
        | Type::ReadBlock
        | Type::ListBlock
        | Type::GetBlock
        | Type::GetSmallFile
        | Type::ListContainer
        | Type::ListChunk
        | Type::GetCommittedBlockLength
        | Type::GetContainerChecksumInfo => true,
        Type::Echo => request.echo.as_ref().is_some_and(|echo| echo.read_only.unwrap_or(false)),
        _ => false,
    }
}

/// What a command creates where its container is not there; `None` where it needs one.
///
/// # Errors
/// A sub-message is missing.
fn new_container(kind: Type, request: &Request) -> Result<Option<NewContainer>, StoreError> {
    let pipeline = request.pipeline_id.clone().unwrap_or_default();
    let open = |index: Option<i32>| {
        let replica_index = u32::try_from(index.unwrap_or(0)).unwrap_or(0);
        Ok(Some(NewContainer::open(pipeline.clone(), replica_index)))
    };
    match kind {
        Type::WriteChunk => open(need(&request.write_chunk, "WriteChunk")?.block_id.replica_index),
        Type::PutBlock => {
            open(need(&request.put_block, "PutBlock")?.block_data.block_id.replica_index)
        }
        Type::PutSmallFile => {
            let small = need(&request.put_small_file, "PutSmallFile")?;
            open(small.block.block_data.block_id.replica_index)
        }
        Type::CreateContainer => {
            let create = need(&request.create_container, "CreateContainer")?;
            let mut new = NewContainer::open(
                pipeline,
                u32::try_from(create.replica_index.unwrap_or(0)).unwrap_or(0),
            );
            new.metadata = write::pairs(&create.metadata);
            if is_recovery(request) {
                new.state = ReplicaState::Recovering;
            }
            Ok(Some(new))
        }
        _ => Ok(None),
    }
}

fn is_recovery(request: &Request) -> bool {
    let create = request.create_container.as_ref();
    create.is_some_and(|create| create.state == Some(State::Recovering.into()))
}

/// Writes of one block share a lane, other writes one per container.
fn lane(kind: Type, request: &Request) -> u64 {
    let local_id = match kind {
        Type::WriteChunk => request.write_chunk.as_ref().map(|w| w.block_id.local_id),
        Type::PutBlock => request.put_block.as_ref().map(|p| p.block_data.block_id.local_id),
        Type::PutSmallFile => {
            request.put_small_file.as_ref().map(|p| p.block.block_data.block_id.local_id)
        }
        _ => None,
    };
    local_id.unwrap_or(request.container_id).cast_unsigned()
}

async fn sleep_as_asked(request: &Request) {
    let asked = request.echo.as_ref().and_then(|echo| echo.sleep_time_ms).unwrap_or(0);
    let sleep = Duration::from_millis(u64::try_from(asked).unwrap_or(0));
    if !sleep.is_zero() {
        tokio::time::sleep(sleep.min(ECHO_SLEEP_MAX)).await;
    }
}

/// A sub-message that the command cannot do without.
pub(crate) fn need<'a, T>(field: &'a Option<Box<T>>, name: &str) -> Result<&'a T, StoreError> {
    field.as_deref().ok_or_else(|| StoreError::malformed(format!("Malformed {name} request")))
}

pub(crate) fn unsupported(kind: Type) -> StoreError {
    let code = match kind {
        Type::DeleteBlock | Type::DeleteChunk => Code::ContainerInternalError,
        _ => Code::UnsupportedRequest,
    };
    StoreError::new(code, format!("{} is not supported", kind.as_str_name()))
}
