//! What every server shares: logging, signals, start and stop.
