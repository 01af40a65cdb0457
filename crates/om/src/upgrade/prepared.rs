//! Whether this Ozone Manager is prepared for a change of version (`OzoneManagerPrepareState`).
//!
//! ```text
//!             Prepare proposed           Prepare applied, all of it flushed
//!   Open ───────────────────► Closing ───────────────────────────────► Prepared
//!    ▲                           │ it could not be                        │
//!    └───────────────────────────┴───────────── CancelPrepare, --upgrade ─┘
//! ```
//! Behind the gate nothing enters the log but another `Prepare`, or `CancelPrepare`. A prepared state
//! survives a restart by two witnesses: the file `prepareMarker`, and a row of `om.db`.

use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::{Context, bail};
use om_core::command::server::prepare;
use om_core::{Applied, OmError, tables};
use om_proto::prepare_status_response::PrepareStatus;
use om_proto::{PrepareStatusResponse, Type};
use ozone_config::Configuration;
use ozone_daemon::durable;
use ozone_db::{Batch, Durability, Store};
use parking_lot::RwLock;

use crate::settings::Settings;

/// The marker's place under `ozone.metadata.dirs` (`OzoneConsts.PREPARE_MARKER`); it holds the index in
/// decimal digits.
const MARKER: &str = "current/prepareMarker";
/// What Java writes where nothing is prepared: -1.
const NO_INDEX: u64 = u64::MAX;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Open,
    Closing,
    Prepared { index: u64 },
}

/// Removes what makes the next start a prepared one: `ozone om --upgrade`.
///
/// # Errors
/// The configuration names no directory, or the marker cannot be removed.
pub fn cancel_prepare(conf: &Configuration) -> anyhow::Result<()> {
    forget(&Settings::read(conf)?.metadata_directory)
}

fn forget(metadata: &Path) -> anyhow::Result<()> {
    let marker = metadata.join(MARKER);
    durable::remove(&marker).with_context(|| format!("removing {}", marker.display()))
}

/// The gate for writes, and the marker file.
#[derive(Debug)]
pub(crate) struct Prepared {
    marker: PathBuf,
    /// Held while a write takes its place in the log, so that none of them comes behind a `Prepare`
    /// that was let in later.
    state: RwLock<State>,
}

impl Prepared {
    /// The state at the start, from what the last run left in `metadata` and `om.db`
    /// (`OzoneManager.instantiatePrepareStateOnStartup`).
    ///
    /// # Errors
    /// The witnesses contradict each other, or cannot be read.
    pub fn restore(metadata: &Path, store: &dyn Store) -> anyhow::Result<Self> {
        let marker = metadata.join(MARKER);
        let of_file = read_marker(&marker)?;
        let place = |key| -> anyhow::Result<Option<Applied>> {
            let Some(row) = store.get(tables::TRANSACTION_INFO, key)? else { return Ok(None) };
            let place = Applied::from_row(&row);
            place.map(Some).context("a row of transactionInfoTable is not <term>#<index>")
        };
        let of_database = place(tables::PREPARED_KEY)?.map(|at| at.index);
        let state = match (of_file, of_database, place(tables::TRANSACTION_INFO_KEY)?) {
            // Nothing was ever written: there was nothing to prepare.
            (_, _, None) | (None, None, _) => State::Open,
            (Some(file), _, Some(now)) if file > now.index => bail!(
                "{} says that index {file} was prepared, but om.db stands at {}; bring the om.db \
                 that belongs to it, or start with --upgrade",
                marker.display(),
                now.index
            ),
            (Some(_), None, _) => bail!(
                "{} was found, but om.db was never prepared; remove it, or start with --upgrade",
                marker.display()
            ),
            (Some(file), Some(index), _) => {
                if file != index {
                    tracing::warn!(file, index, "the prepare marker is corrected after om.db");
                    write_marker(&marker, index)?;
                }
                State::Prepared { index }
            }
            (None, Some(index), _) => {
                tracing::info!(index, "the marker of the prepared state is gone: it was cancelled");
                let mut batch = Batch::default();
                batch.delete(tables::TRANSACTION_INFO, tables::PREPARED_KEY);
                store.write(batch, Durability::Synced)?;
                State::Open
            }
        };
        if let State::Prepared { index } = state {
            tracing::info!(
                index,
                "prepared for a change of version: no writes until it is cancelled"
            );
        }
        Ok(Self { marker, state: RwLock::new(state) })
    }

