//! `/`, what is said about wrong requests, and what every answer carries.

use axum::Router;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use serde_json::Value;

use crate::Daemon;

/// The pages that `/` names.
const PAGES: [(&str, &str); 5] = [
    ("/prom", "metrics for Prometheus"),
    ("/jmx", "metrics and state as beans, in JSON"),
    ("/conf", "settings in use, where each was written"),
    ("/logLevel", "levels of the log, to read and to change"),
    ("/stacks", "threads and what they wait for"),
];

pub fn routes(daemon: &Daemon) -> Router {
    let daemon = daemon.clone();
    let front = move || {
        let daemon = daemon.clone();
        async move { Html(front_page(&daemon)) }
    };
    Router::new().route("/", get(front.clone())).route("/index.html", get(front))
}

fn front_page(daemon: &Daemon) -> String {
    let title = daemon.title;
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title><style>\
         body{{font:15px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em}}\
         td{{padding:.2em 1.5em .2em 0;vertical-align:top}}td:first-child{{color:#555}}\
         </style></head><body>\n<h1>{title}</h1>\n<table>\n"
    );
    if let Some(bean) = (daemon.beans)().first() {
        for (key, value) in &bean.attributes {
            let value = match value {
                Value::String(text) => text.clone(),
                Value::Null => continue,
                other => other.to_string(),
            };
            let (key, value) = (escape(key), escape(&value));
            page.push_str(&format!("<tr><td>{key}</td><td>{value}</td></tr>\n"));
        }
    }
    page.push_str("</table>\n<ul>\n");
    for (path, what) in PAGES {
        page.push_str(&format!("<li><a href=\"{path}\">{path}</a> {what}</li>\n"));
    }
    page.push_str("</ul>\n</body></html>\n");
    page
}

/// Text for HTML and XML.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // XML has no way to write the others.
            '\t' | '\n' | '\r' | ' '.. => escaped.push(letter),
            _ => escaped.push('\u{fffd}'),
        }
    }
    escaped
}

/// An answer with its type.
pub fn typed(
    status: StatusCode,
    kind: &'static str,
    body: impl Into<axum::body::Body>,
) -> Response {
    (status, [(header::CONTENT_TYPE, kind)], body.into()).into_response()
}

/// 404.
pub async fn not_found(uri: Uri) -> Response {
    wrong(StatusCode::NOT_FOUND, "Not Found", &uri)
}

/// 405; the router adds `Allow`. `OPTIONS` is answered: Hadoop's tools begin with it.
pub async fn wrong_method(method: Method, uri: Uri) -> Response {
    if method == Method::OPTIONS {
        return (StatusCode::OK, [(header::ALLOW, "GET, HEAD, OPTIONS")]).into_response();
    }
    let message = format!("HTTP method {method} is not supported by this URL");
    wrong(StatusCode::METHOD_NOT_ALLOWED, &message, &uri)
}

fn wrong(status: StatusCode, message: &str, uri: &Uri) -> Response {
    let (number, message, path) = (status.as_u16(), escape(message), escape(uri.path()));
    let page = format!(
        "<html><head><title>Error {number} {message}</title></head><body><h2>HTTP ERROR {number} \
         {message}</h2><p>{path}</p></body></html>\n"
    );
    typed(status, "text/html;charset=utf-8", page)
}

/// What the genuine servers send with everything.
pub async fn common_headers(mut response: Response) -> Response {
    const HEADERS: [(HeaderName, &str); 5] = [
        (header::CACHE_CONTROL, "no-cache"),
        (header::PRAGMA, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_XSS_PROTECTION, "1; mode=block"),
        (header::X_FRAME_OPTIONS, "SAMEORIGIN"),
    ];
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
