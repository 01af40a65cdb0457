//! Calls of the key management server, by turns and over failures (`KMSClientProvider`,
//! `LoadBalancingKMSClientProvider`).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::wire::{DecryptRequest, Decrypted, Refusal, WireEncryptedKey};
use crate::{DataKey, EncryptedKey, KeyMetadata, KmsAddress, KmsError, KmsSettings};

/// Longest answer, in bytes: some thousand data keys.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// Connections that are kept open to one server when nobody calls.
const IDLE_CONNECTIONS_MAX: usize = 8;
/// How long one is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Letters that a part of a path, or a value after `?`, may hold as they are.
const ESCAPED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'@');

/// One provider, as one user, who says who he is (`user.name`). Clones share connections.
#[derive(Clone)]
pub struct KmsClient {
    inner: Arc<Inner>,
}

struct Inner {
    http: Client<HttpConnector, Full<Bytes>>,
    address: KmsAddress,
    user: String,
    settings: KmsSettings,
    /// Whose turn it is.
    next: AtomicUsize,
}

impl fmt::Debug for KmsClient {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "KmsClient({} as {})", self.inner.address, self.inner.user)
    }
}

/// One call, the same to whichever server.
struct Call {
    method: Method,
    /// Below the URL of the server.
    path: String,
    /// After `?`, with `&` at its end if there is something.
    query: String,
    body: Bytes,
}

impl KmsClient {
    /// A client that acts as `user`. Connects on first use.
    pub fn new(address: KmsAddress, user: &str, settings: KmsSettings) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(settings.timeout));
        connector.set_nodelay(true);
        let http = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .build(connector);
        let user = utf8_percent_encode(user, ESCAPED).to_string();
        let next = AtomicUsize::new(first_turn(&address));
        Self { inner: Arc::new(Inner { http, address, user, settings, next }) }
    }

    /// Settings in force.
    pub fn settings(&self) -> &KmsSettings {
        &self.inner.settings
    }

    /// What kind of key this is; `None` if there is none of that name.
    ///
    /// # Errors
    /// See [`KmsError`].
    pub async fn metadata(&self, key_name: &str) -> Result<Option<KeyMetadata>, KmsError> {
        let call = Call::get(format!("key/{}/_metadata", escape(key_name)), String::new());
        self.call(&call, |value: Value| {
            if value.as_object().is_some_and(serde_json::Map::is_empty) {
                return Ok(None);
            }
            serde_json::from_value(value).map(Some).map_err(|error| error.to_string())
        })
        .await
    }

    /// Has `count` data keys made (one at least), encrypted with the newest version of a key.
    ///
    /// # Errors
    /// See [`KmsError`].
    pub async fn generate(
        &self,
        key_name: &str,
        count: usize,
    ) -> Result<Vec<EncryptedKey>, KmsError> {
        let query = format!("eek_op=generate&num_keys={count}&");
        let call = Call::get(format!("key/{}/_eek", escape(key_name)), query);
        self.call(&call, |found: Vec<WireEncryptedKey>| {
            if found.is_empty() {
                return Err(format!("{count} data keys were asked for, none came"));
            }
            let keys = found.into_iter().take(count).map(|key| key.into_key(key_name));
            keys.collect::<Result<Vec<_>, _>>().map_err(str::to_owned)
        })
        .await
    }

    /// Has a data key decrypted.
    ///
    /// # Errors
    /// The user may not use the key of the bucket, or see [`KmsError`].
    pub async fn decrypt(&self, key: &EncryptedKey) -> Result<DataKey, KmsError> {
        let body = serde_json::to_vec(&DecryptRequest::of(key)).unwrap_or_default();
        let call = Call {
            method: Method::POST,
            path: format!("keyversion/{}/_eek", escape(&key.version_name)),
            query: "eek_op=decrypt&".to_owned(),
            body: body.into(),
        };
        self.call(&call, |found: Decrypted| found.into_key().map_err(str::to_owned)).await
    }

    /// Calls one server after the other until one knows the answer. Each is tried; an unreachable one
    /// again, after a wait, while retries are left.
    async fn call<A: DeserializeOwned, T>(
        &self,
        call: &Call,
        read: impl Fn(A) -> Result<T, String>,
    ) -> Result<T, KmsError> {
        let inner = &*self.inner;
        let servers = inner.address.servers();
        let count = servers.len();
        let retries_max = inner.settings.retries_max.map_or(count, |max| max as usize);
        let first = inner.next.fetch_add(1, Ordering::Relaxed) % count;
        let mut wait = inner.settings.wait_first;
        let mut failures = 0;
        loop {
            let server = &servers[(first + failures) % count];
            let error = match self.call_one(server, call).await {
                Ok(body) => {
                    let malformed = |reason| KmsError::Malformed { server: server.clone(), reason };
                    let answer: A = serde_json::from_slice(&body)
                        .map_err(|error| malformed(without_content(&error)))?;
                    return read(answer).map_err(malformed);
                }
                Err(error) => error,
            };
            tracing::debug!(%error, failures, "the key management server did not help");
            failures += 1;
            let again = match &error {
                KmsError::Unreachable { .. } => failures < count || failures <= retries_max,
                KmsError::Refused { .. } | KmsError::Malformed { .. } => failures < count,
                KmsError::Denied { .. } => false,
            };
            if !again {
                return Err(error);
            }
            if failures % count == 0 {
                sleep(wait).await;
                wait = (wait * 2).min(inner.settings.wait_max);
            }
        }
    }

    async fn call_one(&self, server: &str, call: &Call) -> Result<Bytes, KmsError> {
        let unreachable =
            |reason: String| KmsError::Unreachable { server: server.to_owned(), reason };
        let limit = self.inner.settings.timeout;
        let exchange = timeout(limit, self.exchange(server, call)).await;
        let (status, body) = exchange
            .map_err(|_| unreachable(format!("no answer within {limit:?}")))?
            .map_err(unreachable)?;
        if status == StatusCode::OK {
            return Ok(body);
        }
        Err(refusal(server, status, &body))
    }

    async fn exchange(&self, server: &str, call: &Call) -> Result<(StatusCode, Bytes), String> {
        let user = &self.inner.user;
        let uri = format!("{server}/v1/{}?{}user.name={user}", call.path, call.query);
        let request = Request::builder()
            .method(call.method.clone())
            .uri(uri)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(call.body.clone()))
            .map_err(|error| error.to_string())?;
        let response = self.inner.http.request(request).await.map_err(|error| chain(&error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        Ok((status, body))
    }
}

