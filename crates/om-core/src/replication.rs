//! Replication of keys between messages and [`ReplicationConfig`].

use hdds_proto::hdds::{
    DefaultReplicationConfig, EcReplicationConfig, ReplicationFactor as FactorProto,
    ReplicationType,
};
use hdds_types::{Ec, EcCodec, ReplicationConfig, ReplicationFactor};
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
    let copies = || match factor.and_then(|factor| FactorProto::try_from(factor).ok()) {
        Some(FactorProto::One) => Ok(ReplicationFactor::One),
        Some(FactorProto::Three) => Ok(ReplicationFactor::Three),
        _ => Err(invalid(format!("Replication factor {} is not supported", factor.unwrap_or(0)))),
    };
    match kind {
        ReplicationType::None => Ok(None),
        ReplicationType::Ratis => copies().map(|factor| Some(ReplicationConfig::Ratis(factor))),
        ReplicationType::StandAlone => {
            copies().map(|factor| Some(ReplicationConfig::StandAlone(factor)))
        }
        ReplicationType::Ec => {
            let ec = ec.and_then(ec_from_proto);
            ec.map(|ec| Some(ReplicationConfig::Ec(ec))).ok_or_else(|| {
                invalid("The EC replication config is missing or invalid".to_owned())
            })
        }
        ReplicationType::Chained => {
            Err(invalid("Not supported replication type: CHAINED".to_owned()))
        }
    }
}

fn ec_from_proto(ec: &EcReplicationConfig) -> Option<Ec> {
    let codec = match ec.codec.to_ascii_lowercase().as_str() {
        "rs" => EcCodec::Rs,
        "xor" => EcCodec::Xor,
        _ => return None,
    };
    let positive = |number: i32| u32::try_from(number).ok().filter(|number| *number > 0);
    Some(Ec {
        codec,
        data: positive(ec.data)?,
        parity: positive(ec.parity)?,
        chunk_bytes: positive(ec.ec_chunk_size)?,
    })
}

fn ec_to_proto(ec: Ec) -> EcReplicationConfig {
    EcReplicationConfig {
        data: ec.data.cast_signed(),
        parity: ec.parity.cast_signed(),
        codec: match ec.codec {
            EcCodec::Rs => "rs".to_owned(),
            EcCodec::Xor => "xor".to_owned(),
        },
        ec_chunk_size: ec.chunk_bytes.cast_signed(),
    }
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
    Err(OmError::new(
        Status::InvalidRequest,
        format!("Invalid replication config for type EC and replication {ec}"),
    ))
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

/// Type, factor and EC parameters as messages carry them.
pub fn to_proto(
    replication: ReplicationConfig,
) -> (ReplicationType, Option<FactorProto>, Option<EcReplicationConfig>) {
    let copies = |factor| match factor {
        ReplicationFactor::One => Some(FactorProto::One),
        ReplicationFactor::Three => Some(FactorProto::Three),
    };
    match replication {
        ReplicationConfig::Ratis(factor) => (ReplicationType::Ratis, copies(factor), None),
        ReplicationConfig::StandAlone(factor) => {
            (ReplicationType::StandAlone, copies(factor), None)
        }
        ReplicationConfig::Ec(ec) => (ReplicationType::Ec, None, Some(ec_to_proto(ec))),
    }
}

/// Sets a key's replication.
pub fn write_to(replication: ReplicationConfig, key: &mut KeyInfo) {
    let (kind, factor, ec) = to_proto(replication);
    key.r#type = kind.into();
    key.factor = factor.map(Into::into);
    key.ec_replication_config = ec;
}
