//! Renaming and deleting files and trees.
//!
//! A bucket of layout FILE_SYSTEM_OPTIMIZED does either in one request. In one of layout LEGACY a
//! directory is its keys, one after the other: who stops halfway leaves half of it.

use om_proto::{BucketLayoutProto, Status};

use super::{FileStatus, FsError, OzoneFileSystem, Place};
use crate::Bucket;

impl OzoneFileSystem {
    /// Renames a file or directory within its bucket. `false` if the server refuses.
    ///
    /// # Errors
    /// See [`FsError`].
    pub async fn rename(&self, from: &str, to: &str) -> Result<bool, FsError> {
        if from == to {
            return Ok(true);
        }
        if from == "/" {
            return Ok(false);
        }
        let (source, target) = (self.place(from)?, self.place(to)?);
        if !source.in_same_bucket(&target) {
            return Err(FsError::Io(
                "Cannot rename across different volumes or buckets. Only supported within the \
                 same bucket."
                    .to_owned(),
            ));
        }
        let Place::Key { volume, bucket, key, .. } = source else {
            return Err(FsError::NotFound(
                "getBucket: Invalid argument: given bucket string is empty.".to_owned(),
            ));
        };
        let Place::Key { key: new_key, .. } = target else { return Ok(false) };
        let found = self.bucket(&volume, &bucket).await?;
        if found.layout == BucketLayoutProto::FileSystemOptimized {
            return self.rename_key(&found, &key, &new_key).await;
        }
        self.rename_by_keys(&found, from, to).await
    }

    async fn rename_key(&self, bucket: &Bucket, from: &str, to: &str) -> Result<bool, FsError> {
        let renamed = self.client.rename_key(&bucket.volume, &bucket.name, from, to).await;
        match renamed {
            Ok(()) => Ok(true),
            Err(error) => match error.status() {
                Some(Status::KeyAlreadyExists | Status::KeyRenameError | Status::KeyNotFound) => {
                    tracing::debug!(%error, from, to, "the key was not renamed");
                    Ok(false)
                }
                _ => Err(error.into()),
            },
        }
    }

    async fn rename_by_keys(&self, bucket: &Bucket, from: &str, to: &str) -> Result<bool, FsError> {
        let source = match self.status(from).await {
            Err(FsError::NotFound(_)) => return Ok(false),
            other => other?,
        };
        if (self.is_rooted() || source.is_directory) && is_below(to, from) {
            return Err(FsError::Illegal(
                "Cannot rename a directory to its own subdirectory".to_owned(),
            ));
        }
        let Some(to) = self.rename_target(&source, from, to).await? else { return Ok(false) };
        let (Place::Key { key, .. }, Place::Key { key: new_key, .. }) =
            (self.place(from)?, self.place(&to)?)
        else {
            return Ok(false);
        };
        if !source.is_directory {
            let renamed = self.rename_key(bucket, &key, &new_key).await?;
            if renamed {
                self.keep_parent(from).await?;
            }
            return Ok(renamed);
        }
        let mut start: Option<String> = None;
        loop {
            let prefix = format!("{key}/");
            let page = self.settings.listing_page;
            let (keys, more) =
                self.client.list_keys(bucket, &prefix, start.as_deref(), page).await?;
            for found in &keys {
                let renamed = format!("{new_key}{}", &found.name[key.len()..]);
                if !self.rename_key(bucket, &found.name, &renamed).await? {
                    return Ok(false);
                }
            }
            match keys.last() {
                Some(last) if more => start = Some(last.name.clone()),
                _ => break,
            }
        }
        self.keep_parent(from).await?;
        Ok(true)
    }

    /// Where a renamed file or directory goes: into a directory that exists, else to the path
    /// itself, whose parent must be a directory. `None` if something is there.
    async fn rename_target(
        &self,
        source: &FileStatus,
        from: &str,
        to: &str,
    ) -> Result<Option<String>, FsError> {
        let target = match self.status(to).await {
            Err(FsError::NotFound(_)) => None,
            other => Some(other?),
        };
        let Some(target) = target else {
            let parent = parent(to).unwrap_or("/");
            if !self.status(parent).await?.is_directory {
                return Err(FsError::Io(format!(
                    "Failed to rename {from} to {to}, {parent} is a file"
                )));
            }
            return Ok(Some(to.to_owned()));
        };
        if !target.is_directory || source.path == target.path {
            return Ok(None);
        }
        let name = from.rsplit('/').next().unwrap_or_default();
        let inside = format!("{}/{name}", to.trim_end_matches('/'));
        match self.list_page(&inside, None).await {
            Ok(page) if !page.entries.is_empty() => Ok(None),
            Ok(_) | Err(FsError::NotFound(_)) => {
                let into_itself = source.is_directory && is_below(&inside, from);
                Ok(Some(inside).filter(|_| !into_itself))
            }
            Err(error) => Err(error),
        }
    }

    /// Deletes a file, directory, bucket or volume. `false` if there is nothing, or it stays.
    ///
    /// # Errors
    /// [`FsError::NotEmpty`] for a directory with entries unless `recursive`, or see [`FsError`].
    pub async fn delete(&self, path: &str, recursive: bool) -> Result<bool, FsError> {
        let place = self.place(path)?;
        let Place::Key { volume, bucket, key, .. } = place else {
            return self.delete_volume(path, place, recursive).await;
        };
        let status = match self.status(path).await {
            Err(FsError::NotFound(_)) => return Ok(false),
            other => other?,
        };
        let found = self.bucket(&volume, &bucket).await?;
        if key.is_empty() {
            return self.delete_bucket(path, &found, recursive).await;
        }
        let optimized = found.layout == BucketLayoutProto::FileSystemOptimized;
        if !status.is_directory || optimized {
            let deleted = self.delete_key(path, &found, &key, recursive).await?;
            if deleted && !optimized {
                self.keep_parent(path).await?;
            }
            return Ok(deleted);
        }
        if !recursive && !self.list_page(path, None).await?.entries.is_empty() {
            return Err(FsError::NotEmpty(path.to_owned()));
        }
        let deleted = self.delete_below(&found, &format!("{key}/")).await?;
        self.keep_parent(path).await?;
        Ok(deleted || recursive)
    }

