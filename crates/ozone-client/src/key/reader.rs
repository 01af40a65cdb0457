//! Reading a key, block after block.

use std::collections::VecDeque;

use bytes::Bytes;
use hdds_client::{BlockError, BlockLocation, BlockReader};

use super::Key;
use super::encryption::Cipher;
use super::gdpr::{self, Decryptor};
use crate::{ClientError, OzoneClient};

/// Reads a range of a key, in order. When every replica of a block fails, the Ozone Manager is asked
/// again where the block is.
pub struct KeyReader {
    client: OzoneClient,
    key: Key,
    /// Blocks still to be read, with the range in each.
    pending: VecDeque<Range>,
    current: Option<(Range, BlockReader)>,
    length: u64,
    retries: u32,
    secret: Secret,
}

#[derive(Clone, Debug)]
struct Range {
    /// Index into the key's locations.
    block: usize,
    offset: u64,
    length: u64,
    /// Place of its first byte in the key.
    position: u64,
}

/// What stored bytes have to go through.
enum Secret {
    /// Nothing.
    None,
    /// Of a key under GDPR.
    Law(Decryptor),
    /// Of a key in an encrypted bucket.
    Bucket(Cipher),
}

impl OzoneClient {
    /// A reader of the whole key.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn read_key(
        &self,
        volume: &str,
        bucket: &str,
        key: &str,
    ) -> Result<KeyReader, ClientError> {
        let key = self.key(volume, bucket, key, false).await?;
        let length = key.summary.data_size;
        self.read(key, 0, length).await
    }

    /// A reader of `length` bytes of a known key, from `offset`; less at the key's end.
    ///
    /// # Errors
    /// The data key of an encrypted key cannot be had; or the key is under GDPR and not to be read from
    /// its beginning to its end.
    pub async fn read(&self, key: Key, offset: u64, length: u64) -> Result<KeyReader, ClientError> {
        let secret = match &key.encryption {
            Some(encryption) => Secret::Bucket(self.cipher(&encryption.info).await?),
            None => gdpr::decryptor(&key.metadata)?.map_or(Secret::None, Secret::Law),
        };
        let is_cut = offset > 0 || length < key.summary.data_size;
        if is_cut && matches!(secret, Secret::Law(_)) {
            let text =
                format!("key {} is under GDPR; it can only be read as a whole", key.summary.name);
            return Err(ClientError::Invalid(text));
        }
        let pending = ranges(&key.locations, offset, length);
        let length = pending.iter().map(|range| range.length).sum();
        let client = self.clone();
        Ok(KeyReader { client, key, pending, current: None, length, retries: 0, secret })
    }
}

fn ranges(locations: &[BlockLocation], offset: u64, length: u64) -> VecDeque<Range> {
    let end = offset.saturating_add(length);
    let mut at = 0;
    let mut found = VecDeque::new();
    for (block, location) in locations.iter().enumerate() {
        let next = at + location.length;
        let (from, until) = (offset.max(at), end.min(next));
        if from < until {
            let offset = location.offset + (from - at);
            found.push_back(Range { block, offset, length: until - from, position: from });
        }
        at = next;
    }
    found
}

