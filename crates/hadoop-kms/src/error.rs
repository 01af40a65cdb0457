//! What can go wrong, told to whoever waits for a key.

use thiserror::Error;

/// A key provider that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{address} is no key provider that can be used here: {reason}")]
pub struct AddressError {
    /// As written.
    pub address: String,
    /// Why, and what is accepted.
    pub reason: &'static str,
}

/// Why the key management server gave nothing.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum KmsError {
    /// No connection, no answer in time, or a broken answer: another server, or a later try may do
    /// better.
    #[error("the key management server at {server} cannot be reached: {reason}")]
    Unreachable {
        /// Its URL.
        server: String,
        /// What happened.
        reason: String,
    },
    /// The server says that the user may not. No other server would say otherwise.
    #[error("{message}")]
    Denied {
        /// In the server's words.
        message: String,
    },
    /// The server says no for another reason.
    #[error("the key management server at {server} refuses with status {status}: {message}")]
    Refused {
        /// Its URL.
        server: String,
        /// HTTP status.
        status: u16,
        /// In the server's words.
        message: String,
    },
    /// An answer without sense.
    #[error("the key management server at {server} answers what cannot be understood: {reason}")]
    Malformed {
        /// Its URL.
        server: String,
        /// What is wrong with it.
        reason: String,
    },
}
