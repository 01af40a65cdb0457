//! What administrators ask an Ozone Manager: preparing it for a change of version, finalizing one, who
//! leads, open files, repair of quotas.

use om_proto::prepare_status_response::PrepareStatus;
use om_proto::{
    CancelPrepareRequest, FinalizeUpgradeProgressRequest, FinalizeUpgradeRequest,
    GetQuotaRepairStatusRequest, KeyInfo, ListOpenFilesRequest, OmRequest, PrepareRequest,
    PrepareRequestArgs, PrepareStatusRequest, ServiceListRequest, StartQuotaRepairRequest, Type,
};

pub use hdds_proto::hdds::UpgradeFinalizationStatus;

use crate::{ClientError, OzoneClient};

/// `NodeType.OM` of a service.
const NODE_TYPE_OM: i32 = hdds_proto::hdds::NodeType::Om as i32;

/// Where an Ozone Manager stands between versions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Preparation {
    /// As Ozone names it: `NOT_PREPARED`, `PREPARE_GATE_ENABLED` or `PREPARE_COMPLETED`.
    pub status: &'static str,
    /// Everything up to this entry of the log is in the database; -1 when it is not prepared.
    pub index: i64,
}

impl Preparation {
    /// Whether it waits for the other version.
    pub fn is_complete(&self) -> bool {
        self.status == PrepareStatus::PrepareCompleted.as_str_name()
    }
}

/// A member of the ring.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OmRole {
    /// Node id.
    pub node: String,
    /// `LEADER`, `FOLLOWER` or `LISTENER`.
    pub role: String,
    /// Host name.
    pub host: String,
}

/// A file that somebody writes.
#[derive(Clone, PartialEq, Debug)]
pub struct OpenFile {
    /// The session of its writer.
    pub client: i64,
    /// What is known of it so far.
    pub key: KeyInfo,
}

/// A page of open files.
#[derive(Clone, PartialEq, Debug)]
pub struct OpenFiles {
    /// In the whole cluster, about.
    pub total: u64,
    /// This page.
    pub files: Vec<OpenFile>,
    /// Where the next page begins, if there is one.
    pub next: Option<String>,
}

/// A request with its body.
macro_rules! request {
    ($kind:ident, $field:ident, $body:expr) => {
        OmRequest {
            cmd_type: Type::$kind.into(),
            $field: Some(Box::new($body)),
            ..OmRequest::default()
        }
    };
}

impl OzoneClient {
    /// Has every Ozone Manager write what its log holds, and take no more writes. Gives the index.
    /// The times are for the server: until it gives up, and between two looks, in seconds.
    ///
    /// # Errors
    /// `ACCESS_DENIED`, `PREPARE_FAILED`, or see [`ClientError`].
    pub async fn prepare(&self, wait: u64, check_interval: u64) -> Result<u64, ClientError> {
        let args = PrepareRequestArgs {
            txn_apply_wait_timeout_seconds: Some(wait),
            txn_apply_check_interval_seconds: Some(check_interval),
        };
        let request = request!(Prepare, prepare_request, PrepareRequest { args });
        let answer = self.om.submit(request).await?.prepare_response;
        Ok(answer.ok_or(ClientError::Malformed("prepareResponse"))?.txn_id)
    }

