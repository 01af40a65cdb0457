//! Members report their pipelines (`PipelineReportHandler`).

use hdds_proto::hdds::PipelineReportsProto;
use hdds_types::{DatanodeId, PipelineState, ReplicationConfig, ReplicationFactor};

use crate::node::Command;
use crate::{Call, Core, Millis, convert};

impl Core {
    pub(crate) fn take_pipeline_reports(
        &mut self,
        node: DatanodeId,
        reports: &PipelineReportsProto,
        _now: Millis,
    ) {
        for report in &reports.pipeline_report {
            let Some(id) = convert::pipeline_id(&report.pipeline_id) else { continue };
            let known = self.ledger.pipeline_mut(id).filter(|p| p.members.contains(&node));
            let Some(pipeline) = known else {
                if !self.is_coming(id) && self.leader_term.is_some() {
                    self.send(node, Command::ClosePipeline(id));
                }
                continue;
            };
            if !pipeline.reported.contains(&node) {
                pipeline.reported.push(node);
            }
            let alone = pipeline.replication == ReplicationConfig::Ratis(ReplicationFactor::One);
            if report.is_leader || alone {
                pipeline.leader = Some(node);
            }
            let (state, healthy) = (pipeline.state, pipeline.is_healthy());
            if state == PipelineState::Allocated && healthy {
                self.propose(Call::UpdatePipelineState { id, state: PipelineState::Open });
            }
            self.safe_mode_pipeline_reported(id);
        }
    }
}
