//! I/O threads: each drives some of the connections on a single-threaded runtime.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// The I/O threads of a server; they end when this is dropped.
pub struct Reactors {
    reactors: Vec<Reactor>,
    turn: AtomicUsize,
}

struct Reactor {
    handle: Handle,
    /// Dropped to end the thread.
    _running: oneshot::Sender<()>,
}

impl Reactors {
    /// Starts `count` threads; with 0, connections live on the runtime of the caller.
    pub fn start(count: usize) -> io::Result<Self> {
        let reactors = (0..count).map(|_| Reactor::start()).collect::<io::Result<_>>()?;
        Ok(Self { reactors, turn: AtomicUsize::new(0) })
    }

    /// Where the next connection lives, in turn.
    pub fn next(&self) -> Option<&Handle> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        self.reactors.get(turn % self.reactors.len().max(1)).map(|reactor| &reactor.handle)
    }
}

impl Reactor {
    fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (running, stopped) = oneshot::channel::<()>();
        std::thread::Builder::new().name("rpc-io".to_owned()).spawn(move || {
            // Nothing is ever sent: the error is the end of the server.
            let _ = runtime.block_on(stopped);
        })?;
        Ok(Self { handle, _running: running })
    }
}
