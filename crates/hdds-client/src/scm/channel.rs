//! A call to whichever SCM leads.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use hadoop_rpc::client::{CallError, ClientSettings, RpcClient};
use tracing::debug;

use super::{Advice, ScmClientSettings, ScmError};
use crate::addresses::HostPort;

/// All SCMs of a service at one port, and which of them answered last. Clones share it.
#[derive(Clone)]
pub(super) struct Channel {
    shared: Arc<Shared>,
}

struct Shared {
    rpc: RpcClient,
    protocol: &'static str,
    method: &'static str,
    nodes: Vec<HostPort>,
    /// Index of the SCM to try first.
    current: AtomicUsize,
    settings: ScmClientSettings,
}

impl Channel {
    pub fn new(
        protocol: &'static str,
        method: &'static str,
        nodes: Vec<HostPort>,
        settings: ScmClientSettings,
        user: &str,
    ) -> Self {
        let rpc = ClientSettings {
            call_timeout: settings.call_timeout,
            connect_timeout: settings.connect_timeout,
            ..Default::default()
        };
        let rpc = RpcClient::new(rpc, user);
        let current = AtomicUsize::new(0);
        Self { shared: Arc::new(Shared { rpc, protocol, method, nodes, current, settings }) }
    }

    /// Sends the request to the SCM that is believed to lead, and elsewhere as errors advise. The
    /// call keeps its id over all tries.
    pub async fn call(&self, request: Bytes) -> Result<Bytes, ScmError> {
        let shared = &*self.shared;
        if shared.nodes.is_empty() {
            return Err(ScmError::Unavailable { tries: 0, last: "no SCM is configured".into() });
        }
        let mut id = shared.rpc.next_call();
        let retries = shared.settings.retries();
        // Tries since the last pause: each SCM is asked once before waiting.
        let mut round = 0;
        loop {
            let at = shared.current.load(Ordering::Relaxed) % shared.nodes.len();
            let error = match shared.try_once(at, id, request.clone()).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            let advice = Advice::after(&error);
            if advice == Advice::Fail {
                return Err(final_error(error));
            }
            let tries = id.retry.cast_unsigned() + 1;
            if tries > retries {
                return Err(ScmError::Unavailable { tries, last: error.to_string() });
            }
            debug!(node = %shared.nodes[at], %error, tries, "SCM cannot serve; trying again");
            id.retry += 1;
            round += 1;
            let pause = match advice {
                Advice::RetryHere => true,
                _ => {
                    shared.fail_over(at, &advice);
                    round >= shared.nodes.len()
                }
            };
            if pause {
                round = 0;
                tokio::time::sleep(shared.settings.retry_interval).await;
            }
        }
    }
}

impl Shared {
    async fn try_once(
        &self,
        at: usize,
        id: hadoop_rpc::client::CallId,
        request: Bytes,
    ) -> Result<Bytes, CallError> {
        let node = &self.nodes[at];
        let address = match node.resolve().await {
            Ok(address) => address,
            Err(error) => {
                // Shown like a remote failure, for there is no socket address to show.
                return Err(CallError::Remote {
                    class: "java.net.UnknownHostException".to_owned(),
                    message: format!("{node}: {error}"),
                    fatal: false,
                });
            }
        };
        self.rpc.call(address, self.protocol, self.method, id, request).await
    }

    /// Moves on from `at`, unless another call has done so already.
    fn fail_over(&self, at: usize, advice: &Advice) {
        let suggested = match advice {
            Advice::FailOver { suggested: Some(leader) } => {
                self.nodes.iter().position(|node| node.to_string() == *leader)
            }
            _ => None,
        };
        let next = suggested.filter(|next| *next != at).unwrap_or((at + 1) % self.nodes.len());
        let _ = self.current.compare_exchange(at, next, Ordering::Relaxed, Ordering::Relaxed);
    }
}

fn final_error(error: CallError) -> ScmError {
    match error {
        CallError::Remote { class, message, .. } => ScmError::Remote { class, message },
        other => ScmError::Unavailable { tries: 1, last: other.to_string() },
    }
}
