//! Typed tables over a key-value engine, and an engine in memory.
