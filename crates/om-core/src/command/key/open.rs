//! Opening a key or file for writing: what `CreateKey` and `CreateFile` have in common.

use hdds_types::ReplicationConfig;
use om_proto::{BucketInfo, KeyArgs, KeyInfo, KeyLocation, Status};

use crate::acl;
use crate::command::{BlocksWanted, Caller, multipart};
use crate::encryption;
use crate::error::{Failure, OmError};
use crate::key::{self, location_list};
use crate::layout::{Bucket, Leaf, Walk};
use crate::names;
use crate::namespace::{At, Namespace};
use crate::quota;
use crate::replication;
use crate::rules::Rules;
use crate::tables;

/// `expectedDataGeneration`: the key must not exist.
const MUST_BE_ABSENT: u64 = 0;

/// Checks and stamps the arguments of a new key; the blocks that its size calls for, at least
/// `blocks_min`.
pub(crate) fn prepare(
    args: &mut KeyArgs,
    ns: &Namespace<'_>,
    caller: &Caller<'_>,
    blocks_min: u64,
) -> Result<Option<BlocksWanted>, Failure> {
    names::check_not_snapshot(&args.key_name, "create")?;
    // Java keeps a key without a name in a row that no listing shows and no request deletes.
    if args.key_name.is_empty() {
        return Err(Failure::new(Status::InvalidKeyName, "Invalid KeyPath, empty keyName"));
    }
    if ns.rules.key_characters_checked {
        names::check_key_characters(&args.key_name)?;
    }
    let bucket = ns.resolve(&args.volume_name, &args.bucket_name)?;
    args.key_name = bucket.new_key_name(&args.key_name)?;
    super::stamp(args, &bucket, caller);
    super::stamp_new(args, caller);
    if args.is_multipart_key.unwrap_or(false) {
        if args.multipart_number.unwrap_or(0) == 0 {
            let message = "PartNumber Should be greater than zero";
            return Err(Failure::new(Status::InvalidRequest, message));
        }
        encryption::share_with_part(args, &bucket, ns)?;
        return Ok(None);
    }
    let replication = replication::of_key(args, &bucket.info, ns.rules)?;
    if args.data_size.is_none_or(|size| size.cast_signed() <= 0) {
        args.data_size = Some(blocks_min * ns.rules.block_bytes);
    }
    let count = blocks_for(args.data_size.unwrap_or(0), replication, ns.rules);
    Ok((count > 0).then(|| BlocksWanted { count, replication, exclude: Default::default() }))
}

fn blocks_for(bytes: u64, replication: ReplicationConfig, rules: &Rules) -> usize {
    let data_units = match replication {
        ReplicationConfig::Ec(ec) => u64::from(ec.data),
        ReplicationConfig::Ratis(_) | ReplicationConfig::StandAlone(_) => 1,
    };
    let blocks = bytes.div_ceil(rules.block_bytes.max(1) * data_units);
    blocks.min(rules.preallocated_blocks_max) as usize
}

/// Writes the open key and the folders above it; the key as the client gets it, with pipelines.
pub(crate) fn apply(
    mut args: KeyArgs,
    client: u64,
    bucket: &mut Bucket,
    walk: Walk,
    at: At,
    user: &str,
    ns: &mut Namespace<'_>,
) -> Result<KeyInfo, Failure> {
    walk.check_depth()?;
    let existing = match &walk.leaf {
        Leaf::File(key) => Some(key),
        Leaf::Free | Leaf::Folder(_) | Leaf::BelowFile(_) => None,
    };
    check_expectations(&args, existing)?;
    // An expected ETag becomes an expected generation.
    if args.expected_e_tag.take().is_some() && args.expected_data_generation.is_none() {
        args.expected_data_generation = existing.and_then(|existing| existing.update_id);
    }
    let is_part = args.is_multipart_key.unwrap_or(false);
    let replication = if is_part {
        let upload_id = args.multipart_upload_id.as_deref().unwrap_or("");
        replication::of_stored(&multipart::open_key(ns, bucket, &args.key_name, upload_id)?)
    } else {
        replication::of_key(&args, &bucket.info, ns.rules)?
    };
    let preallocated = args.key_locations.len() as u64
        * ns.rules.block_bytes
        * replication.required_nodes() as u64;
    quota::check_bytes(&bucket.info, preallocated.cast_signed())?;
    quota::check_names(&bucket.info, walk.missing.len() + 1)?;
    check_encrypted(&bucket.info, &args)?;

    if !walk.missing.is_empty() {
        walk.put_missing(ns, bucket, user, &args, at);
        quota::charge(bucket.info_mut(), 0, walk.missing.len());
        ns.keep_bucket(&bucket.info);
    }
    let row = tables::with_id(&walk.row(bucket, at), client);
    let (object_id, parent_id) = (walk.object_id(bucket, at), walk.parent_id(at));
    let acls = match existing {
        Some(_) if !is_part => Vec::new(),
        _ => acl::of_key_in(ns, bucket, &walk, user, &args)?,
    };
    let (mut key, blocks) = match walk.leaf {
        // A part has nothing of the key that its upload will replace.
        Leaf::File(existing) if !is_part => overwriting(existing, args, bucket, at),
        Leaf::File(_) | Leaf::Free | Leaf::Folder(_) | Leaf::BelowFile(_) => {
            let (mut key, blocks) = new_key(args, acls, at);
            key.object_id = Some(object_id);
            key.parent_id = Some(parent_id);
            (key, blocks)
        }
    };
    replication::write_to(replication, &mut key);
    append(&mut key, blocks);
    let located = take_pipelines(&mut key);
    ns.put_new(bucket.layout.open_keys(), row, &key);
    put_pipelines(&mut key, located);
    Ok(key)
}

