//! The signal that ends a daemon.

use tokio::signal::unix::{SignalKind, signal};

/// Returns when the process is asked to stop (SIGTERM, or SIGINT from the keyboard).
///
/// # Errors
/// Signals cannot be listened to.
pub async fn requested() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("asked to stop");
    Ok(())
}
