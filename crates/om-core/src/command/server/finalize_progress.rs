//! `FinalizeUpgradeProgress`: a fresh installation is always finalized.

use hdds_proto::hdds::{UpgradeFinalizationStatus, upgrade_finalization_status};
use om_proto::{FinalizeUpgradeProgressResponse, FinalizeUpgradeResponse, OmResponse};

use crate::command::Read;
use crate::error::Failure;

fn finalized() -> UpgradeFinalizationStatus {
    UpgradeFinalizationStatus {
        status: upgrade_finalization_status::Status::AlreadyFinalized.into(),
        messages: Vec::new(),
    }
}

/// `FinalizeUpgrade` has nothing to do.
pub(crate) fn finalize(reply: &mut OmResponse) -> Result<Read, Failure> {
    reply.finalize_upgrade_response =
        Some(Box::new(FinalizeUpgradeResponse { status: finalized() }));
    Ok(Read::Reply)
}

pub(crate) fn read(reply: &mut OmResponse) -> Result<Read, Failure> {
    let status = finalized();
    let response = FinalizeUpgradeProgressResponse { status };
    reply.finalize_upgrade_progress_response = Some(Box::new(response));
    Ok(Read::Reply)
}
