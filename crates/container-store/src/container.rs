//! One container on this datanode.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use hdds_types::ContainerId;
use parking_lot::{Mutex, RwLock};
use rustc_hash::FxHashSet;

use crate::descriptor::Descriptor;
use crate::{Code, ReplicaState, StoreError, Volume};

/// Figures of a container. Those with a row in the block table are kept equal to it by `block` and
/// `delete`; the others live as long as the process.
#[derive(Default, Debug)]
pub struct Counters {
    /// Bytes in chunks, written or committed.
    pub bytes_used: AtomicU64,
    /// Committed blocks.
    pub blocks: AtomicI64,
    /// Highest BCSID.
    pub bcsid: AtomicU64,
    /// Newest deletion transaction.
    pub delete_transaction: AtomicI64,
    /// Blocks waiting for removal.
    pub pending_deletes: AtomicI64,
    /// Their bytes.
    pub pending_delete_bytes: AtomicI64,
    /// Chunks read since the start.
    pub reads: AtomicU64,
    /// Bytes read since the start.
    pub read_bytes: AtomicU64,
    /// Chunks written since the start.
    pub writes: AtomicU64,
    /// Bytes written since the start.
    pub write_bytes: AtomicU64,
}

/// Whether the container's directory is there.
#[derive(Clone, Debug)]
pub(crate) enum Presence {
    /// Chosen a volume; nothing written.
    Reserved,
    /// On disk.
    OnDisk,
    /// Creation failed, or it was removed: this object is of no more use.
    Gone(StoreError),
}

/// A container.
pub struct Container {
    id: ContainerId,
    volume: Arc<Volume>,
    dir: PathBuf,
    bytes_max: u64,
    replica_index: u32,
    /// What the `.container` file says; held while it is rewritten.
    pub(crate) descriptor: Mutex<Descriptor>,
    /// The state of `descriptor`, to be read without waiting for the disk.
    pub(crate) state: RwLock<ReplicaState>,
    pub(crate) presence: Mutex<Presence>,
    on_disk: AtomicBool,
    close_asked: AtomicBool,
    pub(crate) finalized: RwLock<FxHashSet<i64>>,
    /// Figures.
    pub counters: Counters,
}

impl fmt::Debug for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Container({}, {})", self.id, self.state())
    }
}

impl Container {
    pub(crate) fn new(
        volume: Arc<Volume>,
        dir: PathBuf,
        descriptor: Descriptor,
        presence: Presence,
    ) -> Self {
        Self {
            id: descriptor.id,
            volume,
            dir,
            bytes_max: descriptor.bytes_max,
            replica_index: descriptor.replica_index,
            state: RwLock::new(descriptor.state),
            on_disk: AtomicBool::new(matches!(presence, Presence::OnDisk)),
            presence: Mutex::new(presence),
            close_asked: AtomicBool::new(false),
            finalized: RwLock::default(),
            descriptor: Mutex::new(descriptor),
            counters: Counters::default(),
        }
    }

    /// Its id.
    pub fn id(&self) -> ContainerId {
        self.id
    }

