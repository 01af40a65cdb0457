//! SCM's keys of `ozone-site.xml`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use hdds_client::addresses::{self, HostPort, SCM_LONE_SERVICE, ScmNode, ScmPort};
use multiraft::{PeerId, RaftSettings};
use ozone_config::{Configuration, Unit};
use ozone_http::{HttpKeys, HttpSettings};
use scm_core::{Rules, UnknownContainer};

const RATIS_PORT: u16 = 9894;

/// Everything that SCM reads at start.
#[derive(Clone, Debug)]
pub struct ScmSettings {
    /// How others reach this SCM.
    pub host: String,
    /// Listener of clients and admins (9860).
    pub client: SocketAddr,
    /// Listener of datanodes (9861).
    pub datanode: SocketAddr,
    /// Listener of OMs (9863).
    pub block: SocketAddr,
    /// HTTP port (`ozone.scm.http-address`, 9876).
    pub http: HttpSettings,
    /// Listener of the Raft ring (`ozone.scm.ratis.port`, 9894).
    pub ratis: SocketAddr,
    /// Where the Raft log lies (`ozone.scm.ha.ratis.storage.dir`).
    pub ratis_directory: PathBuf,
    /// Applied calls after which the tables are written (`ozone.scm.ha.ratis.snapshot.threshold`).
    pub snapshot_after_entries: u64,
    /// Entries kept before the snapshot; `None` keeps all (`ozone.scm.ha.ratis.log.purge.*`).
    pub purge_gap: Option<u64>,
    /// Size of a log segment in bytes (`ozone.scm.ha.ratis.segment.size`).
    pub segment_bytes: u64,
    /// Log space filled ahead of use in bytes (`ozone.scm.ha.ratis.segment.preallocated.size`).
    pub segment_preallocated_bytes: u64,
    /// Shortest election timeout (`ozone.scm.ha.ratis.leader.election.timeout`).
    pub election_timeout: Duration,
    /// `ozone.scm.ha.ratis.request.timeout`.
    pub request_timeout: Duration,
    /// `ozone.scm.ha.ratis.server.retry.cache.timeout`.
    pub retry_cache: Duration,
    /// `ozone.scm.ha.ratis.server.failure.timeout.duration`.
    pub failure_timeout: Duration,
    /// Longest time rows wait in memory (`ozone.scm.ha.dbtransactionbuffer.flush.interval`).
    pub flush_interval: Duration,
    /// Turn of the health checker (`ozone.scm.heartbeat.thread.interval`).
    pub health_interval: Duration,
    /// Turn of the pipeline creator (`ozone.scm.pipeline.creation.interval`).
    pub creation_interval: Duration,
    /// Turn of the pipeline scrubber (`ozone.scm.pipeline.scrub.interval`).
    pub scrub_interval: Duration,
    /// How often the log says what is missing to leave safe mode (`hdds.scm.safemode.log.interval`).
    pub safe_mode_log_interval: Duration,
    /// Turn of block deletion (`hdds.scm.block.deleting.service.interval`).
    pub deletion_interval: Duration,
    /// Longest wait of an allocation for a pipeline (`hdds.pipeline.report.interval`).
    pub pipeline_wait: Duration,
    /// Limits and times of the rules.
    pub rules: Rules,
}

