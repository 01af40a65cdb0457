//! Page-aligned memory for bulk bytes, used again and again.
//!
//! ```text
//!  take(len) ─► │ …unused… │ len bytes │     the end is on a page boundary: bulk that follows a header
//!                                      │     is aligned as well if its length is a multiple of a page
//!  freeze ─► Bytes ─► last clone dropped ─► back into the stock, or to the system when that is full
//! ```
//! Fresh memory costs a page fault and its clearing for every 4 KiB, more than copying into it; and a
//! disk reads and writes past the page cache only from aligned memory. Invariant: the stock keeps at
//! most `kept_bytes_max`; what is in use is bounded by the users.

use std::fmt;
use std::io;
use std::ops::{Deref, DerefMut, Range};
use std::sync::Arc;

use bytes::Bytes;
use memmap2::MmapMut;
use parking_lot::Mutex;

/// Alignment of the end of every buffer, in bytes.
pub const PAGE_BYTES: usize = 4 << 10;
/// Buffers are made in multiples of this, so that similar lengths share them, in bytes.
const STEP_BYTES: usize = 1 << 20;
/// A disk that is read past the page cache pins every page of a buffer, a huge one at once, in bytes.
#[cfg(target_os = "linux")]
const HUGE_PAGE_BYTES: usize = 2 << 20;

/// A stock of buffers; clones share it.
#[derive(Clone)]
pub struct Buffers {
    stock: Arc<Stock>,
}

struct Stock {
    free: Mutex<Free>,
    kept_bytes_max: usize,
}

/// What is not in use, the one used last at the end.
#[derive(Default)]
struct Free {
    maps: Vec<MmapMut>,
    bytes: usize,
    /// Least `bytes` since the last trim: that much was not needed.
    spare_bytes: usize,
}

impl Buffers {
    /// A stock that keeps up to `kept_bytes_max` bytes while they are not in use.
    pub fn new(kept_bytes_max: usize) -> Self {
        Self { stock: Arc::new(Stock { free: Mutex::default(), kept_bytes_max }) }
    }

    /// A buffer of `len` bytes with any content. Its end is on a page boundary.
    ///
    /// # Errors
    /// The system gives no memory.
    pub fn take(&self, len: usize) -> io::Result<Buffer> {
        let too_long = || io::Error::from(io::ErrorKind::OutOfMemory);
        let size = len.max(1).checked_next_multiple_of(STEP_BYTES).ok_or_else(too_long)?;
        let map = match self.stock.free.lock().take(size) {
            Some(map) => map,
            None => fresh(size)?,
        };
        let end = len.next_multiple_of(PAGE_BYTES);
        Ok(Buffer { map: Some(map), range: end - len..end, stock: self.stock.clone() })
    }

    /// Gives back to the system what was not needed since the last call.
    pub fn trim(&self) {
        let spare = self.stock.free.lock().cut_spare();
        // Outside the lock: the system takes its time.
        drop(spare);
    }

    /// Bytes that are kept and not in use.
    pub fn kept_bytes(&self) -> usize {
        self.stock.free.lock().bytes
    }
}

fn fresh(size: usize) -> io::Result<MmapMut> {
    let map = MmapMut::map_anon(size)?;
    #[cfg(target_os = "linux")]
    if size >= HUGE_PAGE_BYTES {
        // Where the system has none to give, small pages do.
        let _ = map.advise(memmap2::Advice::HugePage);
    }
    Ok(map)
}

impl fmt::Debug for Buffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffers").field("kept_bytes", &self.kept_bytes()).finish()
    }
}

impl Free {
    fn take(&mut self, size: usize) -> Option<MmapMut> {
        let at = self.maps.iter().rposition(|map| map.len() == size)?;
        let map = self.maps.remove(at);
        self.bytes -= size;
        self.spare_bytes = self.spare_bytes.min(self.bytes);
        Some(map)
    }

    fn cut_spare(&mut self) -> Vec<MmapMut> {
        let mut left = self.spare_bytes;
        let mut count = 0;
        for map in &self.maps {
            match left.checked_sub(map.len()) {
                Some(rest) => left = rest,
                None => break,
            }
            count += 1;
        }
        let spare: Vec<_> = self.maps.drain(..count).collect();
        self.bytes -= spare.iter().map(|map| map.len()).sum::<usize>();
        self.spare_bytes = self.bytes;
        spare
    }
}

impl Stock {
    fn put_back(&self, map: MmapMut) {
        let mut free = self.free.lock();
        if free.bytes + map.len() <= self.kept_bytes_max {
            free.bytes += map.len();
            free.maps.push(map);
            return;
        }
        drop(free);
        drop(map);
    }
}

/// A buffer in use.
pub struct Buffer {
    /// Always there until it is dropped.
    map: Option<MmapMut>,
    range: Range<usize>,
    stock: Arc<Stock>,
}

impl Buffer {
    /// As shared bytes; the memory goes back when the last of them is gone.
    pub fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.map.as_deref().and_then(|map| map.get(self.range.clone())).unwrap_or_default()
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        let range = self.range.clone();
        self.map.as_deref_mut().and_then(|map| map.get_mut(range)).unwrap_or_default()
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(map) = self.map.take() {
            self.stock.put_back(map);
        }
    }
}

/// Whether memory begins on a page boundary.
pub fn is_aligned(data: &[u8]) -> bool {
    data.as_ptr().addr().is_multiple_of(PAGE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bulk_behind_a_header_is_aligned_when_it_fills_whole_pages() {
        let buffers = Buffers::new(64 << 20);
        for header in [0, 1, 300, 4095, 4096] {
            for bulk in [PAGE_BYTES, 1 << 20, 4 << 20] {
                let buffer = buffers.take(header + bulk).unwrap();
                assert_eq!(buffer.len(), header + bulk);
                assert!(is_aligned(&buffer[header..]), "{header} {bulk}");
            }
        }
        assert_eq!(buffers.take(0).unwrap().len(), 0);
        assert!(buffers.take(usize::MAX).is_err());
    }

    #[test]
    fn memory_comes_back_when_the_last_clone_is_gone() {
        let buffers = Buffers::new(8 << 20);
        let mut buffer = buffers.take(4 << 20).unwrap();
        buffer.fill(7);
        let place = buffer.as_ptr();
        let bytes = buffer.freeze();
        let part = bytes.slice(100..200);
        drop(bytes);
        assert_eq!(buffers.kept_bytes(), 0);
        assert!(part.iter().all(|byte| *byte == 7));
        drop(part);
        assert_eq!(buffers.kept_bytes(), 4 << 20);
        assert_eq!(buffers.take((4 << 20) - PAGE_BYTES).unwrap().as_ptr(), place);
    }

    #[test]
    fn the_stock_is_bounded_and_shrinks_when_it_is_not_used() {
        let buffers = Buffers::new(3 << 20);
        let taken: Vec<_> = (0..5).map(|_| buffers.take(1 << 20).unwrap()).collect();
        drop(taken);
        assert_eq!(buffers.kept_bytes(), 3 << 20);
        buffers.trim();
        assert_eq!(buffers.kept_bytes(), 3 << 20, "all of it was in use just now");
        drop(buffers.take(1 << 20).unwrap());
        buffers.trim();
        assert_eq!(buffers.kept_bytes(), 1 << 20);
        buffers.trim();
        assert_eq!(buffers.kept_bytes(), 0);
    }
}
