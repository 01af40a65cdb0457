//! What can be wrong with a configuration.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// A configuration that cannot be used. The text says what to change and where.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The directory that was named is not there.
    #[error("configuration directory {0} does not exist; check --config or OZONE_CONF_DIR")]
    NoDirectory(PathBuf),
    /// A file could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not a Hadoop configuration.
    #[error("{path}: {message}")]
    Xml {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column where known.
        message: String,
    },
    /// A value is not understood.
    #[error("{source_name}: {key} = {value:?} is not valid; expected {accepted}")]
    Malformed {
        /// File, or `-D`.
        source_name: String,
        /// The key.
        key: String,
        /// The value after expansion.
        value: String,
        /// What is accepted.
        accepted: String,
    },
    /// `${}` references do not come to an end.
    #[error("{key}: ${{}} references nest more than {max} deep at {value:?}; remove the loop")]
    Loop {
        /// The key.
        key: String,
        /// How far it was followed.
        max: usize,
        /// Where it stood then.
        value: String,
    },
    /// `-D` without `=`.
    #[error("-D {0:?} is not of the form key=value")]
    Override(String),
}
