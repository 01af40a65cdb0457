//! `CompleteMultiPartUpload`: the named parts become a key.

use std::collections::HashSet;

use md5::{Digest, Md5};
use om_proto::{
    KeyArgs, KeyInfo, KeyLocation, MultipartKeyInfo, MultipartUploadCompleteRequest,
    MultipartUploadCompleteResponse, OmResponse, Part, PartKeyInfo, Status,
};

use crate::command::key::{check_etag, open};
use crate::command::{BlocksWanted, Caller, Write};
use crate::error::{Failure, OmError};
use crate::key::{self, location_list};
use crate::layout::{Bucket, Leaf, Walk};
use crate::names;
use crate::namespace::{At, Namespace};
use crate::quota;
use crate::tables;

/// Smallest part but the last, in bytes (`OzoneConsts.OM_MULTIPART_MIN_SIZE`).
const PART_BYTES_MIN: u64 = 5 << 20;

impl Write for MultipartUploadCompleteRequest {
    fn prepare(
        &mut self,
        ns: &Namespace<'_>,
        caller: &Caller<'_>,
    ) -> Result<Option<BlocksWanted>, Failure> {
        super::prepare(&mut self.key_args, ns, caller)?;
        Ok(None)
    }

    fn apply(
        self,
        at: At,
        user: &str,
        ns: &mut Namespace<'_>,
        reply: &mut OmResponse,
    ) -> Result<(), Failure> {
        let mut args = self.key_args;
        let mut bucket = ns.bucket(&args.volume_name, &args.bucket_name)?;
        let walk = walk(ns, &bucket, &args)?;
        let failure = Refusal { args: &args.clone() };
        let upload_id = args.multipart_upload_id.clone().unwrap_or_default();
        let upload_row = super::row_of(&bucket, &args.key_name, &upload_id);
        let Some(mut upload) = ns.get(&tables::MULTIPART_INFO, &upload_row)? else {
            return Err(failure.of(Status::NoSuchMultipartUploadError, "").into());
        };
        let existing = match &walk.leaf {
            Leaf::File(existing) => Some(existing.clone()),
            Leaf::Free | Leaf::Folder(_) | Leaf::BelowFile(_) => None,
        };
        open::check_generation(&args, existing.as_ref())?;
        check_etag(&args, existing.as_ref())?;
        let (size, blocks) = failure.check_parts(&self.parts_list, &upload.part_key_info_list)?;
        let open_row = super::open_row(&bucket, &args.key_name, &upload);
        let Some(open) = ns.get(bucket.layout.open_keys(), &open_row)? else {
            return Err(failure.of(Status::NoSuchMultipartUploadError, "").into());
        };
        if existing.is_none() || bucket.info.is_version_enabled {
            quota::check_names(&bucket.info, 1 + made_on_the_way(&bucket, &walk))?;
        }

        put_folders(ns, &mut bucket, &walk, user, &args, at);
        let hash = hash(&upload.part_key_info_list);
        args.data_size = Some(size);
        let last = upload.part_key_info_list.last().map(|part| &part.part_key_info);
        let mut done = completed(existing.clone(), open, &args, last, blocks, at);
        key::set_metadata(&mut done, super::ETAG, &hash);
        done.parent_id = Some(walk.parent_id(at));
        settle(ns, &mut bucket, &self.parts_list, &mut upload, existing, &args.key_name, at)?;

        if bucket.layout.is_tree() {
            done.key_name = names::leaf(&args.key_name).to_owned();
        }
        ns.remove(bucket.layout.open_keys(), open_row);
        ns.remove(&tables::MULTIPART_INFO, upload_row);
        ns.put(bucket.layout.keys(), walk.row(&bucket, at), &done);
        ns.put_bucket(&bucket.info);
        reply.complete_multi_part_upload_response =
            Some(Box::new(MultipartUploadCompleteResponse {
                volume: Some(args.volume_name),
                bucket: Some(args.bucket_name),
                key: Some(args.key_name),
                hash: Some(hash),
            }));
        Ok(())
    }
}

