//! The ozone command: every daemon, shell and tool.
