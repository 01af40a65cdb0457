//! What can go wrong for a client.

use std::fmt;
use std::io;

use hadoop_kms::KmsError;
use hadoop_rpc::client::CallError;
use hdds_client::BlockError;
use hdds_client::addresses::AddressError;
use om_proto::Status;
use ozone_config::ConfigError;
use thiserror::Error;

/// An answer of the Ozone Manager other than OK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OmError {
    /// The status.
    pub status: Status,
    /// Its message, often empty.
    pub message: String,
}

impl OmError {
    /// An error of this status.
    pub fn new(status: Status, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }
}

impl fmt::Display for OmError {
    /// `KEY_NOT_FOUND Key:k not found`, as Ozone's shell prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status.as_str_name(), self.message)
    }
}

impl std::error::Error for OmError {}

/// Why an operation of a client failed.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The Ozone Manager refused: fix the request.
    #[error(transparent)]
    Om(#[from] OmError),
    /// No Ozone Manager could be reached, or it failed below its own statuses.
    #[error("{0}")]
    Rpc(String, #[source] Option<CallError>),
    /// A setting is missing or malformed.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The addresses of the cluster are not configured.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Data could not be written to or read from datanodes.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// The data key of an encrypted key could not be had.
    #[error(transparent)]
    Kms(#[from] KmsError),
    /// The caller's own source or target of data failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// An argument that no Ozone Manager needs to see.
    #[error("{0}")]
    Invalid(String),
    /// The answer of the Ozone Manager is not understood.
    #[error("the Ozone Manager's answer lacks {0}; client and server versions may not go together")]
    Malformed(&'static str),
}

impl ClientError {
    /// The Ozone Manager's status, if it was its answer.
    pub fn status(&self) -> Option<Status> {
        match self {
            Self::Om(error) => Some(error.status),
            _ => None,
        }
    }
}
