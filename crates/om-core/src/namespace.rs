//! The state as one transaction sees it: rows of the cache, and the edits made so far.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use om_proto::{BucketInfo, DirectoryInfo, OzoneAclInfo, Status, VolumeInfo};
use ozone_db::{DbError, Range, prefix_end};
use prost::Message;
use rustc_hash::FxHashMap;

use crate::cache::{Change, Resident, TableCache};
use crate::error::Failure;
use crate::layout::{Bucket, Layout};
use crate::rules::Rules;
use crate::tables::{self, Table};

/// Links may lead to links; longer chains count as loops.
const LINK_HOPS_MAX: usize = 64;

/// Edits above which they are found by their keys instead of by going through them: purges and batches
/// have thousands.
const EDITS_SEARCHED_MAX: usize = 32;

/// Where in the log a request stands.
#[derive(Clone, Copy, Debug)]
pub struct At {
    /// Term.
    pub term: u64,
    /// Index.
    pub index: u64,
}

/// Epoch of object ids made under Ratis (`OmUtils.EPOCH_WHEN_RATIS_ENABLED`).
const EPOCH: u64 = 2;

impl At {
    /// Id of the `n`th object that this transaction creates.
    pub fn object_id(self, n: u64) -> u64 {
        (EPOCH << 62) | (self.index << 8) | n
    }
}

/// One transaction's view.
pub struct Namespace<'a> {
    cache: &'a TableCache,
    /// Settings.
    pub rules: &'a Rules,
    edits: Vec<Change>,
    /// Position of the last edit of each row, by table; empty while there are few edits.
    last_edits: Vec<FxHashMap<Bytes, usize>>,
    /// Rows that are read will be read again soon.
    ahead: bool,
}

impl<'a> Namespace<'a> {
    /// A view without edits.
    pub fn new(cache: &'a TableCache, rules: &'a Rules) -> Self {
        Self { cache, rules, edits: Vec::new(), last_edits: Vec::new(), ahead: false }
    }

    /// The view of a leader who reads what apply will read, so that apply need not wait for the disk.
    pub(crate) fn ahead(&self) -> Self {
        Self { ahead: true, ..Self::new(self.cache, self.rules) }
    }

    /// The edits, for [`TableCache::apply`].
    pub fn into_edits(self) -> Vec<Change> {
        self.edits
    }

    /// A row.
    ///
    /// # Errors
    /// The store failed.
    pub fn get<V: Message + Default>(
        &self,
        table: &Table<V>,
        key: &[u8],
    ) -> Result<Option<V>, DbError> {
        match self.get_bytes(table.slot, key)? {
            Some(value) => table.decode(key, value).map(Some),
            None => Ok(None),
        }
    }

    /// A row's bytes.
    ///
    /// # Errors
    /// The store failed.
    pub fn get_bytes(&self, slot: usize, key: &[u8]) -> Result<Option<Bytes>, DbError> {
        match self.edit_of(slot, key) {
            Some(edit) => Ok(edit.value.clone()),
            None if self.ahead => self.cache.get_ahead(slot, key),
            None => self.cache.get(slot, key),
        }
    }

    /// The last edit of a row.
    fn edit_of(&self, slot: usize, key: &[u8]) -> Option<&Change> {
        match self.last_edits.get(slot) {
            Some(last) => last.get(key).map(|position| &self.edits[*position]),
            None => self.edits.iter().rev().find(|edit| edit.slot == slot && edit.key == key),
        }
    }

    fn edit(&mut self, change: Change) {
        self.edits.push(change);
        let position = self.edits.len() - 1;
        let unknown = if !self.last_edits.is_empty() {
            position
        } else if self.edits.len() > EDITS_SEARCHED_MAX {
            self.last_edits.resize_with(tables::ALL.len(), FxHashMap::default);
            0
        } else {
            return;
        };
        for (position, edit) in self.edits.iter().enumerate().skip(unknown) {
            self.last_edits[edit.slot].insert(edit.key.clone(), position);
        }
    }

    /// Whether a row is there.
    ///
    /// # Errors
    /// The store failed.
    pub fn has<V>(&self, table: &Table<V>, key: &[u8]) -> Result<bool, DbError> {
        self.get_bytes(table.slot, key).map(|row| row.is_some())
    }

    /// Inserts or replaces a row.
    pub fn put<V: Message + Default>(
        &mut self,
        table: &Table<V>,
        key: impl Into<Bytes>,
        value: &V,
    ) {
        let value = Some(Bytes::from(value.encode_to_vec()));
        self.edit(Change::new(table.slot, key, value));
    }

    /// Inserts a row whose key was never used before. If it is removed before it is flushed, the
    /// store never gets to see it.
    pub fn put_new<V: Message + Default>(
        &mut self,
        table: &Table<V>,
        key: impl Into<Bytes>,
        value: &V,
    ) {
        let value = Some(Bytes::from(value.encode_to_vec()));
        self.edit(Change { is_new: true, ..Change::new(table.slot, key, value) });
    }

