//! `/prom` (`PrometheusServlet`).

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use http::{HeaderMap, StatusCode, header};

use crate::page::typed;
use crate::{Daemon, HttpSettings};

const KIND: &str = "text/plain;charset=utf-8";

pub fn routes(daemon: &Daemon, settings: &HttpSettings) -> Router {
    if !settings.prometheus {
        return Router::new();
    }
    let registry = Arc::clone(&daemon.registry);
    let token: Option<Arc<str>> = settings.prometheus_token.as_deref().map(Into::into);
    let page = move |headers: HeaderMap| {
        let (registry, token) = (Arc::clone(&registry), token.clone());
        async move {
            if !allowed(token.as_deref(), &headers) {
                return typed(StatusCode::FORBIDDEN, KIND, "the token is missing or wrong\n");
            }
            let text = tokio::task::spawn_blocking(move || ozone_metrics::text(registry.collect()));
            answer(text.await)
        }
    };
    Router::new().route("/prom", get(page))
}

/// The page, or what went wrong while it was made.
fn answer(page: Result<String, tokio::task::JoinError>) -> Response {
    match page {
        Ok(text) => typed(StatusCode::OK, KIND, text),
        Err(error) => typed(StatusCode::INTERNAL_SERVER_ERROR, KIND, format!("{error}\n")),
    }
}

fn allowed(token: Option<&str>, headers: &HeaderMap) -> bool {
    let Some(token) = token else { return true };
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.strip_prefix("Bearer "));
    // Every byte is compared: the time tells nothing.
    given.is_some_and(|given| {
        given.len() == token.len()
            && given.bytes().zip(token.bytes()).fold(0, |all, (a, b)| all | (a ^ b)) == 0
    })
}
