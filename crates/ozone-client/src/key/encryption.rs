//! Files of encrypted buckets: each has a data key of its own, which the key management server decrypts
//! for those who may use the key of the bucket (`OzoneKMSUtil`).
//!
//! The cipher is what Java calls `AES/CTR/NoPadding`: stored bytes are as many as those in clear, and
//! reading may begin anywhere. The parts of an upload are encrypted one by one, each from its beginning.

use aes::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};
use aes::{Aes128, Aes192, Aes256};
use bytes::{Bytes, BytesMut};
use ctr::Ctr128BE;
use hadoop_kms::{DataKey, EncryptedKey, KmsAddress, KmsClient};
use om_proto::{CipherSuiteProto, CryptoProtocolVersionProto, FileEncryptionInfoProto};
use om_proto::{OmRequest, ServiceListRequest, Type};

use crate::{ClientError, OzoneClient};

/// How a key is encrypted, as the Ozone Manager keeps it.
#[derive(Clone, PartialEq, Debug)]
pub struct Encryption {
    /// The cipher, the encrypted data key, and what it was encrypted with.
    pub info: FileEncryptionInfoProto,
    /// For each block where its part begins within the key, in bytes; all 0 if it is of one piece.
    pub(super) part_starts: Vec<u64>,
}

/// Encrypts or decrypts, which is the same.
pub(super) enum Cipher {
    Aes128(Ctr128BE<Aes128>),
    Aes192(Ctr128BE<Aes192>),
    Aes256(Ctr128BE<Aes256>),
}

impl Cipher {
    /// The length of the key says which one.
    fn new(key: &DataKey, iv: &[u8]) -> Option<Self> {
        let key = key.0.as_slice();
        match key.len() {
            16 => Ctr128BE::new_from_slices(key, iv).ok().map(Self::Aes128),
            24 => Ctr128BE::new_from_slices(key, iv).ok().map(Self::Aes192),
            32 => Ctr128BE::new_from_slices(key, iv).ok().map(Self::Aes256),
            _ => None,
        }
    }

    /// Goes to a place of the stream, in bytes from its beginning.
    pub(super) fn seek(&mut self, position: u64) {
        match self {
            Self::Aes128(cipher) => cipher.seek(position),
            Self::Aes192(cipher) => cipher.seek(position),
            Self::Aes256(cipher) => cipher.seek(position),
        }
    }

    /// The next bytes of the stream; in place, if nobody else has them.
    pub(super) fn apply(&mut self, data: Bytes) -> Bytes {
        let mut data = data.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        match self {
            Self::Aes128(cipher) => cipher.apply_keystream(&mut data),
            Self::Aes192(cipher) => cipher.apply_keystream(&mut data),
            Self::Aes256(cipher) => cipher.apply_keystream(&mut data),
        }
        data.freeze()
    }
}

impl OzoneClient {
    /// The cipher of a key, at its beginning: asks the key management server for the data key.
    ///
    /// # Errors
    /// The server does not give it to this user, cannot be reached, or is not known; or the key is
    /// encrypted in a way that is not.
    pub(super) async fn cipher(
        &self,
        info: &FileEncryptionInfoProto,
    ) -> Result<Cipher, ClientError> {
        if info.crypto_protocol_version() != CryptoProtocolVersionProto::EncryptionZones {
            let text = format!(
                "Client does not support specified CryptoProtocolVersion {}",
                info.crypto_protocol_version
            );
            return Err(ClientError::Invalid(text));
        }
        if info.suite() != CipherSuiteProto::AesCtrNopadding {
            let text = format!("the cipher suite {} of an encrypted key is not known", info.suite);
            return Err(ClientError::Invalid(text));
        }
        let encrypted = EncryptedKey {
            key_name: info.key_name.clone(),
            version_name: info.ez_key_version_name.clone(),
            iv: info.iv.to_vec(),
            material: info.key.to_vec(),
        };
        let key = self.key_provider().await?.decrypt(&encrypted).await?;
        Cipher::new(&key, &info.iv).ok_or_else(|| {
            let text = format!(
                "the data key of an encrypted key has {} bytes and its IV {}; AES wants 16, 24 or 32, \
                 and 16",
                key.0.len(),
                info.iv.len()
            );
            ClientError::Invalid(text)
        })
    }

