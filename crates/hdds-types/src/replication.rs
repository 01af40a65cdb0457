//! How data is made redundant.

use std::fmt;

use thiserror::Error;

/// Number of full copies for RATIS and STAND_ALONE.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ReplicationFactor {
    /// One copy.
    One,
    /// Three copies.
    Three,
}

impl ReplicationFactor {
    /// Copies.
    pub fn count(self) -> usize {
        match self {
            Self::One => 1,
            Self::Three => 3,
        }
    }

    /// The name on the wire and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::One => "ONE",
            Self::Three => "THREE",
        }
    }
}

/// Codec of an erasure coded replication.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum EcCodec {
    /// Reed-Solomon.
    Rs,
    /// One parity by XOR.
    Xor,
}

/// An erasure coded replication, e.g. `rs-6-3-1024k`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ec {
    /// Codec.
    pub codec: EcCodec,
    /// Data blocks per group.
    pub data: u32,
    /// Parity blocks per group.
    pub parity: u32,
    /// Bytes of a cell.
    pub chunk_bytes: u32,
}

/// Replication of a key, bucket, container or pipeline.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ReplicationConfig {
    /// Replicated by Raft while open.
    Ratis(ReplicationFactor),
    /// Written to each node by the client; only used to read.
    StandAlone(ReplicationFactor),
    /// Erasure coded.
    Ec(Ec),
}

/// A replication that does not exist.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ReplicationError {
    /// Unknown type.
    #[error("unsupported replication type {0:?}: use RATIS, STAND_ALONE or EC")]
    Type(String),
    /// The factor does not go with the type.
    #[error("unsupported replication factor {0:?}: use ONE (1) or THREE (3)")]
    Factor(String),
    /// Not of the form codec-data-parity-chunk.
    #[error("unsupported EC replication {0:?}: use CODEC-DATA-PARITY-CHUNK, e.g. rs-6-3-1024k")]
    Ec(String),
}

impl ReplicationConfig {
    /// The default of the genuine system.
    pub const DEFAULT: Self = Self::Ratis(ReplicationFactor::Three);

    /// From the texts of a command line or configuration: type `RATIS`, replication `ONE`, `3`,
    /// `rs-3-2-1024k`.
    ///
    /// # Errors
    /// [`ReplicationError`] naming what is not understood.
    pub fn parse(kind: &str, replication: &str) -> Result<Self, ReplicationError> {
        match kind {
            "RATIS" => factor(replication).map(Self::Ratis),
            "STAND_ALONE" => factor(replication).map(Self::StandAlone),
            "EC" => parse_ec(replication).map(Self::Ec),
            other => Err(ReplicationError::Type(other.to_owned())),
        }
    }

    /// Nodes that a pipeline of this replication has.
    pub fn required_nodes(self) -> usize {
        match self {
            Self::Ratis(factor) | Self::StandAlone(factor) => factor.count(),
            Self::Ec(ec) => (ec.data + ec.parity) as usize,
        }
    }

    /// `RATIS`, `STAND_ALONE` or `EC`.
    pub fn type_name(self) -> &'static str {
        match self {
            Self::Ratis(_) => "RATIS",
            Self::StandAlone(_) => "STAND_ALONE",
            Self::Ec(_) => "EC",
        }
    }

    /// Bytes on all disks for `size` bytes of data (`QuotaUtil.getReplicatedSize`).
    pub fn replicated_size(self, size: u64) -> u64 {
        match self {
            Self::Ratis(factor) | Self::StandAlone(factor) => size * factor.count() as u64,
            Self::Ec(ec) => {
                let (chunk, data) = (u64::from(ec.chunk_bytes), u64::from(ec.data));
                let stripe = chunk * data;
                let parity_of_tail = chunk.min(size % stripe);
                let parity = size / stripe * chunk + parity_of_tail;
                size + parity * u64::from(ec.parity)
            }
        }
    }
}

impl fmt::Display for ReplicationConfig {
    /// `RATIS/THREE`, `EC/rs-6-3-1024k`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ratis(factor) | Self::StandAlone(factor) => {
                write!(f, "{}/{}", self.type_name(), factor.name())
            }
            Self::Ec(ec) => write!(f, "EC/{ec}"),
        }
    }
}

impl fmt::Display for Ec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let codec = match self.codec {
            EcCodec::Rs => "rs",
            EcCodec::Xor => "xor",
        };
        write!(f, "{codec}-{}-{}-{}k", self.data, self.parity, self.chunk_bytes / 1024)
    }
}

fn factor(text: &str) -> Result<ReplicationFactor, ReplicationError> {
    match text {
        "ONE" | "1" => Ok(ReplicationFactor::One),
        "THREE" | "3" => Ok(ReplicationFactor::Three),
        other => Err(ReplicationError::Factor(other.to_owned())),
    }
}

fn parse_ec(text: &str) -> Result<Ec, ReplicationError> {
    let error = || ReplicationError::Ec(text.to_owned());
    let lower = text.to_ascii_lowercase();
    let parts: Vec<&str> = lower.split('-').collect();
    let [codec, data, parity, chunk] = parts[..] else { return Err(error()) };
    let codec = match codec {
        "rs" => EcCodec::Rs,
        "xor" => EcCodec::Xor,
        _ => return Err(error()),
    };
    let (digits, unit) = match chunk.strip_suffix('k') {
        Some(digits) => (digits, 1024),
        None => (chunk, 1),
    };
    let chunk: u32 = digits.parse().map_err(|_| error())?;
    let chunk_bytes = chunk.checked_mul(unit).filter(|bytes| *bytes > 0).ok_or_else(error)?;
    let data = data.parse().ok().filter(|n| (1..=64).contains(n)).ok_or_else(error)?;
    let parity = parity.parse().ok().filter(|n| (1..=64).contains(n)).ok_or_else(error)?;
    Ok(Ec { codec, data, parity, chunk_bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replications_are_read_as_the_command_line_writes_them() {
        let three = ReplicationConfig::parse("RATIS", "THREE").unwrap();
        assert_eq!(three, ReplicationConfig::DEFAULT);
        assert_eq!(three.to_string(), "RATIS/THREE");
        let ec = ReplicationConfig::parse("EC", "rs-3-2-1024k").unwrap();
        assert_eq!(ec.to_string(), "EC/rs-3-2-1024k");
        assert_eq!(ec.required_nodes(), 5);
        assert!(ReplicationConfig::parse("RATIS", "TWO").is_err());
        assert!(ReplicationConfig::parse("EC", "rs-3-2").is_err());
    }

    #[test]
    fn a_short_stripe_pays_parity_for_its_first_cell_only() {
        let ec = ReplicationConfig::parse("EC", "rs-3-2-1024k").unwrap();
        assert_eq!(ec.replicated_size(100), 300);
        assert_eq!(ec.replicated_size(3 << 20), 5 << 20);
        assert_eq!(ec.replicated_size((3 << 20) + (2 << 20)), (5 << 20) + (4 << 20));
        assert_eq!(ReplicationConfig::DEFAULT.replicated_size(7), 21);
    }
}
