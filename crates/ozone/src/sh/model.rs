//! Volumes, buckets and keys as JSON, with the fields and their order of the genuine shell.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdds_types::ReplicationConfig;
use om_proto::FileEncryptionInfoProto;
use ozone_client::key::{Key, KeySummary, gdpr};
use ozone_client::{Acl, Bucket, OzoneClient, Volume};
use serde_json::{Map, Value, json};

use crate::json::instant;

pub fn volume(volume: &Volume) -> Value {
    json!({
        "metadata": volume.metadata,
        "name": volume.name,
        "admin": volume.admin,
        "owner": volume.owner,
        "quotaInBytes": volume.quota_in_bytes,
        "quotaInNamespace": volume.quota_in_namespace,
        "usedNamespace": volume.used_namespace,
        "creationTime": instant(volume.creation_time),
        "modificationTime": instant(volume.modification_time),
        "acls": volume.acls.iter().map(acl).collect::<Vec<_>>(),
        "refCount": volume.ref_count,
    })
}

/// A volume in a listing, which does not count references.
pub fn listed_volume(listed: &Volume) -> Value {
    volume(&Volume { ref_count: 0, ..listed.clone() })
}

pub fn acl(acl: &Acl) -> Value {
    json!({
        "type": acl.kind.as_str_name(),
        "name": acl.name,
        "aclScope": acl.scope.as_str_name(),
        "aclList": acl.right_names(),
        "aclSet": acl.right_names(),
    })
}

/// A bucket, or the short form of a link.
pub fn bucket(bucket: &Bucket, client: &OzoneClient) -> Value {
    match &bucket.source {
        Some(source) => link(bucket, source),
        None => full_bucket(bucket, client),
    }
}

/// A bucket with every field, link or not.
pub fn full_bucket(bucket: &Bucket, client: &OzoneClient) -> Value {
    let mut map = Map::new();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            map.insert(name.to_owned(), value);
        }
    };
    put("metadata", json!(bucket.metadata));
    put("volumeName", json!(bucket.volume));
    put("name", json!(bucket.name));
    put("storageType", json!(bucket.storage_type.as_str_name()));
    put("versioning", json!(bucket.versioning));
    put("listCacheSize", json!(client.settings().list_page));
    put("usedBytes", json!(bucket.used_bytes));
    put("usedNamespace", json!(bucket.used_namespace));
    put("creationTime", json!(instant(bucket.creation_time)));
    put("modificationTime", json!(instant(bucket.modification_time)));
    put("encryptionKeyName", json!(bucket.encryption_key));
    put("sourceVolume", json!(bucket.source.as_ref().map(|(volume, _)| volume)));
    put("sourceBucket", json!(bucket.source.as_ref().map(|(_, bucket)| bucket)));
    put("sourcePathExist", json!(true));
    put("quotaInBytes", json!(bucket.quota_in_bytes));
    put("quotaInNamespace", json!(bucket.quota_in_namespace));
    put("bucketLayout", json!(bucket.layout.as_str_name()));
    put("owner", json!(bucket.owner));
    put("pendingDeleteBytes", json!(bucket.pending_delete_bytes));
    put("pendingDeleteNamespace", json!(bucket.pending_delete_namespace));
    put("replicationConfig", bucket.replication.map_or(Value::Null, replication));
    put("link", json!(bucket.is_link()));
    Value::Object(map)
}

fn link(bucket: &Bucket, (source_volume, source_bucket): &(String, String)) -> Value {
    json!({
        "volumeName": bucket.volume,
        "name": bucket.name,
        "sourceVolume": source_volume,
        "sourceBucket": source_bucket,
        "creationTime": instant(bucket.creation_time),
        "modificationTime": instant(bucket.modification_time),
        "owner": bucket.owner,
        "link": true,
    })
}

pub fn replication(config: ReplicationConfig) -> Value {
    match config {
        ReplicationConfig::Ratis(factor) | ReplicationConfig::StandAlone(factor) => json!({
            "replicationFactor": factor.name(),
            "requiredNodes": factor.count(),
            "minimumNodes": 1,
            "replicationType": config.type_name(),
        }),
        ReplicationConfig::Ec(ec) => json!({
            "data": ec.data,
            "parity": ec.parity,
            "ecChunkSize": ec.chunk_bytes,
            "codec": match ec.codec {
                hdds_types::EcCodec::Rs => "RS",
                hdds_types::EcCodec::Xor => "XOR",
            },
            "requiredNodes": config.required_nodes(),
            "minimumNodes": ec.data,
            "replicationType": config.type_name(),
        }),
    }
}

/// A key in a listing.
pub fn listed_key(key: &KeySummary) -> Value {
    let metadata: BTreeMap<_, _> = key.etag.iter().map(|etag| ("ETag", etag.as_str())).collect();
    let mut map = summary(key);
    map.insert("metadata".to_owned(), json!(metadata));
    map.insert("tags".to_owned(), json!({}));
    map.insert("file".to_owned(), json!(key.is_file));
    Value::Object(map)
}

/// A key with the places of its data.
pub fn key(key: &Key) -> Value {
    let mut at = 0;
    let locations = key.locations.iter().map(|location| {
        let value = json!({
            "containerID": location.block.container.0,
            "localID": location.block.local.0,
            "length": location.length,
            "offset": location.offset,
            "keyOffset": at,
        });
        at += location.length;
        value
    });
    let locations: Vec<Value> = locations.collect();
    let mut metadata = key.metadata.clone();
    // Secrets of buckets under data protection law are not for display.
    gdpr::forget_secret(&mut metadata);
    let mut map = summary(&key.summary);
    map.insert("metadata".to_owned(), json!(metadata));
    map.insert("tags".to_owned(), json!(key.tags));
    map.insert("ozoneKeyLocations".to_owned(), json!(locations));
    map.insert("generation".to_owned(), json!(key.generation));
    if let Some(encryption) = &key.encryption {
        map.insert("fileEncryptionInfo".to_owned(), file_encryption(&encryption.info));
    }
    map.insert("file".to_owned(), json!(key.summary.is_file));
    Value::Object(map)
}

/// How a key is encrypted; its data key as the key management server encrypted it.
fn file_encryption(info: &FileEncryptionInfoProto) -> Value {
    json!({
        "cipherSuite": info.suite().as_str_name(),
        "iv": STANDARD.encode(&info.iv),
        "keyName": info.key_name,
        "ezKeyVersionName": info.ez_key_version_name,
        "encryptedDataEncryptionKey": STANDARD.encode(&info.key),
        "cryptoProtocolVersion": info.crypto_protocol_version().as_str_name(),
    })
}

fn summary(key: &KeySummary) -> Map<String, Value> {
    let mut map = Map::new();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            map.insert(name.to_owned(), value);
        }
    };
    put("volumeName", json!(key.volume));
    put("bucketName", json!(key.bucket));
    put("name", json!(key.name));
    put("owner", json!(key.owner));
    put("dataSize", json!(key.data_size));
    put("creationTime", json!(instant(key.creation_time)));
    put("modificationTime", json!(instant(key.modification_time)));
    put("replicationConfig", key.replication.map_or(Value::Null, replication));
    map
}
