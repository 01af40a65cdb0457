//! The datanode server.