    /// The key management server, which the Ozone Manager names; else the configuration
    /// (`RpcClient.getKeyProviderUri`). Found on first use.
    async fn key_provider(&self) -> Result<&KmsClient, ClientError> {
        self.key_provider
            .get_or_try_init(|| async {
                let told = self.told_key_provider().await?;
                let path = told.or_else(|| self.settings.key_provider.clone());
                let path = path.filter(|path| !path.is_empty()).ok_or_else(|| {
                    let text = "No KeyProvider is configured, cannot access an encrypted file";
                    ClientError::Invalid(text.to_owned())
                })?;
                let address = KmsAddress::parse(&path)
                    .map_err(|error| ClientError::Invalid(error.to_string()))?;
                Ok(KmsClient::new(address, &self.user, self.settings.kms.clone()))
            })
            .await
    }

    /// What the Ozone Manager says; nothing if it says nothing, empty if there is none.
    async fn told_key_provider(&self) -> Result<Option<String>, ClientError> {
        let request = OmRequest {
            cmd_type: Type::ServiceList.into(),
            service_list_request: Some(Box::new(ServiceListRequest {})),
            ..Default::default()
        };
        let response = self.om.submit(request).await?;
        let services = response.service_list_response.map(|list| list.service_info);
        let told = services.unwrap_or_default().into_iter().find_map(|info| info.server_defaults);
        Ok(told.and_then(|defaults| defaults.key_provider_uri))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// NIST SP 800-38A, F.5.1 and F.5.5: AES-128 and AES-256 in counter mode.
    const IV: &str = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";
    const PLAIN: &str = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51";

    fn hex(text: &str) -> Vec<u8> {
        let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
        (0..text.len()).step_by(2).map(digit).collect()
    }

    fn cipher(key: &str) -> Cipher {
        Cipher::new(&DataKey(hex(key)), &hex(IV)).unwrap()
    }

    #[test]
    fn the_cipher_counts_blocks_as_the_standard_says() {
        for (key, stored) in [
            (
                "2b7e151628aed2a6abf7158809cf4f3c",
                "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff",
            ),
            (
                "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
                "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5",
            ),
        ] {
            assert_eq!(cipher(key).apply(hex(PLAIN).into()), hex(stored));
            assert_eq!(cipher(key).apply(hex(stored).into()), hex(PLAIN));
        }
    }

    #[test]
    fn reading_may_begin_anywhere_and_pieces_may_be_cut_anyhow() {
        let plain: Bytes = (0..5000_u32).map(|i| (i % 251) as u8).collect();
        let key = "2b7e151628aed2a6abf7158809cf4f3c";
        let stored = cipher(key).apply(plain.clone());
        assert_ne!(stored, plain);
        for step in [1, 15, 16, 17, 4999] {
            let mut other = cipher(key);
            let pieces = plain.chunks(step).map(|piece| other.apply(Bytes::copy_from_slice(piece)));
            assert_eq!(pieces.collect::<Vec<_>>().concat(), stored);
        }
        for start in [0, 1, 15, 16, 31, 4096, 4999] {
            let mut other = cipher(key);
            other.seek(start as u64);
            assert_eq!(other.apply(stored.slice(start..)), plain.slice(start..));
        }
    }

    #[test]
    fn keys_and_ivs_of_other_lengths_are_refused() {
        for (key, iv) in [(8, 16), (16, 12), (0, 16), (64, 16)] {
            assert!(Cipher::new(&DataKey(vec![1; key]), &vec![1; iv]).is_none());
        }
    }
}
