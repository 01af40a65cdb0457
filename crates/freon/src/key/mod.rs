//! Loads of keys with data: Ozone Manager and datanodes.

pub mod ockg;
pub mod ockr;
pub mod ockrw;
pub mod ockv;

use ozone_client::ClientError;
use ozone_client::key::KeyWriter;

use crate::content::Content;

/// Writes all of the content in pieces of a chunk, which the writer passes on uncopied.
pub(crate) async fn write(
    writer: &mut KeyWriter,
    content: &Content,
    chunk_bytes: usize,
) -> Result<(), ClientError> {
    let mut offset = 0;
    while let Some(piece) = content.piece(offset, chunk_bytes) {
        offset += piece.len() as u64;
        writer.write(piece).await?;
    }
    Ok(())
}
