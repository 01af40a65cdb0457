//! Refusals, each with the status that travels to the client.

use om_proto::Status;
use ozone_db::DbError;
use thiserror::Error;

/// A request that is refused: status and message of `OMResponse`, word for word as the genuine OM.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{status:?}: {}", message.as_deref().unwrap_or("no message"))]
pub struct OmError {
    /// `OMResponse.status`.
    pub status: Status,
    /// `OMResponse.message`; some refusals have none.
    pub message: Option<String>,
}

impl OmError {
    /// A refusal with a message.
    pub fn new(status: Status, message: impl Into<String>) -> Self {
        Self { status, message: Some(message.into()) }
    }

    /// A refusal without a message.
    pub fn bare(status: Status) -> Self {
        Self { status, message: None }
    }
}

/// Why a handler did not do what was asked.
#[derive(Clone, Debug, Error)]
pub enum Failure {
    /// The request is at fault; the client learns why.
    #[error(transparent)]
    Refused(#[from] OmError),
    /// The database is at fault. During apply the replica must stop: better down than diverged.
    #[error(transparent)]
    Store(#[from] DbError),
}

impl Failure {
    /// A refusal with a message.
    pub fn new(status: Status, message: impl Into<String>) -> Self {
        OmError::new(status, message).into()
    }

    /// What a reader is told: damage shows as INTERNAL_ERROR.
    pub fn into_error(self) -> OmError {
        match self {
            Self::Refused(error) => error,
            Self::Store(error) => OmError::new(Status::InternalError, error.to_string()),
        }
    }
}
