//! `ozone version`.

use crate::failure::Failure;
use crate::output;

/// Version of this program, and of the system it stands in for.
pub const SHORT: &str = concat!(env!("CARGO_PKG_VERSION"), " (compatible with Apache Ozone 2.2.0)");

/// Prints it.
///
/// # Errors
/// Nobody reads it.
pub fn run() -> Result<(), Failure> {
    output::line(&format!("Ozonide {}", env!("CARGO_PKG_VERSION")))?;
    output::line("Compatible with Apache Ozone 2.2.0")?;
    output::line(&format!("Built for {} {}", std::env::consts::OS, std::env::consts::ARCH))
}
