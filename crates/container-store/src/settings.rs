//! Settings of the store.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ozone_config::{ConfigError, Configuration};
use ozone_db::{DbError, Store};

use crate::volume::StorageType;

const DATA_DIRS: &str = "hdds.datanode.dir";
const RESERVED: &str = "hdds.datanode.dir.du.reserved";
const RESERVED_PERCENT: &str = "hdds.datanode.dir.du.reserved.percent";
const MIN_FREE: &str = "hdds.datanode.volume.min.free.space";
const MIN_FREE_PERCENT: &str = "hdds.datanode.volume.min.free.space.percent";
const MIN_FREE_HARD_PERCENT: &str = "hdds.datanode.volume.min.free.space.hard.limit.percent";

/// Opens (creating if needed) the database at a path with these tables.
pub type OpenDatabase =
    Arc<dyn Fn(&Path, &[&'static str]) -> Result<Arc<dyn Store>, DbError> + Send + Sync>;

/// One entry of `hdds.datanode.dir`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VolumeSettings {
    /// The directory.
    pub root: PathBuf,
    /// Kind of disk, from the `[SSD]` prefix.
    pub storage_type: StorageType,
    /// Bytes kept for others (`hdds.datanode.dir.du.reserved`); `None` takes the percentage.
    pub reserved_bytes: Option<u64>,
}

/// What the store is told. Keys and defaults are those of the genuine datanode.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// `hdds.datanode.dir`: where data goes, one entry per disk, with an optional `[SSD]`, `[DISK]`,
    /// `[ARCHIVE]` or `[RAM_DISK]` before the path.
    pub volumes: Vec<VolumeSettings>,
    /// `ozone.metadata.dirs`: where the database of witnessed containers lives.
    pub metadata: PathBuf,
    /// `ozone.scm.container.size`, 5 GB: size at which a container is full, in bytes.
    pub container_bytes_max: u64,
    /// `hdds.container.chunk.write.sync`, false: sync every chunk before it is acknowledged.
    pub sync_chunks: bool,
    /// `ozonide.datanode.direct.io.min.size`, 512 KB: pieces of block files from this size on are written
    /// and read past the page cache, in bytes; 0: none.
    pub direct_bytes_min: u64,
    /// `hdds.datanode.chunk.data.validation.check`, false: verify checksums of what is written.
    pub verify_on_write: bool,
    /// `hdds.container.checksum.verification.enabled`, true: do not load a container whose
    /// descriptor fails its checksum.
    pub verify_descriptors: bool,
    /// `hdds.datanode.dir.du.reserved.percent`, 0.0001: part of a disk kept for others.
    pub reserved_fraction: f64,
    /// `hdds.datanode.volume.min.free.space`, off: bytes below which no container is created.
    pub min_free_bytes: u64,
    /// `hdds.datanode.volume.min.free.space.percent`, 0.02: as a part of the disk; the larger counts.
    pub min_free_fraction: f64,
    /// `hdds.datanode.volume.min.free.space.hard.limit.percent`, 0.015: below this, writes are
    /// refused.
    pub min_free_hard_fraction: f64,
    /// `hdds.container.ratis.num.write.chunk.threads.per.volume`, 10: write lanes of a disk.
    pub write_threads_per_volume: usize,
    /// `hdds.datanode.read.chunk.threads.per.volume`, 10: read threads of a disk.
    pub read_threads_per_volume: usize,
    /// `hdds.datanode.block.deleting.limit.per.interval`, 20000: blocks removed in one round.
    pub deletions_per_round_max: usize,
}

