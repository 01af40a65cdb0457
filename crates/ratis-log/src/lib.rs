//! The Raft log on disk in Ratis' segment format, one writer per disk.
