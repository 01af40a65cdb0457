//! Where datanodes stand: racks under one root, distances between them (`NetworkTopologyImpl`).

use std::collections::BTreeMap;

use hdds_proto::hdds::{ChildrenMap, DatanodeDetailsProto, InnerNode, NetworkNode, NodeTopology};
use hdds_types::DatanodeId;

use crate::node::DEFAULT_RACK;
use crate::{Core, convert};

/// Cost of crossing the root or a rack (`network-topology-default.xml`).
const CROSSING_COST: u32 = 1;
const ROOT_LEVEL: u32 = 1;
const RACK_LEVEL: u32 = 2;

impl Core {
    /// The tree of racks and live datanodes.
    pub fn cluster_tree(&self) -> InnerNode {
        let mut racks: BTreeMap<&str, Vec<&DatanodeDetailsProto>> = BTreeMap::new();
        for node in self.nodes.iter() {
            if node.health != hdds_types::NodeHealth::Dead {
                racks.entry(node.location()).or_default().push(&node.details);
            }
        }
        let children = racks.iter().map(|(location, nodes)| {
            let name = location.trim_start_matches('/').to_owned();
            let leaves = nodes.iter().map(|details| ChildrenMap {
                network_name: details.network_name.clone(),
                network_node: Some(NetworkNode {
                    datanode_details: Some((*details).clone()),
                    inner_node: None,
                }),
            });
            let rack = inner(&name, RACK_LEVEL, nodes.len(), leaves.collect());
            ChildrenMap {
                network_name: Some(name),
                network_node: Some(NetworkNode { datanode_details: None, inner_node: Some(rack) }),
            }
        });
        let children = children.collect();
        inner("", ROOT_LEVEL, racks.values().map(Vec::len).sum(), children)
    }

    /// Positions of `members` from near to far as seen from a client; equal distances in random order.
    pub fn member_order(&mut self, client: &str, members: &[DatanodeDetailsProto]) -> Vec<u32> {
        let here = self.nodes.by_address(client);
        let (same, rack) = match here {
            Some(node) => (Some(node.id), node.location().to_owned()),
            None => (None, DEFAULT_RACK.to_owned()),
        };
        let distance = |member: &DatanodeDetailsProto| {
            if same.is_some() && convert::datanode_id(member) == same {
                0
            } else if member.network_location.as_deref().unwrap_or(DEFAULT_RACK) == rack {
                2 * CROSSING_COST
            } else {
                4 * CROSSING_COST
            }
        };
        let mut order: Vec<u32> = (0..members.len() as u32).collect();
        self.rng.shuffle(&mut order);
        order.sort_by_key(|at| members.get(*at as usize).map(distance));
        order
    }

    /// Registered datanodes of these ids, from near to far as seen from a client.
    pub fn sort_datanodes(&mut self, client: &str, ids: &[String]) -> Vec<DatanodeDetailsProto> {
        let ids = ids.iter().filter_map(|text| text.parse::<DatanodeId>().ok());
        let nodes: Vec<DatanodeDetailsProto> =
            ids.filter_map(|id| self.nodes.details(id).map(|d| (**d).clone())).collect();
        let order = self.member_order(client, &nodes);
        order.into_iter().filter_map(|at| nodes.get(at as usize).cloned()).collect()
    }
}

fn inner(name: &str, level: u32, leaves: usize, children: Vec<ChildrenMap>) -> InnerNode {
    InnerNode {
        node_topology: Some(NodeTopology {
            name: Some(name.to_owned()),
            location: Some(String::new()),
            cost: Some(CROSSING_COST),
            level: Some(level),
        }),
        num_of_leaves: Some(leaves as u32),
        children_map: children,
    }
}
