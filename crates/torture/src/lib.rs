//! Load for clusters that are being broken on purpose, with an oracle of what was acknowledged.
//!
//! ```text
//!  stdin: probe, quiesce ─► main ─► Run ─┬─► writer × n: put, overwrite, delete, rename, list ─┐
//!  stdout: a JSON line each ◄── status   ├─► reader × m: any name, at any time ───────────────┼─► oracle: what may be seen?
//!                                        └─► verify, at the end: every name, every replica ───┘
//! ```
//! * Each name belongs to one writer, so that its history is a line; readers look at all of them.
//! * Content is a function of the seed and a number of its own ([`content::Content`]): a stale, torn, foreign or flipped
//!   byte is seen.
//! * An error is counted and told, never a violation while faults are on. A wrong byte, a lost key, or a key that nobody
//!   finished is one at any time; an error that does not go away after the faults is one at the end.
//!
//! The faults themselves are made by `tests/torture/run`. Start reading at [`Run`]. Beside it, [`linear`] asks whether the answers of the
//! Ozone Manager have an order (`tests/torture/linear`).

pub mod content;
pub mod linear;
pub mod oracle;
pub mod read;
pub mod run;
pub mod stats;
pub mod verify;
pub mod write;

pub use run::{Options, Run};
