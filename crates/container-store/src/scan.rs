//! Start-up: every container directory of every disk, and its counters.

use std::fs;
use std::ops::{Bound, ControlFlow};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hdds_types::ContainerId;
use ozone_db::{Batch, Durability, Range};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::container::{Presence, descriptor_path};
use crate::descriptor::{Descriptor, LAYOUT_FILE_PER_BLOCK, SCHEMA_V3};
use crate::tables::{self, BLOCK_DATA, FINALIZE_BLOCKS, METADATA};
use crate::{Container, ContainerStore, ReplicaState, StoreError, Volume, block};

/// Loads all disks at the same time.
pub(crate) fn load(store: &ContainerStore) {
    std::thread::scope(|scope| {
        for volume in store.volumes() {
            scope.spawn(|| {
                let loaded = load_volume(store, volume);
                let volume = volume.root().display();
                match loaded {
                    Ok(containers) => tracing::info!(%volume, containers, "disk loaded"),
                    Err(error) => tracing::error!(%volume, %error, "disk not fully loaded"),
                }
            });
        }
    });
}

fn load_volume(store: &ContainerStore, volume: &Arc<Volume>) -> Result<usize, StoreError> {
    let finalized = finalized_blocks(volume)?;
    let mut count = 0;
    for dir in container_dirs(&volume.current_dir()) {
        match load_container(store, volume, &dir) {
            Ok(Some(container)) => {
                if let Some(blocks) = finalized.get(&container.id()) {
                    container.finalized.write().extend(blocks);
                }
                count += 1;
                enter(store, container);
            }
            Ok(None) => {}
            Err(error) => {
                tracing::error!(dir = %dir.display(), %error, "container not loaded");
            }
        }
    }
    Ok(count)
}

fn container_dirs(current: &Path) -> Vec<PathBuf> {
    let entries = |dir: &Path| -> Vec<PathBuf> {
        fs::read_dir(dir).map_or_else(|_| Vec::new(), |d| d.flatten().map(|e| e.path()).collect())
    };
    let is_numbered = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().parse::<u64>().is_ok())
    };
    entries(current).iter().flat_map(|dir| entries(dir)).filter(is_numbered).collect()
}

/// `None` for leftovers, which are removed.
fn load_container(
    store: &ContainerStore,
    volume: &Arc<Volume>,
    dir: &Path,
) -> Result<Option<Container>, anyhow::Error> {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let id = ContainerId(name.parse()?);
    let path = descriptor_path(dir, id);
    if !path.exists() {
        // The descriptor is written last: without it the container was never created.
        tracing::warn!(dir = %dir.display(), "removing a container that was never complete");
        return remove_leftover(store, volume, id, dir);
    }
    let descriptor = Descriptor::read(&path, store.settings.verify_descriptors)?;
    anyhow::ensure!(descriptor.id == id, "the descriptor names container {}", descriptor.id);
    anyhow::ensure!(
        descriptor.layout_version == LAYOUT_FILE_PER_BLOCK
            && descriptor.schema_version == SCHEMA_V3,
        "layout {} with schema {} is not supported; migrate it with `ozone repair`",
        descriptor.layout_version,
        descriptor.schema_version
    );
    if matches!(descriptor.state, ReplicaState::Deleted | ReplicaState::Recovering) {
        tracing::info!(container = %id, state = %descriptor.state, "removing a leftover");
        return remove_leftover(store, volume, id, dir);
    }
    let container = Container::new(volume.clone(), dir.to_owned(), descriptor, Presence::OnDisk);
    load_counters(&container)?;
    if container.state() == ReplicaState::Open {
        volume.space.add_committed(container.promise(container.bytes_used()));
    }
    Ok(Some(container))
}

fn remove_leftover(
    store: &ContainerStore,
    volume: &Volume,
    id: ContainerId,
    dir: &Path,
) -> Result<Option<Container>, anyhow::Error> {
    fs::remove_dir_all(dir)?;
    store.remove_rows(volume, id)?;
    store.witness.removed(id)?;
    Ok(None)
}

