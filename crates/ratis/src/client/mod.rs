//! A client of one group.
