//! `StartQuotaRepair`, `GetQuotaRepairStatus` (`QuotaRepairTask`): counts a copy of the database and
//! corrects the accounts of buckets.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use chrono::Utc;
use om_core::command::server::quota_repair;
use om_core::{Namespace, OmError, Rules, TableCache, tables};
use om_proto::{OmRequest, QuotaRepairRequest, Status, Type};
use ozone_db::Store;
use ozone_db_rocks::{RocksSettings, RocksStore};
use parking_lot::Mutex;
use serde_json::json;

use crate::server::Service;

/// The copy that is counted, beside the database.
const COPY: &str = "temp-repair-quota";
/// As `java.util.Date` is written.
const DATE: &str = "%a %b %d %H:%M:%S UTC %Y";

/// How the last run went.
#[derive(Default)]
pub(crate) struct Repair(Mutex<State>);

#[derive(Default)]
struct State {
    is_running: bool,
    runs: u64,
    began: String,
    ended: String,
    error: String,
    differences: BTreeMap<String, (i64, i64)>,
}

impl Repair {
    /// As JSON.
    pub(crate) fn status(&self) -> String {
        let state = self.0.lock();
        if state.runs == 0 {
            return "{}".to_owned();
        }
        let differences: serde_json::Map<String, serde_json::Value> = state
            .differences
            .iter()
            .map(|(bucket, (bytes, names))| {
                (bucket.clone(), json!({"DiffUsedBytes": bytes, "DiffUsedNamespace": names}))
            })
            .collect();
        json!({
            "taskId": state.runs,
            "lastRunStartTime": state.began,
            "lastRunFinishedTime": state.ended,
            "errorMsg": state.error,
            "bucketCountDiffMap": differences,
        })
        .to_string()
    }
}

impl Service {
    /// Starts a run in the background, over `buckets` or all.
    ///
    /// # Errors
    /// One is running.
    pub(crate) fn start_quota_repair(
        self: &Arc<Self>,
        buckets: Vec<String>,
    ) -> Result<(), OmError> {
        {
            let mut state = self.repair.0.lock();
            if state.is_running {
                let message = "Quota repair is already running";
                return Err(OmError::new(Status::QuotaError, message));
            }
            *state = State {
                is_running: true,
                runs: state.runs + 1,
                began: Utc::now().format(DATE).to_string(),
                ..State::default()
            };
        }
        let service = self.clone();
        tokio::spawn(async move {
            let outcome = service.repair_quota(buckets).await;
            let mut state = service.repair.0.lock();
            state.is_running = false;
            state.ended = Utc::now().format(DATE).to_string();
            match outcome {
                Ok(plan) => {
                    tracing::info!(
                        buckets = plan.bucket_count.len(),
                        "quota accounts are repaired"
                    );
                    let rows = plan.bucket_count.into_iter().map(|count| {
                        let bucket = format!("/{}/{}", count.vol_name, count.bucket_name);
                        (bucket, (count.diff_used_bytes, count.diff_used_namespace))
                    });
                    state.differences = rows.collect();
                }
                Err(error) => {
                    tracing::error!(%error, "quota accounts cannot be repaired");
                    state.error = error.to_string();
                }
            }
        });
        Ok(())
    }

    async fn repair_quota(&self, buckets: Vec<String>) -> anyhow::Result<QuotaRepairRequest> {
        let (buffer, store) = (self.buffer.clone(), self.cache.store().clone());
        let rules = self.settings.rules.clone();
        let copy = self.settings.directory.join(COPY);
        let counted = tokio::task::spawn_blocking(move || {
            // What was answered before the call is counted, also if it has not reached the database.
            buffer.flush_all()?;
            count(&store, &rules, &copy, &buckets)
        });
        let plan = counted.await??;
        self.must_write(OmRequest {
            cmd_type: Type::QuotaRepair.into(),
            quota_repair_request: Some(Box::new(plan.clone())),
            ..OmRequest::default()
        })
        .await?;
        Ok(plan)
    }
}

/// Counts a copy of the database, which does not change meanwhile.
fn count(
    store: &Arc<dyn Store>,
    rules: &Rules,
    copy: &Path,
    buckets: &[String],
) -> anyhow::Result<QuotaRepairRequest> {
    let remove = || match std::fs::remove_dir_all(copy) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    remove()?;
    store.checkpoint(copy)?;
    let frozen = RocksStore::open(copy, &tables::ALL, &RocksSettings::default())?;
    let cache = TableCache::new(Arc::new(frozen));
    let plan = quota_repair::plan(&Namespace::new(&cache, rules), buckets);
    drop(cache);
    remove()?;
    Ok(plan?)
}
