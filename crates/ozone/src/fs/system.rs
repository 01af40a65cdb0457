//! A file system that a command works on, Ozone's or the local one, called from plain code.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use ozone_client::OmAddress;
use ozone_client::fs::{FileStatus, FsError, OzoneFileSystem, Page, Summary};
use ozone_client::key::FileChecksum;
use ozone_client::key::{KeyReader, KeyWriter};
use ozone_config::Configuration;
use tokio::runtime::Handle;

use super::local;
use super::path::FsPath;
use super::trouble::Trouble;

/// Bytes read from a local file at once; as a chunk of Ozone, so that it is passed on uncopied.
const PIECE_BYTES: usize = 4 << 20;

const OFS_FORMS: &str = "URL should be one of the following formats: \
    ofs://om-service-id/path/to/key  OR ofs://om-host.example.com/path/to/key  OR \
    ofs://om-host.example.com:5678/path/to/key";
const O3FS_FORMS: &str = "Ozone file system URL should be one of the following formats: \
    o3fs://bucket.volume/key  OR o3fs://bucket.volume.om-host.example.com/key  OR \
    o3fs://bucket.volume.om-host.example.com:5678/key  OR o3fs://bucket.volume.omServiceId/key";

/// One file system.
pub struct System {
    /// Its root: scheme and authority.
    pub root: FsPath,
    /// Directory that relative paths begin at.
    pub working_directory: String,
    kind: Kind,
}

enum Kind {
    Local,
    Ozone { fs: Box<OzoneFileSystem>, runtime: Handle },
}

/// Systems are shared by all paths in them.
pub type SharedSystem = Arc<System>;

impl System {
    /// The file system of a path that has a scheme.
    ///
    /// # Errors
    /// There is none of this scheme, the authority is none, or the cluster cannot be reached.
    pub fn open(path: &FsPath, conf: &Configuration, runtime: Handle) -> Result<Self, Trouble> {
        let scheme = path.scheme.as_deref().unwrap_or("file");
        if scheme == "file" {
            let here = std::env::current_dir()?;
            return Ok(Self {
                root: FsPath { scheme: Some("file".to_owned()), authority: None, path: "/".into() },
                working_directory: here.to_string_lossy().into_owned(),
                kind: Kind::Local,
            });
        }
        let fs = match (scheme, &path.authority) {
            ("ofs", Some(authority)) => {
                let address =
                    address(authority).ok_or_else(|| Trouble::Illegal(OFS_FORMS.to_owned()))?;
                check_host(&address, authority)?;
                OzoneFileSystem::rooted(conf, &address)?
            }
            ("o3fs", Some(authority)) => {
                let (bucket, volume, address) = bucket_address(authority)
                    .ok_or_else(|| Trouble::Illegal(O3FS_FORMS.to_owned()))?;
                check_host(&address, authority)?;
                runtime.block_on(OzoneFileSystem::in_bucket(conf, &address, volume, bucket))?
            }
            ("ofs", None) => return Err(Trouble::Illegal(OFS_FORMS.to_owned())),
            ("o3fs", None) => return Err(Trouble::Illegal(O3FS_FORMS.to_owned())),
            _ => {
                return Err(Trouble::Message(format!("No FileSystem for scheme \"{scheme}\"")));
            }
        };
        super::shell::tell_of_waits(fs.client());
        Ok(Self {
            working_directory: format!("/user/{}", fs.client().user()),
            root: path.with_path("/"),
            kind: Kind::Ozone { fs: Box::new(fs), runtime },
        })
    }

    /// Files of this machine.
    pub fn is_local(&self) -> bool {
        matches!(self.kind, Kind::Local)
    }

    /// The Ozone file system behind it, if it is one.
    pub fn ozone(&self) -> Option<&OzoneFileSystem> {
        match &self.kind {
            Kind::Ozone { fs, .. } => Some(fs),
            Kind::Local => None,
        }
    }

    /// Without a trailing slash, as a URI of a file system is told.
    pub fn uri(&self) -> String {
        match self.kind {
            Kind::Local => "file:///".to_owned(),
            Kind::Ozone { .. } => self.root.with_path("").to_string(),
        }
    }