impl KeyReader {
    /// The key that is read.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Bytes in all.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// A block cannot be read from any replica, or is shorter than the key says.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            let piece = self.stored().await?;
            match &mut self.secret {
                Secret::None => return Ok(piece.map(|piece| piece.bytes)),
                Secret::Bucket(cipher) => {
                    let Some(piece) = piece else { return Ok(None) };
                    let parts = self.key.encryption.as_ref().map(|how| how.part_starts.as_slice());
                    let start = parts.unwrap_or_default().get(piece.block).copied().unwrap_or(0);
                    cipher.seek(piece.position - start);
                    return Ok(Some(cipher.apply(piece.bytes)));
                }
                Secret::Law(decryptor) => {
                    let Some(piece) = piece else {
                        // Empty when asked again.
                        return Ok(Some(decryptor.finish()?).filter(|last| !last.is_empty()));
                    };
                    let bytes = decryptor.update(&piece.bytes);
                    if !bytes.is_empty() {
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }

    /// The next piece as the datanodes have it.
    async fn stored(&mut self) -> Result<Option<Piece>, ClientError> {
        loop {
            let outcome = self.step().await;
            match outcome {
                Ok(Step::Piece(piece)) => {
                    self.retries = 0;
                    return Ok(Some(piece));
                }
                Ok(Step::BlockDone) => {}
                Ok(Step::End) => return Ok(None),
                Err(error) => self.refresh(error).await?,
            }
        }
    }

    async fn step(&mut self) -> Result<Step, BlockError> {
        let Some((range, reader)) = &mut self.current else {
            let Some(range) = self.pending.front().cloned() else { return Ok(Step::End) };
            let location = &self.key.locations[range.block];
            let blocks = &self.client.blocks;
            let reader = BlockReader::open(blocks, location, range.offset, range.length).await?;
            self.pending.pop_front();
            self.current = Some((range, reader));
            return Ok(Step::BlockDone);
        };
        match reader.next().await? {
            Some(piece) => {
                let position = range.position;
                range.position += piece.len() as u64;
                range.offset += piece.len() as u64;
                range.length = range.length.saturating_sub(piece.len() as u64);
                Ok(Step::Piece(Piece { block: range.block, position, bytes: piece }))
            }
            None if range.length == 0 => {
                self.current = None;
                Ok(Step::BlockDone)
            }
            None => Err(BlockError::Location {
                block: self.key.locations[range.block].block,
                message: "the block is shorter than the key says",
            }),
        }
    }

    /// Asks anew where the blocks are, and goes on where reading failed.
    async fn refresh(&mut self, error: BlockError) -> Result<(), ClientError> {
        if self.retries >= self.client.settings.read_retries_max {
            return Err(error.into());
        }
        self.retries += 1;
        tracing::debug!(%error, retries = self.retries, "asking where the key's blocks are");
        tokio::time::sleep(self.client.settings.read_retry_interval).await;
        let old = &self.key.summary;
        let found = self.client.key(&old.volume, &old.bucket, &old.name, true).await?;
        let ids = |key: &Key| key.locations.iter().map(|at| at.block).collect::<Vec<_>>();
        if ids(&found) != ids(&self.key) {
            // Somebody wrote another version of the key: what was read would not fit the rest.
            return Err(error.into());
        }
        self.key = found;
        if let Some((range, _)) = self.current.take() {
            self.pending.push_front(range);
        }
        Ok(())
    }
}

/// Bytes as the datanodes have them.
struct Piece {
    /// Index of their block.
    block: usize,
    /// Place of the first one in the key.
    position: u64,
    bytes: Bytes,
}

enum Step {
    Piece(Piece),
    BlockDone,
    End,
}

#[cfg(test)]
mod tests {
    use hdds_types::{BlockId, ContainerId, LocalId};

    use super::*;

    #[test]
    fn a_range_is_cut_along_the_blocks() {
        let locations: Vec<_> = [10, 5, 20]
            .map(|length| BlockLocation {
                block: BlockId { container: ContainerId(1), local: LocalId(length), bcsid: 0 },
                offset: 0,
                length,
                token: None,
                pipeline: None,
            })
            .to_vec();
        let cut = |offset, length| {
            let found = ranges(&locations, offset, length);
            found.iter().map(|r| (r.block, r.offset, r.length)).collect::<Vec<_>>()
        };
        assert_eq!(cut(0, 35), [(0, 0, 10), (1, 0, 5), (2, 0, 20)]);
        assert_eq!(cut(12, 10), [(1, 2, 3), (2, 0, 7)]);
        assert_eq!(cut(30, u64::MAX), [(2, 15, 5)]);
        assert_eq!(cut(35, 1), []);
        assert_eq!(cut(3, 0), []);
    }
}
