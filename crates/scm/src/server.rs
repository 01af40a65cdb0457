//! Starting and stopping an SCM.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use hadoop_rpc::server::{Protocol, RpcServer, ServerSettings};
use multiraft::{GroupId, Leadership, MultiRaft, Role};
use ozone_config::Configuration;
use ozone_daemon::audit::AuditLog;
use ozone_db::Store;
use ozone_db_rocks::{RocksSettings, RocksStore};
use ozone_http::HttpServer;
use ratis_proto::common::{RaftPeerProto, RaftPeerRole};
use scm_core::ledger::load::local_id_start;
use scm_core::{Core, Identity, Ledger, tables};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::http;
use crate::machine::{Machine, Machines};
use crate::replicate::RaftReplicator;
use crate::rpc::{BlockProtocol, DatanodeProtocol, LocationProtocol, Service, audit};
use crate::settings::ScmSettings;
use crate::shared::{Shared, drive};
use crate::{services, storage};

/// Ports open at the latest after this, even when the ring has no leader yet; callers are then told so.
const LEADER_WAIT: Duration = Duration::from_secs(10);

const LOCATION: &str = "org.apache.hadoop.hdds.scm.protocol.StorageContainerLocationProtocol";
const DATANODE: &str = "org.apache.hadoop.ozone.protocol.StorageContainerDatanodeProtocol";
const BLOCK: &str = "org.apache.hadoop.hdds.scm.protocol.ScmBlockLocationProtocol";

/// A running SCM.
pub struct Scm {
    identity: Identity,
    pub(crate) shared: Arc<Shared>,
    machine: Arc<Machine>,
    raft: MultiRaft,
    client: RpcServer,
    datanode: RpcServer,
    block: RpcServer,
    http: HttpServer,
    /// Services first, the driver after them.
    stop_services: CancellationToken,
    stop_driver: CancellationToken,
    tasks: TaskTracker,
    driver: tokio::task::JoinHandle<()>,
}

impl Scm {
    /// Starts an SCM that was initialized; returns when its ports are listening.
    ///
    /// # Errors
    /// Not initialized, a setting is malformed, the database or a port cannot be opened.
    pub async fn start(conf: &Configuration) -> anyhow::Result<Self> {
        let settings = ScmSettings::read(conf)?;
        let (base, version) = storage::require(conf)?;
        let identity = Identity { cluster_id: version.cluster_id, scm_id: version.scm_id };
        let group = storage::raft_group(&identity.cluster_id)?;
        let clock = Clock::start();

        let (store, ledger) = open_tables(ScmSettings::database(&base), clock).await?;
        let seed = rand::random();
        let rules = settings.rules.clone();
        let core = Core::new(identity.clone(), rules, ledger, seed, clock.now());
        let (shared, calls) = Shared::new(core, clock);
        let machine = Arc::new(Machine::open(Arc::clone(&shared), store, group)?);

        let raft = join_ring(&settings, &identity, group, &machine).await?;
        let (ratis, ..) = raft.addresses();
        let replicator = Arc::new(RaftReplicator::new(raft.clone(), group));
        let (stop_services, stop_driver) = (CancellationToken::new(), CancellationToken::new());
        let driving = drive(Arc::clone(&shared), replicator.clone(), calls, stop_driver.clone());
        let driver = tokio::spawn(driving);
        let tasks = TaskTracker::new();
        let ready = follow_leadership(&raft, group, &shared, &tasks, &stop_services)?;
        wait_for_leader(ready).await;

        let service = Service {
            shared: Arc::clone(&shared),
            replicator,
            host: settings.host.clone(),
            ratis_port: ratis.port(),
            calls: Arc::default(),
            pipeline_wait: settings.pipeline_wait,
        };
        let calls = service.calls.clone();
        let audit = AuditLog::open(conf, "scm", "SCMAudit", &settings.host)?;
        let location = audit::of_locations(LocationProtocol(service.clone()), audit.as_ref());
        let limits = ServerSettings::read(conf)?;
        let client = listen(settings.client, limits.clone(), LOCATION, location).await?;
        let block = audit::of_blocks(BlockProtocol(service.clone()), audit.as_ref());
        let block = listen(settings.block, limits.clone(), BLOCK, block).await?;
        let datanode = Arc::new(DatanodeProtocol(service));
        let datanode = listen(settings.datanode, limits, DATANODE, datanode).await?;
        let ports = http::Ports { client: client.address(), datanode: datanode.address(), ratis };
        let about = http::About::new(&settings, base, ports, &shared, &raft, group);
        let sources = http::Sources {
            calls,
            store: machine.store(),
            audit,
            rpc: [
                Box::new(client.source("StorageContainerLocationProtocolService")),
                Box::new(datanode.source("StorageContainerDatanodeProtocolService")),
                Box::new(block.source("ScmBlockLocationProtocolService")),
            ],
        };
        let http = http::start(&settings, about, sources, conf).await?;
        services::start(&settings, &shared, &machine, &tasks, &stop_services);
        tracing::info!(
            scm = %identity.scm_id,
            cluster = %identity.cluster_id,
            clients = %client.address(),
            datanodes = %datanode.address(),
            om = %block.address(),
            ratis = %ratis,
            http = ?http.address(),
            "SCM started"
        );
        Ok(Self {
            identity,
            shared,
            machine,
            raft,
            client,
            datanode,
            block,
            http,
            stop_services,
            stop_driver,
            tasks,
            driver,
        })
    }

    /// Port of clients and admins (9860).
    pub fn rpc_address(&self) -> SocketAddr {
        self.client.address()
    }

    /// Port of datanodes (9861).
    pub fn datanode_address(&self) -> SocketAddr {
        self.datanode.address()
    }

