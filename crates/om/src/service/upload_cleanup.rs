//! Aborts multipart uploads that were begun long ago and never completed
//! (`MultipartUploadCleanupService`).

use std::sync::Arc;

use om_core::deletion;
use om_proto::{OmRequest, Type};
use tokio_util::sync::CancellationToken;

use super::Stopped;
use crate::ids::now_ms;
use crate::server::Service;

/// Works until stopped.
pub async fn run(service: Arc<Service>, stop: CancellationToken) {
    while service.next_round(service.settings.upload_cleanup_interval, &stop).await {
        match round(&service).await {
            Ok(0) => {}
            Ok(uploads) => tracing::info!(uploads, "multipart uploads expired"),
            Err(error) => tracing::warn!(%error, "expired uploads stay for the next round"),
        }
    }
}

async fn round(service: &Arc<Service>) -> Result<usize, Stopped> {
    let settings = &service.settings;
    let age = u64::try_from(settings.upload_expiry.as_millis()).unwrap_or(u64::MAX);
    let (before, limit) = (now_ms().saturating_sub(age), settings.upload_cleanup_parts_limit);
    let plan = service.plan(move |ns| deletion::expired_uploads(ns, before, limit)).await?;
    let Some(plan) = plan else { return Ok(0) };
    let metrics = &service.metrics.uploads;
    metrics.requests.inc();
    metrics.submitted.add(plan.uploads as u64);
    let written = service
        .must_write(OmRequest {
            cmd_type: Type::AbortExpiredMultiPartUploads.into(),
            multipart_uploads_expired_abort_request: Some(Box::new(plan.request)),
            ..OmRequest::default()
        })
        .await;
    match written {
        Ok(()) => {
            metrics.aborted.add(plan.uploads as u64);
            metrics.parts.add(plan.parts as u64);
            Ok(plan.uploads)
        }
        Err(error) => {
            metrics.fails.inc();
            Err(error)
        }
    }
}
