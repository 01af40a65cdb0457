//! The folder with a group's log, as the log needs it: a handful of operations, so that a test can put
//! a simulated disk beneath the very code that runs on a real one.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::error::LogError;

/// A file that is open for writing.
pub trait WritableFile: Send {
    /// Writes all bytes at an offset; the file grows with zeros if need be.
    ///
    /// # Errors
    /// The disk refuses.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Cuts or extends the file.
    ///
    /// # Errors
    /// The disk refuses.
    fn set_len(&self, bytes: u64) -> io::Result<()>;

    /// Size in bytes.
    ///
    /// # Errors
    /// The disk refuses.
    fn len(&self) -> io::Result<u64>;

    /// Whether it has no bytes.
    ///
    /// # Errors
    /// The disk refuses.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// What was written survives a crash.
    ///
    /// # Errors
    /// The disk refuses; nothing is known about earlier writes then.
    fn sync_data(&self) -> io::Result<()>;

    /// As [`Self::sync_data`], and a new size does, too.
    ///
    /// # Errors
    /// See [`Self::sync_data`].
    fn sync_all(&self) -> io::Result<()>;
}

/// A folder of files. Names are plain file names.
pub trait Folder: Send {
    /// Where it is, for messages.
    fn path(&self) -> &Path;

    /// Names of all files.
    ///
    /// # Errors
    /// The disk refuses.
    fn list(&self) -> io::Result<Vec<String>>;

    /// The content of a file.
    ///
    /// # Errors
    /// The file is not there, or the disk refuses.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;

    /// Opens an empty file, in place of one that may be there.
    ///
    /// # Errors
    /// The disk refuses.
    fn create(&self, name: &str) -> io::Result<Box<dyn WritableFile>>;

    /// Opens a file.
    ///
    /// # Errors
    /// The file is not there, or the disk refuses.
    fn open(&self, name: &str) -> io::Result<Box<dyn WritableFile>>;

    /// Renames a file, in place of one that may have the name.
    ///
    /// # Errors
    /// The file is not there, or the disk refuses.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// The file is not there, or the disk refuses.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Names that were given and taken survive a crash.
    ///
    /// # Errors
    /// The disk refuses.
    fn sync(&self) -> io::Result<()>;
}

impl WritableFile for File {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, offset)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        Self::set_len(self, bytes)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn sync_data(&self) -> io::Result<()> {
        Self::sync_data(self)
    }

    fn sync_all(&self) -> io::Result<()> {
        Self::sync_all(self)
    }
}

/// A folder of the file system.
#[derive(Clone, Debug)]
pub(crate) struct FsFolder(pub PathBuf);

impl Folder for FsFolder {
    fn path(&self) -> &Path {
        &self.0
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.0.join(name))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn WritableFile>> {
        Ok(Box::new(File::create(self.0.join(name))?))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn WritableFile>> {
        Ok(Box::new(OpenOptions::new().write(true).open(self.0.join(name))?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.0.join(from), self.0.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.0.join(name))
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }
}

/// A folder whose errors say what was tried on which file.
pub(crate) struct Place(Box<dyn Folder>);

impl Place {
    pub fn new(folder: Box<dyn Folder>) -> Self {
        Self(folder)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn tried<T>(
        &self,
        action: &'static str,
        name: &str,
        result: io::Result<T>,
    ) -> Result<T, LogError> {
        result.map_err(|source| LogError::Io { action, path: self.path(name), source })
    }

    pub fn list(&self) -> Result<Vec<String>, LogError> {
        self.tried("list", "", self.0.list())
    }

    pub fn read(&self, name: &str) -> Result<Vec<u8>, LogError> {
        self.tried("read", name, self.0.read(name))
    }

    /// `None` if there is no such file.
    pub fn read_if_there(&self, name: &str) -> Result<Option<Vec<u8>>, LogError> {
        match self.0.read(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            other => self.tried("read", name, other).map(Some),
        }
    }

    pub fn create(&self, name: &str) -> Result<OpenFile, LogError> {
        let file = self.tried("create", name, self.0.create(name))?;
        Ok(OpenFile { file, path: self.path(name), size: 0 })
    }

    pub fn open(&self, name: &str) -> Result<OpenFile, LogError> {
        let file = self.tried("open", name, self.0.open(name))?;
        let size = self.tried("inspect", name, file.len())?;
        Ok(OpenFile { file, path: self.path(name), size })
    }

    pub fn rename(&self, from: &str, to: &str) -> Result<(), LogError> {
        self.tried("rename", from, self.0.rename(from, to))
    }

    pub fn remove(&self, name: &str) -> Result<(), LogError> {
        self.tried("remove", name, self.0.remove(name))
    }

    pub fn sync(&self) -> Result<(), LogError> {
        self.tried("sync", "", self.0.sync())
    }

    /// Replaces a file so that a crash leaves the old or the new content.
    pub fn replace(&self, name: &str, content: &[u8]) -> Result<(), LogError> {
        let temporary = format!("{name}.tmp");
        let mut file = self.create(&temporary)?;
        file.write(content, 0)?;
        file.sync()?;
        self.rename(&temporary, name)?;
        self.sync()
    }
}

/// An open file that knows its size and its name.
pub(crate) struct OpenFile {
    file: Box<dyn WritableFile>,
    pub path: PathBuf,
    /// Bytes in use and the zeros ahead of them.
    pub size: u64,
}

impl OpenFile {
    pub fn write(&mut self, bytes: &[u8], offset: u64) -> Result<(), LogError> {
        self.file.write_all_at(bytes, offset).map_err(LogError::io("write", &self.path))?;
        self.size = self.size.max(offset.saturating_add(bytes.len() as u64));
        Ok(())
    }

    pub fn sync(&self) -> Result<(), LogError> {
        self.file.sync_data().map_err(LogError::io("sync", &self.path))
    }

    /// Cuts the file and makes that survive a crash.
    pub fn cut(&mut self, bytes: u64) -> Result<(), LogError> {
        self.file.set_len(bytes).map_err(LogError::io("truncate", &self.path))?;
        self.size = bytes;
        self.file.sync_all().map_err(LogError::io("sync", &self.path))
    }
}
