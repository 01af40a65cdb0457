//! Takes deleted trees apart, level by level (`DirectoryDeletingService`).

use std::sync::Arc;

use om_core::{Namespace, deletion};
use om_proto::{OmRequest, Type};
use tokio_util::sync::CancellationToken;

use super::Stopped;
use crate::server::Service;

/// Rows that one entry of the log moves at most, so that writers between are not held up.
const ROWS_PER_REQUEST_MAX: usize = 1_000;

/// Works until stopped.
pub async fn run(service: Arc<Service>, stop: CancellationToken) {
    while service.next_round(service.settings.directory_deleting_interval, &stop).await {
        match round(&service, &stop).await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "deleted trees were taken apart"),
            Err(error) => tracing::warn!(%error, "deleted trees stay for the next round"),
        }
    }
}

async fn round(service: &Service, stop: &CancellationToken) -> Result<usize, Stopped> {
    let mut left = service.settings.directory_deleting_limit;
    let mut moved = 0;
    while left > 0 && !stop.is_cancelled() {
        let plan = {
            let namespace = Namespace::new(&service.cache, &service.settings.rules);
            deletion::next_directories(&namespace, left.min(ROWS_PER_REQUEST_MAX))?
        };
        let Some(plan) = plan else { break };
        let parts = [
            plan.deleted_path.iter().filter(|path| path.deleted_dir.is_some()).count(),
            plan.deleted_path.iter().map(|path| path.mark_deleted_sub_dirs.len()).sum(),
            plan.deleted_path.iter().map(|path| path.deleted_sub_files.len()).sum(),
        ];
        let rows: usize = plan
            .deleted_path
            .iter()
            .map(|path| {
                path.deleted_sub_files.len()
                    + path.mark_deleted_sub_dirs.len()
                    + usize::from(path.deleted_dir.is_some())
            })
            .sum();
        service
            .must_write(OmRequest {
                cmd_type: Type::PurgeDirectories.into(),
                purge_directories_request: Some(Box::new(plan)),
                ..OmRequest::default()
            })
            .await?;
        for (counter, count) in service.metrics.directories.iter().zip(parts) {
            counter.add(count as u64);
        }
        moved += rows;
        left = left.saturating_sub(rows.max(1));
    }
    Ok(moved)
}
