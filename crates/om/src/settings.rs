//! Settings of the Ozone Manager, under Ozone's keys.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use hdds_client::addresses::{self, HostPort, suffixed};
use hdds_types::ReplicationConfig;
use om_core::Rules;
use om_core::rules::Admins;
use om_proto::BucketLayoutProto;
use ozone_config::{Configuration, Unit};
use ozone_daemon::directories::metadata_directory;
use ozone_http::{HttpKeys, HttpSettings};

use crate::encryption;
use crate::identity;
use crate::service::trash::Schedule;

/// What an Ozone Manager needs to know before it starts.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The service this one belongs to (`identity::find`).
    pub service: String,
    /// Its node id there.
    pub node: String,
    /// `ozone.om.address[.<service>.<node>]`, default port 9862: where clients call.
    pub rpc: HostPort,
    /// `ozone.om.http-address[.<service>.<node>]`, default port 9874.
    pub http: HostPort,
    /// The HTTP port itself.
    pub http_server: HttpSettings,
    /// `ozone.om.https-address[.<service>.<node>]`, default port 9875.
    pub https: HostPort,
    /// `ozone.om.ratis.port[.<service>.<node>]`, default 9872.
    pub ratis_port: u16,
    /// `ozone.om.db.dirs`, else `ozone.metadata.dirs`: holds `om/current/VERSION` and `om.db`.
    pub directory: PathBuf,
    /// `ozone.metadata.dirs`, else the same: holds the marker of a prepared Ozone Manager.
    pub metadata_directory: PathBuf,
    /// `ozone.om.ratis.storage.dir`, else `om.ratis` in the metadata directory.
    pub ratis_directory: PathBuf,
    /// `ozone.om.ratis.minimum.timeout`, 5 s.
    pub election_timeout: Duration,
    /// `ozone.om.ratis.segment.size`, 4 MB.
    pub segment_bytes: u64,
    /// `ozone.om.ratis.segment.preallocated.size`, 4 MB.
    pub segment_preallocated_bytes: u64,
    /// `ozone.om.ratis.snapshot.auto.trigger.threshold`, 400,000 entries.
    pub snapshot_after_entries: u64,
    /// `ozone.om.ratis.log.purge.gap`, 1,000,000 entries.
    pub purge_gap: u64,
    /// `ozone.om.ratis.server.retry.cache.timeout`, 10 min.
    pub retry_cache_expiry: Duration,
    /// Who keeps the keys of encrypted buckets.
    pub encryption: encryption::Settings,
    /// What the namespace is allowed.
    pub rules: Rules,
    /// `ozone.om.container.location.cache.size`, 100,000 containers.
    pub location_cache_entries: usize,
    /// `ozone.om.container.location.cache.ttl`, 360 min.
    pub location_cache_ttl: Duration,
    /// `ozone.block.deleting.service.interval`, 60 s.
    pub key_deleting_interval: Duration,
    /// `ozone.key.deleting.limit.per.task`, 50,000 keys.
    pub key_deleting_limit: usize,
    /// `ozone.directory.deleting.service.interval`, 1 min.
    pub directory_deleting_interval: Duration,
    /// `ozone.path.deleting.limit.per.task`, 20,000 rows.
    pub directory_deleting_limit: usize,
    /// `ozone.om.open.key.cleanup.service.interval`, 24 h.
    pub open_key_cleanup_interval: Duration,
    /// `ozone.om.open.key.expire.threshold`, 7 d.
    pub open_key_expiry: Duration,
    /// `ozone.om.open.key.cleanup.limit.per.task`, 1,000 keys.
    pub open_key_cleanup_limit: usize,
    /// `ozone.om.lease.hard.limit`, 7 d: after that an open file with an hsync is closed as it is.
    pub lease_hard_limit: Duration,
    /// `ozone.om.open.mpu.cleanup.service.interval`, 24 h.
    pub upload_cleanup_interval: Duration,
    /// `ozone.om.open.mpu.expire.threshold`, 30 d.
    pub upload_expiry: Duration,
    /// `ozone.om.open.mpu.parts.cleanup.limit.per.task`, 1,000 parts.
    pub upload_cleanup_parts_limit: usize,
    /// When checkpoints of the trash are made and deleted; `None` where there is no trash.
    pub trash: Option<Schedule>,
}

