//! The checksum file that Hadoop keeps beside a local file (`ChecksumFileSystem`), for `-get -crc`.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use chunk_checksum::Algorithm;

use super::local;
use super::trouble::Trouble;

/// Bytes under one checksum (`file.bytes-per-checksum`).
const BYTES_PER_CHECKSUM: usize = 512;
/// First bytes of the file.
const HEADER: &[u8] = b"crc\0";

/// Writes `.NAME.crc` for the file at `path`.
pub fn write_beside(path: &str) -> Result<(), Trouble> {
    let told = |error| Trouble::from(local::told(path, &error));
    let mut source = BufReader::new(File::open(path).map_err(told)?);
    let mut out = BufWriter::new(File::create(name(Path::new(path))).map_err(told)?);
    out.write_all(HEADER)?;
    out.write_all(&u32::try_from(BYTES_PER_CHECKSUM).unwrap_or(u32::MAX).to_be_bytes())?;
    let mut buffer = [0; BYTES_PER_CHECKSUM];
    loop {
        let mut filled = 0;
        while filled < buffer.len() {
            match source.read(&mut buffer[filled..]).map_err(told)? {
                0 => break,
                count => filled += count,
            }
        }
        if filled == 0 {
            break;
        }
        let sums = chunk_checksum::compute(Algorithm::Crc32, 512, &buffer[..filled]);
        for sum in sums.checksums {
            out.write_all(&sum)?;
        }
    }
    Ok(out.flush()?)
}

fn name(path: &Path) -> PathBuf {
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    path.with_file_name(format!(".{file}.crc"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_file_holds_a_crc_for_every_512_bytes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data");
        std::fs::write(&path, [b"123456789".as_slice(), &[0; 600]].concat()).unwrap();
        write_beside(path.to_str().unwrap()).unwrap();
        let sums = std::fs::read(directory.path().join(".data.crc")).unwrap();
        assert_eq!(sums.len(), 4 + 4 + 2 * 4);
        assert_eq!(&sums[..8], b"crc\0\0\0\x02\0");
        std::fs::write(&path, b"123456789").unwrap();
        write_beside(path.to_str().unwrap()).unwrap();
        let sums = std::fs::read(directory.path().join(".data.crc")).unwrap();
        assert_eq!(&sums[8..], 0xcbf4_3926_u32.to_be_bytes());
    }
}
