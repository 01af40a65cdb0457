//! Takes deleted trees apart, level by level (`DirectoryDeletingService`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use om_core::deletion::TreeWalk;
use om_proto::{OmRequest, Type};
use tokio_util::sync::CancellationToken;

use super::Stopped;
use super::deleting_metrics::DirectoryRound;
use crate::server::Service;

/// Rows that one entry of the log moves at most. Applying them takes about 10 µs each, and whoever
/// writes meanwhile waits.
const ROWS_PER_REQUEST_MAX: usize = 500;
/// Longest pause after a request; it lasts as long as the request took, so that writers get their share.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// Works until stopped.
pub async fn run(service: Arc<Service>, stop: CancellationToken) {
    let mut walk = TreeWalk::default();
    while service.next_round(service.settings.directory_deleting_interval, &stop).await {
        service.metrics.deleting.directories_begin();
        match round(&service, &mut walk, &stop).await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "deleted trees were taken apart"),
            Err(error) => {
                tracing::warn!(%error, "deleted trees stay for the next round");
                walk = TreeWalk::default();
            }
        }
    }
}

async fn round(
    service: &Arc<Service>,
    walk: &mut TreeWalk,
    stop: &CancellationToken,
) -> Result<usize, Stopped> {
    let mut left = service.settings.directory_deleting_limit;
    let (mut moved, mut whole) = (0, DirectoryRound::default());
    while left > 0 && !stop.is_cancelled() {
        let begun = Instant::now();
        let (limit, mut ahead) = (left.min(ROWS_PER_REQUEST_MAX), walk.clone());
        let looked = service.plan(move |ns| ahead.next(ns, limit).map(|plan| (ahead, plan)));
        let (ahead, plan) = looked.await?;
        *walk = ahead;
        let Some(plan) = plan else { break };
        let parts = [
            plan.deleted_path.iter().filter(|path| path.deleted_dir.is_some()).count(),
            plan.deleted_path.iter().map(|path| path.mark_deleted_sub_dirs.len()).sum(),
            plan.deleted_path.iter().map(|path| path.deleted_sub_files.len()).sum(),
        ];
        let rows: usize = parts.iter().sum();
        service
            .must_write(OmRequest {
                cmd_type: Type::PurgeDirectories.into(),
                purge_directories_request: Some(Box::new(plan)),
                ..OmRequest::default()
            })
            .await?;
        let [purged, directories, files] = parts.map(|count| count as u64);
        service.metrics.deleting.directories_gone(DirectoryRound { purged, directories, files });
        whole.purged += purged;
        whole.directories += directories;
        whole.files += files;
        moved += rows;
        left = left.saturating_sub(rows.max(1));
        tokio::time::sleep(begun.elapsed().min(PAUSE_MAX)).await;
    }
    service.metrics.deleting.directories_end(whole);
    Ok(moved)
}
