//! Hands the blocks of deleted keys to SCM and forgets the keys (`KeyDeletingService`).

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hdds_proto::block::KeyBlocks;
use om_core::{Namespace, key, replication, tables};
use om_proto::{
    BucketNameInfo, BucketPurgeKeysSize, DeletedKeys, KeyInfo, OmRequest, PurgeKeysRequest,
    RepeatedKeyInfo, Type,
};
use ozone_db::DbError;
use tokio_util::sync::CancellationToken;

use super::Stopped;
use super::deleting_metrics::KeyRound;
use crate::server::Service;

/// Blocks handed to SCM in one request at most.
const BLOCKS_PER_REQUEST_MAX: usize = 20_000;
/// Keys of one request, to SCM and in one entry of the log, at most: whoever writes meanwhile waits for
/// it to be applied.
const KEYS_PER_REQUEST_MAX: usize = 1_000;
/// Longest pause after a request; it lasts as long as the request took, so that writers get their share.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// A row of the deleted table.
struct Deleted {
    row: String,
    info: RepeatedKeyInfo,
}

/// Works until stopped.
pub async fn run(service: Arc<Service>, stop: CancellationToken) {
    while service.next_round(service.settings.key_deleting_interval, &stop).await {
        service.metrics.deleting.keys_begin();
        match round(&service, &stop).await {
            Ok(0) => {}
            Ok(keys) => tracing::info!(keys, "blocks of deleted keys were handed to SCM"),
            Err(error) if matches!(&error, Stopped::Scm(scm) if scm.is_safe_mode()) => {}
            Err(error) => tracing::warn!(%error, "deleted keys stay for the next round"),
        }
    }
}

async fn round(service: &Arc<Service>, stop: &CancellationToken) -> Result<u64, Stopped> {
    let mut left = service.settings.key_deleting_limit;
    let mut start = Vec::new();
    let mut whole = KeyRound::default();
    while left > 0 && !stop.is_cancelled() {
        let begun = Instant::now();
        let (from, limit) = (start, left.min(KEYS_PER_REQUEST_MAX));
        let rows = service.plan(move |ns| next_rows(ns, &from, limit)).await?;
        let Some(last) = rows.last() else { break };
        start = last.row.clone().into_bytes();
        start.push(0);
        left = left.saturating_sub(rows.len());
        whole.iterated += rows.len() as u64;
        let bytes = reclaim(service, rows).await?;
        whole.reclaimed = whole.iterated;
        whole.reclaimed_bytes += bytes;
        tokio::time::sleep(begun.elapsed().min(PAUSE_MAX)).await;
    }
    service.metrics.deleting.keys_end(whole);
    Ok(whole.reclaimed)
}

/// The next rows, up to the limit of one request.
fn next_rows(ns: &Namespace<'_>, start: &[u8], limit: usize) -> Result<Vec<Deleted>, DbError> {
    let mut rows = Vec::new();
    let mut blocks = 0;
    let mut broken = None;
    ns.scan_prefix(tables::DELETED.slot, b"", Some(start), &mut |row, value| {
        let decoded = tables::DELETED.decode(row, value.to_vec().into());
        match (decoded, String::from_utf8(row.to_vec())) {
            (Ok(info), Ok(row)) => {
                blocks += info.key_info.iter().map(|key| blocks_of(key).count()).sum::<usize>();
                rows.push(Deleted { row, info });
            }
            (Err(error), _) => broken = Some(error),
            (_, Err(_)) => {}
        }
        let full = rows.len() >= limit || blocks >= BLOCKS_PER_REQUEST_MAX;
        if full || broken.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    broken.map_or(Ok(rows), Err)
}

/// What the rows occupied on all disks, in bytes.
async fn reclaim(service: &Service, rows: Vec<Deleted>) -> Result<u64, Stopped> {
    let keys: Vec<KeyBlocks> = rows.iter().map(key_blocks).collect();
    let with_blocks: Vec<KeyBlocks> =
        keys.into_iter().filter(|key| !key.blocks.is_empty()).collect();
    if !with_blocks.is_empty() {
        // SCM takes all or none.
        service.scm_blocks.delete_key_blocks(with_blocks).await?;
    }
    let count = rows.len() as u64;
    service.metrics.deleting.keys_taken(count);
    let purge = purge(rows);
    let bytes = purge.bucket_purge_keys_size.iter().filter_map(|size| size.purged_bytes).sum();
    let request = OmRequest {
        cmd_type: Type::PurgeKeys.into(),
        purge_keys_request: Some(Box::new(purge)),
        ..OmRequest::default()
    };
    service.must_write(request).await?;
    service.metrics.deleting.keys_gone(count);
    Ok(bytes)
}

fn blocks_of(key: &KeyInfo) -> impl Iterator<Item = &om_proto::KeyLocation> {
    key.key_location_list.iter().flat_map(|list| &list.key_locations)
}

fn key_blocks(deleted: &Deleted) -> KeyBlocks {
    let mut request = KeyBlocks { key: deleted.row.clone(), ..KeyBlocks::default() };
    for key in &deleted.info.key_info {
        let config = replication::of_stored(key);
        for block in blocks_of(key) {
            let replicated = config.replicated_size(block.length);
            request.blocks.push(block.block_id);
            request.size.push(block.length);
            request.replicated_size.push(replicated);
            request.size_per_replica.push(per_replica(config, block.length));
        }
    }
    request
}

/// What one node keeps of a block (`QuotaUtil.getSizePerReplica`).
fn per_replica(config: hdds_types::ReplicationConfig, length: u64) -> u64 {
    match config {
        hdds_types::ReplicationConfig::Ec(ec) => length.div_ceil(u64::from(ec.data)),
        _ => length,
    }
}

fn purge(rows: Vec<Deleted>) -> PurgeKeysRequest {
    let mut sizes: BTreeMap<(String, String, Option<u64>), BucketPurgeKeysSize> = BTreeMap::new();
    let mut keys = Vec::with_capacity(rows.len());
    for deleted in rows {
        keys.push(deleted.row);
        for key in &deleted.info.key_info {
            if key.object_id == Some(key::RECLAIM_BLOCKS) {
                continue;
            }
            let bucket_id = deleted.info.bucket_id;
            let name = (key.volume_name.clone(), key.bucket_name.clone(), bucket_id);
            let size = sizes.entry(name).or_insert_with(|| BucketPurgeKeysSize {
                bucket_name_info: Some(BucketNameInfo {
                    bucket_id,
                    volume_name: Some(key.volume_name.clone()),
                    bucket_name: Some(key.bucket_name.clone()),
                    volume_id: None,
                }),
                ..BucketPurgeKeysSize::default()
            });
            *size.purged_bytes.get_or_insert(0) += key::replicated_blocks(key);
            *size.purged_namespace.get_or_insert(0) += 1;
        }
    }
    PurgeKeysRequest {
        deleted_keys: vec![DeletedKeys { keys, ..DeletedKeys::default() }],
        bucket_purge_keys_size: sizes.into_values().collect(),
        ..PurgeKeysRequest::default()
    }
}
