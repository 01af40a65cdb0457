//! Volumes.

use std::collections::BTreeMap;

use om_proto::list_volume_request::Scope;
use om_proto::{
    CreateVolumeRequest, DeleteVolumeRequest, InfoVolumeRequest, ListVolumeRequest, OmRequest,
    SetVolumePropertyRequest, Type, VolumeInfo,
};

use crate::{Acl, ClientError, OzoneClient, QUOTA_OLD, QUOTA_RESET, names};

/// A volume as the Ozone Manager describes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Volume {
    /// Name.
    pub name: String,
    /// Who created it.
    pub admin: String,
    /// Owner.
    pub owner: String,
    /// Limit in bytes; [`QUOTA_RESET`] for none.
    pub quota_in_bytes: i64,
    /// Limit in buckets; [`QUOTA_RESET`] for none.
    pub quota_in_namespace: i64,
    /// Buckets.
    pub used_namespace: i64,
    /// Milliseconds since 1970.
    pub creation_time: i64,
    /// Milliseconds since 1970.
    pub modification_time: i64,
    /// Access control entries.
    pub acls: Vec<Acl>,
    /// Free properties.
    pub metadata: BTreeMap<String, String>,
    /// Uses that forbid deletion, e.g. by a tenant.
    pub ref_count: i64,
}

/// What a new volume should be like.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewVolume {
    /// Owner; the user if not given.
    pub owner: Option<String>,
    /// Limit in bytes.
    pub quota_in_bytes: i64,
    /// Limit in buckets.
    pub quota_in_namespace: i64,
}

impl Default for NewVolume {
    fn default() -> Self {
        Self { owner: None, quota_in_bytes: QUOTA_RESET, quota_in_namespace: QUOTA_RESET }
    }
}

/// Which volumes to list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum VolumeScope {
    /// All that the user may list.
    Cluster,
    /// Those that this user owns.
    OwnedBy(String),
}

impl Volume {
    fn from_wire(info: VolumeInfo) -> Self {
        Self {
            name: info.volume,
            admin: info.admin_name,
            owner: info.owner_name,
            quota_in_bytes: info.quota_in_bytes.unwrap_or_default().cast_signed(),
            quota_in_namespace: info.quota_in_namespace.unwrap_or(QUOTA_OLD),
            used_namespace: info.used_namespace.unwrap_or_default().cast_signed(),
            creation_time: info.creation_time.unwrap_or_default().cast_signed(),
            modification_time: info.modification_time.unwrap_or_default().cast_signed(),
            acls: info.volume_acls.iter().filter_map(Acl::from_wire).collect(),
            metadata: metadata(info.metadata),
            ref_count: info.ref_count.unwrap_or_default(),
        }
    }
}

pub(crate) fn metadata(pairs: Vec<hdds_proto::hdds::KeyValue>) -> BTreeMap<String, String> {
    pairs.into_iter().map(|pair| (pair.key, pair.value.unwrap_or_default())).collect()
}

