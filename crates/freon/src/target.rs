//! Where a load goes: clients, volume, bucket.

use om_proto::{BucketLayoutProto, Status};
use ozone_client::bucket::NewBucket;
use ozone_client::volume::NewVolume;
use ozone_client::{ClientError, OmAddress, OzoneClient};
use ozone_config::Configuration;

use crate::options::{BucketOptions, ServiceOptions};
use crate::{Context, FreonError};

/// A client of the service that is named, or configured.
pub(crate) fn client(
    context: &Context<'_>,
    service: &ServiceOptions,
) -> Result<OzoneClient, FreonError> {
    let address = match &service.om_service_id {
        Some(service) => OmAddress::Named(service.clone(), None),
        None => OmAddress::Configured,
    };
    Ok(OzoneClient::new(context.conf, &address)?)
}

/// As many clients, each with connections of its own.
pub(crate) fn clients(
    context: &Context<'_>,
    service: &ServiceOptions,
    count: u32,
) -> Result<Vec<OzoneClient>, FreonError> {
    (0..count.max(1)).map(|_| client(context, service)).collect()
}

/// Makes the volume if it is missing.
pub(crate) async fn ensure_volume(client: &OzoneClient, volume: &str) -> Result<(), FreonError> {
    match client.volume(volume).await {
        Err(error) if error.status() == Some(Status::VolumeNotFound) => {
            let made = client.create_volume(volume, NewVolume::default()).await;
            unless_exists(made, Status::VolumeAlreadyExists)
        }
        found => Ok(found.map(drop)?),
    }
}

/// The layout of buckets that are made; the server decides if it is not set.
pub(crate) fn bucket_layout(conf: &Configuration) -> Result<Option<BucketLayoutProto>, FreonError> {
    let accepted = "FILE_SYSTEM_OPTIMIZED, OBJECT_STORE or LEGACY";
    let layout = |name: &str| BucketLayoutProto::from_str_name(name).map(Some);
    Ok(conf.typed("ozone.client.fs.default.bucket.layout", None, accepted, layout)?)
}

/// Makes volume and bucket if they are missing.
pub(crate) async fn ensure_bucket(
    context: &Context<'_>,
    client: &OzoneClient,
    target: &BucketOptions,
) -> Result<(), FreonError> {
    ensure_volume(client, &target.volume).await?;
    match client.bucket(&target.volume, &target.bucket).await {
        Err(error) if error.status() == Some(Status::BucketNotFound) => {
            let layout = bucket_layout(context.conf)?;
            let new = NewBucket { layout, ..NewBucket::default() };
            let made = client.create_bucket(&target.volume, &target.bucket, new).await;
            unless_exists(made, Status::BucketAlreadyExists)
        }
        found => Ok(found.map(drop)?),
    }
}

/// Somebody else may have made it meanwhile.
fn unless_exists(made: Result<(), ClientError>, exists: Status) -> Result<(), FreonError> {
    match made {
        Err(error) if error.status() == Some(exists) => Ok(()),
        other => Ok(other?),
    }
}
