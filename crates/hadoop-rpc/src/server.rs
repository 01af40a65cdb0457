//! The server side.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use thiserror::Error;

/// Who calls, and which call it is.
#[derive(Clone, Debug)]
pub struct CallContext {
    /// The effective user.
    pub user: Arc<str>,
    /// The user who acts for `user`, if any.
    pub real_user: Option<Arc<str>>,
    /// The client's address.
    pub remote: SocketAddr,
    /// The client object, 16 bytes, constant over retries and failover.
    pub client_id: [u8; 16],
    /// The call, constant over retries.
    pub call_id: i32,
    /// 0 for the first try.
    pub retry_count: i32,
    /// The caller's note for audit logs.
    pub caller_context: Option<Arc<str>>,
}

/// A failure at RPC level: status ERROR with a Java class. Application failures travel inside the
/// response instead.
#[derive(Clone, Debug, Error)]
#[error("{class}: {message}")]
pub struct RpcError {
    /// Exact Java class name; clients instantiate it.
    pub class: String,
    /// First line of the message.
    pub message: String,
}

impl RpcError {
    /// An error of this Java class.
    pub fn new(class: impl Into<String>, message: impl Into<String>) -> Self {
        Self { class: class.into(), message: message.into() }
    }
}

/// A protocol that a server speaks, e.g. `org.apache.hadoop.ozone.om.protocol.OzoneManagerProtocol`.
#[async_trait]
pub trait Protocol: Send + Sync + 'static {
    /// Version that clients must name.
    fn version(&self) -> u64 {
        1
    }

    /// Method names that exist; others are answered with RpcNoSuchMethodException.
    fn methods(&self) -> &'static [&'static str];

    /// Serves one call. `request` and the result are the bare protobuf messages.
    async fn call(
        &self,
        context: CallContext,
        method: &str,
        request: Bytes,
    ) -> Result<Bytes, RpcError>;
}

/// Limits of a server.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// `ipc.maximum.data.length`: larger frames close the connection.
    pub frame_bytes_max: usize,
    /// Calls in service or waiting, over all connections; past it the server stops reading.
    pub calls_max: usize,
    /// Calls in service or waiting on one connection.
    pub calls_per_connection_max: usize,
    /// How long a stop waits for calls in service.
    pub drain_timeout: Duration,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            frame_bytes_max: 128 << 20,
            calls_max: 10_000,
            calls_per_connection_max: 1_000,
            drain_timeout: Duration::from_secs(10),
        }
    }
}

/// A listening server.
pub struct RpcServer {}

impl RpcServer {
    /// Listens on `address` and serves these protocols by name.
    ///
    /// # Errors
    /// The port is taken or not allowed.
    pub async fn start(
        address: SocketAddr,
        settings: ServerSettings,
        protocols: Vec<(&'static str, Arc<dyn Protocol>)>,
    ) -> std::io::Result<Self> {
        unimplemented!("{address}{settings:?}{}", protocols.len())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        unimplemented!()
    }

    /// Takes no new calls, lets those in service finish (bounded), closes every connection.
    pub async fn shutdown(self) {}
}
