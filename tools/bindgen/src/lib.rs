//! Stand-in for the `bindgen` crate, put in its place under `[patch.crates-io]`.
//!
//! `rust-librocksdb-sys` runs bindgen on every build, which needs libclang. Its output does not
//! change from one Linux machine to another, so it was generated once, committed under
//! `bindings/`, and is copied from there. Only the calls that build script makes exist here.
//! The decision and how to make the file anew: `docs/adr/2026-11-21-committed-rocksdb-bindings.md`.

use std::path::Path;
use std::{env, fmt, fs, io};

/// The package whose bindings are committed, its version, and the bindings. They are part of the
/// build script's binary, so that nothing depends on where the repository lies.
const COMMITTED: (&str, &str, &str) = (
    "rust-librocksdb-sys",
    "0.48.1+11.8.1",
    include_str!("../bindings/rust-librocksdb-sys-0.48.1.rs"),
);

/// Collects nothing: every setting is already part of the committed bindings.
#[derive(Default)]
pub struct Builder;

/// The committed bindings of the package that is being built.
pub struct Bindings(&'static str);

/// No bindings are committed for this package, version and operating system.
#[derive(Debug)]
pub struct BindgenError(String);

impl fmt::Display for BindgenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no bindings are committed for {}", self.0)
    }
}

impl std::error::Error for BindgenError {}

impl Builder {
    /// See the real crate; has no effect.
    pub fn header(self, _: impl Into<String>) -> Self {
        self
    }
    /// See the real crate; has no effect.
    pub fn derive_debug(self, _: bool) -> Self {
        self
    }
    /// See the real crate; has no effect.
    pub fn blocklist_type(self, _: impl AsRef<str>) -> Self {
        self
    }
    /// See the real crate; has no effect.
    pub fn ctypes_prefix(self, _: impl Into<String>) -> Self {
        self
    }
    /// See the real crate; has no effect.
    pub fn size_t_is_usize(self, _: bool) -> Self {
        self
    }
    /// See the real crate; has no effect.
    pub fn clang_arg(self, _: impl Into<String>) -> Self {
        self
    }

    /// Finds the committed bindings of the package whose build script is running.
    pub fn generate(self) -> Result<Bindings, BindgenError> {
        let variable = |name| env::var(name).unwrap_or_default();
        let (package, version) = (variable("CARGO_PKG_NAME"), variable("CARGO_PKG_VERSION"));
        let os = variable("CARGO_CFG_TARGET_OS");
        if (package.as_str(), version.as_str(), os.as_str()) == (COMMITTED.0, COMMITTED.1, "linux")
        {
            Ok(Bindings(COMMITTED.2))
        } else {
            Err(BindgenError(format!("{package} {version} on {os}")))
        }
    }
}

impl Bindings {
    /// Writes the committed bindings to `path`.
    pub fn write_to_file(&self, path: impl AsRef<Path>) -> io::Result<()> {
        fs::write(path, self.0)
    }
}
