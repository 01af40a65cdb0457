//! The server side.
//!
//! ```text
//!  acceptor ─► one task per connection ─► Session (what a frame means)
//!                 │  polls calls in place ─► Protocol::call
//!                 └─ writes all answers that are ready at once
//!  sweeper: once a second closes connections that stall or idle
//! ```
//! Connections live on I/O threads of the server ([`ServerSettings::io_threads`]), each with a reactor
//! of its own: a wake-up then never rouses a second thread to look for work. A call is polled once in the connection's task: what answers at once costs no task and no wake-up.
//! What does not is polled on beside the others. When calls keep a connection busy for too long, or
//! the protocol says so ([`Protocol::placement`]), they get tasks of their own and spread over cores.

mod connection;
mod line;
mod metrics;
mod reactor;
mod registry;
mod session;
mod settings;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use rand::random;
use thiserror::Error;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::class;
use line::{Lines, Order};
pub use metrics::RpcMetrics;
use reactor::Reactors;
use registry::Registry;
pub use settings::ServerSettings;

/// Connections that the kernel completes ahead of us (`ipc.server.listen.queue.size`).
const LISTEN_BACKLOG: u32 = 256;
/// Pause after a failed accept (out of file descriptors, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Period of the sweeper, and the unit in which idleness is counted.
const SWEEP_PERIOD: Duration = Duration::from_secs(1);
/// How long a killed connection may take to end.
const KILL_WAIT: Duration = Duration::from_secs(2);

/// Who calls, and which call it is.
#[derive(Clone, Debug)]
pub struct CallContext {
    /// The effective user.
    pub user: Arc<str>,
    /// The user who acts for `user`, if any.
    pub real_user: Option<Arc<str>>,
    /// The client's address.
    pub remote: SocketAddr,
    /// The IP address in it, as text.
    pub remote_ip: Arc<str>,
    /// The client object, 16 bytes, constant over retries and failover.
    pub client_id: [u8; 16],
    /// The call, constant over retries.
    pub call_id: i32,
    /// 0 for the first try.
    pub retry_count: i32,
    /// Trace id in the header of the call; 0 where there is none.
    pub trace: u64,
    /// The caller's note for audit logs.
    pub caller_context: Option<Arc<str>>,
}

impl CallContext {
    /// What the call carries as its trace: what its request says, else what its header does.
    pub fn trace_of(&self, request: Option<&str>) -> Option<String> {
        let said = request.filter(|text| !text.is_empty()).map(str::to_owned);
        said.or_else(|| (self.trace != 0).then(|| format!("{:016x}", self.trace)))
    }
}

/// A failure at RPC level: status ERROR with a Java class. Application failures travel inside the
/// response instead.
#[derive(Clone, Debug, Error)]
#[error("{class}: {message}")]
pub struct RpcError {
    /// Exact Java class name; clients instantiate it.
    pub class: String,
    /// First line of the message.
    pub message: String,
}

impl RpcError {
    /// An error of this Java class.
    pub fn new(class: impl Into<String>, message: impl Into<String>) -> Self {
        Self { class: class.into(), message: message.into() }
    }

    /// A request without required fields, named as in the `.proto` file, e.g. `clientId`.
    pub fn missing_fields(fields: &str) -> Self {
        Self::new(class::INVALID_PROTOBUF, format!("Message missing required fields: {fields}"))
    }

    /// A request that is no such message. Clients take it for "server too old" and do not fail over.
    pub fn malformed(error: impl std::fmt::Display) -> Self {
        Self::new(class::INVALID_PROTOBUF, error.to_string())
    }

    /// An `IOException`: clients try elsewhere.
    pub fn io(message: impl Into<String>) -> Self {
        Self::new(class::IO, message)
    }
}

/// Where a call is served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Placement {
    /// In the connection's task, beside its other calls: right for what is short or mostly waits.
    Connection,
    /// In a task of its own: right for what computes for long, e.g. a big listing.
    Task,
}

/// A protocol that a server speaks, e.g. `org.apache.hadoop.ozone.om.protocol.OzoneManagerProtocol`.
#[async_trait]
pub trait Protocol: Send + Sync + 'static {
    /// Version that clients must name.
    fn version(&self) -> u64 {
        1
    }

    /// Method names that exist; others are answered with RpcNoSuchMethodException.
    fn methods(&self) -> &'static [&'static str];

    /// Where to serve a call.
    fn placement(&self, method: &str, request: &Bytes) -> Placement {
        let _ = (method, request);
        Placement::Connection
    }

    /// Serves one call. `request` and the result are the bare protobuf messages. A call that was
    /// begun is always finished, even if its client goes away.
    async fn call(
        &self,
        context: CallContext,
        method: &str,
        request: Bytes,
    ) -> Result<Bytes, RpcError>;
}

/// What a server is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ServerLoad {
    /// Open connections.
    pub connections: usize,
    /// Calls in service.
    pub calls: usize,
}

