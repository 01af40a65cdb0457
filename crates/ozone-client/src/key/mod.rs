//! Keys: what they are, and what can be done with one besides reading and writing it.

mod checksum;
mod encryption;
pub mod gdpr;
mod reader;
mod tree;
mod writer;

use std::collections::BTreeMap;

use hdds_client::BlockLocation;
use hdds_proto::convert;
use hdds_types::ReplicationConfig;
use om_proto::{
    BasicKeyInfo, BucketLayoutProto, CreateDirectoryRequest, DeleteKeyArgs, DeleteKeyRequest,
    DeleteKeysRequest, GetFileStatusRequest, GetKeyInfoRequest, KeyArgs, KeyInfo, KeyLocationList,
    ListKeysRequest, ListStatusRequest, OmRequest, OzoneFileStatusProtoLight, RenameKeyRequest,
    Status, Type,
};

pub use checksum::{Combine, FileChecksum};
pub use encryption::Encryption;
pub use reader::KeyReader;
pub use writer::{KeyWriter, NewKey};

use crate::volume::metadata;
use crate::{Bucket, ClientError, OmError, OzoneClient, names};

/// A key as listings describe it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeySummary {
    /// Its volume.
    pub volume: String,
    /// Its bucket.
    pub bucket: String,
    /// Name.
    pub name: String,
    /// Owner.
    pub owner: Option<String>,
    /// Bytes.
    pub data_size: u64,
    /// Milliseconds since 1970.
    pub creation_time: i64,
    /// Milliseconds since 1970.
    pub modification_time: i64,
    /// Replication; `None` if the server names none that is known.
    pub replication: Option<ReplicationConfig>,
    /// Not a directory.
    pub is_file: bool,
    /// ETag, from S3.
    pub etag: Option<String>,
}

/// A key with the places of its data.
#[derive(Clone, PartialEq, Debug)]
pub struct Key {
    /// What listings tell too.
    pub summary: KeySummary,
    /// Free properties.
    pub metadata: BTreeMap<String, String>,
    /// S3 tags.
    pub tags: BTreeMap<String, String>,
    /// Blocks of the newest version, in order.
    pub locations: Vec<BlockLocation>,
    /// Number of the change that wrote it, for atomic rewrites (`updateID`).
    pub generation: u64,
    /// How the client that wrote it encrypted it, in an encrypted bucket.
    pub encryption: Option<Encryption>,
}

impl KeySummary {
    fn from_basic(volume: &str, bucket: &str, info: BasicKeyInfo) -> Self {
        let replication = info.r#type.and_then(|kind| {
            convert::replication(kind, info.factor, info.ec_replication_config.as_ref())
        });
        Self {
            volume: volume.to_owned(),
            bucket: bucket.to_owned(),
            name: info.key_name.unwrap_or_default(),
            owner: info.owner_name.filter(|owner| !owner.is_empty()),
            data_size: info.data_size.unwrap_or_default(),
            creation_time: info.creation_time.unwrap_or_default().cast_signed(),
            modification_time: info.modification_time.unwrap_or_default().cast_signed(),
            replication,
            is_file: info.is_file.unwrap_or_default(),
            etag: info.e_tag.filter(|etag| !etag.is_empty()),
        }
    }
}

impl Key {
    fn from_wire(info: KeyInfo) -> Self {
        let newest = info.key_location_list.last();
        let encryption = info
            .file_encryption_info
            .map(|file| Encryption { info: file, part_starts: part_starts(newest) });
        let locations = newest.map(|list| &list.key_locations[..]).unwrap_or_default();
        let locations = locations.iter().map(location).collect();
        let metadata = metadata(info.metadata);
        Self {
            summary: KeySummary {
                volume: info.volume_name,
                bucket: info.bucket_name,
                name: info.key_name,
                owner: info.owner_name.filter(|owner| !owner.is_empty()),
                data_size: info.data_size,
                creation_time: info.creation_time.cast_signed(),
                modification_time: info.modification_time.cast_signed(),
                replication: convert::replication(
                    info.r#type,
                    info.factor,
                    info.ec_replication_config.as_ref(),
                ),
                is_file: info.is_file.unwrap_or_default(),
                etag: metadata.get("ETag").cloned(),
            },
            metadata,
            tags: crate::volume::metadata(info.tags),
            locations,
            generation: info.update_id.unwrap_or_default(),
            encryption,
        }
    }
}

