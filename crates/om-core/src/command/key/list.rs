//! `ListKeys` and `ListKeysLight`: a page of keys in byte order.
//!
//! A hot path: the reply is encoded while rows pass by. The full form copies rows as they are
//! (stored keys carry no pipelines, as the reply); the light form copies a few fields of each
//! (`file/light.rs`). No row is decoded.

use std::ops::ControlFlow;

use om_proto::{ListKeysRequest, OmResponse, Status};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};

use crate::command::Read;
use crate::command::file::light;
use crate::error::Failure;
use crate::namespace::Namespace;
use crate::tables;

/// Which of the two replies.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `ListKeysResponse`.
    Full,
    /// `ListKeysLightResponse`.
    Light,
}

impl Form {
    /// Field of the page in `OMResponse`.
    fn reply_field(self) -> u32 {
        if self == Self::Full { 35 } else { 126 }
    }

    /// Field of a row in the page, and of `isTruncated`.
    fn page_fields(self) -> (u32, u32) {
        if self == Self::Full { (2, 3) } else { (1, 2) }
    }
}

pub(crate) fn read(
    request: &ListKeysRequest,
    ns: &Namespace<'_>,
    reply: &OmResponse,
    form: Form,
) -> Result<Read, Failure> {
    let bucket = ns.resolve(&request.volume_name, &request.bucket_name)?;
    if request.bucket_name.is_empty() {
        return Err(Failure::new(Status::BucketNotFound, "Bucket name is required."));
    }
    let max = usize::try_from(request.count.unwrap_or(0)).unwrap_or(0).min(ns.rules.list_rows_max);
    let name = |text: &Option<String>| {
        let text = text.as_deref().unwrap_or("");
        if bucket.layout.normalizes() {
            crate::names::normalize(text, true)
        } else {
            text.to_owned()
        }
    };
    let (start, prefix) = (name(&request.start_key), name(&request.prefix));
    let start_row = bucket.flat_row(&start);
    let prefix_row = bucket.flat_row(&prefix);
    let skip_start = !start.trim().is_empty();
    let mut page = Vec::with_capacity(max.min(64) * 256);
    let (mut seen, mut taken) = (0, 0);
    let mut malformed = None;
    let (row_field, truncated_field) = form.page_fields();
    if max > 0 {
        let from = skip_start.then_some(start_row.as_slice());
        ns.scan_prefix(tables::KEY.slot, &prefix_row, from, &mut |key, value| {
            seen += 1;
            let is_start = skip_start && key == start_row;
            if !is_start && taken < max {
                match form {
                    Form::Full => put_bytes(&mut page, row_field, value),
                    Form::Light => {
                        if let Err(error) = light::put_row(&mut page, row_field, value, None) {
                            malformed = Some((key.to_vec(), error));
                            return ControlFlow::Break(());
                        }
                    }
                }
                taken += 1;
            }
            if seen > max { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
    }
    if let Some((key, source)) = malformed {
        let key = key.escape_ascii().to_string();
        return Err(ozone_db::DbError::Codec { table: tables::KEY.def.name, key, source }.into());
    }
    encode_key(truncated_field, WireType::Varint, &mut page);
    page.push(u8::from(seen > max));
    let mut encoded = Vec::with_capacity(page.len() + 128);
    // Writing to a Vec does not fail.
    let _ = reply.encode(&mut encoded);
    put_bytes(&mut encoded, form.reply_field(), &page);
    Ok(Read::Encoded(encoded.into()))
}

/// A length-delimited field.
pub(crate) fn put_bytes(to: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    encode_key(field, WireType::LengthDelimited, to);
    encode_varint(bytes.len() as u64, to);
    to.extend_from_slice(bytes);
}
