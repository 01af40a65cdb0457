//! Replication between texts, `hdds-types` and the wire.

use hdds_proto::convert;
use hdds_proto::hdds::{DefaultReplicationConfig, EcReplicationConfig};
use hdds_types::ReplicationConfig;
use ozone_config::{ConfigError, Configuration};

use crate::ClientError;

/// `ozone.replication.type` with `ozone.replication` (default THREE); `None` when the type is not
/// set, so that the bucket or the server decides.
///
/// # Errors
/// The values do not go together.
pub fn from_configuration(conf: &Configuration) -> Result<Option<ReplicationConfig>, ConfigError> {
    let Some(kind) = conf.get("ozone.replication.type")? else { return Ok(None) };
    let text = conf.string("ozone.replication", "THREE")?;
    ReplicationConfig::parse(&kind, &text).map(Some).map_err(|error| {
        conf.malformed("ozone.replication", &text, &format!("a replication ({error})"))
    })
}

/// What `--type` and `--replication` ask for; `None` when neither is given.
///
/// # Errors
/// They do not go together, in the words of the genuine client.
pub fn from_options(
    kind: Option<&str>,
    text: Option<&str>,
    conf: &Configuration,
) -> Result<Option<ReplicationConfig>, ClientError> {
    let invalid = |text: String| Err(ClientError::Invalid(text));
    let (kind, text) = match (kind, text) {
        (None, None) => return Ok(None),
        (None, Some(text)) => {
            return invalid(format!("Replication type must be specified for: {text}"));
        }
        // As ever, RATIS alone takes the factor from the configuration.
        (Some("RATIS"), None) => ("RATIS", conf.string("ozone.replication", "THREE")?),
        (Some(kind), None) => {
            return invalid(format!(
                "Replication can't be null. Replication type passed was : {kind}"
            ));
        }
        (Some(kind), Some(text)) => (kind, text.to_owned()),
    };
    match ReplicationConfig::parse(kind, &text) {
        Ok(replication) => Ok(Some(replication)),
        Err(_) if kind == "RATIS" => {
            invalid(format!("{text} is not supported for {kind} replication type"))
        }
        Err(_) if kind == "EC" => invalid(format!(
            "EC replication config should be defined in the form rs-3-2-1024k, rs-6-3-1024k; or \
             rs-10-4-1024k. Provided configuration was: {text}"
        )),
        Err(error) => invalid(error.to_string()),
    }
}

/// The three fields that messages carry.
pub(crate) struct Fields {
    pub kind: i32,
    pub factor: Option<i32>,
    pub ec: Option<EcReplicationConfig>,
}

pub(crate) fn to_fields(replication: ReplicationConfig) -> Fields {
    let (kind, factor, ec) = convert::replication_proto(replication);
    Fields { kind: kind.into(), factor, ec }
}

pub(crate) fn to_default(replication: ReplicationConfig) -> DefaultReplicationConfig {
    let fields = to_fields(replication);
    DefaultReplicationConfig {
        r#type: fields.kind,
        factor: fields.factor,
        ec_replication_config: fields.ec,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_a_command_line_are_refused_in_the_genuine_words() {
        let conf = Configuration::default();
        let words = |kind, text| match from_options(kind, text, &conf) {
            Err(error) => error.to_string(),
            Ok(replication) => format!("{replication:?}"),
        };
        assert_eq!(words(None, None), "None");
        assert_eq!(words(None, Some("THREE")), "Replication type must be specified for: THREE");
        assert_eq!(
            words(Some("RATIS"), Some("FOUR")),
            "FOUR is not supported for RATIS replication type"
        );
        assert_eq!(
            from_options(Some("RATIS"), None, &conf).unwrap(),
            Some(ReplicationConfig::DEFAULT)
        );
    }
}
