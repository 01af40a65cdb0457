//! Drives many Raft groups in one process.

mod engine;
mod error;
mod settings;
pub mod state_machine;
mod types;

pub use engine::MultiRaft;
pub use error::{RaftError, StartError};
pub use ratis_core::{PeerId, Role, TermIndex};
pub use settings::RaftSettings;
pub use state_machine::{
    Committed, Context, StateMachine, StateMachineError, StateMachines, Transaction,
};
pub use types::{ClientRequest, GroupId, GroupInfo, Leadership, Reply};
