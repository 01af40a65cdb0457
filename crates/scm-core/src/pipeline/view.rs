//! Pipelines as clients see them.

use hdds_proto::hdds::{self, DatanodeDetailsProto};
use hdds_types::{PipelineId, ReplicationConfig};

use crate::ledger::{Container, Pipeline};
use crate::{Core, Millis, convert};

/// Ports that readers and writers need; the others would only make answers longer.
const IO_PORTS: [&str; 3] = ["STANDALONE", "RATIS", "RATIS_DATASTREAM"];

impl Core {
    /// A pipeline for the wire, with its members' addresses of today.
    pub fn pipeline_view(&self, pipeline: &Pipeline) -> hdds::Pipeline {
        self.view_with(pipeline, DatanodeDetailsProto::clone)
    }

    /// The same with the ports for data only.
    pub fn pipeline_view_for_io(&self, pipeline: &Pipeline) -> hdds::Pipeline {
        self.view_with(pipeline, |details| {
            let is_io = |port: &&hdds::Port| IO_PORTS.contains(&port.name.as_str());
            let ports = details.ports.iter().filter(is_io).cloned().collect();
            DatanodeDetailsProto {
                ports,
                uuid: details.uuid.clone(),
                ip_address: details.ip_address.clone(),
                host_name: details.host_name.clone(),
                cert_serial_id: details.cert_serial_id.clone(),
                network_name: details.network_name.clone(),
                network_location: details.network_location.clone(),
                ..*details
            }
        })
    }

    fn view_with(
        &self,
        pipeline: &Pipeline,
        copy: fn(&DatanodeDetailsProto) -> DatanodeDetailsProto,
    ) -> hdds::Pipeline {
        let mut view = pipeline.without_members();
        let known = pipeline.members.iter().zip(&pipeline.wire.members);
        view.members = known
            .map(|(id, then)| copy(self.nodes.details(*id).map_or(then, |details| &**details)))
            .collect();
        view
    }

    /// A made-up pipeline over the copies of a container, to read it
    /// (`RatisPipelineProvider.createForRead`).
    pub fn read_pipeline(&mut self, container: &Container, now: Millis) -> hdds::Pipeline {
        let id = PipelineId(self.rng.uuid());
        let mut copies: Vec<_> = container
            .replicas
            .iter()
            .filter_map(|replica| Some((replica, self.nodes.at(replica.node)?)))
            .collect();
        if matches!(container.replication, ReplicationConfig::Ec(_)) {
            copies.retain(|(_, node)| node.health != hdds_types::NodeHealth::Dead);
        }
        copies.sort_by_key(|(replica, node)| (node.health, node.operational, replica.index));
        let (kind, factor, ec) = convert::replication_proto(container.replication);
        hdds::Pipeline {
            members: copies.iter().map(|(_, node)| (*node.details).clone()).collect(),
            state: Some(hdds::PipelineState::PipelineAllocated.into()),
            r#type: Some(kind.into()),
            factor,
            id: convert::pipeline_id_proto(id),
            leader_id: Some(String::new()),
            creation_time_stamp: Some(now),
            member_replica_indexes: copies.iter().map(|(r, _)| u32::from(r.index)).collect(),
            ec_replication_config: ec,
            ..hdds::Pipeline::default()
        }
    }
}
