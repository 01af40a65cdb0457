//! The schema of `scm.db` (`SCMDBDefinition`).

use std::borrow::Cow;

use hdds_proto::hdds::{ContainerInfoProto, DeletedBlocksTransaction, Pipeline};
use hdds_types::PipelineId;
use ozone_db::codec::{BYTES, Codec, CodecError, I64, STRING, proto};
use ozone_db::{Batch, Store, TableDef};
use uuid::Uuid;

/// Pipelines are keyed by the sixteen bytes of their UUID.
const PIPELINE_ID: Codec<PipelineId> = Codec {
    encode: |id| Cow::Owned(id.0.as_bytes().to_vec()),
    decode: |bytes| Uuid::from_slice(bytes).map(PipelineId).map_err(|e| CodecError(e.to_string())),
};

/// Container id to container.
pub const CONTAINERS: TableDef<i64, ContainerInfoProto> = TableDef::new("containers", I64, proto());
/// Pipeline id to pipeline.
pub const PIPELINES: TableDef<PipelineId, Pipeline> =
    TableDef::new("pipelines", PIPELINE_ID, proto());
/// Transaction id to blocks that datanodes must delete.
pub const DELETED_BLOCKS: TableDef<i64, DeletedBlocksTransaction> =
    TableDef::new("deletedBlocks", I64, proto());
/// Name of a sequence to the last id that was given away.
pub const SEQUENCE_IDS: TableDef<String, i64> = TableDef::new("sequenceId", STRING, I64);
/// How far the log is contained in the other tables.
pub const TRANSACTION_INFO: TableDef<String, String> =
    TableDef::new("scmTransactionInfos", STRING, STRING);
/// Layout version and finalization mark.
pub const META: TableDef<String, String> = TableDef::new("meta", STRING, STRING);
/// Settings of services, by service.
pub const SERVICE_SETTINGS: TableDef<String, Vec<u8>> =
    TableDef::new("statefulServiceConfig", STRING, BYTES);

/// Every column family that the Java side expects.
pub const ALL: [&str; 10] = [
    CONTAINERS.name,
    PIPELINES.name,
    DELETED_BLOCKS.name,
    SEQUENCE_IDS.name,
    TRANSACTION_INFO.name,
    META.name,
    SERVICE_SETTINGS.name,
    "move",
    "validCerts",
    "validSCMCerts",
];

/// The only key of [`TRANSACTION_INFO`].
pub const TRANSACTION_INFO_KEY: &str = "#TRANSACTIONINFO";
/// Key in [`META`].
pub const LAYOUT_VERSION_KEY: &str = "#LAYOUTVERSION";
/// Key in [`META`].
pub const FINALIZING_KEY: &str = "#FINALIZING";
/// Key in [`SERVICE_SETTINGS`] of the totals over [`DELETED_BLOCKS`].
pub const DELETED_BLOCKS_SUMMARY_KEY: &str = "DeletedBlockLogStateManager";

/// Notes in `batch` that everything up to (`term`, `index`) is contained.
pub fn put_transaction_info(batch: &mut Batch, term: u64, index: u64) {
    TRANSACTION_INFO.put(batch, &TRANSACTION_INFO_KEY.to_owned(), &format!("{term}#{index}"));
}

/// The last (term, index) that the tables contain; `None` for a new database.
///
/// # Errors
/// The row is not of the form `term#index`, or the engine failed.
pub fn transaction_info(store: &dyn Store) -> Result<Option<(u64, u64)>, ozone_db::DbError> {
    let Some(text) = TRANSACTION_INFO.get(store, &TRANSACTION_INFO_KEY.to_owned())? else {
        return Ok(None);
    };
    let parsed = text.split_once('#').and_then(|(term, index)| {
        // Java writes -1 for "nothing applied yet".
        let (term, index) = (term.parse::<i64>().ok()?, index.parse::<i64>().ok()?);
        Some(u64::try_from(term).ok().zip(u64::try_from(index).ok()))
    });
    parsed.ok_or_else(|| ozone_db::DbError::Codec {
        table: TRANSACTION_INFO.name,
        key: TRANSACTION_INFO_KEY.to_owned(),
        source: CodecError(format!("{text:?} is not term#index")),
    })
}
