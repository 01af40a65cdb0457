//! What the datanode counts, under Ozone's names.

use std::sync::Arc;
use std::time::Duration;

use hdds_proto::datanode::{ContainerCommandRequestProto as Request, Type};
use ozone_metrics::{Counter, Kind, Rate, Records, Registry, Timer};

use crate::node::{Node, Services};

/// Commands beyond this number share the last slot.
const TYPES: usize = 32;

/// Container commands by type, and deletions.
#[derive(Debug, Default)]
pub struct CommandMetrics {
    slots: [Slot; TYPES],
    blocks_deleted: Counter,
    bytes_deleted: Counter,
}

#[derive(Debug, Default)]
struct Slot {
    latency: Rate,
    bytes: Counter,
    failures: Counter,
}

impl CommandMetrics {
    /// A command of this type was carried out here.
    pub fn done(&self, kind: Type, took: Duration, bytes: u64, failed: bool) {
        let number = usize::try_from(i32::from(kind)).unwrap_or(usize::MAX).min(TYPES - 1);
        let Some(slot) = self.slots.get(number) else { return };
        slot.latency.took(took);
        if bytes > 0 {
            slot.bytes.add(bytes);
        }
        if failed {
            slot.failures.inc();
        }
    }

    /// Blocks were removed from the disk.
    pub fn deleted(&self, blocks: u64, bytes: u64) {
        self.blocks_deleted.add(blocks);
        self.bytes_deleted.add(bytes);
    }

    fn collect(&self, records: &mut Records) {
        let named = || {
            let slots = self.slots.iter().enumerate();
            slots.filter_map(|(number, slot)| {
                let kind = Type::try_from(i32::try_from(number).ok()?).ok()?;
                Some((kind.as_str_name(), slot))
            })
        };
        let mut record = records.record("StorageContainerMetrics");
        record.context("dfs");
        record.counter("numOps", self.slots.iter().map(|slot| slot.latency.count()).sum());
        for (name, slot) in named() {
            record.counter(&format!("num{name}"), slot.latency.count());
            record.counter(&format!("bytes{name}"), slot.bytes.get());
            record.counter(&format!("num{name}Fails"), slot.failures.get());
            record.rate_ns(&format!("latencyNs{name}"), &slot.latency);
        }
        let mut dispatcher = records.record("HddsDispatcher");
        for (name, slot) in named() {
            let label = ("type", name);
            let count = slot.latency.count() as f64;
            dispatcher.labelled("counter", Kind::Counter, label, count);
            let millis = (slot.latency.sum() / 1_000_000) as f64;
            dispatcher.labelled("time", Kind::Counter, label, millis);
        }
        let mut deleting = records.record("BlockDeletingServiceMetrics");
        deleting.context("dfs");
        deleting.counter("SuccessCount", self.blocks_deleted.get());
        deleting.counter("SuccessBytes", self.bytes_deleted.get());
    }
}

/// Bytes of a block that a command carries or asks for.
pub fn bytes_of(request: &Request) -> u64 {
    let write = request.write_chunk.as_ref().and_then(|write| Some(write.chunk_data.as_ref()?.len));
    let read = || request.read_chunk.as_ref().map(|read| read.chunk_data.len);
    let small = || request.put_small_file.as_ref().map(|put| put.data.len() as u64);
    write.or_else(read).or_else(small).unwrap_or(0)
}

/// Heartbeats to SCMs and Recon.
#[derive(Debug, Default)]
pub struct HeartbeatMetrics {
    took: Timer,
    failures: Counter,
}

impl HeartbeatMetrics {
    /// One was sent.
    pub fn done(&self, took: Duration, failed: bool) {
        self.took.took(took);
        if failed {
            self.failures.inc();
        }
    }
}

/// Every source of the datanode.
pub fn register(registry: &Registry, node: &Arc<Node>) {
    if let Some(audit) = node.audit.clone() {
        registry.register(move |records| audit.collect(records));
    }
    let seen = Arc::clone(node);
    registry.register(move |records| {
        let mut heartbeats = records.record("HeartbeatMetrics");
        heartbeats.timer_ms("Heartbeat", &seen.heartbeats.took);
        heartbeats.counter("HeartbeatFailures", seen.heartbeats.failures.get());
        let Some(services) = seen.services() else { return };
        services.dispatcher.metrics.collect(records);
        volumes(records, &seen, &services);
        services.raft.collect(records);
    });
}

fn volumes(records: &mut Records, node: &Node, services: &Services) {
    let uuid = node.identity.lock().id.to_string();
    for report in services.store.storage_reports() {
        let path = &report.storage_location;
        let mut volume = records.record(&format!("VolumeInfoMetrics-{path}"));
        volume.context("ozone").tag("datanodeUuid", &uuid).tag("storageDirectory", path);
        volume.tag("volumeState", if report.failed() { "FAILED" } else { "NORMAL" });
        volume.gauge("OzoneCapacity", report.capacity.unwrap_or(0));
        volume.gauge("OzoneUsed", report.scm_used.unwrap_or(0));
        volume.gauge("OzoneAvailable", report.remaining.unwrap_or(0));
        volume.gauge("Committed", report.committed.unwrap_or(0));
    }
    for volume in services.store.volumes() {
        let path = volume.root().display();
        let name = format!("VolumeIOStats-{path}");
        let mut record = records.record_as("VolumeIOStats", &name);
        volume.collect(record.tag("storageDirectory", path));
    }
}
