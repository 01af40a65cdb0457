//! Options that several commands share.

use clap::Args;
use hdds_types::ReplicationConfig;
use ozone_client::replication;

use super::Session;
use crate::failure::Failure;

/// How much of a list to show.
#[derive(Args, Clone, Debug)]
pub struct ListOptions {
    /// Show at most this many
    #[arg(
        short = 'l',
        long,
        value_name = "limit",
        default_value_t = 100,
        allow_negative_numbers = true,
        conflicts_with = "all"
    )]
    pub length: i32,
    /// Show all
    #[arg(short = 'a', long)]
    pub all: bool,
    /// Begin after this one
    #[arg(short = 's', long, value_name = "startItem")]
    pub start: Option<String>,
    /// Only names that begin so
    #[arg(short = 'p', long, value_name = "prefix")]
    pub prefix: Option<String>,
}

impl ListOptions {
    /// The number of items to show.
    ///
    /// # Errors
    /// It is not positive.
    pub fn limit(&self) -> Result<usize, Failure> {
        if self.all {
            return Ok(i32::MAX as usize);
        }
        usize::try_from(self.length)
            .ok()
            .filter(|limit| *limit > 0)
            .ok_or_else(|| Failure::new("List length should be a positive number"))
    }
}

/// How to make data redundant.
#[derive(Args, Clone, Debug)]
pub struct ReplicationOptions {
    /// RATIS or EC
    #[arg(short = 't', long = "type", alias = "replication-type", value_name = "type")]
    pub kind: Option<String>,
    /// ONE or THREE for RATIS; CODEC-DATA-PARITY-CHUNK for EC, e.g. rs-6-3-1024k
    #[arg(short = 'r', long, value_name = "replication")]
    pub replication: Option<String>,
}

/// As [`ReplicationOptions`], where both must be given.
#[derive(Args, Clone, Debug)]
pub struct MandatoryReplicationOptions {
    /// RATIS or EC
    #[arg(short = 't', long = "type", alias = "replication-type", value_name = "type")]
    pub kind: String,
    /// ONE or THREE for RATIS; CODEC-DATA-PARITY-CHUNK for EC, e.g. rs-6-3-1024k
    #[arg(short = 'r', long, value_name = "replication")]
    pub replication: String,
}

impl From<MandatoryReplicationOptions> for ReplicationOptions {
    fn from(options: MandatoryReplicationOptions) -> Self {
        Self { kind: Some(options.kind), replication: Some(options.replication) }
    }
}

impl ReplicationOptions {
    /// Refuses a type that a command line may not ask for.
    ///
    /// # Errors
    /// It is neither RATIS nor EC.
    pub fn check(&self) -> Result<(), Failure> {
        match self.kind.as_deref() {
            None | Some("RATIS" | "EC") => Ok(()),
            Some(other) => Err(Failure::usage(format!(
                "Invalid value '{other}' for option '--type'. Supported values are: RATIS, EC."
            ))),
        }
    }

    /// What the options ask for.
    ///
    /// # Errors
    /// They do not go together.
    pub fn given(&self, session: &Session) -> Result<Option<ReplicationConfig>, Failure> {
        let (kind, text) = (self.kind.as_deref(), self.replication.as_deref());
        Ok(replication::from_options(kind, text, &session.conf)?)
    }

    /// What the options ask for, else the configuration; `None` leaves it to the server.
    ///
    /// # Errors
    /// They do not go together.
    pub fn given_or_configured(
        &self,
        session: &Session,
    ) -> Result<Option<ReplicationConfig>, Failure> {
        match self.given(session)? {
            Some(replication) => Ok(Some(replication)),
            None => Ok(replication::from_configuration(&session.conf)?),
        }
    }
}

/// Limits to set.
#[derive(Args, Clone, Debug, Default)]
pub struct QuotaOptions {
    /// Most bytes on all disks, e.g. 10GB
    #[arg(long, alias = "quota", value_name = "quotaInBytes", allow_negative_numbers = true)]
    pub space_quota: Option<String>,
    /// Most buckets of a volume, or keys of a bucket
    #[arg(long, value_name = "quotaInNamespace", allow_negative_numbers = true)]
    pub namespace_quota: Option<String>,
}

impl QuotaOptions {
    /// The limit in bytes, if given.
    ///
    /// # Errors
    /// It is no size, or not positive.
    pub fn bytes(&self) -> Result<Option<i64>, Failure> {
        self.space_quota.as_deref().filter(|text| !text.is_empty()).map(space_quota).transpose()
    }

    /// The limit in items, if given.
    ///
    /// # Errors
    /// It is no number, or not positive.
    pub fn items(&self) -> Result<Option<i64>, Failure> {
        let text = self.namespace_quota.as_deref().filter(|text| !text.is_empty());
        text.map(namespace_quota).transpose()
    }
}

/// Limits to lift.
#[derive(Args, Clone, Debug)]
pub struct ClearQuotaOptions {
    /// Lift the limit in bytes
    #[arg(long)]
    pub space_quota: bool,
    /// Lift the limit in buckets or keys
    #[arg(long)]
    pub namespace_quota: bool,
}

/// `10GB`, `10 gb`, `10` (`OzoneQuota.parseSpaceQuota`).
fn space_quota(text: &str) -> Result<i64, Failure> {
    let compact: String = text.to_uppercase().split_whitespace().collect();
    // The longest suffixes first: every one ends in B.
    let units = [("EB", 60), ("PB", 50), ("TB", 40), ("GB", 30), ("MB", 20), ("KB", 10), ("B", 0)];
    let (digits, shift) = units
        .into_iter()
        .find_map(|(unit, shift)| compact.strip_suffix(unit).map(|digits| (digits, shift)))
        .filter(|(digits, _)| !digits.is_empty())
        .unwrap_or((&compact, 0));
    let number: i64 = digits.parse().map_err(|_| {
        Failure::new(format!(
            "{text} is invalid. The quota value should be a positive integer with byte \
             numeration(B, KB, MB, GB and TB)"
        ))
    })?;
    if number <= 0 {
        return Err(Failure::new(format!("Invalid value for space quota: {number}")));
    }
    // Java wraps around, and may get a positive number by that; nobody means such a limit.
    number.checked_mul(1 << shift).ok_or_else(|| {
        let wrapped = number.wrapping_mul(1 << shift);
        Failure::new(format!("Invalid values for quota : space quota is :{wrapped}."))
    })
}

fn namespace_quota(text: &str) -> Result<i64, Failure> {
    let number: i64 = text.parse().map_err(|_| {
        Failure::new(format!("{text} is invalid. The quota value should be a positive integer"))
    })?;
    if number <= 0 {
        return Err(Failure::new(format!("Invalid value for namespace quota: {number}")));
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_are_read_and_refused_as_the_genuine_shell_does() {
        assert_eq!(space_quota("10GB").unwrap(), 10 << 30);
        assert_eq!(space_quota("1 tb").unwrap(), 1 << 40);
        assert_eq!(space_quota("7").unwrap(), 7);
        assert_eq!(space_quota("7B").unwrap(), 7);
        assert_eq!(space_quota("0").unwrap_err().to_string(), "Invalid value for space quota: 0");
        let error = space_quota("9999PB").unwrap_err().to_string();
        assert_eq!(error, "Invalid values for quota : space quota is :-7188870905190154240.");
        assert!(space_quota("12QB").unwrap_err().to_string().starts_with("12QB is invalid."));
        let error = namespace_quota("-3").unwrap_err().to_string();
        assert_eq!(error, "Invalid value for namespace quota: -3");
    }
}