fn walk(ns: &Namespace<'_>, bucket: &Bucket, args: &KeyArgs) -> Result<Walk, Failure> {
    let walk = bucket.walk(ns, &args.key_name, false)?;
    walk.check_depth()?;
    let is_file = matches!(walk.leaf, Leaf::File(_));
    if is_file && !bucket.has_marker(ns, &args.key_name)? {
        return Ok(walk);
    }
    match &walk.leaf {
        Leaf::Folder(_) | Leaf::File(_) if bucket.layout.normalizes() => Err(Failure::new(
            Status::NotAFile,
            format!(
                "Can not {} file: {} as there is already directory in the given path",
                if bucket.layout.is_tree() { "create" } else { "Complete MPU for" },
                args.key_name
            ),
        )),
        Leaf::BelowFile(_) if bucket.layout.is_tree() => Err(Failure::new(
            Status::NotAFile,
            format!(
                "Can not create file: {} as there is already file in the given path",
                args.key_name
            ),
        )),
        _ => Ok(walk),
    }
}

/// Folders that have vanished since the upload began, and are made again.
fn made_on_the_way(bucket: &Bucket, walk: &Walk) -> usize {
    if bucket.layout.is_tree() { walk.missing.len() } else { 0 }
}

fn put_folders(
    ns: &mut Namespace<'_>,
    bucket: &mut Bucket,
    walk: &Walk,
    user: &str,
    args: &KeyArgs,
    at: At,
) {
    let count = made_on_the_way(bucket, walk);
    if count > 0 {
        walk.put_missing(ns, bucket, user, args, at);
        quota::charge(bucket.info_mut(), 0, count);
    }
}

/// The key: new, or an existing one with other data.
fn completed(
    existing: Option<KeyInfo>,
    open: KeyInfo,
    args: &KeyArgs,
    last_part: Option<&KeyInfo>,
    blocks: Vec<KeyLocation>,
    at: At,
) -> KeyInfo {
    let now = args.modification_time.unwrap_or(0);
    let size = args.data_size.unwrap_or(0);
    let Some(mut key) = existing else {
        let mut list = location_list(0, blocks);
        list.is_multipart_key = Some(true);
        let stored = last_part.unwrap_or(&open);
        return KeyInfo {
            r#type: stored.r#type,
            factor: stored.factor,
            ec_replication_config: stored.ec_replication_config.clone(),
            creation_time: now,
            modification_time: now,
            data_size: size,
            key_location_list: vec![list],
            latest_version: Some(0),
            owner_name: Some(args.owner_name.clone().unwrap_or_default()),
            update_id: Some(at.index),
            ..open
        };
    };
    if key.key_location_list.is_empty() {
        key.key_location_list.push(location_list(0, Vec::new()));
    }
    if let Some(latest) = key.key_location_list.last_mut() {
        latest.key_locations = blocks;
        latest.is_multipart_key = Some(true);
    }
    KeyInfo {
        r#type: open.r#type,
        factor: open.factor,
        ec_replication_config: open.ec_replication_config,
        modification_time: now,
        data_size: size,
        metadata: open.metadata,
        tags: open.tags,
        file_encryption_info: open.file_encryption_info.or(key.file_encryption_info),
        update_id: Some(at.index),
        ..key
    }
}

