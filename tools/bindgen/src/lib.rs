//! Stand-in for the `bindgen` crate, put in its place under `[patch.crates-io]`.
//!
//! `rust-librocksdb-sys` runs bindgen on every build, which needs libclang. Its output does not
//! change from one Linux machine to another, so it was generated once, committed under
//! `bindings/`, and is copied from there. Only the calls that build script makes exist here.
//! The decision and how to make the file anew: `docs/adr/2026-11-21-committed-rocksdb-bindings.md`.

use std::path::{Path, PathBuf};
use std::{env, fmt, fs, io};

/// Collects nothing: every setting is already part of the committed bindings.
#[derive(Default)]
pub struct Builder;

/// The committed bindings of the package that is being built.
pub struct Bindings(PathBuf);

/// No bindings are committed for this package, version and operating system.
#[derive(Debug)]
pub struct BindgenError(PathBuf);

impl fmt::Display for BindgenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no committed bindings at {}", self.0.display())
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
        let package = env::var("CARGO_PKG_NAME").unwrap_or_default();
        let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
        let version = version.split('+').next().unwrap_or_default();
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("bindings")
            .join(format!("{package}-{version}.rs"));
        if env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") && path.is_file() {
            Ok(Bindings(path))
        } else {
            Err(BindgenError(path))
        }
    }
}

impl Bindings {
    /// Copies the committed bindings to `path`.
    pub fn write_to_file(&self, path: impl AsRef<Path>) -> io::Result<()> {
        fs::copy(&self.0, path).map(drop)
    }
}
