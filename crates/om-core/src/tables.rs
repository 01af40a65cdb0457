//! The schema of `om.db`: every table, its value, and how keys are spelled (`OMDBDefinition`).
//!
//! Keys are text; ids inside keys are **signed** decimals although messages carry them unsigned.

use bytes::Bytes;
use om_proto::storage::PersistedUserVolumeInfo;
use om_proto::{
    BucketInfo, DirectoryInfo, KeyInfo, MultipartKeyInfo, PrefixInfo, RepeatedKeyInfo, S3Secret,
    VolumeInfo,
};
use ozone_db::{DbError, TableDef, codec};
use prost::Message;

/// A table with its place in the cache.
pub struct Table<V> {
    /// Name, key and value.
    pub def: TableDef<Vec<u8>, V>,
    /// Position in [`ALL`].
    pub slot: usize,
}

impl<V: Message + Default> Table<V> {
    const fn new(slot: usize) -> Self {
        Self { def: TableDef::new(ALL[slot], codec::BYTES, codec::proto()), slot }
    }

    /// A value from its bytes; `key` is for the error.
    ///
    /// # Errors
    /// The bytes are no such value.
    pub fn decode(&self, key: &[u8], value: Bytes) -> Result<V, DbError> {
        V::decode(value).map_err(|error| DbError::Codec {
            table: self.def.name,
            key: key.escape_ascii().to_string(),
            source: codec::CodecError(error.to_string()),
        })
    }
}

/// Every column family, as a Java OM creates them.
pub const ALL: [&str; 23] = [
    "userTable",
    "volumeTable",
    "bucketTable",
    "keyTable",
    "openKeyTable",
    "fileTable",
    "directoryTable",
    "openFileTable",
    "deletedTable",
    "deletedDirectoryTable",
    "transactionInfoTable",
    "multipartInfoTable",
    "multipartPartsTable",
    "prefixTable",
    "s3SecretTable",
    "dTokenTable",
    "metaTable",
    "tenantStateTable",
    "tenantAccessIdTable",
    "principalToAccessIdsTable",
    "snapshotInfoTable",
    "snapshotRenamedTable",
    "compactionLogTable",
];

/// `<user>`: the volumes of an owner.
pub static USER: Table<PersistedUserVolumeInfo> = Table::new(0);
/// `/<volume>`.
pub static VOLUME: Table<VolumeInfo> = Table::new(1);
/// `/<volume>/<bucket>`.
pub static BUCKET: Table<BucketInfo> = Table::new(2);
/// `/<volume>/<bucket>/<key>`: keys of OBJECT_STORE and LEGACY buckets.
pub static KEY: Table<KeyInfo> = Table::new(3);
/// `/<volume>/<bucket>/<key>/<client id>`.
pub static OPEN_KEY: Table<KeyInfo> = Table::new(4);
/// `/<volume id>/<bucket id>/<parent id>/<name>`: files of FILE_SYSTEM_OPTIMIZED buckets.
pub static FILE: Table<KeyInfo> = Table::new(5);
/// `/<volume id>/<bucket id>/<parent id>/<name>`: their directories.
pub static DIRECTORY: Table<DirectoryInfo> = Table::new(6);
/// `/<volume id>/<bucket id>/<parent id>/<name>/<client id>`.
pub static OPEN_FILE: Table<KeyInfo> = Table::new(7);
/// `/<volume>/<bucket>/<full key>/<object id>`: blocks to be reclaimed, of all layouts.
pub static DELETED: Table<RepeatedKeyInfo> = Table::new(8);
/// `/<volume id>/<bucket id>/<parent id>/<name>/<object id>`: trees to be reclaimed.
pub static DELETED_DIRECTORY: Table<KeyInfo> = Table::new(9);

