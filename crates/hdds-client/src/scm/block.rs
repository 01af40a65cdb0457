//! `ScmBlockLocationProtocol`, port 9863: what OM asks SCM.

use bytes::Bytes;
use hadoop_rpc::trace;
use hdds_proto::block::{
    AllocateBlockResponse, AllocateScmBlockRequestProto, DeleteKeyBlocksResultProto,
    DeleteScmKeyBlocksRequestProto, GetClusterTreeRequestProto, KeyBlocks, ScmBlockLocationRequest,
    ScmBlockLocationResponse, SortDatanodesRequestProto, Status, Type,
};
use hdds_proto::hdds::{
    AddScmRequestProto, AddScmResponseProto, DatanodeDetailsProto, GetScmInfoRequestProto,
    GetScmInfoResponseProto, InnerNode,
};
use ozone_config::Configuration;
use prost::Message;

use super::channel::Channel;
use super::{CLIENT_VERSION, ScmClientSettings, ScmError, allocated};
use crate::addresses::{self, AddressError, HostPort, ScmPort};

/// Name of the protocol in RPC headers.
pub const PROTOCOL: &str = "org.apache.hadoop.hdds.scm.protocol.ScmBlockLocationProtocol";
/// Its only method.
pub const METHOD: &str = "send";

/// Asks the leading SCM for blocks and deletes them. Clones share connections.
#[derive(Clone)]
pub struct ScmBlockClient {
    channel: Channel,
}

impl ScmBlockClient {
    /// A client of these SCMs that acts as `user`.
    pub fn new(nodes: Vec<HostPort>, settings: ScmClientSettings, user: &str) -> Self {
        Self { channel: Channel::new(PROTOCOL, METHOD, nodes, settings, user) }
    }

    /// A client of the SCMs that the configuration names.
    ///
    /// # Errors
    /// Addresses are missing or a value is not understood.
    pub fn from_conf(conf: &Configuration, user: &str) -> Result<Self, AddressError> {
        let nodes = addresses::scm_nodes(conf)?;
        let nodes: Result<_, _> =
            nodes.iter().map(|node| node.require(ScmPort::BlockClient)).collect();
        Ok(Self::new(nodes?, ScmClientSettings::read(conf)?, user))
    }

    /// Up to `num_blocks` new blocks; fewer, even none, may come back.
    ///
    /// # Errors
    /// See [`ScmError`]; in safe mode [`ScmError::is_safe_mode`].
    pub async fn allocate_blocks(
        &self,
        request: AllocateScmBlockRequestProto,
    ) -> Result<Vec<AllocateBlockResponse>, ScmError> {
        let mut message = envelope(Type::AllocateScmBlock);
        message.allocate_scm_block_request = Some(Box::new(request));
        allocated::blocks(self.channel.call(Bytes::from(message.encode_to_vec())).await?)
    }

    /// Hands the blocks of deleted keys to SCM's deletion queue; one result per key.
    ///
    /// # Errors
    /// See [`ScmError`]; then none was taken.
    pub async fn delete_key_blocks(
        &self,
        keys: Vec<KeyBlocks>,
    ) -> Result<Vec<DeleteKeyBlocksResultProto>, ScmError> {
        let mut message = envelope(Type::DeleteScmKeyBlocks);
        message.delete_scm_key_blocks_request =
            Some(Box::new(DeleteScmKeyBlocksRequestProto { key_blocks: keys }));
        let response = self.send(&message).await?.delete_scm_key_blocks_response;
        Ok(response.ok_or_else(|| missing("deleteScmKeyBlocksResponse"))?.results)
    }

    /// Cluster id and SCM id.
    ///
    /// # Errors
    /// See [`ScmError`].
    pub async fn get_scm_info(&self) -> Result<GetScmInfoResponseProto, ScmError> {
        let mut message = envelope(Type::GetScmInfo);
        message.get_scm_info_request = Some(Box::new(GetScmInfoRequestProto::default()));
        let response = self.send(&message).await?.get_scm_info_response;
        Ok(*response.ok_or_else(|| missing("getScmInfoResponse"))?)
    }

    /// These datanodes (UUIDs), nearest to `client` (host or address) first.
    ///
    /// # Errors
    /// See [`ScmError`].
    pub async fn sort_datanodes(
        &self,
        nodes: Vec<String>,
        client: &str,
    ) -> Result<Vec<DatanodeDetailsProto>, ScmError> {
        let mut message = envelope(Type::SortDatanodes);
        message.sort_datanodes_request = Some(Box::new(SortDatanodesRequestProto {
            client: client.to_owned(),
            node_network_name: nodes,
        }));
        let response = self.send(&message).await?.sort_datanodes_response;
        Ok(response.ok_or_else(|| missing("sortDatanodesResponse"))?.node)
    }

    /// Asks the leader to take another SCM into its Raft ring.
    ///
    /// # Errors
    /// See [`ScmError`].
    pub async fn add_scm(
        &self,
        request: AddScmRequestProto,
    ) -> Result<AddScmResponseProto, ScmError> {
        let mut message = envelope(Type::AddScm);
        message.add_scm_request_proto = Some(Box::new(request));
        let response = self.send(&message).await?.add_scm_response;
        Ok(*response.ok_or_else(|| missing("addScmResponse"))?)
    }

    /// The network topology.
    ///
    /// # Errors
    /// See [`ScmError`].
    pub async fn cluster_tree(&self) -> Result<InnerNode, ScmError> {
        let mut message = envelope(Type::GetClusterTree);
        message.get_cluster_tree_request = Some(Box::new(GetClusterTreeRequestProto {}));
        let response = self.send(&message).await?.get_cluster_tree_response;
        Ok(response.ok_or_else(|| missing("getClusterTreeResponse"))?.cluster_tree)
    }

    /// Sends a whole envelope.
    ///
    /// # Errors
    /// See [`ScmError`]; a status other than OK is [`ScmError::Refused`].
    pub async fn send(
        &self,
        request: &ScmBlockLocationRequest,
    ) -> Result<ScmBlockLocationResponse, ScmError> {
        let bytes = self.channel.call(Bytes::from(request.encode_to_vec())).await?;
        let response = ScmBlockLocationResponse::decode(bytes)
            .map_err(|error| ScmError::Malformed(error.to_string()))?;
        check(response.status, response.message.as_deref())?;
        Ok(response)
    }
}

fn envelope(kind: Type) -> ScmBlockLocationRequest {
    ScmBlockLocationRequest {
        cmd_type: kind.into(),
        trace_id: Some(trace::current()).filter(|id| !id.is_empty()),
        version: Some(CLIENT_VERSION),
        ..Default::default()
    }
}

/// Whether SCM did what it was asked for. A code that this version does not know is a refusal, too.
pub(super) fn check(status: i32, message: Option<&str>) -> Result<(), ScmError> {
    match Status::try_from(status).unwrap_or(Status::InternalError) {
        Status::Ok => Ok(()),
        status => Err(ScmError::Refused { status, message: message.unwrap_or_default().into() }),
    }
}

pub(super) fn missing(field: &str) -> ScmError {
    ScmError::Malformed(format!("{field} is missing"))
}
