//! Starts and stops an Ozone Manager.

use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use hadoop_rpc::name_uuid_from_bytes;
use hadoop_rpc::server::{Protocol, RpcServer, ServerSettings};
use hdds_client::addresses::{self, HostPort, ScmPort};
use hdds_client::scm::{ScmBlockClient, ScmClient};
use multiraft::{GroupId, Leadership, MultiRaft, PeerId, RaftSettings, Role};
use om_core::{TableCache, command, tables};
use ozone_config::Configuration;
use ozone_daemon::audit::AuditLog;
use ozone_db::Store;
use ozone_db_rocks::{RocksSettings, RocksStore};
use ozone_http::HttpServer;
use ratis_proto::common::{RaftPeerProto, RaftPeerRole};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::admin::{self, OmAdminProtocol, OmInterServiceProtocol, ReconfigureProtocol};
use crate::blocks::BlockPool;
use crate::double_buffer::DoubleBuffer;
use crate::encryption::{self, KeyProvider};
use crate::http;
use crate::ids::{UniqueIds, now_ms};
use crate::init;
use crate::locations::Locations;
use crate::metrics::OmMetrics;
use crate::quota_repair::Repair;
use crate::rpc::{self, OzoneManagerProtocol};
use crate::service;
use crate::settings::Settings;
use crate::state_machine::{OmStateMachine, OneGroup};
use crate::upgrade::Upgrade;
use crate::users::{self, Groups};

/// How long a start waits until the only member of the ring leads it.
const LEADER_WAIT: Duration = Duration::from_secs(30);

/// How long writes of several clients may wait for each other, to share a sync of the log.
const GATHER_MAX: Duration = Duration::from_millis(1);

/// What requests work with.
pub(crate) struct Service {
    pub settings: Settings,
    pub cache: Arc<TableCache>,
    pub buffer: Arc<DoubleBuffer>,
    pub upgrade: Arc<Upgrade>,
    pub raft: MultiRaft,
    pub group: GroupId,
    pub leadership: watch::Receiver<Leadership>,
    pub blocks: BlockPool,
    pub locations: Locations,
    /// For encrypted buckets, if one is configured.
    pub key_provider: Option<KeyProvider>,
    pub scm_blocks: ScmBlockClient,
    pub scm: ScmClient,
    pub repair: Repair,
    pub scm_addresses: Vec<HostPort>,
    pub groups: Groups,
    pub ids: UniqueIds,
    /// Client id of the OM's own writes in the log.
    pub own_client: [u8; 16],
    pub own_client_name: String,
    pub own_calls: AtomicU64,
    pub metrics: OmMetrics,
    /// Who did what, if wanted.
    pub audit: Option<Arc<AuditLog>>,
    /// Ports that are open, for clients and for HTTP.
    pub rpc_port: OnceLock<u16>,
    pub http_port: u16,
    /// In milliseconds since 1970.
    pub started_ms: u64,
}

impl Service {
    /// The port of clients.
    pub(crate) fn rpc_port(&self) -> u16 {
        self.rpc_port.get().copied().unwrap_or(self.settings.rpc.port)
    }

    /// RPC address of a peer, for "not the leader" messages.
    pub(crate) fn address_of(&self, peer: &PeerId) -> String {
        let info = self.raft.info(self.group);
        let peers = info.map(|info| info.peers).unwrap_or_default();
        let found = peers.into_iter().find(|other| other.id == peer.to_string().as_bytes());
        found.map(|peer| peer.address).unwrap_or_default()
    }
}

/// A running Ozone Manager.
pub struct Om {
    service: Arc<Service>,
    rpc: RpcServer,
    http: HttpServer,
    stop: CancellationToken,
    background: Vec<JoinHandle<()>>,
}

