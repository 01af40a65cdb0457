//! Making directories and files, times, and checksums.

use hdds_client::block_chunks;
use hdds_types::{ReplicationConfig, ReplicationFactor};
use md5::{Digest, Md5};
use om_proto::{OmRequest, SetTimesRequest, Status, Type};

use super::{FsError, OzoneFileSystem, Place};
use crate::bucket::NewBucket;
use crate::key::{KeyWriter, NewKey, key_args};
use crate::volume::NewVolume;
use crate::{Bucket, ClientError};

/// Where the genuine client's buffer of block checksums begins; its unused rest is digested too.
const CHECKSUM_BUFFER_BYTES: usize = 32;

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
        let Place::Key { volume, bucket, key, .. } = self.place(path)? else {
            return Err(FsError::Io("Cannot create file under root or volume.".to_owned()));
        };
        if key.is_empty() {
            return Err(FsError::Io("Cannot create file under root or volume.".to_owned()));
        }
        let found = self.bucket_or_new(&volume, &bucket).await?;
        let new = NewKey { size, replication: Some(self.replication(&found)), ..NewKey::default() };
        let writer = self.client.create_file(&volume, &bucket, &key, new, true, overwrite).await;
        writer.map_err(|error| match error.status() {
            Some(status @ (Status::FileAlreadyExists | Status::NotAFile)) => {
                let text = FsError::from(error).to_string();
                FsError::AlreadyExists(format!("{}: {text}", status.as_str_name()))
            }
            _ => error.into(),
        })
    }

    /// That of the configuration, else three copies; an erasure coded bucket decides itself
    /// (`OzoneClientUtils.resolveClientSideReplicationConfig`).
    fn replication(&self, bucket: &Bucket) -> ReplicationConfig {
        match (bucket.replication, self.settings.replication) {
            (Some(ec @ ReplicationConfig::Ec(_)), _) => ec,
            (_, Some(configured)) => configured,
            _ => ReplicationConfig::Ratis(ReplicationFactor::Three),
        }
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

    /// Algorithm and value, in hexadecimal, of a file's checksum; `None` for what has none.
    ///
    /// # Errors
    /// See [`FsError`].
    pub async fn checksum(&self, path: &str) -> Result<Option<(String, String)>, FsError> {
        let Place::Key { volume, bucket, key, .. } = self.place(path)? else { return Ok(None) };
        if key.is_empty() {
            return Ok(None);
        }
        self.bucket(&volume, &bucket).await?;
        let found = self.client.key(&volume, &bucket, &key, false).await?;
        if found.locations.is_empty() {
            return Ok(Some(md5_text(0, "CRC32", &[])));
        }
        if !self.settings.md5_checksums {
            let (_, sum) = self.client.key_checksum(&volume, &bucket, &key).await?;
            return Ok(Some((sum.algorithm_name(), sum.to_string().to_lowercase())));
        }
        let (mut blocks, mut bytes_per_crc, mut kind) = (Vec::new(), 0, "CRC32");
        for location in &found.locations {
            let chunks =
                block_chunks(self.client.datanodes(), location).await.map_err(ClientError::from)?;
            let mut digest = Md5::new();
            for chunk in &chunks {
                let sums = &chunk.checksum_data;
                bytes_per_crc = sums.bytes_per_checksum;
                if let Ok(algorithm) = chunk_checksum::algorithm_of(sums) {
                    kind = algorithm.name();
                }
                for sum in &sums.checksums {
                    digest.update(&sum[..]);
                }
            }
            blocks.extend_from_slice(&digest.finalize());
        }
        Ok(Some(md5_text(bytes_per_crc, kind, &blocks)))
    }
}

/// `MD5MD5CRC32FileChecksum`: bytes per CRC, CRCs per block (never told), MD5 over the blocks' MD5s.
fn md5_text(bytes_per_crc: u32, kind: &str, blocks: &[u8]) -> (String, String) {
    let mut capacity = CHECKSUM_BUFFER_BYTES;
    while capacity < blocks.len() {
        capacity *= 2;
    }
    let mut buffer = blocks.to_vec();
    buffer.resize(capacity, 0);
    let digest = Md5::digest(&buffer);
    let mut hex = format!("{bytes_per_crc:08x}{:016x}", 0);
    hex.extend(digest.iter().map(|byte| format!("{byte:02x}")));
    (format!("MD5-of-0MD5-of-{bytes_per_crc}{kind}"), hex)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_has_the_checksum_that_hadoop_gives_it() {
        let (name, hex) = md5_text(0, "CRC32", &[]);
        assert_eq!(name, "MD5-of-0MD5-of-0CRC32");
        assert_eq!(hex, "00000000000000000000000070bc8f4b72a86921468bf8e8441dce51");
    }
}
