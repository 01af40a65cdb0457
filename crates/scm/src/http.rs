//! SCM's HTTP port: `StorageContainerManagerInfo`, metrics.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use hdds_types::ContainerState;
use multiraft::{GroupId, MultiRaft};
use ozone_config::Configuration;
use ozone_db::Store;
use ozone_http::axum::Router;
use ozone_http::{Bean, Daemon, HttpServer};
use ozone_metrics::Records;
use serde_json::{Value, json};

use crate::rpc::Calls;
use crate::settings::ScmSettings;
use crate::shared::Shared;

/// Every state of a container.
pub const CONTAINER_STATES: [ContainerState; 6] = [
    ContainerState::Open,
    ContainerState::Closing,
    ContainerState::QuasiClosed,
    ContainerState::Closed,
    ContainerState::Deleting,
    ContainerState::Deleted,
];

/// Where this SCM listens.
#[derive(Clone, Copy)]
pub struct Ports {
    /// Clients and admins.
    pub client: SocketAddr,
    /// Datanodes.
    pub datanode: SocketAddr,
    /// The ring.
    pub ratis: SocketAddr,
}

/// What the pages are made of.
#[derive(Clone)]
pub struct About {
    host: String,
    ports: Ports,
    directory: PathBuf,
    ratis_directory: PathBuf,
    started_ms: u64,
    /// The core.
    pub shared: Arc<Shared>,
    /// The engine.
    pub raft: MultiRaft,
    /// The ring.
    pub group: GroupId,
}

impl About {
    /// About a server that has just started.
    pub fn new(
        settings: &ScmSettings,
        directory: PathBuf,
        ports: Ports,
        shared: &Arc<Shared>,
        raft: &MultiRaft,
        group: GroupId,
    ) -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self {
            host: settings.host.clone(),
            ports,
            directory,
            ratis_directory: settings.ratis_directory.clone(),
            started_ms: u64::try_from(now.unwrap_or_default().as_millis()).unwrap_or(0),
            shared: Arc::clone(shared),
            raft: raft.clone(),
            group,
        }
    }
}

/// Where the metrics come from.
pub struct Sources {
    /// Calls by type.
    pub calls: Arc<Calls>,
    /// `scm.db`.
    pub store: Arc<dyn Store>,
    /// The audit log, if there is one.
    pub audit: Option<Arc<ozone_daemon::audit::AuditLog>>,
    /// The three RPC servers.
    pub rpc: [Box<dyn Fn(&mut Records) + Send + Sync>; 3],
}

/// Opens and serves the port.
///
/// # Errors
/// The port is taken.
pub async fn start(
    settings: &ScmSettings,
    about: About,
    sources: Sources,
    conf: &Configuration,
) -> anyhow::Result<HttpServer> {
    let registry = ozone_http::registry("StorageContainerManager", &about.host);
    crate::metrics::register(&registry, &about, sources);
    let daemon = Daemon {
        title: "Storage Container Manager",
        conf: Arc::new(conf.clone()),
        registry,
        beans: Arc::new(move || vec![info(&about), nodes(&about)]),
    };
    HttpServer::start(&settings.http, daemon, Router::new()).await
}

fn pairs(pairs: impl IntoIterator<Item = (String, Value)>) -> Value {
    pairs.into_iter().map(|(key, value)| json!({ "key": key, "value": value })).collect()
}

