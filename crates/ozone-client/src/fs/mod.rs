//! Files and directories: what `ofs://` and `o3fs://` make of volumes, buckets and keys.
//!
//! ```text
//!  path ─► place (root, volume, or a key of a bucket) ─► OzoneFileSystem
//!             │                                            ├─ status, list, mkdirs, create, open
//!             └ `ofs` begins at the volumes,               ├─ rename, delete: of a tree in one request,
//!               `o3fs` in one bucket                       │    or key by key (layout LEGACY)
//!                                                          └─ summary, checksum, trash roots
//! ```
//! Semantics, texts of errors included, are those of `BasicRootedOzoneFileSystem` and
//! `BasicOzoneFileSystem`. Paths are absolute within the file system and have no trailing slash.

mod error;
mod listing;
mod place;
mod settings;
mod trees;
mod write;

use std::collections::HashMap;

use om_proto::{
    BasicKeyInfo, BucketLayoutProto, GetFileStatusRequest, KeyArgs, KeyInfo, OmRequest, Type,
};
use ozone_config::Configuration;
use parking_lot::Mutex;

pub use error::FsError;
pub use listing::{Page, Summary};
pub use place::Place;
pub use settings::FsSettings;

use crate::key::{KeyReader, key_args};
use crate::{Bucket, ClientError, OmAddress, OzoneClient, user};

/// Permission bits of everything that Ozone shows as a directory.
const DIRECTORY_MODE: u16 = 0o777;
/// Permission bits of files.
const FILE_MODE: u16 = 0o666;
/// Links that are followed before they are taken for a loop.
const LINKS_MAX: usize = 64;

/// A file or directory as listings show it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FileStatus {
    /// Absolute path in the file system.
    pub path: String,
    /// Not a file.
    pub is_directory: bool,
    /// Bytes.
    pub length: u64,
    /// Bytes on all disks.
    pub disk_consumed: u64,
    /// Nodes that hold a part of it.
    pub replication: u32,
    /// Bytes of a full block.
    pub block_size: u64,
    /// Milliseconds since 1970.
    pub modification_time: i64,
    /// Milliseconds since 1970; Ozone keeps none, so that this is the modification time of a key.
    pub access_time: i64,
    /// Permission bits.
    pub mode: u16,
    /// Owner; empty if nobody is.
    pub owner: String,
    /// Group; empty if there is none.
    pub group: String,
    /// Erasure coded.
    pub is_erasure_coded: bool,
}

/// Which part of a cluster a file system shows.
#[derive(Clone, PartialEq, Eq, Debug)]
enum View {
    /// `ofs`: all volumes.
    Cluster,
    /// `o3fs`: one bucket.
    Bucket { volume: String, bucket: String },
}

/// One cluster, or one bucket of it, as a file system.
pub struct OzoneFileSystem {
    client: OzoneClient,
    view: View,
    settings: FsSettings,
    /// Buckets that were asked for; a file system lives as long as one command.
    buckets: Mutex<HashMap<(String, String), Bucket>>,
}

impl OzoneFileSystem {
    /// The file system of `ofs://ADDRESS/`. Connects on first use.
    ///
    /// # Errors
    /// The configuration names no such Ozone Manager, or holds a malformed value.
    pub fn rooted(conf: &Configuration, address: &OmAddress) -> Result<Self, FsError> {
        let client = OzoneClient::new(conf, address)?;
        Self::new(conf, client, View::Cluster)
    }

    /// The file system of `o3fs://BUCKET.VOLUME.ADDRESS/`.
    ///
    /// # Errors
    /// There is no such bucket, or it is for objects only.
    pub async fn in_bucket(
        conf: &Configuration,
        address: &OmAddress,
        volume: &str,
        bucket: &str,
    ) -> Result<Self, FsError> {
        let client = OzoneClient::new(conf, address)?;
        let view = View::Bucket { volume: volume.to_owned(), bucket: bucket.to_owned() };
        let found = Self::new(conf, client, view)?;
        found.client.volume(volume).await?;
        found.bucket(volume, bucket).await?;
        Ok(found)
    }

    fn new(conf: &Configuration, client: OzoneClient, view: View) -> Result<Self, FsError> {
        let settings = FsSettings::load(conf).map_err(ClientError::from)?;
        Ok(Self { client, view, settings, buckets: Mutex::default() })
    }

    /// The client underneath.
    pub fn client(&self) -> &OzoneClient {
        &self.client
    }

