//! What a daemon counts, cheap enough for hot paths, under the names that Ozone's dashboards ask for.
//!
//! ```text
//!  hot path ─► Counter, Gauge, Rate, Timer   (relaxed atomic adds; no lock, no allocation)
//!                      │ read once per scrape
//!  component: a struct of them, and how it reads ─► Registry of the daemon ─► Records ─► /prom
//!                                                                                 └─► /jmx beans
//! ```
//! A component owns its metrics and offers a function that writes [`Records`]; a daemon registers these
//! functions in its own [`Registry`] (no globals: several daemons share a process). The record is
//! Hadoop's: a name, tags, values; from it follow the Prometheus name (`OMMetrics` and `NumKeyCommits`
//! give `om_metrics_num_key_commits`) and the JMX bean (`Hadoop:service=…,name=OMMetrics`).
//!
//! Why not an existing crate: the usual ones write OpenMetrics (`_total`, `_sum`, `_bucket`), while the
//! dashboards of Ozone ask for `_num_ops`, `_avg_time` and Dropwizard quantiles, and tools read the same
//! values as JMX beans with other spellings.

mod calls;
mod name;
mod process;
mod prometheus;
mod record;
mod value;

pub use calls::{CallGuard, CallTable};
pub use name::prometheus_name;
pub use process::{Process, ThreadStates};
pub use prometheus::text;
pub use record::{Kind, Record, Records, Registry, Sample};
pub use value::{Counter, Gauge, Rate, Summary, Timer};
