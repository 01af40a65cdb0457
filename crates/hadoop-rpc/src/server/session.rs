//! What a connection has agreed on, and what each frame means. Pure: frames in, meanings out.
//!
//! ```text
//!  7 bytes ─► Preamble ─► auth ─► (SASL: NEGOTIATE ─► SUCCESS) ─► context ─► calls and pings
//! ```

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;

use super::registry::{Registry, Resolved};
use crate::class;
use crate::proto::rpc_response_header_proto::{RpcErrorCodeProto as Detail, RpcStatusProto};
use crate::proto::rpc_sasl_proto::SaslState;
use crate::proto::{IpcConnectionContextProto, RpcSaslProto};
use crate::proxy_user::ProxyUsers;
use crate::wire::{self, Malformed, RequestHeader};

/// What the first 7 bytes of a connection ask for.
#[derive(Debug, PartialEq, Eq)]
pub enum Preamble {
    /// Speak RPC, with SASL first if the flag is set.
    Rpc {
        /// Auth byte 0xDF.
        sasl: bool,
    },
    /// Answer this (maybe nothing) and close.
    Refuse(Bytes),
}

/// Answer to somebody who found the port with a browser.
const HTTP_ANSWER: &str = "HTTP/1.1 404 Not Found\r\nContent-type: text/plain\r\n\r\n\
    This port speaks Hadoop RPC, not HTTP; the web interface of this server has a port of its own.\r\n";

impl Preamble {
    /// Judges the connection header.
    pub fn read(bytes: [u8; wire::PREAMBLE_BYTES]) -> Self {
        let [m0, m1, m2, m3, version, _service_class, auth] = bytes;
        let magic = [m0, m1, m2, m3];
        if magic == *b"GET " {
            return Self::Refuse(Bytes::from_static(HTTP_ANSWER.as_bytes()));
        }
        if magic != wire::MAGIC || version != wire::VERSION {
            return Self::Refuse(bad_version(version.cast_signed()));
        }
        match auth {
            wire::AUTH_NONE => Self::Rpc { sasl: false },
            wire::AUTH_SASL => Self::Rpc { sasl: true },
            other => {
                let message = format!("Unknown auth protocol:{}", other.cast_signed());
                let refusal = Refusal::fatal(Detail::FatalUnauthorized, class::IPC, message);
                Self::Refuse(refusal.frame(wire::NO_CALL, wire::NO_RETRY))
            }
        }
    }
}

/// In the layout that the client's version understands.
fn bad_version(version: i8) -> Bytes {
    let message = format!("Server IPC version 9 cannot communicate with client version {version}");
    let text = |out: &mut BytesMut, text: &str| {
        out.put_u32(text.len() as u32);
        out.put_slice(text.as_bytes());
    };
    let mut out = BytesMut::new();
    match version {
        9.. => {
            let refusal =
                Refusal::fatal(Detail::FatalVersionMismatch, class::VERSION_MISMATCH, message);
            return refusal.frame(wire::NO_CALL, wire::NO_RETRY);
        }
        3..=8 => {
            out.put_i32(-1); // call id
            out.put_i32(-1); // status
        }
        2 => {
            out.put_i32(0); // call id
            out.put_u8(1); // error
        }
        _ => return Bytes::new(),
    }
    text(&mut out, class::VERSION_MISMATCH);
    text(&mut out, &message);
    out.freeze()
}

/// An answer made by the RPC layer itself.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The connection ends after it.
    pub fatal: bool,
    detail: Detail,
    class: &'static str,
    message: String,
}

impl Refusal {
    fn fatal(detail: Detail, class: &'static str, message: impl Into<String>) -> Self {
        Self { fatal: true, detail, class, message: message.into() }
    }

    fn invalid_header(message: impl Into<String>) -> Self {
        Self::fatal(Detail::FatalInvalidRpcHeader, class::RPC_SERVER, message)
    }

    fn undecodable(what: &str, error: impl std::fmt::Display) -> Self {
        let message = format!("Error decoding {what}: {error}");
        Self::fatal(Detail::FatalDeserializingRequest, class::RPC_SERVER, message)
    }

    /// One call fails, the connection goes on.
    pub fn call(detail: Detail, class: &'static str, message: impl Into<String>) -> Self {
        Self { fatal: false, detail, class, message: message.into() }
    }

