//! The three services and their listeners.

pub mod admin_service;
pub mod client_service;
mod listen;
pub mod peer_service;
mod stream;
mod window;

pub use admin_service::AdminHandler;
pub use client_service::{Answer, ClientHandler, Submitted};
pub use listen::{Addresses, Limits, Services};
pub use peer_service::PeerHandler;
