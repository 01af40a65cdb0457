//! Ids, states, replication and pipelines of the block layer: pure data, no serialization.
//!
//! `hdds-proto` carries these over the wire (`convert` there); `scm-core`, `container-store` and the
//! clients reason with them. Life cycles are one `match` each: see [`ContainerState::on`].

pub mod block;
pub mod container;
pub mod id;
pub mod node;
pub mod pipeline;
pub mod replication;

pub use block::BlockId;
pub use container::{ContainerEvent, ContainerState, InvalidTransition};
pub use id::{ContainerId, DatanodeId, LocalId, PipelineId};
pub use node::{NodeHealth, OperationalState};
pub use pipeline::PipelineState;
pub use replication::{Ec, EcCodec, ReplicationConfig, ReplicationFactor};
