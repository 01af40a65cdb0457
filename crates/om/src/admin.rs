//! What administrators ask an Ozone Manager on its RPC port, beside the protocol of clients.
//!
//! Failures travel inside the answers here, as the genuine clients of these protocols expect.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use hadoop_rpc::server::{CallContext, Protocol, RpcError};
use hdds_proto::hdds::{
    GetReconfigureStatusResponseProto, GetServerNameResponseProto,
    ListReconfigurePropertiesResponseProto, StartReconfigureResponseProto,
};
use om_proto::{
    BootstrapOmResponse, CompactResponse, DecommissionOmResponse, ErrorCode, NodeState,
    OmConfigurationResponse, OmNodeInfo, TriggerSnapshotDefragResponse,
};
use prost::Message;

use crate::server::Service;

/// Name of the administrators' protocol in RPC headers.
pub const ADMIN: &str = "org.apache.hadoop.ozone.om.protocol.OMAdminProtocol";
/// Name of the protocol between Ozone Managers.
pub const INTER_SERVICE: &str = "org.apache.hadoop.ozone.om.protocol.OMInterServiceProtocol";
/// Name of the protocol that changes settings of a running server.
pub const RECONFIGURE: &str = "org.apache.hadoop.hdds.protocol.ReconfigureProtocol";

/// Answers [`ADMIN`].
pub struct OmAdminProtocol(pub(crate) Arc<Service>);

#[async_trait]
impl Protocol for OmAdminProtocol {
    fn methods(&self) -> &'static [&'static str] {
        &["getOMConfiguration", "decommission", "compactDB", "triggerSnapshotDefrag"]
    }

    async fn call(&self, _: CallContext, method: &str, _: Bytes) -> Result<Bytes, RpcError> {
        let unsupported = || Some(format!("{method} is not supported by this Ozone Manager"));
        Ok(match method {
            "getOMConfiguration" => encode(&self.0.configuration()),
            "decommission" => {
                encode(&DecommissionOmResponse { success: false, error_msg: unsupported() })
            }
            "compactDB" => encode(&CompactResponse { success: false, error_msg: unsupported() }),
            _ => encode(&TriggerSnapshotDefragResponse {
                success: false,
                error_msg: unsupported(),
                result: None,
            }),
        })
    }
}

impl Service {
    /// This node as it runs and as it is configured: the same, nothing is reloaded.
    fn configuration(&self) -> OmConfigurationResponse {
        let node = OmNodeInfo {
            node_id: self.settings.node.clone(),
            host_address: self.settings.rpc.host.clone(),
            rpc_port: self.settings.rpc.port.into(),
            ratis_port: self.settings.ratis_port.into(),
            node_state: Some(NodeState::Active.into()),
            is_listener: Some(false),
        };
        OmConfigurationResponse {
            success: true,
            error_msg: None,
            nodes_in_memory: vec![node.clone()],
            nodes_in_new_conf: vec![node],
        }
    }
}

/// Answers [`INTER_SERVICE`].
pub struct OmInterServiceProtocol;

#[async_trait]
impl Protocol for OmInterServiceProtocol {
    fn methods(&self) -> &'static [&'static str] {
        &["bootstrap"]
    }

    async fn call(&self, _: CallContext, _: &str, _: Bytes) -> Result<Bytes, RpcError> {
        Ok(encode(&BootstrapOmResponse {
            success: false,
            error_code: Some(ErrorCode::RatisBootstrapError.into()),
            error_msg: Some("this Ozone Manager does not take others into its ring".to_owned()),
        }))
    }
}

/// Answers [`RECONFIGURE`]: no setting can be changed while the server runs.
pub struct ReconfigureProtocol;

#[async_trait]
impl Protocol for ReconfigureProtocol {
    fn methods(&self) -> &'static [&'static str] {
        &["getServerName", "getReconfigureStatus", "startReconfigure", "listReconfigureProperties"]
    }

    async fn call(&self, _: CallContext, method: &str, _: Bytes) -> Result<Bytes, RpcError> {
        Ok(match method {
            "getServerName" => encode(&GetServerNameResponseProto { name: "OM".to_owned() }),
            "getReconfigureStatus" => encode(&GetReconfigureStatusResponseProto::default()),
            "startReconfigure" => encode(&StartReconfigureResponseProto::default()),
            _ => encode(&ListReconfigurePropertiesResponseProto::default()),
        })
    }
}

fn encode(message: &impl Message) -> Bytes {
    Bytes::from(message.encode_to_vec())
}
