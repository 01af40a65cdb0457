//! Work that comes with time. Each turn takes the lock once and is bounded by the core.

use std::sync::Arc;
use std::time::Duration;

use scm_core::{Core, Millis};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::machine::Machine;
use crate::settings::ScmSettings;
use crate::shared::Shared;

/// How often containers whose writers had their time are looked for.
const CLOSE_INTERVAL: Duration = Duration::from_secs(1);
/// A wait of zero would spin.
const INTERVAL_MIN: Duration = Duration::from_millis(10);

/// Starts all services; they end with `stop`.
pub fn start(
    settings: &ScmSettings,
    shared: &Arc<Shared>,
    machine: &Arc<Machine>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) {
    let every = |interval: Duration, turn: fn(&mut Core, Millis)| {
        tasks.spawn(repeat(Arc::clone(shared), interval, stop.clone(), turn));
    };
    every(settings.health_interval, Core::check_nodes);
    every(settings.creation_interval, Core::create_pipelines);
    every(settings.scrub_interval, Core::scrub_pipelines);
    every(settings.deletion_interval, Core::delete_blocks);
    every(CLOSE_INTERVAL, Core::close_expired_containers);
    tasks.spawn(tell_safe_mode(Arc::clone(shared), settings.safe_mode_log_interval, stop.clone()));
    tasks.spawn(flush(Arc::clone(machine), settings.flush_interval, stop.clone()));
}

async fn repeat(
    shared: Arc<Shared>,
    every: Duration,
    stop: CancellationToken,
    turn: fn(&mut Core, Millis),
) {
    let mut ticks = ticker(every);
    while !stopped(&stop, &mut ticks).await {
        shared.with(turn);
    }
}

/// Says what is missing, as long as SCM is in safe mode (`SCMSafeModeManager`).
async fn tell_safe_mode(shared: Arc<Shared>, every: Duration, stop: CancellationToken) {
    let mut ticks = ticker(every);
    // The first turn comes at once, when nobody can have registered yet.
    if stopped(&stop, &mut ticks).await {
        return;
    }
    while !stopped(&stop, &mut ticks).await {
        if let Some(missing) = shared.read(missing_to_leave_safe_mode) {
            tracing::warn!(missing, "still in safe mode: no writes are served until this holds");
        }
    }
}

/// The rules that do not hold, or `None` when safe mode is over.
pub(crate) fn missing_to_leave_safe_mode(core: &Core) -> Option<String> {
    core.safe_mode.is_active().then(|| {
        let open = core.safe_mode_rules().into_iter().filter(|rule| !rule.holds);
        open.map(|rule| format!("{}: {}", rule.name, rule.text)).collect::<Vec<_>>().join("; ")
    })
}

async fn flush(machine: Arc<Machine>, every: Duration, stop: CancellationToken) {
    let mut ticks = ticker(every);
    while !stopped(&stop, &mut ticks).await {
        let machine = Arc::clone(&machine);
        match tokio::task::spawn_blocking(move || machine.flush()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::error!(%error, "cannot write the tables"),
            Err(error) => tracing::error!(%error, "writing the tables ended unexpectedly"),
        }
    }
}

fn ticker(every: Duration) -> tokio::time::Interval {
    let mut ticks = interval(every.max(INTERVAL_MIN));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Waits for the next turn; true when there is none.
async fn stopped(stop: &CancellationToken, ticks: &mut tokio::time::Interval) -> bool {
    tokio::select! {
        () = stop.cancelled() => true,
        _ = ticks.tick() => false,
    }
}
