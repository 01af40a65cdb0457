//! How keys and values become bytes.

use std::borrow::Cow;

use prost::Message;
use thiserror::Error;

/// Bytes that do not decode.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct CodecError(pub String);

/// Both ways of one type.
pub struct Codec<T> {
    /// To bytes; borrowed where the value already is its bytes.
    pub encode: for<'a> fn(&'a T) -> Cow<'a, [u8]>,
    /// From bytes.
    pub decode: fn(&[u8]) -> Result<T, CodecError>,
}

impl<T> Clone for Codec<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Codec<T> {}

/// UTF-8 text.
pub const STRING: Codec<String> = Codec {
    encode: |text| Cow::Borrowed(text.as_bytes()),
    decode: |bytes| {
        String::from_utf8(bytes.to_vec()).map_err(|e| CodecError(format!("not UTF-8: {e}")))
    },
};

/// Plain bytes.
pub const BYTES: Codec<Vec<u8>> =
    Codec { encode: |bytes| Cow::Borrowed(bytes), decode: |bytes| Ok(bytes.to_vec()) };

/// Eight bytes, big-endian (Java's `Long`).
pub const U64: Codec<u64> = Codec {
    encode: |number| Cow::Owned(number.to_be_bytes().to_vec()),
    decode: |bytes| fixed(bytes).map(u64::from_be_bytes),
};

/// Eight bytes, big-endian, signed (Java's `Long`).
pub const I64: Codec<i64> = Codec {
    encode: |number| Cow::Owned(number.to_be_bytes().to_vec()),
    decode: |bytes| fixed(bytes).map(i64::from_be_bytes),
};

/// A protobuf message.
pub const fn proto<M: Message + Default>() -> Codec<M> {
    Codec {
        encode: |message| Cow::Owned(message.encode_to_vec()),
        decode: |bytes| M::decode(bytes).map_err(|e| CodecError(e.to_string())),
    }
}

fn fixed(bytes: &[u8]) -> Result<[u8; 8], CodecError> {
    bytes.try_into().map_err(|_| CodecError(format!("{} bytes where 8 belong", bytes.len())))
}
