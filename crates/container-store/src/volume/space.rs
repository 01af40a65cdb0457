//! How much may still be put on a disk (`VolumeUsage`, `VolumeInfo`).
//!
//! ```text
//!  |<───────────────────── file system ─────────────────────>|
//!  |<─ used by us ─>|<─ others ─>|<─── available ────>|<─ reserved, not used by others ─>|
//!                                |<─ committed ─>|          promised to open containers
//! ```

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How long a measurement of the file system is used before the next.
const MEASURE_EVERY: Duration = Duration::from_secs(1);

/// What the file system says, in bytes.
#[derive(Clone, Copy, Default, Debug)]
pub struct FileSystem {
    /// Size.
    pub capacity: u64,
    /// Free for us.
    pub available: u64,
}

/// One moment's figures, in bytes. The names are those of `StorageReportProto`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Usage {
    /// Without what is reserved.
    pub capacity: u64,
    /// Used by containers and their tables.
    pub used: u64,
    /// Free and not reserved.
    pub available: u64,
    /// Promised to open containers.
    pub committed: u64,
    /// No container is created that would leave less than this.
    pub free_to_spare: u64,
    /// Below this, writes are refused.
    pub free_hard: u64,
    /// Kept for others.
    pub reserved: u64,
    /// The file system's own size.
    pub fs_capacity: u64,
    /// The file system's own free space.
    pub fs_available: u64,
}

impl Usage {
    /// What a new container may count on.
    pub fn usable(&self) -> u64 {
        self.available.saturating_sub(self.committed).saturating_sub(self.free_to_spare)
    }

    /// Whether even writes to containers that exist are refused.
    pub fn is_full(&self) -> bool {
        self.available <= self.free_hard
    }
}

/// Limits of a disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct SpaceLimits {
    /// Bytes for others; `None` takes the fraction.
    pub reserved_bytes: Option<u64>,
    /// Fraction for others.
    pub reserved_fraction: f64,
    /// Spare bytes.
    pub min_free_bytes: u64,
    /// Spare fraction; the larger counts.
    pub min_free_fraction: f64,
    /// Hard fraction.
    pub min_free_hard_fraction: f64,
}

/// The accounting of one disk.
pub struct Space {
    limits: SpaceLimits,
    measured: Mutex<(Option<Instant>, FileSystem)>,
    used: AtomicU64,
    committed: AtomicI64,
}

impl Space {
    /// Nothing used, nothing promised.
    pub fn new(limits: SpaceLimits) -> Self {
        let measured = Mutex::new((None, FileSystem::default()));
        Self { limits, measured, used: AtomicU64::new(0), committed: AtomicI64::new(0) }
    }

    /// The figures of now; the file system is asked at most once a second.
    ///
    /// # Errors
    /// The file system does not answer.
    pub fn usage(&self, root: &Path) -> io::Result<Usage> {
        let fs = {
            let mut measured = self.measured.lock();
            match *measured {
                (Some(at), fs) if at.elapsed() < MEASURE_EVERY => fs,
                _ => {
                    let fs = file_system(root)?;
                    *measured = (Some(Instant::now()), fs);
                    fs
                }
            }
        };
        Ok(self.derive(fs))
    }

    fn derive(&self, fs: FileSystem) -> Usage {
        let part = |fraction: f64| (fs.capacity as f64 * fraction) as u64;
        let reserved = match self.limits.reserved_bytes {
            Some(bytes) => bytes.min(fs.capacity),
            None => part(self.limits.reserved_fraction),
        };
        let used = self.used.load(Ordering::Relaxed);
        let others = fs.capacity.saturating_sub(fs.available).saturating_sub(used);
        let capacity = fs.capacity - reserved;
        let available = capacity
            .saturating_sub(used)
            .min(fs.available.saturating_sub(reserved.saturating_sub(others)));
        Usage {
            capacity,
            used,
            available,
            committed: u64::try_from(self.committed.load(Ordering::Relaxed)).unwrap_or(0),
            free_to_spare: self.limits.min_free_bytes.max(part(self.limits.min_free_fraction)),
            free_hard: self.limits.min_free_bytes.max(part(self.limits.min_free_hard_fraction)),
            reserved,
            fs_capacity: fs.capacity,
            fs_available: fs.available,
        }
    }

    /// Bytes written (positive) or removed.
    pub fn add_used(&self, delta: i64) {
        let _ = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            Some(used.saturating_add_signed(delta))
        });
        let mut measured = self.measured.lock();
        let available = measured.1.available.saturating_add_signed(-delta);
        measured.1.available = available.min(measured.1.capacity);
    }

    /// The result of a walk over the disk.
    pub fn set_used(&self, bytes: u64) {
        self.used.store(bytes, Ordering::Relaxed);
    }

    /// Used by us.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Promises to an open container (positive), or takes back.
    pub fn add_committed(&self, delta: i64) {
        self.committed.fetch_add(delta, Ordering::Relaxed);
    }

    /// Measures anew at the next question.
    pub fn forget_measurement(&self) {
        self.measured.lock().0 = None;
    }
}

/// Asks the file system that holds `path`.
///
/// # Errors
/// `statvfs` fails.
pub fn file_system(path: &Path) -> io::Result<FileSystem> {
    let name = CString::new(path.as_os_str().as_bytes())
        .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: an all-zero `statvfs` is a valid value of that plain C struct.
    let mut stat: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: `name` is a C string and `stat` a `statvfs`, both alive during the call.
    if unsafe { libc::statvfs(name.as_ptr(), &raw mut stat) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let unit = stat.f_frsize;
    Ok(FileSystem {
        capacity: unit.saturating_mul(stat.f_blocks),
        available: unit.saturating_mul(stat.f_bavail),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GB: u64 = 1 << 30;

    #[test]
    fn what_others_use_counts_against_the_reservation_first() {
        let limits = SpaceLimits { reserved_bytes: Some(20 * GB), ..SpaceLimits::default() };
        let space = Space::new(limits);
        space.set_used(10 * GB);
        let usage = space.derive(FileSystem { capacity: 100 * GB, available: 85 * GB });
        // Others hold 5 of their 20.
        assert_eq!(usage.available, 70 * GB);
        let usage = space.derive(FileSystem { capacity: 100 * GB, available: 60 * GB });
        assert_eq!(usage.available, 60 * GB);
        assert_eq!(usage.capacity, 80 * GB);
    }

    #[test]
    fn promises_and_the_spare_part_are_not_usable_but_writes_go_on_to_the_hard_limit() {
        let limits = SpaceLimits {
            min_free_fraction: 0.02,
            min_free_hard_fraction: 0.015,
            ..SpaceLimits::default()
        };
        let space = Space::new(limits);
        space.add_committed(50 * GB as i64);
        let usage = space.derive(FileSystem { capacity: 100 * GB, available: 60 * GB });
        assert_eq!(usage.usable(), 8 * GB);
        assert!(!usage.is_full());
        let usage = space.derive(FileSystem { capacity: 100 * GB, available: GB });
        assert!(usage.is_full());
        assert_eq!(usage.usable(), 0);
    }

    #[test]
    fn the_file_system_answers() {
        let fs = file_system(Path::new("/")).unwrap();
        assert!(fs.capacity >= fs.available && fs.capacity > 0);
        assert!(file_system(Path::new("/does/not/exist")).is_err());
    }
}
