//! What a datanode does by the clock: deleting blocks, checking and measuring its disks.

use std::sync::Arc;
use std::time::Duration;

use container_store::Container;
use tokio::time::{MissedTickBehavior, interval_at};

use crate::memory::{self, Resident};
use crate::node::{Node, Services};

/// Starts all of it; it ends with the node.
pub fn start(node: &Arc<Node>, services: &Arc<Services>) {
    let settings = node.settings.clone();
    every(node, services, settings.block_deleting_interval, |_, services| {
        let round = services.store.delete_blocks(&|container| may_delete(services, container));
        services.dispatcher.metrics.deleted(round.blocks as u64, round.bytes);
        if round.blocks > 0 {
            tracing::info!(blocks = round.blocks, bytes = round.bytes, "blocks removed");
        }
    });
    every(node, services, settings.disk_check_interval, |node, services| {
        if services.store.check_volumes() {
            node.outbox.report_node_now();
        }
    });
    let resident = Resident::default();
    every(node, services, memory::INTERVAL, move |_, services| {
        services.store.trim_buffers();
        resident.give_back();
    });
    every(node, services, settings.usage_refresh_interval, |_, services| {
        services.store.volumes().iter().for_each(|volume| volume.measure_used());
    });
}

/// Runs `job` on a thread of its own, again and again; a slow one delays the next.
fn every(
    node: &Arc<Node>,
    services: &Arc<Services>,
    interval: Duration,
    job: impl Fn(&Node, &Services) + Send + Sync + 'static,
) {
    let (node, services, job) = (node.clone(), services.clone(), Arc::new(job));
    let stop = node.stop.clone();
    let tasks = node.tasks.clone();
    tasks.spawn(async move {
        let interval = interval.max(Duration::from_millis(1));
        let mut ticks = interval_at(tokio::time::Instant::now() + interval, interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let (node, services, job) = (node.clone(), services.clone(), job.clone());
            let ran = tokio::task::spawn_blocking(move || job(&node, &services));
            if let Err(error) = ran.await {
                tracing::error!(%error, "a background job failed");
            }
        }
    });
}

/// Blocks of a container whose pipeline lives on are only removed once every member has applied what
/// this replica has: a slow follower may still ask for their bytes.
fn may_delete(services: &Services, container: &Container) -> bool {
    let Ok(group) = container.origin_pipeline().parse() else { return true };
    let Some(info) = services.raft.info(group) else { return true };
    let least = info.commits.iter().map(|commit| commit.commit_index).min();
    least.is_some_and(|least| least >= container.bcsid())
}
