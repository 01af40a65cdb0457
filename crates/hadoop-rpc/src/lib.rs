//! Hadoop RPC v9: framing, client and server. Knows no service.
//!
//! ```text
//!            ┌ frame ┐                   server                        client
//!  socket ──►│length │──► session: header, context, SASL, ping      pending calls by id
//!            │+ bytes│        │ call                                        ▲
//!            └───────┘        ▼                                             │
//!  socket ◄── write queue ◄── Protocol::call, any number at once        connection task
//! ```
//! Invariants:
//! - Memory follows the bytes that arrived, never a length that somebody claims.
//! - Every queue has a limit; at the limit a connection is not read until there is room.
//! - Answers leave in the order in which they are ready; a slow call delays nobody.
//! - Nothing that a peer sends makes this crate panic.
//!
//! The rules and their sources: Hadoop's `RpcConstants`, `Server` and `Client` as Ozone 2.2.0 ships
//! them in `org.apache.hadoop.ipc_`. Start reading at [`server::Protocol`] or [`client::RpcClient`].

pub mod client;
pub mod frame;
mod out;
pub mod proxy_user;
pub mod server;
pub mod trace;
mod uuid;
pub mod wire;

pub use uuid::{name_uuid_from_bytes, name_uuid_of_client};

mod headers {
    #![allow(clippy::all, clippy::pedantic, missing_docs)]
    include!(concat!(env!("OUT_DIR"), "/messages.rs"));
}
pub use headers::hadoop::common as proto;

/// Java classes that this layer names in errors. Clients decide by them whether to try elsewhere.
pub mod class {
    /// The protocol has no such method.
    pub const NO_SUCH_METHOD: &str = "org.apache.hadoop.ipc_.RpcNoSuchMethodException";
    /// The server does not speak the protocol.
    pub const NO_SUCH_PROTOCOL: &str = "org.apache.hadoop.ipc_.RpcNoSuchProtocolException";
    /// Another version of RPC, or of a protocol.
    pub const VERSION_MISMATCH: &str = "org.apache.hadoop.ipc_.RPC$VersionMismatch";
    /// Anything wrong with headers.
    pub const RPC_SERVER: &str = "org.apache.hadoop.ipc_.RpcServerException";
    /// An unknown way to authenticate.
    pub const IPC: &str = "org.apache.hadoop.ipc_.IpcException";
    /// Come back later.
    pub const RETRIABLE: &str = "org.apache.hadoop.ipc_.RetriableException";
    /// A message that cannot be decoded or lacks a required field.
    pub const INVALID_PROTOBUF: &str = "com.google.protobuf.InvalidProtocolBufferException";
    /// Not allowed.
    pub const ACCESS_CONTROL: &str = "org.apache.hadoop.security.AccessControlException";
    /// Not allowed to connect, or to act for somebody.
    pub const AUTHORIZATION: &str = "org.apache.hadoop.security.authorize.AuthorizationException";
    /// A step of SASL out of order.
    pub const SASL: &str = "javax.security.sasl.SaslException";
    /// What has no better class.
    pub const IO: &str = "java.io.IOException";
    /// A defect of the server.
    pub const RUNTIME: &str = "java.lang.RuntimeException";
}