/// Table of places in the log, each `<term>#<index>`.
pub const TRANSACTION_INFO: &str = ALL[TRANSACTION_INFO_SLOT];
/// Slot of [`TRANSACTION_INFO`].
pub const TRANSACTION_INFO_SLOT: usize = 10;
/// Its key of the last flushed transaction.
pub const TRANSACTION_INFO_KEY: &[u8] = b"#TRANSACTIONINFO";
/// Its key of the transaction that prepared the Ozone Manager for another version, if one did; term 0.
pub const PREPARED_KEY: &[u8] = b"#PREPAREDINFO";
/// `/<volume>/<bucket>/<key>/<upload id>`: uploads under way, of all layouts.
pub static MULTIPART_INFO: Table<MultipartKeyInfo> = Table::new(11);
/// `/<volume>/<bucket>/<prefix>/`: ACLs of prefixes (`PersistedPrefixInfo`, which has the same fields).
pub static PREFIX: Table<PrefixInfo> = Table::new(13);
/// `<access id>`.
pub static S3_SECRET: Table<S3Secret> = Table::new(14);
/// Slot of `metaTable`, whose values are texts.
pub const META_SLOT: usize = 16;
/// Its key of the layout version that the last finalized upgrade led to.
pub const LAYOUT_VERSION_KEY: &[u8] = b"#LAYOUTVERSION";
/// `/<volume>/<bucket>/<snapshot>`.
pub const SNAPSHOT_INFO: &str = ALL[20];
/// Slot of [`SNAPSHOT_INFO`].
pub const SNAPSHOT_INFO_SLOT: usize = 20;

/// Tables in which new names are looked for before they are made.
pub(crate) fn is_often_absent(slot: usize) -> bool {
    [KEY.slot, FILE.slot, DIRECTORY.slot].contains(&slot)
}

/// `/<volume>`.
pub fn volume_key(volume: &str) -> Vec<u8> {
    joined(&[volume])
}

/// `/<volume>/<bucket>`.
pub fn bucket_key(volume: &str, bucket: &str) -> Vec<u8> {
    joined(&[volume, bucket])
}

/// `/<volume>/<bucket>/<key>`.
pub fn flat_key(volume: &str, bucket: &str, key: &str) -> Vec<u8> {
    joined(&[volume, bucket, key])
}

/// `/<volume id>/<bucket id>/<parent id>/<name>`.
pub fn path_key(volume: u64, bucket: u64, parent: u64, name: &str) -> Vec<u8> {
    let mut key = String::with_capacity(66 + name.len());
    let mut digits = itoa::Buffer::new();
    for id in [volume, bucket, parent] {
        key.push('/');
        key.push_str(digits.format(id.cast_signed()));
    }
    key.push('/');
    key.push_str(name);
    key.into_bytes()
}

/// `/<volume id>/<bucket id>/`: every file or folder of a bucket begins so.
pub fn bucket_tree(volume: u64, bucket: u64) -> Vec<u8> {
    format!("/{}/{}/", volume.cast_signed(), bucket.cast_signed()).into_bytes()
}

/// The row's key with a text behind it: uploads.
pub fn with_text(key: &[u8], text: &str) -> Vec<u8> {
    let mut row = Vec::with_capacity(key.len() + 1 + text.len());
    row.extend_from_slice(key);
    row.push(b'/');
    row.extend_from_slice(text.as_bytes());
    row
}

/// The row's key with an id behind it: open keys, deleted keys.
pub fn with_id(key: &[u8], id: u64) -> Vec<u8> {
    let mut text = Vec::with_capacity(key.len() + 21);
    text.extend_from_slice(key);
    text.extend_from_slice(format!("/{}", id.cast_signed()).as_bytes());
    text
}

fn joined(parts: &[&str]) -> Vec<u8> {
    let mut key = Vec::with_capacity(parts.iter().map(|part| part.len() + 1).sum());
    for part in parts {
        key.push(b'/');
        key.extend_from_slice(part.as_bytes());
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_in_keys_are_signed_decimals() {
        let id = 9_223_372_036_854_776_064;
        let key = path_key(id, id, id, "d1");
        assert!(key.starts_with(b"/-9223372036854775552/-9223372036854775552/"));
        assert_eq!(with_id(b"/v/b/k", 7), b"/v/b/k/7");
        assert_eq!(flat_key("v", "b", "/a//b"), b"/v/b//a//b");
    }

    #[test]
    fn every_typed_table_sits_in_its_slot() {
        assert_eq!(DELETED.def.name, "deletedTable");
        assert_eq!(DELETED_DIRECTORY.def.name, "deletedDirectoryTable");
        assert_eq!(MULTIPART_INFO.def.name, "multipartInfoTable");
        assert_eq!(PREFIX.def.name, "prefixTable");
        assert_eq!(S3_SECRET.def.name, "s3SecretTable");
        assert_eq!(SNAPSHOT_INFO, ALL[SNAPSHOT_INFO_SLOT]);
        assert_eq!((TRANSACTION_INFO, ALL[META_SLOT]), ("transactionInfoTable", "metaTable"));
    }
}
