//! The life of one replica.

use std::fmt;

use hdds_proto::datanode::container_data_proto::State;
use hdds_proto::hdds::container_replica_proto;
use thiserror::Error;

/// State of a container on this datanode (`ContainerDataProto.State`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ReplicaState {
    /// Takes blocks.
    Open,
    /// Takes what is under way.
    Closing,
    /// Closed without a quorum's word.
    QuasiClosed,
    /// Immutable.
    Closed,
    /// Damaged.
    Unhealthy,
    /// Unknown to SCM; a relic.
    Invalid,
    /// Being removed.
    Deleted,
    /// Being rebuilt or imported.
    Recovering,
}

/// What moves a replica on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReplicaEvent {
    /// No new blocks.
    MarkClosing,
    /// Close without a quorum.
    QuasiClose,
    /// Close for good.
    Close,
    /// Found damaged.
    MarkUnhealthy,
    /// Remove.
    Delete,
}

/// A step that the life cycle does not have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("a replica in state {from} cannot take {event:?}")]
pub struct InvalidStep {
    /// The state it is in.
    pub from: ReplicaState,
    /// What was asked.
    pub event: ReplicaEvent,
}

impl ReplicaState {
    /// The state after `event`; repeats change nothing (`KeyValueHandler`).
    ///
    /// # Errors
    /// [`InvalidStep`].
    pub fn on(self, event: ReplicaEvent) -> Result<Self, InvalidStep> {
        use ReplicaEvent as E;
        use ReplicaState as S;
        match (self, event) {
            (S::Open | S::Recovering, E::MarkClosing) => Ok(S::Closing),
            (S::Open | S::Closing, E::QuasiClose) => Ok(S::QuasiClosed),
            (S::Open | S::Closing | S::Recovering | S::QuasiClosed, E::Close) => Ok(S::Closed),
            (S::Deleted, E::Delete) => Ok(self),
            (_, E::Delete) => Ok(S::Deleted),
            (S::Deleted, event) => Err(InvalidStep { from: self, event }),
            (_, E::MarkUnhealthy) => Ok(S::Unhealthy),
            // Idempotent repeats.
            (S::Closing | S::QuasiClosed | S::Closed, E::MarkClosing)
            | (S::QuasiClosed | S::Closed, E::QuasiClose)
            | (S::Closed, E::Close) => Ok(self),
            (from, event) => Err(InvalidStep { from, event }),
        }
    }

    /// The name on the wire, in `.container` and in logs.
    pub fn name(self) -> &'static str {
        State::from(self).as_str_name()
    }

    /// From the name in `.container`.
    pub fn from_name(name: &str) -> Option<Self> {
        State::from_str_name(name).map(Self::from)
    }

    /// Whether blocks may still be finished here (`KeyValueHandler.checkContainerOpen`).
    pub fn takes_writes(self) -> bool {
        matches!(self, Self::Open | Self::Closing | Self::Recovering)
    }

    /// Whether the replica no longer changes.
    pub fn is_closed(self) -> bool {
        matches!(self, Self::Closed | Self::QuasiClosed)
    }

    /// As container reports carry it; replicas being rebuilt are not reported.
    pub fn reported(self) -> Option<container_replica_proto::State> {
        use container_replica_proto::State as R;
        match self {
            Self::Open => Some(R::Open),
            Self::Closing => Some(R::Closing),
            Self::QuasiClosed => Some(R::QuasiClosed),
            Self::Closed => Some(R::Closed),
            Self::Unhealthy => Some(R::Unhealthy),
            Self::Invalid => Some(R::Invalid),
            Self::Deleted => Some(R::Deleted),
            Self::Recovering => None,
        }
    }
}

impl fmt::Display for ReplicaState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl From<State> for ReplicaState {
    fn from(state: State) -> Self {
        match state {
            State::Open => Self::Open,
            State::Closing => Self::Closing,
            State::QuasiClosed => Self::QuasiClosed,
            State::Closed => Self::Closed,
            State::Unhealthy => Self::Unhealthy,
            State::Invalid => Self::Invalid,
            State::Deleted => Self::Deleted,
            State::Recovering => Self::Recovering,
        }
    }
}

impl From<ReplicaState> for State {
    fn from(state: ReplicaState) -> Self {
        match state {
            ReplicaState::Open => Self::Open,
            ReplicaState::Closing => Self::Closing,
            ReplicaState::QuasiClosed => Self::QuasiClosed,
            ReplicaState::Closed => Self::Closed,
            ReplicaState::Unhealthy => Self::Unhealthy,
            ReplicaState::Invalid => Self::Invalid,
            ReplicaState::Deleted => Self::Deleted,
            ReplicaState::Recovering => Self::Recovering,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_never_opens_again_and_repeats_change_nothing() {
        let closing = ReplicaState::Open.on(ReplicaEvent::MarkClosing).unwrap();
        assert_eq!(closing.on(ReplicaEvent::MarkClosing), Ok(closing));
        let quasi = closing.on(ReplicaEvent::QuasiClose).unwrap();
        assert_eq!(quasi.on(ReplicaEvent::Close), Ok(ReplicaState::Closed));
        assert_eq!(ReplicaState::Closed.on(ReplicaEvent::QuasiClose), Ok(ReplicaState::Closed));
        assert!(ReplicaState::Unhealthy.on(ReplicaEvent::Close).is_err());
        assert!(ReplicaState::Deleted.on(ReplicaEvent::Close).is_err());
        assert!(!ReplicaState::QuasiClosed.takes_writes());
    }
}
