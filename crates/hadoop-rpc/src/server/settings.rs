//! Limits of a server.

use std::sync::Arc;
use std::time::Duration;

use crate::proxy_user::ProxyUsers;

/// Limits of a server.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// `ipc.maximum.data.length`: larger frames close the connection.
    pub frame_bytes_max: usize,
    /// Calls in service or waiting, over all connections; past it the server stops reading.
    pub calls_max: usize,
    /// Calls in service or waiting on one connection.
    pub calls_per_connection_max: usize,
    /// Bytes of requests in service over all connections; past it the server stops reading.
    pub request_bytes_max: usize,
    /// Answers that wait for one slow reader, in bytes; past it its connection is not read.
    pub unsent_bytes_max: usize,
    /// Open connections; further ones are closed at once.
    pub connections_max: usize,
    /// `ipc.client.idlethreshold`: connections beyond which idle ones are closed.
    pub idle_threshold: usize,
    /// Twice `ipc.client.connection.maxidletime`: idle for so long may be closed.
    pub idle_timeout: Duration,
    /// A connection that stops in the middle of header or frame is closed after this.
    pub stall_timeout: Duration,
    /// A reader that takes no byte of its answers for this long is closed.
    pub unread_timeout: Duration,
    /// How long a stop waits for calls in service.
    pub drain_timeout: Duration,
    /// Who may act for whom; `None` refuses all proxy users.
    pub proxy_users: Option<Arc<ProxyUsers>>,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            frame_bytes_max: 128 << 20,
            calls_max: 10_000,
            calls_per_connection_max: 1_000,
            request_bytes_max: 1 << 30,
            unsent_bytes_max: 4 << 20,
            connections_max: 20_000,
            idle_threshold: 4_000,
            idle_timeout: Duration::from_secs(20),
            stall_timeout: Duration::from_secs(120),
            unread_timeout: Duration::from_secs(300),
            drain_timeout: Duration::from_secs(10),
            proxy_users: None,
        }
    }
}

impl ServerSettings {
    /// [`Self::request_bytes_max`] in KiB. A longer frame asks for all of them.
    pub(super) fn request_kib_max(&self) -> u32 {
        u32::try_from(self.request_bytes_max >> 10).unwrap_or(u32::MAX).clamp(1, u32::MAX >> 4)
    }
}
