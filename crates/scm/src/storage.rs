//! The `VERSION` file: which cluster, which SCM (`SCMStorageConfig`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use ozone_config::Configuration;
use ozone_daemon::{directories, properties};
use scm_core::node::LAYOUT_VERSION;
use uuid::Uuid;

use crate::clock::Clock;

/// Directory of `scm.db` and of the `VERSION` file.
const DB_DIRS: &str = "ozone.scm.db.dirs";
const CLUSTER_PREFIX: &str = "CID-";

/// What `scm --init` left, or found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Initialized {
    /// `CID-<uuid>`.
    pub cluster_id: String,
    /// UUID of this SCM.
    pub scm_id: String,
    /// Layout of the data, [`LAYOUT_VERSION`] when new.
    pub layout_version: u32,
    /// Where the `VERSION` file lies.
    pub directory: PathBuf,
    /// False when it was there before; nothing was changed then.
    pub created: bool,
}

/// Prepares the directory of a new SCM and cluster. Does nothing when that was done before.
///
/// # Errors
/// The directory is not configured or cannot be written.
pub fn init(conf: &Configuration) -> anyhow::Result<Initialized> {
    init_with(conf, None)
}

/// The same with a given cluster id (with or without `CID-`).
///
/// # Errors
/// See [`init`]; or the id is no UUID.
pub fn init_with(conf: &Configuration, cluster_id: Option<&str>) -> anyhow::Result<Initialized> {
    let base = directories::metadata_directory(conf, DB_DIRS)?;
    if let Some(found) = read(&base)? {
        return Ok(found);
    }
    let cluster = match cluster_id {
        Some(text) => text
            .trim_start_matches(CLUSTER_PREFIX)
            .parse()
            .with_context(|| format!("cluster id {text:?} is not a UUID"))?,
        None => Uuid::new_v4(),
    };
    let scm_id = Uuid::new_v4().to_string();
    let created = Initialized {
        cluster_id: format!("{CLUSTER_PREFIX}{cluster}"),
        scm_id: scm_id.clone(),
        layout_version: LAYOUT_VERSION,
        directory: version_file(&base),
        created: true,
    };
    let pairs = [
        ("nodeType", "SCM".to_owned()),
        ("clusterID", created.cluster_id.clone()),
        ("scmUuid", scm_id.clone()),
        ("cTime", Clock::start().now().to_string()),
        ("layoutVersion", LAYOUT_VERSION.to_string()),
        ("scmHA", "true".to_owned()),
        ("primaryScmNodeId", scm_id),
    ];
    let pairs: BTreeMap<String, String> =
        pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    properties::write(&version_file(&base), &pairs)
        .with_context(|| format!("cannot write {}", version_file(&base).display()))?;
    Ok(created)
}

/// The `VERSION` file of an initialized SCM.
///
/// # Errors
/// There is none, or it is of another kind or a newer layout.
pub fn require(conf: &Configuration) -> anyhow::Result<(PathBuf, Initialized)> {
    let base = directories::metadata_directory(conf, DB_DIRS)?;
    let Some(found) = read(&base)? else {
        bail!(
            "SCM is not initialized: {} is missing; run `ozone scm --init` first",
            version_file(&base).display()
        );
    };
    if found.layout_version > LAYOUT_VERSION {
        bail!(
            "{} has layout version {}, this software {LAYOUT_VERSION}; run newer software",
            found.directory.display(),
            found.layout_version
        );
    }
    Ok((base, found))
}

/// The Raft group of a cluster.
///
/// # Errors
/// The cluster id is not `CID-<uuid>`.
pub fn raft_group(cluster_id: &str) -> anyhow::Result<Uuid> {
    cluster_id
        .trim_start_matches(CLUSTER_PREFIX)
        .parse()
        .with_context(|| format!("cluster id {cluster_id:?} of VERSION is not CID-<uuid>"))
}

fn version_file(base: &Path) -> PathBuf {
    base.join("scm/current/VERSION")
}

fn read(base: &Path) -> anyhow::Result<Option<Initialized>> {
    let path = version_file(base);
    let pairs =
        properties::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let Some(pairs) = pairs else { return Ok(None) };
    let value = |key: &str| {
        pairs
            .get(key)
            .cloned()
            .with_context(|| format!("{} has no {key}; it is damaged", path.display()))
    };
    if value("nodeType")? != "SCM" {
        bail!("{} belongs to a {}, not to an SCM", path.display(), value("nodeType")?);
    }
    let layout_version = match pairs.get("layoutVersion") {
        Some(text) => {
            text.parse().with_context(|| format!("{}: layoutVersion {text:?}", path.display()))?
        }
        None => 0,
    };
    Ok(Some(Initialized {
        cluster_id: value("clusterID")?,
        scm_id: value("scmUuid")?,
        layout_version,
        directory: path,
        created: false,
    }))
}
