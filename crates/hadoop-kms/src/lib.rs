//! A client of Hadoop's key management server (KMS): what keys of encrypted buckets are encrypted with.
//!
//! ```text
//!  key of the bucket, never leaves the KMS
//!    │ encrypts
//!  data key of one file ─► EncryptedKey: stored with the file    Ozone Manager: KeyCache ─► generate
//!    │ encrypts                  └──── decrypt ◄── client, who may use the key of the bucket
//!  bytes of the file
//! ```
//! * Several servers take turns, and stand in for each other ([`KmsClient`]).
//! * Every call is bounded in time and bytes. Servers behind TLS or Kerberos are refused clearly.
//! * A data key is in no message, log or `Debug` output.
//!
//! Start reading at [`KmsClient`], then [`KeyCache`].

mod address;
mod cache;
mod client;
mod error;
mod settings;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod wire;

pub use address::{KmsAddress, PROVIDER_PATH};
pub use cache::KeyCache;
pub use client::KmsClient;
pub use error::{AddressError, KmsError};
pub use settings::KmsSettings;
pub use wire::{DataKey, EncryptedKey, KeyMetadata};
