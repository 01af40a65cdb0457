//! The files of this machine, for `file:///` and the local side of copies.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ozone_client::fs::{FileStatus, FsError, Summary};
use ozone_client::user;

/// What Hadoop shows as the block size of local files (`fs.local.block.size`).
const BLOCK_BYTES: u64 = 32 << 20;

/// An error of the system in the words of a file system.
pub fn told(path: &str, error: &io::Error) -> FsError {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            FsError::NotFound(format!("File {path} does not exist"))
        }
        io::ErrorKind::DirectoryNotEmpty => FsError::NotEmpty(path.to_owned()),
        _ => FsError::Io(format!("{path}: {error}")),
    }
}

pub fn status(path: &str) -> Result<FileStatus, FsError> {
    let found = fs::metadata(path).map_err(|error| told(path, &error))?;
    Ok(from_metadata(path.to_owned(), &found))
}

fn from_metadata(path: String, found: &Metadata) -> FileStatus {
    let milliseconds = |seconds: i64, nanoseconds: i64| seconds * 1000 + nanoseconds / 1_000_000;
    let length = if found.is_dir() { 4096.min(found.len()) } else { found.len() };
    FileStatus {
        path,
        is_directory: found.is_dir(),
        length,
        disk_consumed: found.len(),
        replication: 1,
        block_size: BLOCK_BYTES,
        modification_time: milliseconds(found.mtime(), found.mtime_nsec()),
        access_time: milliseconds(found.atime(), found.atime_nsec()),
        mode: u16::try_from(found.mode() & 0o1777).unwrap_or_default(),
        owner: user::user_name(found.uid()).unwrap_or_else(|| found.uid().to_string()),
        group: user::group_name(found.gid()).unwrap_or_else(|| found.gid().to_string()),
        is_erasure_coded: false,
    }
}

/// The entries of a directory by name, without checksum files of Hadoop; of a file, itself.
pub fn list(path: &str) -> Result<Vec<FileStatus>, FsError> {
    let first = status(path)?;
    if !first.is_directory {
        return Ok(vec![first]);
    }
    let mut entries = Vec::new();
    for entry in fs::read_dir(path).map_err(|error| told(path, &error))? {
        let entry = entry.map_err(|error| told(path, &error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') && name.ends_with(".crc") {
            continue;
        }
        let full = format!("{}/{name}", path.trim_end_matches('/'));
        // A link without a target, or a file that has just gone, is not listed.
        if let Ok(found) = fs::metadata(&full) {
            entries.push(from_metadata(full, &found));
        }
    }
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(entries)
}

pub fn mkdirs(path: &str) -> Result<bool, FsError> {
    match fs::create_dir_all(path) {
        Ok(()) => Ok(true),
        Err(error) if fs::metadata(path).is_ok_and(|found| !found.is_dir()) => {
            tracing::debug!(%error, path, "a file is in the way of a directory");
            Err(FsError::AlreadyExists(format!(
                "Destination exists and is not a directory: {path}"
            )))
        }
        Err(error) => Err(told(path, &error)),
    }
}

/// Renames; into a directory that exists, as Hadoop does.
pub fn rename(from: &str, to: &str) -> Result<bool, FsError> {
    let into = fs::metadata(to).is_ok_and(|found| found.is_dir());
    let name = from.rsplit('/').next().unwrap_or_default();
    let target = if into { format!("{}/{name}", to.trim_end_matches('/')) } else { to.to_owned() };
    fs::rename(from, target).map(|()| true).map_err(|error| told(from, &error))
}

pub fn delete(path: &str, recursive: bool) -> Result<bool, FsError> {
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(false) };
    let deleted = if !found.is_dir() {
        fs::remove_file(path)
    } else if recursive {
        fs::remove_dir_all(path)
    } else {
        fs::remove_dir(path)
    };
    deleted.map(|()| true).map_err(|error| told(path, &error))
}

/// Times in milliseconds since 1970; negative values leave what is there.
pub fn set_times(path: &str, modification: i64, access: i64) -> Result<(), FsError> {
    let file = fs::File::open(path).map_err(|error| told(path, &error))?;
    let mut times = fs::FileTimes::new();
    if let Some(time) = time(modification) {
        times = times.set_modified(time);
    }
    if let Some(time) = time(access) {
        times = times.set_accessed(time);
    }
    file.set_times(times).map_err(|error| told(path, &error))
}

fn time(milliseconds: i64) -> Option<SystemTime> {
    let milliseconds = u64::try_from(milliseconds).ok()?;
    UNIX_EPOCH.checked_add(Duration::from_millis(milliseconds))
}

pub fn set_mode(path: &str, mode: u16) -> Result<(), FsError> {
    let permissions = fs::Permissions::from_mode(mode.into());
    fs::set_permissions(path, permissions).map_err(|error| told(path, &error))
}

pub fn summary(path: &str) -> Result<Summary, FsError> {
    let mut sum = Summary::default();
    let mut pending = vec![status(path)?];
    while let Some(next) = pending.pop() {
        if next.is_directory {
            sum.directories += 1;
            pending.extend(list(&next.path)?);
        } else {
            sum.files += 1;
            sum.length += next.length;
            sum.disk_consumed += next.length;
        }
    }
    Ok(sum)
}