    async fn delete_key(
        &self,
        path: &str,
        bucket: &Bucket,
        key: &str,
        recursive: bool,
    ) -> Result<bool, FsError> {
        match self.client.delete_key(&bucket.volume, &bucket.name, key, recursive).await {
            Ok(()) => Ok(true),
            Err(error) => match error.status() {
                Some(Status::DirectoryNotEmpty) => Err(FsError::NotEmpty(path.to_owned())),
                Some(Status::InvalidKeyName) => Err(FsError::NotPermitted(path.to_owned())),
                Some(Status::KeyNotFound | Status::FileNotFound) => Ok(false),
                _ => Err(error.into()),
            },
        }
    }

    /// Deletes every key with a prefix, a batch at a time. `false` if a batch failed.
    async fn delete_below(&self, bucket: &Bucket, prefix: &str) -> Result<bool, FsError> {
        let page = self.settings.listing_page;
        let mut succeeded = true;
        let mut start: Option<String> = None;
        loop {
            let (keys, more) =
                self.client.list_keys(bucket, prefix, start.as_deref(), page).await?;
            let last = keys.last().map(|last| last.name.clone());
            let names: Vec<String> = keys.into_iter().map(|key| key.name).collect();
            for batch in names.chunks(self.settings.batch) {
                let deleted =
                    self.client.delete_keys(&bucket.volume, &bucket.name, batch.to_vec()).await;
                if let Err(error) = deleted {
                    tracing::debug!(%error, "a batch of keys was not deleted");
                    succeeded = false;
                }
            }
            match last {
                Some(last) if more => start = Some(last),
                _ => return Ok(succeeded),
            }
        }
    }

    /// Deletes all that is in a directory or bucket, which stays. `false` if something else stays, too.
    ///
    /// # Errors
    /// See [`FsError`].
    pub async fn delete_entries(&self, path: &str) -> Result<bool, FsError> {
        let mut deleted = true;
        for entry in self.list(path).await? {
            deleted &= Box::pin(self.delete(&entry.path, true)).await?;
        }
        Ok(deleted)
    }

    async fn delete_bucket(
        &self,
        path: &str,
        bucket: &Bucket,
        recursive: bool,
    ) -> Result<bool, FsError> {
        if !self.is_rooted() {
            return Ok(false);
        }
        if !bucket.is_link() {
            let entries = self.list(path).await?;
            if !entries.is_empty() && !recursive {
                return Err(FsError::NotEmpty(path.to_owned()));
            }
            if bucket.layout == BucketLayoutProto::FileSystemOptimized {
                for entry in entries {
                    let Place::Key { key, .. } = self.place(&entry.path)? else { continue };
                    self.delete_key(&entry.path, bucket, &key, true).await?;
                }
            } else {
                self.delete_below(bucket, "").await?;
            }
        }
        let deleted = self.client.delete_bucket(&bucket.volume, &bucket.name).await;
        self.forget_bucket(&bucket.volume, &bucket.name);
        match deleted {
            Err(error) if error.status() == Some(Status::BucketNotEmpty) => {
                Err(FsError::NotEmpty(path.to_owned()))
            }
            other => Ok(other.map(|()| true)?),
        }
    }

    async fn delete_volume(
        &self,
        path: &str,
        place: Place,
        recursive: bool,
    ) -> Result<bool, FsError> {
        let Place::Volume(volume) = place else { return Ok(false) };
        if recursive {
            return Err(FsError::Io(
                "Recursive volume delete using ofs is not supported. Instead use 'ozone sh volume \
                 delete -r o3://<OM_SERVICE_ID>/<Volume_URI>' command"
                    .to_owned(),
            ));
        }
        match self.client.delete_volume(&volume).await {
            Ok(()) => Ok(true),
            Err(error) => match error.status() {
                Some(Status::VolumeNotFound) => Ok(false),
                Some(Status::VolumeNotEmpty) => Err(FsError::NotEmpty(path.to_owned())),
                _ => Err(error.into()),
            },
        }
    }

    /// In a bucket of keys a directory may exist only by what is below it: makes it one of its own
    /// when that is gone.
    async fn keep_parent(&self, path: &str) -> Result<(), FsError> {
        let Some(parent) = parent(path).filter(|parent| *parent != "/") else { return Ok(()) };
        if let Place::Key { volume, bucket, key, .. } = self.place(parent)?
            && !key.is_empty()
            && !self.exists(parent).await?
        {
            self.client.create_directory(&volume, &bucket, &key).await?;
        }
        Ok(())
    }
}

fn parent(path: &str) -> Option<&str> {
    let end = path.rfind('/')?;
    Some(if end == 0 { "/" } else { &path[..end] }).filter(|_| path != "/")
}

fn is_below(path: &str, ancestor: &str) -> bool {
    path.strip_prefix(ancestor).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_end_at_the_root() {
        assert_eq!(parent("/a/b"), Some("/a"));
        assert_eq!(parent("/a"), Some("/"));
        assert_eq!(parent("/"), None);
        assert!(is_below("/a/b/c", "/a/b"));
        assert!(!is_below("/a/bc", "/a/b"));
    }
}