impl ScmSettings {
    /// Reads them.
    ///
    /// # Errors
    /// A value is malformed, or no address of this SCM is configured.
    pub fn read(conf: &Configuration) -> anyhow::Result<Self> {
        let node = own_node(conf)?;
        let host = node.require(ScmPort::Client)?.host;
        let client_bind = bind_host(conf, &node, "ozone.scm.client.bind.host")?;
        let ratis_port = conf.integer("ozone.scm.ratis.port", RATIS_PORT)?;
        let ratis_port = conf.integer(&own_key(&node, "ozone.scm.ratis.port"), ratis_port)?;
        let ratis_directory = match conf.get("ozone.scm.ha.ratis.storage.dir")? {
            Some(directory) => PathBuf::from(directory),
            None => {
                let key = "ozone.metadata.dirs";
                ozone_daemon::directories::metadata_directory(conf, key)?.join("scm.ratis")
            }
        };
        let purge = conf.boolean("ozone.scm.ha.ratis.log.purge.enabled", false)?;
        let purge_gap = conf.integer("ozone.scm.ha.ratis.log.purge.gap", 1_000_000)?;
        let duration =
            |key: &str, seconds: u64, unit| conf.duration(key, Duration::from_secs(seconds), unit);
        use Unit::{Milliseconds, Seconds};
        Ok(Self {
            client: listener(conf, &node, ScmPort::Client, "ozone.scm.client.bind.host")?,
            datanode: listener(conf, &node, ScmPort::Datanode, "ozone.scm.datanode.bind.host")?,
            block: listener(conf, &node, ScmPort::BlockClient, "ozone.scm.block.client.bind.host")?,
            host,
            http: http(conf, &node)?,
            ratis: SocketAddr::new(client_bind, ratis_port),
            ratis_directory,
            snapshot_after_entries: conf.integer("ozone.scm.ha.ratis.snapshot.threshold", 1000)?,
            purge_gap: purge.then_some(purge_gap),
            segment_bytes: conf.size("ozone.scm.ha.ratis.segment.size", 64 << 20)?,
            segment_preallocated_bytes: conf
                .size("ozone.scm.ha.ratis.segment.preallocated.size", 4 << 20)?,
            election_timeout: duration(
                "ozone.scm.ha.ratis.leader.election.timeout",
                5,
                Milliseconds,
            )?,
            request_timeout: duration("ozone.scm.ha.ratis.request.timeout", 30, Milliseconds)?,
            retry_cache: duration(
                "ozone.scm.ha.ratis.server.retry.cache.timeout",
                60,
                Milliseconds,
            )?,
            failure_timeout: duration(
                "ozone.scm.ha.ratis.server.failure.timeout.duration",
                120,
                Milliseconds,
            )?,
            flush_interval: duration(
                "ozone.scm.ha.dbtransactionbuffer.flush.interval",
                60,
                Milliseconds,
            )?,
            health_interval: duration("ozone.scm.heartbeat.thread.interval", 3, Milliseconds)?,
            creation_interval: duration("ozone.scm.pipeline.creation.interval", 120, Milliseconds)?,
            scrub_interval: duration("ozone.scm.pipeline.scrub.interval", 300, Milliseconds)?,
            safe_mode_log_interval: duration("hdds.scm.safemode.log.interval", 60, Milliseconds)?,
            deletion_interval: duration("hdds.scm.block.deleting.service.interval", 60, Seconds)?,
            pipeline_wait: duration("hdds.pipeline.report.interval", 60, Milliseconds)?,
            rules: rules(conf)?,
        })
    }

    /// The engine's settings for this SCM's Raft group.
    pub fn raft(&self, scm_id: &str) -> RaftSettings {
        let id = PeerId(scm_id.into());
        let defaults = RaftSettings::new(id, vec![self.ratis_directory.clone()]);
        RaftSettings {
            server_address: self.ratis,
            election_timeout_min: self.election_timeout,
            election_timeout_max: self.election_timeout + Duration::from_millis(200),
            request_timeout: self.request_timeout,
            retry_cache_expiry: self.retry_cache,
            slowness_timeout: self.failure_timeout,
            segment_bytes_max: self.segment_bytes,
            segment_preallocated_bytes: self.segment_preallocated_bytes,
            snapshot_after_entries: Some(self.snapshot_after_entries),
            purge_gap: self.purge_gap,
            purge_up_to_snapshot: true,
            ..defaults
        }
    }

    /// Where the database lies, under the directory of `VERSION`.
    pub fn database(base: &Path) -> PathBuf {
        base.join("scm.db")
    }
}

