//! The Raft log on disk in Ratis' segment format, one writer per disk.
//!
//! ```text
//!  group loop ──append──► GroupLog ──frames──► queue of the disk ──► writer thread: write, write, …
//!      ▲                     │ recent entries                          one fdatasync per touched file
//!      │                     ▼                                                   │
//!      │                  EntryCache          LogReader ◄── segment index ◄──────┤
//!      └──────────────── LogListener::durable(ticket) ◄──────────────────────────┘
//! ```
//!
//! The writer takes everything that is queued (all groups of the disk), writes it, syncs each
//! touched file once and reports once per group: callers wait for a round, never for a lock.
//!
//! On disk, as Ratis lays it out (`RaftStorageDirectoryImpl`, `SegmentedRaftLogFormat`):
//! ```text
//! <storage>/<group uuid>/in_use.lock
//!                        current/raft-meta            term and vote, Java properties
//!                        current/raft-meta.conf       the latest applied configuration entry
//!                        current/log_<first>-<last>   closed segments
//!                        current/log_inprogress_<first>
//!                        sm/                          the state machine's own
//! segment = "RaftLog1" { varint32 N, N bytes LogEntryProto, CRC32C big endian of both }* 0x00*
//! ```
//!
//! Invariants:
//! - What was reported durable survives: it is read back, or opening the group fails.
//! - A damaged tail that was never reported durable is cut off when the group is opened, with a
//!   log line; damage in the middle is refused.
//! - Bulk bytes (`stateMachineData`) never reach the log; the size of the full entry does.
//! - A disk error fails the operations of its group from then on. It never panics.
//!
//! Start reading at [`Disk`], then [`GroupLog`]; what happens to files is in [`files`], above the few
//! operations of [`folder`]; the bytes are in [`format`].

mod cache;
mod disk;
mod error;
pub mod files;
pub mod folder;
pub mod format;
mod group;
mod meta;
mod metrics;
mod reader;
mod recovery;
mod segment;
mod storage;
mod writer;

pub use cache::EntryCache;
pub use disk::{Disk, LogSettings};
pub use error::LogError;
pub use group::{GroupLog, LogListener, Ticket};
pub use meta::Metadata;
pub use reader::LogReader;
pub use recovery::Recovered;
