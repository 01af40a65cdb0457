//! Settings of the datanode.

use std::path::PathBuf;
use std::time::Duration;

use container_store::StoreSettings;
use hdds_client::addresses::{HostPort, recon_address_for_datanodes, scm_addresses_for_datanodes};
use hdds_client::scm::ScmClientSettings;
use multiraft::{PeerId, RaftSettings};
use ozone_config::{Configuration, Unit};
use ozone_daemon::directories::metadata_directory;
use ozone_http::{HttpKeys, HttpSettings};

use crate::identity::Identity;

/// Where the listeners open; 0 lets the system choose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ports {
    /// `hdds.container.ipc.port`, 9859 (0 with `hdds.container.ipc.random.port`): container
    /// commands of clients.
    pub standalone: u16,
    /// `hdds.container.ratis.ipc.port`, 9858 (0 with `hdds.container.ratis.ipc.random.port`, as the
    /// next two): Raft clients.
    pub ratis: u16,
    /// `hdds.container.ratis.admin.port`, 9857: Raft groups.
    pub ratis_admin: u16,
    /// `hdds.container.ratis.server.port`, 9856: Raft peers.
    pub ratis_server: u16,
}

/// What the datanode is told. Keys and defaults are those of the genuine one.
#[derive(Clone, Debug)]
pub struct DatanodeSettings {
    /// `ozone.metadata.dirs`.
    pub metadata: PathBuf,
    /// `ozone.scm.datanode.id.dir`, else the metadata directory: where `datanode.id` lives.
    pub id_dir: PathBuf,
    /// `hdds.datanode.hostname`, else the system's: how others reach this node.
    pub host_name: String,
    /// `hdds.datanode.use.datanode.hostname`, false: peers use names instead of addresses.
    pub use_host_names: bool,
    /// Ports.
    pub ports: Ports,
    /// `hdds.datanode.http-address`, port 9882.
    pub http: HttpSettings,
    /// SCMs, from `ozone.scm.*`.
    pub scms: Vec<HostPort>,
    /// Recon, if configured.
    pub recon: Option<HostPort>,
    /// How SCM is called.
    pub scm_client: ScmClientSettings,
    /// Disks and containers.
    pub store: StoreSettings,
    /// `hdds.heartbeat.interval`, 30 s.
    pub heartbeat_interval: Duration,
    /// `hdds.heartbeat.initial-interval`, 2 s: until registered.
    pub heartbeat_initial_interval: Duration,
    /// `hdds.heartbeat.recon.interval`, 60 s.
    pub recon_interval: Duration,
    /// `hdds.node.report.interval`, 60 s.
    pub node_report_interval: Duration,
    /// `hdds.container.report.interval`, 60 min.
    pub container_report_interval: Duration,
    /// `hdds.pipeline.report.interval`, 60 s.
    pub pipeline_report_interval: Duration,
    /// `hdds.container.action.max.limit`, 20: container actions in one heartbeat.
    pub container_actions_max: usize,
    /// `hdds.pipeline.action.max.limit`, 20: pipeline actions in one heartbeat.
    pub pipeline_actions_max: usize,
    /// `hdds.datanode.command.queue.limit`, 5000: commands of SCM that wait.
    pub commands_max: usize,
    /// `hdds.container.close.threshold`, 0.9: part of its size at which a container is closed.
    pub close_threshold: f64,
    /// `hdds.datanode.block.deleting.service.interval`, 60 s.
    pub block_deleting_interval: Duration,
    /// `hdds.datanode.periodic.disk.check.interval.minutes`, 60 min.
    pub disk_check_interval: Duration,
    /// `hdds.datanode.du.refresh.period`, 1 h.
    pub usage_refresh_interval: Duration,
    /// `hdds.datanode.metadata.rocksdb.cache.size`, 1 GB in the genuine datanode, which counts it once
    /// for all disks; ours takes a part of it per disk.
    pub database_cache_bytes: u64,
    /// Log directories: `hdds.container.ratis.datanode.storage.dir`, else `datanode.ratis` in the
    /// metadata directory.
    pub ratis_storage: Vec<PathBuf>,
    raft: Tuning,
}

/// `hdds.ratis.*` and `hdds.container.ratis.*`.
#[derive(Clone, Debug)]
struct Tuning {
    election_timeout_min: Duration,
    request_timeout: Duration,
    watch_timeout: Duration,
    /// Not in the genuine datanode: `hdds.container.ratis.watch.silence.timeout`, 1 s. A follower that
    /// was asked something and has been silent for this long is not waited for by clients that want
    /// every replica: they are told NotReplicated, as after the watch timeout, once the other replicas
    /// have the entry. 0 waits for the watch timeout.
    watch_silence_timeout: Duration,
    retry_cache_expiry: Duration,
    slowness_timeout: Duration,
    segment_bytes_max: u64,
    segment_preallocated_bytes: u64,
    append_bytes_max: u64,
    append_entries_max: usize,
    pending_requests_max: usize,
    pending_bytes_max: u64,
    snapshot_after_entries: u64,
    purge_gap: u64,
    delete_removed_groups: bool,
}

