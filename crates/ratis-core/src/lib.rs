//! Raft with the semantics of Apache Ratis 3.2.1, as a pure step function.
//!
//! ```text
//!   clock ──────────► tick ───────────┐                       ┌─► SaveVote      synced before what follows it
//!   peers' requests ► vote_request    │                       ├─► Truncate, Append ─► log writer ─► durable
//!                     append_request  ├─► Core ─► [Effect] ──►├─► Send, Reply   messages, one to one on the wire
//!   peers' replies ─► append_reply …  │   (one group)         ├─► Load          cold entries ─► loaded
//!   clients ────────► propose, read   │                       ├─► Commit        ─► apply ─► applied
//!   log and machine ► durable, applied┘                       └─► Leadership, Progress, …
//! ```
//!
//! [`Core`] is one member of one group. Every input is a method that takes the time in milliseconds
//! where time matters; every consequence is an [`Effect`], collected with [`Core::take_effects`] and
//! carried out **in order**. There is no clock, no I/O, no thread, no randomness but the seed in
//! [`Settings`], and no dependence on hash-map order: the same inputs give the same effects.
//!
//! # Invariants
//! * What follows a [`Effect::SaveVote`] in the list must not happen before the vote is on disk.
//! * The core holds no entry: it knows terms as ranges, and sizes of the entries that the engine still
//!   holds in memory. Bytes pass through [`Effect::Append`] once and are never looked at again.
//! * A follower's success reply is released only by [`Core::durable`]; a leader counts itself in a
//!   majority only up to there.
//! * A configuration counts from the moment it is appended and goes back when its entry is truncated.
//! * Nothing that came from a peer can make the core panic.
//!
//! # Where to start reading
//! [`effect`] is the contract with the engine; `core.rs` the state; `election.rs`, `follower.rs`,
//! `leader.rs` the three roles; `commit.rs` what is committed and how far `watch` got.

#[cfg(test)]
mod bugs;
/// A mistake planted on purpose, to see whether the simulator finds it; `false` outside of tests.
macro_rules! planted {
    ($core:expr, $bug:ident) => {{
        #[cfg(test)]
        let planted = $core.planted == Some(crate::bugs::Bug::$bug);
        #[cfg(not(test))]
        let planted = false;
        planted
    }};
}

mod commit;
mod conf;
mod core;
pub mod effect;
mod election;
mod follower;
mod leader;
mod log;
mod membership;
mod progress;
mod read;
mod settings;
mod snapshot;
mod transfer;
mod types;

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod sim;
#[cfg(test)]
mod tests;

pub use crate::core::{Core, ProposeError, Recovered, Status};
pub use effect::{Effect, Message, Outcome, Reply, ReplyTo, RequestId};
pub use settings::Settings;
pub use types::{HardState, Leadership, Millis, PeerId, Role, TermIndex};
