//! The listener: few connections, none that dawdles.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::{Daemon, HttpSettings};

/// Connections served at a time; further ones wait in the kernel.
const CONNECTIONS_MAX: usize = 256;
/// How long a request's headers may take, and an idle connection may stay.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest head of a request in bytes.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// Pause after a failed accept (out of file descriptors, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a stop waits for answers under way.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// A listening HTTP port. Dropping it closes it.
pub struct HttpServer {
    address: Option<SocketAddr>,
    stop: CancellationToken,
    connections: TaskTracker,
}

impl HttpServer {
    /// Serves the common pages of `daemon` and its `own`; opens nothing when the port is switched off.
    ///
    /// # Errors
    /// The port is taken, or the host has no address.
    pub async fn start(
        settings: &HttpSettings,
        daemon: Daemon,
        own: Router,
    ) -> anyhow::Result<Self> {
        let listener = Self::bind(settings).await?;
        Ok(Self::serve(listener, settings, daemon, own))
    }

    /// Opens the port without serving it yet, for a daemon that must know its number early; `None`
    /// when it is switched off.
    ///
    /// # Errors
    /// The port is taken, or the host has no address.
    pub async fn bind(settings: &HttpSettings) -> anyhow::Result<Option<TcpListener>> {
        let Some(address) = settings.resolve().await? else { return Ok(None) };
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!("cannot listen on {address} ({}); is the port in use?", settings.address_key)
        })?;
        Ok(Some(listener))
    }

    /// Serves a port that [`Self::bind`] opened.
    pub fn serve(
        listener: Option<TcpListener>,
        settings: &HttpSettings,
        daemon: Daemon,
        own: Router,
    ) -> Self {
        let (stop, connections) = (CancellationToken::new(), TaskTracker::new());
        let address = listener.as_ref().and_then(|listener| listener.local_addr().ok());
        if let Some(listener) = listener {
            let router = daemon.router(settings, own);
            connections.spawn(accept(listener, router, stop.clone(), connections.clone()));
        }
        Self { address, stop, connections }
    }

    /// Where it listens; `None` when it is switched off.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Closes the port; answers under way are finished.
    pub async fn shutdown(self) {
        self.stop.cancel();
        self.connections.close();
        let _ = tokio::time::timeout(DRAIN_TIMEOUT, self.connections.wait()).await;
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn accept(
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
    connections: TaskTracker,
) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let (router, stop) = (router.clone(), stop.clone());
                connections.spawn(async move {
                    connection(stream, router, stop).await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept an HTTP connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, router: Router, stop: CancellationToken) {
    let _ = stream.set_nodelay(true);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "HTTP connection ended");
    }
}
