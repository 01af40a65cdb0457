//! Small files that a crash must not tear.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Writes a file and makes it survive a crash of the machine: afterwards either the old or the new one
/// is there. Its directory is made.
///
/// # Errors
/// The directory cannot be made or written.
pub fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    let parent = parent(path);
    fs::create_dir_all(parent)?;
    let temporary = path.with_extension("tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(contents)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(parent)?.sync_all()
}

/// Removes a file, so that no crash of the machine brings it back. It need not be there.
///
/// # Errors
/// The directory cannot be written.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Ok(()) => File::open(parent(path))?.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_made_with_its_directory_replaced_and_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("current/marker");
        replace(&path, b"1").unwrap();
        replace(&path, b"22").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"22");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no draft is left");
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert!(!path.exists());
    }
}
