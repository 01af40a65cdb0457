//! One id for all that a client's request causes, on every node and in every log line.
//!
//! ```text
//!  client: new() ─► OMRequest.traceID ─► OM: traced(…) ─► current() ─► SCM's envelope
//!              └──► ContainerCommandRequest.traceID ─► datanode ─► log entry ─► followers
//! ```
//! On the wire it is W3C trace context as Ozone's clients write it (`traceparent=00-<trace>-<span>-01;`);
//! what is anything else is taken as it is. A request without an id costs one comparison: no span is
//! made for it, unless somebody reads the log at DEBUG.

use std::future::Future;
use std::sync::Arc;

use tracing::Instrument;
use tracing::span::EnteredSpan;

/// Longest id that goes into log lines, in bytes.
const ID_BYTES_MAX: usize = 64;
/// Before the trace id in what clients send.
const CONTEXT: &str = "traceparent=00-";
/// Digits of a trace id.
const DIGITS: usize = 32;

tokio::task_local! {
    static CURRENT: Arc<str>;
}

/// A new id, as it goes into requests.
pub fn new() -> String {
    let (trace, span): (u128, u64) = (rand::random(), rand::random());
    format!("{CONTEXT}{trace:032x}-{span:016x}-01;")
}

/// What log lines show of what a request carries; `None` when that is nothing.
pub fn id_of(carried: &str) -> Option<&str> {
    let id = carried.strip_prefix(CONTEXT).and_then(|rest| rest.get(..DIGITS)).unwrap_or(carried);
    let end = (0..=id.len().min(ID_BYTES_MAX)).rev().find(|end| id.is_char_boundary(*end));
    id.get(..end?).filter(|id| !id.is_empty())
}

/// What requests made by this task should carry; empty when it works for none that carries an id.
pub fn current() -> String {
    CURRENT.try_with(|id| id.to_string()).unwrap_or_default()
}

/// Serves a request: its log lines show the id, and the requests that it causes carry it.
pub async fn traced<F: Future>(
    carried: Option<&str>,
    operation: &'static str,
    future: F,
) -> F::Output {
    let Some(carried) = carried.filter(|carried| !carried.is_empty()) else { return future.await };
    scope(carried, operation, future).await
}

/// Does the work of a command under this id.
pub async fn scope<F: Future>(carried: &str, operation: &'static str, future: F) -> F::Output {
    let span = span(carried, operation);
    // Boxed: those without an id, nearly all, do not pay for its size.
    Box::pin(CURRENT.scope(carried.into(), future.instrument(span))).await
}

/// For work on a plain thread: until the result is dropped, log lines show the id.
pub fn enter(carried: Option<&str>, operation: &'static str) -> Option<EnteredSpan> {
    let carried = carried.filter(|carried| !carried.is_empty())?;
    Some(span(carried, operation).entered())
}

fn span(carried: &str, operation: &'static str) -> tracing::Span {
    let id = id_of(carried).unwrap_or_default();
    // As serious as any line in it: a span below the level of the log would not be shown.
    tracing::error_span!(target: "trace", "request", trace = id, op = operation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_found_in_what_java_clients_send() {
        let sent = "traceparent=00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01;";
        assert_eq!(id_of(sent), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        assert_eq!(id_of("abc:def:0:1"), Some("abc:def:0:1"));
        assert_eq!(id_of(""), None);
        assert_eq!(id_of("traceparent=00-short"), Some("traceparent=00-short"));
        let long = "ä".repeat(1000);
        assert_eq!(id_of(&long).map(str::len), Some(ID_BYTES_MAX));
        let own = new();
        assert_eq!(id_of(&own).map(str::len), Some(DIGITS));
    }

    #[tokio::test]
    async fn requests_caused_by_a_request_carry_its_id() {
        assert_eq!(current(), "");
        let seen = traced(Some("t1"), "op", async { current() }).await;
        assert_eq!(seen, "t1");
        assert_eq!(traced(None, "op", async { current() }).await, "");
        assert_eq!(traced(Some(""), "op", async { current() }).await, "");
    }
}
