//! `/conf` (`HddsConfServlet`): settings in use, and by tag.

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use http::{HeaderMap, StatusCode, header};
use ozone_config::{Configuration, DEFAULTS, Source, tags};
use serde_json::{Map, Value, json};

use crate::Daemon;
use crate::page::{escape, typed};
use crate::query::Query;
use crate::redact::Redactor;

const XML: &str = "application/xml;charset=utf-8";
const JSON: &str = "application/json;charset=utf-8";
const TEXT: &str = "text/plain;charset=utf-8";
const XML_HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"no\"?>";

pub fn routes(daemon: &Daemon) -> Router {
    let conf = Arc::clone(&daemon.conf);
    let page = move |query: Query, headers: HeaderMap| {
        let conf = Arc::clone(&conf);
        async move {
            match query.get("cmd") {
                None => settings(&conf, query.get("name"), wants_json(&headers)),
                Some("getOzoneTags") => {
                    typed(StatusCode::OK, TEXT, json!(&tags::NAMES[..]).to_string())
                }
                Some("getPropertyByTag") => by_tag(&conf, query.get("tags").unwrap_or_default()),
                Some(other) => {
                    let error = format!("{other} is not a valid command.");
                    typed(StatusCode::NOT_FOUND, TEXT, xml_error(&error))
                }
            }
        }
    };
    Router::new().route("/conf", get(page))
}

fn wants_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("json"))
}

/// One setting as it is shown.
struct Property<'a> {
    key: &'a str,
    value: String,
    is_final: bool,
    resource: String,
}

fn property<'a>(conf: &Configuration, redactor: &Redactor, key: &'a str) -> Option<Property<'a>> {
    // A value that refers to itself is shown as it was written.
    let value = conf.get_or_default(key).unwrap_or_else(|_| conf.raw(key).map(str::to_owned));
    let exists = conf.is_set(key) || ozone_config::default_of(key).is_some();
    let value = value.or_else(|| exists.then(String::new))?;
    let resource = match conf.source(key) {
        Some(Source::File(path)) => {
            path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
        }
        Some(Source::CommandLine | Source::Program) => "programmatically".to_owned(),
        None => "ozone-default.xml".to_owned(),
    };
    let value = redactor.shown(key, &value).to_owned();
    Some(Property { key, value, is_final: conf.is_final(key), resource })
}

/// What was written and what has a default, each once.
fn all_keys(conf: &Configuration) -> Vec<&str> {
    let mut keys: Vec<&str> = conf.written().map(|(key, _)| key).collect();
    keys.extend(DEFAULTS.iter().map(|(key, _)| *key));
    keys.sort_unstable();
    keys.dedup();
    keys
}

fn settings(conf: &Configuration, name: Option<&str>, as_json: bool) -> Response {
    let redactor = Redactor::new(conf);
    let name = name.filter(|name| !name.is_empty());
    let shown: Vec<_> = match name {
        Some(name) => property(conf, &redactor, name).into_iter().collect(),
        None => all_keys(conf).iter().filter_map(|key| property(conf, &redactor, key)).collect(),
    };
    match (name, shown.first()) {
        (Some(name), None) => {
            let error = format!("Property {name} not found");
            let (kind, body) = if as_json {
                (JSON, json!({ "error": error }).to_string())
            } else {
                (XML, xml_error(&error))
            };
            typed(StatusCode::NOT_FOUND, kind, body)
        }
        (Some(_), Some(property)) if as_json => {
            typed(StatusCode::OK, JSON, json!({ "property": as_value(property) }).to_string())
        }
        (None, _) if as_json => {
            let properties: Vec<_> = shown.iter().map(as_value).collect();
            typed(StatusCode::OK, JSON, json!({ "properties": properties }).to_string())
        }
        _ => typed(StatusCode::OK, XML, as_xml(&shown)),
    }
}

fn as_value(property: &Property<'_>) -> Value {
    json!({
        "key": property.key,
        "value": property.value,
        "isFinal": property.is_final,
        "resource": property.resource,
    })
}

fn as_xml(properties: &[Property<'_>]) -> String {
    let mut xml = format!("{XML_HEAD}<configuration>\n");
    for Property { key, value, is_final, resource } in properties {
        xml.push_str(&format!(
            "<property><name>{}</name><value>{}</value><final>{is_final}</final><source>{}</source></property>\n",
            escape(key),
            escape(value),
            escape(resource),
        ));
    }
    xml.push_str("</configuration>\n");
    xml
}

fn xml_error(message: &str) -> String {
    format!("{XML_HEAD}<error>{}</error>", escape(message))
}

/// `{"OM": {"key": {"name", "value", "description"}}}`.
fn by_tag(conf: &Configuration, wanted: &str) -> Response {
    let redactor = Redactor::new(conf);
    let mut result = Map::new();
    for tag in wanted.split(',').map(str::trim).filter(|tag| !tag.is_empty()) {
        let mut found = Map::new();
        for key in tags::keys_of(tag) {
            if let Some(property) = property(conf, &redactor, key) {
                let value = json!({ "name": key, "value": property.value, "description": "" });
                found.insert(key.to_owned(), value);
            }
        }
        result.insert(tag.to_owned(), Value::Object(found));
    }
    typed(StatusCode::OK, TEXT, Value::Object(result).to_string())
}
