//! Making directories and files, times, and checksums.

use hdds_types::{ReplicationConfig, ReplicationFactor};
use om_proto::{OmRequest, SetTimesRequest, Status, Type};

use super::{FsError, OzoneFileSystem, Place};
use crate::bucket::NewBucket;
use crate::key::{FileChecksum, KeyWriter, NewKey, key_args};
use crate::volume::NewVolume;
use crate::{Bucket, ClientError, names};

impl OzoneFileSystem {
    /// Makes a directory with its parents, a bucket or a volume. `false` if the path is the root.
    ///
    /// # Errors
    /// [`FsError::AlreadyExists`] if a file is in the way, or see [`FsError`].
    pub async fn mkdirs(&self, path: &str) -> Result<bool, FsError> {
        match self.place(path)? {
            Place::Root => Ok(false),
            Place::Volume(volume) => {
                self.client.create_volume(&volume, NewVolume::default()).await?;
                Ok(true)
            }
            Place::Key { key, .. } if key.is_empty() && !self.is_rooted() => Ok(false),
            Place::Key { volume, bucket, key, .. } => {
                self.bucket_or_new(&volume, &bucket).await?;
                if !key.is_empty() {
                    let made = self.client.create_directory(&volume, &bucket, &key).await;
                    made.map_err(already_exists)?;
                }
                Ok(true)
            }
        }
    }

    /// The bucket; made, with its volume, if it is not there.
    async fn bucket_or_new(&self, volume: &str, name: &str) -> Result<Bucket, FsError> {
        let error = match self.bucket(volume, name).await {
            Err(error) if self.is_rooted() && error.is_missing() => error,
            other => return other,
        };
        if error.status() == Some(Status::VolumeNotFound) {
            let made = self.client.create_volume(volume, NewVolume::default()).await;
            unless(made, Status::VolumeAlreadyExists)?;
        }
        let new =
            NewBucket { layout: Some(self.settings.new_bucket_layout), ..NewBucket::default() };
        let made = self.client.create_bucket(volume, name, new).await;
        unless(made, Status::BucketAlreadyExists)?;
        self.bucket(volume, name).await
    }

    /// Opens a new file for writing. `size` is a hint. Replaces a file if `overwrite` is set.
    ///
    /// # Errors
    /// [`FsError::AlreadyExists`], or see [`FsError`].
    pub async fn create(
        &self,
        path: &str,
        size: u64,
        overwrite: bool,
    ) -> Result<KeyWriter, FsError> {
        self.create_with(path, size, overwrite, self.settings.replication).await
    }

    /// As [`Self::create`], with one copy of the data whatever the configuration says.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub async fn create_single(
        &self,
        path: &str,
        size: u64,
        overwrite: bool,
    ) -> Result<KeyWriter, FsError> {
        let one = ReplicationConfig::Ratis(ReplicationFactor::One);
        self.create_with(path, size, overwrite, Some(one)).await
    }

    async fn create_with(
        &self,
        path: &str,
        size: u64,
        overwrite: bool,
        wanted: Option<ReplicationConfig>,
    ) -> Result<KeyWriter, FsError> {
        let not_here = || FsError::Io("Cannot create file under root or volume.".to_owned());
        let (volume, bucket, key) = match self.place(path)? {
            Place::Root => return Err(not_here()),
            Place::Volume(volume) => {
                names::check_volume(&volume).map_err(ClientError::from)?;
                return Err(not_here());
            }
            Place::Key { volume, bucket, key, .. } => (volume, bucket, key),
        };
        if key.is_empty() {
            names::check_bucket(&bucket).map_err(ClientError::from)?;
            return Err(not_here());
        }
        let found = self.bucket_or_new(&volume, &bucket).await?;
        let new =
            NewKey { size, replication: Some(replication(&found, wanted)), ..NewKey::default() };
        let writer = self.client.create_file(&volume, &bucket, &key, new, true, overwrite).await;
        writer.map_err(|error| match error.status() {
            Some(status @ (Status::FileAlreadyExists | Status::NotAFile)) => {
                let text = FsError::from(error).to_string();
                FsError::AlreadyExists(format!("{}: {text}", status.as_str_name()))
            }
            _ => error.into(),
        })
    }

    /// Sets the modification time, in milliseconds since 1970; negative values leave it.
    ///
    /// # Errors
    /// See [`FsError`].
    pub async fn set_times(
        &self,
        path: &str,
        modification: i64,
        access: i64,
    ) -> Result<(), FsError> {
        let Place::Key { volume, bucket, key, .. } = self.place(path)? else {
            return Err(FsError::NotFound(
                "getBucket: Invalid argument: given bucket string is empty.".to_owned(),
            ));
        };
        self.bucket(&volume, &bucket).await?;
        let set = SetTimesRequest {
            key_args: key_args(&volume, &bucket, &key),
            mtime: modification.cast_unsigned(),
            atime: access.cast_unsigned(),
        };
        let request = OmRequest {
            cmd_type: Type::SetTimes.into(),
            set_times_request: Some(Box::new(set)),
            ..Default::default()
        };
        self.client.om().submit(request).await?;
        Ok(())
    }

    /// A file's checksum; `None` for what has none.
    ///
    /// # Errors
    /// See [`FsError`].
    pub async fn checksum(&self, path: &str) -> Result<Option<FileChecksum>, FsError> {
        let Place::Key { volume, bucket, key, .. } = self.place(path)? else { return Ok(None) };
        if key.is_empty() {
            return Ok(None);
        }
        self.bucket(&volume, &bucket).await?;
        let combine = self.settings.checksums;
        let (_, sum) = self.client.key_checksum(&volume, &bucket, &key, combine).await?;
        Ok(Some(sum))
    }
}

/// The wanted one, else three copies; an erasure coded bucket decides itself
/// (`OzoneClientUtils.resolveClientSideReplicationConfig`).
fn replication(bucket: &Bucket, wanted: Option<ReplicationConfig>) -> ReplicationConfig {
    match (bucket.replication, wanted) {
        (Some(ec @ ReplicationConfig::Ec(_)), _) => ec,
        (_, Some(wanted)) => wanted,
        _ => ReplicationConfig::Ratis(ReplicationFactor::Three),
    }
}

/// Takes an answer that somebody else was faster for success.
fn unless(outcome: Result<(), ClientError>, fine: Status) -> Result<(), FsError> {
    match outcome {
        Err(error) if error.status() == Some(fine) => Ok(()),
        other => Ok(other?),
    }
}

fn already_exists(error: ClientError) -> FsError {
    match error.status() {
        Some(Status::FileAlreadyExists) => FsError::AlreadyExists(FsError::from(error).to_string()),
        _ => error.into(),
    }
}
