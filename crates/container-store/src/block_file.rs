//! Bytes of block files: small pieces through the page cache, large ones past it.
//!
//! A page that goes through the page cache is found, cleared or copied, and written back one by one:
//! several times the cost of everything else a datanode does with it. Large aligned pieces therefore go
//! straight between the disk and a buffer (`O_DIRECT`). Both ways may be mixed on one file: the kernel
//! writes back and drops what it holds of a range before it passes the cache by.
//! See `docs/adr/2026-11-21-large-chunks-past-the-page-cache.md`.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use bulk_buffers::{Buffers, PAGE_BYTES, is_aligned};
use bytes::Bytes;

/// Unaligned data is copied in pieces of this size to where the disk can take it from, in bytes.
const COPY_BYTES: usize = 4 << 20;
/// `cachestat(2)`, the same number on every architecture; Linux 6.5.
const SYS_CACHESTAT: libc::c_long = 451;

/// How one disk reads and writes block files.
pub(crate) struct BlockIo {
    /// Pieces of at least this many bytes pass the page cache by; `None`: none do.
    direct_bytes_min: Option<usize>,
    /// The file system knows no other way than the page cache.
    refused: AtomicBool,
    buffers: Buffers,
}

/// A block file open for writing.
pub(crate) struct BlockFile {
    path: PathBuf,
    cached: File,
    /// The same file past the page cache, once needed; `None` where that is refused.
    direct: OnceLock<Option<File>>,
}

impl BlockFile {
    /// Opens the file, creating it if need be.
    pub fn open(path: PathBuf) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let cached = options.read(true).write(true).create(true).truncate(false).open(&path)?;
        Ok(Self { path, cached, direct: OnceLock::new() })
    }

    /// Bytes in the file.
    pub fn len(&self) -> io::Result<u64> {
        Ok(self.cached.metadata()?.len())
    }

    /// Makes all that was written durable, whichever way it went.
    pub fn sync_data(&self) -> io::Result<()> {
        self.cached.sync_data()
    }

    fn direct(&self) -> Option<&File> {
        let open = || OpenOptions::new().write(true).custom_flags(libc::O_DIRECT).open(&self.path);
        self.direct.get_or_init(|| open().ok()).as_ref()
    }
}

impl BlockIo {
    /// With the threshold of the settings (0: everything through the page cache).
    pub fn new(direct_bytes_min: u64, buffers: Buffers) -> Self {
        let threshold = usize::try_from(direct_bytes_min).ok().filter(|bytes| *bytes > 0);
        Self {
            direct_bytes_min: threshold.map(|bytes| bytes.max(PAGE_BYTES)),
            refused: AtomicBool::new(false),
            buffers,
        }
    }

    /// Writes all of `data` at `offset`.
    pub fn write(&self, file: &BlockFile, data: &[u8], offset: u64) -> io::Result<()> {
        let mut done = 0;
        if self.is_large(data.len())
            && offset.is_multiple_of(PAGE_BYTES as u64)
            && let Some(direct) = file.direct()
        {
            // The rest of the last page goes through the page cache.
            let (pages, _) = data.split_at(data.len() / PAGE_BYTES * PAGE_BYTES);
            done = match self.write_pages(direct, pages, offset) {
                Ok(written) => written,
                Err(error) if self.is_refusal(&error, &file.path) => 0,
                Err(error) => return Err(error),
            };
        }
        let (_, rest) = data.split_at(done);
        file.cached.write_all_at(rest, offset + done as u64)
    }

    /// Returns how much was written: whole pages, all of them unless the system stopped early.
    fn write_pages(&self, file: &File, pages: &[u8], offset: u64) -> io::Result<usize> {
        if is_aligned(pages) {
            return write_aligned(file, pages, offset);
        }
        let mut copy = self.buffers.take(pages.len().min(COPY_BYTES))?;
        let mut done = 0;
        for piece in pages.chunks(COPY_BYTES) {
            let (aligned, _) = copy.split_at_mut(piece.len());
            aligned.copy_from_slice(piece);
            let written = write_aligned(file, aligned, offset + done as u64)?;
            done += written;
            if written < piece.len() {
                break;
            }
        }
        Ok(done)
    }

