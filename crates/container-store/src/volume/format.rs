//! `VERSION` of a disk: which cluster and datanode it belongs to (`HddsVolume`, `DatanodeVersionFile`).

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use ozone_daemon::properties;
use ozone_db::DbError;
use thiserror::Error;
use uuid::Uuid;

/// Layout of the data, unrelated to the layout of the software.
const DATA_LAYOUT_VERSION: &str = "1";

/// What `VERSION` says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Version {
    /// `DS-<uuid>`.
    pub storage_id: String,
    /// `CID-<uuid>`.
    pub cluster_id: String,
    /// The datanode.
    pub datanode: String,
}

/// A disk that cannot be used.
#[derive(Debug, Error)]
pub enum FormatError {
    /// Not readable or writable.
    #[error("{path}: {source}")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The disk is not ours.
    #[error("{path} says {key}={found} but {expected} is expected; is it another node's disk?")]
    Foreign {
        /// The `VERSION` file.
        path: PathBuf,
        /// Which property.
        key: &'static str,
        /// In the file.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// Data without `VERSION`.
    #[error("{path} holds data but no VERSION file; move it away or restore the file")]
    Inconsistent {
        /// The directory.
        path: PathBuf,
    },
    /// The block table does not open.
    #[error("{path}: {source}")]
    Database {
        /// Its directory.
        path: PathBuf,
        /// Why.
        source: DbError,
    },
}

/// Reads `VERSION` of `hdds`, or formats an empty disk.
pub fn open_or_format(
    hdds: &Path,
    cluster_id: &str,
    datanode: &str,
) -> Result<Version, FormatError> {
    let path = hdds.join("VERSION");
    let io = |source| FormatError::Io { path: path.clone(), source };
    if let Some(properties) = properties::read(&path).map_err(io)? {
        let value = |key: &str| properties.get(key).cloned().unwrap_or_default();
        for (key, expected) in [("clusterID", cluster_id), ("datanodeUuid", datanode)] {
            let found = value(key);
            if found != expected {
                let expected = expected.to_owned();
                return Err(FormatError::Foreign { path, key, found, expected });
            }
        }
        return Ok(Version {
            storage_id: value("storageID"),
            cluster_id: cluster_id.to_owned(),
            datanode: datanode.to_owned(),
        });
    }
    fs::create_dir_all(hdds).map_err(io)?;
    if fs::read_dir(hdds).map_err(io)?.next().is_some() {
        return Err(FormatError::Inconsistent { path: hdds.to_owned() });
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let version = Version {
        storage_id: format!("DS-{}", Uuid::new_v4()),
        cluster_id: cluster_id.to_owned(),
        datanode: datanode.to_owned(),
    };
    let pairs: BTreeMap<String, String> = [
        ("storageID", version.storage_id.clone()),
        ("clusterID", version.cluster_id.clone()),
        ("datanodeUuid", version.datanode.clone()),
        ("ctime", now.to_string()),
        ("layOutVersion", DATA_LAYOUT_VERSION.to_owned()),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect();
    properties::write(&path, &pairs).map_err(io)?;
    Ok(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_disk_is_formatted_once_and_refuses_other_owners() {
        let dir = tempfile::tempdir().unwrap();
        let hdds = dir.path().join("hdds");
        let first = open_or_format(&hdds, "CID-1", "dn").unwrap();
        assert!(first.storage_id.starts_with("DS-"));
        assert_eq!(open_or_format(&hdds, "CID-1", "dn").unwrap(), first);
        for (cluster, datanode) in [("CID-2", "dn"), ("CID-1", "other")] {
            let error = open_or_format(&hdds, cluster, datanode).unwrap_err();
            assert!(matches!(error, FormatError::Foreign { .. }), "{error}");
        }
        fs::remove_file(hdds.join("VERSION")).unwrap();
        fs::create_dir(hdds.join("CID-1")).unwrap();
        let error = open_or_format(&hdds, "CID-1", "dn").unwrap_err();
        assert!(matches!(error, FormatError::Inconsistent { .. }), "{error}");
    }
}