fn new_key(
    args: KeyArgs,
    acls: Vec<om_proto::OzoneAclInfo>,
    at: At,
) -> (KeyInfo, Vec<KeyLocation>) {
    let now = args.modification_time.unwrap_or(0);
    let key = KeyInfo {
        volume_name: args.volume_name,
        bucket_name: args.bucket_name,
        key_name: args.key_name,
        data_size: args.data_size.unwrap_or(0),
        key_location_list: vec![location_list(0, Vec::new())],
        creation_time: now,
        modification_time: now,
        latest_version: Some(0),
        metadata: args.metadata,
        file_encryption_info: args.file_encryption_info,
        acls,
        update_id: Some(at.index),
        is_file: Some(true),
        owner_name: args.owner_name,
        tags: args.tags,
        expected_data_generation: args.expected_data_generation,
        ..KeyInfo::default()
    };
    (key, args.key_locations)
}

/// The existing key with a new version: identity, owner and ACLs stay.
fn overwriting(
    existing: KeyInfo,
    args: KeyArgs,
    bucket: &Bucket,
    at: At,
) -> (KeyInfo, Vec<KeyLocation>) {
    let mut data_size = args.data_size.unwrap_or(0);
    let mut versions = Vec::new();
    let mut version = 0;
    if bucket.info.is_version_enabled {
        data_size += existing.data_size;
        versions = existing.key_location_list;
        version = versions.last().map_or(0, |last| last.version.unwrap_or(0) + 1);
    }
    versions.push(location_list(version, Vec::new()));
    let key = KeyInfo {
        data_size,
        key_location_list: versions,
        latest_version: Some(version),
        modification_time: args.modification_time.unwrap_or(0),
        metadata: args.metadata,
        update_id: Some(at.index),
        tags: args.tags,
        file_encryption_info: args.file_encryption_info,
        expected_data_generation: args.expected_data_generation,
        ..existing
    };
    (key, args.key_locations)
}

/// Adds blocks to the latest version.
pub(crate) fn append(key: &mut KeyInfo, blocks: Vec<KeyLocation>) {
    if key.key_location_list.is_empty() {
        key.key_location_list.push(location_list(0, Vec::new()));
    }
    let Some(latest) = key.key_location_list.last_mut() else { return };
    let version = latest.version.unwrap_or(0);
    latest.key_locations.extend(blocks.into_iter().map(|mut block| {
        let (pipeline, token) = (block.pipeline.take(), block.token.take());
        block.create_version = Some(version);
        key::compact(&mut block);
        KeyLocation { pipeline, token, ..block }
    }));
}

type Located = (Option<hdds_proto::hdds::Pipeline>, Option<hdds_proto::common::TokenProto>);

/// Rows hold neither pipelines nor tokens: sets them aside while the row is written.
pub(crate) fn take_pipelines(key: &mut KeyInfo) -> Vec<Located> {
    let Some(latest) = key.key_location_list.last_mut() else { return Vec::new() };
    latest
        .key_locations
        .iter_mut()
        .map(|block| (block.pipeline.take(), block.token.take()))
        .collect()
}

pub(crate) fn put_pipelines(key: &mut KeyInfo, located: Vec<Located>) {
    let Some(latest) = key.key_location_list.last_mut() else { return };
    for (block, (pipeline, token)) in latest.key_locations.iter_mut().zip(located) {
        block.pipeline = pipeline;
        block.token = token;
    }
}

/// An encrypted bucket takes no plain keys, e.g. where the key provider was taken out of the
/// configuration (`validateEncryptionKeyInfo`).
pub(crate) fn check_encrypted(bucket: &BucketInfo, args: &KeyArgs) -> Result<(), OmError> {
    if bucket.beinfo.is_none() || args.file_encryption_info.is_some() {
        return Ok(());
    }
    let message = format!(
        "Attempting to create unencrypted file {} in encrypted bucket {}",
        args.key_name, args.bucket_name
    );
    Err(OmError::new(Status::InvalidRequest, message))
}

/// Atomic rewrite and create-if-absent.
pub(crate) fn check_expectations(
    args: &KeyArgs,
    existing: Option<&KeyInfo>,
) -> Result<(), OmError> {
    check_generation(args, existing)?;
    super::check_etag(args, existing)
}

/// The key is as old as the client believes.
pub(crate) fn check_generation(args: &KeyArgs, existing: Option<&KeyInfo>) -> Result<(), OmError> {
    match (args.expected_data_generation, existing) {
        (None, _) | (Some(MUST_BE_ABSENT), None) => Ok(()),
        (Some(MUST_BE_ABSENT), Some(_)) => {
            Err(OmError::new(Status::KeyAlreadyExists, "Key already exists"))
        }
        (Some(_), None) => {
            Err(OmError::new(Status::KeyNotFound, "Key not found during expected rewrite"))
        }
        (Some(generation), Some(existing)) if existing.update_id == Some(generation) => Ok(()),
        (Some(_), Some(_)) => {
            Err(OmError::new(Status::KeyNotFound, "Generation mismatch during expected rewrite"))
        }
    }
}
