//! Who this datanode is: `datanode.id`, and the layout version of its metadata.
//!
//! `datanode.id` is YAML with the Java class as its tag (`DatanodeIdYaml`); it is written once and
//! again when the operational state changes. A datanode whose file is lost is a new one.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use container_store::descriptor::scalar;
use hdds_types::{DatanodeId, OperationalState};
use ozone_daemon::{durable, properties};

const TAG: &str =
    "!!org.apache.hadoop.ozone.container.common.helpers.DatanodeIdYaml$DatanodeDetailsYaml";
/// `DatanodeVersion.CURRENT`: streaming reads.
pub const CURRENT_VERSION: i32 = 3;
/// `HDDSLayoutVersionManager`: newest layout of Ozone 2.2.0.
pub const LAYOUT_VERSION: u32 = 10;
/// Larger files are no `datanode.id`, in bytes.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// What `datanode.id` says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The datanode.
    pub id: DatanodeId,
    /// Name others reach it by.
    pub host_name: String,
    /// Address others reach it by.
    pub ip_address: String,
    /// What SCM last set.
    pub state: OperationalState,
    /// When that ends, in seconds since 1970; 0 = never.
    pub state_expiry: i64,
    /// Version of its first start; from 1 on the Raft services have ports of their own.
    pub initial_version: i32,
}

