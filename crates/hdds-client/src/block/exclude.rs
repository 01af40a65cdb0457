//! What new blocks must avoid, after failures.

use hdds_proto::convert;
use hdds_proto::hdds::ExcludeListProto;
use hdds_types::{ContainerId, PipelineId};

/// One thing to avoid.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Exclude {
    /// A datanode, by its UUID.
    Node(String),
    /// A container.
    Container(ContainerId),
    /// A pipeline.
    Pipeline(PipelineId),
}

/// All that a key's writer has found to fail.
#[derive(Clone, Debug, Default)]
pub struct ExcludeList {
    items: Vec<Exclude>,
}

impl ExcludeList {
    /// Remembers one more; repetitions cost nothing.
    pub fn add(&mut self, item: Exclude) {
        if !self.items.contains(&item) {
            self.items.push(item);
        }
    }

    /// Whether nothing has failed.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether this pipeline or container is in it.
    pub fn covers(&self, pipeline: PipelineId, container: ContainerId) -> bool {
        self.items.iter().any(|item| match item {
            Exclude::Pipeline(id) => *id == pipeline,
            Exclude::Container(id) => *id == container,
            Exclude::Node(_) => false,
        })
    }

    /// The message for the Ozone Manager.
    pub fn to_wire(&self) -> ExcludeListProto {
        let mut list = ExcludeListProto::default();
        for item in &self.items {
            match item {
                Exclude::Node(id) => list.datanodes.push(id.clone()),
                Exclude::Container(id) => list.container_ids.push(id.0.cast_signed()),
                Exclude::Pipeline(id) => {
                    list.pipeline_ids.push(convert::pipeline_id_proto(*id));
                }
            }
        }
        list
    }
}
