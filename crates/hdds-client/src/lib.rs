//! Clients of SCM and datanodes; reading and writing blocks.

pub mod addresses;
pub mod scm;
