//! The checksum of a whole key, made from the checksums of its chunks without reading data
//! (`ReplicatedFileChecksumHelper`).

use chunk_checksum::Algorithm;
use hdds_client::block_chunks;
use hdds_proto::datanode::ChunkInfo;
use md5::{Digest, Md5};
use ozone_config::{ConfigError, Configuration};

use super::Key;
use crate::{ClientError, OzoneClient};

/// Where the genuine client's buffer of block checksums begins; its unused rest is digested too.
const BUFFER_BYTES: usize = 32;
/// An MD5 with its parameters.
const MD5_BYTES: usize = 28;
/// The kind of CRC that is told where there is none to tell of.
const USUAL: Algorithm = Algorithm::Crc32;

/// How the checksums of chunks become the one of a key (`ChecksumCombineMode`).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Combine {
    /// The CRC over all data: the same however the data is cut.
    #[default]
    CompositeCrc,
    /// MD5 of MD5s of CRCs, as HDFS did it first.
    Md5Md5Crc,
}

impl Combine {
    /// What the configuration asks for (`ozone.client.checksum.combine.mode`).
    ///
    /// # Errors
    /// It is neither of the two.
    pub fn from_configuration(conf: &Configuration) -> Result<Self, ConfigError> {
        conf.typed(
            "ozone.client.checksum.combine.mode",
            Self::default(),
            "COMPOSITE_CRC or MD5MD5CRC",
            Self::from_name,
        )
    }

    /// The mode of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "COMPOSITE_CRC" => Some(Self::CompositeCrc),
            "MD5MD5CRC" => Some(Self::Md5Md5Crc),
            _ => None,
        }
    }
}

/// Checksum of a key's data, as Hadoop's `FileChecksum`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileChecksum {
    /// The name that Hadoop gives it.
    pub algorithm: String,
    /// Its value: 4 bytes of a CRC, or 28 of an MD5 with its parameters.
    pub bytes: Vec<u8>,
}

impl FileChecksum {
    /// The value in hexadecimal, lower case.
    pub fn hex(&self) -> String {
        self.bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// What `FileChecksum.getBytes` gives: of an MD5 the whole buffer that it is written to.
    pub fn buffer(&self) -> Vec<u8> {
        let mut buffer = self.bytes.clone();
        if buffer.len() == MD5_BYTES {
            buffer.resize(BUFFER_BYTES, 0);
        }
        buffer
    }

    fn composite(crc: u32, algorithm: Algorithm) -> Self {
        Self { algorithm: format!("COMPOSITE-{algorithm}"), bytes: crc.to_be_bytes().to_vec() }
    }

    /// `MD5MD5CRC32FileChecksum`: bytes per CRC, CRCs per block (never told), MD5 over the MD5s of
    /// the blocks.
    fn md5(bytes_per_crc: u32, algorithm: Algorithm, blocks: &[u8]) -> Self {
        let mut capacity = BUFFER_BYTES;
        while capacity < blocks.len() {
            capacity *= 2;
        }
        let mut buffer = blocks.to_vec();
        buffer.resize(capacity, 0);
        let mut bytes = bytes_per_crc.to_be_bytes().to_vec();
        bytes.extend(0_u64.to_be_bytes());
        bytes.extend(Md5::digest(&buffer));
        Self { algorithm: format!("MD5-of-0MD5-of-{bytes_per_crc}{algorithm}"), bytes }
    }
}

impl OzoneClient {
    /// Size and checksum of a key. One without data has the same in both modes.
    ///
    /// # Errors
    /// The key was written without CRCs, or see [`ClientError`].
    pub async fn key_checksum(
        &self,
        volume: &str,
        bucket: &str,
        key: &str,
        combine: Combine,
    ) -> Result<(u64, FileChecksum), ClientError> {
        let key = self.key(volume, bucket, key, false).await?;
        let size = key.summary.data_size;
        if size == 0 || key.locations.is_empty() {
            return Ok((size, FileChecksum::md5(0, USUAL, &[])));
        }
        let sum = match combine {
            Combine::CompositeCrc => self.composite_crc(&key).await?,
            Combine::Md5Md5Crc => self.md5_md5_crc(&key).await?,
        };
        Ok((size, sum))
    }

    async fn composite_crc(&self, key: &Key) -> Result<FileChecksum, ClientError> {
        let mut whole = (USUAL, Crc::default());
        for location in &key.locations {
            for chunk in &block_chunks(&self.blocks, location).await? {
                let (algorithm, part) = chunk_crc(chunk)?;
                if whole.1.bytes > 0 && whole.0 != algorithm {
                    return Err(unusable("chunks with different checksum types"));
                }
                whole = (algorithm, whole.1.then(part, algorithm));
            }
        }
        Ok(FileChecksum::composite(whole.1.value, whole.0))
    }

