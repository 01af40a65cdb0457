//! What the OM counts, under Ozone's names.

use std::sync::Arc;

use multiraft::Role;
use ozone_metrics::Registry;

use crate::server::Service;

/// Every source of the OM.
pub(crate) fn register(registry: &Registry, service: &Arc<Service>) {
    let seen = Arc::clone(service);
    registry.register(move |records| {
        let leads = matches!(seen.leadership.borrow().role, Role::Leader { .. });
        let mut ha = records.record("OMHAMetrics");
        ha.tag("nodeId", &seen.settings.node).gauge("OzoneManagerHALeaderState", leads);
    });
}
