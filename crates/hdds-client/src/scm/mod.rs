//! Clients of SCM, one per port.
//!
//! ```text
//!  ScmBlockClient (9863) ──┐                        ┌─ next node, suggested leader, or same again
//!  ScmClient      (9860) ──┴─► Channel ─► RpcClient ┤
//!  ScmDatanodeClient (9861) ───────────► RpcClient  └─ refused: ScmError for the caller
//! ```
//! Block and location clients know all SCMs and find the leader (`SCMFailoverProxyProviderBase`). A
//! datanode reports to every SCM, so its client knows one and never goes elsewhere.

mod allocated;
pub mod block;
mod channel;
pub mod datanode;
mod error;
pub mod location;
mod settings;

pub use block::ScmBlockClient;
pub use datanode::ScmDatanodeClient;
pub use error::{Advice, ScmError};
pub use location::ScmClient;
pub use settings::ScmClientSettings;

/// `version` of every request: `ClientVersion.BUCKET_LAYOUT_SUPPORT`.
pub(crate) const CLIENT_VERSION: u32 = 3;

#[cfg(test)]
mod tests;
