//! Records of values, and the registry that collects them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::name::prometheus_name;
use crate::value::{Rate, Summary, Timer};

/// What Prometheus calls the type of a metric.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Quantiles, and a count.
    Summary,
}

/// One value.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Name of the metric in Prometheus, of which `suffix` is a part only for summaries.
    pub name: String,
    /// `_count` of a summary.
    pub suffix: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Labels in order, values not escaped.
    pub labels: Vec<(String, String)>,
    /// Name of the attribute in the bean.
    pub attribute: String,
    /// The value.
    pub value: f64,
    /// Index in [`Records::beans`].
    bean: usize,
}

/// A group of values that `/jmx` shows as one bean.
#[derive(Clone, Debug)]
pub struct BeanName {
    /// Its whole object name, e.g. `Hadoop:service=OzoneManager,name=OMMetrics`.
    pub name: String,
    /// `modelerType`.
    pub modeler: String,
    /// Tags, shown as `tag.Context` and the like.
    pub tags: Vec<(String, String)>,
}

/// Everything that one scrape found.
#[derive(Debug, Default)]
pub struct Records {
    service: String,
    host: String,
    samples: Vec<Sample>,
    beans: Vec<BeanName>,
}

impl Records {
    /// Nothing yet. `service` is that of the beans, e.g. `OzoneManager`.
    pub fn new(service: &str, host: &str) -> Self {
        Self { service: service.to_owned(), host: host.to_owned(), ..Self::default() }
    }

