//! Why a container operation was refused.

use std::fmt::Display;
use std::io;

use ozone_db::DbError;
use thiserror::Error;

/// The genuine result codes; as a number they are what goes over the wire.
pub use hdds_proto::datanode::Result as Code;

/// A refusal: the code tells a client what to do next (`StorageContainerException`).
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{message}")]
pub struct StoreError {
    /// Genuine result code.
    pub code: Code,
    /// What happened, with the ids.
    pub message: String,
}

impl StoreError {
    /// A refusal.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// An I/O error while `doing` something. A full disk has a code of its own.
    pub fn io(doing: impl Display, error: &io::Error) -> Self {
        let code = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Code::DiskOutOfSpace,
            _ => Code::IoException,
        };
        Self::new(code, format!("{doing}: {error}"))
    }

    /// The message does not carry what its command needs.
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::new(Code::MalformedRequest, message)
    }
}

impl From<DbError> for StoreError {
    fn from(error: DbError) -> Self {
        let code = match &error {
            DbError::Codec { .. } => Code::ContainerMetadataError,
            DbError::NoTable(_) => Code::UnableToReadMetadataDb,
            DbError::Engine { message, .. } if message.contains("No space left") => {
                Code::DiskOutOfSpace
            }
            DbError::Engine { .. } => Code::IoException,
        };
        Self::new(code, error.to_string())
    }
}
