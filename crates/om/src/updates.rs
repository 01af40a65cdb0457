//! `DBUpdates`: the write batches of `om.db` since a sequence number, for a service that follows it
//! with a copy of its own (Recon).

use std::sync::Arc;

use om_core::OmError;
use om_proto::{DbUpdatesRequest, DbUpdatesResponse, OmRequest, Status};
use ozone_db::{Updates, UpdatesError};

use crate::server::Service;

/// Batches in one answer, in bytes, as far as one more does not begin before: the answer has to fit a
/// message of Hadoop RPC. Ozone's limit, `ozone.om.delta.update.data.size.max.limit`, is 1 GB.
const ANSWER_BYTES_MAX: u64 = 32 << 20;
/// What Java writes where there is no number: -1.
const NO_SEQUENCE: u64 = u64::MAX;

/// A count that is refused before anything is looked up.
pub(crate) fn malformed(request: &OmRequest) -> Option<&'static str> {
    let count = request.db_updates_request.as_ref()?.limit_count?;
    (count.cast_signed() <= 0).then_some("Illegal count for getUpdatesSince.")
}

impl Service {
    /// What was flushed since then. What is applied and not flushed yet comes with a later answer.
    pub(crate) async fn updates(
        self: &Arc<Self>,
        request: DbUpdatesRequest,
    ) -> Result<DbUpdatesResponse, OmError> {
        let count = request.limit_count.unwrap_or(u64::MAX);
        let sequence = request.sequence_number;
        let store = self.cache.store().clone();
        let read = move || store.updates_since(sequence, count, ANSWER_BYTES_MAX);
        match tokio::task::spawn_blocking(read).await {
            Ok(result) => answer(result),
            Err(error) => Err(OmError::new(Status::InternalError, error.to_string())),
        }
    }
}

fn answer(result: Result<Updates, UpdatesError>) -> Result<DbUpdatesResponse, OmError> {
    match result {
        Ok(updates) => Ok(DbUpdatesResponse {
            sequence_number: updates.last.unwrap_or(NO_SEQUENCE),
            data: updates.batches,
            latest_sequence_number: Some(updates.latest),
            db_update_success: Some(true),
        }),
        Err(UpdatesError::TooOld { wanted, first: None }) => Err(OmError::new(
            Status::InternalError,
            format!(
                "Invalid transaction log iterator when getting updates since sequence number {wanted}"
            ),
        )),
        Err(UpdatesError::TooOld { wanted, first: Some(first) }) => Err(OmError::new(
            Status::InternalError,
            format!(
                "Unable to read full data from RocksDB wal to get delta updates. It may have \
                 partially been flushed to SSTs. Requested sequence number is {wanted} and first \
                 available sequence number is {first} in wal."
            ),
        )),
        Err(UpdatesError::Engine(error)) => {
            tracing::warn!(%error, "updates of om.db could not be read");
            Ok(DbUpdatesResponse {
                sequence_number: NO_SEQUENCE,
                data: Vec::new(),
                latest_sequence_number: Some(NO_SEQUENCE),
                db_update_success: Some(false),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use om_proto::Type;

    use super::*;

    #[test]
    fn a_count_that_is_not_positive_is_refused() {
        let with = |limit_count| {
            let body = DbUpdatesRequest { sequence_number: 1, limit_count };
            let kind = Type::DbUpdates.into();
            let body = Some(Box::new(body));
            OmRequest { cmd_type: kind, db_updates_request: body, ..OmRequest::default() }
        };
        assert!(malformed(&with(Some(0))).is_some() && malformed(&with(Some(u64::MAX))).is_some());
        assert!(malformed(&with(Some(1))).is_none() && malformed(&with(None)).is_none());
    }

    #[test]
    fn a_log_that_forgot_is_an_error_and_an_unwritten_number_an_answer_without_success() {
        let lost = answer(Err(UpdatesError::TooOld { wanted: 5, first: Some(9) })).unwrap_err();
        assert_eq!(lost.status, Status::InternalError);
        let engine = ozone_db::DbError::NoTable("x".into());
        let early = answer(Err(engine.into())).unwrap();
        assert_eq!((early.db_update_success, early.sequence_number), (Some(false), u64::MAX));
        let none = answer(Ok(Updates { latest: 7, ..Updates::default() })).unwrap();
        assert_eq!((none.sequence_number, none.latest_sequence_number), (u64::MAX, Some(7)));
    }
}
