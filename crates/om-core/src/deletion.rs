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

/// Where in the tables the work on deleted trees stands.
///
/// Removed rows leave marks in the database until it is compacted, over which every scan from the begin
/// of a big folder would go again. So the next step begins where the last one ended, and looks from the
/// begin once more before it takes a folder for empty.
#[derive(Clone, Default, Debug)]
pub struct TreeWalk {
    /// Up to here, rows of [`tables::DELETED_DIRECTORY`] were taken; their key, or empty.
    after_folder: String,
    /// The folder under way: its row, or empty.
    folder: String,
    /// Up to here its folders were taken, and its files; their keys, or empty.
    after: [Vec<u8>; 2],
}

impl TreeWalk {
    /// The next step: at most `limit` rows change place. `None` when nothing is deleted. The step must
    /// have been applied before the next one is asked for; when it was not, a new walk is needed.
    ///
    /// # Errors
    /// The store failed.
    pub fn next(
        &mut self,
        ns: &Namespace<'_>,
        limit: usize,
    ) -> Result<Option<PurgeDirectoriesRequest>, DbError> {
        let mut request = PurgeDirectoriesRequest::default();
        let (mut left, mut finished, mut may_begin_anew) = (limit, true, true);
        while left > 0 && finished {
            let Some((row, folder)) = self.next_folder(ns)? else {
                // Folders that came meanwhile may lie before those that were taken.
                may_begin_anew &= !self.after_folder.is_empty() && request.deleted_path.is_empty();
                if !may_begin_anew {
                    break;
                }
                may_begin_anew = false;
                self.after_folder.clear();
                continue;
            };
            let Some((volume_id, bucket_id)) = ids_of(&row) else {
                self.after_folder = row;
                continue;
            };
            let mut path = PurgePathRequest { volume_id, bucket_id, ..PurgePathRequest::default() };
            finished = self.take_children(ns, &folder, &mut path, &mut left)?;
            if finished {
                left = left.saturating_sub(1);
                self.folder.clear();
                self.after = Default::default();
                self.after_folder.clone_from(&row);
                path.deleted_dir = Some(row);
            } else {
                self.folder = row;
            }
            let known =
                request.bucket_name_infos.iter().any(|info| info.bucket_id == Some(bucket_id));
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

    /// The folder under way, else the first one behind those that were taken.
    fn next_folder(&mut self, ns: &Namespace<'_>) -> Result<Option<(String, KeyInfo)>, DbError> {
        if !self.folder.is_empty() {
            if let Some(folder) = ns.get(&tables::DELETED_DIRECTORY, self.folder.as_bytes())? {
                return Ok(Some((self.folder.clone(), folder)));
            }
            self.folder.clear();
            self.after = Default::default();
        }
        let mut found = None;
        let after = self.after_folder.as_bytes();
        each_row(ns, &tables::DELETED_DIRECTORY, b"/", after, |row, folder| {
            found = Some((row, folder));
            ControlFlow::Break(())
        })?;
        Ok(found)
    }

    /// Takes up to `left` rows below a folder; true when none remains.
    fn take_children(
        &mut self,
        ns: &Namespace<'_>,
        folder: &KeyInfo,
        path: &mut PurgePathRequest,
        left: &mut usize,
    ) -> Result<bool, DbError> {
        let (volume, bucket) = (path.volume_id, path.bucket_id);
        let below = tables::path_key(volume, bucket, folder.object_id.unwrap_or(0), "");
        let full = |name: &str| format!("{}/{name}", folder.key_name);
        let names = (folder.volume_name.as_str(), folder.bucket_name.as_str());
        loop {
            let from_the_begin = self.after.iter().all(Vec::is_empty);
            let taken = path.mark_deleted_sub_dirs.len() + path.deleted_sub_files.len();
            let mut more = false;
            let [after_folder, after_file] = &mut self.after;
            take(ns, &tables::DIRECTORY, &below, after_folder, left, &mut more, |child| {
                let name = full(&child.name);
                path.mark_deleted_sub_dirs.push(folder_as_key(names, child, &name, ns.rules));
            })?;
            take(ns, &tables::FILE, &below, after_file, left, &mut more, |mut child: KeyInfo| {
                child.key_name = full(&child.key_name);
                path.deleted_sub_files.push(child);
            })?;
            if more {
                return Ok(false);
            }
            let now = path.mark_deleted_sub_dirs.len() + path.deleted_sub_files.len();
            if from_the_begin {
                return Ok(true);
            }
            if now > taken {
                // What was taken just now is still there for whoever begins anew.
                return Ok(false);
            }
            self.after = Default::default();
        }
    }
}

/// Takes rows behind `after` while there is room; sets `more` where there is none for a row.
fn take<V: prost::Message + Default>(
    ns: &Namespace<'_>,
    table: &Table<V>,
    below: &[u8],
    after: &mut Vec<u8>,
    left: &mut usize,
    more: &mut bool,
    mut took: impl FnMut(V),
) -> Result<(), DbError> {
    let mut last = None;
    each_row(ns, table, below, after, |row, child| {
        if *left == 0 {
            *more = true;
            return ControlFlow::Break(());
        }
        *left -= 1;
        took(child);
        last = Some(row);
        ControlFlow::Continue(())
    })?;
    if let Some(row) = last {
        *after = row.into_bytes();
    }
    Ok(())
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
        each_row(ns, table, b"/", b"", |row, key: KeyInfo| {
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
        each_row(ns, open_keys, b"/", b"", |row, open: KeyInfo| {
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

/// Multipart uploads that expired: the request that ends them, and how much that is.
pub struct ExpiredUploads {
    /// To be written.
    pub request: MultipartUploadsExpiredAbortRequest,
    /// Uploads in it.
    pub uploads: usize,
    /// Their parts.
    pub parts: usize,
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
) -> Result<Option<ExpiredUploads>, DbError> {
    let mut expired: BTreeMap<(String, String), Vec<ExpiredMultipartUploadInfo>> = BTreeMap::new();
    let (mut uploads, mut parts, mut places) = (0, 0, 0);
    each_row(ns, &tables::MULTIPART_INFO, b"/", b"", |row, upload: MultipartKeyInfo| {
        let mut names = row.splitn(4, '/').skip(1);
        if upload.creation_time <= before
            && let (Some(volume), Some(bucket)) = (names.next(), names.next())
        {
            let count = upload.part_key_info_list.len();
            uploads += 1;
            parts += count;
            // An upload without parts takes a place, too.
            places += count.max(1);
            let bucket = (volume.to_owned(), bucket.to_owned());
            expired.entry(bucket).or_default().push(ExpiredMultipartUploadInfo { name: row });
        }
        if places >= parts_limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    let groups = expired.into_iter().map(|((volume_name, bucket_name), multipart_uploads)| {
        ExpiredMultipartUploadsBucket { volume_name, bucket_name, multipart_uploads }
    });
    let expired_multipart_uploads_per_bucket = groups.collect();
    let request = MultipartUploadsExpiredAbortRequest { expired_multipart_uploads_per_bucket };
    Ok((uploads > 0).then_some(ExpiredUploads { request, uploads, parts }))
}

/// Ids of volume and bucket at the front of a row's key.
fn ids_of(row: &str) -> Option<(u64, u64)> {
    let mut parts = row.strip_prefix('/')?.split('/');
    let mut id = || parts.next()?.parse::<i64>().ok().map(i64::cast_unsigned);
    Some((id()?, id()?))
}

/// Shows the rows that begin with `prefix`, behind `after` unless that is empty.
fn each_row<V: prost::Message + Default>(
    ns: &Namespace<'_>,
    table: &Table<V>,
    prefix: &[u8],
    after: &[u8],
    mut visit: impl FnMut(String, V) -> ControlFlow<()>,
) -> Result<(), DbError> {
    let mut broken = None;
    let from = [after, &[0]].concat();
    let from = (!after.is_empty()).then_some(from.as_slice());
    ns.scan_prefix(table.slot, prefix, from, &mut |key, value| match table
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
