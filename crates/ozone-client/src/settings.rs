//! Settings of the client.

use std::time::Duration;

use hadoop_kms::{KmsAddress, KmsSettings};
use hdds_client::BlockSettings;
use hdds_types::ReplicationConfig;
use ozone_config::{ConfigError, Configuration, Unit};

use crate::replication;

/// Everything a client reads from the configuration.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// Failover among Ozone Managers.
    pub failover: FailoverSettings,
    /// Reading and writing blocks.
    pub blocks: BlockSettings,
    /// Items asked for per page of a listing (`ozone.client.list.cache`, 1000).
    pub list_page: u32,
    /// Ask for datanodes sorted by distance (`ozone.network.topology.aware.read`, true).
    pub topology_aware_read: bool,
    /// `ozone.replication.type` and `ozone.replication`, if the type is set; else the bucket or the
    /// server decides.
    pub replication: Option<ReplicationConfig>,
    /// How often a key write moves to a new block after failures (`ozone.client.max.retries`, 5).
    pub write_retries_max: u32,
    /// Wait before such a move (`ozone.client.retry.interval`, 0).
    pub write_retry_interval: Duration,
    /// How often the locations of a key are asked anew when reading fails
    /// (`ozone.client.read.max.retries`, 3).
    pub read_retries_max: u32,
    /// Wait before that (`ozone.client.read.retry.interval`, 1 s).
    pub read_retry_interval: Duration,
    /// `hadoop.security.key.provider.path`: who keeps the keys of encrypted buckets, where the Ozone
    /// Manager does not say.
    pub key_provider: Option<String>,
    /// How that is asked.
    pub kms: KmsSettings,
}

/// How the client looks for the leader.
#[derive(Clone, Debug)]
pub struct FailoverSettings {
    /// `ozone.client.failover.max.attempts`, 500.
    pub attempts_max: u32,
    /// `ozone.client.wait.between.retries.millis`, 2000.
    pub wait: Duration,
    /// `ozone.om.client.rpc.timeout`, 15 min: one call.
    pub call_timeout: Duration,
}

impl Default for FailoverSettings {
    fn default() -> Self {
        Self {
            attempts_max: 500,
            wait: Duration::from_secs(2),
            call_timeout: Duration::from_secs(15 * 60),
        }
    }
}

impl FailoverSettings {
    fn load(conf: &Configuration) -> Result<Self, ConfigError> {
        let usual = Self::default();
        Ok(Self {
            attempts_max: conf.integer("ozone.client.failover.max.attempts", usual.attempts_max)?,
            wait: conf.duration(
                "ozone.client.wait.between.retries.millis",
                usual.wait,
                Unit::Milliseconds,
            )?,
            call_timeout: conf.duration(
                "ozone.om.client.rpc.timeout",
                usual.call_timeout,
                Unit::Milliseconds,
            )?,
        })
    }
}

impl ClientSettings {
    /// Reads the client's keys.
    ///
    /// # Errors
    /// A value is malformed.
    pub fn load(conf: &Configuration) -> Result<Self, ConfigError> {
        let second = Duration::from_secs(1);
        Ok(Self {
            failover: FailoverSettings::load(conf)?,
            blocks: BlockSettings::load(conf)?,
            list_page: conf.integer("ozone.client.list.cache", 1000_u32)?.max(1),
            topology_aware_read: conf.boolean("ozone.network.topology.aware.read", true)?,
            replication: replication::from_configuration(conf)?,
            write_retries_max: conf.integer("ozone.client.max.retries", 5)?,
            write_retry_interval: conf.duration(
                "ozone.client.retry.interval",
                Duration::ZERO,
                Unit::Milliseconds,
            )?,
            read_retries_max: conf.integer("ozone.client.read.max.retries", 3)?,
            read_retry_interval: conf.duration(
                "ozone.client.read.retry.interval",
                second,
                Unit::Seconds,
            )?,
            key_provider: KmsAddress::configured(conf)?,
            kms: KmsSettings::load(conf)?,
        })
    }
}
