//! The checksum of a whole key, made from the checksums of its chunks without reading data
//! (`ReplicatedFileChecksumHelper`).

use std::fmt;

use chunk_checksum::Algorithm;
use hdds_client::block_chunks;
use hdds_proto::datanode::ChunkInfo;

use crate::{ClientError, OzoneClient};

/// Checksum of a key's data: the CRC over all of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileChecksum {
    /// CRC32 or CRC32C.
    pub algorithm: Algorithm,
    /// The CRC.
    pub crc: u32,
}

impl FileChecksum {
    /// The name that Hadoop gives it.
    pub fn algorithm_name(&self) -> String {
        format!("COMPOSITE-{}", self.algorithm)
    }
}

impl fmt::Display for FileChecksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08X}", self.crc)
    }
}

impl OzoneClient {
    /// The composite CRC of a key.
    ///
    /// # Errors
    /// The key was written without CRCs, or see [`ClientError`].
    pub async fn key_checksum(
        &self,
        volume: &str,
        bucket: &str,
        key: &str,
    ) -> Result<(u64, FileChecksum), ClientError> {
        let key = self.key(volume, bucket, key, false).await?;
        let mut whole: Option<(Algorithm, Crc)> = None;
        for location in &key.locations {
            let chunks = block_chunks(&self.blocks, location).await?;
            for chunk in &chunks {
                let (algorithm, part) = chunk_crc(chunk)?;
                whole = Some(match whole {
                    None => (algorithm, part),
                    Some((same, before)) if same == algorithm => {
                        (same, before.then(part, algorithm))
                    }
                    Some(_) => return Err(unusable("chunks with different checksum types")),
                });
            }
        }
        let (algorithm, crc) = whole.unwrap_or((self.settings.blocks.checksum, Crc::default()));
        Ok((key.summary.data_size, FileChecksum { algorithm, crc: crc.value }))
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
    let algorithm = chunk_checksum::algorithm_of(sums).map_err(|_| unusable("an unknown type"))?;
    if !matches!(algorithm, Algorithm::Crc32 | Algorithm::Crc32c) {
        return Err(unusable(algorithm.name()));
    }
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

fn unusable(found: &str) -> ClientError {
    let text = format!("the key's checksum cannot be composed: it has {found}, CRCs are needed");
    ClientError::Invalid(text)
}
