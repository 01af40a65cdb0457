//! Requests about the server rather than the namespace.

pub mod echo;
pub mod finalize_progress;
pub mod quota_repair;
pub mod s3_secret;
pub mod s3_volume;

use om_proto::Status;

use crate::error::OmError;

/// Tenants need Ranger and Kerberos.
pub(crate) fn tenants_are_off() -> OmError {
    OmError::new(
        Status::FeatureNotEnabled,
        "S3 multi-tenancy feature is not enabled. Please set ozone.om.multitenancy.enabled to true \
         and restart all OMs.",
    )
}
