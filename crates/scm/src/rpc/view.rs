//! State as answers show it.

use hdds_proto::container::{DatanodeUsageInfoRequestProto, ScmListContainerRequestProto};
use hdds_proto::hdds;
use hdds_types::{ContainerId, ContainerState};
use scm_core::ledger::Container;
use scm_core::node::Node;
use scm_core::{Core, convert};

/// Datanodes in one answer about the most or least used.
const USAGE_MAX: usize = 10_000;

/// A datanode with its state.
pub fn node(node: &Node) -> hdds::Node {
    let failed = |volume: &&hdds::StorageReportProto| volume.failed == Some(true);
    let failed_volumes: Vec<String> =
        node.storage.iter().filter(failed).map(|v| v.storage_location.clone()).collect();
    hdds::Node {
        node_id: (*node.details).clone(),
        node_states: vec![convert::node_health_proto(node.health).into()],
        node_operational_states: vec![convert::operational_state_proto(node.operational).into()],
        total_volume_count: Some(node.storage.len() as i32),
        healthy_volume_count: Some(node.healthy_volumes() as i32),
        failed_volumes,
    }
}

/// Datanodes in these states; `None` means any.
pub fn nodes(core: &Core, health: Option<i32>, operational: Option<i32>) -> Vec<hdds::Node> {
    core.nodes
        .iter()
        .map(node)
        .filter(|node| health.is_none_or(|state| node.node_states.contains(&state)))
        .filter(|node| operational.is_none_or(|s| node.node_operational_states.contains(&s)))
        .collect()
}

/// Copies of a container; `None` where there is no such container.
pub fn replicas(core: &Core, id: ContainerId) -> Option<Vec<hdds::ScmContainerReplicaProto>> {
    let container = core.ledger.container(id)?;
    let replicas = container.replicas.iter().filter_map(|replica| {
        let node = core.nodes.at(replica.node)?;
        let origin = replica.origin.and_then(|origin| core.nodes.id(origin));
        Some(hdds::ScmContainerReplicaProto {
            container_id: id.0.cast_signed(),
            state: replica.state.name().to_owned(),
            datanode_details: (*node.details).clone(),
            place_of_birth: origin.unwrap_or(node.id).to_string(),
            sequence_id: replica.sequence,
            key_count: replica.keys.cast_signed(),
            bytes_used: replica.used_bytes.cast_signed(),
            replica_index: Some(replica.index.into()),
            data_checksum: Some(replica.checksum),
        })
    });
    Some(replicas.collect())
}

/// Whether a container is among those that are asked for.
pub fn matches(container: &Container, filter: &ScmListContainerRequestProto) -> bool {
    let (kind, factor, ec) = convert::replication_proto(container.replication);
    let state = i32::from(convert::container_state_proto(container.state));
    filter.state.is_none_or(|wanted| wanted == state)
        && filter.r#type.is_none_or(|wanted| wanted == i32::from(kind))
        && filter.factor.is_none_or(|wanted| Some(wanted) == factor)
        && (filter.ec_replication_config.is_none() || filter.ec_replication_config == ec)
        && filter.suppressed.is_none_or(|wanted| wanted == container.suppressed)
}

/// Use of one datanode, or of the most or least used.
pub fn usage(
    core: &Core,
    request: &DatanodeUsageInfoRequestProto,
) -> Vec<hdds::DatanodeUsageInfoProto> {
    let named = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    if let Some(uuid) = named(&request.uuid) {
        let node = uuid.parse().ok().and_then(|id| core.nodes.get(id));
        return node.map(|node| usage_of(core, node)).into_iter().collect();
    }
    if let Some(address) = named(&request.ipaddress) {
        let at =
            |node: &&Node| node.details.ip_address == address || node.details.host_name == address;
        return core.nodes.iter().filter(at).map(|node| usage_of(core, node)).collect();
    }
    let mut all: Vec<_> = core.nodes.iter().map(|node| usage_of(core, node)).collect();
    all.sort_by(|a, b| used_share(a).total_cmp(&used_share(b)));
    if request.most_used.unwrap_or(false) {
        all.reverse();
    }
    all.truncate(request.count.map_or(USAGE_MAX, |count| (count as usize).min(USAGE_MAX)));
    all
}

/// Containers by state. Time 0 says that their health was not looked at yet.
pub fn replication_report(core: &Core) -> hdds::ReplicationManagerReportProto {
    use ContainerState::{Closed, Closing, Deleted, Deleting, Open, QuasiClosed};
    let stat = [Open, Closing, QuasiClosed, Closed, Deleting, Deleted].map(|state| {
        let count = core.ledger.container_count(state).cast_signed();
        hdds::KeyIntValue { key: state.name().to_owned(), value: Some(count) }
    });
    hdds::ReplicationManagerReportProto {
        timestamp: 0,
        stat: stat.to_vec(),
        ..hdds::ReplicationManagerReportProto::default()
    }
}

fn used_share(info: &hdds::DatanodeUsageInfoProto) -> f64 {
    let capacity = info.capacity.unwrap_or(0);
    let remaining = info.remaining.unwrap_or(0);
    if capacity == 0 { 0.0 } else { (capacity - remaining) as f64 / capacity as f64 }
}

fn usage_of(core: &Core, node: &Node) -> hdds::DatanodeUsageInfoProto {
    let sum = |field: fn(&hdds::StorageReportProto) -> Option<u64>| {
        let total: u64 = node.storage.iter().filter_map(field).sum();
        Some(total.cast_signed())
    };
    hdds::DatanodeUsageInfoProto {
        capacity: sum(|volume| volume.capacity),
        used: sum(|volume| volume.scm_used),
        remaining: sum(|volume| volume.remaining),
        node: Some((*node.details).clone()),
        container_count: Some(node.containers.len() as i64),
        committed: sum(|volume| volume.committed),
        free_space_to_spare: sum(|volume| volume.free_space_to_spare),
        pipeline_count: Some(core.ledger.pipelines_of(node.id).count() as i64),
        reserved: sum(|volume| volume.reserved),
        fs_capacity: sum(|volume| volume.fs_capacity),
        fs_available: sum(|volume| volume.fs_available),
    }
}
