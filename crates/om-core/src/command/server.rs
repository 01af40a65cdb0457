//! Requests about the server rather than the namespace.

pub mod echo;
pub mod finalize;
pub mod prepare;
pub mod quota_repair;
pub mod s3_secret;
pub mod s3_volume;

use om_proto::Status;

use crate::command::Caller;
use crate::error::OmError;
use crate::namespace::Namespace;

/// Refuses whom administrators are told from, in the words of what changes versions.
fn check_superuser(ns: &Namespace<'_>, caller: &Caller<'_>, purpose: &str) -> Result<(), OmError> {
    if !ns.rules.acls_enforced || ns.rules.is_admin(caller) {
        return Ok(());
    }
    let user = caller.user;
    let message = format!(
        "Access denied for user {user} (auth:SIMPLE). Superuser privilege is required to {purpose}."
    );
    Err(OmError::new(Status::AccessDenied, message))
}

/// Tenants need Ranger and Kerberos.
pub(crate) fn tenants_are_off() -> OmError {
    OmError::new(
        Status::FeatureNotEnabled,
        "S3 multi-tenancy feature is not enabled. Please set ozone.om.multitenancy.enabled to true \
         and restart all OMs.",
    )
}
