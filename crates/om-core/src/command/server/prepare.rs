//! `Prepare` and `CancelPrepare`: an Ozone Manager before and after a change of version
//! (`OMPrepareRequest`, `OMCancelPrepareRequest`).
//!
//! Here is what the log carries: who may ask, and the row that says where the log was prepared. The
//! shell flushes, writes its marker file and closes its gate for writes.

use bytes::Bytes;
use om_proto::{
    CancelPrepareRequest, CancelPrepareResponse, OmResponse, PrepareRequest, PrepareResponse,
    Status, Type,
};

use super::check_superuser;
use crate::cache::Applied;
use crate::command::{BlocksWanted, Caller, Write};
use crate::error::{Failure, OmError};
use crate::namespace::{At, Namespace};
use crate::tables;

/// The row of a log prepared at `index` (`OMPrepareResponse`): it never has the term.
fn row(index: u64) -> Bytes {
    Applied { term: 0, index }.to_row().into()
}

/// Whether a write may enter the log of a prepared Ozone Manager.
pub fn passes_when_prepared(kind: Type) -> bool {
    matches!(kind, Type::Prepare | Type::CancelPrepare)
}

/// The refusal of all other writes.
pub fn refusal_when_prepared(kind: Type) -> OmError {
    let name = kind.as_str_name();
    let message = format!("Cannot apply write request {name} when OM is in prepare mode.");
    OmError::new(Status::NotSupportedOperationWhenPrepared, message)
}

impl Write for PrepareRequest {
    fn prepare(
        &mut self,
        ns: &Namespace<'_>,
        caller: &Caller<'_>,
    ) -> Result<Option<BlocksWanted>, Failure> {
        check_superuser(ns, caller, "prepare upgrade/downgrade")?;
        Ok(None)
    }

    fn apply(
        self,
        at: At,
        _: &str,
        ns: &mut Namespace<'_>,
        reply: &mut OmResponse,
    ) -> Result<(), Failure> {
        let slot = tables::TRANSACTION_INFO_SLOT;
        ns.put_bytes(slot, tables::PREPARED_KEY, Some(row(at.index)));
        reply.prepare_response = Some(Box::new(PrepareResponse { txn_id: at.index }));
        Ok(())
    }
}

impl Write for CancelPrepareRequest {
    fn prepare(
        &mut self,
        ns: &Namespace<'_>,
        caller: &Caller<'_>,
    ) -> Result<Option<BlocksWanted>, Failure> {
        check_superuser(ns, caller, "cancel ozone manager preparation")?;
        Ok(None)
    }

    /// Java leaves the row to the next start, which removes it where the marker file is gone.
    fn apply(
        self,
        _: At,
        _: &str,
        ns: &mut Namespace<'_>,
        reply: &mut OmResponse,
    ) -> Result<(), Failure> {
        ns.put_bytes(tables::TRANSACTION_INFO_SLOT, tables::PREPARED_KEY, None);
        reply.cancel_prepare_response = Some(Box::new(CancelPrepareResponse {}));
        Ok(())
    }
}