/// Between shortest and longest election timeout.
const ELECTION_TIMEOUT_SPREAD: Duration = Duration::from_millis(200);
/// What a message may hold beside its payload, in bytes.
const MESSAGE_HEADROOM_BYTES: usize = 1 << 20;
/// Largest part of the block cache that one disk's database takes, in bytes.
const DATABASE_CACHE_BYTES_MAX: u64 = 64 << 20;

impl DatanodeSettings {
    /// Reads the keys named above.
    ///
    /// # Errors
    /// A value is malformed, or one without a default is missing.
    pub fn load(conf: &Configuration) -> anyhow::Result<Self> {
        let metadata = metadata_directory(conf, "ozone.metadata.dirs")?;
        let ms = |key, default| conf.duration(key, default, Unit::Milliseconds);
        let seconds = Duration::from_secs;
        let mut ratis_storage: Vec<PathBuf> = conf
            .list("hdds.container.ratis.datanode.storage.dir")?
            .iter()
            .map(Into::into)
            .collect();
        if ratis_storage.is_empty() {
            ratis_storage.push(metadata.join("datanode.ratis"));
        }
        Ok(Self {
            id_dir: match conf.get("ozone.scm.datanode.id.dir")? {
                Some(dir) => PathBuf::from(dir),
                None => metadata.clone(),
            },
            host_name: match conf.get("hdds.datanode.hostname")? {
                Some(name) => name,
                None => system_host_name(),
            },
            use_host_names: conf.boolean("hdds.datanode.use.datanode.hostname", false)?,
            ports: ports(conf)?,
            http: http(conf)?,
            scms: scm_addresses_for_datanodes(conf)?,
            recon: recon_address_for_datanodes(conf)?,
            scm_client: ScmClientSettings::read(conf)?,
            store: StoreSettings::load(conf, metadata.clone())?,
            heartbeat_interval: ms("hdds.heartbeat.interval", seconds(30))?,
            heartbeat_initial_interval: ms("hdds.heartbeat.initial-interval", seconds(2))?,
            recon_interval: ms("hdds.heartbeat.recon.interval", seconds(60))?,
            node_report_interval: ms("hdds.node.report.interval", seconds(60))?,
            container_report_interval: ms("hdds.container.report.interval", seconds(3600))?,
            pipeline_report_interval: ms("hdds.pipeline.report.interval", seconds(60))?,
            container_actions_max: conf.integer("hdds.container.action.max.limit", 20)?,
            pipeline_actions_max: conf.integer("hdds.pipeline.action.max.limit", 20)?,
            commands_max: conf.integer("hdds.datanode.command.queue.limit", 5000)?,
            close_threshold: close_threshold(conf)?,
            block_deleting_interval: ms(
                "hdds.datanode.block.deleting.service.interval",
                seconds(60),
            )?,
            disk_check_interval: conf.duration(
                "hdds.datanode.periodic.disk.check.interval.minutes",
                seconds(3600),
                Unit::Minutes,
            )?,
            usage_refresh_interval: ms("hdds.datanode.du.refresh.period", seconds(3600))?,
            database_cache_bytes: conf
                .size("hdds.datanode.metadata.rocksdb.cache.size", 1 << 30)?
                .min(DATABASE_CACHE_BYTES_MAX),
            ratis_storage,
            raft: tuning(conf)?,
            metadata,
        })
    }

