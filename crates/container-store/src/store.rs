//! All containers of a datanode.

use std::sync::Arc;

use bulk_buffers::Buffers;
use hdds_proto::hdds::{ContainerReplicaProto, StorageReportProto};
use hdds_types::ContainerId;
use ozone_db::DbError;
use parking_lot::RwLock;
use rustc_hash::FxHashMap;
use thiserror::Error;

use crate::report;
use crate::settings::{OpenDatabase, StoreSettings, VolumeSettings};
use crate::volume::{FormatError, failed_report};
use crate::witness::Witness;
use crate::{Code, Container, StoreError, Volume, scan, tables};

/// Memory for large pieces that is kept while no disk uses it, in bytes.
const BUFFERS_KEPT_BYTES_MAX: usize = 64 << 20;

/// Told about every replica that was created, changed its state or was removed; must not block.
pub type StateChanges = Arc<dyn Fn(ContainerReplicaProto) + Send + Sync>;

/// The store cannot start.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Not one disk is usable.
    #[error("no usable directory in hdds.datanode.dir; the last error: {0}")]
    NoVolume(FormatError),
    /// The witness does not open.
    #[error("witnessed_container.db: {0}")]
    Witness(DbError),
}

/// Containers by id, on their disks.
pub struct ContainerStore {
    pub(crate) settings: StoreSettings,
    pub(crate) datanode: String,
    volumes: Vec<Arc<Volume>>,
    unusable: Vec<VolumeSettings>,
    pub(crate) containers: RwLock<FxHashMap<ContainerId, Arc<Container>>>,
    pub(crate) witness: Witness,
    pub(crate) changes: StateChanges,
    buffers: Buffers,
}

impl ContainerStore {
    /// Opens (or formats) every disk and loads its containers. A disk that fails is reported as
    /// failed and left out.
    ///
    /// # Errors
    /// No disk is usable, or the witness does not open.
    pub fn open(
        settings: StoreSettings,
        cluster_id: &str,
        datanode: &str,
        open_database: &OpenDatabase,
        changes: StateChanges,
    ) -> Result<Self, OpenError> {
        let witness_path = settings.metadata.join("witnessed_container.db");
        let witness = open_database(&witness_path, &[tables::CONTAINER_CREATE_INFO.name])
            .map_err(OpenError::Witness)?;
        let mut store = Self {
            datanode: datanode.to_owned(),
            volumes: Vec::new(),
            unusable: Vec::new(),
            containers: RwLock::default(),
            witness: Witness::new(witness),
            changes,
            settings,
            buffers: Buffers::new(BUFFERS_KEPT_BYTES_MAX),
        };
        let mut last_error = None;
        for volume in &store.settings.volumes {
            let (settings, buffers) = (&store.settings, &store.buffers);
            match Volume::open(volume, settings, cluster_id, datanode, open_database, buffers) {
                Ok(opened) => store.volumes.push(Arc::new(opened)),
                Err(error) => {
                    tracing::error!(volume = %volume.root.display(), %error, "disk left out");
                    store.unusable.push(volume.clone());
                    last_error = Some(error);
                }
            }
        }
        if let (true, Some(error)) = (store.volumes.is_empty(), last_error) {
            return Err(OpenError::NoVolume(error));
        }
        scan::load(&store);
        store.estimate_used();
        store.note_missing().map_err(OpenError::Witness)?;
        Ok(store)
    }

    /// Gives memory of large pieces back to the system that was not needed since the last call.
    pub fn trim_buffers(&self) {
        self.buffers.trim();
    }

    /// Disks without a recent measurement count their containers until the next one.
    fn estimate_used(&self) {
        let containers = self.containers.read();
        for volume in self.volumes.iter().filter(|volume| volume.space.used() == 0) {
            let here = containers.values().filter(|c| Arc::ptr_eq(c.volume(), volume));
            volume.space.set_used(here.map(|container| container.bytes_used()).sum());
        }
    }

    fn note_missing(&self) -> Result<(), DbError> {
        let listed = self.witness.listed()?;
        let containers = self.containers.read();
        self.witness.add_missing(listed.into_iter().filter(|id| !containers.contains_key(id)));
        let missing = self.witness.missing_count();
        if missing > 0 {
            tracing::warn!(missing, "containers that were created here are on no disk");
        }
        Ok(())
    }

    /// Containers that a pipeline's snapshot names but no disk holds: they are missing.
    pub fn note_missing_of_snapshot(&self, ids: impl IntoIterator<Item = ContainerId>) {
        let containers = self.containers.read();
        self.witness.add_missing(ids.into_iter().filter(|id| !containers.contains_key(id)));
    }

    /// Whether the container was created here once and is gone.
    pub fn is_missing(&self, id: ContainerId) -> bool {
        self.witness.is_missing(id)
    }

    /// The container, if here.
    pub fn get(&self, id: ContainerId) -> Option<Arc<Container>> {
        self.containers.read().get(&id).cloned()
    }

    /// The container.
    ///
    /// # Errors
    /// `CONTAINER_NOT_FOUND`.
    pub fn require(&self, id: ContainerId) -> Result<Arc<Container>, StoreError> {
        self.get(id).ok_or_else(|| {
            StoreError::new(Code::ContainerNotFound, format!("ContainerID {id} does not exist"))
        })
    }

    /// Every container, in no order.
    pub fn containers(&self) -> Vec<Arc<Container>> {
        self.containers.read().values().cloned().collect()
    }

    /// The datanode's UUID.
    pub fn datanode(&self) -> &str {
        &self.datanode
    }

    /// Usable disks.
    pub fn volumes(&self) -> &[Arc<Volume>] {
        &self.volumes
    }

    /// Lines of the node report, failed disks included.
    pub fn storage_reports(&self) -> Vec<StorageReportProto> {
        let usable = self.volumes.iter().map(|volume| volume.report());
        usable.chain(self.unusable.iter().map(failed_report)).collect()
    }

    /// The full container report.
    pub fn container_reports(&self) -> Vec<ContainerReplicaProto> {
        let containers = self.containers();
        let here = containers.iter().filter(|container| container.is_on_disk());
        here.filter_map(|container| report::replica(container)).collect()
    }

    /// Tells about a change, unless the container is not reported in its state.
    pub(crate) fn changed(&self, container: &Container) {
        if let Some(replica) = report::replica(container) {
            (self.changes)(replica);
        }
    }

    /// Checks every disk; containers of a disk that is given up are dropped and reported as deleted.
    /// Returns whether any disk was given up now.
    pub fn check_volumes(&self) -> bool {
        let mut lost = false;
        for volume in self.volumes.iter().filter(|volume| !volume.is_failed()) {
            if volume.check() {
                continue;
            }
            lost = true;
            for container in self.containers() {
                if Arc::ptr_eq(container.volume(), volume) {
                    self.containers.write().remove(&container.id());
                    self.witness.add_missing([container.id()]);
                    (self.changes)(report::deleted(&container));
                }
            }
        }
        lost
    }

    /// Makes all block tables durable.
    ///
    /// # Errors
    /// A disk refuses.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.witness.flush()?;
        self.volumes.iter().try_for_each(|volume| volume.flush())
    }

    /// Before a stop: everything durable, use of the disks noted.
    ///
    /// # Errors
    /// A disk refuses.
    pub fn close(&self) -> Result<(), StoreError> {
        for volume in &self.volumes {
            volume.save_used();
        }
        self.flush()
    }
}
