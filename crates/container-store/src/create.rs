//! Creating containers.
//!
//! ```text
//!  reserve: choose a disk, enter it in the map     quick, anywhere
//!  ensure_on_disk: witness, directories, descriptor      on a disk thread, by the first who needs it
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::sync::Arc;

use hdds_types::ContainerId;

use crate::container::Presence;
use crate::descriptor::{Descriptor, LAYOUT_FILE_PER_BLOCK, SCHEMA_V3};
use crate::{Code, Container, ContainerStore, ReplicaState, StoreError, Volume, volume};

/// What a new container is to be.
#[derive(Clone, Debug)]
pub struct NewContainer {
    /// `Open`, or `Recovering` while it is rebuilt.
    pub state: ReplicaState,
    /// Pipeline through which it is created; may be empty.
    pub pipeline: String,
    /// Position in an erasure coded group, from 1; 0 for full copies.
    pub replica_index: u32,
    /// Free text.
    pub metadata: BTreeMap<String, String>,
}

impl NewContainer {
    /// An open container of a pipeline.
    pub fn open(pipeline: impl Into<String>, replica_index: u32) -> Self {
        Self {
            state: ReplicaState::Open,
            pipeline: pipeline.into(),
            replica_index,
            metadata: BTreeMap::new(),
        }
    }
}

impl ContainerStore {
    /// The container, reserved on a disk if it is not here yet; `true` if it was reserved now.
    ///
    /// # Errors
    /// `CONTAINER_MISSING` if it was here once and is gone; `DISK_OUT_OF_SPACE`.
    pub fn reserve(
        &self,
        id: ContainerId,
        new: &NewContainer,
    ) -> Result<(Arc<Container>, bool), StoreError> {
        if let Some(container) = self.get(id) {
            return Ok((container, false));
        }
        if self.is_missing(id) && new.state != ReplicaState::Recovering {
            return Err(StoreError::new(
                Code::ContainerMissing,
                format!("ContainerID {id} has been lost and cannot be recreated on this DataNode"),
            ));
        }
        let volume = volume::choose(self.volumes(), self.settings.container_bytes_max)?;
        let mut containers = self.containers.write();
        if let Some(container) = containers.get(&id) {
            return Ok((container.clone(), false));
        }
        let container = Arc::new(self.plan(id, new, volume));
        container.volume().space.add_committed(container.promise(0));
        containers.insert(id, container.clone());
        Ok((container, true))
    }

    fn plan(&self, id: ContainerId, new: &NewContainer, volume: Arc<Volume>) -> Container {
        let dir = volume.container_dir(id);
        let descriptor = Descriptor {
            chunks_path: dir.join("chunks").display().to_string(),
            id,
            data_scan_timestamp: None,
            layout_version: LAYOUT_FILE_PER_BLOCK,
            bytes_max: self.settings.container_bytes_max,
            metadata: new.metadata.clone(),
            metadata_path: dir.join("metadata").display().to_string(),
            origin_node: self.datanode.clone(),
            origin_pipeline: new.pipeline.clone(),
            replica_index: new.replica_index,
            schema_version: SCHEMA_V3.to_owned(),
            state: new.state,
        };
        Container::new(volume, dir, descriptor, Presence::Reserved)
    }

    /// Creates a reserved container's files, once. Blocks on the disk.
    ///
    /// # Errors
    /// The disk refuses; then the reservation is taken back, and the next [`Self::reserve`] may
    /// choose another disk.
    pub fn ensure_on_disk(&self, container: &Container) -> Result<(), StoreError> {
        if container.is_on_disk() {
            return Ok(());
        }
        // Whoever holds the descriptor creates; the others wait here.
        let descriptor = container.descriptor.lock();
        let presence = container.presence.lock().clone();
        match presence {
            Presence::OnDisk => return Ok(()),
            Presence::Gone(error) => return Err(error),
            Presence::Reserved => {}
        }
        let created = self
            .witness
            .created(container.id(), descriptor.state, descriptor.replica_index)
            .and_then(|()| create_files(container, &descriptor));
        match created {
            Ok(()) => {
                container.set_presence(Presence::OnDisk);
                drop(descriptor);
                tracing::debug!(container = %container.id(), "container created");
                self.changed(container);
                Ok(())
            }
            Err(error) => {
                container.set_presence(Presence::Gone(error.clone()));
                drop(descriptor);
                self.forget_reservation(container);
                tracing::warn!(container = %container.id(), %error, "container not created");
                container.volume().check();
                Err(error)
            }
        }
    }

    fn forget_reservation(&self, container: &Container) {
        self.containers.write().remove(&container.id());
        container.volume().space.add_committed(-container.promise(container.bytes_used()));
        if let Err(error) = self.witness.removed(container.id()) {
            tracing::warn!(container = %container.id(), %error, "witness not taken back");
        }
    }

    /// Creates a container (`CreateContainer`). Blocks on the disk.
    ///
    /// # Errors
    /// `CONTAINER_EXISTS` if it is here, else see [`Self::reserve`] and [`Self::ensure_on_disk`].
    pub fn create(
        &self,
        id: ContainerId,
        new: &NewContainer,
    ) -> Result<Arc<Container>, StoreError> {
        let (container, reserved_now) = self.reserve(id, new)?;
        if !reserved_now && container.is_on_disk() {
            return Err(StoreError::new(
                Code::ContainerExists,
                format!("Container already exists with container Id {id}"),
            ));
        }
        self.ensure_on_disk(&container)?;
        Ok(container)
    }
}

fn create_files(container: &Container, descriptor: &Descriptor) -> Result<(), StoreError> {
    let dir = container.dir();
    let fail = |error: io::Error| {
        let mut failure = StoreError::io(format!("cannot create {}", dir.display()), &error);
        match (error.kind(), failure.code) {
            (io::ErrorKind::AlreadyExists, _) => failure.code = Code::ContainerAlreadyExists,
            (_, Code::DiskOutOfSpace) => {}
            _ => failure.code = Code::ContainerFilesCreateError,
        }
        failure
    };
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent).map_err(fail)?;
    }
    fs::create_dir(dir).map_err(fail)?;
    let written = fs::create_dir(dir.join("metadata"))
        .and_then(|()| fs::create_dir(dir.join("chunks")))
        .and_then(|()| descriptor.write(&container.descriptor_path()));
    written.map_err(|error| {
        let failure = fail(error);
        // Half a container would be in the way of the next attempt.
        let _ = fs::remove_dir_all(dir);
        failure
    })
}
