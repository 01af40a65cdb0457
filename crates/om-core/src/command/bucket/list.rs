//! `ListBuckets`, by name.

use std::ops::ControlFlow;

use om_proto::{ListBucketsRequest, ListBucketsResponse, OmResponse, Status};

use crate::command::Read;
use crate::error::Failure;
use crate::namespace::Namespace;
use crate::tables;

pub(crate) fn read(
    request: &ListBucketsRequest,
    ns: &Namespace<'_>,
    reply: &mut OmResponse,
) -> Result<Read, Failure> {
    let volume = &request.volume_name;
    if !ns.has(&tables::VOLUME, &tables::volume_key(volume))? {
        let message = format!("Volume {volume} not found.");
        return Err(Failure::new(Status::VolumeNotFound, message));
    }
    let max = usize::try_from(request.count.unwrap_or(0)).unwrap_or(0);
    let with_snapshots_only = request.has_snapshot.unwrap_or(false);
    let start = request.start_key.as_deref().unwrap_or("");
    let start_row = tables::bucket_key(volume, start);
    let prefix = tables::bucket_key(volume, request.prefix.as_deref().unwrap_or(""));
    let mut rows = Vec::new();
    if max > 0 {
        let mut broken = None;
        ns.scan_prefix(tables::BUCKET.slot, &prefix, Some(&start_row), &mut |key, value| {
            if !start.is_empty() && key == start_row {
                return ControlFlow::Continue(());
            }
            match tables::BUCKET.decode(key, value.to_vec().into()) {
                Ok(bucket) => rows.push(bucket),
                Err(error) => broken = Some(error),
            }
            if broken.is_some() || (rows.len() >= max && !with_snapshots_only) {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        if let Some(error) = broken {
            return Err(error.into());
        }
    }
    let mut bucket_info = Vec::with_capacity(rows.len());
    for row in rows {
        if with_snapshots_only {
            let below = tables::flat_key(volume, &row.bucket_name, "");
            if !ns.has_prefix(tables::SNAPSHOT_INFO_SLOT, &below)? {
                continue;
            }
        }
        bucket_info.push(row);
    }
    bucket_info.truncate(max);
    reply.list_buckets_response = Some(Box::new(ListBucketsResponse { bucket_info }));
    Ok(Read::Reply)
}