    /// Refuses what may not enter the log now.
    ///
    /// # Errors
    /// NOT_SUPPORTED_OPERATION_WHEN_PREPARED.
    pub fn check(&self, kind: Type) -> Result<(), OmError> {
        check(*self.state.read(), kind)
    }

    /// Lets a write into the log by `enter`, which must not block. A `Prepare` closes the gate behind
    /// itself.
    ///
    /// # Errors
    /// As [`Self::check`]; nothing was entered.
    pub fn pass<T>(&self, kind: Type, enter: impl FnOnce() -> T) -> Result<T, OmError> {
        if kind == Type::Prepare {
            let mut state = self.state.write();
            *state = State::Closing;
            return Ok(enter());
        }
        let state = self.state.read();
        check(*state, kind)?;
        Ok(enter())
    }

    /// Everything up to `index`, a `Prepare`, is in the database.
    ///
    /// # Errors
    /// The marker cannot be written.
    pub fn finish(&self, index: u64) -> io::Result<()> {
        write_marker(&self.marker, index)?;
        *self.state.write() = State::Prepared { index };
        tracing::info!(index, "prepared for a change of version");
        Ok(())
    }

    /// Opens the gate.
    ///
    /// # Errors
    /// The marker cannot be removed; the gate is open all the same.
    pub fn cancel(&self) -> io::Result<()> {
        let removed = durable::remove(&self.marker);
        *self.state.write() = State::Open;
        tracing::info!("not prepared for a change of version any more");
        removed
    }

    /// Opens the gate after a `Prepare` that did not enter the log.
    pub fn reopen(&self) {
        let mut state = self.state.write();
        if *state == State::Closing {
            *state = State::Open;
        }
    }

    /// As clients are told.
    pub fn status(&self) -> PrepareStatusResponse {
        let (status, index) = match *self.state.read() {
            State::Open => (PrepareStatus::NotPrepared, NO_INDEX),
            State::Closing => (PrepareStatus::PrepareGateEnabled, NO_INDEX),
            State::Prepared { index } => (PrepareStatus::PrepareCompleted, index),
        };
        PrepareStatusResponse { status: status.into(), current_txn_index: Some(index) }
    }
}

fn check(state: State, kind: Type) -> Result<(), OmError> {
    if state == State::Open || prepare::passes_when_prepared(kind) {
        return Ok(());
    }
    Err(prepare::refusal_when_prepared(kind))
}