    /// Whether the Ozone Manager is prepared; each one answers for itself.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn preparation(&self, index: u64) -> Result<Preparation, ClientError> {
        let body = PrepareStatusRequest { txn_id: index };
        let request = request!(PrepareStatus, prepare_status_request, body);
        let answer = self.om.submit(request).await?.prepare_status_response;
        let answer = answer.ok_or(ClientError::Malformed("prepareStatusResponse"))?;
        Ok(Preparation {
            status: answer.status().as_str_name(),
            index: answer.current_txn_index().cast_signed(),
        })
    }

    /// Has the Ozone Managers take writes again.
    ///
    /// # Errors
    /// `ACCESS_DENIED`, or see [`ClientError`].
    pub async fn cancel_prepare(&self) -> Result<(), ClientError> {
        let request = request!(CancelPrepare, cancel_prepare_request, CancelPrepareRequest {});
        self.om.submit(request).await.map(drop)
    }

    /// Ends an upgrade: from now on there is no way back to the version before.
    ///
    /// # Errors
    /// `ACCESS_DENIED`, or see [`ClientError`].
    pub async fn finalize_upgrade(
        &self,
        upgrade_client_id: &str,
    ) -> Result<UpgradeFinalizationStatus, ClientError> {
        let body = FinalizeUpgradeRequest { upgrade_client_id: upgrade_client_id.to_owned() };
        let request = request!(FinalizeUpgrade, finalize_upgrade_request, body);
        let answer = self.om.submit(request).await?.finalize_upgrade_response;
        Ok(answer.ok_or(ClientError::Malformed("finalizeUpgradeResponse"))?.status)
    }

    /// How far an upgrade is. Only a `readonly` look is open to others than the client that finalizes;
    /// `takeover` makes this one that client.
    ///
    /// # Errors
    /// `INVALID_REQUEST` for another client, or see [`ClientError`].
    pub async fn finalization(
        &self,
        upgrade_client_id: &str,
        takeover: bool,
        readonly: bool,
    ) -> Result<UpgradeFinalizationStatus, ClientError> {
        let body = FinalizeUpgradeProgressRequest {
            upgrade_client_id: upgrade_client_id.to_owned(),
            takeover: Some(takeover),
            readonly: Some(readonly),
        };
        let request = request!(FinalizeUpgradeProgress, finalize_upgrade_progress_request, body);
        let answer = self.om.submit(request).await?.finalize_upgrade_progress_response;
        Ok(answer.ok_or(ClientError::Malformed("finalizeUpgradeProgressResponse"))?.status)
    }

    /// The members of the ring.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn om_roles(&self) -> Result<Vec<OmRole>, ClientError> {
        let request = request!(ServiceList, service_list_request, ServiceListRequest {});
        let answer = self.om.submit(request).await?.service_list_response;
        let services = answer.ok_or(ClientError::Malformed("serviceListResponse"))?.service_info;
        let members = services.into_iter().filter(|service| service.node_type == NODE_TYPE_OM);
        Ok(members
            .filter_map(|service| {
                let role = service.om_role?;
                let (node, role) = (role.node_id, role.server_role);
                Some(OmRole { node, role, host: service.hostname })
            })
            .collect())
    }

    /// Files under `path` that are being written, at most `count`, behind `start`.
    ///
    /// # Errors
    /// `PERMISSION_DENIED` for others than administrators, or see [`ClientError`].
    pub async fn open_files(
        &self,
        path: &str,
        count: u32,
        start: &str,
    ) -> Result<OpenFiles, ClientError> {
        let body = ListOpenFilesRequest {
            path: Some(path.to_owned()),
            count: Some(count),
            token: Some(start.to_owned()),
        };
        let request = request!(ListOpenFiles, list_open_files_request, body);
        let answer = self.om.submit(request).await?.list_open_files_response;
        let answer = *answer.ok_or(ClientError::Malformed("listOpenFilesResponse"))?;
        let next = answer.has_more().then(|| answer.continuation_token().to_owned());
        let total = answer.total_open_key_count();
        let clients = answer.client_id.into_iter().map(u64::cast_signed);
        let files = clients.zip(answer.key_info).map(|(client, key)| OpenFile { client, key });
        Ok(OpenFiles { total, files: files.collect(), next })
    }

    /// Has quotas counted anew in the background, of these buckets (`/<volume>/<bucket>`) or of all.
    ///
    /// # Errors
    /// `QUOTA_ERROR` while it is done already, `PERMISSION_DENIED`, or see [`ClientError`].
    pub async fn start_quota_repair(&self, buckets: &[String]) -> Result<(), ClientError> {
        let body = StartQuotaRepairRequest { buckets: buckets.to_vec() };
        let request = request!(StartQuotaRepair, start_quota_repair_request, body);
        self.om.submit(request).await.map(drop)
    }

    /// How the last repair of quotas went, as JSON.
    ///
    /// # Errors
    /// `PERMISSION_DENIED`, or see [`ClientError`].
    pub async fn quota_repair_status(&self) -> Result<String, ClientError> {
        let body = GetQuotaRepairStatusRequest {};
        let request = request!(GetQuotaRepairStatus, get_quota_repair_status_request, body);
        let answer = self.om.submit(request).await?.get_quota_repair_status_response;
        let answer = answer.ok_or(ClientError::Malformed("getQuotaRepairStatusResponse"))?;
        Ok(answer.status.unwrap_or_default())
    }
}
