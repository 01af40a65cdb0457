//! States of a pipeline.

use std::fmt;

/// Where a pipeline stands (`HddsProtos.PipelineState`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PipelineState {
    /// Chosen by SCM; not every member has reported it.
    Allocated,
    /// Takes writes.
    Open,
    /// Set aside by an operator.
    Dormant,
    /// On its way out.
    Closed,
}

impl PipelineState {
    /// The name in JSON and command output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Allocated => "ALLOCATED",
            Self::Open => "OPEN",
            Self::Dormant => "DORMANT",
            Self::Closed => "CLOSED",
        }
    }
}

impl fmt::Display for PipelineState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
