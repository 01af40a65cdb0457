//! Gives up keys that were opened long ago and never committed (`OpenKeyCleanupService`).

use std::sync::Arc;
use std::time::Duration;

use om_core::deletion;
use om_proto::{OmRequest, Type};
use tokio_util::sync::CancellationToken;

use super::Stopped;
use crate::ids::now_ms;
use crate::server::Service;

/// Works until stopped.
pub async fn run(service: Arc<Service>, stop: CancellationToken) {
    while service.next_round(service.settings.open_key_cleanup_interval, &stop).await {
        match round(&service).await {
            Ok(0) => {}
            Ok(keys) => tracing::info!(keys, "open keys expired"),
            Err(error) => tracing::warn!(%error, "expired open keys stay for the next round"),
        }
    }
}

async fn round(service: &Arc<Service>) -> Result<usize, Stopped> {
    let (before, limit) = limits(service, service.settings.open_key_expiry);
    let plans = service.plan(move |ns| deletion::expired_open_keys(ns, before, limit)).await?;
    let metrics = &service.metrics.open_keys;
    let mut expired = close_abandoned(service).await?;
    metrics.hsync_cleaned.add(expired as u64);
    for plan in plans {
        let keys = plan.open_keys_per_bucket.iter().map(|bucket| bucket.keys.len()).sum::<usize>();
        expired += keys;
        metrics.requests.inc();
        metrics.submitted.add(keys as u64);
        let written = service
            .must_write(OmRequest {
                cmd_type: Type::DeleteOpenKeys.into(),
                delete_open_keys_request: Some(Box::new(plan)),
                ..OmRequest::default()
            })
            .await;
        if let Err(error) = written {
            metrics.fails.inc();
            return Err(error);
        }
        metrics.deleted.add(keys as u64);
    }
    metrics.cleaned.add(expired as u64);
    Ok(expired)
}

/// When what expires now was touched last (ms since 1970), and how much a round takes.
fn limits(service: &Service, age: Duration) -> (u64, usize) {
    let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    (now_ms().saturating_sub(age), service.settings.open_key_cleanup_limit)
}

/// Closes files whose writer went away after an hsync, as far as they are visible.
async fn close_abandoned(service: &Arc<Service>) -> Result<usize, Stopped> {
    let (before, limit) = limits(service, service.settings.lease_hard_limit);
    let commits = service.plan(move |ns| deletion::abandoned_files(ns, before, limit)).await?;
    let count = commits.len();
    for commit in commits {
        // A refusal means that the writer came back or the file went away.
        service
            .write_own(OmRequest {
                cmd_type: Type::CommitKey.into(),
                commit_key_request: Some(Box::new(commit)),
                ..OmRequest::default()
            })
            .await?;
    }
    Ok(count)
}
