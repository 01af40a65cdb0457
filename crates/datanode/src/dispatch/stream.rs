//! `ReadBlock`: a stretch of a block in pieces, each with the checksums that cover it.
//!
//! Offset and end are widened to checksum boundaries; a piece never spans two chunks, so that its
//! checksums are a slice of one chunk's (`KeyValueHandler.readBlockImpl`).

use std::collections::VecDeque;
use std::sync::Arc;

use container_store::{Code, Container, StoreError};
use hdds_proto::datanode::{
    BlockData, ChecksumData, ChecksumType, ChunkInfo, ContainerCommandRequestProto as Request,
    ContainerCommandResponseProto as Response, ReadBlockResponseProto, Type,
};

use super::{Dispatcher, need, reply};

/// Bytes in one piece unless the request asks for another size.
const PIECE_BYTES_DEFAULT: u64 = 1 << 20;
/// Largest piece, in bytes.
const PIECE_BYTES_MAX: u64 = 16 << 20;

/// A part of one chunk.
#[derive(Clone, PartialEq, Debug)]
struct Piece {
    offset: u64,
    len: u64,
    checksums: ChecksumData,
}

/// A block being read.
pub struct BlockStream {
    dispatcher: Arc<Dispatcher>,
    container: Arc<Container>,
    request: Request,
    local_id: i64,
    pieces: VecDeque<Piece>,
}

impl BlockStream {
    /// Looks the block up and plans the pieces.
    ///
    /// # Errors
    /// As for `GetBlock`; `INVALID_ARGUMENT` for an offset outside the block.
    pub async fn open(dispatcher: Arc<Dispatcher>, request: Request) -> Result<Self, StoreError> {
        let container = dispatcher.admit(Type::ReadBlock, &request)?;
        let read = *need(&request.read_block, "ReadBlock")?;
        let id = read.block_id;
        let block = {
            let (dispatcher, found) = (dispatcher.clone(), container.clone());
            let task = move || dispatcher.store.get_block(&found, &id);
            container.volume().threads.read(task).wait().await?
        };
        let piece = u64::from(read.response_data_size.unwrap_or(0));
        let piece = if piece == 0 { PIECE_BYTES_DEFAULT } else { piece.min(PIECE_BYTES_MAX) };
        let pieces = plan(&block, read.offset, read.length, piece)?;
        Ok(Self { dispatcher, container, request, local_id: id.local_id, pieces })
    }

    /// The next reply; `None` after the last.
    pub async fn next(&mut self) -> Option<Response> {
        let Piece { offset, len, checksums } = self.pieces.pop_front()?;
        let (dispatcher, container) = (self.dispatcher.clone(), self.container.clone());
        let local_id = self.local_id;
        let task = move || dispatcher.store.read_chunk(&container, local_id, offset, len);
        match self.container.volume().threads.read(task).wait().await {
            Ok(data) => {
                let mut response = reply::success(&self.request);
                let piece = ReadBlockResponseProto { checksum_data: checksums, offset, data };
                response.read_block = Some(Box::new(piece));
                Some(response)
            }
            Err(error) => {
                self.pieces.clear();
                Some(reply::refusal(&self.request, &error))
            }
        }
    }
}

fn plan(
    block: &BlockData,
    offset: u64,
    length: Option<u64>,
    piece_bytes: u64,
) -> Result<VecDeque<Piece>, StoreError> {
    let size = block.size.unwrap_or(0).max(0).cast_unsigned();
    if offset > size {
        return Err(StoreError::new(
            Code::InvalidArgument,
            format!("offset {offset} is outside the block of {size} bytes"),
        ));
    }
    let end = length.map_or(size, |length| offset.saturating_add(length).min(size));
    let mut pieces = VecDeque::new();
    for chunk in &block.chunks {
        let chunk_end = chunk.offset.saturating_add(chunk.len);
        if chunk_end > offset && chunk.offset < end {
            plan_chunk(chunk, offset, end.min(chunk_end), piece_bytes, &mut pieces);
        }
    }
    Ok(pieces)
}

fn plan_chunk(
    chunk: &ChunkInfo,
    offset: u64,
    end: u64,
    piece_bytes: u64,
    pieces: &mut VecDeque<Piece>,
) {
    let sums = &chunk.checksum_data;
    let none = sums.r#type == i32::from(ChecksumType::None);
    let unit = if none { 1 } else { u64::from(sums.bytes_per_checksum).max(1) };
    let step = (piece_bytes / unit).max(1) * unit;
    let mut at = offset.saturating_sub(chunk.offset) / unit * unit;
    let end = end.saturating_sub(chunk.offset).next_multiple_of(unit).min(chunk.len);
    while at < end {
        let len = step.min(end - at);
        let (first, count) = ((at / unit) as usize, len.div_ceil(unit) as usize);
        let checksums = if none {
            ChecksumData { bytes_per_checksum: 0, checksums: Vec::new(), ..sums.clone() }
        } else {
            let checksums = sums.checksums.iter().skip(first).take(count).cloned().collect();
            ChecksumData { checksums, ..sums.clone() }
        };
        pieces.push_back(Piece { offset: chunk.offset + at, len, checksums });
        at += len;
    }
}

#[cfg(test)]
mod tests {
    use chunk_checksum::Algorithm;

    use super::*;

    #[test]
    fn pieces_are_widened_to_checksums_and_end_with_their_chunk() {
        let chunk = |offset: u64, len: usize| ChunkInfo {
            offset,
            len: len as u64,
            checksum_data: chunk_checksum::compute(Algorithm::Crc32, 100, &vec![7; len]),
            ..ChunkInfo::default()
        };
        let block = BlockData {
            chunks: vec![chunk(0, 1000), chunk(1000, 250)],
            size: Some(1250),
            ..BlockData::default()
        };
        let plan = |offset, length| {
            let pieces = super::plan(&block, offset, length, 450).unwrap();
            let shape = |p: &Piece| (p.offset, p.len, p.checksums.checksums.len());
            pieces.iter().map(shape).collect::<Vec<_>>()
        };
        assert_eq!(plan(150, Some(10)), [(100, 100, 1)]);
        assert_eq!(plan(0, None), [(0, 400, 4), (400, 400, 4), (800, 200, 2), (1000, 250, 3)]);
        assert_eq!(plan(1249, Some(1 << 40)), [(1200, 50, 1)]);
        assert_eq!(plan(1250, None), []);
        assert!(super::plan(&block, 1251, None, 450).is_err());
    }
}