impl Identity {
    /// Reads `datanode.id`, or makes up a new identity and writes it.
    ///
    /// # Errors
    /// The file is damaged, or cannot be read or written.
    pub fn load_or_create(path: &Path, host_name: &str, ip: &str) -> anyhow::Result<Self> {
        match fs::metadata(path) {
            Ok(meta) if meta.len() <= FILE_BYTES_MAX => {
                let text = fs::read_to_string(path)
                    .with_context(|| format!("cannot read {}", path.display()))?;
                let mut identity = Self::parse(&text).with_context(|| {
                    format!("{} is damaged; restore it from a copy", path.display())
                })?;
                host_name.clone_into(&mut identity.host_name);
                ip.clone_into(&mut identity.ip_address);
                Ok(identity)
            }
            Ok(_) => anyhow::bail!("{} is too large to be a datanode.id", path.display()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let identity = Self {
                    id: DatanodeId::random(),
                    host_name: host_name.to_owned(),
                    ip_address: ip.to_owned(),
                    state: OperationalState::InService,
                    state_expiry: 0,
                    initial_version: CURRENT_VERSION,
                };
                identity.write(path)?;
                Ok(identity)
            }
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Replaces the file.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        durable::replace(path, self.to_text().as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// As the file says it.
    pub fn to_text(&self) -> String {
        let Self { id, host_name, ip_address, state, state_expiry, initial_version } = self;
        let (host, ip) = (scalar(host_name), plain_address(ip_address));
        let state = state.name();
        format!(
            "{TAG} {{\n  certSerialId: null,\n  currentVersion: {CURRENT_VERSION},\n  \
             hostName: {host},\n  initialVersion: {initial_version},\n  ipAddress: {ip},\n  \
             persistedOpState: {state},\n  persistedOpStateExpiryEpochSec: {state_expiry},\n  \
             portDetails: {{}},\n  uuid: {id}\n}}\n"
        )
    }

    /// From the text of a file.
    ///
    /// # Errors
    /// There is no UUID in it.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let values = values(text);
        let get = |key: &str| values.get(key).map(String::as_str).unwrap_or_default();
        Ok(Self {
            id: get("uuid").parse().context("uuid")?,
            host_name: get("hostName").to_owned(),
            ip_address: get("ipAddress").to_owned(),
            state: operational_state(get("persistedOpState")),
            state_expiry: get("persistedOpStateExpiryEpochSec").parse().unwrap_or(0),
            initial_version: get("initialVersion").parse().unwrap_or(0),
        })
    }
}

/// Flow or block mapping, nested ones flattened; the last of equal keys wins.
fn values(text: &str) -> BTreeMap<String, String> {
    let body = text.split_once(TAG).map_or(text, |(_, body)| body);
    body.split(['\n', ','])
        .filter_map(|line| line.split_once(':'))
        .map(|(key, value)| {
            let clean = |s: &str| {
                s.trim_matches(|c: char| c.is_whitespace() || "{}\"'".contains(c)).to_owned()
            };
            (clean(key), clean(value))
        })
        .collect()
}

/// An IPv4 address is a plain scalar: two dots make it no number.
fn plain_address(ip: &str) -> String {
    if ip.parse::<std::net::Ipv4Addr>().is_ok() { ip.to_owned() } else { scalar(ip) }
}

fn operational_state(name: &str) -> OperationalState {
    use OperationalState as S;
    [S::Decommissioning, S::Decommissioned, S::EnteringMaintenance, S::InMaintenance]
        .into_iter()
        .find(|state| state.name() == name)
        .unwrap_or(S::InService)
}

/// Checks `dnlayoutversion/VERSION`, or writes it on a first start. Returns the layout in use.
///
/// # Errors
/// The directory belongs to another cluster or to a newer datanode, or cannot be read or written.
pub fn open_layout(metadata: &Path, cluster_id: &str) -> anyhow::Result<u32> {
    let path = metadata.join("dnlayoutversion/VERSION");
    let shown = path.display();
    if let Some(stored) = properties::read(&path).with_context(|| format!("cannot read {shown}"))? {
        let cluster = stored.get("clusterID").map(String::as_str).unwrap_or_default();
        anyhow::ensure!(
            cluster.is_empty() || cluster == cluster_id,
            "{shown} belongs to cluster {cluster}, but SCM's is {cluster_id}"
        );
        let layout: u32 = stored
            .get("layoutVersion")
            .and_then(|text| text.parse().ok())
            .with_context(|| format!("{shown} has no layoutVersion"))?;
        anyhow::ensure!(
            layout <= LAYOUT_VERSION,
            "{shown} has layout {layout}, newer than {LAYOUT_VERSION}: start the newer datanode"
        );
        return Ok(layout);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let pairs = [
        ("nodeType", "DATANODE".to_owned()),
        ("clusterID", cluster_id.to_owned()),
        ("cTime", now.to_string()),
        ("layoutVersion", LAYOUT_VERSION.to_string()),
    ];
    let pairs = pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    properties::write(&path, &pairs).with_context(|| format!("cannot write {shown}"))?;
    Ok(LAYOUT_VERSION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_genuine_file_is_read() {
        let text = include_str!("../../../golden/datanode/datanode.id");
        let identity = Identity::parse(text).unwrap();
        assert_eq!(identity.id.to_string(), "9e2a6c2c-63bd-4fd1-b240-21bbd3834ecf");
        assert_eq!((identity.host_name.as_str(), identity.initial_version), ("127.0.0.1", 3));
        assert_eq!(identity.state, OperationalState::InService);
    }

    #[test]
    fn an_identity_is_made_once_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("datanode.id");
        let mut first = Identity::load_or_create(&path, "host", "127.0.0.1").unwrap();
        first.state = OperationalState::InMaintenance;
        first.state_expiry = 99;
        first.write(&path).unwrap();
        assert_eq!(Identity::load_or_create(&path, "host", "127.0.0.1").unwrap(), first);
        fs::write(&path, "uuid: nonsense").unwrap();
        assert!(Identity::load_or_create(&path, "host", "127.0.0.1").is_err());
    }

    #[test]
    fn a_directory_of_another_cluster_or_a_newer_datanode_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(open_layout(dir.path(), "CID-1").unwrap(), LAYOUT_VERSION);
        assert_eq!(open_layout(dir.path(), "CID-1").unwrap(), LAYOUT_VERSION);
        assert!(open_layout(dir.path(), "CID-2").is_err());
        let path = dir.path().join("dnlayoutversion/VERSION");
        let text = fs::read_to_string(&path).unwrap().replace("=10", "=11");
        fs::write(&path, text).unwrap();
        assert!(open_layout(dir.path(), "CID-1").is_err());
    }
}
