//! Requests to the Ozone Manager that leads.

pub mod failover;
mod targets;

use hadoop_rpc::trace;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hadoop_rpc::client::{CallError, CallId, ClientSettings as RpcSettings, RpcClient};
use hdds_client::addresses::om_services;
use om_proto::{OmRequest, OmResponse, ReadConsistencyHint, ReadConsistencyProto, Status};
use ozone_config::Configuration;
use parking_lot::RwLock;
use prost::Message;

use crate::settings::FailoverSettings;
use crate::{ClientError, OmError};
use failover::{Failover, Next};
pub use targets::{OmAddress, OmTarget};

/// Name of the protocol on the wire.
const PROTOCOL: &str = "org.apache.hadoop.ozone.om.protocol.OzoneManagerProtocol";
/// Its only method.
const METHOD: &str = "submitRequest";
/// `ClientVersion.BUCKET_LAYOUT_SUPPORT`, the current one.
const CLIENT_VERSION: u32 = 3;
/// How often a create or allocate is repeated while SCM is in safe mode, once per
/// [`SAFE_MODE_WAIT`].
const SAFE_MODE_RETRIES_MAX: u32 = 90;
/// Wait between these.
const SAFE_MODE_WAIT: Duration = Duration::from_secs(1);

/// Is told when a call has to wait, with the reason.
pub type Observer = Arc<dyn Fn(&str) + Send + Sync>;

/// The Ozone Managers of one service. Clones share connections and the memory of who leads.
#[derive(Clone)]
pub struct OmClient {
    inner: Arc<Inner>,
}

struct Inner {
    rpc: RpcClient,
    targets: Vec<OmTarget>,
    /// A host that the user named has not been found yet; a mistake is likelier than an outage.
    doubtful: AtomicBool,
    /// `ozone.om.service.ids`.
    services: Vec<String>,
    /// Who answered last.
    leader: AtomicUsize,
    /// Free text that identifies this client in OM's logs (`OMRequest.clientId`).
    name: String,
    settings: FailoverSettings,
    observer: RwLock<Option<Observer>>,
}

impl OmClient {
    /// A client of the service at `address`. Connects on first use.
    ///
    /// # Errors
    /// The configuration names no such service.
    pub fn new(
        conf: &Configuration,
        address: &OmAddress,
        user: &str,
        settings: &FailoverSettings,
    ) -> Result<Self, ClientError> {
        let mut targets = targets::find(conf, address)?;
        let services = om_services(conf)?;
        let doubtful = matches!(address, OmAddress::Named(name, _) if !services.contains(name))
            && targets.iter().all(OmTarget::is_name);
        // Different clients begin at different members, so that no follower gets all first calls.
        let first = rand::random_range(0..targets.len().max(1));
        targets.rotate_left(first);
        let rpc = RpcSettings { call_timeout: settings.call_timeout, ..RpcSettings::default() };
        Ok(Self {
            inner: Arc::new(Inner {
                rpc: RpcClient::new(rpc, user),
                targets,
                doubtful: AtomicBool::new(doubtful),
                services,
                leader: AtomicUsize::new(0),
                name: format!("client-{:012X}", rand::random::<u64>() & 0xffff_ffff_ffff),
                settings: settings.clone(),
                observer: RwLock::new(None),
            }),
        })
    }

    /// Calls `observer` whenever a call has to wait before it is tried again.
    pub fn observe(&self, observer: Observer) {
        *self.inner.observer.write() = Some(observer);
    }

    /// The Ozone Managers this client goes to.
    pub fn targets(&self) -> &[OmTarget] {
        &self.inner.targets
    }

    /// Sends one request to the leader and returns its answer if the status is OK. Fills in what
    /// every request carries.
    ///
    /// # Errors
    /// [`ClientError::Om`] for another status, [`ClientError::Rpc`] if no leader answered.
    pub async fn submit(&self, request: OmRequest) -> Result<OmResponse, ClientError> {
        let response = self.exchange(request).await?;
        if response.status == i32::from(Status::Ok) {
            return Ok(response);
        }
        let status = Status::try_from(response.status).unwrap_or(Status::InternalError);
        Err(OmError::new(status, response.message.unwrap_or_default()).into())
    }

