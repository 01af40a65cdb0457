//! Raft with the semantics of Ratis as a pure step function.