impl Call {
    fn get(path: String, query: String) -> Self {
        Self { method: Method::GET, path, query, body: Bytes::new() }
    }
}

fn escape(name: &str) -> impl fmt::Display + '_ {
    utf8_percent_encode(name, ESCAPED)
}

/// Clients that start at the same time should not all begin with the same server.
fn first_turn(address: &KmsAddress) -> usize {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let nanos = now.map_or(0, |now| now.subsec_nanos());
    nanos as usize % address.servers().len()
}

fn refusal(server: &str, status: StatusCode, body: &[u8]) -> KmsError {
    let told = serde_json::from_slice::<Refusal>(body).ok().map(|refusal| refusal.exception);
    let kind = told.as_ref().and_then(|told| told.exception.as_deref());
    // Which user, which operation, which key.
    let denied = matches!(kind, Some("AuthorizationException" | "AccessControlException"));
    let message = match told.and_then(|told| told.message) {
        Some(message) => message,
        None if status == StatusCode::UNAUTHORIZED => {
            "it wants to know users by Kerberos, which is not supported".to_owned()
        }
        None => status.canonical_reason().unwrap_or("no reason is given").to_owned(),
    };
    if denied {
        return KmsError::Denied { message };
    }
    KmsError::Refused { server: server.to_owned(), status: status.as_u16(), message }
}

/// An error with its causes: the outermost alone says little.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Where an answer is wrong, but nothing of what is in it: that may be a key.
fn without_content(error: &serde_json::Error) -> String {
    format!("{:?} error at line {}, column {}", error.classify(), error.line(), error.column())
}
