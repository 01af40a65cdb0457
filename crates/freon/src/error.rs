//! What can go wrong with a load.

use hdds_client::BlockError;
use hdds_client::addresses::AddressError;
use hdds_client::ring::RingError;
use hdds_client::scm::ScmError;
use ozone_client::ClientError;
use ozone_config::ConfigError;
use thiserror::Error;

/// Why an operation, or a whole run, failed.
#[derive(Debug, Error)]
pub enum FreonError {
    /// Volumes, buckets and keys.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A command to a datanode.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// A pipeline's Raft group.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// SCM.
    #[error(transparent)]
    Scm(#[from] ScmError),
    /// A setting is missing or malformed.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The addresses of the cluster are not configured.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The network or the terminal.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// An option that means nothing.
    #[error("{0}")]
    Usage(String),
    /// What was found is not what was expected.
    #[error("{0}")]
    Wrong(String),
    /// The run is over, and the report tells what failed.
    #[error("One or more freon test is failed.")]
    TestsFailed,
    /// Ctrl-C; the report was printed.
    #[error("interrupted")]
    Interrupted,
}

impl FreonError {
    /// What failures are counted by: the server's status where there is one.
    pub fn kind(&self) -> String {
        match self {
            Self::Client(ClientError::Om(error)) => error.status.as_str_name().to_owned(),
            Self::Client(ClientError::Block(error)) | Self::Block(error) => block_kind(error),
            Self::Client(ClientError::Rpc(..)) => "RPC".to_owned(),
            Self::Ring(RingError::StateMachine { class, .. }) => {
                class.rsplit('.').next().unwrap_or(class).to_owned()
            }
            Self::Ring(_) => "PIPELINE".to_owned(),
            Self::Scm(_) => "SCM".to_owned(),
            Self::Wrong(_) => "WRONG_DATA".to_owned(),
            _ => "OTHER".to_owned(),
        }
    }
}

fn block_kind(error: &BlockError) -> String {
    match error {
        BlockError::Refused { code, .. } => code.as_str_name().to_owned(),
        BlockError::Unreachable { .. } => "UNREACHABLE".to_owned(),
        _ => "BLOCK".to_owned(),
    }
}
