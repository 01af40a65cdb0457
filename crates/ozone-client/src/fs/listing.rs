//! Listings, page by page, and what a whole tree adds up to.

use om_proto::{ListStatusRequest, OmRequest, Status, Type};

use super::{FileStatus, FsError, OzoneFileSystem, Place, directory_of};
use crate::key::key_args;
use crate::volume::VolumeScope;

/// A part of a directory's entries.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Page {
    /// Entries in the server's order: by name.
    pub entries: Vec<FileStatus>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<String>,
}

/// What a tree adds up to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    /// Bytes of files.
    pub length: u64,
    /// Bytes on all disks.
    pub disk_consumed: u64,
    /// Files.
    pub files: u64,
    /// Directories, the first included.
    pub directories: u64,
}

impl OzoneFileSystem {
    /// All entries of a directory; of a file, the file itself.
    ///
    /// # Errors
    /// [`FsError::NotFound`], or see [`FsError`].
    pub async fn list(&self, path: &str) -> Result<Vec<FileStatus>, FsError> {
        let mut entries = Vec::new();
        let mut start = None;
        loop {
            let page = self.list_page(path, start.as_deref()).await?;
            entries.extend(page.entries);
            match page.next {
                Some(next) => start = Some(next),
                None => return Ok(entries),
            }
        }
    }

    /// One page of the entries of a directory; `start` is the `next` of the page before.
    ///
    /// # Errors
    /// [`FsError::NotFound`], or see [`FsError`].
    pub async fn list_page(&self, path: &str, start: Option<&str>) -> Result<Page, FsError> {
        match self.place(path)? {
            Place::Root => self.volumes_page(start).await,
            Place::Volume(volume) => self.buckets_page(&volume, start).await,
            Place::Key { volume, bucket, key, prefix } => {
                self.files_page(&volume, &bucket, &key, &prefix, start).await
            }
        }
    }

    async fn volumes_page(&self, start: Option<&str>) -> Result<Page, FsError> {
        let count = self.settings.listing_page;
        let scope = VolumeScope::OwnedBy(self.client.user().to_owned());
        let volumes = self.client.list_volumes(&scope, None, start, count).await?;
        let next = volumes.last().map(|last| last.name.clone());
        let entries = volumes
            .iter()
            .map(|volume| {
                directory_of(format!("/{}", volume.name), &volume.owner, volume.creation_time)
            })
            .collect();
        Ok(Page { entries, next })
    }

    async fn buckets_page(&self, volume: &str, start: Option<&str>) -> Result<Page, FsError> {
        let count = self.settings.listing_page;
        if start.is_none() {
            self.client.volume(volume).await?;
        }
        let buckets = self.client.list_buckets(volume, None, start, count, false).await?;
        let next = buckets.last().map(|last| last.name.clone());
        let entries = buckets
            .iter()
            .map(|bucket| {
                let path = format!("/{volume}/{}", bucket.name);
                let owner = bucket.owner.as_deref().unwrap_or_default();
                directory_of(path, owner, bucket.creation_time)
            })
            .collect();
        Ok(Page { entries, next })
    }

    async fn files_page(
        &self,
        volume: &str,
        bucket: &str,
        key: &str,
        prefix: &str,
        start: Option<&str>,
    ) -> Result<Page, FsError> {
        let found = self.bucket(volume, bucket).await?;
        if let Some((volume, bucket)) = &found.source
            && let Err(error) = self.client.bucket(volume, bucket).await
        {
            let error = FsError::from(error);
            // A link whose target is gone is empty.
            return if error.is_missing() { Ok(Page::default()) } else { Err(error) };
        }
        let list = ListStatusRequest {
            key_args: key_args(volume, bucket, key),
            recursive: false,
            start_key: start.unwrap_or_default().to_owned(),
            num_entries: self.settings.listing_page.into(),
            allow_partial_prefix: Some(false),
        };
        let request = OmRequest {
            cmd_type: Type::ListStatusLight.into(),
            list_status_request: Some(Box::new(list)),
            ..Default::default()
        };
        let response = self.client.om().submit(request).await.map_err(|error| {
            let error = FsError::from(error);
            if error.status() == Some(Status::FileNotFound) {
                return FsError::NotFound(error.to_string());
            }
            error
        })?;
        let statuses = response.list_status_light_response.unwrap_or_default().statuses;
        let full = statuses.len() >= self.settings.listing_page as usize;
        let mut entries = Vec::with_capacity(statuses.len());
        let mut last = None;
        for status in statuses {
            let is_directory = status.is_directory.unwrap_or_default();
            let Some(info) = status.basic_key_info else { continue };
            let name = info.key_name.clone().unwrap_or_default();
            // The start is listed again.
            let again = start == Some(name.as_str());
            let path = format!("{prefix}/{}", name.trim_end_matches('/'));
            last = Some(name);
            if !again {
                let block_size = status.block_size.unwrap_or_default();
                entries.push(FileStatus { path, ..self.shown(info, is_directory, block_size) });
            }
        }
        let next = last.filter(|_| full && !entries.is_empty());
        Ok(Page { entries, next })
    }

    /// What a file or tree adds up to.
    ///
    /// # Errors
    /// [`FsError::NotFound`], or see [`FsError`].
    pub async fn summary(&self, path: &str) -> Result<Summary, FsError> {
        let mut sum = Summary::default();
        let first = self.status(path).await?;
        let mut directories = Vec::new();
        let count = |status: FileStatus, sum: &mut Summary| {
            if status.is_directory {
                return Some(status.path);
            }
            sum.files += 1;
            sum.length += status.length;
            sum.disk_consumed += status.disk_consumed;
            None
        };
        directories.extend(count(first, &mut sum));
        while let Some(directory) = directories.pop() {
            sum.directories += 1;
            let mut start = None;
            loop {
                let page = self.list_page(&directory, start.as_deref()).await?;
                directories.extend(page.entries.into_iter().filter_map(|s| count(s, &mut sum)));
                start = page.next;
                if start.is_none() {
                    break;
                }
            }
        }
        Ok(sum)
    }

    /// The trash directories of the user; those that cannot be read are left out.
    ///
    /// # Errors
    /// The volumes of the user cannot be listed.
    pub async fn trash_roots(&self) -> Result<Vec<FileStatus>, FsError> {
        let user = self.client.user().to_owned();
        let mut roots = Vec::new();
        let mut add = |found: Result<FileStatus, FsError>| {
            roots.extend(found.ok().filter(|status| status.is_directory));
        };
        if !self.is_rooted() {
            add(self.status(&format!("/.Trash/{user}")).await);
            return Ok(roots);
        }
        for volume in self.list("/").await? {
            for bucket in self.list(&volume.path).await? {
                add(self.status(&format!("{}/.Trash/{user}", bucket.path)).await);
            }
        }
        Ok(roots)
    }
}
