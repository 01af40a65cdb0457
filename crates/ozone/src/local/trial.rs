//! `ozone local run --try`: stores one object in the new cluster and reads it back, as proof that everything works together.

use std::time::Instant;

use anyhow::{Context, ensure};
use bytes::{Bytes, BytesMut};
use om_proto::Status;
use ozone_client::bucket::NewBucket;
use ozone_client::key::NewKey;
use ozone_client::volume::NewVolume;
use ozone_client::{ClientError, OmAddress, OzoneClient};

use crate::local::cluster::LocalCluster;

const VOLUME: &str = "vol";
const BUCKET: &str = "bucket";
const KEY: &str = "hello";
const TEXT: &str = "Hello from Ozonide";

/// Stores `/vol/bucket/hello`, reads it back, and prints what happened. Volume and bucket may exist already; the key is replaced.
///
/// # Errors
/// A step failed (the text says which), or what was read is not what was stored.
pub async fn store_and_read(cluster: &LocalCluster) -> anyhow::Result<()> {
    let started = Instant::now();
    let client = OzoneClient::new(cluster.client_conf(), &OmAddress::Configured)?;
    unless_there(client.create_volume(VOLUME, NewVolume::default()).await)
        .with_context(|| format!("creating volume {VOLUME}"))?;
    unless_there(client.create_bucket(VOLUME, BUCKET, NewBucket::default()).await)
        .with_context(|| format!("creating bucket {VOLUME}/{BUCKET}"))?;
    put(&client).await.with_context(|| format!("storing /{VOLUME}/{BUCKET}/{KEY}"))?;
    let stored = started.elapsed();
    let found = get(&client).await.with_context(|| format!("reading /{VOLUME}/{BUCKET}/{KEY}"))?;
    ensure!(found == TEXT.as_bytes(), "/{VOLUME}/{BUCKET}/{KEY} was stored, but reads differently");
    println!(
        "Stored /{VOLUME}/{BUCKET}/{KEY} on {} datanodes in {:.0} ms and read it back in {:.0} ms: {TEXT}",
        cluster.datanodes().min(3),
        stored.as_secs_f64() * 1e3,
        (started.elapsed() - stored).as_secs_f64() * 1e3,
    );
    Ok(())
}

/// Something that exists already needs no making.
fn unless_there(made: Result<(), ClientError>) -> Result<(), ClientError> {
    made.or_else(|error| match error.status() {
        Some(Status::VolumeAlreadyExists | Status::BucketAlreadyExists) => Ok(()),
        _ => Err(error),
    })
}

async fn put(client: &OzoneClient) -> Result<(), ClientError> {
    let new = NewKey { size: TEXT.len() as u64, ..NewKey::default() };
    let mut writer = client.create_key(VOLUME, BUCKET, KEY, new).await?;
    writer.write(Bytes::from_static(TEXT.as_bytes())).await?;
    writer.close().await
}

async fn get(client: &OzoneClient) -> Result<BytesMut, ClientError> {
    let mut reader = client.read_key(VOLUME, BUCKET, KEY).await?;
    let mut found = BytesMut::new();
    while let Some(part) = reader.next().await? {
        found.extend_from_slice(&part);
    }
    Ok(found)
}