fn rules(conf: &Configuration) -> anyhow::Result<Rules> {
    let mut rules = Rules::default();
    node_and_container_rules(conf, &mut rules)?;
    pipeline_rules(conf, &mut rules)?;
    safe_mode_rules(conf, &mut rules)?;
    deletion_rules(conf, &mut rules)?;
    Ok(rules)
}

/// Reads a duration over its default, in milliseconds.
fn millis(conf: &Configuration, key: &str, value: &mut u64) -> anyhow::Result<()> {
    let default = Duration::from_millis(*value);
    *value = conf.duration(key, default, Unit::Milliseconds)?.as_millis() as u64;
    Ok(())
}

fn node_and_container_rules(conf: &Configuration, rules: &mut Rules) -> anyhow::Result<()> {
    millis(conf, "ozone.scm.stale.node.interval", &mut rules.stale_after_ms)?;
    millis(conf, "ozone.scm.dead.node.interval", &mut rules.dead_after_ms)?;
    millis(conf, "ozone.scm.close.container.wait.duration", &mut rules.close_wait_ms)?;
    millis(conf, "hdds.scm.replication.thread.interval", &mut rules.close_resend_ms)?;
    rules.container_bytes = conf.size("ozone.scm.container.size", rules.container_bytes)?;
    // Two windows of this length are remembered.
    let mut window = rules.pending_container_ms / 2;
    millis(conf, "ozone.scm.pending.container.roll.interval", &mut window)?;
    rules.pending_container_ms = 2 * window;
    rules.unknown_container = conf.typed(
        "hdds.scm.unknown-container.action",
        rules.unknown_container,
        "WARN or DELETE",
        |text| match text.to_ascii_uppercase().as_str() {
            "WARN" => Some(UnknownContainer::Warn),
            "DELETE" => Some(UnknownContainer::Delete),
            _ => None,
        },
    )?;
    let accepted = "a positive number";
    rules.id_batch =
        conf.typed("ozone.scm.sequence.id.batch.size", rules.id_batch, accepted, |text| {
            text.parse().ok().filter(|size| *size > 0)
        })?;
    Ok(())
}

fn pipeline_rules(conf: &Configuration, rules: &mut Rules) -> anyhow::Result<()> {
    millis(conf, "ozone.scm.pipeline.allocated.timeout", &mut rules.pipeline_allocated_timeout_ms)?;
    millis(conf, "ozone.scm.pipeline.destroy.timeout", &mut rules.pipeline_destroy_timeout_ms)?;
    rules.containers_per_owner =
        conf.integer("ozone.scm.pipeline.owner.container.count", rules.containers_per_owner)?;
    rules.pipelines_per_datanode =
        conf.integer("ozone.scm.datanode.pipeline.limit", rules.pipelines_per_datanode)?;
    rules.pipelines_per_metadata_volume =
        conf.integer("ozone.scm.pipeline.per.metadata.disk", rules.pipelines_per_metadata_volume)?;
    rules.pipelines_max = conf.integer("ozone.scm.ratis.pipeline.limit", rules.pipelines_max)?;
    rules.auto_factor_one =
        conf.boolean("ozone.scm.pipeline.creation.auto.factor.one", rules.auto_factor_one)?;
    rules.metadata_free_bytes_min =
        conf.size("ozone.scm.datanode.ratis.volume.free-space.min", rules.metadata_free_bytes_min)?;
    Ok(())
}

