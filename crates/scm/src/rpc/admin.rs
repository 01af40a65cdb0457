//! Port 9860: nodes, safe mode and the state of SCM itself, for admins.

use std::sync::atomic::Ordering;

use hadoop_rpc::server::RpcError;
use hdds_proto::container::*;
use hdds_proto::hdds::upgrade_finalization_status::Status as Finalization;
use hdds_proto::hdds::{GetScmInfoResponseProto, TokenProto, UpgradeFinalizationStatus};
use hdds_types::DatanodeId;
use scm_core::convert;

use super::{LocationProtocol, need, refused, view};

impl LocationProtocol {
    /// Commands that concern neither containers nor pipelines.
    pub(super) fn serve_admin(
        &self,
        kind: Type,
        request: ScmContainerLocationRequest,
        response: &mut ScmContainerLocationResponse,
    ) -> Result<(), RpcError> {
        let shared = &self.0.shared;
        match kind {
            Type::QueryNode => {
                let part = need(request.node_query_request)?;
                let nodes = shared.read(|core| view::nodes(core, part.state, part.op_state));
                response.node_query_response =
                    Some(Box::new(NodeQueryResponseProto { datanodes: nodes }));
            }
            Type::SingleNodeQuery => {
                let id = DatanodeId(convert::uuid(&need(request.single_node_query_request)?.uuid));
                let datanode = shared.read(|core| core.nodes.get(id).map(view::node));
                response.single_node_query_response =
                    Some(Box::new(SingleNodeQueryResponseProto { datanode }));
            }
            Type::DatanodeUsageInfo => {
                let part = need(request.datanode_usage_info_request)?;
                let info = shared.read(|core| view::usage(core, &part));
                response.datanode_usage_info_response =
                    Some(Box::new(DatanodeUsageInfoResponseProto { info }));
            }
            Type::GetScmInfo => {
                let identity = shared.read(|core| core.identity.clone());
                let role = format!(
                    "{}:{}:LEADER:{}:{}",
                    self.0.host, self.0.ratis_port, identity.scm_id, self.0.host
                );
                response.get_scm_info_response = Some(Box::new(GetScmInfoResponseProto {
                    cluster_id: identity.cluster_id,
                    scm_id: identity.scm_id,
                    peer_roles: vec![role],
                }));
            }
            Type::InSafeMode
            | Type::GetSafeModeRuleStatuses
            | Type::ForceExitSafeMode
            | Type::StartReplicationManager
            | Type::StopReplicationManager
            | Type::GetReplicationManagerStatus => self.serve_switches(kind, response),
            _ => self.serve_state(kind, request, response)?,
        }
        Ok(())
    }

    /// Safe mode and the replication manager's switch.
    fn serve_switches(&self, kind: Type, response: &mut ScmContainerLocationResponse) {
        let shared = &self.0.shared;
        match kind {
            Type::InSafeMode => {
                let in_safe_mode = shared.read(|core| core.safe_mode.is_active());
                response.in_safe_mode_response =
                    Some(Box::new(InSafeModeResponseProto { in_safe_mode }));
            }
            Type::GetSafeModeRuleStatuses => {
                let rules = shared.read(|core| core.safe_mode_rules());
                let rules = rules.into_iter().map(|rule| SafeModeRuleStatusProto {
                    rule_name: rule.name.to_owned(),
                    validate: rule.holds,
                    status_text: rule.text,
                });
                response.get_safe_mode_rule_statuses_response =
                    Some(Box::new(GetSafeModeRuleStatusesResponseProto {
                        safe_mode_rule_statuses_proto: rules.collect(),
                    }));
            }
            Type::ForceExitSafeMode => {
                let exited_safe_mode = shared.with(|core, now| core.force_exit_safe_mode(now));
                response.force_exit_safe_mode_response =
                    Some(Box::new(ForceExitSafeModeResponseProto { exited_safe_mode }));
            }
            Type::StartReplicationManager => {
                shared.replication_manager.store(true, Ordering::Relaxed);
                response.start_replication_manager_response =
                    Some(Box::new(StartReplicationManagerResponseProto {}));
            }
            Type::StopReplicationManager => {
                shared.replication_manager.store(false, Ordering::Relaxed);
                response.stop_replication_manager_response =
                    Some(Box::new(StopReplicationManagerResponseProto {}));
            }
            _ => {
                let is_running = shared.replication_manager.load(Ordering::Relaxed);
                response.replication_manager_status_response =
                    Some(Box::new(ReplicationManagerStatusResponseProto { is_running }));
            }
        }
    }

    #[allow(deprecated, reason = "admins' older commands still get their answers")]
    fn serve_state(
        &self,
        kind: Type,
        request: ScmContainerLocationRequest,
        response: &mut ScmContainerLocationResponse,
    ) -> Result<(), RpcError> {
        let finalized = || UpgradeFinalizationStatus {
            status: Finalization::AlreadyFinalized.into(),
            messages: Vec::new(),
        };
        match kind {
            Type::FinalizeScmUpgrade => {
                response.finalize_scm_upgrade_response =
                    Some(Box::new(FinalizeScmUpgradeResponseProto { status: finalized() }));
            }
            Type::QueryUpgradeFinalizationProgress => {
                response.query_upgrade_finalization_progress_response =
                    Some(Box::new(QueryUpgradeFinalizationProgressResponseProto {
                        status: finalized(),
                    }));
            }
            Type::GetContainerToken => {
                // Without security tokens are empty, as the genuine disabled generator makes them.
                need(request.container_token_request)?;
                response.container_token_response =
                    Some(Box::new(GetContainerTokenResponseProto { token: TokenProto::default() }));
            }
            Type::GetDeletedBlocksTransactionSummary => {
                let summary = self.0.shared.read(|core| *core.ledger.deleted.summary());
                response.get_deleted_blocks_txn_summary_response =
                    Some(Box::new(GetDeletedBlocksTxnSummaryResponseProto {
                        summary: Some(summary),
                    }));
            }
            Type::ResetDeletedBlockRetryCount => {
                // Deletions are retried without limit; nothing to reset, as in Ozone 2.2.
                response.reset_deleted_block_retry_count_response =
                    Some(Box::new(ResetDeletedBlockRetryCountResponseProto { reset_count: 0 }));
            }
            Type::GetFailedDeletedBlocksTransaction => {
                response.get_failed_deleted_blocks_txn_response =
                    Some(Box::new(GetFailedDeletedBlocksTxnResponseProto::default()));
            }
            Type::GetContainerBalancerStatus => {
                response.container_balancer_status_response =
                    Some(Box::new(ContainerBalancerStatusResponseProto { is_running: false }));
            }
            Type::GetContainerBalancerStatusInfo => {
                response.container_balancer_status_info_response =
                    Some(Box::new(ContainerBalancerStatusInfoResponseProto {
                        is_running: Some(false),
                        container_balancer_status_info: None,
                    }));
            }
            Type::GetReplicationManagerReport => {
                let report = self.0.shared.read(view::replication_report);
                response.get_replication_manager_report_response =
                    Some(Box::new(ReplicationManagerReportResponseProto { report }));
            }
            other => {
                let text = format!("{} is not supported by this SCM yet", other.as_str_name());
                return Err(refused(text));
            }
        }
        Ok(())
    }
}
