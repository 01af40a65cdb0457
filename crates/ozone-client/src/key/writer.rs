//! Writing a key: open it, fill blocks, commit it.
//!
//! ```text
//!  CreateKey ─► open key + first blocks ─► BlockWriter … full ─► next block (AllocateBlock) … ─► CommitKey
//!                                              └─ failed ─► exclude, next block, send again what
//!                                                           is not acknowledged
//! ```
//! Until [`KeyWriter::close`] nobody sees the key; a writer that is dropped leaves an open key, which
//! the Ozone Manager cleans up after a week.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use hdds_client::{BlockError, BlockLocation, BlockWriter, Exclude, ExcludeList};
use hdds_proto::hdds;
use hdds_types::{BlockId, ReplicationConfig};
use om_proto::{
    AllocateBlockRequest, CommitKeyRequest, CreateFileRequest, CreateKeyRequest, KeyArgs, KeyInfo,
    KeyLocation, OmRequest, Type,
};

use super::encryption::Cipher;
use super::gdpr::{self, Encryptor};
use super::{key_args, location};
use crate::bucket::pairs;
use crate::{ClientError, OzoneClient, names, replication};

/// What a new key should be like.
#[derive(Clone, Debug, Default)]
pub struct NewKey {
    /// Bytes that will come, if known: the server reserves blocks for them at once.
    pub size: u64,
    /// Replication; the bucket or the server decides if not given.
    pub replication: Option<ReplicationConfig>,
    /// Free properties.
    pub metadata: BTreeMap<String, String>,
    /// Replace the key only if it is of this generation.
    pub expected_generation: Option<u64>,
}

/// Writes one key.
pub struct KeyWriter {
    client: OzoneClient,
    args: KeyArgs,
    /// Session of the open key.
    session: u64,
    replication: ReplicationConfig,
    metadata: BTreeMap<String, String>,
    secret: Secret,
    /// Blocks reserved but not begun.
    reserved: VecDeque<BlockLocation>,
    current: Option<BlockWriter>,
    done: Vec<(BlockId, u64)>,
    /// Bytes that do not fill a chunk yet.
    buffer: BytesMut,
    exclude: ExcludeList,
    retries: u32,
}

/// What bytes go through before they are stored.
enum Secret {
    /// Nothing.
    None,
    /// Of a key under GDPR.
    Law(Encryptor),
    /// Of a key in an encrypted bucket.
    Bucket(Cipher),
}

