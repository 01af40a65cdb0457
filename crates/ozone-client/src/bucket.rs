//! Buckets.

use std::collections::BTreeMap;

use hdds_proto::convert;
use hdds_proto::hdds::{KeyValue, StorageTypeProto};
use hdds_types::ReplicationConfig;
use om_proto::ozone_acl_info::{OzoneAclScope, OzoneAclType};
use om_proto::{
    BucketArgs, BucketEncryptionInfoProto, BucketInfo, BucketLayoutProto, CreateBucketRequest,
    DeleteBucketRequest, InfoBucketRequest, ListBucketsRequest, OmRequest,
    SetBucketPropertyRequest, Type,
};

use crate::volume::{check_quotas, metadata};
use crate::{Acl, ClientError, OzoneClient, QUOTA_OLD, QUOTA_RESET, names, replication};

/// READ and WRITE: what everybody may do to a link; the bucket it points to decides the rest.
const LINK_RIGHTS: u16 = 0b11;

/// A bucket as the Ozone Manager describes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bucket {
    /// Its volume.
    pub volume: String,
    /// Name.
    pub name: String,
    /// Kind of disk.
    pub storage_type: StorageTypeProto,
    /// Keeps old versions of keys.
    pub versioning: bool,
    /// Milliseconds since 1970.
    pub creation_time: i64,
    /// Milliseconds since 1970.
    pub modification_time: i64,
    /// Free properties.
    pub metadata: BTreeMap<String, String>,
    /// Name of the encryption key.
    pub encryption_key: Option<String>,
    /// Volume and bucket that a link points to.
    pub source: Option<(String, String)>,
    /// Bytes on all disks, of keys and of what awaits deletion.
    pub used_bytes: i64,
    /// Keys and directories, with those that await deletion.
    pub used_namespace: i64,
    /// Bytes that await deletion.
    pub pending_delete_bytes: i64,
    /// Keys that await deletion.
    pub pending_delete_namespace: i64,
    /// Limit in bytes; [`QUOTA_RESET`] for none.
    pub quota_in_bytes: i64,
    /// Limit in keys; [`QUOTA_RESET`] for none.
    pub quota_in_namespace: i64,
    /// How keys are stored.
    pub layout: BucketLayoutProto,
    /// Owner.
    pub owner: Option<String>,
    /// Replication of keys that ask for none.
    pub replication: Option<ReplicationConfig>,
}

/// What a new bucket should be like.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewBucket {
    /// How keys are stored; the server decides if not given.
    pub layout: Option<BucketLayoutProto>,
    /// Owner; the user if not given.
    pub owner: Option<String>,
    /// Limit in bytes.
    pub quota_in_bytes: i64,
    /// Limit in keys.
    pub quota_in_namespace: i64,
    /// Replication of keys that ask for none.
    pub replication: Option<ReplicationConfig>,
    /// Volume and bucket that a link points to.
    pub source: Option<(String, String)>,
    /// Name of the encryption key.
    pub encryption_key: Option<String>,
    /// Free properties.
    pub metadata: BTreeMap<String, String>,
}

impl Default for NewBucket {
    fn default() -> Self {
        Self {
            layout: None,
            owner: None,
            quota_in_bytes: QUOTA_RESET,
            quota_in_namespace: QUOTA_RESET,
            replication: None,
            source: None,
            encryption_key: None,
            metadata: BTreeMap::new(),
        }
    }
}

impl Bucket {
    /// Whether it points to another bucket.
    pub fn is_link(&self) -> bool {
        self.source.is_some()
    }