/// What all connections of a server share.
struct Shared {
    settings: ServerSettings,
    registry: Arc<Registry>,
    /// One permit per call.
    calls: Arc<Semaphore>,
    /// One permit per KiB of requests in service.
    request_kib: Arc<Semaphore>,
    lines: Lines,
    metrics: Arc<RpcMetrics>,
    tasks: TaskTracker,
    /// Where calls go that compute for long ([`Placement::Task`]).
    workers: Handle,
}

impl Shared {
    fn load(&self) -> ServerLoad {
        let calls_max = self.settings.calls_max.clamp(1, Semaphore::MAX_PERMITS);
        ServerLoad {
            connections: self.lines.count(),
            calls: calls_max - self.calls.available_permits(),
        }
    }
}

/// A listening server. Dropping it closes everything at once; see [`RpcServer::shutdown`].
pub struct RpcServer {
    shared: Arc<Shared>,
    address: SocketAddr,
    background: Mutex<Vec<JoinHandle<()>>>,
    /// Ends with the server.
    _reactors: Arc<Reactors>,
}

impl RpcServer {
    /// Listens on `address` and serves these protocols by name.
    ///
    /// # Errors
    /// The port is taken or not allowed.
    pub async fn start(
        address: SocketAddr,
        settings: ServerSettings,
        protocols: Vec<(&'static str, Arc<dyn Protocol>)>,
    ) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.set_keepalive(true)?; // accepted sockets inherit it
        socket.bind(address)?;
        let listener = socket.listen(LISTEN_BACKLOG)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            registry: Arc::new(Registry::new(protocols)),
            calls: Arc::new(Semaphore::new(settings.calls_max.clamp(1, Semaphore::MAX_PERMITS))),
            request_kib: Arc::new(Semaphore::new(settings.request_kib_max() as usize)),
            lines: Lines::default(),
            metrics: Arc::default(),
            tasks: TaskTracker::new(),
            workers: Handle::current(),
            settings,
        });
        let reactors = Arc::new(Reactors::start(shared.settings.io_threads)?);
        let background = vec![
            tokio::spawn(accept(listener, shared.clone(), reactors.clone())),
            tokio::spawn(sweep(shared.clone())),
        ];
        Ok(Self { shared, address, background: Mutex::new(background), _reactors: reactors })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it is doing.
    pub fn load(&self) -> ServerLoad {
        self.shared.load()
    }

    /// How `/prom` and `/jmx` read this server's counts: `rpc_*`, with `name` as label.
    pub fn source(
        &self,
        name: &'static str,
    ) -> impl Fn(&mut ozone_metrics::Records) + Send + Sync + 'static {
        let (shared, port) = (self.shared.clone(), self.address.port());
        move |records| shared.metrics.collect(records, port, name, shared.load())
    }

    /// Takes no new calls, lets those in service finish (bounded), closes every connection.
    pub async fn shutdown(self) {
        let background = std::mem::take(&mut *self.background.lock());
        for task in background {
            task.abort();
            let _ = task.await;
        }
        self.shared.lines.order_all(Order::Drain);
        self.shared.tasks.close();
        let drain = self.shared.settings.drain_timeout;
        if tokio::time::timeout(drain, self.shared.tasks.wait()).await.is_err() {
            warn!(address = %self.address, ?drain, "calls are still in service; closing anyway");
            self.shared.lines.order_all(Order::Kill);
            let _ = tokio::time::timeout(KILL_WAIT, self.shared.tasks.wait()).await;
        }
    }
}

impl Drop for RpcServer {
    fn drop(&mut self) {
        for task in self.background.get_mut() {
            task.abort();
        }
        self.shared.lines.order_all(Order::Kill);
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, reactors: Arc<Reactors>) {
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => admit(&shared, &reactors, stream, remote),
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn admit(shared: &Arc<Shared>, reactors: &Reactors, stream: TcpStream, remote: SocketAddr) {
    let max = shared.settings.connections_max;
    if shared.lines.count() >= max {
        shared.metrics.refused_connections.inc();
        debug!(%remote, max, "too many connections; refusing one");
        return;
    }
    let _ = stream.set_nodelay(true);
    let (id, line) = shared.lines.open();
    let task = shared.clone();
    let Some(reactor) = reactors.next() else {
        shared.tasks.spawn(async move {
            connection::serve(stream, remote, &task, &line).await;
            task.lines.close(id);
        });
        return;
    };
    let stream = stream.into_std();
    let serving = async move {
        // The socket leaves the acceptor's reactor for its own.
        match stream.and_then(TcpStream::from_std) {
            Ok(stream) => connection::serve(stream, remote, &task, &line).await,
            Err(error) => warn!(%remote, %error, "cannot serve a connection"),
        }
        task.lines.close(id);
    };
    shared.tasks.spawn_on(serving, reactor);
}

async fn sweep(shared: Arc<Shared>) {
    // Servers of one process need not sweep in step.
    tokio::time::sleep(SWEEP_PERIOD.mul_f64(random())).await;
    let mut ticks = tokio::time::interval(SWEEP_PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        shared.lines.sweep(&shared.settings);
    }
}