impl OzoneClient {
    /// Opens a key for writing.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn create_key(
        &self,
        volume: &str,
        bucket: &str,
        key: &str,
        mut new: NewKey,
    ) -> Result<KeyWriter, ClientError> {
        let law = gdpr::encryptor(&mut new.metadata);
        let (args, create) = self.opening(volume, bucket, key, &new)?;
        let request = OmRequest {
            cmd_type: Type::CreateKey.into(),
            create_key_request: Some(Box::new(CreateKeyRequest {
                key_args: create,
                ..Default::default()
            })),
            ..Default::default()
        };
        let response = self.om.submit_patiently(request).await?;
        let created = response.create_key_response.ok_or(ClientError::Malformed("createKey"))?;
        let version = created.open_version.unwrap_or_default();
        self.opened(args, new.metadata, created.key_info, created.id, version, law).await
    }

    /// Opens a file for writing: as [`Self::create_key`], with the rules of a file system.
    /// `recursive` makes missing parents, `overwrite` replaces a file that exists.
    ///
    /// # Errors
    /// `FILE_ALREADY_EXISTS`, `DIRECTORY_NOT_FOUND`, or see [`ClientError`].
    pub async fn create_file(
        &self,
        volume: &str,
        bucket: &str,
        path: &str,
        new: NewKey,
        recursive: bool,
        overwrite: bool,
    ) -> Result<KeyWriter, ClientError> {
        let (args, create) = self.opening(volume, bucket, path, &new)?;
        let create = CreateFileRequest {
            key_args: KeyArgs { latest_version_location: Some(true), ..create },
            is_recursive: recursive,
            is_overwrite: overwrite,
            client_id: None,
        };
        let request = OmRequest {
            cmd_type: Type::CreateFile.into(),
            create_file_request: Some(Box::new(create)),
            ..Default::default()
        };
        let response = self.om.submit_patiently(request).await?;
        let created = response.create_file_response.ok_or(ClientError::Malformed("createFile"))?;
        let version = created.open_version.unwrap_or_default();
        self.opened(args, new.metadata, created.key_info, created.id, version, None).await
    }

    /// What every request about the new key says, and what the one that opens it adds.
    fn opening(
        &self,
        volume: &str,
        bucket: &str,
        key: &str,
        new: &NewKey,
    ) -> Result<(KeyArgs, KeyArgs), ClientError> {
        names::check_volume(volume)?;
        names::check_bucket(bucket)?;
        let mut args = KeyArgs {
            data_size: (new.size > 0).then_some(new.size),
            is_multipart_key: Some(false),
            sort_datanodes: Some(false),
            ..key_args(volume, bucket, key)
        };
        if let Some(replication) = new.replication {
            put_replication(&mut args, replication);
        }
        let create = KeyArgs {
            metadata: pairs(new.metadata.clone()),
            // A rewritten key keeps its owner.
            owner_name: new.expected_generation.is_none().then(|| self.user.to_string()),
            expected_data_generation: new.expected_generation,
            ..args.clone()
        };
        Ok((args, create))
    }

    /// The writer of a key that the server has opened.
    async fn opened(
        &self,
        mut args: KeyArgs,
        metadata: BTreeMap<String, String>,
        info: Option<KeyInfo>,
        session: Option<u64>,
        version: u64,
        law: Option<Encryptor>,
    ) -> Result<KeyWriter, ClientError> {
        let info = info.ok_or(ClientError::Malformed("keyInfo"))?;
        let session = session.ok_or(ClientError::Malformed("the session of the open key"))?;
        let ec = info.ec_replication_config.as_ref();
        let replication = hdds_proto::convert::replication(info.r#type, info.factor, ec)
            .ok_or(ClientError::Malformed("a known replication"))?;
        if !matches!(replication, ReplicationConfig::Ratis(_)) {
            let text = format!("keys of replication {replication} cannot be written yet");
            return Err(ClientError::Invalid(text));
        }
        put_replication(&mut args, replication);
        let secret = match &info.file_encryption_info {
            Some(file) => Secret::Bucket(self.cipher(file).await?),
            None => law.map_or(Secret::None, Secret::Law),
        };
        let newest = info.key_location_list.last();
        // Blocks of other versions are those of the key that is overwritten.
        let reserved = newest
            .map(|list| &list.key_locations[..])
            .unwrap_or_default()
            .iter()
            .filter(|block| block.create_version.unwrap_or_default() == version)
            .map(location)
            .collect();
        Ok(KeyWriter {
            client: self.clone(),
            args,
            session,
            replication,
            metadata,
            secret,
            reserved,
            current: None,
            done: Vec::new(),
            buffer: BytesMut::new(),
            exclude: ExcludeList::default(),
            retries: 0,
        })
    }
}

fn put_replication(args: &mut KeyArgs, replication: ReplicationConfig) {
    let fields = replication::to_fields(replication);
    args.r#type = Some(fields.kind);
    args.factor = fields.factor;
    args.ec_replication_config = fields.ec;
}

impl KeyWriter {
    /// Replication of the key, as the server decided.
    pub fn replication(&self) -> ReplicationConfig {
        self.replication
    }

    /// Appends data; waits while too much is on its way. Pieces of the chunk size
    /// (`ozone.client.stream.buffer.size`) are passed on without copying.
    ///
    /// # Errors
    /// Data could not be written although other blocks were tried.
    pub async fn write(&mut self, data: Bytes) -> Result<(), ClientError> {
        let data = match &mut self.secret {
            Secret::None => data,
            Secret::Law(encryptor) => encryptor.update(&data),
            Secret::Bucket(cipher) => cipher.apply(data),
        };
        self.append(data).await
    }

