//! The datanode server: keeps containers, replicates them in pipelines, answers to SCM.
//!
//! ```text
//!  9858 Ratis clients ─► multiraft ─► pipeline::ContainerStateMachine ─┐
//!  9859 gRPC ─► grpc ─► dispatch::Dispatcher ──────────────────────────┴─► container-store ─► disks
//!  9861 of every SCM ◄─ heartbeat::Endpoint ◄─ Outbox (changes, actions, command results)
//!                              └─► commands::Executor ─► pipelines, containers, deletions
//! ```
//! Invariants: nothing is served before an SCM has named the cluster; the async runtime never waits
//! for a disk; what SCM must know is in the outbox before the client has its answer.
//! Start reading at [`Datanode`], then [`node::Node`] and [`dispatch`].

mod background;
pub mod dispatch;
mod grpc;
pub mod heartbeat;
mod http;
pub mod identity;
mod memory;
mod metrics;
pub mod node;
pub mod pipeline;
pub mod settings;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use container_store::OpenDatabase;
use hdds_client::scm::ScmDatanodeClient;
use ozone_config::Configuration;
use ozone_daemon::audit::AuditLog;
use ozone_http::HttpServer;
use tokio::net::{TcpListener, lookup_host};

use heartbeat::Outbox;
use heartbeat::commands::Commands;
use heartbeat::endpoint::Endpoint;
use identity::Identity;
use node::Node;
use settings::DatanodeSettings;

/// How the datanode introduces itself to SCM's RPC.
const USER: &str = "hdds";
/// How long a stop waits for calls under way.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// A running datanode.
pub struct Datanode {
    node: Arc<Node>,
    http: HttpServer,
}

impl Datanode {
    /// Starts: opens port 9859 and begins to look for SCM. Disks and pipelines open once an SCM has
    /// named the cluster, in the background.
    ///
    /// # Errors
    /// A setting is wrong, the port is taken, or `datanode.id` is damaged.
    pub async fn start(conf: &Configuration) -> anyhow::Result<Self> {
        let settings = DatanodeSettings::load(conf)?;
        let open_database = node::rocks(settings.database_cache_bytes);
        Self::open(settings, open_database, conf).await
    }

    /// As [`Self::start`], with another engine for the block tables.
    ///
    /// # Errors
    /// See [`Self::start`].
    pub async fn start_with(
        settings: DatanodeSettings,
        open_database: OpenDatabase,
    ) -> anyhow::Result<Self> {
        Self::open(settings, open_database, &Configuration::default()).await
    }

    async fn open(
        settings: DatanodeSettings,
        open_database: OpenDatabase,
        conf: &Configuration,
    ) -> anyhow::Result<Self> {
        let ip = own_address(&settings.host_name).await;
        let (path, host_name) = (settings.id_dir.join("datanode.id"), settings.host_name.clone());
        let identity =
            tokio::task::spawn_blocking(move || Identity::load_or_create(&path, &host_name, &ip))
                .await??;
        let address = SocketAddr::from(([0, 0, 0, 0], settings.ports.standalone));
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!("cannot listen on {address} (hdds.container.ipc.port); is the port in use?")
        })?;
        let http = HttpServer::bind(&settings.http).await?;
        let http_port = http.as_ref().map(TcpListener::local_addr).transpose()?;
        let clients = clients(&settings);
        let outbox = Arc::new(Outbox::new(clients.len()));
        let (commands, executor) = Commands::new(settings.commands_max);
        let http_port = http_port.map(|address| address.port());
        let audit = AuditLog::open(conf, "dn", "DNAudit", &settings.host_name)?;
        let node = Node::new(
            settings,
            identity,
            listener,
            http_port,
            outbox,
            commands,
            open_database,
            audit,
        )?;
        let node = Arc::new(node);
        node.tasks.spawn(executor.run(node.clone(), node.stop.clone()));
        for ((client, interval, passive), mailbox) in
            clients.into_iter().zip(node.outbox.mailboxes())
        {
            let endpoint = Endpoint::new(node.clone(), client, mailbox.clone(), interval, passive);
            node.tasks.spawn(endpoint.run(node.stop.clone()));
        }
        tracing::info!(datanode = %node.identity.lock().id, address = %node.address, "datanode up");
        let http = http::serve(http, &node, conf);
        Ok(Self { node, http })
    }

    /// Address of the container service (9859).
    pub fn rpc_address(&self) -> SocketAddr {
        self.node.address
    }

    /// HTTP port (9882); `None` when it is switched off.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http.address()
    }

    /// What it holds; for tests and diagnosis.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Stops: calls under way are finished, pipelines take a snapshot, disks are flushed.
    ///
    /// # Errors
    /// A disk refuses.
    pub async fn shutdown(self) -> anyhow::Result<()> {
        self.node.stop.cancel();
        self.http.shutdown().await;
        self.node.tasks.close();
        if tokio::time::timeout(STOP_TIMEOUT, self.node.tasks.wait()).await.is_err() {
            tracing::warn!("stopping although calls are still under way");
        }
        let Some(services) = self.node.services() else { return Ok(()) };
        services.raft.shutdown().await;
        tokio::task::spawn_blocking(move || services.store.close()).await??;
        Ok(())
    }
}

type Client = (ScmDatanodeClient, Duration, bool);

/// One per SCM, and one for Recon.
fn clients(settings: &DatanodeSettings) -> Vec<Client> {
    let scm = settings.scms.iter().map(|address| {
        let client = ScmDatanodeClient::new(address.clone(), &settings.scm_client, USER);
        (client, settings.heartbeat_interval, false)
    });
    let recon = settings.recon.iter().map(|address| {
        let client = ScmDatanodeClient::recon(address.clone(), &settings.scm_client, USER);
        (client, settings.recon_interval, true)
    });
    scm.chain(recon).collect()
}

/// The address behind our own name; SCM corrects it at registration.
async fn own_address(host_name: &str) -> String {
    let found = lookup_host((host_name, 0)).await.ok();
    let address = found.and_then(|mut found| found.find(SocketAddr::is_ipv4));
    address.map_or_else(|| "127.0.0.1".to_owned(), |address| address.ip().to_string())
}
