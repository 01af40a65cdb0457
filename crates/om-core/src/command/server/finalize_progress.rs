//! `FinalizeUpgradeProgress`: a fresh installation is always finalized.

use hdds_proto::hdds::{UpgradeFinalizationStatus, upgrade_finalization_status};
use om_proto::{FinalizeUpgradeProgressResponse, OmResponse};

use crate::command::Read;
use crate::error::Failure;

pub(crate) fn read(reply: &mut OmResponse) -> Result<Read, Failure> {
    let status = UpgradeFinalizationStatus {
        status: upgrade_finalization_status::Status::AlreadyFinalized.into(),
        messages: Vec::new(),
    };
    let response = FinalizeUpgradeProgressResponse { status };
    reply.finalize_upgrade_progress_response = Some(Box::new(response));
    Ok(Read::Reply)
}
