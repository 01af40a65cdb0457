//! What the datanode counts, under Ozone's names.

use std::sync::Arc;

use ozone_metrics::Registry;

use crate::node::Node;

/// Every source of the datanode.
pub fn register(registry: &Registry, node: &Arc<Node>) {
    let seen = Arc::clone(node);
    registry.register(move |records| {
        let Some(services) = seen.services() else { return };
        let uuid = seen.identity.lock().id.to_string();
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
    });
}
