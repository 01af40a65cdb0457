//! Containers ever created here: `witnessed_container.db` in the metadata directory.
//!
//! A container that is listed but not on any disk is missing (its disk was lost). Creating it anew
//! would answer reads with less than was acknowledged, so writes to it are refused.

use std::sync::Arc;

use hdds_proto::datanode::ContainerCreateInfo;
use hdds_proto::datanode::container_data_proto::State;
use hdds_types::ContainerId;
use ozone_db::{Batch, DbError, Durability, Range, Store};
use parking_lot::RwLock;
use rustc_hash::FxHashSet;

use crate::tables::CONTAINER_CREATE_INFO;
use crate::{ReplicaState, StoreError};

/// The witness.
pub(crate) struct Witness {
    database: Arc<dyn Store>,
    missing: RwLock<FxHashSet<ContainerId>>,
}

impl Witness {
    pub(crate) fn new(database: Arc<dyn Store>) -> Self {
        Self { database, missing: RwLock::default() }
    }

    /// Every listed container.
    pub(crate) fn listed(&self) -> Result<Vec<ContainerId>, DbError> {
        let rows = CONTAINER_CREATE_INFO.rows(self.database.as_ref(), Range::ALL)?;
        Ok(rows.into_iter().map(|(id, _)| ContainerId(id)).collect())
    }

    /// Durable before the container's first byte is acknowledged.
    pub(crate) fn created(
        &self,
        id: ContainerId,
        state: ReplicaState,
        replica_index: u32,
    ) -> Result<(), StoreError> {
        let info = ContainerCreateInfo {
            state: State::from(state).into(),
            replica_index: i32::try_from(replica_index).ok(),
        };
        let mut batch = Batch::default();
        CONTAINER_CREATE_INFO.put(&mut batch, &id.0, &info);
        self.database.write(batch, Durability::Logged)?;
        self.missing.write().remove(&id);
        Ok(())
    }

    pub(crate) fn removed(&self, id: ContainerId) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        CONTAINER_CREATE_INFO.delete(&mut batch, &id.0);
        self.database.write(batch, Durability::Logged)?;
        self.missing.write().remove(&id);
        Ok(())
    }

    pub(crate) fn is_missing(&self, id: ContainerId) -> bool {
        self.missing.read().contains(&id)
    }

    pub(crate) fn add_missing(&self, ids: impl IntoIterator<Item = ContainerId>) {
        self.missing.write().extend(ids);
    }

    pub(crate) fn missing_count(&self) -> usize {
        self.missing.read().len()
    }

    pub(crate) fn flush(&self) -> Result<(), StoreError> {
        self.database.flush().map_err(StoreError::from)
    }
}
