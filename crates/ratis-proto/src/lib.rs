//! Messages and gRPC services of Ratis 3.2.1, generated from `proto/` at build time.
//!
//! [`common`] holds requests, replies and log entries, [`grpc`] the three services.
#![allow(clippy::all, clippy::pedantic, missing_docs, non_camel_case_types)]

mod messages {
    include!(concat!(env!("OUT_DIR"), "/messages.rs"));
}

pub use messages::ratis::{common, grpc, netty};