/// For each block where its part of the upload begins, in bytes; 0 for keys that were written in one.
fn part_starts(newest: Option<&KeyLocationList>) -> Vec<u64> {
    let Some(list) = newest else { return Vec::new() };
    let is_multipart = list.is_multipart_key.unwrap_or_default();
    let (mut at, mut start, mut part) = (0, 0, None);
    let starts = list.key_locations.iter().map(|block| {
        if is_multipart && part != block.part_number {
            (part, start) = (block.part_number, at);
        }
        at += block.length;
        start
    });
    starts.collect()
}

fn location(wire: &om_proto::KeyLocation) -> BlockLocation {
    BlockLocation::from_wire(
        &wire.block_id,
        wire.offset,
        wire.length,
        wire.token.as_ref(),
        wire.pipeline.as_ref(),
    )
}

/// What all requests about one key begin with.
pub(crate) fn key_args(volume: &str, bucket: &str, key: &str) -> KeyArgs {
    KeyArgs {
        volume_name: volume.to_owned(),
        bucket_name: bucket.to_owned(),
        key_name: key.to_owned(),
        ..Default::default()
    }
}

impl OzoneClient {
    /// A key with the places of its data. `refresh` makes the server ask SCM anew where they are.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn key(
        &self,
        volume: &str,
        bucket: &str,
        key: &str,
        refresh: bool,
    ) -> Result<Key, ClientError> {
        names::check_volume(volume)?;
        names::check_bucket(bucket)?;
        let args = KeyArgs {
            sort_datanodes: Some(self.settings.topology_aware_read),
            latest_version_location: Some(true),
            head_op: Some(false),
            force_update_container_cache_from_scm: Some(refresh),
            ..key_args(volume, bucket, key)
        };
        let get = GetKeyInfoRequest { key_args: args, assume_s3_context: Some(false) };
        let request = OmRequest {
            cmd_type: Type::GetKeyInfo.into(),
            get_key_info_request: Some(Box::new(get)),
            ..Default::default()
        };
        let response = self.om.submit(request).await?;
        response
            .get_key_info_response
            .and_then(|found| found.key_info)
            .map(Key::from_wire)
            .ok_or(ClientError::Malformed("keyInfo"))
    }

    /// One page of the keys of a bucket in the order of their names, those after `start`; and
    /// whether there are more. A bucket with directories is listed with all that is below them.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn list_keys(
        &self,
        bucket: &Bucket,
        prefix: &str,
        start: Option<&str>,
        count_max: u32,
    ) -> Result<(Vec<KeySummary>, bool), ClientError> {
        if bucket.layout == BucketLayoutProto::FileSystemOptimized {
            return tree::page(self, bucket, prefix, start, count_max).await;
        }
        let list = ListKeysRequest {
            volume_name: bucket.volume.clone(),
            bucket_name: bucket.name.clone(),
            start_key: start.map(str::to_owned),
            prefix: Some(prefix.to_owned()),
            count: Some(i32::try_from(count_max).unwrap_or(i32::MAX)),
        };
        let request = OmRequest {
            cmd_type: Type::ListKeysLight.into(),
            list_keys_request: Some(Box::new(list)),
            ..Default::default()
        };
        let response = self.om.submit(request).await?;
        let found = response.list_keys_light_response.unwrap_or_default();
        // The server calls a page full even if nothing follows it: an empty page ends a listing.
        let more = found.is_truncated.unwrap_or_default() && !found.basic_key_info.is_empty();
        let keys = found.basic_key_info.into_iter();
        let keys = keys.map(|info| KeySummary::from_basic(&bucket.volume, &bucket.name, info));
        Ok((keys.collect(), more))
    }

    /// The direct children of a directory (of a bucket that has them), with full names.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn list_directory(
        &self,
        bucket: &Bucket,
        directory: &str,
    ) -> Result<Vec<KeySummary>, ClientError> {
        let page = self.settings.list_page;
        let mut children: Vec<KeySummary> = Vec::new();
        let mut start = String::new();
        loop {
            let piece = self.directory_piece(bucket, directory, &start, page).await?;
            let count = piece.len();
            // The start is listed again.
            let fresh = piece
                .into_iter()
                .filter(|child| children.last().is_none_or(|last| last.name != child.name))
                .collect::<Vec<_>>();
            let ended = count < page as usize || fresh.is_empty();
            children.extend(fresh);
            match children.last() {
                Some(last) if !ended => start.clone_from(&last.name),
                _ => return Ok(children),
            }
        }
    }

    /// At most `rows` children of a directory, from the full name `start` on.
    async fn directory_piece(
        &self,
        bucket: &Bucket,
        directory: &str,
        start: &str,
        rows: u32,
    ) -> Result<Vec<KeySummary>, ClientError> {
        let list = ListStatusRequest {
            key_args: key_args(&bucket.volume, &bucket.name, directory),
            recursive: false,
            start_key: start.to_owned(),
            num_entries: rows.into(),
            allow_partial_prefix: Some(false),
        };
        let request = OmRequest {
            cmd_type: Type::ListStatusLight.into(),
            list_status_request: Some(Box::new(list)),
            ..Default::default()
        };
        let response = self.om.submit(request).await?;
        let statuses = response.list_status_light_response.map(|r| r.statuses).unwrap_or_default();
        Ok(statuses.into_iter().filter_map(|status| child(bucket, status)).collect())
    }

    /// Renames a key within its bucket.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn rename_key(
        &self,
        volume: &str,
        bucket: &str,
        from: &str,
        to: &str,
    ) -> Result<(), ClientError> {
        names::check_volume(volume)?;
        names::check_bucket(bucket)?;
        let rename = RenameKeyRequest {
            key_args: KeyArgs { data_size: Some(0), ..key_args(volume, bucket, from) },
            to_key_name: to.to_owned(),
        };
        let request = OmRequest {
            cmd_type: Type::RenameKey.into(),
            rename_key_request: Some(Box::new(rename)),
            ..Default::default()
        };
        self.om.submit(request).await.map(drop)
    }

    /// Deletes a key, or an empty directory.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn delete_key(
        &self,
        volume: &str,
        bucket: &str,
        key: &str,
        recursive: bool,
    ) -> Result<(), ClientError> {
        names::check_volume(volume)?;
        names::check_bucket(bucket)?;
        let args = KeyArgs { recursive: Some(recursive), ..key_args(volume, bucket, key) };
        let request = OmRequest {
            cmd_type: Type::DeleteKey.into(),
            delete_key_request: Some(Box::new(DeleteKeyRequest { key_args: args })),
            ..Default::default()
        };
        self.om.submit(request).await.map(drop)
    }

    /// Deletes many keys; those that do not exist are no error.
    ///
    /// # Errors
    /// Some could not be deleted, or see [`ClientError`].
    pub async fn delete_keys(
        &self,
        volume: &str,
        bucket: &str,
        keys: Vec<String>,
    ) -> Result<(), ClientError> {
        let delete =
            DeleteKeyArgs { volume_name: volume.to_owned(), bucket_name: bucket.to_owned(), keys };
        let request = OmRequest {
            cmd_type: Type::DeleteKeys.into(),
            delete_keys_request: Some(Box::new(DeleteKeysRequest {
                delete_keys: Some(delete),
                ..DeleteKeysRequest::default()
            })),
            ..Default::default()
        };
        let response = self.om.exchange(request).await?;
        if response.status == i32::from(Status::Ok) {
            return Ok(());
        }
        let status = Status::try_from(response.status).unwrap_or(Status::InternalError);
        let errors = response.delete_keys_response.map(|body| body.errors).unwrap_or_default();
        let other = errors
            .iter()
            .find(|error| error.error_code.as_deref() != Some(Status::KeyNotFound.as_str_name()));
        match other {
            None if status == Status::PartialDelete => Ok(()),
            Some(error) => {
                let text = format!(
                    "{}: {}",
                    error.key.as_deref().unwrap_or_default(),
                    error.error_msg.as_deref().unwrap_or_default()
                );
                Err(OmError::new(status, text).into())
            }
            None => Err(OmError::new(status, response.message.unwrap_or_default()).into()),
        }
    }

    /// Whether a path is a directory (of a bucket that has them).
    ///
    /// # Errors
    /// `FILE_NOT_FOUND`, or see [`ClientError`].
    pub async fn is_directory(
        &self,
        volume: &str,
        bucket: &str,
        path: &str,
    ) -> Result<bool, ClientError> {
        let get = GetFileStatusRequest { key_args: key_args(volume, bucket, path) };
        let request = OmRequest {
            cmd_type: Type::GetFileStatus.into(),
            get_file_status_request: Some(Box::new(get)),
            ..Default::default()
        };
        let response = self.om.submit(request).await?;
        Ok(response
            .get_file_status_response
            .is_some_and(|found| found.status.is_directory.unwrap_or_default()))
    }

    /// Makes a directory and its parents.
    ///
    /// # Errors
    /// See [`ClientError`]; one that exists is no error.
    pub async fn create_directory(
        &self,
        volume: &str,
        bucket: &str,
        path: &str,
    ) -> Result<(), ClientError> {
        let args =
            KeyArgs { owner_name: Some(self.user.to_string()), ..key_args(volume, bucket, path) };
        let make = CreateDirectoryRequest { key_args: args };
        let request = OmRequest {
            cmd_type: Type::CreateDirectory.into(),
            create_directory_request: Some(Box::new(make)),
            ..Default::default()
        };
        match self.om.submit(request).await {
            Err(ClientError::Om(OmError { status: Status::DirectoryAlreadyExists, .. })) => Ok(()),
            other => other.map(drop),
        }
    }
}