    /// Settings in force.
    pub fn settings(&self) -> &FsSettings {
        &self.settings
    }

    /// Whether it begins at the volumes (`ofs`).
    pub fn is_rooted(&self) -> bool {
        self.view == View::Cluster
    }

    /// What a path names.
    ///
    /// # Errors
    /// It has parts that no path may have.
    pub fn place(&self, path: &str) -> Result<Place, FsError> {
        place::check(path)?;
        Ok(match &self.view {
            View::Cluster => Place::rooted(path, &self.settings, self.client.user()),
            View::Bucket { volume, bucket } => Place::Key {
                volume: volume.clone(),
                bucket: bucket.clone(),
                key: path.trim_start_matches('/').to_owned(),
                prefix: String::new(),
            },
        })
    }

    /// The bucket, if it is one for files.
    ///
    /// # Errors
    /// It does not exist, or holds objects only.
    pub(crate) async fn bucket(&self, volume: &str, name: &str) -> Result<Bucket, FsError> {
        let id = (volume.to_owned(), name.to_owned());
        if let Some(known) = self.buckets.lock().get(&id) {
            return Ok(known.clone());
        }
        let bucket = self.client.bucket(volume, name).await?;
        let layout = self.layout_behind_links(&bucket).await?;
        if layout == BucketLayoutProto::ObjectStore {
            return Err(FsError::Illegal(format!(
                "Bucket: {name} has layout: OBJECT_STORE, which does not support file system \
                 semantics. Bucket Layout must be FILE_SYSTEM_OPTIMIZED or LEGACY."
            )));
        }
        self.buckets.lock().insert(id, bucket.clone());
        Ok(bucket)
    }

    /// A link whose target is gone counts as what it says itself.
    async fn layout_behind_links(&self, bucket: &Bucket) -> Result<BucketLayoutProto, FsError> {
        let mut current = bucket.clone();
        for _ in 0..LINKS_MAX {
            let Some((volume, name)) = current.source.clone() else { return Ok(current.layout) };
            match self.client.bucket(&volume, &name).await.map_err(FsError::from) {
                Ok(next) => current = next,
                Err(error) if error.is_missing() => return Ok(bucket.layout),
                Err(error) => return Err(error),
            }
        }
        Err(FsError::Io(format!(
            "Detected loop in bucket links. Bucket name: {}, Volume name: {}",
            bucket.name, bucket.volume
        )))
    }

    fn forget_bucket(&self, volume: &str, name: &str) {
        self.buckets.lock().remove(&(volume.to_owned(), name.to_owned()));
    }

    /// One file or directory.
    ///
    /// # Errors
    /// [`FsError::NotFound`], or see [`FsError`].
    pub async fn status(&self, path: &str) -> Result<FileStatus, FsError> {
        match self.place(path)? {
            Place::Root => Ok(self.root_status()),
            Place::Volume(volume) => {
                let found = self.client.volume(&volume).await;
                let found = found.map_err(|e| FsError::from(e).missing(path))?;
                Ok(directory_of(format!("/{volume}"), &found.owner, found.creation_time))
            }
            Place::Key { volume, bucket, key, .. } => {
                let status = async {
                    self.bucket(&volume, &bucket).await?;
                    self.key_status(&volume, &bucket, &key).await
                };
                let found = status.await.map_err(|error: FsError| error.missing(path))?;
                Ok(FileStatus { path: path.to_owned(), ..found })
            }
        }
    }

    /// Whether it is a bucket that stands for another one.
    ///
    /// # Errors
    /// See [`FsError`].
    pub async fn is_link(&self, path: &str) -> Result<bool, FsError> {
        match self.place(path)? {
            Place::Key { volume, bucket, key, .. } if key.is_empty() && self.is_rooted() => {
                Ok(self.bucket(&volume, &bucket).await?.is_link())
            }
            _ => Ok(false),
        }
    }

