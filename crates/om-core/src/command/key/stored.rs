//! The answer about one file, put together from its row without decoding it: what clients ask most.
//!
//! It is the answer that [`lookup::find`](super::lookup::find) would lead to; whatever is not the plain
//! case (folders, markers, parts, old versions, an order of datanodes) is left to that.

use std::collections::BTreeSet;

use bytes::Bytes;
use om_proto::{KeyArgs, OmResponse};
use ozone_db::CodecError;
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};

use super::list::put_bytes;
use crate::command::Unlocated;
use crate::command::file::fields::Fields;
use crate::command::file::page;
use crate::error::Failure;
use crate::layout::Bucket;
use crate::namespace::Namespace;

/// Field of `KeyInfo`: whether it is a file.
const IS_FILE: u32 = 19;

/// Where the key goes in a reply: the field of `OMResponse`, and the field in that.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// In `OMResponse`.
    pub response: u32,
    /// In the response.
    pub key: u32,
}

/// An answer about one file, without pipelines.
#[derive(Debug)]
pub(crate) struct StoredKey {
    place: Place,
    /// The reply without the response, encoded.
    reply: Vec<u8>,
    /// The rest of the response, encoded.
    response: Vec<u8>,
    name: String,
    row: Bytes,
    /// The row does not say that it is a file, though the answer does.
    needs_is_file: bool,
    containers: BTreeSet<i64>,
}

impl StoredKey {
    /// The answer if the arguments ask plainly for what is a file. `response` is all else that the
    /// response holds; the answer says that it is a file also where the row does not, if `as_file`.
    ///
    /// # Errors
    /// The store failed.
    pub(crate) fn find(
        args: &KeyArgs,
        (ns, bucket, name): (&Namespace<'_>, &Bucket, &str),
        as_file: bool,
        place: Place,
        reply: &OmResponse,
        response: &impl Message,
    ) -> Result<Option<Box<Self>>, Failure> {
        let is_plain = !args.sort_datanodes.unwrap_or(false)
            && !args.force_update_container_cache_from_scm.unwrap_or(false)
            && args.multipart_number.unwrap_or(0) == 0;
        if !is_plain {
            return Ok(None);
        }
        let Some(row) = bucket.file_row(ns, name)? else { return Ok(None) };
        let locate = !args.head_op.unwrap_or(false);
        // A row that is malformed is reported by whoever decodes it.
        let Ok(seen) = Seen::of(&row, locate) else { return Ok(None) };
        if seen.versions > 1 && args.latest_version_location.unwrap_or(false) {
            return Ok(None);
        }
        Ok(Some(Box::new(Self {
            place,
            reply: reply.encode_to_vec(),
            response: response.encode_to_vec(),
            name: name.to_owned(),
            needs_is_file: as_file && !seen.is_file,
            containers: seen.containers,
            row,
        })))
    }
}

impl Unlocated for StoredKey {
    fn containers(&self) -> &BTreeSet<i64> {
        &self.containers
    }

    fn encode(&self, pipelines: page::Pipelines<'_>) -> Result<Bytes, CodecError> {
        let mut key = Vec::with_capacity(self.row.len() + self.name.len() + 16);
        page::put_key(&mut key, &self.row, self.name.as_bytes(), pipelines)?;
        if self.needs_is_file {
            encode_key(IS_FILE, WireType::Varint, &mut key);
            encode_varint(1, &mut key);
        }
        let mut response = Vec::with_capacity(self.response.len() + key.len() + 8);
        put_bytes(&mut response, self.place.key, &key);
        response.extend_from_slice(&self.response);
        let mut encoded = Vec::with_capacity(self.reply.len() + response.len() + 8);
        encoded.extend_from_slice(&self.reply);
        put_bytes(&mut encoded, self.place.response, &response);
        Ok(encoded.into())
    }
}

/// What one look over a row tells.
#[derive(Default)]
struct Seen {
    is_file: bool,
    versions: usize,
    /// Of all blocks, if they are wanted.
    containers: BTreeSet<i64>,
}

impl Seen {
    fn of(row: &[u8], locate: bool) -> Result<Self, CodecError> {
        let mut seen = Self::default();
        for field in Fields::of(row) {
            let field = field?;
            match field.number {
                IS_FILE => seen.is_file = field.whole.ends_with(&[1]),
                page::VERSIONS => {
                    seen.versions += 1;
                    if locate {
                        page::containers_of(field.bytes()?, &mut seen.containers)?;
                    }
                }
                _ => {}
            }
        }
        Ok(seen)
    }
}
