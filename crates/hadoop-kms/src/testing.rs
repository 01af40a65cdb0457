//! A key management server of a few lines, for tests: it keeps its keys to itself and does what it is
//! told to, also to misbehave.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::KmsAddress;

/// Bytes of a data key, and of its IV.
const KEY_BYTES: usize = 16;
/// What stands for encryption here.
const MASK: u8 = 0x5a;

/// How the server meets one call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Manner {
    /// Never answers.
    Hangs,
    /// Closes the connection.
    Breaks,
    /// This status and body.
    Says(u16, String),
}

/// A server in this process; it ends with the value.
pub struct TestKms {
    address: SocketAddr,
    state: Arc<State>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    /// Keys, with their ciphers.
    keys: Mutex<BTreeMap<String, String>>,
    /// Calls, each as its path and query.
    calls: Mutex<Vec<String>>,
    /// How the next calls are met; as usual after that.
    manners: Mutex<VecDeque<Manner>>,
    made: Mutex<u64>,
}

impl Drop for TestKms {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl TestKms {
    /// Starts one that knows these keys.
    ///
    /// # Panics
    /// There is no free port.
    pub async fn start(keys: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let state = Arc::new(State::default());
        for key in keys {
            state.keys.lock().insert((*key).to_owned(), "AES/CTR/NoPadding".to_owned());
        }
        let task = tokio::spawn(serve(listener, state.clone()));
        Self { address, state, task }
    }

    /// Adds a key with another cipher.
    pub fn add_key(&self, name: &str, cipher: &str) {
        self.state.keys.lock().insert(name.to_owned(), cipher.to_owned());
    }

    /// Meets the next call in this manner.
    pub fn expect(&self, manner: Manner) {
        self.state.manners.lock().push_back(manner);
    }

    /// The address of this provider, as settings have it.
    pub fn path(&self) -> String {
        format!("kms://http@{}/kms", self.address)
    }

    /// The same, parsed.
    ///
    /// # Panics
    /// Never: the path is one.
    pub fn address(&self) -> KmsAddress {
        KmsAddress::parse(&self.path()).expect("a path of a provider")
    }

    /// The calls so far, each as path and query below `/kms/v1/`.
    pub fn calls(&self) -> Vec<String> {
        self.state.calls.lock().clone()
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        let state = state.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let state = state.clone();
                async move { answer(&state, request).await }
            });
            // The client may go away.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// Closes the connection.
#[derive(Debug)]
struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str("told to break")
    }
}

impl std::error::Error for Broken {}

async fn answer(
    state: &State,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Broken> {
    let call = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
    let call = call.trim_start_matches("/kms/v1/").to_owned();
    state.calls.lock().push(call.clone());
    let manner = state.manners.lock().pop_front();
    let (status, body) = match manner {
        Some(Manner::Hangs) => std::future::pending::<(u16, String)>().await,
        Some(Manner::Breaks) => return Err(Broken),
        Some(Manner::Says(status, body)) => (status, body),
        None => {
            let body = request.into_body().collect().await.map_err(|_| Broken)?.to_bytes();
            let (status, value) = state.usual(&call, &body);
            (status, value.to_string())
        }
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = StatusCode::from_u16(status).map_err(|_| Broken)?;
    Ok(response)
}

impl State {
    fn usual(&self, call: &str, body: &[u8]) -> (u16, Value) {
        let (path, query) = call.split_once('?').unwrap_or((call, ""));
        let parts: Vec<&str> = path.split('/').collect();
        match parts[..] {
            ["key", name, "_metadata"] => (200, self.metadata(name)),
            ["key", name, "_eek"] if self.keys.lock().contains_key(name) => {
                let wanted = query.split('&').find_map(|pair| pair.strip_prefix("num_keys="));
                let count: u64 = wanted.and_then(|count| count.parse().ok()).unwrap_or(0);
                (200, (0..count).map(|_| self.new_key(name)).collect())
            }
            ["keyversion", version, "_eek"] => match decrypted(body) {
                Some(material) if version.contains('@') => {
                    (200, json!({"versionName": "EK", "material": material}))
                }
                _ => (400, exception("IllegalArgumentException", "that is no encrypted key")),
            },
            _ => (404, exception("NoSuchElementException", "there is no such key")),
        }
    }

    fn metadata(&self, name: &str) -> Value {
        match self.keys.lock().get(name) {
            None => json!({}),
            Some(cipher) => json!({
                "name": name, "cipher": cipher, "length": 128, "description": null,
                "attributes": {"key.acl.name": name}, "created": 1, "versions": 1,
            }),
        }
    }

    fn new_key(&self, name: &str) -> Value {
        let number = {
            let mut made = self.made.lock();
            *made += 1;
            *made
        };
        let mut key = [0; KEY_BYTES];
        key[..8].copy_from_slice(&number.to_be_bytes());
        let stored = key.map(|byte| byte ^ MASK);
        json!({
            "versionName": format!("{name}@0"),
            "iv": URL_SAFE_NO_PAD.encode([0xff; KEY_BYTES]),
            "encryptedKeyVersion": {
                "versionName": "EEK", "material": URL_SAFE_NO_PAD.encode(stored),
            },
        })
    }
}

fn decrypted(body: &[u8]) -> Option<String> {
    let request: Value = serde_json::from_slice(body).ok()?;
    let mut key = crate::wire::decode(request.get("material")?.as_str()?).ok()?;
    request.get("name")?.as_str()?;
    request.get("iv")?.as_str()?;
    key.iter_mut().for_each(|byte| *byte ^= MASK);
    Some(URL_SAFE_NO_PAD.encode(key))
}

/// A refusal, as Hadoop words it.
pub fn exception(class: &str, message: &str) -> Value {
    json!({"RemoteException": {
        "message": message, "exception": class, "javaClassName": format!("java.lang.{class}"),
    }})
}