    async fn append(&mut self, mut data: Bytes) -> Result<(), ClientError> {
        while !data.is_empty() {
            let room = self.room().await?;
            if self.buffer.is_empty() && data.len() >= room {
                let chunk = data.split_to(room);
                self.send(chunk, false).await?;
                continue;
            }
            let take = data.len().min(room - self.buffer.len());
            if self.buffer.is_empty() {
                // A small key does not need memory for a whole chunk.
                let declared = self.args.data_size.and_then(|size| usize::try_from(size).ok());
                self.buffer.reserve(room.min(declared.unwrap_or(room)).max(take));
            }
            self.buffer.extend_from_slice(&data.split_to(take));
            if self.buffer.len() == room {
                let chunk = self.buffer.split().freeze();
                self.send(chunk, false).await?;
            }
        }
        Ok(())
    }

    /// Writes what is left, waits for the replicas and makes the key visible.
    ///
    /// # Errors
    /// Data could not be written, or the Ozone Manager refuses the commit.
    pub async fn close(mut self) -> Result<(), ClientError> {
        if let Secret::Law(encryptor) = &mut self.secret {
            let last = encryptor.finish();
            self.append(last).await?;
        }
        let rest = self.buffer.split().freeze();
        if !rest.is_empty() {
            self.room().await?;
            self.send(rest, true).await?;
        }
        self.finish_block().await?;
        self.commit().await
    }

    /// Bytes that make the next chunk: the chunk size, or what is left of the block.
    async fn room(&mut self) -> Result<usize, ClientError> {
        let full = self.current.as_ref().is_some_and(|block| block.remaining() == 0);
        if full {
            self.finish_block().await?;
        }
        let chunk = self.client.settings.blocks.chunk_bytes;
        let block = self.current_block().await?;
        Ok(usize::try_from(block.remaining()).unwrap_or(chunk).min(chunk))
    }

    async fn current_block(&mut self) -> Result<&mut BlockWriter, ClientError> {
        if self.current.is_none() {
            let location = self.next_location().await?;
            let writer = BlockWriter::new(&self.client.blocks, &location)?;
            return Ok(self.current.insert(writer));
        }
        self.current.as_mut().ok_or(ClientError::Malformed("a block"))
    }

    async fn next_location(&mut self) -> Result<BlockLocation, ClientError> {
        while let Some(location) = self.reserved.pop_front() {
            let excluded = location
                .pipeline
                .as_ref()
                .is_some_and(|pipeline| self.exclude.covers(pipeline.id, location.block.container));
            if !excluded {
                return Ok(location);
            }
        }
        let allocate = AllocateBlockRequest {
            key_args: self.args.clone(),
            client_id: self.session,
            exclude_list: Some(self.exclude.to_wire()),
            key_location: None,
        };
        let request = OmRequest {
            cmd_type: Type::AllocateBlock.into(),
            allocate_block_request: Some(Box::new(allocate)),
            ..Default::default()
        };
        let response = self.client.om.submit_patiently(request).await?;
        response
            .allocate_block_response
            .and_then(|found| found.key_location)
            .map(|found| location(&found))
            .ok_or(ClientError::Malformed("keyLocation"))
    }

    async fn send(&mut self, chunk: Bytes, last: bool) -> Result<(), ClientError> {
        let block = self.current_block().await?;
        match block.write(chunk, last).await {
            Ok(()) => Ok(()),
            Err(error) => self.recover(error).await,
        }
    }

