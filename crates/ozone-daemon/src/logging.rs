//! Structured logs.

use std::io::IsTerminal;

use ozone_config::Configuration;
use tracing_subscriber::EnvFilter;

/// Environment variable with the level (`INFO`) or a filter (`om=debug,info`).
const LEVEL_VARIABLE: &str = "OZONE_LOG";

/// Logs to standard error from here on; `default` is the level without `OZONE_LOG`. A second call
/// changes nothing.
pub fn init(default: &str) {
    let wanted = std::env::var(LEVEL_VARIABLE).ok().filter(|text| !text.is_empty());
    let filter = EnvFilter::try_new(wanted.as_deref().unwrap_or(default))
        .unwrap_or_else(|_| EnvFilter::new(default));
    let colour = std::io::stderr().is_terminal();
    // Already set up: one process may start several daemons.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colour)
        .with_writer(std::io::stderr)
        .try_init();
}

/// Says once which written keys nothing reads.
pub fn report_unknown_keys(conf: &Configuration) {
    for unknown in conf.unknown_keys() {
        tracing::warn!("{unknown}");
    }
}
