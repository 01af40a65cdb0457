//! `ozone-site.xml` and its values: loading, `${}` expansion, units, errors.
//!
//! ```text
//!  core-site.xml, ozone-site.xml ─► xml ─┐
//!  -D key=value ─────────────────────────┴─► Configuration ─► expand ─► value: bool, number,
//!  defaults.tsv (names and defaults of Ozone 2.2.0) ┄┄┄┄┄┄┘             duration, size, list
//! ```
//! Keys, defaults and units are those of the genuine system. A value that is not understood is an
//! error that names file, key, value and what is accepted; nothing falls back silently. Servers read
//! their keys into typed `settings.rs` structs at start. Start reading at [`Configuration`].

mod defaults;
mod error;
mod expand;
mod load;
pub mod tags;
mod unknown;
mod value;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

pub use defaults::{DEFAULTS, default_of};
pub use error::ConfigError;
pub use load::Sources;
pub use unknown::UnknownKey;
pub use value::{Unit, duration as parse_duration, size as parse_size};

/// One value as written, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    raw: String,
    source: Source,
    is_final: bool,
}

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// This file.
    File(PathBuf),
    /// `-D key=value` on the command line.
    CommandLine,
    /// Set by the program itself, e.g. by `ozone local run`.
    Program,
}

/// The settings of one process: what was written, expanded and typed on request.
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    entries: BTreeMap<String, Entry>,
}

impl Configuration {
    /// Reads the files and overrides of `sources`.
    ///
    /// # Errors
    /// A named directory does not exist, or a file cannot be read or is no configuration.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        load::load(sources)
    }

    /// Sets a value, as a program does.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<String>) {
        let entry = Entry { raw: value.into(), source: Source::Program, is_final: false };
        self.entries.insert(key.into(), entry);
    }

    /// Whether the key was written anywhere.
    pub fn is_set(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Where the key was written.
    pub fn source(&self, key: &str) -> Option<&Source> {
        self.entries.get(key).map(|entry| &entry.source)
    }

    /// The value as written, `${}` and all.
    pub fn raw(&self, key: &str) -> Option<&str> {
        self.entries.get(key).map(|entry| entry.raw.as_str())
    }

    /// Whether later files cannot change it.
    pub fn is_final(&self, key: &str) -> bool {
        self.entries.get(key).is_some_and(|entry| entry.is_final)
    }

    /// Every key that was written, with its raw value, in order.
    pub fn written(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|(key, entry)| (key.as_str(), entry.raw.as_str()))
    }

    /// The trimmed, expanded value, if written and not empty.
    ///
    /// # Errors
    /// `${}` references form a loop.
    pub fn get(&self, key: &str) -> Result<Option<String>, ConfigError> {
        let Some(entry) = self.entries.get(key) else { return Ok(None) };
        let value = expand::expand(self, key, entry.raw.trim())?;
        Ok(Some(value).filter(|value| !value.is_empty()))
    }

    /// The value, else Ozone's own default (expanded), as `ozone getconf -confKey` prints it.
    ///
    /// # Errors
    /// `${}` references form a loop.
    pub fn get_or_default(&self, key: &str) -> Result<Option<String>, ConfigError> {
        if let Some(value) = self.get(key)? {
            return Ok(Some(value));
        }
        match default_of(key).filter(|default| !default.is_empty()) {
            Some(default) => expand::expand(self, key, default).map(Some),
            None => Ok(None),
        }
    }

    /// A text.
    ///
    /// # Errors
    /// See [`Self::get`].
    pub fn string(&self, key: &str, default: &str) -> Result<String, ConfigError> {
        Ok(self.get(key)?.unwrap_or_else(|| default.to_owned()))
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// Anything else.
    pub fn boolean(&self, key: &str, default: bool) -> Result<bool, ConfigError> {
        self.typed(key, default, "true or false", value::boolean)
    }

    /// A whole number (decimal, or hexadecimal after `0x`) that fits `T`.
    ///
    /// # Errors
    /// Not a number, or out of range.
    pub fn integer<T: TryFrom<i128>>(&self, key: &str, default: T) -> Result<T, ConfigError> {
        let accepted = format!("a whole number that fits {}", std::any::type_name::<T>());
        self.typed(key, default, &accepted, value::integer)
    }

    /// A fraction.
    ///
    /// # Errors
    /// Not a finite number.
    pub fn float(&self, key: &str, default: f64) -> Result<f64, ConfigError> {
        self.typed(key, default, "a number", value::float)
    }

    /// A duration: a number with `ns us ms s m h d`, or without a suffix in `unit`.
    ///
    /// # Errors
    /// Another suffix, or a negative number.
    pub fn duration(
        &self,
        key: &str,
        default: Duration,
        unit: Unit,
    ) -> Result<Duration, ConfigError> {
        let accepted = "a duration: a number with ns, us, ms, s, m, h or d, e.g. 30s";
        self.typed(key, default, accepted, |text| value::duration(text, unit))
    }

    /// A size in bytes: a number with `B KB MB GB TB PB EB` (powers of 1024), or plain bytes.
    ///
    /// # Errors
    /// Another suffix, or a negative number.
    pub fn size(&self, key: &str, default: u64) -> Result<u64, ConfigError> {
        let accepted = "a size: a number with B, KB, MB, GB, TB, PB or EB, e.g. 5GB";
        self.typed(key, default, accepted, value::size)
    }

    /// A comma separated list, trimmed, without empty items.
    ///
    /// # Errors
    /// See [`Self::get`].
    pub fn list(&self, key: &str) -> Result<Vec<String>, ConfigError> {
        let text = self.get(key)?.unwrap_or_default();
        Ok(text.split(',').map(str::trim).filter(|s| !s.is_empty()).map(str::to_owned).collect())
    }

    /// Any other type: `parse` turns text into a value; `accepted` completes "expected …".
    ///
    /// # Errors
    /// `parse` returned `None`.
    pub fn typed<T>(
        &self,
        key: &str,
        default: T,
        accepted: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, ConfigError> {
        let Some(text) = self.get(key)? else { return Ok(default) };
        parse(&text).ok_or_else(|| self.malformed(key, &text, accepted))
    }

    /// The error for a value that is not understood; `accepted` completes "expected …".
    pub fn malformed(&self, key: &str, value: &str, accepted: &str) -> ConfigError {
        ConfigError::Malformed {
            source_name: match self.source(key) {
                Some(Source::File(path)) => path.display().to_string(),
                Some(Source::CommandLine) => "-D on the command line".to_owned(),
                Some(Source::Program) | None => "built-in configuration".to_owned(),
            },
            key: key.to_owned(),
            value: value.to_owned(),
            accepted: accepted.to_owned(),
        }
    }

    /// Written keys that look like ours but exist nowhere, each with the nearest that does.
    pub fn unknown_keys(&self) -> Vec<UnknownKey> {
        unknown::unknown_keys(self)
    }
}

#[cfg(test)]
mod tests;
