//! Listeners: server, client and admin services on their own ports or on a shared one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bulk_buffers::Buffers;
use ratis_proto::grpc::admin_protocol_service_server::AdminProtocolServiceServer;
use ratis_proto::grpc::raft_server_protocol_service_server::RaftServerProtocolServiceServer;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::service::RoutesBuilder;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::channel::{
    CONNECTION_WINDOW_BYTES, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, STREAM_WINDOW_BYTES,
};
use crate::server::admin_service::{AdminHandler, AdminService};
use crate::server::client_service::{ClientHandler, ClientService};
use crate::server::peer_service::{PeerDoor, PeerHandler, PeerService};

/// Largest HTTP/2 frame we take, in bytes: fewer, larger reads of bulk data.
const FRAME_BYTES_MAX: u32 = 1 << 20;

/// Streams of a connection. Every group keeps two open to each of its peers.
const STREAMS_MAX: u32 = 100_000;

/// How long connections may take to end when the services stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// Memory for bulk bytes that is kept between a burst and the next, in bytes: what a few clients with
/// large keys have in flight.
const BUFFERS_KEPT_BYTES_MAX: usize = 192 << 20;

/// How often what of it is not needed goes back to the system.
const TRIM_INTERVAL: Duration = Duration::from_secs(10);

/// Where the services listen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Addresses {
    /// Peers.
    pub server: SocketAddr,
    /// Clients; the server's listener if `None`.
    pub client: Option<SocketAddr>,
    /// Administration; the server's listener if `None`.
    pub admin: Option<SocketAddr>,
}

/// Sizes of messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Largest message we take, in bytes.
    pub message_bytes_max: usize,
}

/// Running services.
pub struct Services {
    /// Where they listen: server, client, admin.
    pub addresses: (SocketAddr, SocketAddr, SocketAddr),
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

/// A port that cannot be listened on, and why.
pub type ListenError = (SocketAddr, std::io::Error);

impl Services {
    /// Opens the listeners and serves until [`Self::stop`].
    ///
    /// # Errors
    /// A port is taken.
    pub async fn start<H: ClientHandler + PeerHandler + AdminHandler>(
        addresses: Addresses,
        limits: Limits,
        handler: Arc<H>,
    ) -> Result<Self, ListenError> {
        let bind = async |address: SocketAddr| {
            let listener = TcpListener::bind(address).await.map_err(|e| (address, e))?;
            let local = listener.local_addr().map_err(|e| (address, e))?;
            Ok::<_, ListenError>((listener, local))
        };
        let own = |address: Option<SocketAddr>| {
            address.filter(|a| a.port() == 0 || *a != addresses.server)
        };
        let (server, server_at) = bind(addresses.server).await?;
        let client = match own(addresses.client) {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        let admin = match own(addresses.admin) {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        let client_at = client.as_ref().map_or(server_at, |(_, at)| *at);
        let admin_at = admin.as_ref().map_or(server_at, |(_, at)| *at);

        let stop = CancellationToken::new();
        let largest = limits.message_bytes_max;
        let buffers = Buffers::new(BUFFERS_KEPT_BYTES_MAX);
        let client_service = ClientService {
            handler: handler.clone(),
            stop: stop.clone(),
            message_bytes_max: largest,
            buffers: buffers.clone(),
        };
        let rest = PeerService { handler: handler.clone(), stop: stop.clone() };
        let peer_service = PeerDoor {
            rest: RaftServerProtocolServiceServer::new(rest)
                .max_decoding_message_size(largest)
                .max_encoding_message_size(usize::MAX),
            handler: handler.clone(),
            stop: stop.clone(),
            message_bytes_max: largest,
            buffers: buffers.clone(),
        };
        let admin_service = AdminProtocolServiceServer::new(AdminService { handler });

        let mut shared = RoutesBuilder::default();
        shared.add_service(peer_service);
        let mut tasks = vec![tokio::spawn(trim(buffers, stop.clone()))];
        match client {
            Some((listener, _)) => {
                let mut routes = RoutesBuilder::default();
                routes.add_service(client_service);
                tasks.push(serve(listener, routes, stop.clone()));
            }
            None => {
                shared.add_service(client_service);
            }
        }
        match admin {
            Some((listener, _)) => {
                let mut routes = RoutesBuilder::default();
                routes.add_service(admin_service);
                tasks.push(serve(listener, routes, stop.clone()));
            }
            None => {
                shared.add_service(admin_service);
            }
        }
        tasks.push(serve(server, shared, stop.clone()));
        Ok(Self { addresses: (server_at, client_at, admin_at), stop, tasks })
    }

    /// Ends all streams and closes the ports.
    pub async fn stop(self) {
        self.stop.cancel();
        for mut task in self.tasks {
            if tokio::time::timeout(STOP_TIMEOUT, &mut task).await.is_err() {
                task.abort();
            }
        }
    }
}

async fn trim(buffers: Buffers, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(TRIM_INTERVAL)).await.is_some() {
        buffers.trim();
    }
}

fn serve(listener: TcpListener, routes: RoutesBuilder, stop: CancellationToken) -> JoinHandle<()> {
    let server = Server::builder()
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(Some(STREAMS_MAX))
        .max_frame_size(FRAME_BYTES_MAX)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .add_routes(routes.routes());
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    tokio::spawn(async move {
        if let Err(error) =
            server.serve_with_incoming_shutdown(incoming, stop.cancelled_owned()).await
        {
            tracing::error!(%error, "a raft listener failed");
        }
    })
}
