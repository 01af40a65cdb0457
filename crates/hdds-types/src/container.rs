//! The life cycle of a container as SCM sees it.

use std::fmt;

use thiserror::Error;

/// States of a container in SCM (`HddsProtos.LifeCycleState`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ContainerState {
    /// Takes new blocks.
    Open,
    /// Takes no new blocks; blocks under way may still be finished.
    Closing,
    /// Closed by replicas that had no quorum; not yet known which is freshest.
    QuasiClosed,
    /// Immutable.
    Closed,
    /// Empty, replicas are being removed.
    Deleting,
    /// Gone; the row remains.
    Deleted,
}

/// What moves a container on (`HddsProtos.LifeCycleEvent`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ContainerEvent {
    /// No new blocks any more.
    Finalize,
    /// A replica closed without a quorum.
    QuasiClose,
    /// A replica closed through its pipeline.
    Close,
    /// The freshest quasi-closed replica was chosen.
    ForceClose,
    /// Empty: remove it.
    Delete,
    /// The last replica is gone.
    Cleanup,
}

/// An event that the state does not allow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("a container in state {from} cannot take the event {event:?}")]
pub struct InvalidTransition {
    /// The state it is in.
    pub from: ContainerState,
    /// What was asked.
    pub event: ContainerEvent,
}

impl ContainerState {
    /// The state after `event`. Repeating an event whose aim is reached changes nothing
    /// (`ContainerStateManagerImpl.newStateMachine`).
    ///
    /// # Errors
    /// [`InvalidTransition`] where the life cycle has no such step.
    pub fn on(self, event: ContainerEvent) -> Result<Self, InvalidTransition> {
        use ContainerEvent as E;
        use ContainerState as S;
        match (self, event) {
            (S::Open, E::Finalize) => Ok(S::Closing),
            (S::Closing, E::QuasiClose) => Ok(S::QuasiClosed),
            (S::Closing, E::Close) | (S::QuasiClosed, E::ForceClose) => Ok(S::Closed),
            (S::QuasiClosed | S::Closed, E::Delete) => Ok(S::Deleting),
            (S::Deleting, E::Cleanup) => Ok(S::Deleted),
            // Idempotent repeats.
            (S::Closing | S::QuasiClosed | S::Closed | S::Deleting | S::Deleted, E::Finalize)
            | (S::QuasiClosed | S::Closed | S::Deleting | S::Deleted, E::QuasiClose)
            | (S::Closed | S::Deleting | S::Deleted, E::Close | E::ForceClose)
            | (S::Deleting | S::Deleted, E::Delete)
            | (S::Deleted, E::Cleanup) => Ok(self),
            (from, event) => Err(InvalidTransition { from, event }),
        }
    }

    /// The name on the wire and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "OPEN",
            Self::Closing => "CLOSING",
            Self::QuasiClosed => "QUASI_CLOSED",
            Self::Closed => "CLOSED",
            Self::Deleting => "DELETING",
            Self::Deleted => "DELETED",
        }
    }
}

impl fmt::Display for ContainerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_closes_by_way_of_closing_and_never_opens_again() {
        let closing = ContainerState::Open.on(ContainerEvent::Finalize).unwrap();
        assert_eq!(closing, ContainerState::Closing);
        assert_eq!(closing.on(ContainerEvent::Close), Ok(ContainerState::Closed));
        assert_eq!(ContainerState::Closed.on(ContainerEvent::Finalize), Ok(ContainerState::Closed));
        assert!(ContainerState::Open.on(ContainerEvent::Close).is_err());
        assert!(ContainerState::Open.on(ContainerEvent::Delete).is_err());
    }
}
