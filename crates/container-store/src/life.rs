//! Steps of a container's life: each is written to its descriptor before it counts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ozone_db::{Batch, Durability};

use crate::tables::{self, METADATA};
use crate::{Code, Container, ContainerStore, ReplicaEvent, ReplicaState, StoreError};

impl ContainerStore {
    /// No new blocks; what is under way may be finished.
    ///
    /// # Errors
    /// See [`Self::step`].
    pub fn mark_closing(&self, container: &Container) -> Result<(), StoreError> {
        self.step(container, ReplicaEvent::MarkClosing)
    }

    /// Closes without a quorum's word.
    ///
    /// # Errors
    /// See [`Self::step`].
    pub fn quasi_close(&self, container: &Container) -> Result<(), StoreError> {
        self.step(container, ReplicaEvent::QuasiClose)
    }

    /// Closes for good (`CloseContainer`).
    ///
    /// # Errors
    /// See [`Self::step`].
    pub fn close_container(&self, container: &Container) -> Result<(), StoreError> {
        self.step(container, ReplicaEvent::Close)
    }

    /// Notes that the replica is damaged.
    ///
    /// # Errors
    /// See [`Self::step`].
    pub fn mark_unhealthy(&self, container: &Container, reason: &str) -> Result<(), StoreError> {
        tracing::warn!(container = %container.id(), reason, "container marked unhealthy");
        self.step(container, ReplicaEvent::MarkUnhealthy)
    }

    /// Takes a step of the life cycle: descriptor written, block table durable when it closes, SCM
    /// told. A repeated step does nothing. Blocks on the disk.
    ///
    /// # Errors
    /// `INVALID_CONTAINER_STATE`, or `CONTAINER_UNHEALTHY` for a damaged one; the disk's.
    pub fn step(&self, container: &Container, event: ReplicaEvent) -> Result<(), StoreError> {
        self.ensure_on_disk(container)?;
        let mut descriptor = container.descriptor.lock();
        let from = container.state();
        let to = from.on(event).map_err(|error| {
            let code = match from {
                ReplicaState::Unhealthy => Code::ContainerUnhealthy,
                _ => Code::InvalidContainerState,
            };
            StoreError::new(code, format!("container {}: {error}", container.id()))
        })?;
        if to == from {
            return Ok(());
        }
        if to.is_closed() {
            self.settle(container)?;
        }
        descriptor.state = to;
        if let Err(error) = descriptor.write(&container.descriptor_path()) {
            descriptor.state = from;
            return Err(StoreError::io(
                format!("cannot write {}", container.descriptor_path().display()),
                &error,
            ));
        }
        *container.state.write() = to;
        drop(descriptor);
        if from == ReplicaState::Open {
            let promised = container.promise(container.bytes_used());
            container.volume().space.add_committed(-promised);
        }
        if to.is_closed() {
            container.volume().open_blocks.close_all(container.id());
        }
        tracing::info!(container = %container.id(), %from, %to, "container state changed");
        self.changed(container);
        Ok(())
    }