    /// Reads exactly `len` bytes at `offset`: from the page cache what is there already, a large piece
    /// that is not there past it.
    pub fn read(&self, path: &Path, offset: u64, len: usize) -> io::Result<Bytes> {
        let file = File::open(path)?;
        if offset.checked_add(len as u64).is_none_or(|end| i64::try_from(end).is_err()) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if !self.is_large(len) {
            return read_small(&file, offset, len);
        }
        if !is_cached(&file, offset, len)
            && let Some(data) = self.read_direct(path, offset, len)?
        {
            return Ok(data);
        }
        let mut buffer = self.buffers.take(len)?;
        file.read_exact_at(&mut buffer, offset)?;
        Ok(buffer.freeze())
    }

    /// `None` where the file system refuses.
    fn read_direct(&self, path: &Path, offset: u64, len: usize) -> io::Result<Option<Bytes>> {
        let skip = (offset % PAGE_BYTES as u64) as usize;
        let span = (skip + len).next_multiple_of(PAGE_BYTES);
        let mut buffer = self.buffers.take(span)?;
        let opened = OpenOptions::new().read(true).custom_flags(libc::O_DIRECT).open(path);
        let read = opened.and_then(|file| read_aligned(&file, &mut buffer, offset - skip as u64));
        match read {
            Ok(read) if read >= skip + len => Ok(Some(buffer.freeze().slice(skip..skip + len))),
            Ok(_) => Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if self.is_refusal(&error, path) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn is_large(&self, len: usize) -> bool {
        self.direct_bytes_min.is_some_and(|least| len >= least)
            && !self.refused.load(Ordering::Relaxed)
    }

    /// Whether the file system cannot do this at all; then it is not asked again.
    fn is_refusal(&self, error: &io::Error, path: &Path) -> bool {
        let refusal = matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP));
        if refusal && !self.refused.swap(true, Ordering::Relaxed) {
            tracing::info!(path = %path.display(), %error, "this disk is used through the page cache");
        }
        refusal
    }
}

