//! Loads on the Ozone Manager alone.

pub mod echo;
pub mod ommg;
mod requests;
pub mod simple;