/// Gives up the parts that were not named and the key that is replaced.
fn settle(
    ns: &mut Namespace<'_>,
    bucket: &mut Bucket,
    named: &[Part],
    upload: &mut MultipartKeyInfo,
    existing: Option<KeyInfo>,
    name: &str,
    at: At,
) -> Result<(), Failure> {
    let named: HashSet<u32> = named.iter().map(|part| part.part_number).collect();
    let parts = std::mem::take(&mut upload.part_key_info_list);
    for part in parts.into_iter().filter(|part| !named.contains(&part.part_number)) {
        let size = key::replicated_size(&part.part_key_info).cast_signed();
        quota::charge(bucket.info_mut(), -size, 0);
        if !key::is_empty(&part.part_key_info) {
            super::give_up(ns, bucket, name, &upload.upload_id, part.part_key_info, at)?;
        }
    }
    if let Some(old) = existing.filter(|_| !bucket.info.is_version_enabled) {
        let has_blocks = !key::is_empty(&old);
        quota::release(bucket.info_mut(), key::replicated_blocks(&old), 1, has_blocks);
        if has_blocks {
            let id = old.object_id.unwrap_or(0);
            key::retire(ns, bucket, &format!("{name}/{}", upload.upload_id), id, vec![old], at)?;
        }
    }
    quota::charge(bucket.info_mut(), 0, 1);
    Ok(())
}

/// MD5 of the parts' ETags (or names), and how many parts the upload has.
fn hash(parts: &[PartKeyInfo]) -> String {
    let mut digest = Md5::new();
    for part in parts {
        digest.update(super::etag(&part.part_key_info).unwrap_or(&part.part_name));
    }
    let hex: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{hex}-{}", parts.len())
}

/// Words refusals as the genuine OM does.
struct Refusal<'a> {
    args: &'a KeyArgs,
}

impl Refusal<'_> {
    fn of(&self, status: Status, why: &str) -> OmError {
        let KeyArgs { volume_name, bucket_name, key_name, .. } = self.args;
        OmError::new(
            status,
            format!(
                "Complete Multipart Upload Failed: volume: {volume_name} bucket: {bucket_name} key: \
                 {key_name}{why}"
            ),
        )
    }

    /// Checks the list of parts; the size of the key and its blocks.
    fn check_parts(
        &self,
        wanted: &[Part],
        known: &[PartKeyInfo],
    ) -> Result<(u64, Vec<KeyLocation>), OmError> {
        if wanted.is_empty() {
            return Err(self.of(Status::InvalidRequest, " because of empty part list"));
        }
        if known.is_empty() {
            return Err(self.of(Status::InvalidPart, ""));
        }
        if wanted.windows(2).any(|pair| pair[0].part_number >= pair[1].part_number) {
            let why = " because parts are in Invalid order.";
            return Err(self.of(Status::InvalidPartOrder, why));
        }
        let by_etag = wanted.iter().all(|part| part.e_tag.is_some());
        let (mut size, mut blocks) = (0, Vec::new());
        for (position, part) in wanted.iter().enumerate() {
            let stored = self.find(part, known, by_etag)?;
            if position + 1 != wanted.len() && stored.data_size < PART_BYTES_MIN {
                return Err(self.of(Status::EntityTooSmall, ". Entity too small."));
            }
            size += stored.data_size;
            let list = stored.key_location_list.first().map(|list| list.key_locations.as_slice());
            blocks.extend(list.unwrap_or_default().iter().map(|block| {
                let mut block = block.clone();
                key::compact(&mut block);
                block.part_number = Some(part.part_number.cast_signed());
                block
            }));
        }
        Ok((size, blocks))
    }

    fn find<'a>(
        &self,
        part: &Part,
        known: &'a [PartKeyInfo],
        by_etag: bool,
    ) -> Result<&'a KeyInfo, OmError> {
        let found = known.iter().find(|known| known.part_number == part.part_number);
        let (asked, stored) = if by_etag {
            let asked = part.e_tag.as_deref().unwrap_or_default();
            (asked, found.and_then(|found| super::etag(&found.part_key_info)))
        } else {
            (part.part_name.as_str(), found.map(|found| found.part_name.as_str()))
        };
        match found {
            Some(found) if stored == Some(asked) || (by_etag && found.part_name == asked) => {
                Ok(&found.part_key_info)
            }
            _ => Err(self.of(
                Status::InvalidPart,
                &format!(
                    ". Provided Part info is {{ {asked}, {}}}, whereas OM has eTag {}",
                    part.part_number,
                    stored.unwrap_or("null")
                ),
            )),
        }
    }
}
