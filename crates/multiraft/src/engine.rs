//! The engine's interface, and what its groups share: disks, connections, listeners, the clock.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use ratis::Channels;
use ratis::peer::AdminClient;
use ratis::server::{Addresses, Limits, Services};
use ratis_core::{Millis, PeerId, TermIndex};
use ratis_log::Disk;
use ratis_proto::common::{RaftPeerProto, ReplicationLevel};
use rustc_hash::FxHashMap;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::actor::Actor;
use crate::clock::Clock;
use crate::error::{RaftError, StartError};
use crate::group::{Event, Group};
use crate::settings::RaftSettings;
use crate::state_machine::StateMachines;
use crate::types::{ClientRequest, GroupId, GroupInfo, Leadership, Reply};

/// Folder beside a storage directory's groups for those that were removed but not deleted.
const REMOVED_GROUPS: &str = "removed-groups";

/// A running group.
struct Running {
    group: Arc<Group>,
    disk: Disk,
    task: JoinHandle<()>,
}

/// What all groups share.
pub(crate) struct Engine {
    pub settings: Arc<RaftSettings>,
    pub machines: Arc<dyn StateMachines>,
    pub channels: Channels,
    /// Itself, for work that outlives a call.
    this: Weak<Engine>,
    pub clock: Arc<Clock>,
    disks: Vec<Disk>,
    groups: RwLock<FxHashMap<GroupId, Running>>,
    /// Held while a group is added or removed.
    changing: tokio::sync::Mutex<()>,
    stopping: AtomicBool,
    services: Mutex<Option<Services>>,
    ticker: Mutex<Option<JoinHandle<()>>>,
}

/// The engine: all Raft groups of one process. Clones share it.
#[derive(Clone)]
pub struct MultiRaft {
    engine: Arc<Engine>,
    addresses: (SocketAddr, SocketAddr, SocketAddr),
}

impl MultiRaft {
    /// Opens every group found in the storage directories and starts the services.
    ///
    /// A group whose log cannot be used is left out with an error in the log; adding it again says
    /// why.
    ///
    /// # Errors
    /// A port is taken, or a directory cannot be used.
    pub async fn start(
        settings: RaftSettings,
        machines: Arc<dyn StateMachines>,
    ) -> Result<Self, StartError> {
        let mut disks = Vec::new();
        let mut found = Vec::new();
        for path in &settings.storage {
            let unusable = |error: ratis_log::LogError| StartError::Storage {
                path: path.clone(),
                message: error.to_string(),
            };
            let open = if settings.own_thread { Disk::open_without_thread } else { Disk::open };
            let disk = open(path).map_err(unusable)?;
            for group in disk.groups().map_err(unusable)? {
                found.push((group, disk.clone()));
            }
            disks.push(disk);
        }
        if disks.is_empty() {
            return Err(StartError::Storage {
                path: PathBuf::new(),
                message: "no raft storage directory is set".to_owned(),
            });
        }
        let engine = Arc::new_cyclic(|this| Engine {
            this: this.clone(),
            settings: Arc::new(settings),
            machines,
            channels: Channels::default(),
            clock: Arc::new(Clock::new()),
            disks,
            groups: RwLock::default(),
            changing: tokio::sync::Mutex::default(),
            stopping: AtomicBool::new(false),
            services: Mutex::new(None),
            ticker: Mutex::new(None),
        });
        engine.open_found(found).await;
        let settings = &engine.settings;
        let addresses = Addresses {
            server: settings.server_address,
            client: settings.client_address,
            admin: settings.admin_address,
        };
        let limits = Limits { message_bytes_max: settings.message_bytes_max };
        let services = match Services::start(addresses, limits, engine.clone()).await {
            Ok(services) => services,
            Err((address, source)) => {
                engine.stop().await;
                return Err(StartError::Listen { address, source });
            }
        };
        let addresses = services.addresses;
        *engine.services.lock() = Some(services);
        *engine.ticker.lock() =
            Some(tokio::spawn(tick(Arc::downgrade(&engine), engine.clock.clone())));
        Ok(Self { engine, addresses })
    }

