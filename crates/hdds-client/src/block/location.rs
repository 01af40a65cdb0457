//! Where a block is, in the client's terms.

use std::sync::Arc;

use hdds_proto::common::TokenProto;
use hdds_proto::{convert, hdds};
use hdds_types::{BlockId, ContainerId, LocalId, PipelineId};

use super::token;

/// A datanode of a pipeline.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// Its id, as text.
    pub uuid: String,
    /// IP address.
    pub ip: String,
    /// Host name.
    pub host: String,
    /// Port of commands (9859), if told.
    pub standalone_port: Option<u16>,
    /// Port of its Raft client service (9858), if told.
    pub ratis_port: Option<u16>,
    /// `DatanodeVersion`: 2 and more take a PutBlock inside a WriteChunk.
    pub version: i32,
    /// Neither leaving nor under maintenance.
    pub in_service: bool,
}

/// The datanodes that hold a block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pipeline {
    /// Its id; for RATIS the Raft group.
    pub id: PipelineId,
    /// RATIS, STAND_ALONE or EC.
    pub kind: hdds::ReplicationType,
    /// Members, as listed.
    pub nodes: Vec<Node>,
    /// Indices into `nodes`, nearest first; empty if unknown.
    pub order: Vec<usize>,
    /// UUID of the leader, if known.
    pub leader: Option<String>,
    /// EC: place of each member in the stripe, from 1.
    pub replica_indexes: Vec<u32>,
}

/// A block of a key, and how to get to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlockLocation {
    /// The block.
    pub block: BlockId,
    /// Where the data begins in the block.
    pub offset: u64,
    /// Bytes; for a block to be written the capacity.
    pub length: u64,
    /// Right to use it, encoded.
    pub token: Option<String>,
    /// Its datanodes; absent where they were not asked for.
    pub pipeline: Option<Arc<Pipeline>>,
}

impl BlockLocation {
    /// From the parts of a `KeyLocation`.
    pub fn from_wire(
        block: &hdds::BlockId,
        offset: u64,
        length: u64,
        token: Option<&TokenProto>,
        pipeline: Option<&hdds::Pipeline>,
    ) -> Self {
        let container = ContainerId(block.container_block_id.container_id.cast_unsigned());
        let local = LocalId(block.container_block_id.local_id.cast_unsigned());
        let bcsid = block.block_commit_sequence_id.unwrap_or(0);
        Self {
            block: BlockId { container, local, bcsid },
            offset,
            length,
            token: token.map(token::encode),
            pipeline: pipeline.and_then(Pipeline::from_wire).map(Arc::new),
        }
    }
}

impl Pipeline {
    /// From the wire; `None` without an id.
    pub fn from_wire(wire: &hdds::Pipeline) -> Option<Self> {
        let id = convert::pipeline_id(&wire.id)?;
        let nodes: Vec<Node> = wire.members.iter().filter_map(Node::from_wire).collect();
        let order = wire.member_orders.iter().map(|index| *index as usize).collect::<Vec<_>>();
        let sane = order.len() == nodes.len() && order.iter().all(|index| *index < nodes.len());
        let leader = wire
            .leader_datanode_id
            .as_ref()
            .map(|id| convert::uuid(&id.uuid).to_string())
            .or_else(|| wire.leader_id128.as_ref().map(|id| convert::uuid(id).to_string()))
            .or_else(|| wire.leader_id.clone().filter(|id| !id.is_empty()));
        Some(Self {
            id,
            kind: wire.r#type(),
            order: if sane { order } else { Vec::new() },
            nodes,
            leader,
            replica_indexes: wire.member_replica_indexes.clone(),
        })
    }

    /// Members in the order in which a reader should try them: nearest first if known, else the
    /// leader first and the others from a random place on; those that are leaving come last.
    pub fn read_order(&self) -> Vec<&Node> {
        let mut nodes: Vec<&Node> = if self.order.is_empty() {
            let mut nodes: Vec<&Node> = self.nodes.iter().collect();
            if !nodes.is_empty() {
                let first = rand::random_range(0..nodes.len());
                nodes.rotate_left(first);
            }
            nodes.sort_by_key(|node| Some(&node.uuid) != self.leader.as_ref());
            nodes
        } else {
            self.order.iter().filter_map(|index| self.nodes.get(*index)).collect()
        };
        nodes.sort_by_key(|node| !node.in_service);
        nodes
    }
}

impl Node {
    /// From the wire; `None` without an id.
    pub fn from_wire(wire: &hdds::DatanodeDetailsProto) -> Option<Self> {
        let uuid = convert::datanode_id(wire)?.to_string();
        let port = |name: &str| {
            let found = wire.ports.iter().find(|port| port.name == name)?;
            u16::try_from(found.value).ok().filter(|port| *port != 0)
        };
        let in_service = wire
            .persisted_op_state
            .is_none_or(|state| state == i32::from(hdds::NodeOperationalState::InService));
        Some(Self {
            uuid,
            ip: wire.ip_address.clone(),
            host: wire.host_name.clone(),
            standalone_port: port("STANDALONE"),
            ratis_port: port("RATIS"),
            version: wire.current_version.unwrap_or(1),
            in_service,
        })
    }
}
