//! Background work of the leader.

pub(crate) mod deleting_metrics;
pub mod directory_deleting;
pub mod key_deleting;
pub mod open_key_cleanup;
pub mod trash;
pub mod upload_cleanup;

use std::sync::Arc;

use hadoop_rpc::server::RpcError;
use om_core::Namespace;
use om_proto::{Status, Type};
use ozone_db::DbError;

use crate::server::Service;

/// Why a round ended early; the next one tries again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stopped {
    #[error(transparent)]
    Store(#[from] DbError),
    #[error(transparent)]
    Scm(#[from] hdds_client::scm::ScmError),
    #[error(transparent)]
    Raft(#[from] RpcError),
    #[error("the namespace refused: {0}")]
    Refused(String),
    #[error("a step of it did not end: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl Service {
    /// What to do next. Looking for it reads the disk, therefore it does not happen on the async runtime.
    pub(crate) async fn plan<T: Send + 'static>(
        self: &Arc<Self>,
        look: impl FnOnce(&Namespace<'_>) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, Stopped> {
        let service = self.clone();
        let looked = tokio::task::spawn_blocking(move || {
            look(&Namespace::new(&service.cache, &service.settings.rules))
        });
        Ok(looked.await??)
    }

    /// A write of the OM itself that must not be refused.
    pub(crate) async fn must_write(&self, request: om_proto::OmRequest) -> Result<(), Stopped> {
        let reply = self.write_own(request).await?;
        if reply.status == i32::from(Status::Ok) {
            return Ok(());
        }
        Err(Stopped::Refused(reply.message.unwrap_or_default()))
    }

    /// Waits for the next round of a service; false once it must end. Rounds without leadership, or in
    /// which nothing may be written, are skipped.
    pub(crate) async fn next_round(
        &self,
        interval: std::time::Duration,
        stop: &tokio_util::sync::CancellationToken,
    ) -> bool {
        loop {
            tokio::select! {
                () = tokio::time::sleep(interval) => {}
                () = stop.cancelled() => return false,
            }
            if self.check_leader().is_ok()
                && self.upgrade.prepared.check(Type::UnknownCommand).is_ok()
            {
                return true;
            }
        }
    }
}