    /// The addresses in use: server, client, admin.
    pub fn addresses(&self) -> (SocketAddr, SocketAddr, SocketAddr) {
        self.addresses
    }

    /// Creates a group with these peers (ids, addresses, priorities), or reports that it exists.
    ///
    /// # Errors
    /// [`RaftError::AlreadyExists`], or the log cannot be created.
    pub async fn add_group(&self, id: GroupId, peers: Vec<RaftPeerProto>) -> Result<(), RaftError> {
        self.engine.clone().add_group(id, peers).await
    }

    /// Stops a group and removes its directory.
    ///
    /// # Errors
    /// [`RaftError::GroupMismatch`] where there is none.
    pub async fn remove_group(&self, id: GroupId) -> Result<(), RaftError> {
        let delete = self.engine.settings.delete_removed_groups;
        self.engine.clone().remove_group(id, delete).await
    }

    /// Asks another node's admin service to add or remove the group. Errors are for the log only.
    ///
    /// # Errors
    /// The peer does not answer or refuses.
    pub async fn tell_peer_to_add(
        &self,
        peer: &RaftPeerProto,
        id: GroupId,
        peers: &[RaftPeerProto],
    ) -> Result<(), RaftError> {
        let told = async {
            AdminClient::new(&self.engine.channels, peer)?.add_group(id, peers.to_vec()).await
        };
        told.await.map_err(|e| crate::handlers::from_exception(id, e))
    }

    /// See [`Self::tell_peer_to_add`].
    ///
    /// # Errors
    /// The peer does not answer or refuses.
    pub async fn tell_peer_to_remove(
        &self,
        peer: &RaftPeerProto,
        id: GroupId,
    ) -> Result<(), RaftError> {
        let told = async { AdminClient::new(&self.engine.channels, peer)?.remove_group(id).await };
        told.await.map_err(|e| crate::handlers::from_exception(id, e))
    }

    /// Replicates and applies a write; answers once it is applied here. Writes enter the log in the
    /// order in which their futures are first polled.
    ///
    /// # Errors
    /// See [`RaftError`].
    pub async fn write(&self, id: GroupId, request: ClientRequest) -> Result<Reply, RaftError> {
        let reply = self.engine.group(id)?.write(request)?;
        reply.await.map_err(|_| RaftError::AlreadyClosed(id))?
    }

    /// The reply to a write that came in before, once there is one; `None` if it is new. For users
    /// that prepare requests before [`Self::write`]: a repetition must not be prepared again.
    pub async fn repeated(
        &self,
        id: GroupId,
        client: [u8; 16],
        call: u64,
    ) -> Option<Result<Reply, RaftError>> {
        let reply = self.engine.group(id).ok()?.repeated(client, call)?;
        Some(reply.await.unwrap_or(Err(RaftError::AlreadyClosed(id))))
    }

    /// Waits until `index` is replicated to `level`.
    ///
    /// # Errors
    /// [`RaftError::NotReplicated`] after the watch timeout.
    pub async fn watch(
        &self,
        id: GroupId,
        index: u64,
        level: ReplicationLevel,
    ) -> Result<Reply, RaftError> {
        self.engine.group(id)?.ask(|waiter| Event::Watch(index, level, waiter)).await?
    }

    /// Returns once everything that was committed at the call is applied here, on the leader. The
    /// result is the index that was waited for.
    ///
    /// # Errors
    /// [`RaftError::NotLeader`] and its kin.
    pub async fn read_barrier(&self, id: GroupId) -> Result<u64, RaftError> {
        let group = self.engine.group(id)?;
        group.check_leader()?;
        group.ask(Event::Read).await?
    }

    /// Takes a snapshot now and purges the log as configured.
    ///
    /// # Errors
    /// The state machine could not make its state durable.
    pub async fn snapshot(&self, id: GroupId) -> Result<Option<TermIndex>, RaftError> {
        let group = self.engine.group(id)?;
        Ok(group.ask(|waiter| Event::Snapshot(0, waiter)).await??)
    }

    /// Hands leadership to a member, which must have the highest priority; `None` only steps down.
    ///
    /// # Errors
    /// Not the leader, or it took longer than `timeout`.
    pub async fn transfer_leadership(
        &self,
        id: GroupId,
        to: Option<PeerId>,
        timeout: Duration,
    ) -> Result<(), RaftError> {
        let group = self.engine.group(id)?;
        group.transfer(to, timeout.as_millis() as Millis).await
    }