impl Om {
    /// Opens `om.db`, joins the ring and listens. Returns when the port is open and, in a ring of
    /// one, leadership is taken.
    ///
    /// # Errors
    /// `--init` was not run, a directory or port cannot be used, or `om.db` is damaged.
    pub async fn start(conf: &Configuration) -> anyhow::Result<Self> {
        let settings = Settings::read(conf)?;
        let Some(version) = init::read_version(&settings)? else {
            bail!("{} is not initialized; run `ozone om --init`", settings.directory.display());
        };
        let address = settings.rpc.resolve().await.context("ozone.om.address")?;
        let http_listener = HttpServer::bind(&settings.http_server).await?;
        let http_port = match &http_listener {
            Some(listener) => listener.local_addr()?.port(),
            None => settings.http.port,
        };
        let path = settings.directory.join("om.db");
        let store = RocksStore::open(&path, &tables::ALL, &RocksSettings::default())?;
        let store: Arc<dyn Store> = Arc::new(store);
        let cache = Arc::new(TableCache::new(store));
        create_s3_volume(&cache, &settings)?;
        let upgrade = Arc::new(Upgrade::restore(&settings, &version, &**cache.store())?);
        let buffer = Arc::new(DoubleBuffer::start(cache.clone())?);
        let state = State { cache, buffer, upgrade };

        let group = Uuid::from_bytes(name_uuid_from_bytes(settings.service.as_bytes()));
        let raft = start_raft(&settings, address, &state, group).await?;
        let leadership = raft.leadership(group).context("the OM's Raft group is not open")?;
        await_leader(leadership.clone()).await?;

        let service = service(conf, settings, state, raft, group, leadership)?;
        let service = Arc::new(Service { http_port, ..service });
        let limits = ServerSettings::read(conf)?;
        let rpc = RpcServer::start(address, limits, protocols(&service))
            .await
            .with_context(|| format!("listening on {address}"))?;
        let _ = service.rpc_port.set(rpc.address().port());
        let http = http::serve(http_listener, &service, &rpc, conf);
        let stop = CancellationToken::new();
        let background = vec![
            tokio::spawn(service::key_deleting::run(service.clone(), stop.clone())),
            tokio::spawn(service::directory_deleting::run(service.clone(), stop.clone())),
            tokio::spawn(service::open_key_cleanup::run(service.clone(), stop.clone())),
            tokio::spawn(service::upload_cleanup::run(service.clone(), stop.clone())),
            tokio::spawn(service::trash::run(service.clone(), stop.clone())),
            tokio::spawn(encryption::warm_up(service.clone(), stop.clone())),
        ];
        Ok(Self { service, rpc, http, stop, background })
    }

    /// Where clients call.
    pub fn rpc_address(&self) -> SocketAddr {
        self.rpc.address()
    }

    /// Where the HTTP port listens; `None` when it is switched off.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http.address()
    }

    /// Lets calls in service finish, writes what is applied, closes log and database.
    ///
    /// # Errors
    /// RocksDB could not write.
    pub async fn shutdown(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.rpc.shutdown().await;
        self.http.shutdown().await;
        for task in self.background {
            let _ = task.await;
        }
        self.service.raft.shutdown().await;
        let buffer = self.service.buffer.clone();
        tokio::task::spawn_blocking(move || buffer.stop()).await??;
        Ok(())
    }
}

fn protocols(service: &Arc<Service>) -> Vec<(&'static str, Arc<dyn Protocol>)> {
    vec![
        (rpc::PROTOCOL, Arc::new(OzoneManagerProtocol(service.clone()))),
        (admin::ADMIN, Arc::new(OmAdminProtocol(service.clone()))),
        (admin::INTER_SERVICE, Arc::new(OmInterServiceProtocol)),
        (admin::RECONFIGURE, Arc::new(ReconfigureProtocol)),
    ]
}

/// What is open before there is a service.
struct State {
    cache: Arc<TableCache>,
    buffer: Arc<DoubleBuffer>,
    upgrade: Arc<Upgrade>,
}