/// Writes whole pages; stops after a piece that ends inside a page.
fn write_aligned(file: &File, pages: &[u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = pages.get(done..).filter(|rest| !rest.is_empty()) {
        match file.write_at(rest, offset + done as u64) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                done += written / PAGE_BYTES * PAGE_BYTES;
                if written % PAGE_BYTES != 0 {
                    break;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Fills whole pages up to the end of the file. Returns the bytes read.
fn read_aligned(file: &File, pages: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = pages.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + done as u64) {
            Ok(read) => {
                done += read;
                // Nothing, or a part of a page: the end of the file.
                if read == 0 || read % PAGE_BYTES != 0 {
                    break;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Whether the page cache has all of a range. Where the system cannot tell, it has not.
fn is_cached(file: &File, offset: u64, len: usize) -> bool {
    #[repr(C)]
    struct Range {
        offset: u64,
        len: u64,
    }
    #[repr(C)]
    #[derive(Default)]
    struct Stat {
        cached: u64,
        dirty: u64,
        writeback: u64,
        evicted: u64,
        recently_evicted: u64,
    }
    let range = Range { offset, len: len as u64 };
    let mut stat = Stat::default();
    let pointers = (std::ptr::from_ref(&range), std::ptr::from_mut(&mut stat));
    // SAFETY: both structures are those of the call and outlive it.
    let answer =
        unsafe { libc::syscall(SYS_CACHESTAT, file.as_raw_fd(), pointers.0, pointers.1, 0) };
    let page = PAGE_BYTES as u64;
    let pages = (offset + range.len).div_ceil(page) - offset / page;
    answer == 0 && stat.cached >= pages
}

/// Reads exactly `len` bytes without clearing the buffer first.
fn read_small(file: &File, offset: u64, len: usize) -> io::Result<Bytes> {
    let mut buffer: Vec<u8> = Vec::with_capacity(len);
    while buffer.len() < len {
        let position = libc::off_t::try_from(offset + buffer.len() as u64)
            .map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let wanted = len - buffer.len();
        let spare = buffer.spare_capacity_mut().as_mut_ptr().cast();
        // SAFETY: the spare capacity is at least `len - buffer.len()` bytes and outlives the call.
        let read = unsafe { libc::pread(file.as_raw_fd(), spare, wanted, position) };
        match usize::try_from(read) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            // SAFETY: `pread` initialised the next `read` bytes, which are within the capacity.
            Ok(read) => unsafe { buffer.set_len(buffer.len() + read) },
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
    Ok(Bytes::from(buffer))
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, RngCore, SeedableRng};

    use super::*;

    const DIRECT_BYTES_MIN: u64 = 16 << 10;

    fn io_over(direct_bytes_min: u64) -> BlockIo {
        BlockIo::new(direct_bytes_min, Buffers::new(16 << 20))
    }

    /// Appends and rewrites of the tail, of any length and from any address; after each the file holds
    /// what a file in memory holds, whichever way it is read.
    fn behaves_like_memory(directory: &Path, io: &BlockIo, seed: u64) {
        println!("seed {seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let path = directory.join(format!("{seed}.block"));
        let file = BlockFile::open(path.clone()).unwrap();
        let mut expected: Vec<u8> = Vec::new();
        let mut source = io.buffers.take(300 << 10).unwrap();
        random.fill_bytes(&mut source);
        for _ in 0..30 {
            let pages = random.random_range(0..40_usize) * PAGE_BYTES;
            let len = if random.random() { pages } else { pages + random.random_range(1..5000) };
            let from = if random.random() { 0 } else { random.random_range(1..PAGE_BYTES) };
            let back = if random.random_range(0..4) == 0 { expected.len() / 2 } else { 0 };
            let page_start = (expected.len() - back) / PAGE_BYTES * PAGE_BYTES;
            let offset = if random.random() { page_start } else { expected.len() - back };
            let data = &source[from..from + len];
            io.write(&file, data, offset as u64).unwrap();
            expected.resize(expected.len().max(offset + len), 0);
            expected[offset..offset + len].copy_from_slice(data);
            assert_eq!(file.len().unwrap(), expected.len() as u64);
            let at = random.random_range(0..=expected.len());
            let count = random.random_range(0..=expected.len() - at);
            assert!(io.read(&path, at as u64, count).unwrap() == expected[at..at + count]);
            assert!(io.read(&path, 0, expected.len()).unwrap() == expected);
        }
        file.sync_data().unwrap();
        assert!(std::fs::read(&path).unwrap() == expected);
        let past = io.read(&path, 0, expected.len() + 1).unwrap_err();
        assert_eq!(past.kind(), io::ErrorKind::UnexpectedEof);
        let far = io.read(&path, u64::MAX - 5, 1 << 20).unwrap_err();
        assert_eq!(far.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn both_ways_to_the_disk_may_be_mixed_on_one_file() {
        let directory = tempfile::tempdir().unwrap();
        let first: u64 = rand::random();
        for step in 0..10 {
            behaves_like_memory(directory.path(), &io_over(DIRECT_BYTES_MIN), first ^ step);
        }
        behaves_like_memory(directory.path(), &io_over(0), first ^ 10);
    }

    #[test]
    fn a_file_system_that_refuses_is_used_through_the_page_cache() {
        let directory = tempfile::tempdir().unwrap();
        let io = io_over(DIRECT_BYTES_MIN);
        let file = BlockFile::open(directory.path().join("1.block")).unwrap();
        // As if the open had been refused, and as if the first write was.
        file.direct.set(None).ok().unwrap();
        io.write(&file, &[7; 64 << 10], 0).unwrap();
        assert!(io.is_refusal(&io::Error::from_raw_os_error(libc::EINVAL), &file.path));
        assert!(!io.is_large(64 << 10));
        assert!(!io.is_refusal(&io::Error::from_raw_os_error(libc::ENOSPC), &file.path));
        io.write(&file, &[8; 64 << 10], 64 << 10).unwrap();
        let read = io.read(&file.path, 0, 128 << 10).unwrap();
        assert!(read[..64 << 10] == [7; 64 << 10] && read[64 << 10..] == [8; 64 << 10]);
    }

    #[test]
    fn what_the_page_cache_has_is_taken_from_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("1.block");
        std::fs::write(&path, vec![7; 1 << 20]).unwrap();
        let file = File::open(&path).unwrap();
        file.sync_all().unwrap();
        let io = io_over(DIRECT_BYTES_MIN);
        // Where the system cannot tell (before Linux 6.5) there is nothing to see.
        if is_cached(&file, 0, 1 << 20) {
            assert!(!is_cached(&file, 0, (1 << 20) + 1));
        }
        assert!(io.read(&path, 4096, 512 << 10).unwrap() == vec![7; 512 << 10]);
        // Written past the cache, no longer in it, read as it is now.
        let block = BlockFile::open(path.clone()).unwrap();
        io.write(&block, &vec![8; 1 << 20], 0).unwrap();
        assert!(io.read(&path, 4096, 512 << 10).unwrap() == vec![8; 512 << 10]);
        assert!(io.read(&path, 0, 10).unwrap() == [8; 10][..]);
    }
}
