//! The key management server, between prepare and the log: ciphers of buckets, data keys of files.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use hadoop_kms::{EncryptedKey, KeyCache, KmsAddress, KmsClient, KmsError, KmsSettings};
use om_core::encryption::{self, Wanted};
use om_core::{Failure, Namespace, OmError, tables};
use om_proto::{
    BucketEncryptionInfoProto, CipherSuiteProto, CryptoProtocolVersionProto,
    FileEncryptionInfoProto, OmRequest, Status,
};
use ozone_config::{ConfigError, Configuration, Unit};
use ozone_db::DbError;
use tokio_util::sync::CancellationToken;

use crate::server::Service;
use crate::users;

/// The only cipher of files (`CipherSuite.AES_CTR_NOPADDING`).
const AES_CTR: &str = "AES/CTR/NoPadding";

/// What the Ozone Manager knows of key management servers.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `hadoop.security.key.provider.path` as written: clients are told.
    pub path: Option<String>,
    /// The same, if it is one that can be asked.
    pub address: Option<KmsAddress>,
    /// How it is asked.
    pub kms: KmsSettings,
    /// When data keys are made ready after a start.
    warm_up: WarmUp,
}

/// `EDEKCacheLoader`.
#[derive(Clone, Debug)]
struct WarmUp {
    /// `ozone.om.edekcacheloader.initial.delay.ms`, 3 s.
    delay: Duration,
    /// `ozone.om.edekcacheloader.interval.ms`, 1 s: between tries.
    interval: Duration,
    /// `ozone.om.edekcacheloader.max-retries`, 10 tries.
    tries_max: u32,
}

impl Settings {
    /// Reads them all. A provider that cannot be used is told in the log and counts as none, as with
    /// the genuine Ozone Manager: clusters without encrypted buckets share such settings.
    ///
    /// # Errors
    /// A value is malformed.
    pub(crate) fn read(conf: &Configuration) -> Result<Self, ConfigError> {
        let path = KmsAddress::configured(conf)?;
        let address = match path.as_deref().map(KmsAddress::parse) {
            Some(Ok(address)) => Some(address),
            Some(Err(error)) => {
                tracing::error!(%error, "buckets cannot be encrypted");
                None
            }
            None => None,
        };
        let milliseconds = |key: &str, default: u64| {
            conf.duration(key, Duration::from_millis(default), Unit::Milliseconds)
        };
        Ok(Self {
            path,
            address,
            kms: KmsSettings::load(conf)?,
            warm_up: WarmUp {
                delay: milliseconds("ozone.om.edekcacheloader.initial.delay.ms", 3000)?,
                interval: milliseconds("ozone.om.edekcacheloader.interval.ms", 1000)?,
                tries_max: conf.integer("ozone.om.edekcacheloader.max-retries", 10)?,
            },
        })
    }
}

/// The servers that keep the keys of encrypted buckets.
pub(crate) struct KeyProvider {
    client: KmsClient,
    ready: KeyCache,
}

impl KeyProvider {
    /// `None` if the settings name none.
    pub fn new(settings: &Settings) -> Option<Self> {
        let address = settings.address.clone()?;
        let client = KmsClient::new(address, &users::process_user(), settings.kms.clone());
        Some(Self { ready: KeyCache::new(client.clone()), client })
    }

    async fn cipher(&self, key_name: String) -> Result<BucketEncryptionInfoProto, OmError> {
        let Some(metadata) = self.client.metadata(&key_name).await.map_err(refusal)? else {
            let message = format!("Bucket encryption key {key_name} doesn't exist.");
            return Err(OmError::new(Status::BucketEncryptionKeyNotFound, message));
        };
        if metadata.cipher != AES_CTR {
            let message = format!(
                "Bucket encryption key {key_name} is for {}; only {AES_CTR} is supported",
                metadata.cipher
            );
            return Err(OmError::new(Status::UnknownCipherSuite, message));
        }
        self.ready.warm_up(&key_name).await.map_err(refusal)?;
        Ok(BucketEncryptionInfoProto {
            key_name,
            suite: Some(CipherSuiteProto::AesCtrNopadding.into()),
            crypto_protocol_version: Some(CryptoProtocolVersionProto::EncryptionZones.into()),
        })
    }

    async fn data_key(
        &self,
        bucket: BucketEncryptionInfoProto,
    ) -> Result<FileEncryptionInfoProto, OmError> {
        let (suite, version) = (bucket.suite(), bucket.crypto_protocol_version());
        let EncryptedKey { key_name, version_name, iv, material } =
            self.ready.next(&bucket.key_name).await.map_err(refusal)?;
        Ok(FileEncryptionInfoProto {
            suite: suite.into(),
            crypto_protocol_version: version.into(),
            key: material.into(),
            iv: iv.into(),
            key_name,
            ez_key_version_name: version_name,
        })
    }

    /// Makes data keys ready for all of these.
    async fn warm_up(&self, key_names: &BTreeSet<String>) -> Result<(), KmsError> {
        for key_name in key_names {
            self.ready.warm_up(key_name).await?;
        }
        Ok(())
    }
}

/// The server's trouble is not the client's fault.
fn refusal(error: KmsError) -> OmError {
    OmError::new(Status::InternalError, error.to_string())
}

impl Service {
    /// Fills in what a prepared request needs of the key management server.
    pub(crate) async fn provide_keys(&self, request: &mut OmRequest) -> Result<(), OmError> {
        let Some(provider) = &self.key_provider else { return Ok(()) };
        let wanted = {
            let namespace = Namespace::new(&self.cache, &self.settings.rules);
            encryption::wanted(request, &namespace).map_err(Failure::into_error)?
        };
        match wanted {
            None => {}
            Some(Wanted::Cipher { key_name }) => {
                let info = provider.cipher(key_name).await?;
                encryption::provide_cipher(request, info);
            }
            Some(Wanted::DataKey(bucket)) => {
                let info = provider.data_key(bucket).await?;
                encryption::provide_data_key(request, info);
            }
        }
        Ok(())
    }
}

/// Makes data keys ready for all encrypted buckets, so that the first files after a start need not
/// wait (`OzoneManager.initializeEdekCache`).
pub(crate) async fn warm_up(service: Arc<Service>, stop: CancellationToken) {
    let Some(provider) = &service.key_provider else { return };
    let WarmUp { delay, interval, tries_max } = service.settings.encryption.warm_up.clone();
    let mut wait = delay;
    for _ in 0..tries_max {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => return,
        }
        wait = interval;
        let read = service.clone();
        let names = tokio::task::spawn_blocking(move || keys_of_buckets(&read)).await;
        let error = match names {
            Ok(Ok(names)) => match provider.warm_up(&names).await {
                Ok(()) => return,
                Err(error) => error.to_string(),
            },
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::info!(error, "no data keys could be made ready for encrypted buckets");
    }
}

/// The names of the keys of all buckets.
fn keys_of_buckets(service: &Service) -> Result<BTreeSet<String>, DbError> {
    let namespace = Namespace::new(&service.cache, &service.settings.rules);
    let mut names = BTreeSet::new();
    let mut damaged = None;
    namespace.scan_prefix(tables::BUCKET.slot, b"", None, &mut |key, value| {
        match tables::BUCKET.decode(key, value.to_vec().into()) {
            Ok(bucket) => names.extend(bucket.beinfo.map(|info| info.key_name)),
            Err(error) => damaged = Some(error),
        }
        ControlFlow::Continue(())
    })?;
    damaged.map_or(Ok(names), Err)
}
