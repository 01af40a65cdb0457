//! The replicated state of a pipeline: container commands out of a Raft log.
//!
//! ```text
//!  prepare     leader: command checked, bulk split off            ─► log entry + bulk
//!  write_bulk  everyone, when the entry is appended: chunk bytes into the block file, disk threads
//!  apply       everyone, in order: PutBlocks of the batch in one database write; BCSID = log index
//!  snapshot    databases flushed, then `snapshot.<term>_<index>`
//! ```
//! Applying again after a restart changes nothing: the block table knows the newest index of every
//! container. An entry that cannot be applied leaves this replica in doubt: the container is marked
//! unhealthy, no further snapshot is taken and SCM is asked to close the pipeline
//! (`ContainerStateMachine`, dn-client.md §4.7).

mod machine;
pub mod message;
pub mod snapshot;

use std::path::Path;
use std::sync::Arc;

use container_store::StoreError;
use hdds_types::ContainerId;
use multiraft::{GroupId, StateMachine, StateMachineError, StateMachines};

use crate::dispatch::Dispatcher;
use crate::heartbeat::Outbox;
pub use machine::ContainerStateMachine;

/// Clients know this one: the container takes no more writes, ask for another block.
const NOT_OPEN: &str =
    "org.apache.hadoop.hdds.scm.container.common.helpers.ContainerNotOpenException";
const STORAGE_CONTAINER: &str =
    "org.apache.hadoop.hdds.scm.container.common.helpers.StorageContainerException";
const IO: &str = "java.io.IOException";

/// All pipelines of this datanode.
pub struct Pipelines {
    dispatcher: Arc<Dispatcher>,
    outbox: Arc<Outbox>,
}

impl Pipelines {
    /// Their commands go to `dispatcher`, what SCM should know to `outbox`.
    pub fn new(dispatcher: Arc<Dispatcher>, outbox: Arc<Outbox>) -> Self {
        Self { dispatcher, outbox }
    }
}

impl StateMachines for Pipelines {
    fn open(
        &self,
        group: GroupId,
        directory: &Path,
    ) -> Result<Arc<dyn StateMachine>, StateMachineError> {
        let newest = snapshot::newest(directory);
        if let Some((_, map)) = &newest {
            let ids = map.container2_bcsid.keys().map(|id| ContainerId(id.cast_unsigned()));
            self.dispatcher.store.note_missing_of_snapshot(ids);
        }
        Ok(Arc::new(ContainerStateMachine::new(
            group,
            directory.to_owned(),
            newest.map(|(at, _)| at),
            self.dispatcher.clone(),
            self.outbox.clone(),
        )))
    }

    fn added(&self, group: GroupId) {
        tracing::info!(pipeline = %group, "pipeline here");
        self.outbox.report_pipelines_now();
    }

    /// What the pipeline left open is closed without its word.
    fn removed(&self, group: GroupId) {
        tracing::info!(pipeline = %group, "pipeline gone");
        self.outbox.report_pipelines_now();
        let store = self.dispatcher.store.clone();
        for container in store.open_containers_of(&group.to_string()) {
            let store = store.clone();
            let volume = container.volume().clone();
            // Behind whatever the container still has in its lane; nobody waits.
            drop(volume.threads.write(container.id().0, move || {
                let closed = store.mark_closing(&container);
                closed.and_then(|()| store.quasi_close(&container)).inspect_err(|error| {
                    // SCM asks again when the copy is reported.
                    tracing::warn!(container = %container.id(), %error, "not quasi-closed");
                })
            }));
        }
    }
}

/// A refusal as Ratis carries it to clients.
fn refused(error: &StoreError) -> StateMachineError {
    StateMachineError { class: STORAGE_CONTAINER.to_owned(), message: error.message.clone() }
}

fn io(message: impl ToString) -> StateMachineError {
    StateMachineError { class: IO.to_owned(), message: message.to_string() }
}

fn not_open(message: String) -> StateMachineError {
    StateMachineError { class: NOT_OPEN.to_owned(), message }
}