    fn from_wire(info: BucketInfo) -> Self {
        let count = |value: Option<u64>| value.unwrap_or_default().cast_signed();
        let pending_bytes = count(info.snapshot_used_bytes);
        let pending_namespace = count(info.snapshot_used_namespace);
        let replication = info.default_replication_config.as_ref().and_then(|found| {
            convert::replication(found.r#type, found.factor, found.ec_replication_config.as_ref())
        });
        Self {
            volume: info.volume_name,
            name: info.bucket_name,
            storage_type: StorageTypeProto::try_from(info.storage_type)
                .unwrap_or(StorageTypeProto::Disk),
            versioning: info.is_version_enabled,
            creation_time: count(info.creation_time),
            modification_time: count(info.modification_time),
            metadata: metadata(info.metadata),
            encryption_key: info.beinfo.map(|key| key.key_name),
            source: info.source_volume.zip(info.source_bucket),
            used_bytes: count(info.used_bytes) + pending_bytes,
            used_namespace: count(info.used_namespace) + pending_namespace,
            pending_delete_bytes: pending_bytes,
            pending_delete_namespace: pending_namespace,
            quota_in_bytes: info.quota_in_bytes.unwrap_or(QUOTA_OLD),
            quota_in_namespace: info.quota_in_namespace.unwrap_or(QUOTA_OLD),
            layout: info
                .bucket_layout
                .and_then(|layout| BucketLayoutProto::try_from(layout).ok())
                .unwrap_or(BucketLayoutProto::Legacy),
            owner: info.owner,
            replication,
        }
    }
}

impl OzoneClient {
    /// Makes a bucket.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn create_bucket(
        &self,
        volume: &str,
        name: &str,
        new: NewBucket,
    ) -> Result<(), ClientError> {
        names::check_volume(volume)?;
        names::check_bucket(name)?;
        check_quotas(new.quota_in_bytes, new.quota_in_namespace)?;
        let (source_volume, source_bucket) = new.source.unzip();
        let link_acl = source_bucket.is_some().then(|| Acl {
            kind: OzoneAclType::World,
            name: "WORLD".to_owned(),
            rights: LINK_RIGHTS,
            scope: OzoneAclScope::Access,
        });
        let info = BucketInfo {
            volume_name: volume.to_owned(),
            bucket_name: name.to_owned(),
            acls: link_acl.iter().map(Acl::to_wire).collect(),
            is_version_enabled: false,
            storage_type: StorageTypeProto::Disk.into(),
            metadata: pairs(new.metadata),
            beinfo: new
                .encryption_key
                .map(|key_name| BucketEncryptionInfoProto { key_name, ..Default::default() }),
            source_volume,
            source_bucket,
            quota_in_bytes: Some(new.quota_in_bytes),
            quota_in_namespace: Some(new.quota_in_namespace),
            bucket_layout: new.layout.map(Into::into),
            owner: Some(new.owner.unwrap_or_else(|| self.user.to_string())),
            default_replication_config: new.replication.map(replication::to_default),
            ..Default::default()
        };
        let request = OmRequest {
            cmd_type: Type::CreateBucket.into(),
            create_bucket_request: Some(Box::new(CreateBucketRequest { bucket_info: info })),
            ..Default::default()
        };
        self.om.submit(request).await.map(drop)
    }

