//! What a file system answers when it cannot do something.

use om_proto::Status;
use thiserror::Error;

use crate::ClientError;

/// Why an operation of a file system failed; the kinds are those that callers act upon.
#[derive(Debug, Error)]
pub enum FsError {
    /// No such file or directory.
    #[error("{0}")]
    NotFound(String),
    /// A file is where a directory should be, or the other way round.
    #[error("{0}")]
    AlreadyExists(String),
    /// A directory that is not empty would have to be.
    #[error("`{0}': Directory is not empty")]
    NotEmpty(String),
    /// The Ozone Manager does not allow it.
    #[error("`{0}': Operation not permitted")]
    NotPermitted(String),
    /// The arguments make no sense: no cluster was asked.
    #[error("{0}")]
    Illegal(String),
    /// Ozone has nothing of this kind.
    #[error("{0}")]
    Unsupported(String),
    /// Anything else that a caller can only report.
    #[error("{0}")]
    Io(String),
    /// The client failed.
    #[error("{}", first_words(.0))]
    Client(#[source] ClientError),
}

/// Hadoop's shell prints the message of an Ozone Manager's answer without its status.
fn first_words(error: &ClientError) -> String {
    match error {
        ClientError::Om(error) => error.message.clone(),
        other => other.to_string(),
    }
}

impl From<ClientError> for FsError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Invalid(text) => Self::Illegal(text),
            other => Self::Client(other),
        }
    }
}

impl FsError {
    /// The Ozone Manager's status, if it was its answer.
    pub fn status(&self) -> Option<Status> {
        match self {
            Self::Client(error) => error.status(),
            _ => None,
        }
    }

    /// Whether the Ozone Manager says that a volume, bucket or key is not there.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::NotFound(_))
            || matches!(
                self.status(),
                Some(
                    Status::FileNotFound
                        | Status::KeyNotFound
                        | Status::BucketNotFound
                        | Status::VolumeNotFound
                )
            )
    }

    /// [`FsError::NotFound`] for every way to say so.
    #[must_use]
    pub fn missing(self, path: &str) -> Self {
        if self.is_missing() {
            Self::NotFound(format!("File not found. path:{path}"))
        } else {
            self
        }
    }

    /// [`FsError::NotFound`] with the Ozone Manager's words, as an open file tells it.
    #[must_use]
    pub fn missing_with_status(self) -> Self {
        let Some(status) = self.status() else { return self };
        match status {
            Status::FileNotFound | Status::KeyNotFound | Status::NotAFile => {
                Self::NotFound(format!("{}: {self}", status.as_str_name()))
            }
            _ => self,
        }
    }
}
