//! Numbers that the rules go by. Filled from the configuration by `scm/src/settings.rs`.

use crate::Millis;

/// What to do about a replica of a container that SCM does not know
/// (`hdds.scm.unknown-container.action`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnknownContainer {
    /// Leave it.
    Warn,
    /// Have the datanode delete it.
    Delete,
}

/// Limits and times. Defaults are those of Ozone 2.2.0.
#[derive(Clone, Debug)]
pub struct Rules {
    /// No heartbeat for this long: stale (`ozone.scm.stale.node.interval`).
    pub stale_after_ms: Millis,
    /// No heartbeat for this long: dead (`ozone.scm.dead.node.interval`).
    pub dead_after_ms: Millis,
    /// Commands kept for one datanode; further ones are dropped and come again by their service.
    pub command_queue_max: usize,
    /// Commands in one heartbeat's answer.
    pub commands_per_heartbeat_max: usize,
    /// Bytes of a full container (`ozone.scm.container.size`).
    pub container_bytes: u64,
    /// A container that was made and not reported counts against a datanode's room for this long.
    pub pending_container_ms: Millis,
    /// Open containers per pipeline and owner and volume (`ozone.scm.pipeline.owner.container.count`).
    pub containers_per_owner: u64,
    /// RATIS/THREE pipelines per datanode (`ozone.scm.datanode.pipeline.limit`); 0 = by disks.
    pub pipelines_per_datanode: u64,
    /// RATIS/THREE pipelines per metadata volume (`ozone.scm.pipeline.per.metadata.disk`).
    pub pipelines_per_metadata_volume: u64,
    /// RATIS pipelines in the cluster (`ozone.scm.ratis.pipeline.limit`); 0 = no limit.
    pub pipelines_max: u64,
    /// Whether RATIS/ONE pipelines are made ahead of use (`ozone.scm.pipeline.creation.auto.factor.one`).
    pub auto_factor_one: bool,
    /// Free bytes that a metadata volume needs for a pipeline
    /// (`ozone.scm.datanode.ratis.volume.free-space.min`).
    pub metadata_free_bytes_min: u64,
    /// A pipeline not open after this long is given up (`ozone.scm.pipeline.allocated.timeout`).
    pub pipeline_allocated_timeout_ms: Millis,
    /// A closed pipeline is removed after this long (`ozone.scm.pipeline.destroy.timeout`).
    pub pipeline_destroy_timeout_ms: Millis,
    /// Pipelines may be made while in safe mode (`hdds.scm.safemode.pipeline.creation`).
    pub pipelines_in_safe_mode: bool,
    /// Time for writers to finish before a container closes (`ozone.scm.close.container.wait.duration`).
    pub close_wait_ms: Millis,
    /// A close that had no effect is sent again after this long (`hdds.scm.replication.thread.interval`).
    pub close_resend_ms: Millis,
    /// Replicas of unknown containers.
    pub unknown_container: UnknownContainer,
    /// Ids taken from the log at a time (`ozone.scm.sequence.id.batch.size`).
    pub id_batch: i64,
    /// Safe mode at start (`hdds.scm.safemode.enabled`).
    pub safe_mode: bool,
    /// Datanodes to leave safe mode (`hdds.scm.safemode.min.datanode`).
    pub safe_mode_datanodes_min: usize,
    /// Fraction of containers with a replica (`hdds.scm.safemode.threshold.pct`).
    pub safe_mode_containers: f64,
    /// Fraction of pipelines that must be healthy (`hdds.scm.safemode.healthy.pipeline.pct`).
    pub safe_mode_healthy_pipelines: f64,
    /// Fraction of pipelines with a report (`hdds.scm.safemode.atleast.one.node.reported.pipeline.pct`).
    pub safe_mode_reported_pipelines: f64,
    /// Services wait this long after safe mode (`hdds.scm.wait.time.after.safemode.exit`).
    pub wait_after_safe_mode_ms: Millis,
    /// Blocks deleted per round, counted per replica (`hdds.scm.block.deletion.per-interval.max`).
    pub deletion_blocks_max: usize,
    /// deleteBlocks commands that a datanode may have waiting (`hdds.datanode.block.delete.queue.limit`).
    pub deletion_queue_max: usize,
    /// Spread of a round over datanodes (`ozone.scm.block.deletion.per.dn.distribution.factor`).
    pub deletion_spread: usize,
    /// Transactions whose acknowledgements are kept (`hdds.scm.block.deletion.txn.dn.commit.map.limit`).
    pub deletion_acks_max: usize,
    /// A deletion that was not acknowledged is sent again after this long.
    pub deletion_timeout_ms: Millis,
}

impl Default for Rules {
    fn default() -> Self {
        const SECOND: Millis = 1000;
        const MINUTE: Millis = 60 * SECOND;
        Self {
            stale_after_ms: 5 * MINUTE,
            dead_after_ms: 10 * MINUTE,
            command_queue_max: 100_000,
            commands_per_heartbeat_max: 5_000,
            container_bytes: 5 << 30,
            pending_container_ms: 10 * MINUTE,
            containers_per_owner: 3,
            pipelines_per_datanode: 2,
            pipelines_per_metadata_volume: 2,
            pipelines_max: 0,
            auto_factor_one: true,
            metadata_free_bytes_min: 1 << 30,
            pipeline_allocated_timeout_ms: 5 * MINUTE,
            pipeline_destroy_timeout_ms: 66 * SECOND,
            pipelines_in_safe_mode: true,
            close_wait_ms: 150 * SECOND,
            close_resend_ms: 300 * SECOND,
            unknown_container: UnknownContainer::Warn,
            id_batch: 1000,
            safe_mode: true,
            safe_mode_datanodes_min: 3,
            safe_mode_containers: 0.99,
            safe_mode_healthy_pipelines: 0.10,
            safe_mode_reported_pipelines: 0.90,
            wait_after_safe_mode_ms: 5 * MINUTE,
            deletion_blocks_max: 500_000,
            deletion_queue_max: 5,
            deletion_spread: 8,
            deletion_acks_max: 5_000_000,
            deletion_timeout_ms: 300 * SECOND,
        }
    }
}