fn service(
    conf: &Configuration,
    settings: Settings,
    state: State,
    raft: MultiRaft,
    group: GroupId,
    leadership: watch::Receiver<Leadership>,
) -> anyhow::Result<Service> {
    let user = users::process_user();
    let scm_blocks = ScmBlockClient::from_conf(conf, &user)?;
    let scm = ScmClient::from_conf(conf, &user)?;
    let scm_addresses = addresses::scm_nodes(conf)?
        .iter()
        .map(|node| node.require(ScmPort::Client))
        .collect::<Result<_, _>>()?;
    let own_client = *Uuid::new_v4().as_bytes();
    Ok(Service {
        blocks: BlockPool::new(scm_blocks.clone(), &settings.service, settings.rules.block_bytes),
        locations: Locations::new(
            scm.clone(),
            settings.location_cache_entries,
            settings.location_cache_ttl,
        ),
        key_provider: KeyProvider::new(&settings.encryption),
        own_client_name: format!("om-{}", Uuid::from_bytes(own_client)),
        own_client,
        own_calls: AtomicU64::new(1),
        metrics: OmMetrics::default(),
        audit: AuditLog::open(conf, "om", "OMAudit", &settings.rpc.host)?,
        rpc_port: OnceLock::new(),
        http_port: settings.http.port,
        started_ms: now_ms(),
        groups: Groups::default(),
        ids: UniqueIds::default(),
        settings,
        cache: state.cache,
        buffer: state.buffer,
        upgrade: state.upgrade,
        raft,
        group,
        leadership,
        scm_blocks,
        scm,
        repair: Repair::default(),
        scm_addresses,
    })
}

async fn start_raft(
    settings: &Settings,
    rpc: SocketAddr,
    state: &State,
    group: GroupId,
) -> anyhow::Result<MultiRaft> {
    let machine = Arc::new(OmStateMachine::new(
        state.cache.clone(),
        Arc::new(settings.rules.clone()),
        state.buffer.clone(),
        state.upgrade.clone(),
        settings.node.clone(),
    ));
    let id = PeerId::from(settings.node.as_str());
    let raft_settings = RaftSettings {
        server_address: SocketAddr::new(rpc.ip(), settings.ratis_port),
        election_timeout_min: settings.election_timeout,
        election_timeout_max: settings.election_timeout + Duration::from_millis(200),
        retry_cache_expiry: settings.retry_cache_expiry,
        segment_bytes_max: settings.segment_bytes,
        segment_preallocated_bytes: settings.segment_preallocated_bytes,
        snapshot_after_entries: Some(settings.snapshot_after_entries),
        purge_gap: Some(settings.purge_gap),
        purge_up_to_snapshot: true,
        own_thread: true,
        gather_max: GATHER_MAX,
        ..RaftSettings::new(id, vec![settings.ratis_directory.clone()])
    };
    let raft = MultiRaft::start(raft_settings, Arc::new(OneGroup(machine))).await?;
    if raft.info(group).is_none() {
        let peer = RaftPeerProto {
            id: Bytes::from(settings.node.clone()),
            address: format!("{}:{}", settings.rpc.host, settings.ratis_port),
            startup_role: Some(RaftPeerRole::Follower.into()),
            ..RaftPeerProto::default()
        };
        raft.add_group(group, vec![peer]).await.context("creating the OM's Raft group")?;
    }
    Ok(raft)
}

/// Leadership of a ring of one comes at once; a larger ring elects while the port is open already.
async fn await_leader(mut leadership: watch::Receiver<Leadership>) -> anyhow::Result<()> {
    let ready = leadership.wait_for(|now| now.role == Role::Leader { ready: true });
    match tokio::time::timeout(LEADER_WAIT, ready).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) => bail!("the OM's Raft group closed while it started; see the log"),
        Err(_) => bail!("the OM's Raft group has no leader after {LEADER_WAIT:?}"),
    }
}

/// The volume of S3 buckets is made outside the log, equal on all OMs.
fn create_s3_volume(cache: &TableCache, settings: &Settings) -> anyhow::Result<()> {
    let user: Arc<str> = users::process_user().into();
    let group = om_core::command::Groups::primary(&Groups::default(), &user);
    let changes =
        command::volume::s3_volume_rows(cache, &settings.rules, &user, group.as_deref(), now_ms())?;
    if changes.is_empty() {
        return Ok(());
    }
    let mut batch = ozone_db::Batch::default();
    for change in changes {
        if let Some(value) = change.value {
            batch.put(tables::ALL[change.slot], change.key, value);
        }
    }
    cache.store().write(batch, ozone_db::Durability::Synced)?;
    Ok(())
}
