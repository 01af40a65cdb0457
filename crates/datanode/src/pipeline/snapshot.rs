//! Snapshots of a pipeline: `sm/snapshot.<term>_<index>`, the containers and their BCSIDs.
//!
//! The containers themselves are the state and are always on disk; the file only says up to where
//! the log is contained in them, and which containers must be there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use hdds_proto::datanode::Container2BcsidMapProto;
use multiraft::TermIndex;
use ozone_daemon::durable;
use prost::Message;

/// `hdds.ratis.server.num.snapshots.retained`.
const SNAPSHOTS_RETAINED: usize = 5;
/// Larger files are no snapshots, in bytes.
const SNAPSHOT_BYTES_MAX: u64 = 256 << 20;

/// The newest readable snapshot.
pub fn newest(directory: &Path) -> Option<(TermIndex, Container2BcsidMapProto)> {
    list(directory).into_iter().rev().find_map(|(at, path)| match read(&path) {
        Ok(map) => Some((at, map)),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "snapshot not readable, trying an older");
            None
        }
    })
}

fn read(path: &Path) -> io::Result<Container2BcsidMapProto> {
    if fs::metadata(path)?.len() > SNAPSHOT_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is too large"));
    }
    let bytes = fs::read(path)?;
    Container2BcsidMapProto::decode(bytes.as_slice())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Writes a snapshot and removes old ones.
///
/// # Errors
/// The disk refuses.
pub fn write(directory: &Path, at: TermIndex, map: &Container2BcsidMapProto) -> io::Result<()> {
    let path = directory.join(format!("snapshot.{}_{}", at.term, at.index));
    durable::replace(&path, &map.encode_to_vec())?;
    let all = list(directory);
    for (_, old) in all.iter().take(all.len().saturating_sub(SNAPSHOTS_RETAINED)) {
        // An old snapshot that stays does no harm.
        let _ = fs::remove_file(old);
        let _ = fs::remove_file(old.with_extension(format!("{}.md5", extension(old))));
    }
    Ok(())
}

fn extension(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().into_owned()
}

/// Oldest first.
fn list(directory: &Path) -> Vec<(TermIndex, PathBuf)> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut found: Vec<_> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let (term, index) = name.to_str()?.strip_prefix("snapshot.")?.split_once('_')?;
            let at = TermIndex { term: term.parse().ok()?, index: index.parse().ok()? };
            Some((at, entry.path()))
        })
        .collect();
    found.sort_by_key(|(at, _)| *at);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_readable_snapshot_counts_and_old_ones_go() {
        let dir = tempfile::tempdir().unwrap();
        assert!(newest(dir.path()).is_none());
        for index in 1..=9 {
            let map = Container2BcsidMapProto { container2_bcsid: [(1, index)].into() };
            let at = TermIndex { term: 2, index: index.cast_unsigned() };
            write(dir.path(), at, &map).unwrap();
        }
        assert_eq!(list(dir.path()).len(), SNAPSHOTS_RETAINED);
        let (at, map) = newest(dir.path()).unwrap();
        assert_eq!((at.index, map.container2_bcsid[&1]), (9, 9));
        fs::write(dir.path().join("snapshot.3_10"), [0xff; 9]).unwrap();
        assert_eq!(newest(dir.path()).unwrap().0.index, 9);
    }
}
