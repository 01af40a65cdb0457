//! Background work of the leader.

pub mod key_deleting;