    /// Removes a row.
    pub fn remove<V>(&mut self, table: &Table<V>, key: impl Into<Bytes>) {
        self.edit(Change::new(table.slot, key, None));
    }

    /// Inserts, replaces or (`None`) removes a row that is no message.
    pub fn put_bytes(&mut self, slot: usize, key: &'static [u8], value: Option<Bytes>) {
        self.edit(Change::new(slot, key, value));
    }

    /// Shows rows whose keys begin with `prefix`, in order, from `start` on (inclusive; the prefix
    /// itself when shorter). Edits of this transaction are not seen.
    ///
    /// # Errors
    /// The store failed.
    pub fn scan_prefix(
        &self,
        slot: usize,
        prefix: &[u8],
        start: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), DbError> {
        let from = start.filter(|start| *start > prefix).unwrap_or(prefix);
        let end = prefix_end(prefix);
        let mut range = Range::from(from);
        if let Some(end) = &end {
            range.to = std::ops::Bound::Excluded(end);
        }
        self.cache.scan(slot, range, visit)
    }

    /// Whether any row's key begins with `prefix`.
    ///
    /// # Errors
    /// The store failed.
    pub fn has_prefix(&self, slot: usize, prefix: &[u8]) -> Result<bool, DbError> {
        if self.cache.vacancies.take(slot, prefix) {
            return Ok(false);
        }
        let mut found = false;
        self.scan_prefix(slot, prefix, None, &mut |_, _| {
            found = true;
            ControlFlow::Break(())
        })?;
        Ok(found)
    }

    /// Looks whether any row's key begins with `prefix`, so that apply need not go over what was removed
    /// there if it asks the same.
    ///
    /// # Errors
    /// The store failed.
    pub fn foresee_prefix(&self, slot: usize, prefix: &[u8]) -> Result<(), DbError> {
        let vacancies = &self.cache.vacancies;
        let look = vacancies.begin(slot, prefix);
        let found = self.has_prefix(slot, prefix);
        vacancies.end(&look, matches!(found, Ok(false)));
        found.map(drop)
    }

    /// The ACLs of the longest prefix of `row` that has some; `row` is `/<volume>/<bucket>/<key>`.
    ///
    /// # Errors
    /// The store failed.
    pub fn prefix_acls(&self, row: &[u8]) -> Result<Option<Vec<OzoneAclInfo>>, DbError> {
        if !self.cache.has_prefixes() {
            return Ok(None);
        }
        let mut end = row.len();
        while let Some(slash) = row[..end].iter().rposition(|byte| *byte == b'/') {
            if let Some(prefix) = self.get(&tables::PREFIX, &row[..=slash])? {
                return Ok(Some(prefix.acls));
            }
            end = slash;
        }
        Ok(None)
    }

    /// About how many rows a table holds.
    ///
    /// # Errors
    /// The store failed.
    pub fn estimated_rows<V>(&self, table: &Table<V>) -> Result<u64, DbError> {
        self.cache.store().estimated_rows(table.def.name)
    }

    /// A volume.
    ///
    /// # Errors
    /// VOLUME_NOT_FOUND.
    pub fn volume(&self, volume: &str) -> Result<Arc<VolumeInfo>, Failure> {
        let key = tables::volume_key(volume);
        self.resident(&tables::VOLUME, &self.cache.volumes, &key)?.ok_or_else(|| {
            Failure::new(Status::VolumeNotFound, format!("Volume {volume} is not found"))
        })
    }

    /// A bucket's row, whether link or not.
    ///
    /// # Errors
    /// VOLUME_NOT_FOUND or BUCKET_NOT_FOUND, in the words of prepare and of reads.
    pub fn bucket_row(&self, volume: &str, bucket: &str) -> Result<Arc<BucketInfo>, Failure> {
        if let Some(info) = self.resident_bucket(volume, bucket)? {
            return Ok(info);
        }
        if self.has(&tables::VOLUME, &tables::volume_key(volume))? {
            let message = format!("Bucket not found: {volume}/{bucket}");
            return Err(Failure::new(Status::BucketNotFound, message));
        }
        Err(Failure::new(Status::VolumeNotFound, format!("Volume not found: {volume}")))
    }

    /// The bucket behind a name, links followed: for prepare and reads.
    ///
    /// # Errors
    /// VOLUME_NOT_FOUND, BUCKET_NOT_FOUND, DETECTED_LOOP_IN_BUCKET_LINKS.
    pub fn resolve(&self, volume: &str, bucket: &str) -> Result<Bucket, Failure> {
        let mut info = self.bucket_row(volume, bucket)?;
        let mut visited = vec![(volume.to_owned(), bucket.to_owned())];
        while let (Some(volume), Some(bucket)) = (&info.source_volume, &info.source_bucket) {
            let next = (volume.clone(), bucket.clone());
            if visited.contains(&next) || visited.len() > LINK_HOPS_MAX {
                return Err(Failure::new(
                    Status::DetectedLoopInBucketLinks,
                    "Detected loop in bucket links",
                ));
            }
            info = self.bucket_row(&next.0, &next.1)?;
            visited.push(next);
        }
        self.with_ids(info)
    }

