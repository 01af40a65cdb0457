//! The `.container` file: YAML, keys in order, with a checksum over itself.
//!
//! ```text
//!  !<KeyValueContainerData>
//!  checksum: <64 hex>      ◄─ sha256(sha256(the same text with 64 NULs in place of the digits))
//!  chunksPath: …
//! ```
//! Reads what SnakeYAML writes (`ContainerDataYaml`); writes the same bytes SnakeYAML would.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use hdds_types::ContainerId;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::ReplicaState;

const TAG: &str = "!<KeyValueContainerData>";
/// How SnakeYAML prints a string of 64 NULs.
const NULL_CHECKSUM: &str = "checksum: !!binary |-\n  \
    AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==";
/// FILE_PER_BLOCK.
pub const LAYOUT_FILE_PER_BLOCK: u32 = 2;
/// One database per volume.
pub const SCHEMA_V3: &str = "3";
/// Larger files are no descriptors, in bytes.
const DESCRIPTOR_BYTES_MAX: u64 = 1 << 20;

/// What a `.container` file says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Descriptor {
    /// Directory of the block files.
    pub chunks_path: String,
    /// The container.
    pub id: ContainerId,
    /// When the data was last scanned, in milliseconds since 1970.
    pub data_scan_timestamp: Option<u64>,
    /// 2 = FILE_PER_BLOCK.
    pub layout_version: u32,
    /// Size at which the container is full, in bytes.
    pub bytes_max: u64,
    /// Free text.
    pub metadata: BTreeMap<String, String>,
    /// Directory of this file.
    pub metadata_path: String,
    /// Datanode that created the container.
    pub origin_node: String,
    /// Pipeline through which it was created.
    pub origin_pipeline: String,
    /// Position in an erasure coded group, from 1; 0 for full copies.
    pub replica_index: u32,
    /// Schema of the block table.
    pub schema_version: String,
    /// State when last written.
    pub state: ReplicaState,
}

/// A descriptor that cannot be used.
#[derive(Debug, Error)]
pub enum DescriptorError {
    /// Not readable.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not a descriptor.
    #[error("{path} is not a container descriptor: {message}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is missing or wrong.
        message: String,
    },
    /// Changed after it was written.
    #[error("{path} fails its checksum: it says {stored}, its text gives {computed}")]
    Checksum {
        /// The file.
        path: PathBuf,
        /// In the file.
        stored: String,
        /// Of its text.
        computed: String,
    },
}

impl Descriptor {
    /// The file's text, checksum included.
    pub fn to_text(&self) -> String {
        let unsigned = self.text(NULL_CHECKSUM);
        self.text(&format!("checksum: {}", digest(&unsigned)))
    }

