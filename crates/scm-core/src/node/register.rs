//! A datanode introduces itself (`SCMNodeManager.register`).

use std::sync::Arc;

use hdds_proto::hdds::scm_registered_response_proto::ErrorCode;
use hdds_proto::hdds::{ScmRegisterRequestProto, ScmRegisteredResponseProto};
use hdds_types::{DatanodeId, NodeHealth, OperationalState};

use super::{Command, CommandQueue, DEFAULT_RACK, LAYOUT_VERSION, Node, complete};
use crate::{Core, Millis, convert};

/// Level of a datanode in the default topology: root 1, rack 2, node 3.
const NODE_LEVEL: u32 = 3;

/// What a registration came to.
#[derive(Clone, Debug)]
pub struct Registration {
    /// For the datanode.
    pub response: ScmRegisteredResponseProto,
    /// Why it was refused, for the log.
    pub refused: Option<String>,
}

impl Core {
    /// Registers a datanode that calls from the address `peer`, and takes its reports in, but for the
    /// containers, which follow through [`Core::drop_unnamed_replicas`] and [`Core::take_replicas`].
    /// `None` when the request names no datanode.
    pub fn register(
        &mut self,
        request: &ScmRegisterRequestProto,
        peer: Option<&str>,
        now: Millis,
    ) -> Option<Registration> {
        let sent = &request.extended_datanode_details.datanode_details;
        let id = convert::datanode_id(sent)?;
        let mut response = ScmRegisteredResponseProto {
            error_code: ErrorCode::Success.into(),
            datanode_uuid: id.to_string(),
            cluster_id: self.identity.cluster_id.clone(),
            ..ScmRegisteredResponseProto::default()
        };
        let layout = request.data_node_layout_version.unwrap_or_default();
        if layout.software_layout_version != LAYOUT_VERSION {
            response.error_code = ErrorCode::ErrorNodeNotPermitted.into();
            let refused = Some(format!(
                "datanode {id} has software layout version {}, this SCM {LAYOUT_VERSION}; \
                 run the same version on both",
                layout.software_layout_version
            ));
            return Some(Registration { response, refused });
        }

        let mut details = complete(sent.clone(), id);
        if let Some(peer) = peer {
            details.ip_address = peer.to_owned();
        }
        details.network_name = Some(id.to_string());
        details.network_location.get_or_insert_with(|| DEFAULT_RACK.to_owned());
        details.level = Some(NODE_LEVEL);
        response.hostname = Some(details.host_name.clone());
        response.ip_address = Some(details.ip_address.clone());
        response.network_name = details.network_name.clone();
        response.network_location = details.network_location.clone();

        self.admit(id, Arc::new(details), layout.metadata_layout_version, now);
        self.take_node_report(id, &request.node_report);
        self.take_pipeline_reports(id, &request.pipeline_reports, now);
        self.announce_pending_pipelines(id);
        self.evaluate_safe_mode(now);
        self.want_pipelines();
        Some(Registration { response, refused: None })
    }

    fn admit(
        &mut self,
        id: DatanodeId,
        details: Arc<hdds_proto::hdds::DatanodeDetailsProto>,
        metadata_layout: u32,
        now: Millis,
    ) {
        let health = if metadata_layout < LAYOUT_VERSION {
            NodeHealth::HealthyReadonly
        } else {
            NodeHealth::Healthy
        };
        self.close_pipelines_with_old_address(id, &details, now);
        let (reported, expiry) = reported_operational_state(&details);
        if let Some(node) = self.nodes.get_mut(id) {
            node.details = details;
            node.metadata_layout = metadata_layout;
            node.last_heartbeat = now;
            node.health = health;
            let (kept, kept_expiry) = (node.operational, node.operational_expiry);
            if (reported, expiry) != (kept, kept_expiry) {
                let command = Command::SetOperationalState { state: kept, expiry: kept_expiry };
                self.send(id, command);
            }
            return;
        }
        let index = self.nodes.intern(id);
        self.nodes.insert(Node {
            index,
            id,
            details,
            health,
            operational: reported,
            operational_expiry: expiry,
            metadata_layout,
            last_heartbeat: now,
            storage: Vec::new(),
            metadata_storage: Vec::new(),
            queue: CommandQueue::default(),
            containers: Default::default(),
            pending: Default::default(),
        });
    }
}

/// What the datanode remembers of its operational state; SCM adopts it after its own restart.
pub(super) fn reported_operational_state(
    details: &hdds_proto::hdds::DatanodeDetailsProto,
) -> (OperationalState, i64) {
    let state = details.persisted_op_state.and_then(convert::operational_state);
    (state.unwrap_or_default(), details.persisted_op_state_expiry.unwrap_or(0))
}