impl Settings {
    /// Reads them all.
    ///
    /// # Errors
    /// A value is malformed, or this node cannot tell which one it is.
    pub fn read(conf: &Configuration) -> anyhow::Result<Self> {
        let (service, node) = identity::find(conf, identity::is_local)?;
        identity::check_alone(conf, &service)?;
        let own = |key: &str| own_key(conf, key, &service, &node);
        let address = |key: &str, port: u16| -> anyhow::Result<HostPort> {
            let key = own(key);
            let text = conf.string(&key, "0.0.0.0")?;
            HostPort::parse(&text, port)
                .with_context(|| conf.malformed(&key, &text, "host:port").to_string())
        };
        let encryption = encryption::Settings::read(conf)?;
        let directory = metadata_directory(conf, "ozone.om.db.dirs")?;
        let metadata_directory = match "ozone.metadata.dirs" {
            key if conf.is_set(key) => metadata_directory(conf, key)?,
            _ => directory.clone(),
        };
        let ratis_directory = match conf.get("ozone.om.ratis.storage.dir")? {
            Some(path) => PathBuf::from(path),
            None => metadata_directory.join("om.ratis"),
        };
        let seconds =
            |key: &str, default: u64, unit| conf.duration(key, Duration::from_secs(default), unit);
        Ok(Self {
            rpc: address("ozone.om.address", addresses::OM_PORT)?,
            http: address("ozone.om.http-address", 9874)?,
            http_server: HttpSettings::read(
                conf,
                &HttpKeys {
                    address: own("ozone.om.http-address"),
                    bind_host: own("ozone.om.http-bind-host"),
                    enabled: "ozone.om.http.enabled",
                    port: 9874,
                },
            )?,
            https: address("ozone.om.https-address", 9875)?,
            ratis_port: conf.integer(&own("ozone.om.ratis.port"), 9872)?,
            directory,
            metadata_directory,
            ratis_directory,
            election_timeout: seconds("ozone.om.ratis.minimum.timeout", 5, Unit::Milliseconds)?,
            segment_bytes: conf.size("ozone.om.ratis.segment.size", 4 << 20)?,
            segment_preallocated_bytes: conf
                .size("ozone.om.ratis.segment.preallocated.size", 4 << 20)?,
            snapshot_after_entries: conf
                .integer("ozone.om.ratis.snapshot.auto.trigger.threshold", 400_000)?,
            purge_gap: conf.integer("ozone.om.ratis.log.purge.gap", 1_000_000)?,
            retry_cache_expiry: seconds(
                "ozone.om.ratis.server.retry.cache.timeout",
                600,
                Unit::Milliseconds,
            )?,
            rules: rules(conf, encryption.address.is_some())?,
            encryption,
            location_cache_entries: conf
                .integer("ozone.om.container.location.cache.size", 100_000)?,
            location_cache_ttl: seconds(
                "ozone.om.container.location.cache.ttl",
                360 * 60,
                Unit::Minutes,
            )?,
            key_deleting_interval: seconds(
                "ozone.block.deleting.service.interval",
                60,
                Unit::Milliseconds,
            )?,
            key_deleting_limit: conf.integer("ozone.key.deleting.limit.per.task", 50_000)?,
            directory_deleting_interval: seconds(
                "ozone.directory.deleting.service.interval",
                60,
                Unit::Milliseconds,
            )?,
            directory_deleting_limit: conf.integer("ozone.path.deleting.limit.per.task", 20_000)?,
            open_key_cleanup_interval: seconds(
                "ozone.om.open.key.cleanup.service.interval",
                24 * 3600,
                Unit::Milliseconds,
            )?,
            open_key_expiry: seconds(
                "ozone.om.open.key.expire.threshold",
                7 * 24 * 3600,
                Unit::Milliseconds,
            )?,
            open_key_cleanup_limit: conf
                .integer("ozone.om.open.key.cleanup.limit.per.task", 1_000)?,
            lease_hard_limit: seconds(
                "ozone.om.lease.hard.limit",
                7 * 24 * 3600,
                Unit::Milliseconds,
            )?,
            upload_cleanup_interval: seconds(
                "ozone.om.open.mpu.cleanup.service.interval",
                24 * 3600,
                Unit::Milliseconds,
            )?,
            upload_expiry: seconds(
                "ozone.om.open.mpu.expire.threshold",
                30 * 24 * 3600,
                Unit::Milliseconds,
            )?,
            upload_cleanup_parts_limit: conf
                .integer("ozone.om.open.mpu.parts.cleanup.limit.per.task", 1_000)?,
            trash: Schedule::read(conf)?,
            service,
            node,
        })
    }
}

/// `key.<service>.<node>` where that is written, else `key`.
fn own_key(conf: &Configuration, key: &str, service: &str, node: &str) -> String {
    let own = suffixed(key, service, node);
    if conf.is_set(&own) { own } else { key.to_owned() }
}