    fn text(&self, checksum: &str) -> String {
        let mut text = format!("{TAG}\n{checksum}\n");
        let mut line = |key: &str, value: &str| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{key}: {value}");
        };
        line("chunksPath", &scalar(&self.chunks_path));
        line("containerDBType", "RocksDB");
        line("containerID", &self.id.to_string());
        line("containerType", "KeyValueContainer");
        if let Some(timestamp) = self.data_scan_timestamp {
            line("dataScanTimestamp", &timestamp.to_string());
        }
        line("layOutVersion", &self.layout_version.to_string());
        line("maxSize", &self.bytes_max.to_string());
        if self.metadata.is_empty() {
            line("metadata", "{}");
        } else {
            text.push_str("metadata:\n");
            for (key, value) in &self.metadata {
                let _ = writeln!(text, "  {}: {}", scalar(key), scalar(value));
            }
        }
        let mut line = |key: &str, value: &str| {
            let _ = writeln!(text, "{key}: {value}");
        };
        line("metadataPath", &scalar(&self.metadata_path));
        line("originNodeId", &scalar(&self.origin_node));
        line("originPipelineId", &scalar(&self.origin_pipeline));
        if self.replica_index > 0 {
            line("replicaIndex", &self.replica_index.to_string());
        }
        line("schemaVersion", &scalar(&self.schema_version));
        line("state", self.state.name());
        text
    }

    /// Replaces the file: written beside it, synced, renamed.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        let temporary = path.with_extension("container.tmp");
        let mut file = File::create(&temporary)?;
        file.write_all(self.to_text().as_bytes())?;
        file.sync_all()?;
        drop(file);
        fs::rename(&temporary, path)?;
        match path.parent() {
            Some(parent) => File::open(parent)?.sync_all(),
            None => Ok(()),
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`DescriptorError`]; the checksum counts only when `verify` is set.
    pub fn read(path: &Path, verify: bool) -> Result<Self, DescriptorError> {
        let io = |source| DescriptorError::Io { path: path.to_owned(), source };
        if fs::metadata(path).map_err(io)?.len() > DESCRIPTOR_BYTES_MAX {
            return Err(malformed(path, "the file is too large"));
        }
        let text = fs::read_to_string(path).map_err(io)?;
        Self::parse(path, &text, verify)
    }

    /// From the text of a file; `path` is for errors.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn parse(path: &Path, text: &str, verify: bool) -> Result<Self, DescriptorError> {
        let yaml = Yaml::parse(text);
        if verify {
            check(path, text, yaml.get("checksum").unwrap_or_default())?;
        }
        let need =
            |key: &str| yaml.get(key).ok_or_else(|| malformed(path, &format!("{key} is missing")));
        let number = |key: &str| {
            need(key)?.parse().map_err(|_| malformed(path, &format!("{key} is no number")))
        };
        let state = need("state")?;
        Ok(Self {
            chunks_path: need("chunksPath")?.to_owned(),
            id: ContainerId(number("containerID")?),
            data_scan_timestamp: yaml.get("dataScanTimestamp").and_then(|t| t.parse().ok()),
            layout_version: u32::try_from(number("layOutVersion")?)
                .map_err(|_| malformed(path, "layOutVersion is out of range"))?,
            bytes_max: number("maxSize")?,
            metadata: yaml.metadata.clone(),
            metadata_path: need("metadataPath")?.to_owned(),
            origin_node: yaml.values.get("originNodeId").cloned().unwrap_or_default(),
            origin_pipeline: yaml.values.get("originPipelineId").cloned().unwrap_or_default(),
            replica_index: match yaml.values.get("replicaIndex") {
                Some(index) => {
                    index.parse().map_err(|_| malformed(path, "replicaIndex is no number"))?
                }
                None => 0,
            },
            schema_version: yaml.values.get("schemaVersion").cloned().unwrap_or_default(),
            state: ReplicaState::from_name(state)
                .ok_or_else(|| malformed(path, &format!("unknown state {state}")))?,
        })
    }
}

fn malformed(path: &Path, message: &str) -> DescriptorError {
    DescriptorError::Malformed { path: path.to_owned(), message: message.to_owned() }
}

fn check(path: &Path, text: &str, stored: &str) -> Result<(), DescriptorError> {
    let unsigned: Vec<&str> = text
        .lines()
        .map(|line| if line.starts_with("checksum:") { NULL_CHECKSUM } else { line })
        .collect();
    let computed = digest(&(unsigned.join("\n") + "\n"));
    if computed == stored {
        return Ok(());
    }
    Err(DescriptorError::Checksum { path: path.to_owned(), stored: stored.to_owned(), computed })
}

fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(Sha256::digest(text.as_bytes())))
}

/// A flat YAML mapping with one nested mapping, `metadata`.
#[derive(Default)]
struct Yaml {
    values: BTreeMap<String, String>,
    metadata: BTreeMap<String, String>,
}

impl Yaml {
    fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    fn parse(text: &str) -> Self {
        let mut yaml = Self::default();
        let mut inside_metadata = false;
        for line in text.lines() {
            if line.starts_with('!') || line.starts_with('#') || line.trim().is_empty() {
                continue;
            }
            let Some((key, value)) = line.split_once(':') else { continue };
            let nested = key.starts_with(' ');
            let (key, value) = (plain(key.trim()), plain(value.trim()));
            if nested && inside_metadata {
                yaml.metadata.insert(key, value);
            } else if !nested {
                inside_metadata = key == "metadata";
                yaml.values.insert(key, value);
            }
        }
        yaml
    }
}