impl StoreSettings {
    /// Reads the keys named above; `metadata` is the daemon's metadata directory.
    ///
    /// # Errors
    /// A value is malformed, or `hdds.datanode.dir` is not set.
    pub fn load(conf: &Configuration, metadata: PathBuf) -> Result<Self, ConfigError> {
        let listed = conf.list(DATA_DIRS)?;
        if listed.is_empty() {
            let accepted = "a comma separated list of directories, e.g. [SSD]/data/1,/data/2";
            return Err(conf.malformed(DATA_DIRS, "", accepted));
        }
        let reserved = reserved(conf)?;
        let mut volumes = Vec::with_capacity(listed.len());
        for entry in listed {
            let (storage_type, path) = StorageType::split(&entry).ok_or_else(|| {
                conf.malformed(DATA_DIRS, &entry, "a path, or [SSD|DISK|ARCHIVE|RAM_DISK]path")
            })?;
            let root = PathBuf::from(path);
            let reserved_bytes =
                reserved.iter().find(|(dir, _)| *dir == root).map(|(_, bytes)| *bytes);
            volumes.push(VolumeSettings { root, storage_type, reserved_bytes });
        }
        Ok(Self {
            volumes,
            metadata,
            container_bytes_max: conf.size("ozone.scm.container.size", 5 << 30)?,
            sync_chunks: conf.boolean("hdds.container.chunk.write.sync", false)?,
            direct_bytes_min: conf.size("ozonide.datanode.direct.io.min.size", 512 << 10)?,
            verify_on_write: conf.boolean("hdds.datanode.chunk.data.validation.check", false)?,
            verify_descriptors: conf
                .boolean("hdds.container.checksum.verification.enabled", true)?,
            reserved_fraction: fraction(conf, RESERVED_PERCENT, 0.0001)?,
            min_free_bytes: min_free(conf)?,
            min_free_fraction: fraction(conf, MIN_FREE_PERCENT, 0.02)?,
            min_free_hard_fraction: fraction(conf, MIN_FREE_HARD_PERCENT, 0.015)?,
            write_threads_per_volume: at_least_one(
                conf,
                "hdds.container.ratis.num.write.chunk.threads.per.volume",
                10,
            )?,
            read_threads_per_volume: at_least_one(
                conf,
                "hdds.datanode.read.chunk.threads.per.volume",
                10,
            )?,
            deletions_per_round_max: at_least_one(
                conf,
                "hdds.datanode.block.deleting.limit.per.interval",
                20_000,
            )?,
        })
    }
}

/// `path:size,path:size` of `hdds.datanode.dir.du.reserved`.
fn reserved(conf: &Configuration) -> Result<Vec<(PathBuf, u64)>, ConfigError> {
    let mut pairs = Vec::new();
    for item in conf.list(RESERVED)? {
        let pair = item.rsplit_once(':').and_then(|(path, size)| {
            let mut one = Configuration::default();
            one.set("size", size.trim());
            Some((PathBuf::from(path.trim()), one.size("size", 0).ok()?))
        });
        pairs.push(pair.ok_or_else(|| {
            conf.malformed(RESERVED, &item, "path:size pairs, e.g. /data/1:10GB,/data/2:500MB")
        })?);
    }
    Ok(pairs)
}

/// -1 switches the absolute limit off.
fn min_free(conf: &Configuration) -> Result<u64, ConfigError> {
    if conf.get(MIN_FREE)?.as_deref() == Some("-1") {
        return Ok(0);
    }
    conf.size(MIN_FREE, 0)
}

fn fraction(conf: &Configuration, key: &str, default: f64) -> Result<f64, ConfigError> {
    let value = conf.float(key, default)?;
    if (0.0..=1.0).contains(&value) {
        return Ok(value);
    }
    Err(conf.malformed(key, &value.to_string(), "a fraction between 0 and 1, e.g. 0.02"))
}

fn at_least_one(conf: &Configuration, key: &str, default: usize) -> Result<usize, ConfigError> {
    let value: usize = conf.integer(key, default)?;
    if value > 0 {
        return Ok(value);
    }
    Err(conf.malformed(key, "0", "a number of at least 1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_carry_their_storage_type_and_reservation() {
        let mut conf = Configuration::default();
        conf.set(DATA_DIRS, "[SSD]/data/1, /data/2,[ARCHIVE]/data/3");
        conf.set(RESERVED, "/data/2:10GB");
        let settings = StoreSettings::load(&conf, PathBuf::from("/meta")).unwrap();
        let types: Vec<_> = settings.volumes.iter().map(|v| v.storage_type).collect();
        assert_eq!(types, [StorageType::Ssd, StorageType::Disk, StorageType::Archive]);
        assert_eq!(settings.volumes[0].root, PathBuf::from("/data/1"));
        assert_eq!(settings.volumes[1].reserved_bytes, Some(10 << 30));
        assert_eq!(settings.container_bytes_max, 5 << 30);
    }

    #[test]
    fn a_missing_directory_list_and_a_wrong_prefix_are_errors_that_name_the_key() {
        let mut conf = Configuration::default();
        let error = StoreSettings::load(&conf, PathBuf::new()).unwrap_err().to_string();
        assert!(error.contains(DATA_DIRS), "{error}");
        conf.set(DATA_DIRS, "[FLOPPY]/data");
        let error = StoreSettings::load(&conf, PathBuf::new()).unwrap_err().to_string();
        assert!(error.contains("[FLOPPY]/data"), "{error}");
    }
}
