//! The Storage Container Manager server.
