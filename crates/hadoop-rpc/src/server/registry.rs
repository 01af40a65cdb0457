//! The protocols of a server, by name.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::Protocol;
use super::session::Refusal;
use crate::class;
use crate::proto::rpc_response_header_proto::RpcErrorCodeProto as Detail;
use crate::wire::Target;

/// Protocols by name. Immutable once the server runs.
pub struct Registry {
    protocols: HashMap<&'static str, Arc<dyn Protocol>>,
}

/// A protocol and one of its methods.
#[derive(Clone)]
pub struct Resolved {
    /// The protocol.
    pub protocol: Arc<dyn Protocol>,
    /// The method's name, from [`Protocol::methods`].
    pub method: &'static str,
}

impl fmt::Debug for Resolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Resolved").field(&self.method).finish()
    }
}

impl Registry {
    /// These protocols; the last of a name wins.
    pub fn new(protocols: Vec<(&'static str, Arc<dyn Protocol>)>) -> Self {
        Self { protocols: protocols.into_iter().collect() }
    }

    /// Finds protocol and method. `connection` is the protocol that the connection context named.
    pub fn resolve(&self, target: &Target<'_>, connection: &str) -> Result<Resolved, Refusal> {
        let name = String::from_utf8_lossy(target.protocol);
        let protocol = self.protocols.get(&*name).ok_or_else(|| {
            let message = format!("Unknown protocol: {name}");
            Refusal::call(Detail::ErrorNoSuchProtocol, class::NO_SUCH_PROTOCOL, message)
        })?;
        let ours = protocol.version();
        if target.version != ours {
            let message = format!(
                "Protocol {name} version mismatch. (client = {}, server = {ours})",
                target.version
            );
            return Err(Refusal::call(
                Detail::ErrorRpcVersionMismatch,
                class::VERSION_MISMATCH,
                message,
            ));
        }
        let method = protocol.methods().iter().find(|method| method.as_bytes() == target.method);
        let method = method.copied().ok_or_else(|| {
            let method = String::from_utf8_lossy(target.method);
            let message = format!("Unknown method {method} called on {connection} protocol.");
            Refusal::call(Detail::ErrorNoSuchMethod, class::NO_SUCH_METHOD, message)
        })?;
        Ok(Resolved { protocol: protocol.clone(), method })
    }
}