    /// One file or directory.
    ///
    /// # Errors
    /// See [`FsError`].
    pub fn status(&self, path: &FsPath) -> Result<FileStatus, FsError> {
        match &self.kind {
            Kind::Local => local::status(&path.path),
            Kind::Ozone { fs, runtime } => runtime.block_on(fs.status(&path.path)),
        }
    }

    /// Whether there is something.
    ///
    /// # Errors
    /// See [`FsError`].
    pub fn exists(&self, path: &FsPath) -> Result<bool, FsError> {
        match self.status(path) {
            Ok(_) => Ok(true),
            Err(FsError::NotFound(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// All entries of a directory.
    ///
    /// # Errors
    /// See [`FsError`].
    pub fn list(&self, path: &FsPath) -> Result<Vec<FileStatus>, FsError> {
        match &self.kind {
            Kind::Local => local::list(&path.path),
            Kind::Ozone { fs, runtime } => runtime.block_on(fs.list(&path.path)),
        }
    }

    /// Some entries of a directory; see [`OzoneFileSystem::list_page`].
    ///
    /// # Errors
    /// See [`FsError`].
    pub fn list_page(&self, path: &FsPath, start: Option<&str>) -> Result<Page, FsError> {
        match &self.kind {
            Kind::Local => Ok(Page { entries: local::list(&path.path)?, next: None }),
            Kind::Ozone { fs, runtime } => {
                let at_top = path.path == "/" || path.path.matches('/').count() == 1;
                if fs.is_rooted() && at_top && !path.path.starts_with("/tmp") {
                    return Err(FsError::Io(
                        "Recursive list root/volume using ofs is not supported. Instead use \
                         'ozone sh key list <Volume_URI>' command"
                            .to_owned(),
                    ));
                }
                runtime.block_on(fs.list_page(&path.path, start))
            }
        }
    }

    /// Makes a directory with its parents.
    ///
    /// # Errors
    /// See [`FsError`].
    pub fn mkdirs(&self, path: &FsPath) -> Result<bool, FsError> {
        match &self.kind {
            Kind::Local => local::mkdirs(&path.path),
            Kind::Ozone { fs, runtime } => runtime.block_on(fs.mkdirs(&path.path)),
        }
    }

    /// Renames; `false` if it was refused.
    ///
    /// # Errors
    /// See [`FsError`].
    pub fn rename(&self, from: &FsPath, to: &FsPath) -> Result<bool, FsError> {
        match &self.kind {
            Kind::Local => local::rename(&from.path, &to.path),
            Kind::Ozone { fs, runtime } => runtime.block_on(fs.rename(&from.path, &to.path)),
        }
    }

    /// Deletes; `false` if nothing was there.
    ///
    /// # Errors
    /// [`FsError::NotEmpty`] with the whole path, or see [`FsError`].
    pub fn delete(&self, path: &FsPath, recursive: bool) -> Result<bool, FsError> {
        match &self.kind {
            Kind::Local => local::delete(&path.path, recursive),
            Kind::Ozone { fs, runtime } => {
                let full = |error| match error {
                    FsError::NotEmpty(_) => FsError::NotEmpty(path.to_string()),
                    other => other,
                };
                runtime.block_on(fs.delete(&path.path, recursive)).map_err(full)
            }
        }
    }

    /// Deletes all that is in a directory or bucket, which stays.
    ///
    /// # Errors
    /// See [`FsError`].
    pub fn delete_entries(&self, path: &FsPath) -> Result<bool, FsError> {
        match &self.kind {
            Kind::Local => Ok(false),
            Kind::Ozone { fs, runtime } => runtime.block_on(fs.delete_entries(&path.path)),
        }
    }

    /// Whether it is a bucket that stands for another one.
    ///
    /// # Errors
    /// See [`FsError`].
    pub fn is_link(&self, path: &FsPath) -> Result<bool, FsError> {
        match &self.kind {
            Kind::Local => Ok(false),
            Kind::Ozone { fs, runtime } => runtime.block_on(fs.is_link(&path.path)),
        }
    }

    /// Files, directories and bytes.
    ///
    /// # Errors
    /// See [`FsError`].
    pub fn summary(&self, path: &FsPath) -> Result<Summary, FsError> {
        match &self.kind {
            Kind::Local => local::summary(&path.path),
            Kind::Ozone { fs, runtime } => runtime.block_on(fs.summary(&path.path)),
        }
    }

    /// Sets times, in milliseconds since 1970; negative values leave what is there.
    ///
    /// # Errors
    /// See [`FsError`].
    pub fn set_times(&self, path: &FsPath, modified: i64, accessed: i64) -> Result<(), FsError> {
        match &self.kind {
            Kind::Local => local::set_times(&path.path, modified, accessed),
            Kind::Ozone { fs, runtime } => {
                runtime.block_on(fs.set_times(&path.path, modified, accessed))
            }
        }
    }

    /// Sets permission bits; Ozone has none and takes no notice.
    ///
    /// # Errors
    /// See [`FsError`].
    pub fn set_mode(&self, path: &FsPath, mode: u16) -> Result<(), FsError> {
        match &self.kind {
            Kind::Local => local::set_mode(&path.path, mode),
            Kind::Ozone { .. } => Ok(()),
        }
    }

    /// A file's checksum; `None` for what has none.
    ///
    /// # Errors
    /// See [`FsError`].
    pub fn checksum(&self, path: &FsPath) -> Result<Option<FileChecksum>, FsError> {
        match &self.kind {
            Kind::Local => Ok(None),
            Kind::Ozone { fs, runtime } => runtime.block_on(fs.checksum(&path.path)),
        }
    }

    /// The user's trash directories.
    ///
    /// # Errors
    /// See [`FsError`].
    pub fn trash_roots(&self) -> Result<Vec<FileStatus>, FsError> {
        match &self.kind {
            Kind::Local => Ok(Vec::new()),
            Kind::Ozone { fs, runtime } => runtime.block_on(fs.trash_roots()),
        }
    }

    /// Reads a file from `offset`, at most `length` bytes.
    ///
    /// # Errors
    /// See [`FsError`].
    pub fn read(&self, path: &FsPath, offset: u64, length: u64) -> Result<Reader, Trouble> {
        match &self.kind {
            Kind::Local => {
                let told = |error| local::told(&path.path, &error);
                let mut file = File::open(&path.path).map_err(told)?;
                file.seek(SeekFrom::Start(offset)).map_err(told)?;
                let size = file.metadata().map_err(told)?.len();
                let length = size.saturating_sub(offset).min(length);
                Ok(Reader { length, source: Source::Stream(Box::new(file.take(length))) })
            }
            Kind::Ozone { fs, runtime } => {
                let reader = runtime.block_on(fs.open_at(&path.path, offset, length))?;
                let length = reader.length();
                let source = Source::Ozone(Box::new(reader), runtime.clone());
                Ok(Reader { length, source })
            }
        }
    }

    /// Makes a file, or an existing one empty.
    ///
    /// # Errors
    /// See [`FsError`].
    pub fn create(&self, path: &FsPath, size: u64, overwrite: bool) -> Result<Writer, Trouble> {
        self.create_with(path, size, overwrite, false)
    }

    /// As [`Self::create`], with one copy of the data, in place of what there is.
    ///
    /// # Errors
    /// See [`FsError`].
    pub fn create_single(&self, path: &FsPath, size: u64) -> Result<Writer, Trouble> {
        self.create_with(path, size, true, true)
    }

    fn create_with(
        &self,
        path: &FsPath,
        size: u64,
        overwrite: bool,
        single: bool,
    ) -> Result<Writer, Trouble> {
        match &self.kind {
            Kind::Local => {
                if let Some(parent) = path.parent() {
                    local::mkdirs(&parent.path)?;
                }
                let file = File::create(&path.path).map_err(|e| local::told(&path.path, &e))?;
                Ok(Writer::Local(file))
            }
            Kind::Ozone { fs, runtime } => {
                let writer = if single {
                    runtime.block_on(fs.create_single(&path.path, size, overwrite))?
                } else {
                    runtime.block_on(fs.create(&path.path, size, overwrite))?
                };
                Ok(Writer::Ozone(Box::new(writer), runtime.clone()))
            }
        }
    }
}

/// `host`, `host:port` or a service.
fn address(authority: &str) -> Option<OmAddress> {
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port.parse().ok()?)),
        None => (authority, None),
    };
    Some(OmAddress::Named(host.to_owned(), port))
}

/// Refuses characters that no host and no service has.
fn check_host(address: &OmAddress, authority: &str) -> Result<(), Trouble> {
    let OmAddress::Named(host, _) = address else { return Ok(()) };
    if host.chars().all(|char| char.is_ascii_alphanumeric() || "-._~[]%".contains(char)) {
        return Ok(());
    }
    let text = format!("Does not contain a valid host:port authority: {authority}");
    Err(Trouble::Illegal(text))
}

/// `bucket.volume`, maybe with `.` and an address.
fn bucket_address(authority: &str) -> Option<(&str, &str, OmAddress)> {
    let (bucket, rest) = authority.split_once('.')?;
    let (volume, om) = rest.split_once('.').unwrap_or((rest, ""));
    if bucket.is_empty() || volume.is_empty() {
        return None;
    }
    let om = if om.is_empty() { OmAddress::Configured } else { address(om)? };
    Some((bucket, volume, om))
}

/// What is read: of a file, or standard input.
pub struct Reader {
    length: u64,
    source: Source,
}

enum Source {
    Stream(Box<dyn Read>),
    Ozone(Box<KeyReader>, Handle),
}

impl Reader {
    /// Standard input.
    pub fn stdin() -> Self {
        Self { length: 0, source: Source::Stream(Box::new(std::io::stdin())) }
    }