    /// One bucket.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn bucket(&self, volume: &str, name: &str) -> Result<Bucket, ClientError> {
        names::check_volume(volume)?;
        names::check_bucket(name)?;
        let info =
            InfoBucketRequest { volume_name: volume.to_owned(), bucket_name: name.to_owned() };
        let request = OmRequest {
            cmd_type: Type::InfoBucket.into(),
            info_bucket_request: Some(Box::new(info)),
            ..Default::default()
        };
        let response = self.om.submit(request).await?;
        response
            .info_bucket_response
            .and_then(|found| found.bucket_info)
            .map(Bucket::from_wire)
            .ok_or(ClientError::Malformed("bucketInfo"))
    }

    /// One page of a volume's buckets, those after `start`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn list_buckets(
        &self,
        volume: &str,
        prefix: Option<&str>,
        start: Option<&str>,
        count_max: u32,
        with_snapshot: bool,
    ) -> Result<Vec<Bucket>, ClientError> {
        let list = ListBucketsRequest {
            volume_name: volume.to_owned(),
            start_key: start.map(str::to_owned),
            prefix: prefix.map(str::to_owned),
            count: Some(i32::try_from(count_max).unwrap_or(i32::MAX)),
            has_snapshot: Some(with_snapshot),
        };
        let request = OmRequest {
            cmd_type: Type::ListBuckets.into(),
            list_buckets_request: Some(Box::new(list)),
            ..Default::default()
        };
        let response = self.om.submit(request).await?;
        let found = response.list_buckets_response.map(|found| found.bucket_info);
        Ok(found.unwrap_or_default().into_iter().map(Bucket::from_wire).collect())
    }

    /// Gives a bucket to another owner; `false` if it had this one.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn set_bucket_owner(
        &self,
        volume: &str,
        name: &str,
        owner: &str,
    ) -> Result<bool, ClientError> {
        let args = BucketArgs { owner_name: Some(owner.to_owned()), ..args(volume, name) };
        self.set_bucket(args).await
    }

    /// Limits a bucket; [`QUOTA_RESET`] for no limit.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn set_bucket_quota(
        &self,
        volume: &str,
        name: &str,
        bytes: i64,
        namespace: i64,
    ) -> Result<(), ClientError> {
        check_quotas(bytes, namespace)?;
        let args = BucketArgs {
            quota_in_bytes: Some(bytes.cast_unsigned()),
            quota_in_namespace: Some(namespace.cast_unsigned()),
            ..args(volume, name)
        };
        self.set_bucket(args).await.map(drop)
    }

    /// Sets the replication of new keys that ask for none.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn set_bucket_replication(
        &self,
        volume: &str,
        name: &str,
        replication: ReplicationConfig,
    ) -> Result<(), ClientError> {
        let args = BucketArgs {
            default_replication_config: Some(replication::to_default(replication)),
            ..args(volume, name)
        };
        self.set_bucket(args).await.map(drop)
    }

    /// Encrypts new keys of a bucket with a key of the key management server; those that are there stay
    /// as they are. Without a name nothing changes, as with Java.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn set_bucket_encryption_key(
        &self,
        volume: &str,
        name: &str,
        key_name: Option<String>,
    ) -> Result<(), ClientError> {
        let bek_info =
            key_name.map(|key_name| BucketEncryptionInfoProto { key_name, ..Default::default() });
        self.set_bucket(BucketArgs { bek_info, ..args(volume, name) }).await.map(drop)
    }

    async fn set_bucket(&self, args: BucketArgs) -> Result<bool, ClientError> {
        names::check_volume(&args.volume_name)?;
        names::check_bucket(&args.bucket_name)?;
        let set = SetBucketPropertyRequest { bucket_args: Some(args), ..Default::default() };
        let request = OmRequest {
            cmd_type: Type::SetBucketProperty.into(),
            set_bucket_property_request: Some(Box::new(set)),
            ..Default::default()
        };
        let response = self.om.submit(request).await?;
        Ok(response.set_bucket_property_response.and_then(|set| set.response).unwrap_or_default())
    }

    /// Deletes an empty bucket.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn delete_bucket(&self, volume: &str, name: &str) -> Result<(), ClientError> {
        names::check_volume(volume)?;
        names::check_bucket(name)?;
        let delete =
            DeleteBucketRequest { volume_name: volume.to_owned(), bucket_name: name.to_owned() };
        let request = OmRequest {
            cmd_type: Type::DeleteBucket.into(),
            delete_bucket_request: Some(Box::new(delete)),
            ..Default::default()
        };
        self.om.submit(request).await.map(drop)
    }
}

fn args(volume: &str, name: &str) -> BucketArgs {
    BucketArgs {
        volume_name: volume.to_owned(),
        bucket_name: name.to_owned(),
        ..Default::default()
    }
}

pub(crate) fn pairs(metadata: BTreeMap<String, String>) -> Vec<KeyValue> {
    metadata.into_iter().map(|(key, value)| KeyValue { key, value: Some(value) }).collect()
}