    /// Port of OMs (9863).
    pub fn block_address(&self) -> SocketAddr {
        self.block.address()
    }

    /// HTTP port (9876); `None` when it is switched off.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http.address()
    }

    /// Port of the Raft ring (9894).
    pub fn ratis_address(&self) -> SocketAddr {
        self.raft.addresses().0
    }

    /// `CID-<uuid>`.
    pub fn cluster_id(&self) -> &str {
        &self.identity.cluster_id
    }

    /// UUID of this SCM.
    pub fn scm_id(&self) -> &str {
        &self.identity.scm_id
    }

    /// What is still missing before keys can be written, in words; `None` when they can. Cheap.
    pub fn missing(&self) -> Option<String> {
        self.shared.read(Core::missing_for_writes)
    }

    /// Ends when this SCM cannot go on (its log cannot be written, or holds what this software does not
    /// understand), with the reason: shut it down then.
    pub async fn failed(&self) -> String {
        let mut failure = self.machine.failure();
        let reason = failure.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
        reason.unwrap_or_else(|| "its state machine is gone".to_owned())
    }

    /// Stops: takes no more calls, finishes those under way, writes the tables, closes the log.
    ///
    /// # Errors
    /// The tables could not be written; the log still has everything.
    pub async fn shutdown(self) -> anyhow::Result<()> {
        self.stop_services.cancel();
        tokio::join!(self.client.shutdown(), self.datanode.shutdown(), self.block.shutdown());
        self.http.shutdown().await;
        self.tasks.close();
        self.tasks.wait().await;
        self.stop_driver.cancel();
        self.driver.await.context("the driver ended unexpectedly")?;
        self.raft.shutdown().await;
        let machine = self.machine;
        tokio::task::spawn_blocking(move || machine.flush())
            .await?
            .context("cannot write the tables at the stop; the log will be replayed")?;
        tracing::info!(scm = %self.identity.scm_id, "SCM stopped");
        Ok(())
    }
}

/// The database, and what it holds.
async fn open_tables(path: PathBuf, clock: Clock) -> anyhow::Result<(Arc<dyn Store>, Ledger)> {
    let opening = move || {
        let store = RocksStore::open(&path, &tables::ALL, &RocksSettings::default())?;
        let mut ledger = Ledger::load(&store, clock.now())?;
        ledger.start_sequences(&store, local_id_start(clock.now()))?;
        let store: Arc<dyn Store> = Arc::new(store);
        anyhow::Ok((store, ledger))
    };
    tokio::task::spawn_blocking(opening).await?.context("cannot read scm.db")
}

/// Starts the engine; the first time, this SCM is the only member of its ring.
async fn join_ring(
    settings: &ScmSettings,
    identity: &Identity,
    group: GroupId,
    machine: &Arc<Machine>,
) -> anyhow::Result<MultiRaft> {
    let machines = Arc::new(Machines(Arc::clone(machine)));
    let raft = MultiRaft::start(settings.raft(&identity.scm_id), machines).await?;
    if !raft.groups().contains(&group) {
        let (ratis, ..) = raft.addresses();
        let peers = vec![peer(&identity.scm_id, &settings.host, ratis.port())];
        raft.add_group(group, peers).await.context("cannot make the Raft group of SCM")?;
    }
    Ok(raft)
}

async fn listen(
    address: SocketAddr,
    limits: ServerSettings,
    name: &'static str,
    protocol: Arc<dyn Protocol>,
) -> anyhow::Result<RpcServer> {
    RpcServer::start(address, limits, vec![(name, protocol)])
        .await
        .with_context(|| format!("cannot listen on {address} for {name}"))
}

fn peer(scm_id: &str, host: &str, port: u16) -> RaftPeerProto {
    RaftPeerProto {
        id: scm_id.as_bytes().to_vec().into(),
        address: format!("{host}:{port}"),
        startup_role: Some(RaftPeerRole::Follower.into()),
        ..RaftPeerProto::default()
    }
}

/// Tells the core when this SCM leads. The result turns true once a ready leader is known.
fn follow_leadership(
    raft: &MultiRaft,
    group: GroupId,
    shared: &Arc<Shared>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> anyhow::Result<watch::Receiver<bool>> {
    let mut leadership = raft.leadership(group).context("the Raft group of SCM is gone")?;
    let (ready, result) = watch::channel(false);
    let (shared, stop) = (Arc::clone(shared), stop.clone());
    tasks.spawn(async move {
        let mut leading = None;
        loop {
            let now = leadership.borrow_and_update().clone();
            take_role(&shared, &now, &mut leading);
            let known = matches!(now.role, Role::Leader { ready: true })
                || (now.role == Role::Follower && now.leader.is_some());
            ready.send_replace(known);
            tokio::select! {
                () = stop.cancelled() => return,
                changed = leadership.changed() => if changed.is_err() { return },
            }
        }
    });
    Ok(result)
}

fn take_role(shared: &Shared, now: &Leadership, leading: &mut Option<u64>) {
    let term = matches!(now.role, Role::Leader { ready: true }).then_some(now.term);
    if term == *leading {
        return;
    }
    *leading = term;
    match term {
        Some(term) => {
            tracing::info!(term, "leads the ring");
            shared.with(|core, now| {
                core.become_leader(term, now);
                core.machine_is_ready(now);
            });
        }
        None => {
            tracing::info!(term = now.term, "does not lead the ring");
            shared.with(|core, _| core.become_follower());
        }
    }
}

async fn wait_for_leader(mut ready: watch::Receiver<bool>) {
    let known = tokio::time::timeout(LEADER_WAIT, ready.wait_for(|known| *known)).await;
    if known.is_err() {
        tracing::warn!("the ring has no leader yet; callers are told to come back");
    }
}