/// `StorageContainerManagerInfo` (`SCMMXBean`).
fn info(about: &About) -> Bean {
    let (identity, safe_mode, rules, counts) = about.shared.read(|core| {
        let rules = core.safe_mode_rules();
        let counts = CONTAINER_STATES.map(|state| (state, core.ledger.container_count(state)));
        (core.identity.clone(), core.safe_mode.is_active(), rules, counts)
    });
    let raft = about.raft.info(about.group);
    let leader = raft.as_ref().and_then(|info| info.leadership.leader.clone());
    let roles: Vec<Value> = raft
        .iter()
        .flat_map(|info| &info.peers)
        .map(|peer| {
            let id = String::from_utf8_lossy(&peer.id).into_owned();
            let (host, port) = peer.address.rsplit_once(':').unwrap_or((&peer.address, ""));
            let leads = leader.as_ref().is_some_and(|leader| leader.to_string() == id);
            json!([host, id, port, if leads { "LEADER" } else { "FOLLOWER" }])
        })
        .collect();
    let rules = rules
        .into_iter()
        .map(|rule| (rule.name.to_owned(), json!([rule.text, rule.holds.to_string()])));
    let counts = counts.into_iter().map(|(state, count)| (state.name().to_owned(), json!(count)));
    let attributes = [
        ("Hostname", json!(about.host)),
        ("InSafeMode", json!(safe_mode)),
        ("ContainerStateCount", pairs(counts)),
        ("SafeModeRuleStatus", pairs(rules)),
        ("ScmId", json!(identity.scm_id)),
        ("ClusterId", json!(identity.cluster_id)),
        ("ScmRatisRoles", json!(roles)),
        ("PrimordialNode", Value::Null),
        ("RatisLogDirectory", json!(about.ratis_directory.display().to_string())),
        ("RocksDbDirectory", json!(about.directory.display().to_string())),
        ("ClientRpcPort", json!(about.ports.client.port().to_string())),
        ("DatanodeRpcPort", json!(about.ports.datanode.port().to_string())),
        ("RatisPort", json!(about.ports.ratis.port().to_string())),
        ("Namespace", Value::Null),
        ("Version", json!(ozone_http::version())),
        ("SoftwareVersion", json!(ozone_http::OZONE_VERSION)),
        ("StartedTimeInMillis", json!(about.started_ms)),
    ];
    let name = "Hadoop:service=StorageContainerManager,name=StorageContainerManagerInfo,component=ServerRuntime";
    Bean {
        name: name.to_owned(),
        modeler: "org.apache.hadoop.hdds.scm.server.StorageContainerManager",
        attributes: attributes.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
    }
}

/// `SCMNodeManagerInfo`: nodes by state and their space, as the SCM page of Ozone shows them.
fn nodes(about: &About) -> Bean {
    let rows = about.shared.read(|core| {
        let row = |node: &scm_core::node::Node| {
            let sum = |of: fn(&hdds_proto::hdds::StorageReportProto) -> Option<u64>| {
                node.storage.iter().filter_map(of).sum::<u64>()
            };
            (
                node.details.host_name.clone(),
                node.health.name(),
                node.operational.name(),
                [sum(|r| r.capacity), sum(|r| r.scm_used), sum(|r| r.remaining)],
            )
        };
        core.nodes.iter().map(row).collect::<Vec<_>>()
    });
    let mut counts = serde_json::Map::new();
    for operational in [
        "IN_SERVICE",
        "DECOMMISSIONING",
        "DECOMMISSIONED",
        "ENTERING_MAINTENANCE",
        "IN_MAINTENANCE",
    ] {
        let of = |health: &str| {
            rows.iter().filter(|row| row.2 == operational && row.1 == health).count()
        };
        let healths =
            ["HEALTHY", "STALE", "DEAD"].map(|health| (health.to_owned(), json!(of(health))));
        counts.insert(operational.to_owned(), pairs(healths));
    }
    let total = |n: usize| rows.iter().filter_map(|row| row.3.get(n)).sum::<u64>();
    let status = rows.iter().map(|(host, health, operational, [capacity, used, remaining])| {
        let facts = [
            ("OPSTATE", json!(operational)),
            ("COMSTATE", json!(health)),
            ("CAPACITY", json!(capacity)),
            ("USEDSPACE", json!(used)),
            ("REMAINING", json!(remaining)),
        ];
        (host.clone(), pairs(facts.map(|(key, value)| (key.to_owned(), value))))
    });
    let info = [("DiskCapacity", total(0)), ("DiskUsed", total(1)), ("DiskRemaining", total(2))];
    let attributes = [
        ("NodeCount".to_owned(), Value::Object(counts)),
        ("NodeInfo".to_owned(), pairs(info.map(|(key, value)| (key.to_owned(), json!(value))))),
        ("NodeStatusInfo".to_owned(), pairs(status)),
    ];
    Bean {
        name: "Hadoop:service=SCMNodeManager,name=SCMNodeManagerInfo".to_owned(),
        modeler: "org.apache.hadoop.hdds.scm.node.SCMNodeManager",
        attributes: attributes.into_iter().collect(),
    }
}