    /// As [`Self::submit`], but waits while SCM is in safe mode, up to 90 seconds: for requests
    /// that allocate blocks.
    ///
    /// # Errors
    /// See [`Self::submit`].
    pub async fn submit_patiently(&self, request: OmRequest) -> Result<OmResponse, ClientError> {
        let mut retries = 0;
        loop {
            match self.submit(request.clone()).await {
                Err(ClientError::Om(error))
                    if error.status == Status::ScmInSafeMode && retries < SAFE_MODE_RETRIES_MAX =>
                {
                    retries += 1;
                    self.tell("SCM is in safe mode: not enough datanodes have reported yet");
                    tokio::time::sleep(SAFE_MODE_WAIT).await;
                }
                other => return other,
            }
        }
    }

    /// Sends one request to the leader and returns its answer whatever the status.
    ///
    /// # Errors
    /// [`ClientError::Rpc`] if no leader answered.
    pub async fn exchange(&self, mut request: OmRequest) -> Result<OmResponse, ClientError> {
        request.trace_id = Some(trace::current());
        request.client_id.clone_from(&self.inner.name);
        request.version = Some(CLIENT_VERSION);
        request.read_consistency_hint = Some(Box::new(ReadConsistencyHint {
            read_consistency: Some(ReadConsistencyProto::Default.into()),
            local_lease_context: None,
        }));
        let body = Bytes::from(request.encode_to_vec());
        let answer = self.call(body).await?;
        OmResponse::decode(answer).map_err(|error| {
            ClientError::Rpc(format!("the Ozone Manager's answer cannot be read: {error}"), None)
        })
    }

    /// Refuses a host that nobody knows, before it is asked again and again.
    async fn check_name(&self) -> Result<(), ClientError> {
        let inner = &*self.inner;
        if !inner.doubtful.load(Ordering::Relaxed) {
            return Ok(());
        }
        for target in &inner.targets {
            target.rpc.resolve().await.map_err(|error| {
                let services = inner.services.join(",");
                let text = format!(
                    "Cannot resolve OM host {} in the URI\n{error}; no service of \
                     ozone.om.service.ids ({services}) has this name",
                    target.rpc.host
                );
                ClientError::Rpc(text, None)
            })?;
        }
        inner.doubtful.store(false, Ordering::Relaxed);
        Ok(())
    }

    async fn call(&self, body: Bytes) -> Result<Bytes, ClientError> {
        let inner = &*self.inner;
        self.check_name().await?;
        let first = inner.leader.load(Ordering::Relaxed);
        let mut failover = Failover::new(inner.targets.len(), first, &inner.settings);
        let id = inner.rpc.next_call();
        let mut retry = 0;
        loop {
            let target = &inner.targets[failover.target()];
            let call = CallId { retry, ..id };
            let error = match self.call_one(target, call, body.clone()).await {
                Ok(answer) => {
                    inner.leader.store(failover.target(), Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(error) => error,
            };
            retry = retry.saturating_add(1);
            match failover.on(failover::classify(&error, &inner.targets)) {
                Next::Retry { wait } => {
                    if !wait.is_zero() {
                        self.tell(&format!("{}: {error}", target.node));
                        tokio::time::sleep(wait).await;
                    }
                }
                Next::Fail => return Err(ClientError::Rpc(first_line(&error), Some(error))),
                Next::GiveUp => {
                    let text = "Could not determine or connect to OM Leader.".to_owned();
                    return Err(ClientError::Rpc(text, Some(error)));
                }
            }
        }
    }

    async fn call_one(
        &self,
        target: &OmTarget,
        call: CallId,
        body: Bytes,
    ) -> Result<Bytes, CallError> {
        let address = target.resolve().await?;
        self.inner.rpc.call(address, PROTOCOL, METHOD, call, body).await
    }

    fn tell(&self, reason: &str) {
        tracing::debug!(reason, "waiting before the next try");
        let observer = self.inner.observer.read().clone();
        if let Some(observer) = observer {
            observer(reason);
        }
    }
}

/// What a user should read of an error below OM's own statuses.
fn first_line(error: &CallError) -> String {
    let text = match error {
        CallError::Remote { message, .. } => message.clone(),
        other => other.to_string(),
    };
    text.lines().next().unwrap_or_default().to_owned()
}
