//! Ends an upgrade: the directory takes the layout version of this program (`BasicUpgradeFinalizer`,
//! `OMUpgradeFinalizer`).
//!
//! Rows that this program writes are of the newest layout in any case. What finalization changes is
//! what `om/current/VERSION` and `metaTable` promise to an older Java Ozone Manager.

use std::path::{Path, PathBuf};

use hdds_proto::hdds::UpgradeFinalizationStatus;
use hdds_proto::hdds::upgrade_finalization_status::Status as Stage;
use om_core::OmError;
use om_proto::{FinalizeUpgradeProgressRequest, Status};
use parking_lot::Mutex;

use crate::init::{self, LAYOUT_VERSION};

/// Features by the layout version that brought them (`OMLayoutFeature`).
const FEATURES: [&str; LAYOUT_VERSION as usize + 1] = [
    "INITIAL_VERSION",
    "ERASURE_CODED_STORAGE_SUPPORT",
    "BUCKET_LAYOUT_SUPPORT",
    "MULTITENANCY_SCHEMA",
    "HSYNC",
    "FILESYSTEM_SNAPSHOT",
    "QUOTA",
    "HBASE_SUPPORT",
    "DELEGATION_TOKEN_SYMMETRIC_SIGN",
    "SNAPSHOT_DEFRAG",
];

/// How far the upgrade of this node is.
#[derive(Debug)]
pub(crate) struct Finalization {
    /// Holds `om/current/VERSION`.
    directory: PathBuf,
    progress: Mutex<Progress>,
}

#[derive(Debug)]
struct Progress {
    stage: Stage,
    /// Of the directory.
    layout_version: u32,
    /// The client that finalizes.
    client: Option<String>,
    /// What it was not told yet.
    messages: Vec<String>,
}

impl Finalization {
    /// Of a directory with this layout version.
    pub fn new(directory: &Path, layout_version: u32) -> Self {
        let needed = layout_version < LAYOUT_VERSION;
        let stage = if needed { Stage::FinalizationRequired } else { Stage::AlreadyFinalized };
        if needed {
            tracing::warn!(
                layout_version,
                newest = LAYOUT_VERSION,
                "the upgrade is not finalized; `ozone admin om finalizeupgrade` does that"
            );
        }
        let progress = Progress { stage, layout_version, client: None, messages: Vec::new() };
        Self { directory: directory.to_owned(), progress: Mutex::new(progress) }
    }

    /// `FinalizeUpgrade` was applied: gives the directory its new version and says what a client is
    /// answered.
    ///
    /// # Errors
    /// The directory cannot be written; it keeps its version.
    pub fn carry_out(&self, client: &str) -> anyhow::Result<Stage> {
        let mut progress = self.progress.lock();
        if progress.stage != Stage::FinalizationRequired {
            return Ok(Stage::AlreadyFinalized);
        }
        init::set_layout_version(&self.directory, LAYOUT_VERSION)?;
        progress.client = Some(client.to_owned());
        let from = progress.layout_version;
        let features = FEATURES.get(from as usize + 1..).unwrap_or_default();
        progress.messages.push("Finalization started.".to_owned());
        progress.messages.extend(
            features
                .iter()
                .map(|feature| format!("No onFinalize work defined for feature: {feature}.")),
        );
        progress.messages.push("Finalization is done.".to_owned());
        progress.stage = Stage::FinalizationDone;
        progress.layout_version = LAYOUT_VERSION;
        tracing::info!(from, to = LAYOUT_VERSION, "the upgrade is finalized");
        Ok(Stage::StartingFinalization)
    }

    /// As far as the client that finalizes was not told; others may only look.
    ///
    /// # Errors
    /// Another client finalizes.
    pub fn report(
        &self,
        request: &FinalizeUpgradeProgressRequest,
    ) -> Result<UpgradeFinalizationStatus, OmError> {
        let mut progress = self.progress.lock();
        let messages = if request.readonly() {
            Vec::new()
        } else {
            if request.takeover() {
                progress.client = Some(request.upgrade_client_id.clone());
            }
            if progress.client.as_deref() != Some(&request.upgrade_client_id) {
                let message = "Unknown client tries to get finalization status.\n The requester is \
                               not the initiating client of the finalization, if you want to take \
                               over, and get unsent status messages, check -takeover option.";
                return Err(OmError::new(Status::InternalError, message));
            }
            std::mem::take(&mut progress.messages)
        };
        Ok(UpgradeFinalizationStatus { status: progress.stage.into(), messages })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(client: &str, takeover: bool, readonly: bool) -> FinalizeUpgradeProgressRequest {
        FinalizeUpgradeProgressRequest {
            upgrade_client_id: client.to_owned(),
            takeover: Some(takeover),
            readonly: Some(readonly),
        }
    }

    /// A directory of this layout version.
    fn directory(layout_version: u32) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("om/current/VERSION");
        let pairs = [("layoutVersion".to_owned(), layout_version.to_string())];
        ozone_daemon::properties::write(&path, &pairs.into()).unwrap();
        directory
    }

    #[test]
    fn only_the_client_that_finalizes_is_told_how_far_it_is() {
        let directory = directory(LAYOUT_VERSION);
        let finalization = Finalization::new(directory.path(), LAYOUT_VERSION);
        assert_eq!(finalization.carry_out("first").unwrap(), Stage::AlreadyFinalized);
        let seen = finalization.report(&look("anybody", false, true)).unwrap();
        assert_eq!((seen.status(), seen.messages.len()), (Stage::AlreadyFinalized, 0));
        finalization.report(&look("first", false, false)).unwrap_err();
        finalization.report(&look("first", true, false)).unwrap();
        finalization.report(&look("second", false, false)).unwrap_err();
    }

    #[test]
    fn a_directory_of_an_older_layout_is_taken_to_the_newest() {
        let directory = directory(7);
        let finalization = Finalization::new(directory.path(), 7);
        let seen = finalization.report(&look("anybody", false, true)).unwrap();
        assert_eq!(seen.status(), Stage::FinalizationRequired);
        assert_eq!(finalization.carry_out("first").unwrap(), Stage::StartingFinalization);
        assert_eq!(finalization.carry_out("first").unwrap(), Stage::AlreadyFinalized);
        let seen = finalization.report(&look("first", false, false)).unwrap();
        assert_eq!(seen.status(), Stage::FinalizationDone);
        let told: Vec<&str> = seen.messages.iter().map(String::as_str).collect();
        assert_eq!(
            told,
            [
                "Finalization started.",
                "No onFinalize work defined for feature: DELEGATION_TOKEN_SYMMETRIC_SIGN.",
                "No onFinalize work defined for feature: SNAPSHOT_DEFRAG.",
                "Finalization is done."
            ]
        );
        assert!(finalization.report(&look("first", false, false)).unwrap().messages.is_empty());
        let text = std::fs::read_to_string(directory.path().join("om/current/VERSION")).unwrap();
        assert!(text.contains("layoutVersion=9"), "{text}");
    }
}
