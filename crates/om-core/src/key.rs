//! What is done with the blocks of a key.

use om_proto::{KeyInfo, KeyLocation, KeyLocationList, RepeatedKeyInfo};

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

/// Hands the blocks of a key, which must have its full name, to the key deleting service.
/// `id` is the end of the row's key.
pub fn retire(
    ns: &mut Namespace<'_>,
    bucket: &Bucket,
    full_name: &str,
    id: u64,
    keys: Vec<KeyInfo>,
    at: At,
) {
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
    let row = tables::with_id(&bucket.flat_row(full_name), id);
    let deleted = RepeatedKeyInfo { key_info: keys, bucket_id: Some(bucket.id()) };
    ns.put(&tables::DELETED, row, &deleted);
}
