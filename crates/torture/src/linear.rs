//! Is the namespace linearizable? Many clients, few names, and an Ozone Manager that is killed meanwhile.
//!
//! ```text
//!  stdin: down, up, quiesce ─► drive ─► client × n ─► one request at a time ─► record ─► history of each group of names
//!                                                                                              │
//!  stdout: a JSON line each ◄── report ◄──────────── check: is there an order that explains it?┘
//! ```
//! * Every request of a client lies between two ticks of one clock; the checker looks for a point in between at which it may
//!   have taken effect.
//! * A request whose connection broke may have taken effect or not. It cannot any more once a later Ozone Manager answers.
//! * Keys have no blocks: their size is what was written, and differs from write to write. Neither datanodes nor SCM take part.
//!
//! Start reading at [`check::check`].

pub mod check;
pub mod client;
pub mod history;
pub mod state;