fn safe_mode_rules(conf: &Configuration, rules: &mut Rules) -> anyhow::Result<()> {
    rules.safe_mode = conf.boolean("hdds.scm.safemode.enabled", rules.safe_mode)?;
    rules.pipelines_in_safe_mode =
        conf.boolean("hdds.scm.safemode.pipeline.creation", rules.pipelines_in_safe_mode)?;
    rules.safe_mode_datanodes_min =
        conf.integer("hdds.scm.safemode.min.datanode", rules.safe_mode_datanodes_min)?;
    rules.safe_mode_containers =
        fraction(conf, "hdds.scm.safemode.threshold.pct", rules.safe_mode_containers)?;
    rules.safe_mode_healthy_pipelines = fraction(
        conf,
        "hdds.scm.safemode.healthy.pipeline.pct",
        rules.safe_mode_healthy_pipelines,
    )?;
    rules.safe_mode_reported_pipelines = fraction(
        conf,
        "hdds.scm.safemode.atleast.one.node.reported.pipeline.pct",
        rules.safe_mode_reported_pipelines,
    )?;
    millis(conf, "hdds.scm.wait.time.after.safemode.exit", &mut rules.wait_after_safe_mode_ms)
}

fn deletion_rules(conf: &Configuration, rules: &mut Rules) -> anyhow::Result<()> {
    rules.deletion_blocks_max =
        conf.integer("hdds.scm.block.deletion.per-interval.max", rules.deletion_blocks_max)?;
    rules.deletion_queue_max =
        conf.integer("hdds.datanode.block.delete.queue.limit", rules.deletion_queue_max)?;
    rules.deletion_spread =
        conf.integer("ozone.scm.block.deletion.per.dn.distribution.factor", rules.deletion_spread)?;
    rules.deletion_acks_max =
        conf.integer("hdds.scm.block.deletion.txn.dn.commit.map.limit", rules.deletion_acks_max)?;
    Ok(())
}

fn fraction(conf: &Configuration, key: &str, default: f64) -> anyhow::Result<f64> {
    let parse = |text: &str| text.parse().ok().filter(|share: &f64| (0.0..=1.0).contains(share));
    Ok(conf.typed(key, default, "a fraction from 0.0 to 1.0", parse)?)
}

/// The SCM that this process is. Several are refused: each would be a ring of its own.
fn own_node(conf: &Configuration) -> anyhow::Result<ScmNode> {
    let mut nodes = addresses::scm_nodes(conf)?;
    if nodes.len() > 1 {
        let names: Vec<_> = nodes.iter().map(|node| node.node.as_str()).collect();
        bail!(
            "ozone.scm.nodes lists {}, but this version does not replicate SCMs: leave one node in the list",
            names.join(", ")
        );
    }
    nodes.pop().context("no SCM is configured; set ozone.scm.client.address")
}

/// A key with the suffix of this SCM, where it is part of a service.
fn own_key(node: &ScmNode, key: &str) -> String {
    if node.service == SCM_LONE_SERVICE {
        return key.to_owned();
    }
    addresses::suffixed(key, &node.service, &node.node)
}

/// `key.<service>.<node>` where that is written, else `key`.
fn http(conf: &Configuration, node: &ScmNode) -> anyhow::Result<HttpSettings> {
    let own = |key: &str| {
        let own = own_key(node, key);
        if conf.is_set(&own) { own } else { key.to_owned() }
    };
    let keys = HttpKeys {
        address: own("ozone.scm.http-address"),
        bind_host: own("ozone.scm.http-bind-host"),
        enabled: "ozone.scm.http.enabled",
        port: 9876,
    };
    HttpSettings::read(conf, &keys)
}

fn bind_host(conf: &Configuration, node: &ScmNode, key: &str) -> anyhow::Result<IpAddr> {
    let general = conf.get(key)?;
    let own = conf.get(&own_key(node, key))?;
    match own.or(general) {
        None => Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        Some(text) if text == "localhost" => Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        Some(text) => Ok(text
            .parse()
            .map_err(|_| conf.malformed(key, &text, "an IP address to listen on"))?),
    }
}

fn listener(
    conf: &Configuration,
    node: &ScmNode,
    port: ScmPort,
    bind_key: &str,
) -> anyhow::Result<SocketAddr> {
    let HostPort { port, .. } = node.require(port)?;
    Ok(SocketAddr::new(bind_host(conf, node, bind_key)?, port))
}