    /// Replaces voters and listeners. New members are brought up first; they must have been started
    /// with the group.
    ///
    /// # Errors
    /// Not the leader, or a new member did not catch up.
    pub async fn set_configuration(
        &self,
        id: GroupId,
        peers: Vec<RaftPeerProto>,
        listeners: Vec<RaftPeerProto>,
    ) -> Result<(), RaftError> {
        self.engine.group(id)?.set_configuration(peers, listeners).await
    }

    /// A group at a glance.
    pub fn info(&self, id: GroupId) -> Option<GroupInfo> {
        self.engine.group(id).ok().map(|group| group.info())
    }

    /// Every group here.
    pub fn groups(&self) -> Vec<GroupId> {
        self.engine.group_ids()
    }

    /// This node.
    pub(crate) fn id(&self) -> &PeerId {
        &self.engine.settings.id
    }

    /// The log's disks.
    pub(crate) fn disks(&self) -> &[Disk] {
        &self.engine.disks
    }

    /// A group.
    ///
    /// # Errors
    /// Not here.
    pub(crate) fn group(&self, id: GroupId) -> Result<Arc<Group>, RaftError> {
        self.engine.group(id)
    }

    /// Follows role, term and leader of a group.
    pub fn leadership(&self, id: GroupId) -> Option<watch::Receiver<Leadership>> {
        self.engine.group(id).ok().map(|group| group.leadership.subscribe())
    }

    /// Stops all groups: snapshots where cheap, closes logs, releases ports.
    pub async fn shutdown(&self) {
        self.engine.stop().await;
    }
}

impl Engine {
    /// The group, if it runs here.
    pub fn group(&self, id: GroupId) -> Result<Arc<Group>, RaftError> {
        let groups = self.groups.read();
        match groups.get(&id) {
            Some(running) => Ok(running.group.clone()),
            // A client must not take a stop for the end of the group.
            None if self.stopping.load(Ordering::Relaxed) => Err(RaftError::AlreadyClosed(id)),
            None => Err(RaftError::GroupMismatch(id)),
        }
    }

    /// Every group here.
    pub fn group_ids(&self) -> Vec<GroupId> {
        let mut ids: Vec<_> = self.groups.read().keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// Opens the groups that were here before, several at a time.
    async fn open_found(self: &Arc<Self>, found: Vec<(GroupId, Disk)>) {
        let opening: Vec<_> = found
            .into_iter()
            .map(|(id, disk)| (id, tokio::spawn(self.clone().open(id, disk, Vec::new()))))
            .collect();
        for (id, task) in opening {
            match task.await {
                Ok(Ok(())) => self.machines.added(id),
                Ok(Err(error)) => {
                    tracing::error!(group = %id, %error, "raft group cannot be opened");
                }
                Err(_) => tracing::error!(group = %id, "opening the raft group panicked"),
            }
        }
    }

    /// Creates a group.
    pub async fn add_group(
        self: Arc<Self>,
        id: GroupId,
        peers: Vec<RaftPeerProto>,
    ) -> Result<(), RaftError> {
        let _changing = self.changing.lock().await;
        if self.stopping.load(Ordering::Relaxed) {
            return Err(RaftError::AlreadyClosed(id));
        }
        if self.group(id).is_ok() {
            return Err(RaftError::AlreadyExists(id));
        }
        let disk = {
            let groups = self.groups.read();
            let used =
                |disk: &Disk| groups.values().filter(|r| r.disk.path() == disk.path()).count();
            let has = |disk: &&Disk| disk.path().join(id.to_string()).exists();
            let disks = self.disks.iter();
            // A directory that could not be opened at the start is tried again, not doubled.
            self.disks.iter().find(has).or_else(|| disks.min_by_key(|d| used(d))).cloned()
        };
        let Some(disk) = disk else { return Err(RaftError::AlreadyClosed(id)) };
        self.clone().open(id, disk, peers).await?;
        self.machines.added(id);
        Ok(())
    }

    async fn open(
        self: Arc<Self>,
        id: GroupId,
        disk: Disk,
        peers: Vec<RaftPeerProto>,
    ) -> Result<(), RaftError> {
        let engine = self.clone();
        let log_disk = disk.clone();
        let opened =
            tokio::task::spawn_blocking(move || crate::open::open(&engine, id, &log_disk, &peers));
        let actor = opened
            .await
            .map_err(|_| RaftError::Log { group: id, message: "opening panicked".to_owned() })??;
        let group = actor.group.clone();
        let task = if self.settings.own_thread {
            run_on_thread(id, actor)?
        } else {
            tokio::spawn(actor.run())
        };
        self.groups.write().insert(id, Running { group, disk, task });
        self.clock.nudge();
        Ok(())
    }

    /// Stops a group and removes its directory.
    pub async fn remove_group(self: Arc<Self>, id: GroupId, delete: bool) -> Result<(), RaftError> {
        let _changing = self.changing.lock().await;
        let running = self.groups.write().remove(&id).ok_or(RaftError::GroupMismatch(id))?;
        let disk = running.disk.clone();
        running.close(false).await;
        self.machines.removed(id);
        let renamed_to = (!delete).then(|| disk.path().join(REMOVED_GROUPS));
        let removed =
            tokio::task::spawn_blocking(move || disk.remove_group(id, renamed_to.as_deref()));
        match removed.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(RaftError::Log { group: id, message: error.to_string() }),
            Err(_) => Err(RaftError::AlreadyClosed(id)),
        }
    }

