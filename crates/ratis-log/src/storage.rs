//! A group's directory and its lock.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use prost::Message;
use ratis_proto::common::LogEntryProto;
use uuid::Uuid;

use crate::error::LogError;
use crate::folder::{FsFolder, Place};
use crate::meta::{self, Metadata};

/// Paths of a group.
#[derive(Clone, Debug)]
pub(crate) struct GroupPaths {
    pub root: PathBuf,
    pub current: PathBuf,
    pub state_machine: PathBuf,
}

impl GroupPaths {
    pub fn new(storage: &Path, group: Uuid) -> Self {
        let root = storage.join(group.to_string());
        Self { current: root.join("current"), state_machine: root.join("sm"), root }
    }

    /// Makes the folders, `raft-meta.conf` with the first members if they are given, and last an
    /// initial `raft-meta`: a group that has one knows its members. True if the group is new.
    pub fn create(&self, members: Option<&LogEntryProto>) -> Result<bool, LogError> {
        for folder in [&self.current, &self.state_machine] {
            fs::create_dir_all(folder).map_err(LogError::io("create", folder))?;
        }
        if self.current.join(meta::META).exists() {
            return Ok(false);
        }
        let current = Place::new(Box::new(FsFolder(self.current.clone())));
        if let Some(members) = members {
            current.replace(meta::CONFIGURATION, &members.encode_to_vec())?;
        }
        let initial = Metadata::default().to_properties();
        current.replace(meta::META, initial.as_bytes())?;
        meta::sync_folder(&self.root)?;
        if let Some(storage) = self.root.parent() {
            meta::sync_folder(storage)?;
        }
        Ok(true)
    }

    /// Takes `in_use.lock`; held until the file is dropped.
    pub fn lock(&self) -> Result<File, LogError> {
        let path = self.root.join("in_use.lock");
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(LogError::io("open", &path))?;
        if !try_lock(&file).map_err(LogError::io("lock", &path))? {
            return Err(LogError::InUse { path });
        }
        let text = format!("{}@ozonide", std::process::id());
        file.set_len(0)
            .and_then(|()| file.write_all(text.as_bytes()))
            .map_err(LogError::io("write", &path))?;
        Ok(file)
    }
}

/// A record lock of the whole file. It collides with Java's `FileChannel.tryLock` (a POSIX record
/// lock) and, being bound to the open file, with another user in this process as well.
fn try_lock(file: &File) -> std::io::Result<bool> {
    use std::os::fd::AsRawFd;
    // SAFETY: flock is plain data for which all zeros is a valid value.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    // SAFETY: the descriptor is open for as long as `file` lives, and `lock` outlives the call.
    let result = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &lock) };
    if result == 0 {
        return Ok(true);
    }
    let error = std::io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EACCES | libc::EAGAIN) => Ok(false),
        _ => Err(error),
    }
}

/// Groups that have a directory in a storage directory.
pub(crate) fn groups(storage: &Path) -> Result<Vec<Uuid>, LogError> {
    let mut groups = Vec::new();
    let entries = fs::read_dir(storage).map_err(LogError::io("list", storage))?;
    for entry in entries {
        let entry = entry.map_err(LogError::io("list", storage))?;
        let name = entry.file_name();
        let Some(group) = name.to_str().and_then(|n| Uuid::try_parse(n).ok()) else { continue };
        if entry.path().join("current").join(meta::META).exists() {
            groups.push(group);
        } else {
            tracing::warn!(path = %entry.path().display(), "raft group directory without raft-meta is ignored");
        }
    }
    groups.sort_unstable();
    Ok(groups)
}
