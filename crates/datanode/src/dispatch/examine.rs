//! A read that failed makes the datanode look for itself (`OnDemandContainerScanner`): the client may have asked for what
//! never was, or the block file may be damaged.

use std::time::{Duration, Instant};

use container_store::chunk::ChunkWrite;
use container_store::{Code, Container, ReplicaState, StoreError};
use hdds_proto::datanode::ContainerCommandRequestProto as Request;

use super::Dispatcher;

/// Least time between two examinations, so that wrong requests cost little.
const GAP_MIN: Duration = Duration::from_secs(1);

impl Dispatcher {
    /// Reads the block that a failed read was about, on the thread of the caller. What does not fit its checksums marks the
    /// container unhealthy. Only containers that take no more writes: in others a block may be ahead of its file.
    pub(super) fn examine(&self, container: &Container, request: &Request, error: &StoreError) {
        let suspicious = matches!(error.code, Code::UnableToFindChunk | Code::IoException);
        let settled = matches!(container.state(), ReplicaState::Closed | ReplicaState::QuasiClosed);
        if !suspicious || !settled || !self.may_examine() {
            return;
        }
        let read = request.read_chunk.as_ref().map(|read| read.block_id);
        let small = request.get_small_file.as_ref().map(|small| small.block.block_id);
        let Some(id) = read.or(small) else { return };
        // A block that is not in the table never was, or was deleted.
        let Ok(block) = self.store.get_block(container, &id) else { return };
        for info in block.chunks {
            let chunk = ChunkWrite { local_id: id.local_id, info, data: bytes::Bytes::new() };
            if let Err(error) = self.store.read_chunk_verified(container, &chunk) {
                tracing::error!(container = %container.id(), block = id.local_id, %error, "damaged block found");
                return self.doubt(container, &error);
            }
        }
    }

    fn may_examine(&self) -> bool {
        let mut last = self.examined.lock();
        let now = Instant::now();
        let may = last.is_none_or(|last| now.duration_since(last) >= GAP_MIN);
        if may {
            *last = Some(now);
        }
        may
    }
}