fn child(bucket: &Bucket, status: OzoneFileStatusProtoLight) -> Option<KeySummary> {
    let is_directory = status.is_directory.unwrap_or_default();
    let info = status.basic_key_info?;
    let mut child = KeySummary::from_basic(&bucket.volume, &bucket.name, info);
    child.is_file = !is_directory;
    Some(child)
}

/// Whether names below a directory can begin with `prefix`.
fn may_hold(directory: &str, prefix: &str) -> bool {
    let inside = format!("{directory}/");
    inside.starts_with(prefix) || prefix.starts_with(&inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_of_an_upload_begins_where_the_blocks_before_it_end() {
        let block = |part, length| om_proto::KeyLocation {
            length,
            part_number: Some(part),
            ..Default::default()
        };
        let list = |is_multipart_key| KeyLocationList {
            key_locations: vec![block(1, 10), block(1, 5), block(3, 7), block(4, 1)],
            is_multipart_key: Some(is_multipart_key),
            ..Default::default()
        };
        assert_eq!(part_starts(Some(&list(true))), [0, 0, 15, 22]);
        assert_eq!(part_starts(Some(&list(false))), [0; 4]);
        assert!(part_starts(None).is_empty());
    }

    #[test]
    fn only_directories_that_can_hold_the_prefix_are_walked() {
        assert!(may_hold("a/b", "a/"));
        assert!(may_hold("a", "a/b/c"));
        assert!(may_hold("a", ""));
        assert!(!may_hold("b", "a/"));
        assert!(!may_hold("ab", "a/"));
    }
}
