//! What a command that fails prints, and the code it leaves with.

use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use freon::FreonError;
use ozone_client::ClientError;
use ozone_config::ConfigError;

/// Exit code of a wrong command line (picocli's).
pub const EXIT_USAGE: u8 = 2;
/// Exit code of a command that failed (-1 in Java).
pub const EXIT_FAILED: u8 = 255;

/// Exit code after Ctrl-C (128 and the signal's number).
pub const EXIT_INTERRUPTED: u8 = 130;

/// A command that did not succeed.
#[derive(Debug)]
pub enum Failure {
    /// The command line is wrong: a line, and what would be right.
    Usage {
        /// First line.
        line: String,
        /// The rest; may be empty.
        hint: String,
    },
    /// The command failed.
    Failed {
        /// Its only line, unless `--verbose`.
        line: String,
        /// Chain of causes.
        causes: Vec<String>,
    },
    /// The reader of our output went away; nothing to say.
    BrokenPipe,
}

impl Failure {
    /// A failure of one line.
    pub fn new(line: impl Into<String>) -> Self {
        Self::Failed { line: line.into(), causes: Vec::new() }
    }

    /// A wrong command line.
    pub fn usage(line: impl Into<String>) -> Self {
        Self::Usage { line: line.into(), hint: String::new() }
    }

    /// A local file that cannot be used (`GenericCli.handleFileSystemException`).
    pub fn file(path: &Path, error: &io::Error) -> Self {
        let what = match error.kind() {
            io::ErrorKind::NotFound => "File not found",
            io::ErrorKind::PermissionDenied => "Access denied",
            io::ErrorKind::AlreadyExists => "File already exists",
            _ => return Self::new(format!("Error: {}: {error}", path.display())),
        };
        Self::new(format!("Error: {what}: {}", path.display()))
    }

    /// Says it on stderr and gives the exit code.
    pub fn report(&self, verbose: bool) -> ExitCode {
        match self {
            Self::BrokenPipe => ExitCode::SUCCESS,
            Self::Usage { line, hint } => {
                eprintln!("{line}");
                if !hint.is_empty() {
                    eprintln!("{hint}");
                }
                ExitCode::from(EXIT_USAGE)
            }
            Self::Failed { line, causes } => {
                let shown = if verbose { line } else { line.lines().next().unwrap_or_default() };
                eprintln!("{shown}");
                if verbose {
                    for cause in causes {
                        eprintln!("Caused by: {cause}");
                    }
                }
                ExitCode::from(EXIT_FAILED)
            }
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage { line, .. } | Self::Failed { line, .. } => f.write_str(line),
            Self::BrokenPipe => f.write_str("broken pipe"),
        }
    }
}

impl std::error::Error for Failure {}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        with_causes(&error)
    }
}

impl From<FreonError> for Failure {
    fn from(error: FreonError) -> Self {
        match error {
            FreonError::Usage(line) => Self::usage(line),
            other => with_causes(&other),
        }
    }
}

fn with_causes(error: &dyn std::error::Error) -> Failure {
    let mut causes = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        causes.push(error.to_string());
        cause = error.source();
    }
    Failure::Failed { line: error.to_string(), causes }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(error.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::BrokenPipe;
        }
        Self::new(error.to_string())
    }
}
