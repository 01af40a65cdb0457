//! What goes wrong in a command, and what it means for the rest of the command line.

use std::io;

use ozone_client::fs::FsError;
use ozone_config::ConfigError;

/// Why a command, or its work on one path, did not succeed.
#[derive(Debug)]
pub enum Trouble {
    /// There is no such path: the words of the file system.
    NotFound(String),
    /// Something else is where this should be.
    AlreadyExists(String),
    /// To be told; the command goes on with the next path.
    Message(String),
    /// The arguments are wrong: told with the usage, and the command ends.
    Illegal(String),
    /// Not possible at all: told, and the command ends.
    Fatal(String),
    /// The reader of our output went away; nothing to say.
    BrokenPipe,
}

impl Trouble {
    /// The words themselves.
    pub fn text(&self) -> &str {
        match self {
            Self::NotFound(text)
            | Self::AlreadyExists(text)
            | Self::Message(text)
            | Self::Illegal(text)
            | Self::Fatal(text) => text,
            Self::BrokenPipe => "Broken pipe",
        }
    }

    /// `` `path': what ``, as Hadoop tells of paths (`PathIOException`).
    pub fn path(path: &str, what: &str) -> Self {
        Self::Message(format!("`{path}': {what}"))
    }

    /// There is no such path.
    pub fn missing(path: &str) -> Self {
        Self::NotFound(format!("`{path}': No such file or directory"))
    }

    /// As [`Self::missing`], with the whole path when another was given.
    pub fn missing_in_full(path: &str, full: &str) -> Self {
        let more =
            if full == path.trim_end_matches('/') { String::new() } else { format!(": `{full}'") };
        Self::NotFound(format!("`{path}': No such file or directory{more}"))
    }

    /// A directory is where a file should be.
    pub fn is_directory(path: &str) -> Self {
        Self::path(path, "Is a directory")
    }

    /// A file is where a directory should be.
    pub fn is_not_directory(path: &str) -> Self {
        Self::path(path, "Is not a directory")
    }

    /// Something is there already.
    pub fn exists(path: &str) -> Self {
        Self::path(path, "File exists")
    }

    /// It failed without a word.
    pub fn failed(path: &str) -> Self {
        Self::path(path, "Input/output error")
    }

    /// It failed without a word, doing this, maybe with a target.
    pub fn failed_to(operation: &str, path: &str, target: Option<&str>) -> Self {
        let target = target.map(|target| format!(" to `{target}'")).unwrap_or_default();
        Self::Message(format!("{operation} `{path}'{target}: Input/output error"))
    }
}

impl From<FsError> for Trouble {
    fn from(error: FsError) -> Self {
        let text = error.to_string();
        match error {
            FsError::NotFound(_) => Self::NotFound(text),
            FsError::AlreadyExists(_) => Self::AlreadyExists(text),
            FsError::Illegal(_) => Self::Illegal(text),
            FsError::Unsupported(_) => Self::Fatal(text),
            _ => Self::Message(text),
        }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::BrokenPipe,
            io::ErrorKind::NotFound => Self::NotFound(error.to_string()),
            _ => Self::Message(error.to_string()),
        }
    }
}

impl From<ConfigError> for Trouble {
    fn from(error: ConfigError) -> Self {
        Self::Fatal(error.to_string())
    }
}

impl From<ozone_client::ClientError> for Trouble {
    fn from(error: ozone_client::ClientError) -> Self {
        FsError::from(error).into()
    }
}
