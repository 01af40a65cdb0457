//! Tests of the repository itself; see `tests/`. Nothing here is linked into anything.