    /// A record of Hadoop's metrics: names are spelt as [`prometheus_name`] does, the bean is
    /// `Hadoop:service=…,name=<name>`.
    pub fn record(&mut self, name: &str) -> Record<'_> {
        self.record_as(name, name)
    }

    /// As [`Self::record`], with another name of the bean.
    pub fn record_as(&mut self, name: &str, bean: &str) -> Record<'_> {
        let bean = BeanName {
            name: format!("Hadoop:service={},name={bean}", self.service),
            modeler: bean.to_owned(),
            tags: Vec::new(),
        };
        self.open(name.to_owned(), Spelling::Hadoop, bean)
    }

    /// A record whose names are `<prefix>_<metric>` as written (Ratis, the process).
    pub fn plain(&mut self, prefix: &str, bean: String) -> Record<'_> {
        let modeler = prefix.to_owned();
        let bean = BeanName { name: bean, modeler, tags: Vec::new() };
        self.open(prefix.to_owned(), Spelling::Plain, bean)
    }

    fn open(&mut self, name: String, spelling: Spelling, bean: BeanName) -> Record<'_> {
        self.beans.push(bean);
        Record { name, spelling, labels: Vec::new(), records: self }
    }

    /// The values, in the order of their names, all of a metric together.
    pub fn sorted(mut self) -> Vec<Sample> {
        self.samples.sort_by(|a, b| a.name.cmp(&b.name));
        self.samples
    }

    /// Each bean with its values.
    pub fn beans(&self) -> impl Iterator<Item = (&BeanName, impl Iterator<Item = &Sample>)> {
        self.beans.iter().enumerate().map(|(index, bean)| {
            (bean, self.samples.iter().filter(move |sample| sample.bean == index))
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Spelling {
    Hadoop,
    Plain,
}

/// One record being written.
pub struct Record<'a> {
    name: String,
    spelling: Spelling,
    labels: Vec<(String, String)>,
    records: &'a mut Records,
}

impl Record<'_> {
    /// A label of all values that follow; in the bean it is `tag.<Key>`.
    pub fn tag(&mut self, key: &str, value: impl fmt::Display) -> &mut Self {
        let value = value.to_string();
        if let Some(bean) = self.records.beans.last_mut() {
            let mut shown = String::from("tag.");
            shown.extend(key.chars().take(1).map(|c| c.to_ascii_uppercase()));
            shown.extend(key.chars().skip(1));
            bean.tags.push((shown, value.clone()));
        }
        self.labels.push((key.to_ascii_lowercase(), value));
        self
    }

    /// `context`, as most records of Ozone have it.
    pub fn context(&mut self, value: &str) -> &mut Self {
        self.tag("context", value)
    }

    /// A value that only grows.
    pub fn counter(&mut self, name: &str, value: u64) -> &mut Self {
        self.push(name, Kind::Counter, "", value as f64, &[])
    }

    /// A value that goes up and down.
    pub fn gauge(&mut self, name: &str, value: impl Number) -> &mut Self {
        self.push(name, Kind::Gauge, "", value.number(), &[])
    }

    /// A value of one kind among several, e.g. `counter{type="CreateKey"}`.
    pub fn labelled(
        &mut self,
        name: &str,
        kind: Kind,
        label: (&str, &str),
        value: f64,
    ) -> &mut Self {
        self.push(name, kind, "", value, &[label])
    }

    /// `<name>NumOps` and `<name>AvgTime` in milliseconds.
    pub fn rate_ms(&mut self, name: &str, rate: &Rate) -> &mut Self {
        self.rate(name, rate.count(), rate.average() / 1e6)
    }

    /// `<name>NumOps` and `<name>AvgTime` in nanoseconds.
    pub fn rate_ns(&mut self, name: &str, rate: &Rate) -> &mut Self {
        self.rate(name, rate.count(), rate.average())
    }

    /// `<name>NumOps` and `<name>Avg<what>` of sizes.
    pub fn sizes(&mut self, name: &str, what: &str, rate: &Rate) -> &mut Self {
        self.counter(&format!("{name}NumOps"), rate.count());
        self.gauge(&format!("{name}Avg{what}"), rate.average())
    }

    fn rate(&mut self, name: &str, count: u64, average: f64) -> &mut Self {
        self.counter(&format!("{name}NumOps"), count);
        self.gauge(&format!("{name}AvgTime"), average)
    }

    /// `<name>NumOps`, `<name>AvgTime` in milliseconds, as a rate.
    pub fn timer_ms(&mut self, name: &str, timer: &Timer) -> &mut Self {
        let summary = timer.summary();
        self.rate(name, summary.count, summary.average.as_secs_f64() * 1e3)
    }

    /// Quantiles in seconds and a count, as Dropwizard timers are shown.
    pub fn summary(&mut self, name: &str, timer: &Timer) -> &mut Self {
        let Summary { count, quantiles, .. } = timer.summary();
        for (q, value) in Summary::QUANTILES.iter().zip(quantiles) {
            let label = q.to_string();
            self.push(name, Kind::Summary, "", value.as_secs_f64(), &[("quantile", &label)]);
        }
        self.push(name, Kind::Summary, "_count", count as f64, &[])
    }

    fn push(
        &mut self,
        name: &str,
        kind: Kind,
        suffix: &'static str,
        value: f64,
        extra: &[(&str, &str)],
    ) -> &mut Self {
        let mut attribute = name.to_owned();
        for (_, value) in extra {
            attribute.push('.');
            attribute.push_str(value);
        }
        attribute.push_str(suffix);
        let mut labels: Vec<_> =
            extra.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        labels.extend(self.labels.iter().cloned());
        let name = match self.spelling {
            Spelling::Hadoop => {
                labels.push(("hostname".to_owned(), self.records.host.clone()));
                prometheus_name(&self.name, name)
            }
            Spelling::Plain => format!("{}_{name}", self.name),
        };
        let bean = self.records.beans.len().saturating_sub(1);
        self.records.samples.push(Sample { name, suffix, kind, labels, attribute, value, bean });
        self
    }
}

/// What a gauge may be.
pub trait Number {
    /// As Prometheus has it.
    fn number(self) -> f64;
}

macro_rules! numbers {
    ($($kind:ty),*) => {
        $(impl Number for $kind {
            fn number(self) -> f64 {
                self as f64
            }
        })*
    };
}
numbers!(u8, u16, u32, u64, usize, i32, i64, f64);

impl Number for bool {
    fn number(self) -> f64 {
        f64::from(u8::from(self))
    }
}

impl Number for Duration {
    fn number(self) -> f64 {
        self.as_secs_f64()
    }
}

type Source = Box<dyn Fn(&mut Records) + Send + Sync>;

/// What one daemon can tell.
pub struct Registry {
    service: String,
    host: String,
    sources: Mutex<Vec<Arc<Source>>>,
}

impl Registry {
    /// `service` is the one that the beans name, e.g. `OzoneManager`; `host` becomes a label.
    pub fn new(service: &str, host: &str) -> Arc<Self> {
        let sources = Mutex::default();
        Arc::new(Self { service: service.to_owned(), host: host.to_owned(), sources })
    }

    /// The service that the beans name.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Asks `source` at each scrape from now on.
    pub fn register(&self, source: impl Fn(&mut Records) + Send + Sync + 'static) {
        self.sources.lock().push(Arc::new(Box::new(source)));
    }

    /// Asks all. May read files and properties of databases: not on the async runtime.
    pub fn collect(&self) -> Records {
        // A source may take its time; registering does not wait for it.
        let sources = self.sources.lock().clone();
        let mut records = Records::new(&self.service, &self.host);
        for source in sources {
            source(&mut records);
        }
        records
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_a_bean_and_prometheus_names() {
        let registry = Registry::new("OzoneManager", "h");
        registry.register(|records| {
            records.record("OMMetrics").context("dfs").counter("NumKeys", 3);
            let mut calls = records.record("OmClientProtocol");
            calls.labelled("counter", Kind::Counter, ("type", "CreateKey"), 7.0);
        });
        let records = registry.collect();
        let (bean, _) = records.beans().next().unwrap();
        assert_eq!(bean.name, "Hadoop:service=OzoneManager,name=OMMetrics");
        assert_eq!(bean.tags, [("tag.Context".to_owned(), "dfs".to_owned())]);
        let text = crate::text(records);
        assert!(text.contains("# TYPE om_metrics_num_keys counter\n"), "{text}");
        assert!(text.contains("om_metrics_num_keys{context=\"dfs\",hostname=\"h\"} 3\n"), "{text}");
        assert!(text.contains("om_client_protocol_counter{type=\"CreateKey\",hostname=\"h\"} 7\n"));
    }

    #[test]
    fn a_timer_is_a_summary_in_seconds() {
        let timer = Timer::default();
        timer.took(Duration::from_millis(8));
        let mut records = Records::new("s", "h");
        let bean = "ratis:name=x".to_owned();
        records.plain("ratis_log_worker", bean).tag("group", "g").summary("syncTime", &timer);
        let text = crate::text(records);
        assert!(text.contains("# TYPE ratis_log_worker_syncTime summary\n"));
        assert!(
            text.contains("ratis_log_worker_syncTime{quantile=\"0.5\",group=\"g\"} 0.00"),
            "{text}"
        );
        assert!(text.contains("ratis_log_worker_syncTime_count{group=\"g\"} 1\n"));
    }
}