    /// Settings of the Raft engine; the ports are those of [`Self::ports`].
    pub fn raft(&self, identity: &Identity) -> RaftSettings {
        let on = |port: u16| std::net::SocketAddr::from(([0, 0, 0, 0], port));
        let tuning = &self.raft;
        let append_bytes_max = usize::try_from(tuning.append_bytes_max).unwrap_or(usize::MAX);
        let id = PeerId(identity.id.to_string().into());
        RaftSettings {
            server_address: on(self.ports.ratis_server),
            client_address: Some(on(self.ports.ratis)),
            admin_address: Some(on(self.ports.ratis_admin)),
            election_timeout_min: tuning.election_timeout_min,
            election_timeout_max: tuning.election_timeout_min + ELECTION_TIMEOUT_SPREAD,
            request_timeout: tuning.request_timeout,
            watch_timeout: tuning.watch_timeout,
            watch_silence_timeout: Some(tuning.watch_silence_timeout).filter(|t| !t.is_zero()),
            retry_cache_expiry: tuning.retry_cache_expiry,
            slowness_timeout: tuning.slowness_timeout,
            segment_bytes_max: tuning.segment_bytes_max,
            segment_preallocated_bytes: tuning.segment_preallocated_bytes,
            append_bytes_max,
            append_entries_max: tuning.append_entries_max,
            pending_requests_max: tuning.pending_requests_max,
            pending_bytes_max: usize::try_from(tuning.pending_bytes_max).unwrap_or(usize::MAX),
            snapshot_after_entries: Some(tuning.snapshot_after_entries),
            purge_gap: Some(tuning.purge_gap),
            purge_up_to_snapshot: false,
            message_bytes_max: append_bytes_max
                .max(32 << 20)
                .saturating_add(MESSAGE_HEADROOM_BYTES),
            delete_removed_groups: tuning.delete_removed_groups,
            ..RaftSettings::new(id, self.ratis_storage.clone())
        }
    }
}

fn tuning(conf: &Configuration) -> anyhow::Result<Tuning> {
    let ms =
        |key, default: u64| conf.duration(key, Duration::from_secs(default), Unit::Milliseconds);
    Ok(Tuning {
        election_timeout_min: ms("hdds.ratis.leader.election.minimum.timeout.duration", 5)?,
        request_timeout: ms("hdds.ratis.raft.server.rpc.request.timeout", 60)?,
        watch_timeout: ms("hdds.ratis.raft.server.watch.timeout", 30)?,
        watch_silence_timeout: ms("hdds.container.ratis.watch.silence.timeout", 1)?,
        retry_cache_expiry: ms("hdds.ratis.server.retry-cache.timeout.duration", 600)?,
        slowness_timeout: ms("hdds.ratis.raft.server.rpc.slowness.timeout", 300)?,
        segment_bytes_max: conf.size("hdds.container.ratis.segment.size", 64 << 20)?,
        segment_preallocated_bytes: conf
            .size("hdds.container.ratis.segment.preallocated.size", 4 << 20)?,
        append_bytes_max: conf
            .size("hdds.container.ratis.log.appender.queue.byte-limit", 32 << 20)?,
        append_entries_max: conf
            .integer("hdds.container.ratis.log.appender.queue.num-elements", 1024)?,
        pending_requests_max: conf.integer("hdds.ratis.raft.server.write.element-limit", 1024)?,
        pending_bytes_max: conf.size("hdds.container.ratis.leader.pending.bytes.limit", 1 << 30)?,
        snapshot_after_entries: conf.integer("hdds.ratis.snapshot.threshold", 100_000)?,
        purge_gap: conf.integer("hdds.container.ratis.log.purge.gap", 1_000_000)?,
        delete_removed_groups: conf
            .boolean("hdds.ratis.raft.server.delete.ratis.log.directory", true)?,
    })
}

fn http(conf: &Configuration) -> anyhow::Result<HttpSettings> {
    let keys = HttpKeys {
        address: "hdds.datanode.http-address".to_owned(),
        bind_host: "hdds.datanode.http-bind-host".to_owned(),
        enabled: "hdds.datanode.http.enabled",
        port: 9882,
    };
    HttpSettings::read(conf, &keys)
}

fn ports(conf: &Configuration) -> anyhow::Result<Ports> {
    let random = conf.boolean("hdds.container.ipc.random.port", false)?;
    let ratis_random = conf.boolean("hdds.container.ratis.ipc.random.port", false)?;
    let port = |key, default, random: bool| {
        if random { Ok(0) } else { conf.integer::<u16>(key, default) }
    };
    Ok(Ports {
        standalone: port("hdds.container.ipc.port", 9859, random)?,
        ratis: port("hdds.container.ratis.ipc.port", 9858, ratis_random)?,
        ratis_admin: port("hdds.container.ratis.admin.port", 9857, ratis_random)?,
        ratis_server: port("hdds.container.ratis.server.port", 9856, ratis_random)?,
    })
}

/// Java writes floats with a trailing `f`.
fn close_threshold(conf: &Configuration) -> anyhow::Result<f64> {
    const KEY: &str = "hdds.container.close.threshold";
    let accepted = "a fraction between 0 and 1, e.g. 0.9";
    let parse = |text: &str| {
        let number: f64 = text.trim_end_matches(['f', 'F']).parse().ok()?;
        (0.0..=1.0).contains(&number).then_some(number)
    };
    Ok(conf.typed(KEY, 0.9, accepted, parse)?)
}

fn system_host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "localhost".to_owned() } else { name.to_owned() }
}