    /// Stops everything.
    async fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        let _changing = self.changing.lock().await;
        let services = self.services.lock().take();
        let ticker = self.ticker.lock().take();
        let running: Vec<_> = self.groups.write().drain().map(|(_, running)| running).collect();
        futures_util::future::join_all(running.into_iter().map(|r| r.close(true))).await;
        if let Some(services) = services {
            services.stop().await;
        }
        if let Some(ticker) = ticker {
            ticker.abort();
        }
        let disks = self.disks.clone();
        let stopped =
            tokio::task::spawn_blocking(move || disks.iter().for_each(Disk::shutdown)).await;
        if stopped.is_err() {
            tracing::error!("stopping the raft log writers panicked");
        }
    }

    /// Itself, for work that outlives a call; `None` while it is dropped.
    pub fn shared(&self) -> Option<Arc<Self>> {
        self.this.upgrade()
    }
}

impl Running {
    async fn close(self, snapshot: bool) {
        let (done, closed) = tokio::sync::oneshot::channel();
        self.group.send(Event::Close { snapshot, done });
        // An error means that the loop has ended already.
        let _ = closed.await;
        if self.task.await.is_err() {
            tracing::error!(group = %self.group.id, "the raft group panicked");
        }
    }
}

/// Runs a group's loop on a thread of its own; the task ends with it.
fn run_on_thread(id: GroupId, actor: Actor) -> Result<JoinHandle<()>, RaftError> {
    let runtime = tokio::runtime::Handle::current();
    let (running, ended) = tokio::sync::oneshot::channel::<()>();
    std::thread::Builder::new()
        .name("raft-group".to_owned())
        .spawn(move || {
            let _running = running;
            runtime.block_on(actor.run());
        })
        .map_err(|e| RaftError::Log { group: id, message: format!("no thread: {e}") })?;
    Ok(tokio::spawn(async move {
        // Nothing is ever sent: the error is the end of the thread.
        let _ = ended.await;
    }))
}

/// Wakes the groups that have something to do.
async fn tick(engine: Weak<Engine>, clock: Arc<Clock>) {
    loop {
        let mut next = Millis::MAX;
        {
            let Some(engine) = engine.upgrade() else { return };
            clock.look();
            let now = clock.now();
            for running in engine.groups.read().values() {
                let group = &running.group;
                let deadline = group.deadline.load(Ordering::SeqCst);
                if deadline > now {
                    next = next.min(deadline);
                } else if !group.ticking.swap(true, Ordering::AcqRel) {
                    group.send(Event::Tick);
                }
            }
        }
        clock.sleep_until(next).await;
    }
}
