//! Hadoop RPC v9: framing, client and server. Knows no service.

pub mod client;
pub mod server;

mod headers {
    #![allow(clippy::all, clippy::pedantic, missing_docs)]
    include!(concat!(env!("OUT_DIR"), "/messages.rs"));
}
pub use headers::hadoop::common as proto;