    /// As a frame without a client id.
    pub fn frame(&self, call_id: i32, retry: i32) -> Bytes {
        self.frame_for(call_id, &Bytes::new(), retry)
    }

    /// As a frame.
    pub fn frame_for(&self, call_id: i32, client_id: &Bytes, retry: i32) -> Bytes {
        let status = if self.fatal { RpcStatusProto::Fatal } else { RpcStatusProto::Error };
        let Self { detail, class, message, .. } = self;
        wire::error_frame(call_id, client_id, retry, status, *detail, class, message)
    }
}

/// Who is connected.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Effective user.
    pub user: Arc<str>,
    /// Who acts for it.
    pub real_user: Option<Arc<str>>,
    /// Protocol that the context named; only used in messages.
    protocol: String,
}

/// A call to serve.
#[derive(Debug)]
pub struct Call {
    /// Its header.
    pub header: RequestHeader,
    /// Whom to ask.
    pub target: Resolved,
    /// Who asks.
    pub peer: Arc<Peer>,
    /// The bare request message.
    pub request: Bytes,
}

/// What a frame means.
#[derive(Debug)]
pub enum Meaning {
    /// Nothing to answer.
    Nothing,
    /// Answer this.
    Answer(Bytes),
    /// Answer this and close.
    Last(Bytes),
    /// Serve this.
    Call(Box<Call>),
}

/// One connection's state.
pub struct Session {
    registry: Arc<Registry>,
    proxy_users: Option<Arc<ProxyUsers>>,
    remote: SocketAddr,
    sasl: bool,
    peer: Option<Arc<Peer>>,
    /// The last `RequestHeaderProto` and what it led to: clients repeat themselves.
    last_target: Option<(Bytes, Resolved)>,
}

impl Session {
    /// After the preamble.
    pub fn new(
        registry: Arc<Registry>,
        proxy_users: Option<Arc<ProxyUsers>>,
        remote: SocketAddr,
        sasl: bool,
    ) -> Self {
        Self { registry, proxy_users, remote, sasl, peer: None, last_target: None }
    }

    /// Whether the connection context was accepted.
    pub fn is_established(&self) -> bool {
        self.peer.is_some()
    }

    /// Reads one frame.
    pub fn frame(&mut self, mut frame: Bytes) -> Meaning {
        let header = wire::delimited(&mut frame).and_then(|bytes| RequestHeader::decode(&bytes));
        let header = match header {
            Ok(header) => header,
            Err(error) => {
                let refusal = Refusal::undecodable("RpcRequestHeaderProto", error);
                return Meaning::Last(refusal.frame(wire::NO_CALL, wire::NO_RETRY));
            }
        };
        let (call_id, retry) = (header.call_id, header.retry);
        let client_id = header.client_id.clone();
        match self.with_header(header, frame) {
            Ok(meaning) => meaning,
            Err(refusal) if refusal.fatal => Meaning::Last(refusal.frame(call_id, retry)),
            Err(refusal) => Meaning::Answer(refusal.frame_for(call_id, &client_id, retry)),
        }
    }

    fn with_header(&mut self, header: RequestHeader, payload: Bytes) -> Result<Meaning, Refusal> {
        match header.op {
            Some(0) => {}
            Some(op) => {
                let message = format!("RPC operation {op} is not implemented");
                return Err(Refusal::invalid_header(message));
            }
            None => return Err(Refusal::invalid_header("RPC header without an operation")),
        }
        let kind =
            header.kind.ok_or_else(|| Refusal::invalid_header("RPC header without a kind"))?;
        match (header.call_id, &self.peer) {
            (wire::CONTEXT_CALL, _) => self.context(payload),
            (wire::SASL_CALL, _) => self.sasl(payload),
            (wire::PING_CALL, _) => Ok(Meaning::Nothing),
            (id @ ..0, _) => {
                Err(Refusal::invalid_header(format!("Unknown out of band call #{id}")))
            }
            (_, None) => Err(Refusal::invalid_header("Connection context not established")),
            (_, Some(_)) if kind != 2 => {
                let message = format!("RPC kind {kind} is not served; use RPC_PROTOCOL_BUFFER (2)");
                Err(Refusal::invalid_header(message))
            }
            (_, Some(peer)) => {
                let peer = peer.clone();
                self.call(header, peer, payload)
            }
        }
    }

