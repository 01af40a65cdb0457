//! What one datanode process holds, and how its services start.
//!
//! As in the genuine datanode, the disks are opened and the services started by the first answer of
//! an SCM: only then is it known which cluster the disks must belong to.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use anyhow::Context;
use container_store::{ContainerStore, OpenDatabase};
use multiraft::MultiRaft;
use ozone_daemon::audit::AuditLog;
use ozone_db::Store;
use ozone_db_rocks::{RocksSettings, RocksStore};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::background;
use crate::dispatch::Dispatcher;
use crate::grpc;
use crate::heartbeat::commands::Commands;
use crate::heartbeat::{Leadership, Outbox};
use crate::identity::{self, Identity};
use crate::metrics::HeartbeatMetrics;
use crate::pipeline::Pipelines;
use crate::settings::DatanodeSettings;

/// Where SCM sees this node in the topology.
#[derive(Clone, Default, Debug)]
pub struct Network {
    /// Its name, usually the datanode's id.
    pub name: Option<String>,
    /// Its rack.
    pub location: Option<String>,
}

/// What runs once the cluster is known.
pub struct Services {
    /// Containers.
    pub store: Arc<ContainerStore>,
    /// Container commands.
    pub dispatcher: Arc<Dispatcher>,
    /// Pipelines.
    pub raft: MultiRaft,
    /// `CID-<uuid>`.
    pub cluster_id: String,
    /// Layout of the metadata on disk.
    pub layout: u32,
}

/// A datanode.
pub struct Node {
    /// Settings.
    pub settings: Arc<DatanodeSettings>,
    /// Who it is.
    pub identity: Mutex<Identity>,
    /// Where SCM sees it.
    pub network: Mutex<Network>,
    /// Address of port 9859.
    pub address: SocketAddr,
    /// Heartbeats of all endpoints.
    pub heartbeats: HeartbeatMetrics,
    /// HTTP port, when it is open.
    pub http_port: Option<u16>,
    /// What SCM should know.
    pub outbox: Arc<Outbox>,
    /// What SCM ordered.
    pub commands: Commands,
    /// Which SCM gives orders.
    pub leadership: Leadership,
    /// Start of the process, in milliseconds since 1970.
    pub started_ms: i64,
    /// Who did what, if wanted.
    pub audit: Option<Arc<AuditLog>>,
    /// Ends everything.
    pub stop: CancellationToken,
    /// Everything that must end before the disks are closed.
    pub tasks: TaskTracker,
    listener: Mutex<Option<TcpListener>>,
    services: OnceLock<Arc<Services>>,
    starting: tokio::sync::Mutex<()>,
    open_database: OpenDatabase,
}

impl Node {
    /// A node whose listener is open but not served yet.
    pub fn new(
        settings: DatanodeSettings,
        identity: Identity,
        listener: TcpListener,
        http_port: Option<u16>,
        outbox: Arc<Outbox>,
        commands: Commands,
        open_database: OpenDatabase,
        audit: Option<Arc<AuditLog>>,
    ) -> anyhow::Result<Self> {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Ok(Self {
            settings: Arc::new(settings),
            identity: Mutex::new(identity),
            network: Mutex::default(),
            address: listener.local_addr().context("port of the container service")?,
            heartbeats: HeartbeatMetrics::default(),
            http_port,
            outbox,
            commands,
            leadership: Leadership::default(),
            started_ms: i64::try_from(now.unwrap_or_default().as_millis()).unwrap_or(0),
            audit,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            listener: Mutex::new(Some(listener)),
            services: OnceLock::new(),
            starting: tokio::sync::Mutex::new(()),
            open_database,
        })
    }

    /// The services, once they run.
    pub fn services(&self) -> Option<Arc<Services>> {
        self.services.get().cloned()
    }

    /// Where `datanode.id` lives.
    pub fn id_path(&self) -> PathBuf {
        self.settings.id_dir.join("datanode.id")
    }

    /// Opens the disks for this cluster and starts the services; later calls only check that it is
    /// the same cluster.
    ///
    /// # Errors
    /// The disks belong to another cluster, none is usable, or a port is taken.
    pub async fn start_services(
        self: &Arc<Self>,
        cluster_id: &str,
    ) -> anyhow::Result<Arc<Services>> {
        let _one = self.starting.lock().await;
        if let Some(services) = self.services() {
            anyhow::ensure!(
                services.cluster_id == cluster_id,
                "this SCM is of cluster {cluster_id}, the first one was of {}",
                services.cluster_id
            );
            return Ok(services);
        }
        let (store, layout) = self.open_disks(cluster_id).await?;
        let store = Arc::new(store);
        let close_threshold = self.settings.close_threshold;
        let dispatcher = Dispatcher::new(store.clone(), self.outbox.clone(), close_threshold);
        let dispatcher = Arc::new(dispatcher.with_audit(self.audit.clone()));
        let pipelines = Arc::new(Pipelines::new(dispatcher.clone(), self.outbox.clone()));
        let raft_settings = self.settings.raft(&self.identity.lock());
        let raft = MultiRaft::start(raft_settings, pipelines).await?;
        let services = Arc::new(Services {
            store,
            dispatcher,
            raft,
            cluster_id: cluster_id.to_owned(),
            layout,
        });
        if let Some(listener) = self.listener.lock().take() {
            let served = grpc::serve(listener, services.dispatcher.clone(), self.stop.clone());
            self.tasks.spawn(served);
        }
        background::start(self, &services);
        tracing::info!(cluster = cluster_id, address = %self.address, "datanode serves");
        Ok(self.services.get_or_init(|| services).clone())
    }

    async fn open_disks(&self, cluster_id: &str) -> anyhow::Result<(ContainerStore, u32)> {
        let settings = self.settings.clone();
        let cluster = cluster_id.to_owned();
        let datanode = self.identity.lock().id.to_string();
        let (outbox, open_database) = (self.outbox.clone(), self.open_database.clone());
        let opened = tokio::task::spawn_blocking(move || {
            let layout = identity::open_layout(&settings.metadata, &cluster)?;
            let changes = Arc::new(move |replica| outbox.container_changed(&replica));
            let store = ContainerStore::open(
                settings.store.clone(),
                &cluster,
                &datanode,
                &open_database,
                changes,
            )?;
            anyhow::Ok((store, layout))
        });
        opened.await?
    }

    /// Takes over how SCM sees this node.
    pub fn adopt(&self, host_name: Option<String>, ip: Option<String>, network: Network) {
        let known = |text: Option<String>| text.filter(|text| !text.is_empty());
        let mut identity = self.identity.lock();
        if let Some(name) = known(host_name) {
            identity.host_name = name;
        }
        if let Some(ip) = known(ip) {
            identity.ip_address = ip;
        }
        drop(identity);
        *self.network.lock() = network;
    }
}

/// Opens block tables with RocksDB.
pub fn rocks(cache_bytes: u64) -> OpenDatabase {
    Arc::new(move |path, tables| {
        let settings = RocksSettings {
            block_cache_bytes: usize::try_from(cache_bytes).unwrap_or(usize::MAX),
            ..RocksSettings::default()
        };
        RocksStore::open(path, tables, &settings).map(|store| Arc::new(store) as Arc<dyn Store>)
    })
}
