//! A running Ozone Manager, asked as several users through Hadoop RPC.

use std::collections::HashMap;
use std::net::SocketAddr;

use bytes::Bytes;
use hadoop_rpc::client::{CallError, ClientSettings, RpcClient};
use om_proto::{OmRequest, OmResponse};
use prost::Message;

const PROTOCOL: &str = "org.apache.hadoop.ozone.om.protocol.OzoneManagerProtocol";

pub struct Asker {
    om: SocketAddr,
    clients: HashMap<String, RpcClient>,
}

impl Asker {
    pub fn new(om: SocketAddr) -> Self {
        Self { om, clients: HashMap::new() }
    }

    /// One request.
    ///
    /// # Errors
    /// What the RPC layer says: an exception of the server, or a broken connection.
    pub async fn ask(&mut self, user: &str, request: &OmRequest) -> Result<OmResponse, CallError> {
        let client = self
            .clients
            .entry(user.to_owned())
            .or_insert_with(|| RpcClient::new(ClientSettings::default(), user));
        let bytes = Bytes::from(request.encode_to_vec());
        let id = client.next_call();
        let answer = client.call(self.om, PROTOCOL, "submitRequest", id, bytes).await?;
        Ok(OmResponse::decode(answer).expect("an OMResponse"))
    }
}
