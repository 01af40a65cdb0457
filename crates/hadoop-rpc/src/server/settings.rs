//! Limits of a server.

use std::sync::Arc;
use std::time::Duration;

use ozone_config::{ConfigError, Configuration, Unit};

use crate::proxy_user::ProxyUsers;

/// Cores for each I/O thread.
const CORES_PER_IO_THREAD: usize = 4;

/// Limits of a server.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// `ipc.maximum.data.length`: larger frames close the connection.
    pub frame_bytes_max: usize,
    /// Threads that drive connections; 0 leaves them to the runtime of the caller.
    pub io_threads: usize,
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
            io_threads: io_threads_default(),
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

/// One thread answers some hundred thousand small calls per second, so it takes many cores before a
/// second one pays.
fn io_threads_default() -> usize {
    std::thread::available_parallelism()
        .map_or(1, |cores| cores.get().div_ceil(CORES_PER_IO_THREAD))
}

impl ServerSettings {
    /// From the `ipc.*` and `hadoop.proxyuser.*` keys that the genuine server reads; what it has no
    /// key for keeps its default.
    ///
    /// # Errors
    /// A value is not understood.
    pub fn read(conf: &Configuration) -> Result<Self, ConfigError> {
        let default = Self::default();
        let max_idle = conf.duration(
            "ipc.client.connection.maxidletime",
            default.idle_timeout / 2,
            Unit::Milliseconds,
        )?;
        // 0, the genuine default, means no limit; ours stays, for descriptors are limited anyway.
        let connections_max = match conf.integer("ipc.server.max.connections", 0)? {
            0 => default.connections_max,
            max => max,
        };
        let frame_bytes_max =
            conf.integer("ipc.maximum.data.length", default.frame_bytes_max as i32)?;
        Ok(Self {
            frame_bytes_max: usize::try_from(frame_bytes_max).unwrap_or_default(),
            connections_max,
            idle_threshold: conf.integer("ipc.client.idlethreshold", default.idle_threshold)?,
            idle_timeout: max_idle * 2,
            proxy_users: Some(Arc::new(ProxyUsers::from_entries(conf.written()))),
            ..default
        })
    }

    /// [`Self::request_bytes_max`] in KiB. A longer frame asks for all of them.
    pub(super) fn request_kib_max(&self) -> u32 {
        u32::try_from(self.request_bytes_max >> 10).unwrap_or(u32::MAX).clamp(1, u32::MAX >> 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_from_the_keys_of_the_genuine_server() {
        let mut conf = Configuration::default();
        let same = ServerSettings::read(&conf).unwrap();
        assert_eq!((same.frame_bytes_max, same.idle_threshold), (128 << 20, 4_000));
        for (key, value) in [
            ("ipc.maximum.data.length", "1000"),
            ("ipc.server.max.connections", "7"),
            ("ipc.client.connection.maxidletime", "1000"),
            ("hadoop.proxyuser.h.users", "*"),
            ("hadoop.proxyuser.h.hosts", "*"),
        ] {
            conf.set(key, value);
        }
        let settings = ServerSettings::read(&conf).unwrap();
        assert_eq!((settings.frame_bytes_max, settings.connections_max), (1000, 7));
        assert_eq!(settings.idle_timeout, Duration::from_secs(2));
        let users = settings.proxy_users.unwrap();
        assert!(users.check("h", "alice", [127, 0, 0, 1].into()).is_ok());
        conf.set("ipc.maximum.data.length", "128MB");
        assert!(ServerSettings::read(&conf).is_err());
    }
}
