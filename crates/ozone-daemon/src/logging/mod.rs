//! Structured logs, one line per event on standard error, as text or JSON; levels can change at run time.
//!
//! The log is of the process, not of a daemon: of several daemons in one process, all change.

pub mod loggers;

use std::io::IsTerminal;
use std::str::FromStr;
use std::sync::OnceLock;

use ozone_config::Configuration;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

/// Environment variables with the level (`INFO`) or levels by target (`om=debug,info`); the first that
/// is set counts.
const LEVEL_VARIABLES: [&str; 2] = ["OZONE_LOG", "RUST_LOG"];
/// Environment variable with the format: `text` or `json`.
const FORMAT_VARIABLE: &str = "OZONE_LOG_FORMAT";

static LEVELS: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();

/// How the log begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Options<'a> {
    /// Level of the command line; wins over the environment.
    pub level: Option<&'a str>,
    /// Level when nobody names one.
    pub default: &'a str,
    /// JSON instead of text; else by `OZONE_LOG_FORMAT`.
    pub json: bool,
}

/// Logs to standard error from here on; `default` is the level without `OZONE_LOG` and `RUST_LOG`. A
/// second call changes nothing.
pub fn init(default: &str) {
    init_with(Options { default, ..Options::default() });
}

/// As [`init`]. What is no level is told, and the default used.
pub fn init_with(options: Options<'_>) {
    let variable = |name: &&str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let wanted =
        options.level.map(str::to_owned).or_else(|| LEVEL_VARIABLES.iter().find_map(variable));
    let parsed = wanted.as_deref().map(parse);
    let default = || {
        parse(options.default).unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO))
    };
    let targets = match &parsed {
        Some(Ok(targets)) => targets.clone(),
        Some(Err(_)) | None => default(),
    };
    let json = options.json || std::env::var(FORMAT_VARIABLE).is_ok_and(|text| text == "json");
    let (filter, handle) = reload::Layer::new(targets);
    let lines: Box<dyn Layer<_> + Send + Sync> = if json {
        Box::new(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr))
    } else {
        let colour = std::io::stderr().is_terminal();
        Box::new(fmt::layer().with_ansi(colour).with_writer(std::io::stderr))
    };
    // Already set up: one process may start several daemons.
    if tracing_subscriber::registry().with(filter).with(lines).try_init().is_ok() {
        let _ = LEVELS.set(handle);
    }
    if let Some(Err(error)) = parsed {
        let text = wanted.unwrap_or_default();
        tracing::warn!(text, error, "not a log level; use e.g. INFO, or om=debug,info");
    }
}

fn parse(text: &str) -> Result<Targets, String> {
    if let Some(level) = loggers::level(text) {
        return Ok(Targets::new().with_default(level));
    }
    Targets::from_str(text).map_err(|error| error.to_string())
}

/// Changes the level of these targets (none: of everything that has no level of its own) at once.
///
/// # Errors
/// The log was not set up by [`init`].
pub fn set_levels(targets: &[&str], level: LevelFilter) -> Result<(), String> {
    let handle = LEVELS.get().ok_or("this process does not log through ozone-daemon")?;
    let change = |all: &mut Targets| {
        let default = if targets.is_empty() { Some(level) } else { all.default_level() };
        let kept = all.iter().filter(|(target, _)| !targets.contains(target));
        let kept: Vec<_> = kept.map(|(target, level)| (target.to_owned(), level)).collect();
        let new = targets.iter().map(|target| ((*target).to_owned(), level));
        let mut next: Targets = kept.into_iter().chain(new).collect();
        if let Some(default) = default {
            next = next.with_default(default);
        }
        *all = next;
    };
    handle.modify(change).map_err(|error| error.to_string())
}

/// The most verbose level among these targets (none: the level of what has none of its own).
pub fn level_of(targets: &[&str]) -> LevelFilter {
    let Some(handle) = LEVELS.get() else { return LevelFilter::OFF };
    let level = |all: &Targets| {
        let default = all.default_level().unwrap_or(LevelFilter::OFF);
        let of = |target: &str| {
            let own = all.iter().filter(|(name, _)| within(target, name));
            own.max_by_key(|(name, _)| name.len()).map_or(default, |(_, level)| level)
        };
        targets.iter().map(|target| of(target)).max().unwrap_or(default)
    };
    handle.with_current(level).unwrap_or(LevelFilter::OFF)
}

/// Whether `target` is `name` or a module in it.
fn within(target: &str, name: &str) -> bool {
    target.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Says once which written keys nothing reads.
pub fn report_unknown_keys(conf: &Configuration) {
    for unknown in conf.unknown_keys() {
        tracing::warn!("{unknown}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_change_at_run_time_and_only_where_asked() {
        init_with(Options { level: Some("om=debug,info"), ..Options::default() });
        assert_eq!(level_of(&["om"]), LevelFilter::DEBUG);
        assert_eq!(level_of(&["om::rpc"]), LevelFilter::DEBUG);
        assert_eq!(level_of(&["om_core"]), LevelFilter::INFO);
        set_levels(&["scm", "om::rpc"], LevelFilter::TRACE).unwrap();
        assert_eq!(level_of(&["scm", "om"]), LevelFilter::TRACE);
        assert_eq!(level_of(&["om"]), LevelFilter::DEBUG);
        set_levels(&[], LevelFilter::ERROR).unwrap();
        assert_eq!(
            (level_of(&["om_core"]), level_of(&[])),
            (LevelFilter::ERROR, LevelFilter::ERROR)
        );
        assert_eq!(level_of(&["om"]), LevelFilter::DEBUG);
        assert!(tracing::enabled!(target: "scm", tracing::Level::TRACE));
        assert!(!tracing::enabled!(target: "datanode", tracing::Level::WARN));
    }
}