    /// The disk it lives on.
    pub fn volume(&self) -> &Arc<Volume> {
        &self.volume
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Size at which it is full, in bytes.
    pub fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// Position in an erasure coded group, from 1; 0 for full copies.
    pub fn replica_index(&self) -> u32 {
        self.replica_index
    }

    /// Its state.
    pub fn state(&self) -> ReplicaState {
        *self.state.read()
    }

    /// Pipeline through which it was created.
    pub fn origin_pipeline(&self) -> String {
        self.descriptor.lock().origin_pipeline.clone()
    }

    /// Datanode that created it.
    pub fn origin_node(&self) -> String {
        self.descriptor.lock().origin_node.clone()
    }

    /// A copy of the descriptor.
    pub fn descriptor(&self) -> Descriptor {
        self.descriptor.lock().clone()
    }

    /// Highest BCSID.
    pub fn bcsid(&self) -> u64 {
        self.counters.bcsid.load(Ordering::Acquire)
    }

    /// Bytes in chunks.
    pub fn bytes_used(&self) -> u64 {
        self.counters.bytes_used.load(Ordering::Relaxed)
    }

    /// Committed blocks.
    pub fn blocks(&self) -> i64 {
        self.counters.blocks.load(Ordering::Relaxed)
    }

    /// Whether `fraction` of the size is reached.
    pub fn is_filled_to(&self, fraction: f64) -> bool {
        self.bytes_used() as f64 >= self.bytes_max as f64 * fraction
    }

    /// `true` the first time only: whoever gets it asks SCM to close the container.
    pub fn ask_for_close_once(&self) -> bool {
        !self.close_asked.swap(true, Ordering::AcqRel)
    }

    /// Whether its directory is there.
    pub fn is_on_disk(&self) -> bool {
        self.on_disk.load(Ordering::Acquire)
    }

    pub(crate) fn set_presence(&self, presence: Presence) {
        self.on_disk.store(matches!(presence, Presence::OnDisk), Ordering::Release);
        *self.presence.lock() = presence;
    }

    /// Refuses unless blocks may be written (`KeyValueHandler.checkContainerOpen`).
    ///
    /// # Errors
    /// The genuine code of its state.
    pub fn check_writable(&self) -> Result<(), StoreError> {
        let state = self.state();
        let code = match state {
            state if state.takes_writes() => return Ok(()),
            ReplicaState::QuasiClosed | ReplicaState::Closed => Code::ClosedContainerIo,
            ReplicaState::Unhealthy => Code::ContainerUnhealthy,
            _ => Code::InvalidContainerState,
        };
        let id = self.id;
        Err(StoreError::new(
            code,
            format!("Requested operation not allowed as ContainerState is {state}, container {id}"),
        ))
    }

    /// Refuses reads of a container that is not usable (`KeyValueHandler.checkContainerIsHealthy`
    /// and `BlockUtils.verifyReplicaIdx`).
    ///
    /// # Errors
    /// `CONTAINER_NOT_FOUND` when another replica index is asked for.
    pub fn check_replica_index(&self, asked: Option<i32>) -> Result<(), StoreError> {
        let asked = asked.unwrap_or(0);
        if self.replica_index == 0
            || asked == 0
            || i64::from(asked) == i64::from(self.replica_index)
        {
            return Ok(());
        }
        Err(StoreError::new(
            Code::ContainerNotFound,
            format!(
                "The Container {} replicaIndex is {}, but {asked} was asked for",
                self.id, self.replica_index
            ),
        ))
    }

    /// File of a block.
    pub fn block_path(&self, local_id: i64) -> PathBuf {
        self.dir.join(format!("chunks/{local_id}.block"))
    }

    pub(crate) fn descriptor_path(&self) -> PathBuf {
        descriptor_path(&self.dir, self.id)
    }

    /// Bytes that were written to its files (positive) or removed from them; keeps the promises and
    /// the use of the disk in step.
    pub(crate) fn add_bytes(&self, delta: i64) {
        let before = self
            .counters
            .bytes_used
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| {
                Some(used.saturating_add_signed(delta))
            })
            .unwrap_or_else(|used| used);
        self.volume.space.add_used(delta);
        if self.state() == ReplicaState::Open && delta > 0 {
            let after = before.saturating_add_signed(delta);
            self.volume.space.add_committed(self.promise(after) - self.promise(before));
        }
    }

    /// What an open container of `used` bytes is promised.
    pub(crate) fn promise(&self, used: u64) -> i64 {
        i64::try_from(self.bytes_max.saturating_sub(used)).unwrap_or(i64::MAX)
    }
}

/// The descriptor's place in a container's directory.
pub(crate) fn descriptor_path(dir: &Path, id: ContainerId) -> PathBuf {
    dir.join(format!("metadata/{id}.container"))
}
