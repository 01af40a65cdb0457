//! Volumes, buckets and keys for clients.
//!
//! ```text
//!  fs: files and directories, on top of all of it
//!  OzoneClient ──► om: OmClient ──► failover ──► hadoop-rpc ──► Ozone Manager
//!      │ volume, bucket, acl, key: one file per noun
//!      └─► key::writer, key::reader ──► hdds-client: blocks ──► datanodes
//!               └─► key::encryption ──► hadoop-kms: data keys, in encrypted buckets
//! ```
//! * The identity of a call (client id, call id) is kept over every retry and failover, so that a
//!   write resent after a change of leader is answered from the retry cache.
//! * Failures the Ozone Manager reports carry its own status name and message ([`OmError`]).
//! * Nothing here prints; long waits are told to an observer ([`OmClient::observe`]).
//!
//! Start reading at [`OzoneClient`], then [`om::failover`].

pub mod acl;
pub mod admin;
pub mod bucket;
mod error;
pub mod fs;
pub mod key;
pub mod names;
pub mod om;
pub mod replication;
pub mod s3_secret;
pub mod settings;
pub mod user;
pub mod volume;

use std::sync::Arc;

use hadoop_kms::KmsClient;
use ozone_config::Configuration;
use tokio::sync::OnceCell;

pub use acl::Acl;
pub use bucket::Bucket;
pub use error::{ClientError, OmError};
pub use hadoop_rpc::trace;
pub use om::{OmAddress, OmClient};
pub use settings::ClientSettings;
pub use volume::Volume;

/// Quota value for "no limit".
pub const QUOTA_RESET: i64 = -1;
/// Quota value of volumes and buckets that are older than quotas.
pub const QUOTA_OLD: i64 = -2;

/// Entry point: one cluster, one user. Clones share connections.
#[derive(Clone)]
pub struct OzoneClient {
    pub(crate) om: OmClient,
    pub(crate) blocks: hdds_client::Datanodes,
    pub(crate) settings: Arc<ClientSettings>,
    pub(crate) user: Arc<str>,
    /// Who keeps the keys of encrypted buckets; found on first use.
    pub(crate) key_provider: Arc<OnceCell<KmsClient>>,
}

impl OzoneClient {
    /// A client of the Ozone Manager(s) at `address`, acting as the current user
    /// (`HADOOP_USER_NAME`, else the user of the process). Connects on first use.
    ///
    /// # Errors
    /// The configuration names no such Ozone Manager, or holds a malformed value.
    pub fn new(conf: &Configuration, address: &OmAddress) -> Result<Self, ClientError> {
        let user = user::current();
        let settings = Arc::new(ClientSettings::load(conf)?);
        let om = OmClient::new(conf, address, &user, &settings.failover)?;
        let blocks = hdds_client::Datanodes::new(settings.blocks.clone());
        Ok(Self { om, blocks, settings, user: user.into(), key_provider: Arc::default() })
    }

    /// The Ozone Manager, for requests that have no method here.
    pub fn om(&self) -> &OmClient {
        &self.om
    }

    /// The datanodes, for what has no method here.
    pub fn datanodes(&self) -> &hdds_client::Datanodes {
        &self.blocks
    }

    /// Who this client acts as.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Settings in force.
    pub fn settings(&self) -> &ClientSettings {
        &self.settings
    }
}
