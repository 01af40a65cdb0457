//! Keys of buckets under data protection law (GDPR): each is encrypted with a secret of its own, which the
//! Ozone Manager forgets when the key is deleted (`GDPRSymmetricKey`).
//!
//! The cipher is what Java calls `AES`: 128 bits, block by block, the last one padded as PKCS #5 says.

use std::collections::BTreeMap;

use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Block};
use bytes::{Bytes, BytesMut};
use rand::Rng;
use rand::distr::Alphanumeric;

use crate::ClientError;

/// Metadata of a bucket, and of the keys in it: that they are under the law.
pub const FLAG: &str = "gdprEnabled";
/// Metadata of a key: what it is encrypted with.
const SECRET: &str = "secret";
/// Metadata of a key: the cipher.
const ALGORITHM: &str = "algorithm";
/// The only one.
const AES: &str = "AES";
/// Bytes of a block, and of the secret.
const BLOCK_BYTES: usize = 16;

/// Whether metadata says so.
pub fn is_on(metadata: &BTreeMap<String, String>) -> bool {
    metadata.get(FLAG).is_some_and(|flag| flag.eq_ignore_ascii_case("true"))
}

/// Takes the secret out of metadata that somebody is to see, or another key is to have.
pub fn forget_secret(metadata: &mut BTreeMap<String, String>) {
    metadata.remove(SECRET);
    metadata.remove(ALGORITHM);
}

/// What encrypts a new key, if its metadata says that it is to be: notes a new secret there.
pub(super) fn encryptor(metadata: &mut BTreeMap<String, String>) -> Option<Encryptor> {
    if !is_on(metadata) {
        return None;
    }
    let secret: String =
        rand::rng().sample_iter(&Alphanumeric).take(BLOCK_BYTES).map(char::from).collect();
    let cipher = Aes128::new_from_slice(secret.as_bytes()).ok()?;
    metadata.insert(SECRET.to_owned(), secret);
    metadata.insert(ALGORITHM.to_owned(), AES.to_owned());
    Some(Encryptor { cipher, rest: BytesMut::new() })
}

/// What decrypts a key; `None` for one that is not encrypted.
///
/// # Errors
/// It is encrypted in another way.
pub(super) fn decryptor(
    metadata: &BTreeMap<String, String>,
) -> Result<Option<Decryptor>, ClientError> {
    if !is_on(metadata) {
        return Ok(None);
    }
    let cipher = match (metadata.get(SECRET), metadata.get(ALGORITHM).map(String::as_str)) {
        (Some(secret), Some(AES)) => Aes128::new_from_slice(secret.as_bytes()).ok(),
        _ => None,
    };
    let cipher = cipher.ok_or_else(|| broken("it has no secret for AES"))?;
    Ok(Some(Decryptor { cipher, rest: BytesMut::new() }))
}

fn broken(what: &str) -> ClientError {
    ClientError::Invalid(format!("a key under GDPR cannot be read: {what}"))
}

/// Encrypts a stream.
pub(super) struct Encryptor {
    cipher: Aes128,
    /// What does not fill a block yet.
    rest: BytesMut,
}

impl Encryptor {
    /// As much as is complete with `data`.
    pub fn update(&mut self, data: &[u8]) -> Bytes {
        self.rest.extend_from_slice(data);
        let complete = self.rest.len() - self.rest.len() % BLOCK_BYTES;
        let mut done = self.rest.split_to(complete);
        self.apply(&mut done);
        done.freeze()
    }

    /// The last block; there always is one.
    pub fn finish(&mut self) -> Bytes {
        let padding = BLOCK_BYTES - self.rest.len();
        self.rest.resize(BLOCK_BYTES, u8::try_from(padding).unwrap_or_default());
        let mut last = self.rest.split();
        self.apply(&mut last);
        last.freeze()
    }

    fn apply(&self, data: &mut [u8]) {
        for block in data.chunks_exact_mut(BLOCK_BYTES) {
            if let Ok(block) = <&mut Block>::try_from(block) {
                self.cipher.encrypt_block(block);
            }
        }
    }
}

