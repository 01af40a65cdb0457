//! Lines on stdout. A reader that goes away ends the command quietly instead of with a panic.

use std::io::{self, Write};

use crate::failure::Failure;

/// Prints one line.
///
/// # Errors
/// Nobody reads it.
pub fn line(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()?;
    Ok(())
}
