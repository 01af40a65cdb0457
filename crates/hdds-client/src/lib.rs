//! Clients of SCM and datanodes; reading and writing blocks.
