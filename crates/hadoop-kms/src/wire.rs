//! Messages of the server: JSON with Base64 in it (`KMSRESTConstants`, `KMSUtil`).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde::{Deserialize, Serialize};

/// A data key as it is stored: encrypted with one version of the key of a bucket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EncryptedKey {
    /// The key of the bucket.
    pub key_name: String,
    /// The version of it that this was encrypted with.
    pub version_name: String,
    /// Where the encryption of the data key, and of the file, begins to count.
    pub iv: Vec<u8>,
    /// The data key, encrypted.
    pub material: Vec<u8>,
}

/// A data key in clear.
#[derive(Clone, PartialEq, Eq)]
pub struct DataKey(pub Vec<u8>);

impl fmt::Debug for DataKey {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "DataKey({} bytes)", self.0.len())
    }
}

/// What the server tells of the key of a bucket.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct KeyMetadata {
    /// E.g. `AES/CTR/NoPadding`.
    pub cipher: String,
    /// Length of the key.
    #[serde(rename = "length")]
    pub bits: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WireEncryptedKey {
    version_name: String,
    iv: String,
    encrypted_key_version: WireMaterial,
}

#[derive(Deserialize)]
struct WireMaterial {
    material: String,
}

impl WireEncryptedKey {
    pub(crate) fn into_key(self, key_name: &str) -> Result<EncryptedKey, &'static str> {
        Ok(EncryptedKey {
            key_name: key_name.to_owned(),
            version_name: self.version_name,
            iv: decode(&self.iv)?,
            material: decode(&self.encrypted_key_version.material)?,
        })
    }
}

/// What is sent to have a data key decrypted.
#[derive(Serialize)]
pub(crate) struct DecryptRequest<'a> {
    name: &'a str,
    iv: String,
    material: String,
}

impl<'a> DecryptRequest<'a> {
    pub(crate) fn of(key: &'a EncryptedKey) -> Self {
        Self {
            name: &key.key_name,
            iv: STANDARD.encode(&key.iv),
            material: STANDARD.encode(&key.material),
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct Decrypted {
    material: String,
}

impl Decrypted {
    pub(crate) fn into_key(self) -> Result<DataKey, &'static str> {
        Ok(DataKey(decode(&self.material)?))
    }
}

/// How the server words a refusal (`HttpExceptionUtils`).
#[derive(Deserialize)]
pub(crate) struct Refusal {
    #[serde(rename = "RemoteException")]
    pub(crate) exception: RemoteException,
}

#[derive(Deserialize)]
pub(crate) struct RemoteException {
    #[serde(default)]
    pub(crate) message: Option<String>,
    #[serde(default)]
    pub(crate) exception: Option<String>,
}

/// Servers write Base64 for URLs, without padding; both kinds are read.
pub(crate) fn decode(text: &str) -> Result<Vec<u8>, &'static str> {
    let text: String = text
        .trim_end_matches('=')
        .chars()
        .map(|letter| match letter {
            '-' => '+',
            '_' => '/',
            other => other,
        })
        .collect();
    STANDARD_NO_PAD.decode(text).map_err(|_| "a value is not Base64")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_base64_are_read() {
        let bytes = [0xfb, 0xff, 0xfe, 1];
        assert_eq!(decode("-__-AQ").unwrap(), bytes);
        assert_eq!(decode("+//+AQ==").unwrap(), bytes);
        assert!(decode("!").is_err());
    }

    #[test]
    fn a_data_key_does_not_show_itself() {
        assert_eq!(format!("{:?}", DataKey(vec![7; 16])), "DataKey(16 bytes)");
    }
}
