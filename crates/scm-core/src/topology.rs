//! Where datanodes stand: racks under one root, distances between them (`NetworkTopologyImpl`).

use std::collections::BTreeMap;

use hdds_proto::hdds::{ChildrenMap, DatanodeDetailsProto, InnerNode, NetworkNode, NodeTopology};
use hdds_types::DatanodeId;

use crate::node::DEFAULT_RACK;
use crate::{Core, convert};

/// Cost of crossing the root or a rack (`network-topology-default.xml`).
const CROSSING_COST: u32 = 1;
const ROOT_LEVEL: u32 = 1;

/// A place in the tree: places below it, and datanodes that stand right here.
#[derive(Default)]
struct Place<'a> {
    below: BTreeMap<&'a str, Place<'a>>,
    nodes: Vec<&'a DatanodeDetailsProto>,
}

impl<'a> Place<'a> {
    fn add(&mut self, location: &'a str, node: &'a DatanodeDetailsProto) {
        let parts = location.split('/').filter(|part| !part.is_empty());
        let place = parts.fold(self, |place, part| place.below.entry(part).or_default());
        place.nodes.push(node);
    }

    /// `location` is the path of the place above.
    fn to_proto(&self, name: &str, location: &str, level: u32) -> InnerNode {
        let path = match (name, location) {
            ("", _) => "/".to_owned(),
            (name, "/") => format!("/{name}"),
            (name, location) => format!("{location}/{name}"),
        };
        let inner: Vec<_> = self
            .below
            .iter()
            .map(|(name, place)| (*name, place.to_proto(name, &path, level + 1)))
            .collect();
        let below: u32 = inner.iter().filter_map(|(_, place)| place.num_of_leaves).sum();
        let leaves = self.nodes.iter().map(|details| ChildrenMap {
            network_name: details.network_name.clone(),
            network_node: Some(NetworkNode {
                datanode_details: Some((*details).clone()),
                inner_node: None,
            }),
        });
        let places = inner.into_iter().map(|(name, place)| ChildrenMap {
            network_name: Some(name.to_owned()),
            network_node: Some(NetworkNode { datanode_details: None, inner_node: Some(place) }),
        });
        InnerNode {
            node_topology: Some(NodeTopology {
                name: Some(name.to_owned()),
                location: Some(location.to_owned()),
                cost: Some(CROSSING_COST),
                level: Some(level),
            }),
            num_of_leaves: Some(below + self.nodes.len() as u32),
            children_map: places.chain(leaves).collect(),
        }
    }
}

impl Core {
    /// The tree of racks and datanodes that are not dead.
    pub fn cluster_tree(&self) -> InnerNode {
        let mut root = Place::default();
        for node in self.nodes.iter() {
            if node.health != hdds_types::NodeHealth::Dead {
                root.add(node.location(), &node.details);
            }
        }
        root.to_proto("", "", ROOT_LEVEL)
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

#[cfg(test)]
mod tests {
    use crate::Rules;
    use crate::test_world::{World, details, node_id};

    #[test]
    fn the_tree_has_a_rack_below_the_root_as_java_builds_it() {
        let mut world = World::new(Rules::default());
        assert_eq!(world.core.cluster_tree().num_of_leaves, Some(0));
        world.register(1);
        let mut deep = details(2);
        deep.network_location = Some("/dc/rack".to_owned());
        world.register_with(2, deep, Vec::new());
        let tree = world.core.cluster_tree();
        assert_eq!(tree.num_of_leaves, Some(2));
        let racks: Vec<_> = tree
            .children_map
            .iter()
            .map(|child| child.network_node.as_ref().unwrap().inner_node.as_ref().unwrap())
            .collect();
        let place = |at: usize| {
            let topology = racks[at].node_topology.as_ref().unwrap();
            (topology.name.as_deref(), topology.location.as_deref(), topology.level)
        };
        assert_eq!(place(0), (Some("dc"), Some("/"), Some(2)));
        assert_eq!(place(1), (Some("default-rack"), Some("/"), Some(2)));
        let leaf = racks[1].children_map[0].network_node.as_ref().unwrap();
        assert_eq!(leaf.datanode_details.as_ref().unwrap().host_name, "dn1");
    }

    #[test]
    fn the_client_s_own_datanode_comes_first_then_its_rack() {
        let mut world = World::new(Rules::default());
        for number in 1..=3 {
            let mut place = details(number);
            let rack = if number == 3 { "/far" } else { "/near" };
            place.network_location = Some(rack.to_owned());
            world.register_with(number, place, Vec::new());
        }
        let ids: Vec<String> = [3, 1, 2].iter().map(|n| node_id(*n).to_string()).collect();
        let sorted = world.core.sort_datanodes("10.0.0.2", &ids);
        let hosts: Vec<&str> = sorted.iter().map(|node| node.host_name.as_str()).collect();
        assert_eq!(hosts, ["dn2", "dn1", "dn3"]);
        assert_eq!(world.core.sort_datanodes("elsewhere", &ids).len(), 3);
    }
}
