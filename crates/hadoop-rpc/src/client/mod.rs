//! The client side.
//!
//! ```text
//!  RpcClient::call ─► queue of a connection ─► its task: connects, writes, reads, pings
//!        ▲                                        │
//!        └────────── pending calls by id ◄────────┘
//! ```
//! One connection per (server, protocol); calls of all tasks share it, and those that are ready
//! together leave in one system call. A broken connection fails the calls that are pending on it: the
//! caller knows whether to repeat them, with the same [`CallId`] and `retry` counted up.

mod connection;
mod response;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use ozone_config::{ConfigError, Configuration, Unit};
use parking_lot::Mutex;
use prost::Message;
use thiserror::Error;

use crate::proto::{IpcConnectionContextProto, RequestHeaderProto, UserInformationProto};
use crate::wire;
use connection::{Connection, Enqueue};

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

impl ClientSettings {
    /// From the `ipc.*` keys that the genuine client reads. [`Self::call_timeout`] has no such key: each
    /// protocol has its own.
    ///
    /// # Errors
    /// A value is not understood.
    pub fn read(conf: &Configuration) -> Result<Self, ConfigError> {
        let default = Self::default();
        let duration = |key, value| conf.duration(key, value, Unit::Milliseconds);
        let length =
            conf.integer("ipc.maximum.response.length", default.response_bytes_max as i32)?;
        Ok(Self {
            connect_timeout: duration("ipc.client.connect.timeout", default.connect_timeout)?,
            idle_timeout: duration("ipc.client.connection.maxidletime", default.idle_timeout)?,
            ping_interval: duration("ipc.ping.interval", default.ping_interval)?,
            response_bytes_max: usize::try_from(length).unwrap_or_default(),
            ..default
        })
    }
}

/// Identifies one call over all its retries (`clientId`, `callId` of the header).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallId {
    /// Number of the call within the client.
    pub call: i32,
    /// 0 for the first try.
    pub retry: i32,
}

impl CallId {
    /// The same call, tried once more.
    #[must_use]
    pub fn again(self) -> Self {
        Self { call: self.call, retry: self.retry.saturating_add(1) }
    }
}

/// Calls methods of any protocol on any server, over one multiplexed connection per (server,
/// protocol, user). Clones share connections.
#[derive(Clone)]
pub struct RpcClient {
    shared: Arc<Shared>,
}

struct Shared {
    settings: ClientSettings,
    user: String,
    real_user: Option<String>,
    id: [u8; 16],
    next: AtomicI32,
    connections: Mutex<HashMap<(SocketAddr, &'static str), Arc<Connection>>>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        for connection in self.connections.get_mut().values() {
            connection.close();
        }
    }
}

impl RpcClient {
    /// A client that acts as `user`, with a client id of its own.
    pub fn new(settings: ClientSettings, user: impl Into<String>) -> Self {
        Self::build(settings, user.into(), None)
    }

    /// A client of `real_user` that acts for `user`; the server must allow it
    /// (`hadoop.proxyuser.*`).
    pub fn proxy(
        settings: ClientSettings,
        user: impl Into<String>,
        real_user: impl Into<String>,
    ) -> Self {
        Self::build(settings, user.into(), Some(real_user.into()))
    }

    fn build(settings: ClientSettings, user: String, real_user: Option<String>) -> Self {
        // Java takes a random UUID: version 4, variant 2.
        let mut id: [u8; 16] = rand::random();
        id[6] = (id[6] & 0x0f) | 0x40;
        id[8] = (id[8] & 0x3f) | 0x80;
        let shared = Shared {
            settings,
            user,
            real_user,
            id,
            next: AtomicI32::new(0),
            connections: Mutex::new(HashMap::new()),
        };
        Self { shared: Arc::new(shared) }
    }

    /// This client's id, the same in all its calls.
    pub fn client_id(&self) -> [u8; 16] {
        self.shared.id
    }

    /// A number for a new call; keep it for retries of the same call and count `retry` up.
    pub fn next_call(&self) -> CallId {
        // Ids below zero mean other things: start over at 0.
        let call = self.shared.next.fetch_add(1, Ordering::Relaxed) & i32::MAX;
        CallId { call, retry: 0 }
    }

    /// Sends one request (a bare protobuf message) and waits for the answer's message. Must be called
    /// within a tokio runtime.
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
        let after = self.shared.settings.call_timeout;
        let answer = async {
            loop {
                let connection = self.connection(address, protocol);
                match connection.enqueue(id, method, &request).await {
                    Enqueue::Queued(answer) => return answer.await,
                    // It was closed a moment ago, before it saw this call: take another.
                    Enqueue::Closed => self.forget(address, protocol, &connection),
                }
            }
        };
        match tokio::time::timeout(after, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(CallError::Timeout { address, after }),
        }
    }

    fn connection(&self, address: SocketAddr, protocol: &'static str) -> Arc<Connection> {
        let shared = &self.shared;
        let mut connections = shared.connections.lock();
        if let Some(connection) = connections.get(&(address, protocol)) {
            return connection.clone();
        }
        // Those that were closed meanwhile are of no use to anybody.
        connections.retain(|_, connection| !connection.is_closed());
        let opening = opening(&shared.id, &shared.user, shared.real_user.as_deref(), protocol);
        let connection =
            Connection::open(address, protocol, shared.id, shared.settings.clone(), opening);
        connections.insert((address, protocol), connection.clone());
        connection
    }

    fn forget(&self, address: SocketAddr, protocol: &'static str, closed: &Arc<Connection>) {
        let mut connections = self.shared.connections.lock();
        let current = connections.get(&(address, protocol));
        if current.is_some_and(|current| Arc::ptr_eq(current, closed)) {
            connections.remove(&(address, protocol));
        }
    }
}

/// Header and context of a connection.
fn opening(id: &[u8; 16], user: &str, real_user: Option<&str>, protocol: &str) -> Bytes {
    let context = IpcConnectionContextProto {
        user_info: Some(UserInformationProto {
            effective_user: Some(user.to_owned()),
            real_user: real_user.map(str::to_owned),
        }),
        protocol: Some(protocol.to_owned()),
    };
    let context = context.encode_length_delimited_to_vec();
    let mut out = BytesMut::new();
    out.put_slice(&wire::MAGIC);
    out.put_slice(&[wire::VERSION, 0, wire::AUTH_NONE]);
    wire::put_request_header(&mut out, wire::CONTEXT_CALL, id, wire::NO_RETRY, context.len());
    out.put_slice(&context);
    out.freeze()
}

/// Delimited `RequestHeaderProto`.
fn target(protocol: &str, method: &str) -> Bytes {
    let header = RequestHeaderProto {
        method_name: method.to_owned(),
        declaring_class_protocol_name: protocol.to_owned(),
        client_protocol_version: 1,
    };
    Bytes::from(header.encode_length_delimited_to_vec())
}
