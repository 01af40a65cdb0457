//! Keys `hdds.scmclient.*` (`SCMClientConfig`) and those of a datanode's heartbeat.

use std::time::Duration;

use ozone_config::{ConfigError, Configuration, Unit};

/// How SCM clients retry and time out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScmClientSettings {
    /// `hdds.scmclient.rpc.timeout` (15 min): limit of one call.
    pub call_timeout: Duration,
    /// `hdds.scmclient.max.retry.timeout` (10 min): together with the interval, how often to retry.
    pub retry_timeout: Duration,
    /// `hdds.scmclient.failover.max.retry` (15): retries, where more than the timeout gives.
    pub retries_min: u32,
    /// `hdds.scmclient.failover.retry.interval` (2 s): pause before another round.
    pub retry_interval: Duration,
    /// `ipc.client.connect.timeout` (20 s): limit of a connection attempt.
    pub connect_timeout: Duration,
    /// `ozone.scm.heartbeat.rpc-timeout` (5 s): limit of one call of a datanode.
    pub heartbeat_timeout: Duration,
}

impl Default for ScmClientSettings {
    fn default() -> Self {
        Self {
            call_timeout: Duration::from_secs(15 * 60),
            retry_timeout: Duration::from_secs(10 * 60),
            retries_min: 15,
            retry_interval: Duration::from_secs(2),
            connect_timeout: Duration::from_secs(20),
            heartbeat_timeout: Duration::from_secs(5),
        }
    }
}

impl ScmClientSettings {
    /// From the configuration.
    ///
    /// # Errors
    /// A value is not understood.
    pub fn read(conf: &Configuration) -> Result<Self, ConfigError> {
        let default = Self::default();
        let ms = Unit::Milliseconds;
        let duration = |key, value| conf.duration(key, value, ms);
        Ok(Self {
            call_timeout: duration("hdds.scmclient.rpc.timeout", default.call_timeout)?,
            retry_timeout: duration("hdds.scmclient.max.retry.timeout", default.retry_timeout)?,
            retries_min: conf.integer("hdds.scmclient.failover.max.retry", default.retries_min)?,
            retry_interval: duration(
                "hdds.scmclient.failover.retry.interval",
                default.retry_interval,
            )?,
            connect_timeout: duration("ipc.client.connect.timeout", default.connect_timeout)?,
            heartbeat_timeout: duration(
                "ozone.scm.heartbeat.rpc-timeout",
                default.heartbeat_timeout,
            )?,
        })
    }

    /// Retries after the first try (`SCMClientConfig.getRetryCount`).
    pub fn retries(&self) -> u32 {
        let interval = self.retry_interval.as_millis().max(1);
        let by_time = u32::try_from(self.retry_timeout.as_millis() / interval).unwrap_or(u32::MAX);
        by_time.max(self.retries_min)
    }
}
