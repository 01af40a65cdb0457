//! The reports of a heartbeat.

use hdds_proto::convert;
use hdds_proto::hdds::{
    ContainerReportsProto, DatanodeDetailsProto, LayoutVersionProto, MetadataStorageReportProto,
    NodeReportProto, PipelineReport, PipelineReportsProto, Port, StorageTypeProto,
};
use hdds_types::PipelineId;
use multiraft::Role;

use crate::identity::{CURRENT_VERSION, LAYOUT_VERSION};
use crate::node::{Node, Services};

/// Who we are, with the ports in use.
pub fn details(node: &Node, services: Option<&Services>) -> DatanodeDetailsProto {
    let identity = node.identity.lock().clone();
    let network = node.network.lock().clone();
    let id = convert::datanode_id_proto(identity.id);
    let mut ports = vec![port("STANDALONE", node.address.port())];
    ports.extend(node.http_port.map(|number| port("HTTP", number)));
    if let Some(services) = services {
        let (server, client, admin) = services.raft.addresses();
        ports.push(port("RATIS", client.port()));
        ports.push(port("RATIS_ADMIN", admin.port()));
        ports.push(port("RATIS_SERVER", server.port()));
    }
    DatanodeDetailsProto {
        uuid: Some(identity.id.to_string()),
        ip_address: identity.ip_address,
        host_name: identity.host_name,
        ports,
        network_name: network.name,
        network_location: network.location,
        persisted_op_state: Some(convert::operational_state_proto(identity.state).into()),
        persisted_op_state_expiry: Some(identity.state_expiry),
        current_version: Some(CURRENT_VERSION),
        uuid128: Some(id.uuid),
        id: Some(id),
        ..DatanodeDetailsProto::default()
    }
}

fn port(name: &str, value: u16) -> Port {
    Port { name: name.to_owned(), value: u32::from(value) }
}

/// Our layout, on disk and in the software.
pub fn layout(services: &Services) -> LayoutVersionProto {
    LayoutVersionProto {
        metadata_layout_version: services.layout,
        software_layout_version: LAYOUT_VERSION,
    }
}

/// Disks, and the directories of the Raft logs.
pub fn node_report(node: &Node, services: &Services) -> NodeReportProto {
    let metadata = node.settings.ratis_storage.iter().map(|path| {
        let fs = container_store::volume::file_system(path).ok();
        MetadataStorageReportProto {
            storage_location: path.display().to_string(),
            storage_type: Some(StorageTypeProto::Disk.into()),
            capacity: fs.map(|fs| fs.capacity),
            scm_used: Some(0),
            remaining: fs.map(|fs| fs.available),
            failed: Some(fs.is_none()),
        }
    });
    NodeReportProto {
        storage_report: services.store.storage_reports(),
        metadata_storage_report: metadata.collect(),
        db_storage_report: Vec::new(),
    }
}

/// Every container.
pub fn container_report(services: &Services) -> ContainerReportsProto {
    ContainerReportsProto { reports: services.store.container_reports() }
}

/// Every pipeline and whether we lead it.
pub fn pipeline_report(services: &Services) -> PipelineReportsProto {
    let groups = services.raft.groups();
    let line = |group| {
        let info = services.raft.info(group)?;
        Some(PipelineReport {
            pipeline_id: convert::pipeline_id_proto(PipelineId(group)),
            is_leader: matches!(info.leadership.role, Role::Leader { .. }),
            ..PipelineReport::default()
        })
    };
    PipelineReportsProto { pipeline_report: groups.into_iter().filter_map(line).collect() }
}