    /// Makes everything committed to a container durable: a synced write carries the log of all
    /// earlier ones with it.
    fn settle(&self, container: &Container) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        let used = tables::counter(container.bytes_used().cast_signed());
        batch.put(METADATA, tables::key(container.id(), tables::BYTES_USED), used);
        if container.bcsid() > 0 {
            let bcsid = tables::counter(container.bcsid().cast_signed());
            batch.put(METADATA, tables::key(container.id(), tables::BCSID), bcsid);
        }
        container.volume().database().write(batch, Durability::Synced)?;
        Ok(())
    }

    /// Merges `metadata` into the descriptor (`UpdateContainer`).
    ///
    /// # Errors
    /// `UNSUPPORTED_REQUEST` for a container that is not open unless `force`d; the disk's.
    pub fn update_metadata(
        &self,
        container: &Container,
        metadata: BTreeMap<String, String>,
        force: bool,
    ) -> Result<(), StoreError> {
        let state = container.state();
        if !force && !state.takes_writes() {
            return Err(StoreError::new(
                Code::UnsupportedRequest,
                format!(
                    "Updating a closed container without force option is not allowed. ContainerID: {}",
                    container.id()
                ),
            ));
        }
        self.ensure_on_disk(container)?;
        let mut descriptor = container.descriptor.lock();
        let mut changed = descriptor.clone();
        changed.metadata.extend(metadata);
        changed.write(&container.descriptor_path()).map_err(|error| {
            StoreError::io(
                format!("cannot write {}", container.descriptor_path().display()),
                &error,
            )
        })?;
        *descriptor = changed;
        Ok(())
    }

    /// Removes a container (`DeleteContainer`): out of the map, its directory renamed away, then its
    /// rows and files removed. Blocks on the disk.
    ///
    /// # Errors
    /// `DELETE_ON_OPEN_CONTAINER` and `DELETE_ON_NON_EMPTY_CONTAINER` unless `force`d; the disk's.
    pub fn delete_container(
        &self,
        container: &Arc<Container>,
        force: bool,
    ) -> Result<(), StoreError> {
        let id = container.id();
        let state = container.state();
        if !force {
            if !state.is_closed() && state != ReplicaState::Unhealthy {
                return Err(StoreError::new(
                    Code::DeleteOnOpenContainer,
                    "Deletion of Open Container is not allowed.",
                ));
            }
            if container.blocks() > 0 || has_files(container) {
                return Err(StoreError::new(
                    Code::DeleteOnNonEmptyContainer,
                    "Non-force deletion of non-empty container is not allowed.",
                ));
            }
        }
        self.step(container, ReplicaEvent::Delete)?;
        let volume = container.volume();
        let target = volume.deleted_dir(id);
        std::fs::rename(container.dir(), &target).map_err(|error| {
            StoreError::io(format!("cannot move {} away", container.dir().display()), &error)
        })?;
        self.containers.write().remove(&id);
        container.set_presence(crate::container::Presence::Gone(StoreError::new(
            Code::ContainerNotFound,
            format!("ContainerID {id} does not exist"),
        )));
        volume.open_blocks.close_all(id);
        self.remove_rows(volume, id)?;
        self.witness.removed(id)?;
        volume.space.add_used(-container.bytes_used().cast_signed());
        if let Err(error) = std::fs::remove_dir_all(&target) {
            // The next start removes it.
            tracing::warn!(path = %target.display(), %error, "deleted container left behind");
        }
        Ok(())
    }

    pub(crate) fn remove_rows(
        &self,
        volume: &crate::Volume,
        id: hdds_types::ContainerId,
    ) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for table in tables::ALL {
            let (from, to) = (tables::prefix(id), tables::prefix_end(id));
            batch.delete_range(table, from.to_vec(), to.to_vec());
        }
        volume.database().write(batch, Durability::Logged)?;
        Ok(())
    }

    /// Containers of a pipeline that still take writes.
    pub fn open_containers_of(&self, pipeline: &str) -> Vec<Arc<Container>> {
        let containers = self.containers();
        containers
            .into_iter()
            .filter(|container| container.state().takes_writes())
            .filter(|container| container.origin_pipeline() == pipeline)
            .collect()
    }

    /// Containers created through a pipeline with their BCSIDs, for its snapshot.
    pub fn bcsids_of(&self, pipeline: &str) -> BTreeMap<i64, i64> {
        let containers = self.containers();
        containers
            .iter()
            .filter(|container| container.origin_pipeline() == pipeline)
            .map(|c| {
                (c.id().0.cast_signed(), c.counters.bcsid.load(Ordering::Acquire).cast_signed())
            })
            .collect()
    }
}

fn has_files(container: &Container) -> bool {
    std::fs::read_dir(container.dir().join("chunks")).is_ok_and(|mut files| files.next().is_some())
}
