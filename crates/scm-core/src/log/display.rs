//! Calls in words, for logs.

use std::fmt;

use super::Call;
use crate::convert;

impl Call {
    /// Something an operator wants to see once: a pipeline or container comes, moves on, or goes.
    pub fn is_notable(&self) -> bool {
        !matches!(
            self,
            Self::AllocateBatch { .. }
                | Self::AddTransactions { .. }
                | Self::RemoveTransactions { .. }
        )
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name())?;
        match self {
            Self::AddContainer(info) | Self::UpdateContainerInfo(info) => {
                write!(f, " {} of {}", info.container_id, info.owner)?;
                match info.pipeline_id.as_ref().and_then(convert::pipeline_id) {
                    Some(pipeline) => write!(f, " on pipeline {pipeline}"),
                    None => Ok(()),
                }
            }
            Self::RemoveContainer(id) => write!(f, " {id}"),
            Self::UpdateContainerState { id, event, .. } => write!(f, " {id} {event:?}"),
            Self::RestoreContainer { id, to } => write!(f, " {id} to {to}"),
            Self::AddPipeline(wire) => {
                if let Some(id) = convert::pipeline_id(&wire.id) {
                    write!(f, " {id}")?;
                }
                for member in wire.members.iter().filter_map(convert::datanode_id) {
                    write!(f, " {member}")?;
                }
                Ok(())
            }
            Self::RemovePipeline(id) => write!(f, " {id}"),
            Self::UpdatePipelineState { id, state } => write!(f, " {id} {state}"),
            Self::AddTransactions { transactions, .. } => write!(f, " {}", transactions.len()),
            Self::RemoveTransactions { ids, .. } => write!(f, " {}", ids.len()),
            Self::AllocateBatch { name, last, .. } => write!(f, " {name} up to {last}"),
            Self::SaveConfiguration { service, .. } | Self::DeleteConfiguration { service } => {
                write!(f, " {service}")
            }
            Self::FinalizeLayoutFeature(version) => write!(f, " {version}"),
            Self::AddFinalizingMark | Self::RemoveFinalizingMark => Ok(()),
        }
    }
}
