//! `/jmx` (`JMXJsonServlet`): metrics and state as beans.

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderName, HeaderValue, StatusCode, header};
use ozone_metrics::Records;
use serde_json::{Map, Value, json};

use crate::page::typed;
use crate::query::Query;
use crate::{Bean, Daemon};

const KIND: &str = "application/json; charset=utf8";

pub fn routes(daemon: &Daemon) -> Router {
    let daemon = daemon.clone();
    let page = move |query: Query| {
        let daemon = daemon.clone();
        async move {
            let made = tokio::task::spawn_blocking(move || answer(&daemon, &query)).await;
            let (status, value) = made.unwrap_or_else(|error| {
                (StatusCode::INTERNAL_SERVER_ERROR, error_value(&error.to_string()))
            });
            reply(status, &value)
        }
    };
    Router::new().route("/jmx", get(page))
}

fn reply(status: StatusCode, value: &Value) -> Response {
    const ALLOWED: [(HeaderName, HeaderValue); 2] = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET")),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
    ];
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    (ALLOWED, typed(status, KIND, text)).into_response()
}

fn answer(daemon: &Daemon, query: &Query) -> (StatusCode, Value) {
    if let Some(get) = query.get("get") {
        return one_attribute(daemon, get);
    }
    let pattern = query.get("qry").map(Pattern::parse);
    match pattern {
        Some(None) => (StatusCode::OK, error_value("query format is not as expected.")),
        Some(Some(pattern)) => (StatusCode::OK, shown(beans(daemon), Some(&pattern))),
        None => (StatusCode::OK, shown(beans(daemon), None)),
    }
}

/// `get=<bean>::<attribute>`.
fn one_attribute(daemon: &Daemon, text: &str) -> (StatusCode, Value) {
    let Some((name, attribute)) = text.split_once("::") else {
        return (StatusCode::OK, error_value("query format is not as expected."));
    };
    let Some(pattern) = Pattern::parse(name) else {
        return (StatusCode::OK, error_value("query format is not as expected."));
    };
    let found = beans(daemon).into_iter().find(|bean| pattern.matches(&bean.name));
    let Some(mut bean) = found else {
        return (StatusCode::NOT_FOUND, error_value(&format!("No bean {name} was found")));
    };
    match bean.attributes.remove(attribute) {
        Some(value) => {
            bean.attributes = Map::from_iter([(attribute.to_owned(), value)]);
            (StatusCode::OK, shown(vec![bean], None))
        }
        None => {
            (StatusCode::NOT_FOUND, error_value(&format!("No attribute {attribute} was found")))
        }
    }
}

fn error_value(message: &str) -> Value {
    json!({ "result": "ERROR", "message": message })
}

/// The beans, each its name first.
fn shown(beans: Vec<Shown>, pattern: Option<&Pattern>) -> Value {
    let wanted = |bean: &Shown| pattern.is_none_or(|pattern| pattern.matches(&bean.name));
    let beans = beans.into_iter().filter(wanted).map(|bean| {
        let mut value = Map::new();
        value.insert("name".to_owned(), Value::String(bean.name));
        value.insert("modelerType".to_owned(), Value::String(bean.modeler));
        value.extend(bean.attributes);
        Value::Object(value)
    });
    json!({ "beans": beans.collect::<Vec<_>>() })
}

struct Shown {
    name: String,
    modeler: String,
    attributes: Map<String, Value>,
}

fn beans(daemon: &Daemon) -> Vec<Shown> {
    let mut beans: Vec<Shown> = (daemon.beans)()
        .into_iter()
        .map(|Bean { name, modeler, attributes }| Shown {
            name,
            modeler: modeler.to_owned(),
            attributes,
        })
        .collect();
    let records = daemon.registry.collect();
    beans.extend(of_metrics(&records));
    beans
}

fn of_metrics(records: &Records) -> impl Iterator<Item = Shown> {
    records.beans().map(|(bean, samples)| {
        let mut attributes = Map::new();
        for (tag, value) in &bean.tags {
            attributes.insert(tag.clone(), Value::String(value.clone()));
        }
        for sample in samples {
            attributes.insert(sample.attribute.clone(), number(sample.value));
        }
        Shown { name: bean.name.clone(), modeler: bean.modeler.clone(), attributes }
    })
}

/// Whole numbers without a fraction.
fn number(value: f64) -> Value {
    // Up to here every whole number has its own f64.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() <= EXACT_MAX {
        Value::from(value as i64)
    } else {
        Value::from(value)
    }
}

/// An `ObjectName`, maybe with wildcards: `domain:key=value,…`, `*` and `?` in domain and values, and
/// `,*` for further keys.
struct Pattern {
    domain: String,
    keys: Vec<(String, String)>,
    open: bool,
}

impl Pattern {
    fn parse(text: &str) -> Option<Self> {
        let (domain, rest) = text.split_once(':')?;
        let (mut keys, mut open) = (Vec::new(), false);
        for part in rest.split(',') {
            if part == "*" {
                open = true;
                continue;
            }
            let (key, value) = part.split_once('=')?;
            keys.push((key.to_owned(), value.to_owned()));
        }
        Some(Self { domain: domain.to_owned(), keys, open })
    }

    fn matches(&self, name: &str) -> bool {
        let Some(name) = Self::parse(name) else { return false };
        let has = |key: &str, pattern: &str| {
            name.keys.iter().any(|(k, value)| k == key && wild(pattern, value))
        };
        wild(&self.domain, &name.domain)
            && (self.open || self.keys.len() == name.keys.len())
            && self.keys.iter().all(|(key, pattern)| has(key, pattern))
    }
}

/// `*` any letters, `?` one. Linear in the text for each star.
fn wild(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || Some(c) == text.get(t) => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Pattern::parse(pattern).unwrap().matches(name)
    }

    #[test]
    fn queries_match_as_object_names_do() {
        let name = "Hadoop:service=OzoneManager,name=OzoneManagerInfo,component=ServerRuntime";
        assert!(matches("Hadoop:service=*,name=*,component=ServerRuntime", name));
        assert!(matches(
            "Hadoop:component=ServerRuntime,service=OzoneManager,name=Ozone*Info",
            name
        ));
        assert!(matches("Hadoop:service=OzoneManager,*", name));
        assert!(matches("*:*", name));
        assert!(!matches("Hadoop:service=OzoneManager", name));
        assert!(!matches("Ratis:service=*,*", name));
        assert!(matches("Had??p:name=?zoneManagerInf?,*", name));
        assert!(Pattern::parse("nonsense").is_none());
    }
}
