//! Replication of keys between messages and [`ReplicationConfig`].

use hdds_proto::convert;
use hdds_proto::hdds::{DefaultReplicationConfig, EcReplicationConfig, ReplicationType};
use hdds_types::{ReplicationConfig, ReplicationFactor};
use om_proto::{BucketInfo, KeyArgs, KeyInfo, Status};

use crate::error::OmError;
use crate::rules::Rules;

/// Data and parity that `ozone.replication.allowed-configs` allows by default.
const EC_ALLOWED: [(u32, u32); 3] = [(3, 2), (6, 3), (10, 4)];
/// Cell sizes that it allows, in KB.
const EC_CHUNK_KB_ALLOWED: [u32; 4] = [512, 1024, 2048, 4096];

/// From the three fields that describe a replication; `None` when they name none.
///
/// # Errors
/// INVALID_REQUEST for one that does not exist.
pub fn from_proto(
    kind: Option<i32>,
    factor: Option<i32>,
    ec: Option<&EcReplicationConfig>,
) -> Result<Option<ReplicationConfig>, OmError> {
    let invalid = |text: String| OmError::new(Status::InvalidRequest, text);
    let kind = match kind {
        None => return Ok(None),
        Some(kind) => ReplicationType::try_from(kind)
            .map_err(|_| invalid(format!("Not supported replication type: {kind}")))?,
    };
    let found = convert::replication(kind.into(), factor, ec).map(Some);
    found.map_or_else(
        || match kind {
            ReplicationType::None => Ok(None),
            ReplicationType::Ratis | ReplicationType::StandAlone => {
                let factor = factor.unwrap_or(0);
                Err(invalid(format!(
                    "Invalid replication config: {}/{}",
                    kind.as_str_name(),
                    match factor {
                        0 => "ZERO".to_owned(),
                        factor => factor.to_string(),
                    }
                )))
            }
            ReplicationType::Ec => {
                Err(invalid("The EC replication config is missing or invalid".to_owned()))
            }
            ReplicationType::Chained => {
                Err(invalid("Not supported replication type: CHAINED".to_owned()))
            }
        },
        Ok,
    )
}

/// Refuses what `ozone.replication.allowed-configs` does not name.
///
/// # Errors
/// INVALID_REQUEST.
pub fn check_allowed(replication: ReplicationConfig) -> Result<(), OmError> {
    let ReplicationConfig::Ec(ec) = replication else { return Ok(()) };
    let chunk = ec.chunk_bytes / 1024;
    if EC_ALLOWED.contains(&(ec.data, ec.parity)) && EC_CHUNK_KB_ALLOWED.contains(&chunk) {
        return Ok(());
    }
    Err(OmError::new(Status::InvalidRequest, format!("Invalid replication config: EC{{{ec}}}")))
}

/// The client's wish, else the bucket's default, else the server's
/// (`OzoneConfigUtil.resolveReplicationConfigPreference`).
///
/// # Errors
/// INVALID_REQUEST.
pub fn of_key(
    args: &KeyArgs,
    bucket: &BucketInfo,
    rules: &Rules,
) -> Result<ReplicationConfig, OmError> {
    if let Some(wish) = from_proto(args.r#type, args.factor, args.ec_replication_config.as_ref())? {
        check_allowed(wish)?;
        return Ok(wish);
    }
    match &bucket.default_replication_config {
        Some(default) => Ok(of_default(default)?.unwrap_or(rules.default_replication)),
        None => Ok(rules.default_replication),
    }
}

/// A bucket's default.
///
/// # Errors
/// INVALID_REQUEST.
pub fn of_default(
    default: &DefaultReplicationConfig,
) -> Result<Option<ReplicationConfig>, OmError> {
    from_proto(Some(default.r#type), default.factor, default.ec_replication_config.as_ref())
}

/// The replication that a key was stored with.
pub fn of_stored(key: &KeyInfo) -> ReplicationConfig {
    from_proto(Some(key.r#type), key.factor, key.ec_replication_config.as_ref())
        .ok()
        .flatten()
        .unwrap_or(ReplicationConfig::Ratis(ReplicationFactor::One))
}

/// Sets a key's replication.
pub fn write_to(replication: ReplicationConfig, key: &mut KeyInfo) {
    let (kind, factor, ec) = convert::replication_proto(replication);
    key.r#type = kind.into();
    key.factor = factor;
    key.ec_replication_config = ec;
}