impl OzoneClient {
    /// Makes a volume.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn create_volume(&self, name: &str, new: NewVolume) -> Result<(), ClientError> {
        names::check_volume(name)?;
        let info = VolumeInfo {
            admin_name: self.user.to_string(),
            owner_name: new.owner.unwrap_or_else(|| self.user.to_string()),
            volume: name.to_owned(),
            quota_in_bytes: Some(new.quota_in_bytes.cast_unsigned()),
            quota_in_namespace: Some(new.quota_in_namespace),
            used_namespace: Some(0),
            creation_time: Some(0),
            modification_time: Some(0),
            object_id: Some(0),
            update_id: Some(0),
            ref_count: Some(0),
            ..Default::default()
        };
        let request = OmRequest {
            cmd_type: Type::CreateVolume.into(),
            create_volume_request: Some(Box::new(CreateVolumeRequest { volume_info: info })),
            ..Default::default()
        };
        self.om.submit(request).await.map(drop)
    }

    /// One volume.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn volume(&self, name: &str) -> Result<Volume, ClientError> {
        names::check_volume(name)?;
        let request = OmRequest {
            cmd_type: Type::InfoVolume.into(),
            info_volume_request: Some(Box::new(InfoVolumeRequest { volume_name: name.to_owned() })),
            ..Default::default()
        };
        let response = self.om.submit(request).await?;
        response
            .info_volume_response
            .and_then(|found| found.volume_info)
            .map(Volume::from_wire)
            .ok_or(ClientError::Malformed("volumeInfo"))
    }

    /// One page of volumes, those after `start`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn list_volumes(
        &self,
        scope: &VolumeScope,
        prefix: Option<&str>,
        start: Option<&str>,
        count_max: u32,
    ) -> Result<Vec<Volume>, ClientError> {
        let (scope, user_name) = match scope {
            VolumeScope::Cluster => (Scope::VolumesByCluster, None),
            VolumeScope::OwnedBy(user) => (Scope::VolumesByUser, Some(user.clone())),
        };
        let list = ListVolumeRequest {
            scope: scope.into(),
            user_name,
            prefix: prefix.filter(|text| !text.is_empty()).map(str::to_owned),
            prev_key: start.filter(|text| !text.is_empty()).map(str::to_owned),
            max_keys: Some(count_max),
        };
        let request = OmRequest {
            cmd_type: Type::ListVolume.into(),
            list_volume_request: Some(Box::new(list)),
            ..Default::default()
        };
        let response = self.om.submit(request).await?;
        let found = response.list_volume_response.map(|found| found.volume_info);
        Ok(found.unwrap_or_default().into_iter().map(Volume::from_wire).collect())
    }

    /// Gives a volume to another owner; `false` if it had this one.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn set_volume_owner(&self, name: &str, owner: &str) -> Result<bool, ClientError> {
        self.set_volume(SetVolumePropertyRequest {
            volume_name: name.to_owned(),
            owner_name: Some(owner.to_owned()),
            ..Default::default()
        })
        .await
    }

    /// Limits a volume; [`QUOTA_RESET`] for no limit.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn set_volume_quota(
        &self,
        name: &str,
        bytes: i64,
        namespace: i64,
    ) -> Result<(), ClientError> {
        check_quotas(bytes, namespace)?;
        self.set_volume(SetVolumePropertyRequest {
            volume_name: name.to_owned(),
            quota_in_bytes: Some(bytes.cast_unsigned()),
            quota_in_namespace: Some(namespace.cast_unsigned()),
            ..Default::default()
        })
        .await
        .map(drop)
    }

    async fn set_volume(&self, set: SetVolumePropertyRequest) -> Result<bool, ClientError> {
        names::check_volume(&set.volume_name)?;
        let request = OmRequest {
            cmd_type: Type::SetVolumeProperty.into(),
            set_volume_property_request: Some(Box::new(set)),
            ..Default::default()
        };
        let response = self.om.submit(request).await?;
        Ok(response.set_volume_property_response.and_then(|set| set.response).unwrap_or_default())
    }

    /// Deletes an empty volume.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn delete_volume(&self, name: &str) -> Result<(), ClientError> {
        names::check_volume(name)?;
        let request = OmRequest {
            cmd_type: Type::DeleteVolume.into(),
            delete_volume_request: Some(Box::new(DeleteVolumeRequest {
                volume_name: name.to_owned(),
            })),
            ..Default::default()
        };
        self.om.submit(request).await.map(drop)
    }
}

/// Refuses quotas that mean nothing, in the words of the genuine client.
pub(crate) fn check_quotas(bytes: i64, namespace: i64) -> Result<(), ClientError> {
    let wrong = |quota: i64| quota < QUOTA_RESET || quota == 0;
    let invalid = |kind: &str, quota: i64| {
        Err(ClientError::Invalid(format!("Invalid values for quota : {kind} quota is :{quota}.")))
    };
    if wrong(namespace) {
        return invalid("counts", namespace);
    }
    if wrong(bytes) {
        return invalid("space", bytes);
    }
    Ok(())
}
