//! What is done with the blocks of a key.

use hdds_proto::hdds::KeyValue;
use om_proto::{KeyInfo, KeyLocation, KeyLocationList, RepeatedKeyInfo};
use ozone_db::DbError;

use crate::layout::Bucket;
use crate::namespace::{At, Namespace};
use crate::replication;
use crate::tables;

/// Metadata of buckets under GDPR; dropped with the key so that its data can no longer be read.
const GDPR_METADATA: [&str; 3] = ["gdprEnabled", "algorithm", "secret"];

/// Object id of pseudo keys that only carry blocks to reclaim (`OBJECT_ID_RECLAIM_BLOCKS`); they
/// count in no bucket.
pub const RECLAIM_BLOCKS: u64 = 0;

/// A version of a key's blocks.
pub fn location_list(version: u64, key_locations: Vec<KeyLocation>) -> KeyLocationList {
    KeyLocationList {
        version: Some(version),
        key_locations,
        file_encryption_info: None,
        is_multipart_key: Some(false),
    }
}

/// A block's place as rows hold it: no pipeline, no token, every field explicit.
pub fn compact(location: &mut KeyLocation) {
    location.pipeline = None;
    location.token = None;
    complete(location);
}

/// Makes every field of a block's place explicit.
pub fn complete(location: &mut KeyLocation) {
    location.create_version.get_or_insert(0);
    location.part_number.get_or_insert(0);
    location.block_id.block_commit_sequence_id.get_or_insert(0);
}

/// Container and local id.
pub fn block_of(location: &KeyLocation) -> (i64, i64) {
    let block = &location.block_id.container_block_id;
    (block.container_id, block.local_id)
}

/// All blocks of all versions.
pub fn blocks(key: &KeyInfo) -> impl Iterator<Item = &KeyLocation> {
    key.key_location_list.iter().flat_map(|list| &list.key_locations)
}

/// Whether there is nothing to reclaim.
pub fn is_empty(key: &KeyInfo) -> bool {
    blocks(key).next().is_none()
}

/// Bytes on all disks for the key's size.
pub fn replicated_size(key: &KeyInfo) -> u64 {
    replication::of_stored(key).replicated_size(key.data_size)
}

/// Bytes on all disks for the key's blocks (`OMKeyRequest.sumBlockLengths`).
pub fn replicated_blocks(key: &KeyInfo) -> u64 {
    let replication = replication::of_stored(key);
    blocks(key).map(|block| replication.replicated_size(block.length)).sum()
}

/// A value of the key's metadata.
pub fn metadata<'a>(key: &'a KeyInfo, name: &str) -> Option<&'a str> {
    key.metadata.iter().find(|pair| pair.key == name).and_then(|pair| pair.value.as_deref())
}

/// Marks in the metadata of open and finished keys, by which leases work (`OzoneConsts`).
pub mod mark {
    /// On both: the client id (signed) of the writer that made the data of an open key visible.
    pub const HSYNC_CLIENT: &str = "hsyncClientId";
    /// On an open key: somebody else is about to close it.
    pub const LEASE_RECOVERY: &str = "leaseRecovery";
    /// On an open key: its visible half was deleted.
    pub const DELETED: &str = "deletedHsyncKey";
    /// On an open key: another writer replaced its visible half.
    pub const OVERWRITTEN: &str = "overwrittenHsyncKey";
}

/// Sets a value of the key's metadata.
pub fn set_metadata(key: &mut KeyInfo, name: &str, value: &str) {
    key.metadata.retain(|pair| pair.key != name);
    key.metadata.push(KeyValue { key: name.to_owned(), value: Some(value.to_owned()) });
}

/// The writer that still has the key open after an hsync.
pub fn hsync_client(key: &KeyInfo) -> Option<u64> {
    metadata(key, mark::HSYNC_CLIENT)?.parse().ok().map(i64::cast_unsigned)
}

/// Whether an open key takes nothing any more, because its visible half is gone.
pub fn is_dead(open: &KeyInfo) -> bool {
    [mark::DELETED, mark::OVERWRITTEN].iter().any(|mark| metadata(open, mark).is_some())
}

/// Marks the open key of a writer whose visible half goes away.
///
/// # Errors
/// The store failed.
pub fn mark_writer(
    ns: &mut Namespace<'_>,
    bucket: &Bucket,
    row: &[u8],
    visible: &KeyInfo,
    mark: &str,
    at: At,
) -> Result<(), DbError> {
    let Some(client) = hsync_client(visible) else { return Ok(()) };
    let row = tables::with_id(row, client);
    if let Some(mut open) = ns.get(bucket.layout.open_keys(), &row)? {
        set_metadata(&mut open, mark, "true");
        open.update_id = Some(at.index);
        ns.put(bucket.layout.open_keys(), row, &open);
    }
    Ok(())
}

/// Hands the blocks of a key, which must have its full name, to the key deleting service.
/// `id` is the end of the row's key: the object id, or one of this transaction.
///
/// # Errors
/// The store failed.
pub fn retire(
    ns: &mut Namespace<'_>,
    bucket: &Bucket,
    full_name: &str,
    id: u64,
    keys: Vec<KeyInfo>,
    at: At,
) -> Result<(), DbError> {
    let keys: Vec<KeyInfo> = keys
        .into_iter()
        .map(|mut key| {
            if metadata(&key, GDPR_METADATA[0]) == Some("true") {
                key.metadata.retain(|pair| !GDPR_METADATA.contains(&pair.key.as_str()));
                key.file_encryption_info = None;
            }
            key.update_id = Some(at.index);
            key
        })
        .collect();
    let row = free_row(ns, &bucket.flat_row(full_name), id, at)?;
    let deleted = RepeatedKeyInfo { key_info: keys, bucket_id: Some(bucket.id()) };
    ns.put(&tables::DELETED, row, &deleted);
    Ok(())
}

/// A row of the deleted table that nobody uses: `<name>/<id>`, as a rule. A writer that opened a key
/// over another has its object id; if that is deleted, and again what the writer commits, the row of
/// the first is still there, and replacing it would leave its blocks on the datanodes for ever.
///
/// # Errors
/// The store failed.
pub fn free_row(ns: &Namespace<'_>, name: &[u8], id: u64, at: At) -> Result<Vec<u8>, DbError> {
    let row = tables::with_id(name, id);
    if id == at.object_id(0) || !ns.has(&tables::DELETED, &row)? {
        return Ok(row);
    }
    let mut n = 0;
    loop {
        let row = tables::with_id(name, at.object_id(n));
        if !ns.has(&tables::DELETED, &row)? {
            return Ok(row);
        }
        n += 1;
    }
}
