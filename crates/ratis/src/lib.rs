//! Ratis on the wire: server, client and admin services and their clients.
//!
//! ```text
//!  Java or our client ──ordered/unordered──► server::client_service ──► ClientHandler ┐
//!  peers ──vote, append, snapshot──────────► server::peer_service   ──► PeerHandler   ├─ multiraft
//!  SCM, peers, admin tools ────────────────► server::admin_service  ──► AdminHandler  ┘
//!  multiraft ──► peer::PeerClient, peer::AppendLane ──► other servers
//!  hdds-client ──► client::RaftClient ──► any leader
//! ```
//!
//! This crate knows messages, streams, order and errors; what a request means is the handler's
//! business. Start reading at [`server`] or [`client`]; [`exception`] has the error encodings that
//! unmodified Java clients expect.
//!
//! Invariants:
//! - Replies on an ordered stream leave in the order of the sequence numbers.
//! - A handler sees the requests of a stream in that order: it queues before it returns its future.
//! - Nothing that a peer sends can make a service panic; every stream has a bound on what is in flight.

pub mod channel;
pub mod client;
pub mod exception;
mod gather;
pub mod ids;
pub mod peer;
pub mod server;

pub use channel::Channels;
pub use exception::Exception;
pub use tonic::Status;
