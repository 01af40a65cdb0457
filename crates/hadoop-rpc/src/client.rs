//! The client side.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;

/// Why a call failed, and so what to do next.
#[derive(Clone, Debug, Error)]
pub enum CallError {
    /// The server answered with an error of this Java class.
    #[error("{class}: {message}")]
    Remote {
        /// Java class of the exception.
        class: String,
        /// Its message.
        message: String,
        /// The server closed the connection after it (FATAL).
        fatal: bool,
    },
    /// No connection, or it broke: the call may or may not have been served.
    #[error("{address}: {message}")]
    Connection {
        /// The server.
        address: SocketAddr,
        /// What happened.
        message: String,
    },
    /// No answer in time.
    #[error("{address} did not answer within {after:?}")]
    Timeout {
        /// The server.
        address: SocketAddr,
        /// The limit.
        after: Duration,
    },
}

/// Settings of a client.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// Limit of one call.
    pub call_timeout: Duration,
    /// Limit of a connection attempt.
    pub connect_timeout: Duration,
    /// A connection without calls for this long is closed.
    pub idle_timeout: Duration,
    /// `ipc.maximum.response.length`.
    pub response_bytes_max: usize,
    /// `ipc.ping.interval`.
    pub ping_interval: Duration,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            call_timeout: Duration::from_secs(15 * 60),
            connect_timeout: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(10),
            response_bytes_max: 128 << 20,
            ping_interval: Duration::from_secs(60),
        }
    }
}

/// Identifies one call over all its retries (`clientId`, `callId` of the header).
#[derive(Clone, Copy, Debug)]
pub struct CallId {
    /// Number of the call within the client.
    pub call: i32,
    /// 0 for the first try.
    pub retry: i32,
}

/// Calls methods of any protocol on any server, over one multiplexed connection per (server,
/// protocol, user). Clones share connections.
#[derive(Clone)]
pub struct RpcClient {}

impl RpcClient {
    /// A client that acts as `user`, with a client id of its own.
    pub fn new(settings: ClientSettings, user: impl Into<String>) -> Self {
        let _ = (settings, user.into());
        unimplemented!()
    }

    /// A number for a new call; keep it for retries of the same call and count `retry` up.
    pub fn next_call(&self) -> CallId {
        unimplemented!()
    }

    /// Sends one request (a bare protobuf message) and waits for the answer's message.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call(
        &self,
        address: SocketAddr,
        protocol: &'static str,
        method: &'static str,
        id: CallId,
        request: Bytes,
    ) -> Result<Bytes, CallError> {
        unimplemented!("{address}{protocol}{method}{id:?}{}", request.len())
    }
}