/// Which of the authorizers is set.
fn native_authorizer(conf: &Configuration) -> anyhow::Result<bool> {
    let key = "ozone.acl.authorizer.class";
    let permissive = "org.apache.hadoop.ozone.security.acl.OzoneAccessAuthorizer";
    let class = conf.string(key, permissive)?;
    match class.rsplit('.').next() {
        Some("OzoneNativeAuthorizer") => Ok(true),
        Some("OzoneAccessAuthorizer") => Ok(false),
        _ => Err(conf
            .malformed(key, &class, "OzoneNativeAuthorizer or OzoneAccessAuthorizer")
            .into()),
    }
}

/// The user of the Ozone Manager is always an administrator.
fn admins(conf: &Configuration) -> anyhow::Result<Admins> {
    let mut users = conf.list("ozone.administrators")?;
    users.push(crate::users::process_user());
    Ok(Admins { users, groups: conf.list("ozone.administrators.groups")? })
}

/// Users and groups under two keys.
fn named(conf: &Configuration, users: &str, groups: &str) -> anyhow::Result<Admins> {
    Ok(Admins { users: conf.list(users)?, groups: conf.list(groups)? })
}

/// A duration that the namespace compares with its own times.
fn milliseconds(conf: &Configuration, key: &str, default_seconds: u64) -> anyhow::Result<u64> {
    let default = Duration::from_secs(default_seconds);
    let duration = conf.duration(key, default, Unit::Milliseconds)?;
    Ok(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

fn rules(conf: &Configuration, key_provider: bool) -> anyhow::Result<Rules> {
    let default = Rules::default();
    let kind = conf.string("ozone.server.default.replication.type", "RATIS")?;
    let key = "ozone.server.default.replication";
    let text = conf.string(key, "THREE")?;
    let default_replication = ReplicationConfig::parse(&kind, &text)
        .map_err(|error| conf.malformed(key, &text, &format!("a replication ({error})")))?;
    Ok(Rules {
        block_bytes: conf.size("ozone.scm.block.size", default.block_bytes)?,
        preallocated_blocks_max: conf
            .integer("ozone.key.preallocation.max.blocks", default.preallocated_blocks_max)?,
        default_replication,
        default_layout: conf.typed(
            "ozone.default.bucket.layout",
            default.default_layout,
            "FILE_SYSTEM_OPTIMIZED, OBJECT_STORE or LEGACY",
            BucketLayoutProto::from_str_name,
        )?,
        strict_s3_names: conf.boolean("ozone.om.namespace.s3.strict", default.strict_s3_names)?,
        filesystem_paths: conf
            .boolean("ozone.om.enable.filesystem.paths", default.filesystem_paths)?,
        key_characters_checked: conf
            .boolean("ozone.om.keyname.character.check.enabled", default.key_characters_checked)?,
        list_rows_max: conf.integer("ozone.om.server.list.max.size", default.list_rows_max)?,
        list_status_rows_max: conf
            .integer("ozone.fs.listing.page.size.max", default.list_status_rows_max)?,
        volumes_per_user_max: conf
            .integer("ozone.om.user.max.volume", default.volumes_per_user_max)?,
        buckets_max: conf.integer("ozone.om.max.buckets", default.buckets_max)?,
        s3_volume: conf.string("ozone.s3g.volume.name", &default.s3_volume)?,
        list_all_volumes: conf
            .boolean("ozone.om.volume.listall.allowed", default.list_all_volumes)?,
        admins: admins(conf)?,
        read_only_admins: named(
            conf,
            "ozone.readonly.administrators",
            "ozone.readonly.administrators.groups",
        )?,
        blacklist: named(conf, "ozone.blacklist.users", "ozone.blacklist.groups")?,
        read_blacklist: named(conf, "ozone.read.blacklist.users", "ozone.read.blacklist.groups")?,
        acls_enforced: conf.boolean("ozone.acl.enabled", false)?
            && conf.boolean("ozone.authorization.enabled", true)?
            && (conf.boolean("ozone.security.enabled", false)?
                || conf.boolean("ozone.test.authorization.enabled", false)?),
        native_authorizer: native_authorizer(conf)?,
        key_provider,
        hsync: conf.boolean("ozone.fs.hsync.enabled", default.hsync)?
            && conf.boolean("ozone.hbase.enhancements.allowed", false)?,
        lease_soft_limit_ms: milliseconds(conf, "ozone.om.lease.soft.limit", 60)?,
    })
}
