//! The fields of an encoded message, for rows that are copied without being decoded.

use ozone_db::CodecError;
use prost::encoding::{WireType, decode_key, decode_varint};

/// A field.
pub(crate) struct Field<'a> {
    /// Its number.
    pub number: u32,
    /// What it holds.
    pub content: Content<'a>,
    /// Its bytes, with key and length.
    pub whole: &'a [u8],
}

/// What a field holds.
pub(crate) enum Content<'a> {
    /// A number, as it is encoded.
    Number(u64),
    /// A text, bytes or a message.
    Bytes(&'a [u8]),
}

impl<'a> Field<'a> {
    /// Text, bytes or message.
    ///
    /// # Errors
    /// It is a number.
    pub fn bytes(&self) -> Result<&'a [u8], CodecError> {
        match self.content {
            Content::Bytes(bytes) => Ok(bytes),
            Content::Number(_) => Err(CodecError(format!("field {} is a number", self.number))),
        }
    }
}

/// The fields of a message, in their order; after an error there are no more.
pub(crate) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// Of this message.
    pub fn of(message: &'a [u8]) -> Self {
        Self(message)
    }

    /// What was not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.0
    }

    fn field(&mut self) -> Result<Field<'a>, CodecError> {
        let begin = self.0;
        let (number, kind) = match begin {
            // All numbers below 16, which is most of them.
            [key @ 8..0x80, rest @ ..] => {
                self.0 = rest;
                let kind = WireType::try_from(u64::from(key & 7));
                (u32::from(key >> 3), kind.map_err(|error| malformed(&error))?)
            }
            _ => decode_key(&mut self.0).map_err(|error| malformed(&error))?,
        };
        let content = match kind {
            WireType::Varint => Content::Number(self.varint()?),
            WireType::LengthDelimited => {
                let length = self.varint()?;
                let split =
                    usize::try_from(length).ok().and_then(|length| self.0.split_at_checked(length));
                let Some((bytes, rest)) = split else {
                    return Err(CodecError("a field is longer than the row".to_owned()));
                };
                self.0 = rest;
                Content::Bytes(bytes)
            }
            _ => return Err(CodecError(format!("field {number} has an unexpected wire type"))),
        };
        let whole = &begin[..begin.len() - self.0.len()];
        Ok(Field { number, content, whole })
    }

    fn varint(&mut self) -> Result<u64, CodecError> {
        if let [byte @ ..0x80, rest @ ..] = self.0 {
            self.0 = rest;
            return Ok(u64::from(*byte));
        }
        decode_varint(&mut self.0).map_err(|error| malformed(&error))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, CodecError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

/// A row that does not decode.
pub(crate) fn malformed(error: &prost::DecodeError) -> CodecError {
    CodecError(error.to_string())
}
