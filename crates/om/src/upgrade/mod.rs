//! A change of version, as far as it is this node's and not the log's: what `Prepare`, `CancelPrepare`
//! and `FinalizeUpgrade` do beside their rows of `om.db`.

mod finalization;
mod prepared;

use anyhow::ensure;
use om_core::{Applied, OmError, command};
use om_proto::{OmRequest, OmResponse, Status, Type};

pub use prepared::cancel_prepare;

pub(crate) use finalization::Finalization;
pub(crate) use prepared::Prepared;

use crate::double_buffer::DoubleBuffer;
use crate::init;
use crate::settings::Settings;

/// Both halves: before the new version, and at its end.
#[derive(Debug)]
pub(crate) struct Upgrade {
    /// The gate for writes.
    pub prepared: Prepared,
    /// The layout version.
    pub finalization: Finalization,
}

/// A log entry that changes more than rows.
pub(crate) enum Step {
    Prepare,
    CancelPrepare,
    /// For the client of this id.
    Finalize(String),
}

impl Step {
    /// What a request is about to do; `None` for all that are only about the namespace.
    pub fn of(request: &OmRequest) -> Option<Self> {
        match Type::try_from(request.cmd_type).ok()? {
            Type::Prepare => Some(Self::Prepare),
            Type::CancelPrepare => Some(Self::CancelPrepare),
            Type::FinalizeUpgrade => {
                let body = request.finalize_upgrade_request.as_ref()?;
                Some(Self::Finalize(body.upgrade_client_id.clone()))
            }
            _ => None,
        }
    }
}

impl Upgrade {
    /// As the last run left it.
    ///
    /// # Errors
    /// What it left contradicts itself, or cannot be read.
    pub fn restore(
        settings: &Settings,
        version: &init::Version,
        store: &dyn ozone_db::Store,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            prepared: Prepared::restore(&settings.metadata_directory, store)?,
            finalization: Finalization::new(&settings.directory, version.layout),
        })
    }

    /// Does on this node what `step`, applied at `at`, says, and completes its answer. A preparation takes
    /// as long as a flush, and so it does for all that waits to be applied; writes have stopped by then.
    pub fn carry_out(
        &self,
        step: &Step,
        at: Applied,
        buffer: &DoubleBuffer,
        reply: &mut OmResponse,
    ) {
        let done = match step {
            Step::Prepare => self.prepare(at, buffer),
            Step::CancelPrepare => self.prepared.cancel().map_err(anyhow::Error::from),
            Step::Finalize(client) => self.finalization.carry_out(client).map(|stage| {
                if let Some(response) = &mut reply.finalize_upgrade_response {
                    response.status.status = stage.into();
                }
            }),
        };
        let Err(error) = done else { return };
        tracing::error!(index = at.index, %error, "this node cannot take a step of an upgrade");
        let status = match step {
            Step::Prepare | Step::CancelPrepare => Status::PrepareFailed,
            Step::Finalize(_) => Status::InternalError,
        };
        reply.prepare_response = None;
        reply.cancel_prepare_response = None;
        reply.finalize_upgrade_response = None;
        command::refuse(reply, OmError::new(status, format!("{error:#}")));
    }

    fn prepare(&self, at: Applied, buffer: &DoubleBuffer) -> anyhow::Result<()> {
        let write_out = || -> anyhow::Result<()> {
            let flushed = buffer.flush_all()?;
            ensure!(flushed >= Some(at), "the database stands at {flushed:?}, before {at:?}");
            Ok(self.prepared.finish(at.index)?)
        };
        let prepared = write_out();
        if prepared.is_err() {
            // Writes go on, and the next start finds no marker.
            let _ = self.prepared.cancel();
        }
        prepared
    }
}
