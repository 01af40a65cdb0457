//! Containers on the disks of a datanode.
//!
//! ```text
//!  ContainerStore ── id ─► Container ─┬─► .container     YAML descriptor with its own checksum
//!   │                                 ├─► chunks/<localID>.block     data, chunk offset = file offset
//!   ├── WitnessedContainers           └─► Volume ─┬─► container.db   block table of all its containers
//!   └── Volume … one per disk                     ├─► Space          what may still be put here
//!                                                 └─► DiskThreads    writes in lanes, reads beside
//! ```
//! The layout on disk is Ozone's (FILE_PER_BLOCK, schema V3; dn-disk.md), so that either side opens
//! the other's directories. Invariants:
//! - writes of one block run on one lane, in the order in which they were handed in;
//! - a PutBlock, its container's counters and its BCSID are one database write; a repeated one
//!   (index not above the container's BCSID) changes nothing;
//! - a container that was ever here and is gone is *missing*: it is not created a second time;
//! - calls block on the disk: run them on [`DiskThreads`], never on the async runtime.
//!
//! Start reading at [`ContainerStore`], then [`container`], [`block`] and [`chunk`].

pub mod block;
mod block_file;
pub mod chunk;
pub mod container;
mod create;
mod delete;
pub mod descriptor;
pub mod disk;
mod error;
mod life;
pub mod report;
mod scan;
pub mod settings;
mod state;
mod store;
pub mod tables;
pub mod volume;
mod witness;

pub use block::{CommittedBlock, PutBlock};
pub use chunk::ChunkWrite;
pub use container::Container;
pub use create::NewContainer;
pub use delete::{DeleteOutcome, DeletionRound};
pub use disk::DiskThreads;
pub use error::{Code, StoreError};
pub use settings::{OpenDatabase, StoreSettings, VolumeSettings};
pub use state::{ReplicaEvent, ReplicaState};
pub use store::{ContainerStore, StateChanges};
pub use volume::{StorageType, Volume};
