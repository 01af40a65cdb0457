//! Options that several generators share, with the names and defaults of the Java tool.

use std::time::Duration;

use clap::Args;
use hdds_types::ReplicationConfig;
use ozone_client::replication;
use ozone_config::{Configuration, Unit, parse_duration, parse_size};

use crate::FreonError;
use crate::engine::Plan;

/// Length of a random prefix, in characters.
const PREFIX_CHARS: usize = 10;

/// How much of it (`BaseFreonGenerator`).
#[derive(Args, Clone, Debug)]
pub struct BaseOptions {
    /// Number of operations, and of different names
    #[arg(short = 'n', long, value_name = "testNo", default_value_t = 1000)]
    #[arg(allow_negative_numbers = true)]
    pub number_of_tests: i64,
    /// Operations in flight
    #[arg(short = 't', long, alias = "thread", value_name = "threadNo", default_value_t = 10)]
    pub threads: u32,
    /// Go on for this long, e.g. 30s, 5m, 1h, 7d
    #[arg(long, value_name = "duration", value_parser = seconds)]
    pub duration: Option<Duration>,
    /// Go on after a failure
    #[arg(short = 'f', long)]
    pub fail_at_end: bool,
    /// What names begin with; __NAME__ is replaced from the environment (default: random)
    #[arg(short = 'p', long, value_name = "prefix", default_value = "")]
    #[arg(hide_default_value = true)]
    pub prefix: String,
}

impl BaseOptions {
    /// The plan of a run whose names begin with a prefix of their own, a random one if none is given.
    ///
    /// # Errors
    /// A number is not positive.
    pub fn plan(&self) -> Result<Plan, FreonError> {
        let mut plan = self.plan_without_prefix()?;
        if plan.prefix.is_empty() {
            plan.prefix = random_text(PREFIX_CHARS);
        }
        Ok(plan)
    }

    /// The plan of a run whose names may begin with nothing.
    ///
    /// # Errors
    /// A number is not positive.
    pub fn plan_without_prefix(&self) -> Result<Plan, FreonError> {
        let tests = u64::try_from(self.number_of_tests).ok().filter(|tests| *tests > 0);
        let tests = tests.ok_or_else(|| {
            FreonError::Usage("Invalid command, the testNo must be a positive integer".to_owned())
        })?;
        if self.threads == 0 {
            return Err(FreonError::Usage("--threads must be a positive integer".to_owned()));
        }
        if self.duration.is_some_and(|time| time.is_zero()) {
            let text = "Incomplete command, the runtime must be given, and must not be negative";
            return Err(FreonError::Usage(text.to_owned()));
        }
        let prefix = resolve(&self.prefix, |name| std::env::var(name).ok());
        Ok(Plan {
            tests,
            threads: self.threads,
            duration: self.duration,
            fail_at_end: self.fail_at_end,
            prefix,
        })
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    parse_duration(text, Unit::Seconds).ok_or_else(|| "a duration such as 30s or 5m".to_owned())
}

/// A size such as `10KB`, for clap.
///
/// # Errors
/// What is accepted.
pub fn size(text: &str) -> Result<u64, String> {
    parse_size(text).ok_or_else(|| "a size such as 4096 or 10KB".to_owned())
}

/// Replaces `__NAME__` by variables of the environment; unknown ones by nothing.
fn resolve(text: &str, variable: impl Fn(&str) -> Option<String>) -> String {
    let mut resolved = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("__") {
        // The name has at least one character, which may be an underscore.
        let end = after
            .char_indices()
            .nth(1)
            .and_then(|(from, _)| after[from..].find("__").map(|at| from + at));
        let Some(end) = end else { break };
        resolved.push_str(before);
        resolved.push_str(&variable(&after[..end]).unwrap_or_default());
        rest = &after[end + 2..];
    }
    resolved.push_str(rest);
    resolved
}

/// Lower case letters and digits.
pub fn random_text(chars: usize) -> String {
    const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    (0..chars).map(|_| char::from(ALPHABET[rand::random_range(0..ALPHABET.len())])).collect()
}

/// Where it happens.
#[derive(Args, Clone, Debug)]
pub struct BucketOptions {
    /// Volume, made if missing
    #[arg(short = 'v', long, value_name = "volumeName", default_value = "vol1")]
    pub volume: String,
    /// Bucket, made if missing
    #[arg(short = 'b', long, value_name = "bucketName", default_value = "bucket1")]
    pub bucket: String,
}

/// Which Ozone Managers.
#[derive(Args, Clone, Debug, Default)]
pub struct ServiceOptions {
    /// Service of Ozone Managers (default: the one that is configured)
    #[arg(long, value_name = "omServiceID")]
    pub om_service_id: Option<String>,
}

/// How keys are made redundant (`FreonReplicationOptions`).
#[derive(Args, Clone, Debug)]
pub struct ReplicationOptions {
    /// Replicas of a RATIS key, ONE or THREE (deprecated: --type and --replication)
    #[arg(short = 'F', long, value_name = "factor")]
    pub factor: Option<String>,
    /// RATIS or EC
    #[arg(long = "type", alias = "replication-type", value_name = "type")]
    pub kind: Option<String>,
    /// ONE or THREE for RATIS; CODEC-DATA-PARITY-CHUNK for EC, e.g. rs-6-3-1024k
    #[arg(short = 'r', long, value_name = "replication")]
    pub replication: Option<String>,
}

impl ReplicationOptions {
    /// What the options ask for, if anything.
    ///
    /// # Errors
    /// They do not go together.
    pub fn given(&self, conf: &Configuration) -> Result<Option<ReplicationConfig>, FreonError> {
        if let Some(factor) = &self.factor {
            return match factor.as_str() {
                "ONE" | "THREE" => {
                    Ok(replication::from_options(Some("RATIS"), Some(factor), conf)?)
                }
                other => Err(FreonError::Usage(format!(
                    "Invalid value for option '--factor': expected one of [ONE, THREE, ZERO] \
                     (case-sensitive) but was '{other}'"
                ))),
            };
        }
        let (kind, text) = (self.kind.as_deref(), self.replication.as_deref());
        Ok(replication::from_options(kind, text, conf)?)
    }

    /// What the options ask for, else the configuration; `None` leaves it to the server.
    ///
    /// # Errors
    /// They do not go together, or the configuration is malformed.
    pub fn given_or_configured(
        &self,
        conf: &Configuration,
    ) -> Result<Option<ReplicationConfig>, FreonError> {
        match self.given(conf)? {
            Some(replication) => Ok(Some(replication)),
            None => Ok(replication::from_configuration(conf)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_in_a_prefix_are_replaced() {
        let variable = |name: &str| (name == "HOST").then(|| "h1".to_owned());
        assert_eq!(resolve("load-__HOST__-x", variable), "load-h1-x");
        assert_eq!(resolve("__HOST____HOST__", variable), "h1h1");
        assert_eq!(resolve("a__NONE__b", variable), "ab");
        assert_eq!(resolve("a__b", variable), "a__b");
        assert_eq!(resolve("____", variable), "____");
    }

    #[test]
    fn a_plan_of_nothing_is_refused() {
        let base = BaseOptions {
            number_of_tests: 0,
            threads: 1,
            duration: None,
            fail_at_end: false,
            prefix: String::new(),
        };
        assert!(matches!(base.plan(), Err(FreonError::Usage(_))));
        let plan = BaseOptions { number_of_tests: 5, ..base }.plan().unwrap();
        assert_eq!((plan.tests, plan.prefix.len()), (5, PREFIX_CHARS));
    }
}
