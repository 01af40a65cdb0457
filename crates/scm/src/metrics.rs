//! What SCM counts, under Ozone's names.

use hdds_types::NodeHealth;
use ozone_metrics::{Records, Registry};
use scm_core::Core;

use crate::http::{About, CONTAINER_STATES, Sources};

/// Every source of SCM.
pub fn register(registry: &Registry, about: &About, sources: Sources) {
    let shared = about.shared.clone();
    registry.register(move |records| {
        // What the lock is held for is counting; writing comes after it.
        let seen = shared.read(Seen::new);
        seen.collect(records);
    });
    let raft = about.raft.clone();
    registry.register(move |records| raft.collect(records));
    let Sources { calls, store, audit, rpc } = sources;
    if let Some(audit) = audit {
        registry.register(move |records| audit.collect(records));
    }
    for server in rpc {
        registry.register(server);
    }
    registry.register(move |records| {
        for table in [&calls.location, &calls.block, &calls.datanode] {
            table.collect(records);
        }
        use hdds_proto::block::Type;
        let mut performance = records.record("SCMPerformanceMetrics");
        for (name, kind) in [
            ("AllocateBlockSuccessLatencyNs", Type::AllocateScmBlock),
            ("DeleteKeySuccessLatencyNs", Type::DeleteScmKeyBlocks),
        ] {
            let count = calls.block.calls(kind.into());
            let average = calls.block.nanos(kind.into()).checked_div(count).unwrap_or(0);
            performance.counter(&format!("{name}NumOps"), count);
            performance.gauge(&format!("{name}AvgTime"), average);
        }
        let blocks = calls.blocks_allocated.get();
        records.record("SCMPipelineMetrics").context("ozone").counter("NumBlocksAllocated", blocks);
        let heartbeats = calls.datanode.calls(hdds_proto::hdds::Type::SendHeartbeat.into());
        records.record("SCMNodeManager").context("ozone").counter("NumHBProcessed", heartbeats);
    });
    registry.register(move |records| {
        let bean = "Hadoop:service=StorageContainerManager,name=Rocksdb_scm.db".to_owned();
        let mut rocks = records.plain("rocksdb_scm_db", bean);
        for (name, value) in store.gauges() {
            rocks.gauge(&name, value);
        }
    });
}

/// What one look at the core found.
struct Seen {
    containers: [(&'static str, u64); CONTAINER_STATES.len()],
    containers_total: usize,
    nodes: Vec<(NodeHealth, &'static str, [u64; 3])>,
    pipelines: Vec<&'static str>,
    in_safe_mode: bool,
    datanodes_required: usize,
    healthy_pipelines: usize,
    leads: bool,
}

impl Seen {
    fn new(core: &Core) -> Self {
        let nodes = core.nodes.iter().map(|node| {
            let mut space = [0; 3];
            for report in &node.storage {
                let parts = [report.capacity, report.scm_used, report.remaining];
                for (sum, part) in space.iter_mut().zip(parts) {
                    *sum += part.unwrap_or(0);
                }
            }
            (node.health, node.operational.name(), space)
        });
        Self {
            containers: CONTAINER_STATES
                .map(|state| (state.name(), core.ledger.container_count(state))),
            containers_total: core.ledger.containers_total(),
            nodes: nodes.collect(),
            pipelines: core.ledger.pipelines().map(|pipeline| pipeline.state.name()).collect(),
            in_safe_mode: core.safe_mode.is_active(),
            datanodes_required: core.rules.safe_mode_datanodes_min,
            healthy_pipelines: core.ledger.pipelines().filter(|p| p.is_healthy()).count(),
            leads: core.leader_term.is_some(),
        }
    }

    fn collect(&self, records: &mut Records) {
        let mut containers = records.record("SCMContainerMetrics");
        containers.gauge("TotalContainers", self.containers_total);
        for (state, count) in self.containers {
            let state: String = state.split('_').map(capitalized).collect();
            containers.gauge(&format!("{state}Containers"), count);
        }
        self.nodes(records);
        let mut pipelines = records.record("SCMPipelineMetrics");
        pipelines.context("ozone");
        for state in ["ALLOCATED", "OPEN", "DORMANT", "CLOSED"] {
            let count = self.pipelines.iter().filter(|other| **other == state).count();
            pipelines.gauge(&format!("Num{}Pipelines", capitalized(state)), count);
        }
        let mut safe_mode = records.record("SafeModeMetrics");
        safe_mode.gauge("ScmInSafeMode", self.in_safe_mode);
        safe_mode.gauge("CurrentRegisteredDatanodesCount", self.nodes.len());
        safe_mode.gauge("NumRequiredDatanodesThreshold", self.datanodes_required);
        safe_mode.gauge("CurrentHealthyPipelinesCount", self.healthy_pipelines);
        records.record("SCMHAMetrics").gauge("SCMHALeaderState", self.leads);
    }

    /// `SCMNodeManager`'s names: `InServiceHealthyNodes`, …, and space.
    fn nodes(&self, records: &mut Records) {
        let mut nodes = records.record("SCMNodeManager");
        nodes.context("ozone").gauge("AllNodes", self.nodes.len());
        let healths =
            [NodeHealth::Healthy, NodeHealth::HealthyReadonly, NodeHealth::Stale, NodeHealth::Dead];
        for operational in [
            "IN_SERVICE",
            "DECOMMISSIONING",
            "DECOMMISSIONED",
            "ENTERING_MAINTENANCE",
            "IN_MAINTENANCE",
        ] {
            for health in healths {
                let is = |node: &&(NodeHealth, &str, _)| node.0 == health && node.1 == operational;
                let name: String = operational
                    .split('_')
                    .chain(health.name().split('_'))
                    .map(capitalized)
                    .collect();
                let count = self.nodes.iter().filter(is).count();
                nodes.gauge(&format!("{name}Nodes"), count);
            }
        }
        for (n, name) in ["TotalCapacity", "TotalUsed", "TotalRemaining"].into_iter().enumerate() {
            let sum: u64 = self.nodes.iter().filter_map(|node| node.2.get(n)).sum();
            nodes.gauge(name, sum);
        }
        for (n, name) in ["DiskCapacity", "DiskUsed", "DiskRemaining"].into_iter().enumerate() {
            let sum: u64 = self.nodes.iter().filter_map(|node| node.2.get(n)).sum();
            nodes.gauge(name, sum);
        }
    }
}

fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().into_iter();
    first.chain(letters.map(|letter| letter.to_ascii_lowercase())).collect()
}
