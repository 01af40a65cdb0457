//! `StorageContainerDatanodeProtocol`, port 9861: a datanode's reports to one SCM (or to Recon).

use bytes::Bytes;
use hadoop_rpc::client::{CallError, ClientSettings, RpcClient};
use hdds_proto::hdds::{
    ScmDatanodeRequest, ScmDatanodeResponse, ScmHeartbeatRequestProto, ScmHeartbeatResponseProto,
    ScmRegisterRequestProto, ScmRegisteredResponseProto, ScmVersionRequestProto,
    ScmVersionResponseProto, Status, Type,
};
use prost::Message;

use super::{ScmClientSettings, ScmError};
use crate::addresses::HostPort;

/// Name of the protocol in RPC headers.
pub const PROTOCOL: &str = "org.apache.hadoop.ozone.protocol.StorageContainerDatanodeProtocol";
/// The same messages towards Recon.
pub const RECON_PROTOCOL: &str = "org.apache.hadoop.ozone.protocol.ReconDatanodeProtocol";
/// Its only method.
pub const METHOD: &str = "submitRequest";

/// One datanode's line to one SCM. It tries each call once: the datanode's heartbeat loop decides
/// what to repeat. Clones share the connection.
#[derive(Clone)]
pub struct ScmDatanodeClient {
    rpc: RpcClient,
    protocol: &'static str,
    address: HostPort,
}

impl ScmDatanodeClient {
    /// A client of the SCM at `address` that acts as `user`.
    pub fn new(address: HostPort, settings: &ScmClientSettings, user: &str) -> Self {
        Self::with_protocol(PROTOCOL, address, settings, user)
    }

    /// A client of Recon at `address`.
    pub fn recon(address: HostPort, settings: &ScmClientSettings, user: &str) -> Self {
        Self::with_protocol(RECON_PROTOCOL, address, settings, user)
    }

    fn with_protocol(
        protocol: &'static str,
        address: HostPort,
        settings: &ScmClientSettings,
        user: &str,
    ) -> Self {
        let rpc = ClientSettings {
            call_timeout: settings.heartbeat_timeout,
            connect_timeout: settings.connect_timeout.min(settings.heartbeat_timeout),
            // Heartbeats come every 30 s: keep the connection between them.
            idle_timeout: std::time::Duration::from_secs(120),
            ..Default::default()
        };
        Self { rpc: RpcClient::new(rpc, user), protocol, address }
    }

    /// Whom this client talks to.
    pub fn address(&self) -> &HostPort {
        &self.address
    }

    /// Cluster id and SCM id, as keys `clusterID` and `scmUuid`.
    ///
    /// # Errors
    /// See [`ScmError`].
    pub async fn get_version(&self) -> Result<ScmVersionResponseProto, ScmError> {
        let mut request = envelope(Type::GetVersion);
        request.get_version_request = Some(Box::new(ScmVersionRequestProto {}));
        let response = self.send(&request).await?.get_version_response;
        Ok(*response.ok_or_else(|| missing("getVersionResponse"))?)
    }

    /// Introduces the datanode with its reports. Look at the answer's `error_code`.
    ///
    /// # Errors
    /// See [`ScmError`].
    pub async fn register(
        &self,
        request: ScmRegisterRequestProto,
    ) -> Result<ScmRegisteredResponseProto, ScmError> {
        let mut message = envelope(Type::Register);
        message.register_request = Some(Box::new(request));
        let response = self.send(&message).await?.register_response;
        Ok(*response.ok_or_else(|| missing("registerResponse"))?)
    }

    /// Reports, and fetches SCM's commands.
    ///
    /// # Errors
    /// See [`ScmError`].
    pub async fn send_heartbeat(
        &self,
        request: ScmHeartbeatRequestProto,
    ) -> Result<ScmHeartbeatResponseProto, ScmError> {
        let mut message = envelope(Type::SendHeartbeat);
        message.send_heartbeat_request = Some(Box::new(request));
        let response = self.send(&message).await?.send_heartbeat_response;
        Ok(*response.ok_or_else(|| missing("sendHeartbeatResponse"))?)
    }

    async fn send(&self, request: &ScmDatanodeRequest) -> Result<ScmDatanodeResponse, ScmError> {
        let unavailable = |last: String| ScmError::Unavailable { tries: 1, last };
        let address = self.address.resolve().await;
        let address = address.map_err(|error| unavailable(format!("{}: {error}", self.address)))?;
        let bytes = Bytes::from(request.encode_to_vec());
        let id = self.rpc.next_call();
        let bytes = match self.rpc.call(address, self.protocol, METHOD, id, bytes).await {
            Ok(bytes) => bytes,
            Err(CallError::Remote { class, message, .. }) => {
                return Err(ScmError::Remote { class, message });
            }
            Err(other) => return Err(unavailable(other.to_string())),
        };
        let response = ScmDatanodeResponse::decode(bytes)
            .map_err(|error| ScmError::Malformed(error.to_string()))?;
        if response.status != i32::from(Status::Ok) {
            return Err(ScmError::Remote {
                class: "java.io.IOException".to_owned(),
                message: response.message.unwrap_or_default(),
            });
        }
        Ok(response)
    }
}

fn envelope(kind: Type) -> ScmDatanodeRequest {
    ScmDatanodeRequest { cmd_type: kind.into(), ..Default::default() }
}

fn missing(field: &str) -> ScmError {
    ScmError::Malformed(format!("{field} is missing"))
}
