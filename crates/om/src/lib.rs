//! The Ozone Manager server.
