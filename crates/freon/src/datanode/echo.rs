//! `dn-echo`: calls of datanodes that do nothing (`DNRPCLoadGenerator`).

use std::sync::Arc;

use bytes::Bytes;
use clap::Args;
use hdds_client::ring::Ring;
use hdds_client::{Datanodes, Node, Pipeline};
use hdds_proto::datanode::{ContainerCommandRequestProto, EchoRequestProto, Type};
use hdds_types::ContainerId;

use crate::engine::{self, Load, Step};
use crate::options::BaseOptions;
use crate::{Context, FreonError, report};

/// Bytes of an answer at most, as the Java tool has it.
const ANSWER_BYTES_MAX: u64 = 2_097_151;

/// Options of `dn-echo`.
#[derive(Args, Debug)]
pub struct DnEchoArgs {
    #[command(flatten)]
    base: BaseOptions,
    /// KB of payload in a request
    #[arg(long, value_name = "payloadReqSizeKB", default_value_t = 0)]
    payload_req: u32,
    /// KB of payload in an answer
    #[arg(long, value_name = "payloadRespSizeKB", default_value_t = 0)]
    payload_resp: u32,
    /// Call the datanodes of this container
    #[arg(long, value_name = "containerID", default_value_t = 0)]
    container_id: u64,
    /// Milliseconds that a datanode waits before it answers
    #[arg(long, value_name = "sleepTimeMs", default_value_t = 0)]
    sleep_time_ms: i32,
    /// Clients, each with connections of its own
    #[arg(long, value_name = "numClients", default_value_t = 1)]
    clients: u32,
    /// With --ratis: leave the log out
    #[arg(long)]
    read_only: bool,
    /// Through the Raft log of the container's pipeline
    #[arg(long)]
    ratis: bool,
}

struct Echo {
    lines: Vec<Line>,
    node: Node,
    request: ContainerCommandRequestProto,
}

/// One client's way.
enum Line {
    Command(Datanodes),
    /// The datanodes keep the connections.
    Log(Arc<dyn Ring>, #[allow(dead_code)] Datanodes),
}

/// Runs `dn-echo`.
///
/// # Errors
/// See [`engine::run`].
pub fn run(context: &Context<'_>, args: DnEchoArgs) -> Result<(), FreonError> {
    let plan = args.base.plan()?;
    if !args.ratis && !args.read_only {
        report::log("Read only is not set to true for GRPC, setting it to true");
    }
    let through_log = args.ratis && !args.read_only;
    engine::block_on(async {
        let container = ContainerId(args.container_id);
        let found = super::scm(context)?.get_container_with_pipeline(container).await?;
        let pipeline = Pipeline::from_wire(&found.pipeline).ok_or_else(super::no_pipeline)?;
        let node = pipeline.read_order().first().map(|node| (*node).clone());
        let lines = (0..args.clients.max(1)).map(|_| {
            let datanodes = super::datanodes(context)?;
            Ok(match through_log {
                true => Line::Log(datanodes.ring(&pipeline), datanodes),
                false => Line::Command(datanodes),
            })
        });
        let lines = lines.collect::<Result<_, FreonError>>()?;
        let node = node.ok_or_else(super::no_pipeline)?;
        let load = Echo { lines, request: request(&args, &node, !through_log), node };
        engine::run(context, plan, load).await
    })
}

fn request(args: &DnEchoArgs, node: &Node, read_only: bool) -> ContainerCommandRequestProto {
    let answer_bytes = (u64::from(args.payload_resp) * 1024).min(ANSWER_BYTES_MAX);
    let echo = EchoRequestProto {
        payload: Some(Bytes::from(vec![0; args.payload_req as usize * 1024])),
        payload_size_resp: Some(answer_bytes as i32),
        sleep_time_ms: Some(args.sleep_time_ms),
        read_only: Some(read_only),
    };
    ContainerCommandRequestProto {
        cmd_type: Type::Echo.into(),
        container_id: args.container_id.cast_signed(),
        datanode_uuid: node.uuid.clone(),
        echo: Some(Box::new(echo)),
        ..Default::default()
    }
}

impl Load for Echo {
    fn timers(&self) -> Vec<&'static str> {
        vec!["rpc-payload"]
    }

    async fn step(&self, step: Step<'_>) -> Result<(), FreonError> {
        match &self.lines[step.counter as usize % self.lines.len()] {
            Line::Command(datanodes) => {
                let call = datanodes.send(&self.node, self.request.clone());
                step.time(0, call).await.map(drop)
            }
            Line::Log(ring, _) => {
                let none = Bytes::new();
                let call = super::replicate(ring, &self.request, &none);
                step.time(0, call).await.map(drop)
            }
        }
    }
}
