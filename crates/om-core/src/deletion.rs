//! What the background services ask for next: pure plans over the tables, made on the leader.
//!
//! A deleted folder is one row; its tree is taken apart level by level. Each plan is bounded, and a
//! folder's own row goes only with the last of its children.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use om_proto::{
    BucketLayoutProto, BucketNameInfo, CommitKeyRequest, DeleteOpenKeysRequest,
    ExpiredMultipartUploadInfo, ExpiredMultipartUploadsBucket, KeyArgs, KeyInfo, MultipartKeyInfo,
    MultipartUploadsExpiredAbortRequest, OpenKey, OpenKeyBucket, PurgeDirectoriesRequest,
    PurgePathRequest,
};
use ozone_db::DbError;

use crate::key;
use crate::layout::folder_as_key;
use crate::namespace::Namespace;
use crate::tables::{self, Table};

/// The next step through deleted trees: at most `limit` rows change place. `None` when nothing is
/// deleted.
///
/// # Errors
/// The store failed.
pub fn next_directories(
    ns: &Namespace<'_>,
    limit: usize,
) -> Result<Option<PurgeDirectoriesRequest>, DbError> {
    let mut request = PurgeDirectoriesRequest::default();
    let mut left = limit;
    for (row, folder) in first_rows(ns, &tables::DELETED_DIRECTORY, limit)? {
        let Some((volume_id, bucket_id)) = ids_of(&row) else { continue };
        if left == 0 {
            break;
        }
        let below = tables::path_key(volume_id, bucket_id, folder.object_id.unwrap_or(0), "");
        let full = |name: &str| format!("{}/{name}", folder.key_name);
        let mut path = PurgePathRequest { volume_id, bucket_id, ..PurgePathRequest::default() };
        let mut more = false;
        each(ns, &tables::DIRECTORY, &below, |child| {
            if left == 0 {
                more = true;
                return ControlFlow::Break(());
            }
            left -= 1;
            let name = full(&child.name);
            let names = (folder.volume_name.as_str(), folder.bucket_name.as_str());
            path.mark_deleted_sub_dirs.push(folder_as_key(names, child, &name, ns.rules));
            ControlFlow::Continue(())
        })?;
        each(ns, &tables::FILE, &below, |mut child: KeyInfo| {
            if left == 0 {
                more = true;
                return ControlFlow::Break(());
            }
            left -= 1;
            child.key_name = full(&child.key_name);
            path.deleted_sub_files.push(child);
            ControlFlow::Continue(())
        })?;
        if !more {
            left = left.saturating_sub(1);
            path.deleted_dir = Some(row);
        }
        let known = request.bucket_name_infos.iter().any(|info| info.bucket_id == Some(bucket_id));
        if !known {
            request.bucket_name_infos.push(BucketNameInfo {
                volume_id: Some(volume_id),
                bucket_id: Some(bucket_id),
                volume_name: Some(folder.volume_name.clone()),
                bucket_name: Some(folder.bucket_name.clone()),
            });
        }
        request.deleted_path.push(path);
    }
    Ok((!request.deleted_path.is_empty()).then_some(request))
}