    fn context(&mut self, mut payload: Bytes) -> Result<Meaning, Refusal> {
        if self.sasl {
            return Err(Refusal::invalid_header("Connection header sent during SASL negotiation"));
        }
        if self.peer.is_some() {
            return Err(Refusal::invalid_header("Connection context already processed"));
        }
        let undecodable = |error: String| Refusal::undecodable("IpcConnectionContextProto", error);
        let message = wire::delimited(&mut payload).map_err(|e| undecodable(e.to_string()))?;
        let context =
            IpcConnectionContextProto::decode(message).map_err(|e| undecodable(e.to_string()))?;
        let info = context.user_info.unwrap_or_default();
        let user = info.effective_user.unwrap_or_default();
        let real_user = info.real_user.filter(|real| !real.is_empty());
        if let Some(real) = &real_user {
            let denied = || Err(format!("User: {real} is not allowed to impersonate {user}"));
            let verdict = self
                .proxy_users
                .as_ref()
                .map_or_else(denied, |policy| policy.check(real, &user, self.remote.ip()));
            verdict.map_err(|message| {
                Refusal::fatal(Detail::FatalUnauthorized, class::AUTHORIZATION, message)
            })?;
        }
        self.peer = Some(Arc::new(Peer {
            user: user.into(),
            real_user: real_user.map(Into::into),
            protocol: context.protocol.unwrap_or_default(),
        }));
        Ok(Meaning::Nothing)
    }

    /// A server without Kerberos answers every opening with SUCCESS: go on without SASL.
    fn sasl(&mut self, mut payload: Bytes) -> Result<Meaning, Refusal> {
        if !self.sasl {
            return Err(Refusal::invalid_header("SASL protocol not requested by client"));
        }
        let undecodable = |error: String| Refusal::undecodable("RpcSaslProto", error);
        let message = wire::delimited(&mut payload).map_err(|e| undecodable(e.to_string()))?;
        let message = RpcSaslProto::decode(message).map_err(|e| undecodable(e.to_string()))?;
        let unauthorized =
            |message: String| Err(Refusal::fatal(Detail::FatalUnauthorized, class::SASL, message));
        match SaslState::try_from(message.state) {
            Ok(SaslState::Negotiate) => {}
            Ok(SaslState::Initiate) if message.auths.len() == 1 => {}
            Ok(SaslState::Initiate) => {
                return unauthorized("Client mechanism is malformed".to_owned());
            }
            Ok(state) => {
                let name = state.as_str_name();
                return unauthorized(format!("Client sent unsupported state {name}"));
            }
            Err(_) => return Err(undecodable("unknown state".to_owned())),
        }
        self.sasl = false;
        let answer = RpcSaslProto { state: SaslState::Success.into(), ..Default::default() };
        let mut out = BytesMut::new();
        let length = answer.encoded_len();
        wire::put_success(&mut out, wire::SASL_CALL, &[], wire::NO_RETRY, length);
        out.put_slice(&answer.encode_to_vec());
        Ok(Meaning::Answer(out.freeze()))
    }

    fn call(
        &mut self,
        header: RequestHeader,
        peer: Arc<Peer>,
        mut payload: Bytes,
    ) -> Result<Meaning, Refusal> {
        let malformed = |error: Malformed| {
            Refusal::call(Detail::ErrorApplication, class::INVALID_PROTOBUF, error.to_string())
        };
        let named = wire::delimited(&mut payload).map_err(malformed)?;
        let target = match &self.last_target {
            Some((bytes, target)) if *bytes == named => target.clone(),
            _ => {
                let target = wire::Target::decode(&named).map_err(malformed)?;
                let target = self.registry.resolve(&target, &peer.protocol)?;
                // A copy: a slice would keep the whole read buffer alive.
                self.last_target = Some((Bytes::copy_from_slice(&named), target.clone()));
                target
            }
        };
        let request = wire::delimited(&mut payload).map_err(malformed)?;
        Ok(Meaning::Call(Box::new(Call { header, target, peer, request })))
    }
}

#[cfg(test)]
mod tests;
