//! Where a daemon keeps its metadata.

use std::path::PathBuf;

use anyhow::{Context, bail};
use ozone_config::Configuration;

/// The metadata directory of every daemon.
const METADATA_DIRS: &str = "ozone.metadata.dirs";

/// The one directory of `key`, else of `ozone.metadata.dirs` (`ServerUtils.getDirectoryFromConfig`,
/// `getOzoneMetaDirPath`). It is created.
///
/// # Errors
/// Neither is set, more than one directory is named, or it cannot be created.
pub fn metadata_directory(conf: &Configuration, key: &str) -> anyhow::Result<PathBuf> {
    for key in [key, METADATA_DIRS] {
        let mut listed = conf.list(key)?;
        match listed.len() {
            0 => {}
            1 => {
                let path = PathBuf::from(listed.remove(0));
                std::fs::create_dir_all(&path)
                    .with_context(|| format!("{key}: cannot create {}", path.display()))?;
                return Ok(path);
            }
            _ => bail!("{key} names {} directories; only one is supported", listed.len()),
        }
    }
    bail!("{METADATA_DIRS} must be set to a directory on a disk that survives restarts")
}