    /// The bucket of a request whose links prepare has followed: for apply.
    ///
    /// # Errors
    /// VOLUME_NOT_FOUND, BUCKET_NOT_FOUND, in the words of apply.
    pub fn bucket(&self, volume: &str, bucket: &str) -> Result<Bucket, Failure> {
        match self.resident_bucket(volume, bucket)? {
            Some(info) => self.with_ids(info),
            None if self.has(&tables::VOLUME, &tables::volume_key(volume))? => {
                Err(Failure::new(Status::BucketNotFound, "Bucket not found"))
            }
            None => Err(Failure::new(Status::VolumeNotFound, "Volume not found")),
        }
    }

    fn resident_bucket(
        &self,
        volume: &str,
        bucket: &str,
    ) -> Result<Option<Arc<BucketInfo>>, DbError> {
        let key = tables::bucket_key(volume, bucket);
        self.resident(&tables::BUCKET, &self.cache.buckets, &key)
    }

    /// A row that is kept decoded.
    fn resident<V: Message + Default>(
        &self,
        table: &Table<V>,
        rows: &Resident<V>,
        key: &[u8],
    ) -> Result<Option<Arc<V>>, DbError> {
        if self.edit_of(table.slot, key).is_some() {
            return Ok(self.get(table, key)?.map(Arc::new));
        }
        if let Some(row) = rows.get(key) {
            return Ok(Some(row));
        }
        let version = rows.version();
        let row = self.get(table, key)?.map(Arc::new);
        if let Some(row) = &row {
            rows.keep(version, key, row.clone());
        }
        Ok(row)
    }

    /// A folder of a tree.
    ///
    /// # Errors
    /// The store failed.
    pub(crate) fn directory(&self, key: &[u8]) -> Result<Option<Arc<DirectoryInfo>>, DbError> {
        self.resident(&tables::DIRECTORY, &self.cache.directories, key)
    }

    /// Object id of a volume.
    fn volume_id(&self, volume: &str) -> Result<u64, Failure> {
        self.volume(volume)?.object_id.ok_or_else(|| {
            Failure::new(Status::VolumeNotFound, format!("Volume {volume} is not found"))
        })
    }

    fn with_ids(&self, info: Arc<BucketInfo>) -> Result<Bucket, Failure> {
        let layout = Layout::of(&info, self.rules);
        // Only paths by id need the volume's id: the others spare themselves the row.
        let volume_id = match layout {
            Layout::FileSystem => self.volume_id(&info.volume_name)?,
            Layout::ObjectStore | Layout::Legacy { .. } => 0,
        };
        Ok(Bucket { layout, volume_id, info })
    }

    /// Writes a bucket's row back.
    pub fn put_bucket(&mut self, info: &BucketInfo) {
        let key = tables::bucket_key(&info.volume_name, &info.bucket_name);
        self.put(&tables::BUCKET, key, info);
    }

    /// As [`Self::put_bucket`], for what changes buckets often: the next request need not decode it.
    pub fn keep_bucket(&mut self, info: &Arc<BucketInfo>) {
        let key = tables::bucket_key(&info.volume_name, &info.bucket_name);
        let value = Some(Bytes::from(info.encode_to_vec()));
        let decoded = Some(info.clone());
        self.edit(Change { decoded, ..Change::new(tables::BUCKET.slot, key, value) });
    }

    /// Writes a volume's row back.
    pub fn put_volume(&mut self, info: &VolumeInfo) {
        self.put(&tables::VOLUME, tables::volume_key(&info.volume), info);
    }
}

#[cfg(test)]
mod tests {
    use ozone_db::MemoryStore;

    use super::*;

    #[test]
    fn a_transaction_sees_its_last_edit_of_a_row_however_many_there_are() {
        let cache = TableCache::new(Arc::new(MemoryStore::default()));
        let rules = Rules::default();
        let mut ns = Namespace::new(&cache, &rules);
        let row = |n: usize| tables::volume_key(&n.to_string());
        let volume = |volume: &str| VolumeInfo { volume: volume.into(), ..VolumeInfo::default() };
        for n in 0..3 * EDITS_SEARCHED_MAX {
            ns.put(&tables::VOLUME, row(n), &volume("first"));
            // Another table's row of this key is another row.
            ns.remove(&tables::BUCKET, row(n));
            assert_eq!(ns.get(&tables::VOLUME, &row(n)).unwrap().unwrap().volume, "first");
            ns.put(&tables::VOLUME, row(n / 2), &volume("again"));
            assert_eq!(ns.get(&tables::VOLUME, &row(n / 2)).unwrap().unwrap().volume, "again");
            ns.remove(&tables::VOLUME, row(n / 3));
            assert_eq!(ns.get(&tables::VOLUME, &row(n / 3)).unwrap(), None);
            assert_eq!(ns.get(&tables::BUCKET, &row(n)).unwrap(), None);
        }
        let last = 3 * EDITS_SEARCHED_MAX - 1;
        assert_eq!(ns.get(&tables::VOLUME, &row(last)).unwrap().unwrap().volume, "first");
    }
}