    async fn finish_block(&mut self) -> Result<(), ClientError> {
        // A recovery may end with a block that has to be finished in its turn.
        while let Some(block) = &mut self.current {
            match block.finish().await {
                Ok(written) => {
                    for node in written.failed_nodes {
                        self.exclude.add(Exclude::Node(node));
                    }
                    self.done.push((written.block, written.length));
                    self.current = None;
                }
                Err(error) => self.recover(error).await?,
            }
        }
        Ok(())
    }

    /// Leaves the failed block: keeps what is acknowledged, sends the rest to other blocks.
    async fn recover(&mut self, error: BlockError) -> Result<(), ClientError> {
        let mut error = error;
        let mut again: VecDeque<Bytes> = VecDeque::new();
        loop {
            again = self.leave_block(&error, again);
            if self.retries >= self.client.settings.write_retries_max {
                return Err(error.into());
            }
            self.retries += 1;
            tracing::debug!(%error, retries = self.retries, "writing goes on in another block");
            tokio::time::sleep(self.client.settings.write_retry_interval).await;
            match self.send_again(&mut again).await? {
                None => return Ok(()),
                Some(next) => error = next,
            }
        }
    }

    /// Takes the failed block away; returns its unacknowledged chunks before those in `rest`.
    fn leave_block(&mut self, error: &BlockError, rest: VecDeque<Bytes>) -> VecDeque<Bytes> {
        let Some(block) = self.current.take() else { return rest };
        self.exclude.add(block.exclusion(error));
        self.client.blocks.forget_ring(block.pipeline());
        let (written, unacknowledged) = block.abandon();
        if let Some(written) = written {
            self.done.push((written.block, written.length));
        }
        unacknowledged.into_iter().chain(rest).collect()
    }

    /// Sends chunks to fresh blocks; the failure of one is returned with the rest left in `chunks`.
    async fn send_again(
        &mut self,
        chunks: &mut VecDeque<Bytes>,
    ) -> Result<Option<BlockError>, ClientError> {
        while let Some(chunk) = chunks.pop_front() {
            let full = self.current.as_ref().is_some_and(|block| block.remaining() == 0);
            if full && let Some(error) = self.try_finish().await {
                chunks.push_front(chunk);
                return Ok(Some(error));
            }
            let block = self.current_block().await?;
            let fits = usize::try_from(block.remaining()).unwrap_or(usize::MAX);
            let mut chunk = chunk;
            if chunk.len() > fits {
                chunks.push_front(chunk.split_off(fits));
            }
            if let Err(error) = block.write(chunk, false).await {
                return Ok(Some(error));
            }
        }
        Ok(None)
    }

    async fn try_finish(&mut self) -> Option<BlockError> {
        let block = self.current.as_mut()?;
        match block.finish().await {
            Ok(written) => {
                self.done.push((written.block, written.length));
                self.current = None;
                None
            }
            Err(error) => Some(error),
        }
    }

    async fn commit(self) -> Result<(), ClientError> {
        let size = self.done.iter().map(|(_, length)| length).sum();
        let commit = CommitKeyRequest {
            key_args: KeyArgs {
                data_size: Some(size),
                key_locations: self.done.iter().map(|(id, length)| wire(*id, *length)).collect(),
                metadata: pairs(self.metadata),
                sort_datanodes: None,
                is_multipart_key: None,
                ..self.args
            },
            client_id: self.session,
            hsync: Some(false),
            recovery: Some(false),
        };
        let request = OmRequest {
            cmd_type: Type::CommitKey.into(),
            commit_key_request: Some(Box::new(commit)),
            ..Default::default()
        };
        self.client.om.submit(request).await.map(drop)
    }
}

fn wire(block: BlockId, length: u64) -> KeyLocation {
    KeyLocation {
        block_id: hdds::BlockId {
            container_block_id: hdds::ContainerBlockId {
                container_id: block.container.0.cast_signed(),
                local_id: block.local.0.cast_signed(),
            },
            block_commit_sequence_id: Some(block.bcsid),
        },
        offset: 0,
        length,
        create_version: Some(0),
        token: None,
        pipeline: None,
        part_number: None,
    }
}