/// Of two replicas on different disks the more useful one counts; the other is left alone.
fn enter(store: &ContainerStore, container: Container) {
    let rank = |c: &Container| {
        let state = match c.state() {
            ReplicaState::Closed => 3,
            ReplicaState::QuasiClosed => 2,
            ReplicaState::Unhealthy | ReplicaState::Invalid => 0,
            _ => 1,
        };
        (state, c.bcsid())
    };
    let container = Arc::new(container);
    let mut containers = store.containers.write();
    if let Some(other) = containers.get(&container.id()) {
        let (kept, left) =
            if rank(other) >= rank(&container) { (other, &container) } else { (&container, other) };
        tracing::error!(
            container = %container.id(), kept = %kept.dir().display(), left = %left.dir().display(),
            "a container is on two disks"
        );
        if Arc::ptr_eq(kept, other) {
            return;
        }
    }
    containers.insert(container.id(), container);
}

fn load_counters(container: &Container) -> Result<(), StoreError> {
    let id = container.id();
    let database = container.volume().database();
    let counter = |name: &str| -> Result<Option<i64>, StoreError> {
        let value = database.get(METADATA, &tables::key(id, name))?;
        Ok(value.and_then(|bytes| bytes.first_chunk::<8>().map(|b| i64::from_be_bytes(*b))))
    };
    let counters = &container.counters;
    let bcsid = counter(tables::BCSID)?.unwrap_or(0).max(0);
    counters.bcsid.store(bcsid.cast_unsigned(), Ordering::Release);
    let transaction = counter(tables::DELETE_TRANSACTION)?.unwrap_or(0);
    counters.delete_transaction.store(transaction, Ordering::Release);
    let pending = counter(tables::PENDING_DELETE_COUNT)?.unwrap_or(0);
    counters.pending_deletes.store(pending, Ordering::Release);
    let bytes = counter(tables::PENDING_DELETE_BYTES)?.unwrap_or(0);
    counters.pending_delete_bytes.store(bytes, Ordering::Release);
    match (counter(tables::BLOCK_COUNT)?, counter(tables::BYTES_USED)?) {
        (Some(blocks), Some(used)) if blocks >= 0 && used >= 0 => {
            counters.blocks.store(blocks, Ordering::Release);
            counters.bytes_used.store(used.cast_unsigned(), Ordering::Release);
        }
        _ => recount(container)?,
    }
    Ok(())
}

/// Rows are missing: counts the blocks and writes what was found.
fn recount(container: &Container) -> Result<(), StoreError> {
    let id = container.id();
    let (mut blocks, mut used) = (0_i64, 0_i64);
    let (from, to) = (tables::prefix(id), tables::prefix_end(id));
    let range = Range { from: Bound::Included(&from), to: Bound::Excluded(&to) };
    container.volume().database().visit(BLOCK_DATA, range, &mut |key, value| {
        if tables::number_of(key).is_some()
            && let Ok(data) = block::decode(BLOCK_DATA, value)
        {
            blocks += 1;
            used = used.saturating_add(block::sum(&data.chunks));
        }
        ControlFlow::Continue(())
    })?;
    container.counters.blocks.store(blocks, Ordering::Release);
    container.counters.bytes_used.store(used.max(0).cast_unsigned(), Ordering::Release);
    if blocks == 0 {
        return Ok(());
    }
    let mut batch = Batch::default();
    batch.put(METADATA, tables::key(id, tables::BLOCK_COUNT), tables::counter(blocks));
    batch.put(METADATA, tables::key(id, tables::BYTES_USED), tables::counter(used));
    container.volume().database().write(batch, Durability::Logged)?;
    Ok(())
}

type Finalized = FxHashMap<ContainerId, FxHashSet<i64>>;

fn finalized_blocks(volume: &Volume) -> Result<Finalized, StoreError> {
    let mut finalized = Finalized::default();
    volume.database().visit(FINALIZE_BLOCKS, Range::ALL, &mut |key, _| {
        if let (Some(container), Some(local_id)) =
            (tables::container_of(key), tables::number_of(key))
        {
            finalized.entry(container).or_default().insert(local_id);
        }
        ControlFlow::Continue(())
    })?;
    Ok(finalized)
}