    /// Whether there is a file or directory.
    ///
    /// # Errors
    /// See [`FsError`].
    pub async fn exists(&self, path: &str) -> Result<bool, FsError> {
        match self.status(path).await {
            Ok(_) => Ok(true),
            Err(FsError::NotFound(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn root_status(&self) -> FileStatus {
        FileStatus {
            path: "/".to_owned(),
            is_directory: true,
            modification_time: now(),
            mode: DIRECTORY_MODE,
            ..FileStatus::default()
        }
    }

    async fn key_status(
        &self,
        volume: &str,
        bucket: &str,
        key: &str,
    ) -> Result<FileStatus, FsError> {
        let args = KeyArgs {
            sort_datanodes: Some(self.client.settings().topology_aware_read),
            latest_version_location: Some(true),
            ..key_args(volume, bucket, key)
        };
        let request = OmRequest {
            cmd_type: Type::GetFileStatus.into(),
            get_file_status_request: Some(Box::new(GetFileStatusRequest { key_args: args })),
            ..Default::default()
        };
        let response = self.client.om().submit(request).await?;
        let status = response
            .get_file_status_response
            .map(|found| found.status)
            .ok_or(ClientError::Malformed("the status of the file"))?;
        let is_directory = status.is_directory.unwrap_or_default();
        let block_size = status.block_size.unwrap_or_default();
        let Some(info) = status.key_info else {
            // Nothing is told of the root of a bucket; the genuine client shows a 1.
            let shown = self.shown(BasicKeyInfo::default(), is_directory, block_size);
            return Ok(FileStatus { replication: 1, ..shown });
        };
        Ok(self.shown(basic(info), is_directory, block_size))
    }

    fn shown(&self, info: BasicKeyInfo, is_directory: bool, block_size: u64) -> FileStatus {
        let ec = info.ec_replication_config.as_ref();
        let replication =
            info.r#type.and_then(|kind| hdds_proto::convert::replication(kind, info.factor, ec));
        let length = info.data_size.unwrap_or_default();
        let time = info.modification_time.unwrap_or_default().cast_signed();
        let user = self.client.user();
        // `o3fs` tells of the bytes of one copy only.
        let copies = replication.filter(|_| self.is_rooted());
        FileStatus {
            path: String::new(),
            is_directory,
            length,
            disk_consumed: copies.map_or(length, |kind| kind.replicated_size(length)),
            replication: replication
                .and_then(|kind| kind.required_nodes().try_into().ok())
                .unwrap_or_default(),
            block_size,
            modification_time: time,
            access_time: time,
            mode: if is_directory { DIRECTORY_MODE } else { FILE_MODE },
            owner: info.owner_name.filter(|o| !o.is_empty()).unwrap_or_else(|| user.to_owned()),
            group: user.to_owned(),
            is_erasure_coded: ec.is_some(),
        }
    }

    /// A reader of a file.
    ///
    /// # Errors
    /// [`FsError::NotFound`], or see [`FsError`].
    pub async fn open(&self, path: &str) -> Result<KeyReader, FsError> {
        let key = self.file(path).await?;
        Ok(self.client.read(key.0, 0, key.1).await?)
    }

    /// A reader of a part of a file, from `offset`.
    ///
    /// # Errors
    /// See [`Self::open`].
    pub async fn open_at(
        &self,
        path: &str,
        offset: u64,
        length: u64,
    ) -> Result<KeyReader, FsError> {
        let key = self.file(path).await?;
        Ok(self.client.read(key.0, offset, length).await?)
    }

    async fn file(&self, path: &str) -> Result<(crate::key::Key, u64), FsError> {
        let Place::Key { volume, bucket, key, .. } = self.place(path)? else {
            return Err(FsError::NotFound(
                "getBucket: Invalid argument: given bucket string is empty.".to_owned(),
            ));
        };
        self.bucket(&volume, &bucket).await?;
        let found = self.client.key(&volume, &bucket, &key, false).await;
        let found = found.map_err(|e| FsError::from(e).missing_with_status())?;
        if !found.summary.is_file {
            return Err(FsError::NotFound(format!("NOT_A_FILE: {key} is not a file.")));
        }
        let length = found.summary.data_size;
        Ok((found, length))
    }
}

fn basic(info: KeyInfo) -> BasicKeyInfo {
    BasicKeyInfo {
        key_name: Some(info.key_name),
        data_size: Some(info.data_size),
        modification_time: Some(info.modification_time),
        r#type: Some(info.r#type),
        factor: info.factor,
        ec_replication_config: info.ec_replication_config,
        owner_name: info.owner_name,
        ..Default::default()
    }
}

/// A volume or bucket in a listing; its time is shown in whole seconds.
fn directory_of(path: String, owner: &str, creation_time: i64) -> FileStatus {
    FileStatus {
        path,
        is_directory: true,
        modification_time: creation_time.div_euclid(1000) * 1000,
        mode: DIRECTORY_MODE,
        owner: owner.to_owned(),
        group: user::primary_group(owner).unwrap_or_default(),
        ..FileStatus::default()
    }
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
