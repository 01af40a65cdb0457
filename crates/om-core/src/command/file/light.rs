//! From a stored key to the few fields of `BasicKeyInfo`, without decoding the rest.

use om_proto::{BasicKeyInfo, KeyInfo};
use ozone_db::CodecError;
use prost::encoding::{WireType, encode_key, encode_varint};

use super::fields::{Content, Fields};
use crate::command::key::list::put_bytes;

/// What becomes of a field of `KeyInfo`: its number in `BasicKeyInfo`.
fn target(field: u32) -> Option<u32> {
    match field {
        KEY_NAME => Some(1),
        4 => Some(2),   // dataSize
        8 => Some(3),   // creationTime
        9 => Some(4),   // modificationTime
        5 => Some(5),   // type
        6 => Some(6),   // factor
        17 => Some(7),  // ecReplicationConfig
        20 => Some(9),  // ownerName
        19 => Some(11), // isFile
        _ => None,
    }
}

const KEY_NAME: u32 = 3;
const METADATA: u32 = 11;
const ENCRYPTION: u32 = 12;

/// Appends the row as a `BasicKeyInfo` in field `into`, under another name if one is given.
///
/// # Errors
/// The bytes are no `KeyInfo`.
pub(crate) fn put_row(
    to: &mut Vec<u8>,
    into: u32,
    key: &[u8],
    name: Option<&[u8]>,
) -> Result<(), CodecError> {
    let mut row = Vec::with_capacity(192);
    let mut encrypted = false;
    for field in Fields::of(key) {
        let field = field?;
        match (field.number, field.content) {
            (number, Content::Number(value)) => {
                if let Some(number) = target(number) {
                    encode_key(number, WireType::Varint, &mut row);
                    encode_varint(value, &mut row);
                }
            }
            (METADATA, Content::Bytes(pair)) => {
                if let Some(etag) = etag(pair)? {
                    put_bytes(&mut row, 8, etag);
                }
            }
            (ENCRYPTION, Content::Bytes(_)) => encrypted = true,
            (KEY_NAME, Content::Bytes(bytes)) => put_bytes(&mut row, 1, name.unwrap_or(bytes)),
            (number, Content::Bytes(bytes)) => {
                if let Some(number) = target(number) {
                    put_bytes(&mut row, number, bytes);
                }
            }
        }
    }
    encode_key(10, WireType::Varint, &mut row);
    row.push(u8::from(encrypted));
    put_bytes(to, into, &row);
    Ok(())
}

/// The value of a metadata pair named `ETag`.
fn etag(pair: &[u8]) -> Result<Option<&[u8]>, CodecError> {
    let (mut key, mut value) = (&b""[..], None);
    for field in Fields::of(pair) {
        let field = field?;
        match field.number {
            1 => key = field.bytes()?,
            2 => value = Some(field.bytes()?),
            _ => {}
        }
    }
    Ok(value.filter(|_| key == b"ETag"))
}

/// The same for a key that is decoded already.
pub(crate) fn of_key(key: KeyInfo) -> BasicKeyInfo {
    BasicKeyInfo {
        e_tag: crate::key::metadata(&key, "ETag").map(str::to_owned),
        key_name: Some(key.key_name),
        data_size: Some(key.data_size),
        creation_time: Some(key.creation_time),
        modification_time: Some(key.modification_time),
        r#type: Some(key.r#type),
        factor: key.factor,
        ec_replication_config: key.ec_replication_config,
        owner_name: key.owner_name,
        is_encrypted: Some(key.file_encryption_info.is_some()),
        is_file: key.is_file,
    }
}

#[cfg(test)]
mod tests {
    use hdds_proto::hdds::KeyValue;
    use om_proto::ListKeysLightResponse;
    use prost::Message;

    use super::*;

    #[test]
    fn a_row_turned_into_its_light_form_says_the_same_as_the_decoded_key() {
        let key = KeyInfo {
            volume_name: "v".into(),
            bucket_name: "b".into(),
            key_name: "a/b".into(),
            data_size: 70_000,
            r#type: 1,
            factor: Some(3),
            key_location_list: vec![crate::key::location_list(0, Vec::new())],
            creation_time: 1,
            modification_time: u64::MAX,
            latest_version: Some(0),
            metadata: vec![
                KeyValue { key: "x".into(), value: Some("y".into()) },
                KeyValue { key: "ETag".into(), value: Some("abc".into()) },
            ],
            owner_name: Some("me".into()),
            is_file: Some(true),
            ..KeyInfo::default()
        };
        let mut page = Vec::new();
        put_row(&mut page, 1, &key.encode_to_vec(), None).unwrap();
        let page = ListKeysLightResponse::decode(page.as_slice()).unwrap();
        assert_eq!(page.basic_key_info, [of_key(key.clone())]);
        let row = key.encode_to_vec();
        assert!(put_row(&mut Vec::new(), 1, &row[..row.len() - 1], None).is_err());
    }
}