    async fn md5_md5_crc(&self, key: &Key) -> Result<FileChecksum, ClientError> {
        let (mut blocks, mut bytes_per_crc, mut algorithm) = (Vec::new(), 0, USUAL);
        for location in &key.locations {
            let chunks = block_chunks(&self.blocks, location).await?;
            // What the last block says of itself is told for all.
            if let Some(first) = chunks.first() {
                algorithm = crc_of(first)?;
                bytes_per_crc = first.checksum_data.bytes_per_checksum;
            }
            let mut digest = Md5::new();
            for sum in chunks.iter().flat_map(|chunk| &chunk.checksum_data.checksums) {
                digest.update(&sum[..]);
            }
            blocks.extend_from_slice(&digest.finalize());
        }
        Ok(FileChecksum::md5(bytes_per_crc, algorithm, &blocks))
    }
}

/// A CRC and the number of bytes it is over.
#[derive(Clone, Copy, Default)]
struct Crc {
    value: u32,
    bytes: u64,
}

impl Crc {
    fn then(self, next: Self, algorithm: Algorithm) -> Self {
        let value = chunk_checksum::combine(algorithm, self.value, next.value, next.bytes);
        Self { value: value.unwrap_or(0), bytes: self.bytes + next.bytes }
    }
}

fn chunk_crc(chunk: &ChunkInfo) -> Result<(Algorithm, Crc), ClientError> {
    let sums = &chunk.checksum_data;
    let algorithm = crc_of(chunk)?;
    let mut crc = Crc::default();
    let mut left = chunk.len;
    for sum in &sums.checksums {
        let bytes = left.min(sums.bytes_per_checksum.into());
        let value = sum[..].try_into().map(u32::from_be_bytes);
        let value = value.map_err(|_| unusable("a CRC that is not four bytes long"))?;
        crc = crc.then(Crc { value, bytes }, algorithm);
        left -= bytes;
    }
    if left > 0 { Err(unusable("too few checksums")) } else { Ok((algorithm, crc)) }
}

fn crc_of(chunk: &ChunkInfo) -> Result<Algorithm, ClientError> {
    match chunk_checksum::algorithm_of(&chunk.checksum_data) {
        Ok(algorithm @ (Algorithm::Crc32 | Algorithm::Crc32c)) => Ok(algorithm),
        Ok(other) => Err(unusable(other.name())),
        Err(_) => Err(unusable("an unknown type")),
    }
}

fn unusable(found: &str) -> ClientError {
    let text = format!("the key's checksum cannot be composed: it has {found}, CRCs are needed");
    ClientError::Invalid(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_has_the_checksum_that_hadoop_gives_it() {
        let sum = FileChecksum::md5(0, USUAL, &[]);
        assert_eq!(sum.algorithm, "MD5-of-0MD5-of-0CRC32");
        assert_eq!(sum.hex(), "00000000000000000000000070bc8f4b72a86921468bf8e8441dce51");
        assert_eq!((sum.bytes.len(), sum.buffer().len()), (MD5_BYTES, BUFFER_BYTES));
    }

    #[test]
    fn chunk_checksums_compose_to_the_checksum_of_all_bytes() {
        let data: Vec<u8> = (0..100_003_u64).map(|i| (i * i % 251) as u8).collect();
        for algorithm in [Algorithm::Crc32, Algorithm::Crc32c] {
            let mut whole = Crc::default();
            for part in data.chunks(40_000) {
                let checksum_data = chunk_checksum::compute(algorithm, 16 << 10, part);
                let len = part.len() as u64;
                let chunk = ChunkInfo { len, checksum_data, ..ChunkInfo::default() };
                let (found, crc) = chunk_crc(&chunk).unwrap();
                assert_eq!(found, algorithm);
                whole = whole.then(crc, algorithm);
            }
            let all = chunk_checksum::compute(algorithm, 1 << 20, &data);
            assert_eq!(whole.value.to_be_bytes(), all.checksums[0][..]);
        }
    }

    #[test]
    fn a_chunk_with_too_few_checksums_is_refused() {
        let checksum_data = chunk_checksum::compute(Algorithm::Crc32, 4, b"abcd");
        let chunk = ChunkInfo { len: 5, checksum_data, ..ChunkInfo::default() };
        assert!(chunk_crc(&chunk).is_err());
    }
}
