//! `ozone om --init`: the directory of a new Ozone Manager.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use hdds_client::scm::ScmBlockClient;
pub(crate) use om_core::command::server::finalize::LAYOUT_VERSION;
use ozone_config::Configuration;
use ozone_daemon::properties;
use uuid::Uuid;

use crate::ids::now_ms;
use crate::settings::Settings;
use crate::users;

/// What `om --init` did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Initialized {
    /// The cluster.
    pub cluster_id: String,
    /// This OM.
    pub om_id: String,
    /// The directory was new.
    pub is_new: bool,
}

/// What `om/current/VERSION` says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Version {
    /// The cluster.
    pub cluster_id: String,
    /// This OM.
    pub om_id: String,
    /// The layout of the directory.
    pub layout: u32,
}

/// Asks SCM for the cluster and writes `om/current/VERSION`. A directory that belongs to the same
/// cluster is left as it is.
///
/// # Errors
/// SCM does not answer, or the directory belongs to another cluster or node.
pub async fn init(conf: &Configuration) -> anyhow::Result<Initialized> {
    let settings = Settings::read(conf)?;
    let scm = ScmBlockClient::from_conf(conf, &users::process_user())?;
    let info = scm.get_scm_info().await.context("asking SCM for the cluster id")?;
    let path = version_path(&settings.directory);
    if let Some(version) = read_version(&settings)? {
        if version.cluster_id != info.cluster_id {
            bail!(
                "{} belongs to the cluster {}, but SCM is of {}; use another ozone.om.db.dirs",
                path.display(),
                version.cluster_id,
                info.cluster_id
            );
        }
        let Version { cluster_id, om_id, .. } = version;
        return Ok(Initialized { cluster_id, om_id, is_new: false });
    }
    let om_id = Uuid::new_v4().to_string();
    let pairs = [
        ("nodeType", "OM".to_owned()),
        ("clusterID", info.cluster_id.clone()),
        ("cTime", now_ms().to_string()),
        ("omUuid", om_id.clone()),
        ("nodeId", settings.node),
        ("layoutVersion", LAYOUT_VERSION.to_string()),
    ];
    let pairs: BTreeMap<String, String> =
        pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    properties::write(&path, &pairs).with_context(|| format!("writing {}", path.display()))?;
    Ok(Initialized { cluster_id: info.cluster_id, om_id, is_new: true })
}

/// Reads and checks `om/current/VERSION`; `None` before `--init`.
///
/// # Errors
/// The file belongs to another kind of daemon, another node, or a newer version.
pub fn read_version(settings: &Settings) -> anyhow::Result<Option<Version>> {
    let path = version_path(&settings.directory);
    let Some(pairs) = properties::read(&path)? else { return Ok(None) };
    let field = |key: &str| {
        let value = pairs.get(key).cloned();
        value.with_context(|| format!("{} has no {key}", path.display()))
    };
    if field("nodeType")? != "OM" {
        bail!("{} is not of an Ozone Manager", path.display());
    }
    let layout: u32 = match pairs.get("layoutVersion") {
        Some(text) => text.parse().with_context(|| format!("layoutVersion {text:?}"))?,
        None => 0,
    };
    if layout > LAYOUT_VERSION {
        bail!(
            "{} has layout version {layout}, this program knows up to {LAYOUT_VERSION}; use the \
             newer program that wrote it",
            path.display()
        );
    }
    if let Some(node) = pairs.get("nodeId").filter(|node| **node != settings.node) {
        bail!(
            "{} is of the node {node}, but the configuration says {}",
            path.display(),
            settings.node
        );
    }
    Ok(Some(Version { cluster_id: field("clusterID")?, om_id: field("omUuid")?, layout }))
}

/// Writes the layout version that an upgrade ends with.
///
/// # Errors
/// The file is gone, or cannot be written.
pub(crate) fn set_layout_version(directory: &Path, layout: u32) -> anyhow::Result<()> {
    let path = version_path(directory);
    let mut pairs = properties::read(&path)?
        .with_context(|| format!("{} is gone; run `ozone om --init`", path.display()))?;
    pairs.insert("layoutVersion".to_owned(), layout.to_string());
    properties::write(&path, &pairs).with_context(|| format!("writing {}", path.display()))
}

fn version_path(directory: &Path) -> PathBuf {
    directory.join("om/current/VERSION")
}
