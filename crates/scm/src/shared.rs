//! The core behind one lock, and the driver that replicates what it wishes.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parking_lot::Mutex;
use scm_core::log::Answer;
use scm_core::{Call, Core, Millis};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::replicate::{Replicator, SubmitError};

/// Calls replicated at a time. More wait in the queue, which holds each wish once.
const CALLS_UNDER_WAY_MAX: usize = 1_024;

/// What everything in an SCM shares.
pub struct Shared {
    core: Mutex<Core>,
    clock: Clock,
    changed: watch::Sender<u64>,
    calls: mpsc::UnboundedSender<Call>,
    /// Whether an operator wants the replication manager to run.
    pub replication_manager: AtomicBool,
}

impl Shared {
    /// The second part is for [`drive`].
    pub fn new(core: Core, clock: Clock) -> (Arc<Self>, mpsc::UnboundedReceiver<Call>) {
        // Unbounded in type only: the core proposes each wish once until it is settled.
        let (calls, queue) = mpsc::unbounded_channel();
        let shared = Self {
            core: Mutex::new(core),
            clock,
            changed: watch::Sender::new(0),
            calls,
            replication_manager: AtomicBool::new(true),
        };
        (Arc::new(shared), queue)
    }

    /// One step of the core: nothing in `act` may wait. What it wishes is handed to the driver, and
    /// waiters are woken if something changed.
    pub fn with<R>(&self, act: impl FnOnce(&mut Core, Millis) -> R) -> R {
        let now = self.clock.now();
        let mut core = self.core.lock();
        let was_safe = core.safe_mode.is_active();
        let result = act(&mut core, now);
        let left_safe_mode = was_safe && !core.safe_mode.is_active();
        let calls = core.take_calls(now);
        let mark = core.activity.wrapping_add(core.ledger.version);
        for call in calls {
            // Fails only while stopping.
            let _ = self.calls.send(call);
        }
        drop(core);
        if left_safe_mode {
            tracing::info!("left safe mode");
        }
        self.changed.send_if_modified(|seen| std::mem::replace(seen, mark) != mark);
        result
    }

    /// Applies a committed call. Only the state machine does this.
    pub fn apply<R>(&self, act: impl FnOnce(&mut Core, Millis) -> R) -> R {
        self.with(act)
    }

    /// Looks at the core.
    pub fn read<R>(&self, look: impl FnOnce(&Core) -> R) -> R {
        look(&self.core.lock())
    }

    /// Follows changes: subscribe, look, then wait for the next change.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Replicates one call that somebody waits for.
    ///
    /// # Errors
    /// See [`SubmitError`].
    pub async fn submit(
        &self,
        replicator: &dyn Replicator,
        call: Call,
    ) -> Result<Answer, SubmitError> {
        let answer = replicator.submit(&call).await;
        let applied = !matches!(answer, Err(_) | Ok(Answer::Boolean(false)));
        match &answer {
            Err(error) => tracing::warn!(%call, %error, "call was not applied"),
            Ok(_) if call.is_notable() => tracing::info!(%call, "agreed"),
            Ok(_) => tracing::debug!(%call, "agreed"),
        }
        self.with(|core, now| core.settled(&call, applied, now));
        answer
    }
}

/// Replicates the core's wishes until `stop`; then those under way are waited for.
pub async fn drive(
    shared: Arc<Shared>,
    replicator: Arc<dyn Replicator>,
    mut calls: mpsc::UnboundedReceiver<Call>,
    stop: CancellationToken,
) {
    let slots = Arc::new(Semaphore::new(CALLS_UNDER_WAY_MAX));
    let tasks = TaskTracker::new();
    loop {
        let call = tokio::select! {
            () = stop.cancelled() => break,
            call = calls.recv() => call,
        };
        let Some(call) = call else { break };
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { break };
        let (shared, replicator) = (Arc::clone(&shared), Arc::clone(&replicator));
        tasks.spawn(async move {
            // Whoever wished it learns from the state; errors are logged there.
            let _ = shared.submit(&*replicator, call).await;
            drop(slot);
        });
    }
    tasks.close();
    tasks.wait().await;
}
