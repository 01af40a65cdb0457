//! Pipelines as clients see them.

use hdds_proto::hdds;
use hdds_types::{PipelineId, ReplicationConfig};

use crate::ledger::{Container, Pipeline};
use crate::{Core, Millis, convert};

/// Ports that readers and writers need; the others would only make answers longer.
const IO_PORTS: [&str; 3] = ["STANDALONE", "RATIS", "RATIS_DATASTREAM"];

impl Core {
    /// A pipeline for the wire, with its members' addresses of today.
    pub fn pipeline_view(&self, pipeline: &Pipeline) -> hdds::Pipeline {
        let mut view = pipeline.to_proto();
        for (id, member) in pipeline.members.iter().zip(&mut view.members) {
            if let Some(details) = self.nodes.details(*id) {
                *member = (**details).clone();
            }
        }
        view
    }

    /// The same with the ports for data only.
    pub fn pipeline_view_for_io(&self, pipeline: &Pipeline) -> hdds::Pipeline {
        let mut view = self.pipeline_view(pipeline);
        for member in &mut view.members {
            member.ports.retain(|port| IO_PORTS.contains(&port.name.as_str()));
        }
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
