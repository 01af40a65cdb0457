//! The HTTP port of a daemon: what an operator, a browser and Prometheus ask.
//!
//! ```text
//!  listener (bounded connections, header timeout) ─► axum Router
//!     /  /conf  /jmx  /prom  /logLevel  /stacks      the same on every daemon
//!     + routes of the daemon (OM: /serviceList)
//! ```
//! Paths, parameters, headers and shapes are those of Ozone's `BaseHttpServer` and its servlets, so that
//! dashboards, `ozone daemonlog` and scripts work unchanged. Answers are made off the async runtime where
//! they read files or databases. Start reading at [`HttpServer`] and [`Daemon`].

mod conf;
mod jmx;
mod log_level;
mod page;
mod prom;
mod query;
mod redact;
mod server;
mod settings;
mod stacks;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use axum;
use axum::Router;
use ozone_config::Configuration;
use ozone_metrics::Registry;
pub use server::HttpServer;
pub use settings::{HttpKeys, HttpSettings};

/// A bean of `/jmx` that is no record of metrics, e.g. `…,name=OzoneManagerInfo,component=ServerRuntime`.
#[derive(Clone, Debug)]
pub struct Bean {
    /// Object name.
    pub name: String,
    /// Class behind it.
    pub modeler: &'static str,
    /// Attributes in order.
    pub attributes: serde_json::Map<String, serde_json::Value>,
}

/// Makes the daemon's own beans.
pub type Beans = Arc<dyn Fn() -> Vec<Bean> + Send + Sync>;

/// What the pages of a daemon show.
#[derive(Clone)]
pub struct Daemon {
    /// Name for people: `Ozone Manager`.
    pub title: &'static str,
    /// Its settings.
    pub conf: Arc<Configuration>,
    /// Its metrics.
    pub registry: Arc<Registry>,
    /// Its beans; the first one is shown on `/`.
    pub beans: Beans,
}

impl Daemon {
    /// Every common route and those of `own`.
    pub fn router(self, settings: &HttpSettings, own: Router) -> Router {
        page::routes(&self)
            .merge(conf::routes(&self))
            .merge(jmx::routes(&self))
            .merge(prom::routes(&self, settings))
            .merge(log_level::routes())
            .merge(stacks::routes())
            .merge(own)
            .fallback(page::not_found)
            .method_not_allowed_fallback(page::wrong_method)
            .layer(axum::middleware::map_response(page::common_headers))
    }
}

/// A registry that knows the process, for a daemon whose beans name `service`.
pub fn registry(service: &str, host: &str) -> Arc<Registry> {
    let registry = Registry::new(service, host);
    let process = ozone_metrics::Process::default();
    registry.register(move |records| process.collect(records));
    registry
}

/// The version that beans tell: Ozone's, with ours behind it.
pub fn version() -> String {
    format!("{OZONE_VERSION}, Ozonide {}", env!("CARGO_PKG_VERSION"))
}

/// The version of Apache Ozone that this software is compatible with.
pub const OZONE_VERSION: &str = "2.2.0";
