//! Who did what: one line per operation, in the form of Ozone's audit logs, so that
//! `ozone debug auditparser` and log collectors read them.
//!
//! ```text
//!  operation ─► bounded queue ─► one thread ─► <dir>/om-audit-<host>.log
//! ```
//! The operation never waits: when the disk is behind and the queue full, a line is dropped and counted.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Local};
use ozone_config::{ConfigError, Configuration};
use ozone_metrics::{Counter, Records};

/// The directory of the audit logs; none are written when it is not set.
pub const DIRECTORY_KEY: &str = "ozonide.audit.dir";
/// Lines that wait for the disk; further ones are dropped.
const QUEUE_LINES_MAX: usize = 16_384;
/// How long lines stay in the buffer when no further ones come.
const FLUSH_INTERVAL: Duration = Duration::from_millis(200);

/// One operation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Who; empty where nobody is known.
    pub user: Arc<str>,
    /// From where.
    pub ip: String,
    /// `CREATE_KEY`.
    pub operation: String,
    /// `volume=vol, bucket=b, key=k`.
    pub parameters: String,
    /// Why it failed.
    pub failure: Option<String>,
}

/// An open audit log.
pub struct AuditLog {
    logger: &'static str,
    queue: SyncSender<(SystemTime, Entry)>,
    dropped: Counter,
    written: Counter,
}

impl AuditLog {
    /// Opens `<ozonide.audit.dir>/<kind>-audit-<host>.log`; `None` when the setting is absent. `logger`
    /// is the name in the lines, e.g. `OMAudit`.
    ///
    /// # Errors
    /// The file or the thread cannot be made.
    pub fn open(
        conf: &Configuration,
        kind: &str,
        logger: &'static str,
        host: &str,
    ) -> anyhow::Result<Option<Arc<Self>>> {
        let directory: Result<Option<String>, ConfigError> = conf.get(DIRECTORY_KEY);
        let Some(directory) = directory?.map(PathBuf::from) else { return Ok(None) };
        std::fs::create_dir_all(&directory)?;
        let path = directory.join(format!("{kind}-audit-{host}.log"));
        Self::start(&path, logger).map(Some)
    }

    fn start(path: &Path, logger: &'static str) -> anyhow::Result<Arc<Self>> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let (queue, lines) = sync_channel(QUEUE_LINES_MAX);
        let shown = path.display().to_string();
        thread::Builder::new().name("audit".to_owned()).spawn(move || {
            if let Err(error) = write(&lines, BufWriter::new(file), logger) {
                tracing::error!(path = shown, %error, "the audit log cannot be written; it ends here");
            }
        })?;
        let (dropped, written) = (Counter::default(), Counter::default());
        Ok(Arc::new(Self { logger, queue, dropped, written }))
    }

    /// Notes an operation. Never waits.
    pub fn note(&self, entry: Entry) {
        match self.queue.try_send((SystemTime::now(), entry)) {
            Ok(()) => self.written.inc(),
            Err(_) => self.dropped.inc(),
        }
    }

    /// `audit_log_metrics_*`: lines written and dropped.
    pub fn collect(&self, records: &mut Records) {
        let mut record = records.record("AuditLogMetrics");
        record.tag("logger", self.logger);
        record.counter("Lines", self.written.get()).counter("Dropped", self.dropped.get());
    }
}

/// The operation of a kind of request, as most audit logs of Ozone name it: `CreateVolume` →
/// `CREATE_VOLUME`.
pub fn operation(kind: &str) -> String {
    let mut operation = String::with_capacity(kind.len() + 4);
    for letter in kind.chars() {
        if letter.is_ascii_uppercase() && !operation.is_empty() {
            operation.push('_');
        }
        operation.push(letter.to_ascii_uppercase());
    }
    operation
}

/// Writes until the log is closed. What is buffered goes out when no more comes for a while.
fn write(
    lines: &Receiver<(SystemTime, Entry)>,
    mut file: BufWriter<File>,
    logger: &str,
) -> std::io::Result<()> {
    let mut buffered = false;
    loop {
        let next = if buffered {
            lines.recv_timeout(FLUSH_INTERVAL)
        } else {
            lines.recv().map_err(|_| RecvTimeoutError::Disconnected)
        };
        match next {
            Ok((time, entry)) => {
                file.write_all(line(time, &entry, logger).as_bytes())?;
                buffered = true;
            }
            Err(RecvTimeoutError::Timeout) => {
                buffered = false;
                file.flush()?;
            }
            Err(RecvTimeoutError::Disconnected) => return file.flush(),
        }
    }
}

/// The form of Ozone's `log4j2` settings and of `AuditMessage`.
fn line(time: SystemTime, entry: &Entry, logger: &str) -> String {
    let Entry { user, ip, operation, parameters, failure } = entry;
    let time = DateTime::<Local>::from(time).format("%Y-%m-%d %H:%M:%S,%3f");
    let (level, verdict) =
        if failure.is_none() { ("INFO ", "SUCCESS") } else { ("ERROR", "FAILURE") };
    let user = if user.is_empty() { "null" } else { user };
    let cause = failure.as_deref().map(one_line).unwrap_or_default();
    let parameters = one_line(parameters);
    format!(
        "{time} | {level} | {logger} | user={user} | ip={ip} | op={operation} {{{parameters}}} | \
         ret={verdict} | {cause}\n"
    )
}

/// What clients choose must not look like another line or another field.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(parameters: &str, failure: Option<&str>) -> Entry {
        Entry {
            user: "root".into(),
            ip: "127.0.0.1".to_owned(),
            operation: "CREATE_VOLUME".to_owned(),
            parameters: parameters.to_owned(),
            failure: failure.map(str::to_owned),
        }
    }

    #[test]
    fn lines_are_ozones_and_keep_to_themselves() {
        let now = SystemTime::now();
        let line = |entry: &Entry| {
            let line = line(now, entry, "OMAudit");
            line.split_once(" | ").unwrap().1.to_owned()
        };
        assert_eq!(
            line(&entry("volume=vol", None)),
            "INFO  | OMAudit | user=root | ip=127.0.0.1 | op=CREATE_VOLUME {volume=vol} | ret=SUCCESS | \n"
        );
        assert_eq!(
            line(&entry("key=a\nb | ret=SUCCESS", Some("KEY_NOT_FOUND no"))),
            "ERROR | OMAudit | user=root | ip=127.0.0.1 | op=CREATE_VOLUME {key=a b \\| ret=SUCCESS} | \
             ret=FAILURE | KEY_NOT_FOUND no\n"
        );
    }

    #[test]
    fn what_was_noted_is_in_the_file_once_the_log_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("om-audit-h.log");
        let log = AuditLog::start(&path, "OMAudit").unwrap();
        for n in 0..100 {
            log.note(entry(&format!("volume=v{n}"), None));
        }
        assert_eq!((log.written.get(), log.dropped.get()), (100, 0));
        drop(log);
        // The thread ends by itself; the file is whole when all lines are there.
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        while std::fs::read_to_string(&path).unwrap().lines().count() < 100 {
            assert!(std::time::Instant::now() < deadline, "lines are missing");
            thread::yield_now();
        }
        assert!(std::fs::read_to_string(&path).unwrap().contains("{volume=v99}"));
    }
}