/// Open keys untouched since `before` (ms since 1970), at most `limit` of each kind: one request for
/// flat layouts, one for trees, where there are any.
///
/// # Errors
/// The store failed.
pub fn expired_open_keys(
    ns: &Namespace<'_>,
    before: u64,
    limit: usize,
) -> Result<Vec<DeleteOpenKeysRequest>, DbError> {
    let mut requests = Vec::new();
    for (table, layout) in [
        (&tables::OPEN_KEY, BucketLayoutProto::Legacy),
        (&tables::OPEN_FILE, BucketLayoutProto::FileSystemOptimized),
    ] {
        let mut expired: BTreeMap<(String, String), Vec<OpenKey>> = BTreeMap::new();
        let mut count = 0;
        each_row(ns, table, b"/", |row, key: KeyInfo| {
            // Overwriting keeps the creation time of the old key; opening and every new block set
            // the modification time.
            // What an hsync made visible must be committed, not given up.
            let is_visible = key::hsync_client(&key).is_some();
            let is_old =
                if is_visible { key::is_dead(&key) } else { key.modification_time < before };
            if is_old && !is_upload(&key) {
                count += 1;
                let open = OpenKey { name: row, ..OpenKey::default() };
                expired.entry((key.volume_name, key.bucket_name)).or_default().push(open);
            }
            if count >= limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        if !expired.is_empty() {
            requests.push(DeleteOpenKeysRequest {
                open_keys_per_bucket: expired
                    .into_iter()
                    .map(|((volume_name, bucket_name), keys)| OpenKeyBucket {
                        volume_name,
                        bucket_name,
                        keys,
                    })
                    .collect(),
                bucket_layout: Some(layout.into()),
            });
        }
    }
    Ok(requests)
}

/// Open files that were made visible by an hsync, whose writer has been silent since `before` (ms since
/// 1970): each is committed as far as it is visible. At most `limit`.
///
/// # Errors
/// The store failed.
pub fn abandoned_files(
    ns: &Namespace<'_>,
    before: u64,
    limit: usize,
) -> Result<Vec<CommitKeyRequest>, DbError> {
    let mut abandoned = Vec::new();
    for (open_keys, keys) in
        [(&tables::OPEN_KEY, &tables::KEY), (&tables::OPEN_FILE, &tables::FILE)]
    {
        let mut rows = Vec::new();
        each_row(ns, open_keys, b"/", |row, open: KeyInfo| {
            let recovering = key::metadata(&open, key::mark::LEASE_RECOVERY).is_some();
            if let Some(client) = key::hsync_client(&open)
                && !key::is_dead(&open)
                && !recovering
                && open.modification_time <= before
            {
                rows.push((row, client, open));
            }
            if rows.len() >= limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        for (row, client_id, open) in rows {
            let Some((row, _)) = row.rsplit_once('/') else { continue };
            let Some(visible) = ns.get(keys, row.as_bytes())? else { continue };
            let key_args = KeyArgs {
                volume_name: visible.volume_name,
                bucket_name: visible.bucket_name,
                key_name: open.key_name,
                data_size: Some(visible.data_size),
                r#type: Some(visible.r#type),
                factor: visible.factor,
                ec_replication_config: visible.ec_replication_config,
                modification_time: Some(visible.modification_time),
                key_locations: visible
                    .key_location_list
                    .into_iter()
                    .next_back()
                    .map(|list| list.key_locations)
                    .unwrap_or_default(),
                ..KeyArgs::default()
            };
            abandoned.push(CommitKeyRequest { key_args, client_id, hsync: None, recovery: None });
        }
    }
    Ok(abandoned)
}

/// The open key of a multipart upload, which expires with its upload.
fn is_upload(key: &KeyInfo) -> bool {
    key.key_location_list.last().is_some_and(|list| list.is_multipart_key.unwrap_or(false))
}

/// Multipart uploads begun before `before` (ms since 1970) with about `parts_limit` parts; `None` when
/// there are none.
///
/// # Errors
/// The store failed.
#[expect(deprecated, reason = "the field of the parts is where 2.2.0 keeps them")]
pub fn expired_uploads(
    ns: &Namespace<'_>,
    before: u64,
    parts_limit: usize,
) -> Result<Option<MultipartUploadsExpiredAbortRequest>, DbError> {
    let mut expired: BTreeMap<(String, String), Vec<ExpiredMultipartUploadInfo>> = BTreeMap::new();
    let mut parts = 0;
    each_row(ns, &tables::MULTIPART_INFO, b"/", |row, upload: MultipartKeyInfo| {
        let mut names = row.splitn(4, '/').skip(1);
        if upload.creation_time <= before
            && let (Some(volume), Some(bucket)) = (names.next(), names.next())
        {
            // An upload without parts takes a place, too.
            parts += upload.part_key_info_list.len().max(1);
            let bucket = (volume.to_owned(), bucket.to_owned());
            expired.entry(bucket).or_default().push(ExpiredMultipartUploadInfo { name: row });
        }
        if parts >= parts_limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    let groups = expired.into_iter().map(|((volume_name, bucket_name), multipart_uploads)| {
        ExpiredMultipartUploadsBucket { volume_name, bucket_name, multipart_uploads }
    });
    let expired_multipart_uploads_per_bucket: Vec<_> = groups.collect();
    Ok((!expired_multipart_uploads_per_bucket.is_empty())
        .then_some(MultipartUploadsExpiredAbortRequest { expired_multipart_uploads_per_bucket }))
}

/// Ids of volume and bucket at the front of a row's key.
fn ids_of(row: &str) -> Option<(u64, u64)> {
    let mut parts = row.strip_prefix('/')?.split('/');
    let mut id = || parts.next()?.parse::<i64>().ok().map(i64::cast_unsigned);
    Some((id()?, id()?))
}

fn first_rows(
    ns: &Namespace<'_>,
    table: &Table<KeyInfo>,
    limit: usize,
) -> Result<Vec<(String, KeyInfo)>, DbError> {
    let mut rows = Vec::new();
    each_row(ns, table, b"/", |row, value| {
        rows.push((row, value));
        if rows.len() >= limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(rows)
}

fn each<V: prost::Message + Default>(
    ns: &Namespace<'_>,
    table: &Table<V>,
    prefix: &[u8],
    mut visit: impl FnMut(V) -> ControlFlow<()>,
) -> Result<(), DbError> {
    each_row(ns, table, prefix, |_, value| visit(value))
}

fn each_row<V: prost::Message + Default>(
    ns: &Namespace<'_>,
    table: &Table<V>,
    prefix: &[u8],
    mut visit: impl FnMut(String, V) -> ControlFlow<()>,
) -> Result<(), DbError> {
    let mut broken = None;
    ns.scan_prefix(table.slot, prefix, None, &mut |key, value| match table
        .decode(key, bytes::Bytes::copy_from_slice(value))
    {
        Ok(value) => visit(String::from_utf8_lossy(key).into_owned(), value),
        Err(error) => {
            broken = Some(error);
            ControlFlow::Break(())
        }
    })?;
    broken.map_or(Ok(()), Err)
}