    /// Bytes in all; 0 if nobody knows.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn next(&mut self) -> Result<Option<Bytes>, Trouble> {
        match &mut self.source {
            Source::Ozone(reader, runtime) => Ok(runtime.block_on(reader.next())?),
            Source::Stream(stream) => {
                let mut buffer = BytesMut::zeroed(PIECE_BYTES);
                let mut filled = 0;
                while filled < PIECE_BYTES {
                    match stream.read(&mut buffer[filled..])? {
                        0 => break,
                        count => filled += count,
                    }
                }
                buffer.truncate(filled);
                Ok(Some(buffer.freeze()).filter(|piece| !piece.is_empty()))
            }
        }
    }
}

/// What is written. Nothing is to be seen of an Ozone file before [`Writer::close`].
pub enum Writer {
    /// A file of this machine.
    Local(File),
    /// A file in Ozone.
    Ozone(Box<KeyWriter>, Handle),
}

impl Writer {
    /// Appends.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&mut self, piece: Bytes) -> Result<(), Trouble> {
        match self {
            Self::Local(file) => Ok(file.write_all(&piece)?),
            Self::Ozone(writer, runtime) => Ok(runtime.block_on(writer.write(piece))?),
        }
    }

    /// Ends the file.
    ///
    /// # Errors
    /// Its data could not be written.
    pub fn close(self) -> Result<(), Trouble> {
        match self {
            Self::Local(mut file) => Ok(file.flush()?),
            Self::Ozone(writer, runtime) => Ok(runtime.block_on(writer.close())?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_name_a_service_a_host_or_a_bucket() {
        let named = |host: &str, port| OmAddress::Named(host.to_owned(), port);
        assert_eq!(address("svc"), Some(named("svc", None)));
        assert_eq!(address("127.0.0.1:20062"), Some(named("127.0.0.1", Some(20062))));
        assert_eq!(address("host:port"), None);
        let found = bucket_address("b.v.127.0.0.1:20062").unwrap();
        assert_eq!(found, ("b", "v", named("127.0.0.1", Some(20062))));
        assert_eq!(bucket_address("b.v").unwrap(), ("b", "v", OmAddress::Configured));
        assert_eq!(bucket_address("b"), None);
    }
}
