//! Block tokens as datanodes expect them: `Token.encodeToUrlString` of Hadoop.

use hdds_proto::common::TokenProto;

/// The URL-safe text of a token: base64 without padding over four length-prefixed parts.
pub fn encode(token: &TokenProto) -> String {
    let mut bytes = Vec::new();
    for part in
        [&token.identifier[..], &token.password, token.kind.as_bytes(), token.service.as_bytes()]
    {
        put_vint(&mut bytes, part.len() as u64);
        bytes.extend_from_slice(part);
    }
    base64_url(&bytes)
}

/// `WritableUtils.writeVInt` for lengths.
fn put_vint(out: &mut Vec<u8>, value: u64) {
    if value <= 127 {
        out.push(value as u8);
        return;
    }
    let bytes = value.to_be_bytes();
    let skip = (value.leading_zeros() / 8) as usize;
    let count = bytes.len() - skip;
    // -112 - count, as a byte.
    out.push((144 - count) as u8);
    out.extend_from_slice(&bytes[skip..]);
}

fn base64_url(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let at = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = (at(0) << 16) | (at(1) << 8) | at(2);
        for place in 0..=group.len() {
            let index = (bits >> (18 - 6 * place)) & 63;
            text.push(char::from(LETTERS[index as usize]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_token_is_encoded_as_hadoop_does() {
        let token = TokenProto {
            identifier: Bytes::from_static(b"id"),
            password: Bytes::from_static(&[0xff; 200]),
            kind: "K".to_owned(),
            service: String::new(),
        };
        let text = encode(&token);
        // 02 'i' 'd' | 8f c8 ff… : lengths above 127 take a marker byte.
        assert!(text.starts_with("Amlkj8j_"), "{text}");
        assert!(!text.contains('='));
    }

    #[test]
    fn the_alphabet_is_the_url_safe_one() {
        assert_eq!(base64_url(b"\xfb\xff\xbe"), "-_--");
        assert_eq!(base64_url(b"f"), "Zg");
        assert_eq!(base64_url(b"fo"), "Zm8");
    }
}