fn read_marker(path: &Path) -> anyhow::Result<Option<u64>> {
    match fs::read_to_string(path) {
        Ok(text) => text.parse().map(Some).with_context(|| {
            format!("{} holds no index; remove it, or start with --upgrade", path.display())
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}

fn write_marker(path: &Path, index: u64) -> io::Result<()> {
    durable::replace(path, index.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use om_proto::Status;
    use ozone_db::MemoryStore;

    use super::*;

    /// A database that stands at `applied`, and was prepared at `prepared`.
    fn database(applied: Option<u64>, prepared: Option<u64>) -> MemoryStore {
        let store = MemoryStore::default();
        let mut batch = Batch::default();
        let rows = [
            (tables::TRANSACTION_INFO_KEY, applied.map(|index| format!("3#{index}"))),
            (tables::PREPARED_KEY, prepared.map(|index| format!("0#{index}"))),
        ];
        for (key, value) in rows {
            if let Some(value) = value {
                batch.put(tables::TRANSACTION_INFO, key, value);
            }
        }
        store.write(batch, Durability::Synced).unwrap();
        store
    }

    fn with_marker(text: &str) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("current")).unwrap();
        fs::write(directory.path().join(MARKER), text).unwrap();
        directory
    }

    #[test]
    fn behind_the_gate_only_the_two_requests_about_it_enter_the_log() {
        let directory = tempfile::tempdir().unwrap();
        let prepared = Prepared::restore(directory.path(), &database(None, None)).unwrap();
        assert_eq!(prepared.pass(Type::CreateKey, || 1).unwrap(), 1);
        assert_eq!(prepared.status().status(), PrepareStatus::NotPrepared);
        prepared.pass(Type::Prepare, || ()).unwrap();
        let refusal = prepared.pass(Type::CreateKey, || panic!("it entered the log")).unwrap_err();
        assert_eq!(refusal.status, Status::NotSupportedOperationWhenPrepared);
        assert_eq!(
            refusal.message.as_deref(),
            Some("Cannot apply write request CreateKey when OM is in prepare mode.")
        );
        assert_eq!(prepared.status().status(), PrepareStatus::PrepareGateEnabled);
        prepared.finish(7).unwrap();
        prepared.reopen();
        assert_eq!(fs::read_to_string(directory.path().join(MARKER)).unwrap(), "7");
        assert_eq!(prepared.status().status(), PrepareStatus::PrepareCompleted);
        assert_eq!(prepared.status().current_txn_index, Some(7));
        prepared.pass(Type::CancelPrepare, || ()).unwrap();
        prepared.cancel().unwrap();
        prepared.cancel().unwrap();
        prepared.check(Type::CreateKey).unwrap();
        assert!(!directory.path().join(MARKER).exists());
    }

    #[test]
    fn a_prepare_that_did_not_enter_the_log_leaves_the_gate_open() {
        let directory = tempfile::tempdir().unwrap();
        let prepared = Prepared::restore(directory.path(), &database(None, None)).unwrap();
        prepared.pass(Type::Prepare, || ()).unwrap();
        prepared.reopen();
        prepared.check(Type::DeleteKey).unwrap();
    }

    #[test]
    fn a_prepared_state_survives_a_restart_and_the_database_is_right_about_its_index() {
        for text in ["7", "5"] {
            let directory = with_marker(text);
            let store = database(Some(9), Some(7));
            let prepared = Prepared::restore(directory.path(), &store).unwrap();
            assert_eq!(prepared.status().current_txn_index, Some(7));
            assert!(prepared.check(Type::CreateVolume).is_err());
            assert_eq!(fs::read_to_string(directory.path().join(MARKER)).unwrap(), "7");
        }
    }

    #[test]
    fn without_its_marker_a_prepared_state_is_cancelled_in_the_database_too() {
        let directory = with_marker("7");
        let store = database(Some(9), Some(7));
        forget(directory.path()).unwrap();
        let prepared = Prepared::restore(directory.path(), &store).unwrap();
        prepared.check(Type::CreateVolume).unwrap();
        assert_eq!(store.get(tables::TRANSACTION_INFO, tables::PREPARED_KEY).unwrap(), None);
    }

    #[test]
    fn witnesses_that_contradict_each_other_end_the_start() {
        let refused = |text: &str, store: MemoryStore| {
            let directory = with_marker(text);
            Prepared::restore(directory.path(), &store).unwrap_err().to_string()
        };
        assert!(refused("7", database(Some(9), None)).contains("never prepared"));
        assert!(refused("10", database(Some(9), Some(7))).contains("om.db stands at 9"));
        assert!(refused("seven", database(Some(9), Some(7))).contains("holds no index"));
        // As in Java, nobody asks for a marker before anything was written.
        let directory = with_marker("7");
        let fresh = Prepared::restore(directory.path(), &database(None, None)).unwrap();
        fresh.check(Type::CreateVolume).unwrap();
    }
}