/// A scalar without its quotes.
fn plain(text: &str) -> String {
    let unquote = |quote: char| {
        text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote)).map(str::to_owned)
    };
    if let Some(inner) = unquote('\'') {
        return inner.replace("''", "'");
    }
    if let Some(inner) = unquote('"') {
        return inner.replace("\\\"", "\"").replace("\\\\", "\\");
    }
    text.to_owned()
}

/// A scalar as SnakeYAML prints a string: plain where that reads back as the same string.
pub fn scalar(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { format!("'{}'", text.replace('\'', "''")) }
}

fn is_plain(text: &str) -> bool {
    let Some(first) = text.chars().next() else { return false };
    let reserved = ["true", "false", "yes", "no", "on", "off", "null", "~"];
    let looks_like_number = text
        .chars()
        .all(|c| c.is_ascii_digit() || matches!(c, '.' | '-' | '+' | '_' | ':' | 'e' | 'E' | 'x'))
        && text.chars().any(|c| c.is_ascii_digit())
        && !text.contains('/')
        && text.matches('-').count() < 2;
    !looks_like_number
        && !reserved.contains(&text.to_ascii_lowercase().as_str())
        && !"-?:,[]{}#&*!|>'\"%@` ".contains(first)
        && !text.ends_with(' ')
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.ends_with(':')
        && text.chars().all(|c| !c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Descriptor {
        Descriptor {
            chunks_path: "/data/hdds/CID-1/current/containerDir0/3/chunks".to_owned(),
            id: ContainerId(3),
            data_scan_timestamp: None,
            layout_version: LAYOUT_FILE_PER_BLOCK,
            bytes_max: 1 << 30,
            metadata: BTreeMap::new(),
            metadata_path: "/data/hdds/CID-1/current/containerDir0/3/metadata".to_owned(),
            origin_node: "8c6a5d0e-7d6d-4f9e-9a2b-2f8d1e5a9c11".to_owned(),
            origin_pipeline: "11111111-2222-3333-4444-555555555555".to_owned(),
            replica_index: 0,
            schema_version: SCHEMA_V3.to_owned(),
            state: ReplicaState::Open,
        }
    }

    #[test]
    fn a_descriptor_is_read_back_and_its_checksum_covers_every_line() {
        let path = Path::new("x");
        let mut wanted = sample();
        wanted.metadata.insert("owner".to_owned(), "o z".to_owned());
        wanted.metadata.insert("size".to_owned(), "12".to_owned());
        wanted.data_scan_timestamp = Some(1_234_567_890_123);
        wanted.replica_index = 2;
        let text = wanted.to_text();
        assert!(text.contains("schemaVersion: '3'\n") && text.contains("  size: '12'\n"));
        assert!(text.contains("originPipelineId: 11111111-2222-3333-4444-555555555555\n"));
        assert_eq!(Descriptor::parse(path, &text, true).unwrap(), wanted);

        for (from, to) in [("state: OPEN", "state: CLOSED"), ("owner: o z", "owner: o y")] {
            let changed = text.replace(from, to);
            assert!(matches!(
                Descriptor::parse(path, &changed, true),
                Err(DescriptorError::Checksum { .. })
            ));
            assert!(Descriptor::parse(path, &changed, false).is_ok());
        }
    }

    #[test]
    fn garbage_is_an_error_that_names_what_is_missing() {
        let error = Descriptor::parse(Path::new("x"), "state: OPEN\n", false).unwrap_err();
        assert!(error.to_string().contains("chunksPath"), "{error}");
        let text = sample().to_text().replace("state: OPEN", "state: SLEEPING");
        assert!(Descriptor::parse(Path::new("x"), &text, false).is_err());
    }

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("3.container");
        let mut descriptor = sample();
        descriptor.write(&path).unwrap();
        descriptor.state = ReplicaState::Closed;
        descriptor.write(&path).unwrap();
        assert_eq!(Descriptor::read(&path, true).unwrap(), descriptor);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn genuine_descriptors_verify_and_are_written_again_byte_for_byte() {
        let texts = [
            include_str!("../../../golden/datanode/3.container"),
            include_str!("../../../golden/datanode/7.container"),
        ];
        for text in texts {
            let descriptor = Descriptor::parse(Path::new("x"), text, true).unwrap();
            assert_eq!(descriptor.to_text(), text);
        }
    }
}