/// Decrypts a stream.
pub(super) struct Decryptor {
    cipher: Aes128,
    /// At least the last block until the end: it may be padding.
    rest: BytesMut,
}

impl Decryptor {
    /// As much as is certain with `data`.
    pub fn update(&mut self, data: &[u8]) -> Bytes {
        self.rest.extend_from_slice(data);
        let certain = self.rest.len().saturating_sub(1) / BLOCK_BYTES * BLOCK_BYTES;
        let mut done = self.rest.split_to(certain);
        self.apply(&mut done);
        done.freeze()
    }

    /// What is left, without its padding.
    ///
    /// # Errors
    /// The key was cut, or is not encrypted with this secret.
    pub fn finish(&mut self) -> Result<Bytes, ClientError> {
        let mut last = self.rest.split();
        if last.is_empty() {
            return Ok(Bytes::new());
        }
        if last.len() != BLOCK_BYTES {
            return Err(broken("its end is missing"));
        }
        self.apply(&mut last);
        let padding = usize::from(last[BLOCK_BYTES - 1]);
        let is_padded = (1..=BLOCK_BYTES).contains(&padding)
            && last[BLOCK_BYTES - padding..].iter().all(|byte| usize::from(*byte) == padding);
        if !is_padded {
            return Err(broken("its end is not what its secret would make it"));
        }
        last.truncate(BLOCK_BYTES - padding);
        Ok(last.freeze())
    }

    fn apply(&self, data: &mut [u8]) {
        for block in data.chunks_exact_mut(BLOCK_BYTES) {
            if let Ok(block) = <&mut Block>::try_from(block) {
                self.cipher.decrypt_block(block);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_is_encrypted_comes_back_however_it_is_cut() {
        for size in [0_usize, 1, 15, 16, 17, 100, 4096] {
            let data: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            for step in [1, 7, 16, 33, 5000] {
                let mut key = metadata(&[(FLAG, "true")]);
                let mut encryptor = encryptor(&mut key).unwrap();
                let mut stored = BytesMut::new();
                data.chunks(step).for_each(|part| stored.extend(encryptor.update(part)));
                stored.extend(encryptor.finish());
                assert_eq!(stored.len(), size / 16 * 16 + 16);
                let mut decryptor = decryptor(&key).unwrap().unwrap();
                let mut back = BytesMut::new();
                stored.chunks(step).for_each(|part| back.extend(decryptor.update(part)));
                back.extend(decryptor.finish().unwrap());
                assert_eq!(back, data);
            }
        }
    }

    #[test]
    fn the_cipher_is_that_of_java() {
        // printf hello | openssl enc -aes-128-ecb -K $(printf 0123456789abcdef | xxd -p)
        let key = metadata(&[(FLAG, "true"), (SECRET, "0123456789abcdef"), (ALGORITHM, AES)]);
        let mut decryptor = decryptor(&key).unwrap().unwrap();
        decryptor.update(&hex("674c7ef38e78cabd9cec9c125823a639"));
        assert_eq!(decryptor.finish().unwrap(), "hello");
    }

    fn hex(text: &str) -> Vec<u8> {
        let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
        (0..text.len()).step_by(2).map(digit).collect()
    }

    #[test]
    fn keys_that_cannot_be_decrypted_are_refused() {
        assert!(decryptor(&metadata(&[])).unwrap().is_none());
        assert!(decryptor(&metadata(&[(FLAG, "true")])).is_err());
        let other = metadata(&[(FLAG, "true"), (SECRET, "0123456789abcdef"), (ALGORITHM, "DES")]);
        assert!(decryptor(&other).is_err());
        let key = metadata(&[(FLAG, "true"), (SECRET, "0123456789abcdef"), (ALGORITHM, AES)]);
        for end in [&[1; 15][..], &[1; 16][..]] {
            let mut decryptor = decryptor(&key).unwrap().unwrap();
            decryptor.update(end);
            assert!(decryptor.finish().is_err());
        }
    }
}
