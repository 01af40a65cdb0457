//! `FinalizeUpgrade`: the database takes the layout version of this program
//! (`OMFinalizeUpgradeRequest`). The shell does so with its directory, and says how far that is.

use hdds_proto::hdds::{UpgradeFinalizationStatus, upgrade_finalization_status};
use om_proto::{FinalizeUpgradeRequest, FinalizeUpgradeResponse, OmResponse};

use super::check_superuser;
use crate::command::{BlocksWanted, Caller, Write};
use crate::error::Failure;
use crate::namespace::{At, Namespace};
use crate::tables;

/// Newest layout of the database (`OMLayoutFeature.SNAPSHOT_DEFRAG`).
pub const LAYOUT_VERSION: u32 = 9;

impl Write for FinalizeUpgradeRequest {
    fn prepare(
        &mut self,
        ns: &Namespace<'_>,
        caller: &Caller<'_>,
    ) -> Result<Option<BlocksWanted>, Failure> {
        check_superuser(ns, caller, "finalize upgrade")?;
        Ok(None)
    }

    fn apply(
        self,
        _: At,
        _: &str,
        ns: &mut Namespace<'_>,
        reply: &mut OmResponse,
    ) -> Result<(), Failure> {
        let version = LAYOUT_VERSION.to_string().into();
        ns.put_bytes(tables::META_SLOT, tables::LAYOUT_VERSION_KEY, Some(version));
        let status = UpgradeFinalizationStatus {
            status: upgrade_finalization_status::Status::AlreadyFinalized.into(),
            messages: Vec::new(),
        };
        reply.finalize_upgrade_response = Some(Box::new(FinalizeUpgradeResponse { status }));
        Ok(())
    }
}
