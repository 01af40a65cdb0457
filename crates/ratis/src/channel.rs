//! Connections to other servers, one per address and lane.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tonic::transport::{Channel, Endpoint};

use crate::exception::Exception;

/// Bytes that may be in flight on a stream before the receiver has read them.
pub(crate) const STREAM_WINDOW_BYTES: u32 = 16 << 20;
/// The same for all streams of a connection: a stream that stands still must not stop the others.
pub(crate) const CONNECTION_WINDOW_BYTES: u32 = 512 << 20;
/// How long a connection attempt may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// An idle connection is probed after this long.
pub(crate) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(60);
/// A probe without an answer for this long ends the connection.
pub(crate) const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// What a connection carries. Heartbeats have their own so that bulk entries do not delay them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Lane {
    /// Requests and entries.
    Data,
    /// Heartbeats and votes.
    Heartbeat,
}

/// Connections, opened on first use, shared by all groups. Clones share them.
#[derive(Clone, Default)]
pub struct Channels {
    open: Arc<Mutex<HashMap<(String, Lane), Channel>>>,
}

impl Channels {
    /// The connection to `address` ("host:port"). Connects when it is used.
    ///
    /// # Errors
    /// The address is not one.
    pub fn get(&self, address: &str, lane: Lane) -> Result<Channel, Exception> {
        let mut open = self.open.lock();
        if let Some(channel) = open.get(&(address.to_owned(), lane)) {
            return Ok(channel.clone());
        }
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .map_err(|e| Exception::illegal_argument(format!("address {address:?}: {e}")))?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT);
        let channel = endpoint.connect_lazy();
        open.insert((address.to_owned(), lane), channel.clone());
        Ok(channel)
    }

    /// Forgets the connections to an address; users that hold one keep it.
    pub fn forget(&self, address: &str) {
        self.open.lock().retain(|(at, _), _| at != address);
    }
}
