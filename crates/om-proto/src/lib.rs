//! Messages of the Ozone Manager and the records of `om.db`, generated from `proto/` at build time.
#![allow(clippy::all, clippy::pedantic, missing_docs, non_camel_case_types)]

mod messages {
    include!(concat!(env!("OUT_DIR"), "/messages.rs"));
}

pub use messages::hadoop::ozone::*;

/// Records that only live in `om.db`: user volumes, prefixes and their ACLs.
pub mod storage {
    mod messages {
        include!(concat!(env!("OUT_DIR"), "/storage/messages.rs"));
    }
    pub use messages::hadoop::ozone::*;
}
